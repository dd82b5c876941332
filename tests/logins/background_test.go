package logins

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// leaveBehind is a command line that outlives its login, and says its PID.
const leaveBehind = "setsid nohup sleep 600 </dev/null >/dev/null 2>&1 & echo asleep $!"

// What a user leaves running keeps its session until it has ended, and the
// login after that removes it.
func TestProcessOutlivesLogin(t *testing.T) {
	for name, application := range map[string]func(*testing.T, testbed.User) func(command string) string{
		"su": func(t *testing.T, u testbed.User) func(string) string {
			return func(command string) string { return run(t, root, "su", u.Name, "-c", command) }
		},
		"sshd": func(t *testing.T, u testbed.User) func(string) string {
			server := sshd.Start(t, sshd.Options{})
			return func(command string) string {
				login := server.Login(t, u.Name)
				defer login.Logout()
				return login.Must(t, command)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, name, "su", "/usr/sbin/sshd")
			u := testbed.AddUser(t, "cglogback", 21060)
			login := application(t, u)

			pid := pidOf(t, login(leaveBehind))
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			wantSessions(t, u, "0")
			if at := testbed.Placement(t, pid)["freezer"]; at != "/user/"+u.Name+"/0" {
				t.Errorf("the process that goes on is in %s", at)
			}
			if n := wantOwnSession(t, u, login(probe), here(t)); n != 1 {
				t.Errorf("session number %d beside a living session 0", n)
			}
			wantSessions(t, u, "0")

			end(t, u, pid)
			output := login(probe)
			n := wantOwnSession(t, u, output, here(t))
			for session, owner := range readProbe(t, output).owners {
				if !strings.HasSuffix(session, fmt.Sprintf(" %d", n)) {
					t.Errorf("in session %d, and there still is %s of %s", n, session, owner)
				}
			}
			wantSessions(t, u)
		})
	}
}

func pidOf(t *testing.T, output string) int {
	t.Helper()
	_, number, _ := strings.Cut(output, "asleep ")
	pid, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		t.Fatalf("no process was left behind:\n%s", output)
	}
	return pid
}

// wantSessions fails the test unless the user has these sessions in the chosen
// hierarchies, and none elsewhere.
func wantSessions(t *testing.T, u testbed.User, want ...string) {
	t.Helper()
	testbed.AwaitDetachedWorkers(t)
	for _, h := range testbed.Hierarchies() {
		wantHere := want
		if !slices.Contains(chosen, h.Name) {
			wantHere = nil
		}
		if got := testbed.Sessions(h, u.Name); !slices.Equal(got, wantHere) {
			t.Errorf("%s has sessions %v of %s, want %v", h.Name, got, u.Name, wantHere)
		}
	}
}

// end kills the process and waits until the kernel has taken it out of session
// 0.
func end(t *testing.T, u testbed.User, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, name := range chosen {
		procs := filepath.Join(testbed.HierarchyNamed(t, name).Point, "user", u.Name, "0", "cgroup.procs")
		testbed.Eventually(t, procs+" is empty", func() bool {
			data, err := os.ReadFile(procs)
			return err == nil && len(data) == 0
		})
	}
}
