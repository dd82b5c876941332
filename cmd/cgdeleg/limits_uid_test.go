package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is applied to a user ID, and what is said of it.
func TestApplyRuleToUID(t *testing.T) {
	const (
		conf   = "etc/cgdeleg/limits.conf"
		states = "run/cgdeleg/limits/1000"
		passwd = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"
		hold   = "cgdeleg: some limits do not hold; see above"
	)
	for _, test := range []struct {
		name      string
		files     map[string]string
		rule      string // what is applied
		fail      error  // what comes of it
		applied   bool
		out, says string
	}{
		{"by name", map[string]string{conf: "alice user pids.max=5\n"}, "pids.max=5", nil, true, "user-1000.slice: TasksMax=5 (was 9)\n", ""},
		{"by group", map[string]string{conf: "@students user pids.max=6\n"}, "pids.max=6", nil, true, "user-1000.slice: TasksMax=6 (was 9)\n", ""},
		{"a line without limits", map[string]string{conf: "uid<2000 user -\n* user pids.max=6\n"}, "", nil, true, "", ""},
		{"a user whom the system does not know", map[string]string{conf: "uid=1000 user pids.max=7\n", "etc/passwd": ""}, "pids.max=7", nil, true, "user-1000.slice: TasksMax=7 (was 9)\n", ""},
		{"a mistake costs its line", map[string]string{conf: "alice user pids.max=x\n* user pids.max=7\n"}, "pids.max=7", nil, true, "user-1000.slice: TasksMax=7 (was 9)\n",
			"cgdeleg: /etc/cgdeleg/limits.conf:1:12: "},
		{"many mistakes", map[string]string{conf: strings.Repeat("x\n", 30)}, "", nil, true, "", "cgdeleg: 25 more lines of limits are ignored; cgdeleg limits check shows them"},
		{"groups that are not known", map[string]string{conf: "@students user pids.max=6\n* user pids.max=8\n", "etc/passwd": ""}, "pids.max=8", nil, true, "user-1000.slice: TasksMax=8 (was 9)\n", hold},
		{"groups that are not known, and limits that were set", map[string]string{conf: "@students user pids.max=6\n* user pids.max=8\n", "etc/passwd": "", states: "{}"}, "", nil, false, "",
			"cgdeleg: user-1000.slice: its limits stay as they are: "},
		{"a file that cannot be read, and limits that were set", map[string]string{conf + "/": "", states: "{}"}, "", nil, false, "", "its limits stay as they are: read /etc/cgdeleg/limits.conf: is a directory"},
		{"systemd refuses", map[string]string{conf: "alice user pids.max=5\n"}, "pids.max=5", errors.New("no\nbus"), true, "", `cgdeleg: no\nbus`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newLimitedMachine(t, "debian12-v2-systemd", "")
			files := map[string]string{"etc/passwd": passwd, "etc/group": "students:x:7:alice\n", machine.AbsentFile: "/etc/cgdeleg/limits.d\n"}
			for name, content := range test.files {
				files[name] = content
			}
			for name, content := range files {
				if strings.HasSuffix(name, "/") {
					name += "x"
				}
				m.write(filepath.Join(m.dir, name), content)
			}
			applied := false
			u := uidLimits{machine: machine.Recorded(m.dir), states: m.states, apply: func(_ context.Context, _ machine.Machine, who user.User, rule []limits.Limit, _ bool) (changes []sliceChange, err error) {
				applied = true
				if got := limitNames(rule); got != test.rule || who.Uid != 1000 {
					t.Errorf("applied %q to %v, want %q", got, who, test.rule)
				}
				if test.fail != nil {
					return nil, test.fail
				}
				properties, _ := limits.UnitProperties(rule)
				for _, p := range properties {
					changes = append(changes, sliceChange{Unit: sliceOf(who.Uid), Wanted: p, Before: "9"})
				}
				return changes, nil
			}}
			if !u.hasAny(1000) {
				t.Error("there is something to do")
			}
			var out, errOut strings.Builder
			cmd := &cobra.Command{}
			cmd.SetOut(&out)
			cmd.SetErr(&errOut)
			if err := u.applyRule(t.Context(), 1000).print(cmd); err != nil {
				errOut.WriteString("cgdeleg: " + err.Error() + "\n")
			}
			if applied != test.applied || out.String() != test.out || !strings.Contains(errOut.String(), test.says) || test.says == "" && errOut.Len() > 0 {
				t.Errorf("applied %v, said %q and %q, want %v, %q and %q", applied, out.String(), errOut.String(), test.applied, test.out, test.says)
			}
		})
	}
}

func TestNothingToApply(t *testing.T) {
	m := newLimitedMachine(t, "debian12-v2-systemd", "")
	m.write(filepath.Join(m.dir, machine.AbsentFile), "/etc/cgdeleg\n")
	if (uidLimits{machine: machine.Recorded(m.dir), states: m.states}).hasAny(1000) {
		t.Error("there are no files, and nothing was set")
	}
}
