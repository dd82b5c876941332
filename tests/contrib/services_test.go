package contrib

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// supervisors are those that run cgdeleg serve, with the program that
// supervises one folder and what stops the service in it.
var supervisors = map[string]struct {
	folder, supervise, debian string
	stop                      []string
	logs                      bool // it has a service of its own for the log
}{
	"runit": {"runit/cgdeleg-serve", "runsv", "runit", []string{"sv", "-w", "30", "down"}, true},
	"s6":    {"s6/cgdeleg-serve", "s6-supervise", "s6", []string{"s6-svc", "-wD", "-T", "30000", "-d"}, false},
}

// Under a supervisor it removes a session that dies, says so, and ends well when
// it is told to.
func TestSupervisors(t *testing.T) {
	testbed.Need(t)
	for name, s := range supervisors {
		t.Run(name, func(t *testing.T) {
			need(t, s.supervise, s.debian)
			withBuilt(t)
			u := testbed.AddUser(t, "cgcontrib"+name, 25001+len(name))
			log := testbed.LogFromNow(t)
			folder := copyOf(t, file(t, s.folder))
			// What a supervisor tells of how the service ended.
			ended := filepath.Join(t.TempDir(), "ended")
			write(t, folder+"/finish", "#!/bin/sh\necho \"$1 $2\" >"+ended+"\n", 0o755)
			said := supervise(t, s.supervise, folder)

			session, end := openSession(t, u)
			testbed.Eventually(t, "the service is up", func() bool { return strings.Contains(processesNamed("cgdeleg"), " serve") })
			end()
			testbed.Eventually(t, "the dead session is gone", func() bool { _, err := os.Stat(session); return os.IsNotExist(err) })
			words := "removed session 0 of " + u.Name
			if s.logs {
				isOurs := func(line string) bool {
					return strings.Contains(line, "cgdeleg-serve") && strings.Contains(line, words)
				}
				testbed.Eventually(t, "the system's log has a line", func() bool { return slices.ContainsFunc(log.All(), isOurs) })
			} else {
				testbed.Eventually(t, "it says so", func() bool { return strings.Contains(read(t, said), words) })
			}
			must(t, s.stop[0], append(s.stop[1:], folder)...)
			testbed.Eventually(t, "it has ended", func() bool { _, err := os.Stat(ended); return err == nil })
			if got := strings.TrimSpace(read(t, ended)); got != "0 0" {
				t.Errorf("exit code and signal %q, want 0 and 0", got)
			}
		})
	}
}

// copyOf copies a service's folder: supervisors write into it.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), filepath.Base(folder))
	must(t, "cp", "-r", folder, copied)
	return copied
}

// supervise starts a supervisor, and returns the file with what it and its
// service say.
func supervise(t *testing.T, program, folder string) (said string) {
	t.Helper()
	said = filepath.Join(t.TempDir(), "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, folder)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Both end their services, that of the log too, and then themselves.
		if program == "runsv" {
			_, _ = run(t, "sv", "exit", folder)
		} else {
			_, _ = run(t, "s6-svc", "-xd", folder)
		}
		defer time.AfterFunc(testbed.Patience, func() { _ = cmd.Process.Kill() }).Stop()
		_ = cmd.Wait()
	})
	return said
}

// openSession makes a session of a user on the freezer or what else there is,
// and returns its folder and what ends its only process. Others are what else the session
// is to have.
func openSession(t *testing.T, u testbed.User, others ...string) (dir string, end func()) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(end)
	h := testbed.Hierarchies()[0]
	name, _, _ := strings.Cut(h.Name, ",")
	must(t, "cgdeleg", "open", "--user", u.Name, "--pid", fmt.Sprint(cmd.Process.Pid), "-c", strings.Join(append(others, name), ","))
	dir = filepath.Join(h.Point, "user", u.Name, "0")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir, end
}

// processesNamed returns the command lines of programs of that name, a line each.
func processesNamed(program string) string {
	var all strings.Builder
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		data, _ := os.ReadFile(line)
		words := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
		if filepath.Base(words[0]) == program {
			all.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return all.String()
}

// systemd understands the units.
func TestUnits(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	dir, program := t.TempDir(), regexp.MustCompile(`(?m)^(Exec\w+=-?)/usr/\S+`)
	for _, pattern := range []string{"systemd/*.service", "systemd/*.timer", "systemd/*.socket", "prometheus/*.service", "prometheus/*.timer"} {
		units, err := filepath.Glob(file(t, pattern))
		if err != nil || units == nil {
			t.Fatalf("%s: none (%v)", pattern, err)
		}
		for _, unit := range units {
			// What they start need not be installed here.
			write(t, filepath.Join(dir, strings.Replace(filepath.Base(unit), "@.", "@1000.", 1)), program.ReplaceAllString(read(t, unit), "${1}/bin/true"), 0o644)
		}
	}
	// A scope is nothing that could be verified; a service takes the same key.
	scope := read(t, file(t, "systemd/session-.scope.d/50-cgdeleg.conf"))
	write(t, dir+"/scope.service", strings.Replace(scope, "[Scope]", "[Service]\nExecStart=/bin/true", 1), 0o644)
	// What a drop-in adds to comes with systemd.
	limits := program.ReplaceAllString(read(t, file(t, "systemd/user-runtime-dir@.service.d/50-cgdeleg-limits.conf")), "${1}/bin/true")
	write(t, dir+"/limits@1000.service", strings.Replace(limits, "[Service]", "[Service]\nType=oneshot\nExecStart=/bin/true", 1), 0o644)
	units, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		said, err := run(t, "systemd-analyze", "--man=no", "verify", unit)
		if err != nil || strings.Contains(said, dir) || strings.Contains(said, filepath.Base(unit)) {
			t.Errorf("%s: %v\n%s", filepath.Base(unit), err, said)
		}
	}
}
