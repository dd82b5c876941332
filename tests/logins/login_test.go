package logins

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// login starts the user's shell on the terminal; the commands are typed.
func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		args         []string
		authenticate func(*terminal)
	}{
		"-f": {[]string{"login", "-f", "cgloglogin"}, func(*terminal) {}},
		"password": {[]string{"login"}, func(c *terminal) {
			c.await("login: ")
			c.enter("cgloglogin")
			c.await("Password: ")
			c.enter(testbed.Password)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, "login", "login")
			u := testbed.AddUser(t, "cgloglogin", 21020)
			repeat(t, []testbed.User{u}, func(t *testing.T) {
				terminal := onTerminal(t, root, c.args...)
				c.authenticate(terminal)
				terminal.await(`\$ `)
				terminal.enter(probe)
				wantFirst(t, u, terminal.await("probe-end"))
				terminal.enter("exit")
				terminal.finish()
			})
		})
	}
}
