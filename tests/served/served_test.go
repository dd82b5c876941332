// Package served tests the module where `cgdeleg serve` runs: what it does there, and
// that no login depends on it.
package served

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.MainUndisturbing(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

// login is an account with a service of the same name.
func login(t *testing.T, name string, uid int, options string) testbed.User {
	t.Helper()
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, name, uid)
	testbed.WriteService(t, name, testbed.SessionLine(t, threeHierarchies+options))
	return u
}

// session is the words of pamapp for a session of the user, and what the children of
// the application have cost in it.
func session(u testbed.User) string {
	return "start=" + u.Name + ":" + u.Name + " open cgroups close settle cgroups end usage"
}

// wantSession fails the test unless the application was in a session, and then where it
// had been.
func wantSession(t *testing.T, u testbed.User, a testbed.Answers) {
	t.Helper()
	a.Want(t, "open", "0")
	a.Want(t, "close", "0")
	freezer := testbed.HierarchyNamed(t, "freezer").Name
	outside := testbed.Placement(t, os.Getpid())[freezer]
	for i, got := range a.All("cgroups") {
		at := testbed.ParsePlacement(got)[freezer]
		isIn := strings.HasPrefix(at, "/user/"+u.Name+"/")
		if isIn != (i%2 == 0) || !isIn && at != outside {
			t.Errorf("answer %d: in %s", i, at)
		}
	}
}

// wantServed fails the test unless the application had no child, or had one.
func wantServed(t *testing.T, a testbed.Answers, isServed bool) {
	t.Helper()
	hadNone := a.One(t, "usage") == "0 0"
	if hadNone != isServed {
		t.Errorf("served: %v, want %v; children's page faults and processor time: %s", hadNone, isServed, a.One(t, "usage"))
	}
}

// The application has its session without any child, whether it waits for the close or
// not, and the log says what it says of a worker's.
func TestServed(t *testing.T) {
	for i, options := range []string{"", " close=wait"} {
		t.Run("options"+options, func(t *testing.T) {
			name := fmt.Sprintf("cgserved%d", i)
			u := login(t, name, 21900+i, options)
			debugs := login(t, name+"d", 21910+i, options+" debug")
			s := testbed.Serve(t)
			log := testbed.LogFromNow(t)
			a := testbed.RunApplication(t, session(u))
			wantSession(t, u, a)
			wantServed(t, a, true)
			log.WantSilence()
			a = testbed.RunApplication(t, session(debugs))
			wantServed(t, a, true)
			testbed.Eventually(t, "the close is done", func() bool { return len(testbed.Tree(debugs.Name)) == 0 })
			log.WantOnly(`^user "` + debugs.Name + `": session 0 (opened by "` + debugs.Name + `" in .*|closed and removed)$`)
			testbed.Eventually(t, "the close is done", func() bool { return len(testbed.Tree(u.Name)) == 0 })
			if said := s.Said(); said != "" {
				t.Errorf("the server said\n%s", said)
			}
		})
	}
}

// Many applications ask at once, of several users, and some wait for their closes: all are
// served or have a worker, each is where it was afterwards, and nothing is left.
func TestServedAtOnce(t *testing.T) {
	const each, rounds = 4, 15
	var users []testbed.User
	for i, options := range []string{"", " close=wait", " debug"} {
		users = append(users, login(t, fmt.Sprintf("cgonce%d", i), 21940+i, options))
	}
	s := testbed.Serve(t)
	var all []*testbed.Application
	for range each {
		for _, u := range users {
			script := fmt.Sprintf("pause repeat=%d { start=%[2]s:%[2]s open close settle end } cgroups", rounds, u.Name)
			all = append(all, testbed.LaunchApplication(t, script))
		}
	}
	for _, app := range all {
		app.Resume()
	}
	freezer := testbed.HierarchyNamed(t, "freezer").Name
	outside := testbed.Placement(t, os.Getpid())[freezer]
	for _, app := range all {
		if at := testbed.ParsePlacement(app.Finish().One(t, "cgroups"))[freezer]; at != outside {
			t.Errorf("an application is in %s afterwards", at)
		}
	}
	s.End(unix.SIGTERM)
	if strings.Contains(s.Said(), "DATA RACE") || strings.Contains(s.Said(), "panic") {
		t.Error(s.Said())
	}
}
