package logins

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// makeService makes a cgroup as an init system does for a service, and returns how
// to put a process into it.
func makeService(t *testing.T, name string, hierarchies ...string) (adopt func(pid int)) {
	t.Helper()
	var dirs []string
	for _, h := range hierarchies {
		dir := filepath.Join(testbed.HierarchyNamed(t, h).Point, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			testbed.Eventually(t, dir+" is empty", func() bool { return unix.Rmdir(dir) == nil })
		})
		dirs = append(dirs, dir)
	}
	return func(pid int) {
		for _, dir := range dirs {
			writeValue(t, dir+"/cgroup.procs", fmt.Sprint(pid))
		}
	}
}

func writeValue(t *testing.T, file, value string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// A service under a limit that changes user: for a system account that is no
// login at all, for a person one that somebody confines.
func TestSuInServiceWithLimit(t *testing.T) {
	for _, test := range []struct {
		name, to string
		limit    string
		confined bool
	}{
		{"system account", "daemon", "268435456", false},
		{"system account, no limit", "daemon", "-1", false},
		{"person", "cglogservice", "268435456", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.to == "daemon" && testbed.Musl() {
				t.Skip("the Alpine-like root's daemon has no line in /etc/shadow, so that su lets nobody become daemon")
			}
			log := loggingService(t, "su-l", "su")
			u := testbed.AddUser(t, "cglogservice", 21080)
			if test.to == "daemon" {
				u = testbed.User{Name: "daemon", UID: 1, GID: 1}
			}
			memory := testbed.HierarchyNamed(t, "memory").Point + "/cgtest-service"
			adopt := makeService(t, "cgtest-service", chosen...)
			writeValue(t, memory+"/memory.limit_in_bytes", test.limit)
			inService, end := sleeper(t)
			adopt(inService)
			want := testbed.Placement(t, inService)
			end()
			enter := ""
			for _, h := range chosen {
				enter += "echo $$ >" + testbed.HierarchyNamed(t, h).Point + "/cgtest-service/cgroup.procs; "
			}
			seen := readProbe(t, run(t, root, "sh", "-ec", enter+"exec su -s /bin/sh - "+test.to+" -c "+probe))
			if seen.uid != fmt.Sprint(u.UID) {
				t.Errorf("the login is user %s", seen.uid)
			}
			if !maps.Equal(seen.at, want) {
				t.Errorf("the login is in %v, want %v", seen.at, want)
			}
			if len(seen.owners) > 0 {
				t.Errorf("cgroups were made: %v", seen.owners)
			}
			if test.confined {
				log.Want(`^user "cglogservice": confined by .*/memory/cgtest-service/memory.limit_in_bytes \(268435456\): the login stays there, without cgroups of its own`)
				if lines := log.Ours(); len(lines) != 1 {
					t.Errorf("log %q, want one line", lines)
				}
			} else {
				log.WantSilence()
			}
		})
	}
}

// sleeper starts a process of root's that sleeps.
func sleeper(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := command(t.Context(), root, "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

// Logins by an sshd that has a cgroup of its own, as with OpenRC: they get their
// sessions, and stay where they are if an administrator limits the service.
func TestSshdInService(t *testing.T) {
	for _, test := range []struct {
		name        string
		hierarchies []string
		limit       string // of memory
	}{
		{"tracked in one hierarchy", []string{"name=systemd"}, ""},
		{"in every chosen hierarchy, without limits", chosen, ""},
		{"with a limit", chosen, "1073741824"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := loggingService(t, "sshd", "/usr/sbin/sshd")
			u := testbed.AddUser(t, "cglogopenrc", 21081)
			adopt := makeService(t, "cgtest-sshd", test.hierarchies...)
			if test.limit != "" {
				writeValue(t, testbed.HierarchyNamed(t, "memory").Point+"/cgtest-sshd/memory.limit_in_bytes", test.limit)
			}
			server := sshd.Start(t, sshd.Options{})
			adopt(server.PID)
			outside := testbed.Placement(t, server.PID)
			login := server.Login(t, u.Name)
			output := login.Must(t, probe)
			if test.limit == "" {
				wantOwnSession(t, u, output, outside)
			} else {
				if seen := readProbe(t, output); !maps.Equal(seen.at, outside) || len(seen.owners) > 0 {
					t.Errorf("the login is in %v with cgroups %v, want %v", seen.at, seen.owners, outside)
				}
				log.Want(`confined by .*/memory/cgtest-sshd/memory.limit_in_bytes \(1073741824\)`)
			}
			_ = login.Close()
			testbed.WantNothingLeft(t, u.Name)
			if test.limit == "" {
				log.WantSilence()
			} else if lines := log.Ours(); len(lines) != 1 {
				t.Errorf("log %q, want one line", lines)
			}
		})
	}
}
