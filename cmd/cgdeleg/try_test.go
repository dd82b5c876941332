package main

import (
	"bytes"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
)

// What a login that was tried comes to, and its screen.
func TestTryText(t *testing.T) {
	success := &trial.Answer{Result: 0, Text: "Success"}
	session := func(hierarchy string, limited ...string) trial.Place {
		return trial.Place{Hierarchy: hierarchy, Cgroup: "/user/alice/0", Session: "user/alice/0", Directory: "/nosuch/" + hierarchy, Owner: 4242, Entered: true, Limited: limited}
	}
	root := trial.Place{Hierarchy: "pids", Cgroup: "/", Directory: "/sys/fs/cgroup/pids", Owner: 0, Error: "no hierarchy is delegated to this process"}
	for _, test := range []struct {
		name    string
		outcome trial.Outcome
		isWell  bool
	}{
		{"well", trial.Outcome{Open: success, Close: success, Places: []trial.Place{session("freezer"), session("memory", "memory"), root},
			Log: []trial.Line{{Priority: 6, Text: "pam_unix(sshd:session): session opened for user alice"}}}, true},
		{"no-limits", trial.Outcome{Open: success, Close: success, Places: []trial.Place{session("freezer"), root}}, true},
		{"scope", trial.Outcome{Open: success, Close: success, Places: []trial.Place{
			{Hierarchy: "unified", Cgroup: "/user.slice/user-4242.slice/session-1.scope", Owner: 4242, Entered: true, Limited: []string{"memory", "pids"}, Unlimited: []string{"cpu"}}}}, true},
		{"nothing", trial.Outcome{Open: success, Close: success, Places: []trial.Place{root}}, false},
		{"unusable", trial.Outcome{Open: success, Close: success, Places: []trial.Place{session("freezer"),
			{Hierarchy: "memory", Cgroup: "/user/alice/0", Session: "user/alice/0", Owner: 0, Error: "no hierarchy is delegated to this process"},
			{Hierarchy: "unified", Cgroup: "/a", Owner: 4242}}}, false},
		{"refused", trial.Outcome{Open: &trial.Answer{Result: 14, Text: "Cannot make/remove an entry for the specified session"},
			Log: []trial.Line{{Priority: 3, Text: "pam_x: a \x1b[2J line"}}}, false},
		{"no-answer", trial.Outcome{Errors: []string{"the login did not end in time: 1m0s"}}, false},
		{"not-run", trial.Outcome{Open: success, Close: success, Errors: []string{"/usr/bin/cgdeleg"}}, false},
		{"not-closed", trial.Outcome{Open: success, Close: &trial.Answer{Result: 14, Text: "no"}, Places: []trial.Place{session("freezer")}}, false},
		{"left", trial.Outcome{Open: success, Close: success, Places: []trial.Place{session("freezer")}, Left: []string{"/sys/fs/cgroup/freezer/user/alice/0"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := judge(tryOptions{user: "alice", service: "sshd"}, 4242, &test.outcome)
			if result.isWell != test.isWell {
				t.Errorf("it is well: %v, want %v", result.isWell, test.isWell)
			}
			var out bytes.Buffer
			if err := printf(&out, "%s", tryText(screen{width: 80}, &test.outcome, result)); err != nil {
				t.Fatal(err)
			}
			requireGolden(t, "try-"+test.name, out.String())
		})
	}
}
