package logins

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestSuByRoot(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		args    []string
	}{
		"su":    {"su", []string{"su", "cglogsu", "-c", probe}},
		"su -l": {"su-l", []string{"su", "-l", "cglogsu", "-c", probe}},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, c.service, "su")
			u := testbed.AddUser(t, "cglogsu", 21000)
			repeat(t, []testbed.User{u}, func(t *testing.T) {
				wantFirst(t, u, run(t, root, c.args...))
			})
		})
	}
}

// su asks for the password on the terminal, and puts the login on it.
func TestSuByUser(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		args    []string
	}{
		"su":    {"su", []string{"su", "cglogto", "-c", probe}},
		"su -l": {"su-l", []string{"su", "-l", "cglogto", "-c", probe}},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, c.service, "su")
			from := testbed.AddUser(t, "cglogfrom", 21001)
			to := testbed.AddUser(t, "cglogto", 21002)
			repeat(t, []testbed.User{from, to}, func(t *testing.T) {
				c := onTerminal(t, from, c.args...)
				c.await("Password: ")
				c.enter(testbed.Password)
				wantFirst(t, to, c.finish())
			})
		})
	}
}
