package logins

import (
	"fmt"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// sudoers lets the user become anybody without a password.
func sudoers(t *testing.T, by testbed.User, defaults string) {
	t.Helper()
	writeFile(t, "/etc/sudoers.d/cglog", 0o440, "Defaults "+defaults, by.Name+" ALL=(ALL:ALL) NOPASSWD: ALL")
}

// sudo starts other processes with use_pty than without, and does more in its
// event loop when the command's output comes from a terminal.
func TestSudo(t *testing.T) {
	for _, defaults := range []string{"use_pty", "!use_pty"} {
		for _, byRoot := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, by root: %v", defaults, byRoot), func(t *testing.T) {
				service(t, "sudo", "sudo")
				by := root
				if !byRoot {
					by = testbed.AddUser(t, "cglogfrom", 21010)
				}
				to := testbed.AddUser(t, "cglogto", 21011)
				sudoers(t, by, defaults)
				repeat(t, []testbed.User{to}, func(t *testing.T) {
					wantFirst(t, to, onTerminal(t, by, "sudo", "-n", "-u", to.Name, probe).finish())
				})
			})
		}
	}
}

func TestSudoWithoutTerminal(t *testing.T) {
	service(t, "sudo", "sudo")
	to := testbed.AddUser(t, "cglogto", 21012)
	sudoers(t, root, "use_pty")
	repeat(t, []testbed.User{to}, func(t *testing.T) {
		wantFirst(t, to, run(t, root, "sudo", "-n", "-u", to.Name, probe))
	})
}

// A child of the module that ends at a bad moment, or a signal on a thread that
// sudo does not know of, leaves sudo waiting for ever: 12 of 200 times with the
// Go runtime in the application.
func TestSudoNeverHangs(t *testing.T) {
	service(t, "sudo", "sudo")
	from := testbed.AddUser(t, "cglogfrom", 21013)
	to := testbed.AddUser(t, "cglogto", 21014)
	sudoers(t, from, "use_pty")
	for round := range 200 {
		c := onTerminal(t, from, "sudo", "-n", "-u", to.Name, probe)
		if err := c.outcome(); err != nil {
			t.Fatalf("sudo, round %d: %v", round+1, err)
		}
		wantFirst(t, to, c.text())
		testbed.WantNothingLeft(t, to.Name) // nobody waits for the logout
	}
}
