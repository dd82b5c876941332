package logins

import (
	"maps"
	"strconv"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// An administrator's mistake must not lock anybody out: the login is as if
// there were no module. This is also what the other tests would see of a module
// that does nothing.
func TestLoginWithoutModule(t *testing.T) {
	for mistake, c := range map[string]struct {
		line func(*testing.T) string
		logs string // by the module
	}{
		"missing": {func(*testing.T) string { return "session optional /nonexistent.so" }, ""},
		"-c all,x": {
			func(t *testing.T) string { return testbed.SessionLine(t, "-c all,x") },
			"all.*no cgroups of its own",
		},
		"no such controllers": {
			func(t *testing.T) string { return testbed.SessionLine(t, "-c nosuch") },
			"nosuch",
		},
	} {
		for service, login := range loginsByRoot {
			t.Run(service+", "+mistake, func(t *testing.T) {
				testbed.Need(t, programOf(service))
				writeProbe(t)
				writeService(t, service, c.line(t))
				u := testbed.AddUser(t, "cglogplain", 21070)
				log := testbed.LogFromNow(t)
				wantNoSession(t, u, login(t, u))
				if c.logs == "" {
					log.WantSilence()
				} else {
					log.Want(c.logs)
				}
			})
		}
	}
}

// loginsByRoot are the services, and how root logs a user in by each to run the
// probe.
var loginsByRoot = map[string]func(*testing.T, testbed.User) string{
	"su":   func(t *testing.T, u testbed.User) string { return run(t, root, "su", u.Name, "-c", probe) },
	"sudo": func(t *testing.T, u testbed.User) string { return run(t, root, "sudo", "-n", "-u", u.Name, probe) },
	"login": func(t *testing.T, u testbed.User) string {
		terminal := onTerminal(t, root, "login", "-f", u.Name)
		terminal.await(`\$ `)
		terminal.enter(probe + "; exit")
		return terminal.finish()
	},
	"sshd": func(t *testing.T, u testbed.User) string {
		return sshd.Start(t, sshd.Options{}).Login(t, u.Name).Must(t, probe)
	},
}

func programOf(service string) string {
	if service == "sshd" {
		return "/usr/sbin/sshd"
	}
	return service
}

func wantNoSession(t *testing.T, u testbed.User, output string) {
	t.Helper()
	seen := readProbe(t, output)
	if want := strconv.Itoa(u.UID); seen.uid != want {
		t.Errorf("the login is user %s, want %s", seen.uid, want)
	}
	if !maps.Equal(seen.at, here(t)) {
		t.Errorf("the login is in %v, want %v", seen.at, here(t))
	}
	if len(seen.owners) > 0 {
		t.Errorf("cgroups were made: %v", seen.owners)
	}
}
