package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// topLevel returns all cgroups that are not below a user/ directory, and the
// names in the user/ directories.
func topLevel(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, h := range testbed.Hierarchies() {
		for _, dir := range []string{h.Point, filepath.Join(h.Point, "user")} {
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				// "cg" begins the users of other tests, which may be running
				if e.IsDir() && e.Name() != "user" && !strings.HasPrefix(e.Name(), "cg") {
					all = append(all, filepath.Join(dir, e.Name()))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// User names, known to the system or not. Where is the directory; empty: the
// name is refused, the log says why, and nothing is made anywhere.
func TestUserNames(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.WriteService(t, "cgnames", waitingLine(t, threeHierarchies))
	long := strings.Repeat("x", 300)
	tests := []struct{ name, user, where, log string }{
		{"dot dot", "..", "", `^user name "\.\.": means a directory; this session has no cgroups`},
		{"dot", ".", "", `^user name "\.": means a directory`},
		{"slash", "a/b", "", `^user name "a/b": has a slash`},
		{"absolute", "/etc", "", `^user name "/etc": has a slash`},
		{"empty", "", "", `^user name "": empty`},
		{"300 bytes", long, "", `^user name "x{300}": longer than 255 bytes`},
		{"newline", "a\nforged line", "", `^user name "a\\nforged line": has a control character`},
		{"escape sequence", "a\x1b[2J", "", `^user name "a\\x1b\[2J": has a control character`},
		{"unknown", "cgnobody", "", `^user "cgnobody" is not known to the system`},
		{"domain", `DOMAIN\user`, `DOMAIN\user`, ""},
		{"realm", "user@realm", "user@realm", ""},
		{"spaces", "two words", "two words", ""},
		{"UTF-8", "jürgen", "jürgen", ""},
		{"tasks", "tasks", "_tasks", ""},
		{"cgroup.procs", "cgroup.procs", "_cgroup.procs", ""},
		{"memory.limit_in_bytes", "memory.limit_in_bytes", "_memory.limit_in_bytes", ""},
		{"underscore", "_apt2", "__apt2", ""},
		{"a number", "4711", "4711", ""},
		{"255 bytes", long[:255], long[:255], ""},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name != "unknown" && !strings.ContainsAny(test.user, "\n") && test.user != "" {
				testbed.AddUser(t, test.user, 20500+i)
			}
			before := topLevel(t)
			log := testbed.LogFromNow(t)
			app := testbed.LaunchUnder(t, nil, "syslog", "state", "start=cgnames:"+test.user, "open", "pause", "close", "end", "state")
			if got := app.Await("open"); got != "0" {
				t.Errorf("open answered %s", got)
			}
			if test.where == "" {
				if now := topLevel(t); !slices.Equal(now, before) {
					t.Errorf("cgroups before %v, now %v", before, now)
				}
			} else if got := testbed.Tree(test.where); len(got) != 6 {
				t.Errorf("user/%s holds %v, want a session in three hierarchies", test.where, got)
			}
			app.Resume()
			a := app.Finish()
			a.Want(t, "close", "0")
			a.WantSameState(t)
			if test.log == "" {
				log.WantSilence()
			} else if line := log.Want(test.log); strings.ContainsAny(line, "\n\x1b") {
				t.Errorf("log line with control characters: %q", line)
			}
			if now := topLevel(t); !slices.Equal(now, before) {
				t.Errorf("cgroups before %v, after %v", before, now)
			}
		})
	}
}

// The words on the PAM line, given to the entry point itself, since a PAM file
// cannot hold all of them. Where are the hierarchies with a session.
func TestOptions(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgoptions", 20601)
	writeArgsService(t, "cgoptions")
	var every []string
	for _, h := range testbed.Hierarchies() {
		every = append(every, h.Name)
	}
	three := []string{"freezer", "memory", "name=systemd"}
	long := strings.Repeat("nosuch,", 1462)
	tests := []struct {
		name  string
		words string // separated by |
		where []string
		value string // what the entry point returns
		log   string // empty: silence
	}{
		{"none", "", every, "0", ""},
		{"-c LIST", "-c|freezer,memory,name=systemd", three, "0", ""},
		{"-cLIST", "-cfreezer,memory,name=systemd", three, "0", ""},
		{"in any position", "min_uid=5|-c|freezer|debug", []string{"freezer"}, "0", `^user "cgoptions": session 0 opened by "cgoptions" in freezer$`},
		{"all", "-c|all", every, "0", ""},
		{"unified", "-c|unified", []string{"unified"}, "0", ""},
		{"empty items", "-c|,freezer,,memory,", []string{"freezer", "memory"}, "0", ""},
		{"twice the same", "-c|freezer,freezer", []string{"freezer"}, "0", ""},
		{"empty list", "-c|", nil, "14", `^controller list "": names no controller; this session has no cgroups`},
		{"no list", "-c", nil, "14", `^controller list "": names no controller`},
		{"only commas", "-c|,,", nil, "14", `^controller list ",,": names no controller`},
		{"all and more", "-c|all,freezer", nil, "14", `^controller list "all,freezer": "all" cannot stand beside other controllers`},
		{"unknown controller", "-c|nosuch", nil, "0", `^user "cgoptions": no mounted hierarchy has "nosuch"`},
		{"one unknown of two", "-c|freezer,nosuch", []string{"freezer"}, "0", `^user "cgoptions": no mounted hierarchy has "nosuch"; ignored$`},
		{"10 kB", "-c|" + long, nil, "0", `^user "cgoptions": no mounted hierarchy has "nosuch"`},
		{"10 kB of one name", "-c|" + strings.ReplaceAll(long, ",", ""), nil, "0", `^user "cgoptions": no mounted hierarchy has "nosuch(nosuch|n|no|nos|nosu|nosuc)*"`},
		{"unknown option", "-c|freezer|verbose", []string{"freezer"}, "0", `^unknown option "verbose" ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N$`},
		{"bad min_uid", "-c|freezer|min_uid=x", []string{"freezer"}, "0", `^option "min_uid=x": want min_uid=N with a user ID; option ignored$`},
		{"bad timeout", "-c|freezer|timeout=0", []string{"freezer"}, "0", `^option "timeout=0": want timeout=N with 1 to 60 seconds; option ignored$`},
		{"below min_uid", "min_uid=30000", nil, "0", ""},
		{"at min_uid", "min_uid=20601|-c|freezer", []string{"freezer"}, "0", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			app := testbed.LaunchUnder(t, nil, "syslog", "env=PAM_ARGS="+test.words, "start=cgoptions:"+u.Name, "state", "open", "pause", "close", "end", "state")
			if got := app.Await("open"); got != test.value {
				t.Errorf("pam_sm_open_session returned %s, want %s", got, test.value)
			}
			var where []string
			for _, hierarchy := range testbed.Hierarchies() {
				if slices.Contains(testbed.Sessions(hierarchy, u.Name), "0") {
					where = append(where, hierarchy.Name)
				}
			}
			slices.Sort(where)
			slices.Sort(test.where)
			if !slices.Equal(where, test.where) {
				t.Errorf("sessions in %v, want %v", where, test.where)
			}
			app.Resume()
			a := app.Finish()
			testbed.AwaitDetachedWorkers(t) // the words of the line are the test's own
			if test.value == "0" {
				a.Want(t, "close", "0")
			}
			a.WantSameState(t)
			if test.log == "" {
				log.WantSilence()
			} else {
				log.Want(test.log)
			}
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// The return values of the module, as in pam_cgdeleg(8).
func TestReturnValues(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgvalues", 20602)
	const session, userUnknown, success = "14", "10", "0"
	tests := []struct{ name, service, user, words, open string }{
		{"session made", "cgvalues", "cgvalues", "-c|freezer", success},
		{"nothing to make", "cgvalues", "cgvalues", "-c|nosuch", success},
		{"below min_uid", "cgvalues", "cgvalues", "min_uid=30000", success},
		{"service systemd-user", "systemd-user", "cgvalues", "-c|freezer", success},
		{"service systemd-user, bad list", "systemd-user", "cgvalues", "-c|all,x", success},
		{"bad list", "cgvalues", "cgvalues", "-c|all,x", session},
		{"bad name", "cgvalues", "..", "-c|freezer", session},
		{"unknown user", "cgvalues", "cgnobody", "-c|freezer", userUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			writeArgsService(t, test.service)
			a := run(t, fmt.Sprintf("env=PAM_ARGS=%s start=%s:%s open close end", test.words, test.service, test.user))
			a.Want(t, "open", test.open)
			if test.open == success {
				// after a failed open libpam answers a close from its own memory
				// of the stack, whatever the module returns
				a.Want(t, "close", success)
			}
			testbed.WantNothingLeft(t, "cgvalues")
		})
	}
	for name, script := range map[string]string{
		"no user":     "start=cgvalues:x clearuser open close end",
		"worker dies": "seccomp=kill start=cgvalues:cgvalues open close end",
	} {
		t.Run(name, func(t *testing.T) {
			writeArgsService(t, "cgvalues")
			a := run(t, "env=PAM_ARGS=-c|freezer "+script)
			a.Want(t, "open", session)
		})
	}
}

// The only failure that a close returns: there was no worker at all.
func TestReturnValueOfCloseWithoutWorker(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgnoclose", 20604)
	writeArgsService(t, "cgnoclose")
	cgroup := makeCgroup(t, testbed.HierarchyNamed(t, "pids"), "noclose")
	log := testbed.LogFromNow(t)
	app := launch(t, "env=PAM_ARGS=-c|freezer start=cgnoclose:cgnoclose open pause close end")
	app.Await("open")
	write(t, filepath.Join(cgroup, "pids.max"), "1")
	write(t, filepath.Join(cgroup, "cgroup.procs"), fmt.Sprint(app.Cmd.Process.Pid))
	app.Resume()
	a := app.Finish()
	a.Want(t, "close", "14")
	log.Want(`^worker could not be run: Resource temporarily unavailable`)
	testbed.WriteService(t, "cgcleanup", waitingLine(t, "-c freezer"))
	cleanupByLogin(t, "cgcleanup", u.Name)
}

// writeArgsService writes a service whose only session module is ours, with
// the words in $PAM_ARGS: libpam then returns what the module returns.
func writeArgsService(t *testing.T, service string) {
	t.Helper()
	built := testbed.CompileC(t, "pamargs/pam_args.c", "-shared", "-fPIC", "-ldl")
	args := filepath.Join(filepath.Dir(built), "pam_cgdeleg.so") // libpam logs with the file's name
	if err := os.Rename(built, args); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("/etc/pam.d", service)
	line := fmt.Sprintf("session required %s %s\n", args, testbed.Built(t, "pam_cgdeleg.so"))
	if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

// A required line lets no login in without its session; that is an
// administrator's choice, and the manual says so.
func TestRequired(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgrequired", 20603)
	line := strings.Replace(waitingLine(t, "-c all,x"), "optional", "required", 1)
	testbed.WriteService(t, "cgrequired", line)
	a := run(t, "start=cgrequired:cgrequired open")
	a.Want(t, "open", "14")
}
