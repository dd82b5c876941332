package logins

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// worker is the module's other half where the C library is musl.
const worker = "/usr/libexec/cgdeleg/worker"

func needMusl(t *testing.T) {
	t.Helper()
	testbed.Need(t)
	if !testbed.Musl() {
		t.Skip("the worker is a program only with musl: run `make test-musl`")
	}
}

// With Alpine's own PAM files, and the one line that its package asks for, the
// login has writable cgroups in every hierarchy, and nothing is left of them.
func TestAlpinePAMFiles(t *testing.T) {
	needMusl(t)
	const file = "/etc/pam.d/base-session"
	stock, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for application, login := range map[string]func(*testing.T, testbed.User) string{
		"login": loginsByRoot["login"],
		"sshd": func(t *testing.T, u testbed.User) string {
			login := sshd.Start(t, sshd.Options{}).Login(t, u.Name, typed())
			defer login.Logout()
			return login.Must(t, probe)
		},
	} {
		for _, line := range []string{"session optional pam_cgdeleg.so\n", ""} {
			t.Run(application+" with the line "+strings.TrimSpace(line), func(t *testing.T) {
				writeProbe(t)
				writeFile(t, file, 0o644, string(stock)+line)
				t.Cleanup(func() { _ = os.WriteFile(file, stock, 0o644) })
				u := testbed.AddUser(t, "cglogalpine", 21080)
				log := testbed.LogFromNow(t)
				t.Cleanup(log.WantSilence)
				if output := login(t, u); line == "" {
					wantNoSession(t, u, output)
				} else {
					wantEverywhere(t, u, readProbe(t, output))
				}
			})
		}
	}
}

// wantEverywhere looks that the login was in a session of its own in each
// hierarchy of the machine.
func wantEverywhere(t *testing.T, u testbed.User, seen sighting) {
	t.Helper()
	for _, h := range testbed.Hierarchies() {
		want := "/user/" + u.Name + "/0"
		if h.Name == "unified" {
			want += "/init.scope"
		}
		if seen.at[h.Name] != want {
			t.Errorf("in %s at %q, want %q", h.Name, seen.at[h.Name], want)
		}
		if got := seen.owners[h.Name+" 0"]; got != "21080:21080" {
			t.Errorf("session 0 in %s is owned by %q", h.Name, got)
		}
	}
}

// A worker that cannot be run must not lock anybody out. The log names the
// program and says why, once: after such an open there is nothing to close.
func TestWorkerCannotBeRun(t *testing.T) {
	needMusl(t)
	for name, c := range map[string]struct {
		program string // in the worker's place; empty: none
		mode    os.FileMode
		logs    []string
	}{
		"missing":        {"", 0, cannotBeRun("No such file or directory")},
		"not executable": {"#!/bin/sh\n", 0o644, cannotBeRun("Permission denied")},
		"no program":     {"garbage", 0o755, cannotBeRun("Exec format error")},
		"another program": {"#!/bin/sh\necho hello >&3\n", 0o755, []string{
			"worker said: hello", "worker ended early with status 0; this session has no cgroups of its own",
			"worker said: hello", "worker ended early with status 0; what was begun is left for a later cleanup",
		}},
	} {
		for service, login := range loginsByRoot {
			t.Run(name+", "+service, func(t *testing.T) {
				testbed.Need(t, programOf(service))
				replaceWorker(t, c.program, c.mode)
				writeProbe(t)
				writeService(t, service, testbed.SessionLine(t, threeHierarchies))
				u := testbed.AddUser(t, "cglogwork", 21081)
				log := testbed.LogFromNow(t)
				wantNoSession(t, u, login(t, u))
				testbed.LogFromNow(t) // when all that was logged has been read
				if got := log.Ours(); !slices.Equal(got, c.logs) {
					t.Errorf("logged:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.logs, "\n"))
				}
			})
		}
	}
}

// cannotBeRun returns the line of an open; a close has nothing to do then.
func cannotBeRun(why string) []string {
	line := "worker " + worker + " could not be run: " + why + "; no session has cgroups of its own until that program is installed again"
	return []string{line}
}

// replaceWorker covers the worker for the length of the test.
func replaceWorker(t *testing.T, program string, mode os.FileMode) {
	t.Helper()
	dir := filepath.Dir(worker)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if program == "" {
		return
	}
	if err := os.WriteFile(worker, []byte(program), mode); err != nil {
		t.Fatal(err)
	}
}
