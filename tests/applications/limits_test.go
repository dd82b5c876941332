package applications

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// bootSystemd makes the private /run look as if systemd ran the machine (sd_booted(3)).
func bootSystemd(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/run/systemd") })
}

// writeLimits writes the private limits.conf; none if there is no text.
func writeLimits(t *testing.T, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if err := os.MkdirAll("/etc/cgdeleg", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/etc/cgdeleg") })
	if err := os.WriteFile("/etc/cgdeleg/limits.conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pamData is a module that tells what pam_systemd would find.
type pamData struct{ module, file string }

func buildPAMData(t *testing.T) pamData {
	t.Helper()
	testbed.Need(t, "gcc")
	return pamData{
		module: testbed.CompileC(t, "pamdata/pam_data.c", "-shared", "-fPIC", "-lpam"),
		file:   filepath.Join(testbed.TempDir(t), "data"),
	}
}

func (d pamData) line() string { return "session required " + d.module + " " + d.file }

// found returns what was found since the last time.
func (d pamData) found(t *testing.T) string {
	t.Helper()
	found := readFile(d.file)
	if err := os.RemoveAll(d.file); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(found, "\n", " "))
}

// The line "limits" before pam_systemd's leaves on the PAM handle what that reads, and
// does nothing else: not at the close either.
func TestLimitsAreOnTheHandle(t *testing.T) {
	data := buildPAMData(t)
	testbed.AddUser(t, "cglimits", 20901)
	for _, test := range []struct{ name, conf, options, want string }{
		{"all of them", "cglimits session memory.max=1G pids.max=50 cpu.weight=7 io.weight=8\n", "",
			"systemd.memory_max=1073741824 systemd.tasks_max=50 systemd.cpu_weight=7 systemd.io_weight=8 ."},
		{"by group, and unlimited", "@g20901 session memory.max=max\n", "", "systemd.memory_max=infinity ."},
		{"another's", "root session pids.max=50\n", "", "."},
		{"nobody's", "", "", "."},
		{"required, and there", "uid=20901 session pids.max=50\n", "limits=required", "systemd.tasks_max=50 ."},
	} {
		t.Run(test.name, func(t *testing.T) {
			bootSystemd(t)
			writeLimits(t, test.conf)
			testbed.WriteService(t, "cglimits", testbed.SessionLine(t, "limits "+test.options), data.line())
			a := run(t, "syslog state start=cglimits:cglimits open cgroups close end state")
			a.WantSameState(t)
			for _, word := range []string{"open", "close"} {
				if got := a.One(t, word); got != "0" {
					t.Errorf("%s: %s", word, got)
				}
			}
			if got := data.found(t); got != test.want {
				t.Errorf("pam_systemd would find %s\nwant %s", got, test.want)
			}
			if cgroups := a.One(t, "cgroups"); strings.Contains(cgroups, "cglimits") {
				t.Errorf("moved to %s", cgroups)
			}
		})
	}
	testbed.WantNothingLeft(t, "cglimits")
}

// Two sessions of one handle, of which the second has less, as when a file changes
// between them: what is on the handle is that of the last.
func TestLimitsOfTheLastOpen(t *testing.T) {
	data := buildPAMData(t)
	bootSystemd(t)
	testbed.AddUser(t, "cglast", 20902)
	writeLimits(t, "cglast session pids.max=50\n")
	testbed.WriteService(t, "cglast", testbed.SessionLine(t, "limits"), data.line())
	app := launch(t, "start=cglast:cglast open pause open close close end")
	app.Await("open")
	writeLimits(t, "cglast session pids.max=60\n")
	app.Resume()
	app.Finish()
	if got, want := data.found(t), "systemd.tasks_max=50 . systemd.tasks_max=60 ."; got != want {
		t.Errorf("pam_systemd would find %s, want %s", got, want)
	}
}

// Without limits that are required there is no session; the rest is a line of the log.
func TestLimitsThatAreRequired(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgneeds", 20903)
	const (
		conf    = "cgneeds session cpu.max=20%\n"
		refused = `^user "cgneeds": limits are required, and pam_systemd cannot set cpu.max=20%; this session is refused$`
	)
	for _, test := range []struct{ name, control, options, want, log string }{
		{"required", "required", "limits=required", "14", refused}, // PAM_SESSION_ERR
		{"not required", "required", "", "0", `^user "cgneeds": pam_systemd cannot set these limits of a session: cpu.max=20%$`},
		{"required, by a line that is not", "optional", "limits=required", "0", refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			bootSystemd(t)
			writeLimits(t, conf)
			line := strings.Replace(testbed.SessionLine(t, "limits "+test.options), "optional", test.control, 1)
			testbed.WriteService(t, "cgneeds", line, "session required pam_permit.so")
			log := testbed.LogFromNow(t)
			a := run(t, "start=cgneeds:cgneeds open close end")
			if got := a.One(t, "open"); got != test.want {
				t.Errorf("open: %s, want %s", got, test.want)
			}
			log.Want(test.log)
		})
	}
}

// The line costs no worker where there is nothing for it to do, and one where there may
// be, whose death is no login's.
func TestLimitsWorkers(t *testing.T) {
	s := buildStandIn(t)
	data := buildPAMData(t)
	testbed.AddUser(t, "cgwork", 20904)
	for _, test := range []struct {
		name, options string
		booted        bool
		conf, worker  string
		calls         int
		open, found   string
		log           string
	}{
		{"no systemd", "", false, "x", "", 0, "0", ".", ""},
		{"no files", "", true, "", "", 0, "0", ".", ""},
		{"no systemd, and debug", "debug", false, "", "say 'log debug d' 'result success'", 1, "0", ".", "d"},
		{"items", "", true, "x", "say 'item systemd.tasks_max 5' 'item systemd.memory_max a b' 'result success'", 1, "0", "systemd.memory_max=a b systemd.tasks_max=5 .", ""},
		{"an item said again", "", true, "x", "say 'item systemd.tasks_max 5' 'item systemd.tasks_max 6' 'result success'", 1, "0", "systemd.tasks_max=6 .", ""},
		{"items that are none", "", true, "x", "say 'item systemd.tasks_max' 'item pam_cgdeleg_tickets 5' 'item ' 'result success'", 1, "0", ".", ""},
		{"killed", "", true, "x", "say 'item systemd.tasks_max 5'; kill -KILL $$", 1, "0", "systemd.tasks_max=5 .", "worker was killed by signal 9; this session has no limits of its own"},
		{"killed, and required", "limits=required", true, "x", "kill -KILL $$", 1, "14", "", "worker was killed by signal 9; this session has no limits of its own"},
		{"failure", "", true, "x", "say 'result failure'", 1, "0", ".", ""},
		{"failure, and required", "limits=required", true, "x", "say 'result failure'", 1, "14", "", ""},
		{"unknown user, and required", "limits=required", true, "x", "say 'result unknown-user'", 1, "10", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.booted {
				bootSystemd(t)
			}
			writeLimits(t, test.conf)
			testbed.WriteService(t, "cgwork", "session requisite "+s.module+" limits timeout=2 "+test.options, data.line())
			s.prepare(t, map[string]string{"limits": test.worker})
			log := testbed.LogFromNow(t)
			a := run(t, "syslog state start=cgwork:cgwork open close end state")
			a.WantSameState(t)
			if got := a.One(t, "open"); got != test.open {
				t.Errorf("open: %s, want %s", got, test.open)
			}
			calls := s.calls(t)
			if len(calls) != test.calls || test.calls == 1 && calls[0][0] != "limits" {
				t.Errorf("workers %v", calls)
			}
			if got := data.found(t); got != test.found {
				t.Errorf("pam_systemd would find %q, want %q", got, test.found)
			}
			testbed.LogFromNow(t)
			if got := strings.Join(log.Ours(), "\n"); got != test.log {
				t.Errorf("log\n%s\nwant\n%s", got, test.log)
			}
		})
	}
}
