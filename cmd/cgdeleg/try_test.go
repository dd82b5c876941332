package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
)

// What a login that was tried comes to, and its screen.
func TestTryText(t *testing.T) {
	success := &trial.Answer{Result: 0, Text: "Success"}
	place := func(hierarchy, cgroup string, owner int, sub trial.Subgroup) trial.Place {
		p := trial.Place{Hierarchy: hierarchy, Cgroup: cgroup, Directory: "/nosuch/" + hierarchy, Owner: owner, IsNew: true, Subgroup: sub}
		if strings.HasPrefix(cgroup, "/user/") {
			p.Session = cgroup[1:]
		}
		return p
	}
	session := func(hierarchy string, limited ...string) trial.Place {
		return place(hierarchy, "/user/alice/0", 4242, trial.Subgroup{Entered: true, Limited: limited})
	}
	root := place("pids", "/", 0, trial.Subgroup{Error: "no hierarchy is delegated to this process"})
	root.IsNew = false
	before := session("freezer")
	before.IsNew = false
	opened := func(places ...trial.Place) trial.Outcome {
		return trial.Outcome{Open: success, Close: success, Places: places, HasTried: true}
	}
	logged, left, notClosed := opened(session("freezer"), session("memory", "memory"), root), opened(session("freezer")), opened(session("freezer"))
	logged.Log = []trial.Line{{Priority: 6, Text: "pam_unix(sshd:session): session opened for user alice"}}
	left.Left = []string{"/sys/fs/cgroup/freezer/user/alice/0"}
	notClosed.Close = &trial.Answer{Result: 14, Text: "no"}
	for _, test := range []struct {
		name    string
		outcome trial.Outcome
		code    int
	}{
		{"well", logged, 0},
		{"no-limits", opened(session("freezer"), root), 0},
		{"scope", opened(place("unified", "/user.slice/user-4242.slice/session-1.scope", 4242, trial.Subgroup{Entered: true, Limited: []string{"memory", "pids"}, Unlimited: []string{"cpu"}})), 0},
		{"nothing", opened(root), 1},
		{"before", opened(before, root), 1},
		{"unusable", opened(session("freezer"), place("memory", "/user/alice/0", 0, trial.Subgroup{Error: "no hierarchy is delegated to this process"}), place("unified", "/a", 4242, trial.Subgroup{})), 1},
		{"refused", trial.Outcome{Open: &trial.Answer{Result: 14, Text: "Cannot make/remove an entry for the specified session"},
			Log: []trial.Line{{Priority: 3, Text: "pam_x: a \x1b[2J line"}}}, 1},
		{"no-answer", trial.Outcome{Errors: []string{"the login did not end in time: 1m0s"}}, 3},
		{"not-run", trial.Outcome{Open: success, Close: success, Errors: []string{"the trial in the session was killed: killed"}}, 3},
		{"not-closed", notClosed, 1},
		{"left", left, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := judge(tryOptions{user: "alice", service: "sshd"}, 4242, &test.outcome)
			if result.code != test.code {
				t.Errorf("exit code %d, want %d", result.code, test.code)
			}
			var out bytes.Buffer
			if err := printf(&out, "%s", tryText(screen{width: 80}, &test.outcome, result)); err != nil {
				t.Fatal(err)
			}
			requireGolden(t, "try-"+test.name, out.String())
		})
	}
}
