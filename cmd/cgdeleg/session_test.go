package main

import (
	"strings"
	"testing"
)

// open --dry-run says what open would do, also of a process that it would leave where
// it is.
func TestOpenDryRun(t *testing.T) {
	for name, test := range map[string]struct {
		machine, args    string
		wantOut, wantErr string // parts of
		not              string
	}{
		"in a session": {"no-systemd-hybrid", "--pid 190",
			"/sys/fs/cgroup/freezer/user/alice/0\n", "process 190 is already in session 0 of alice; nothing would be changed", "HIERARCHY"},
		"in a session, which has all that was asked for": {"no-systemd-hybrid", "--pid 190 -c freezer,memory",
			"/sys/fs/cgroup/memory/user/alice/0\n", "is already in session 0", "HIERARCHY"},
		"in a session, which lacks something": {"no-systemd-hybrid", "--pid 190 -c freezer,pids",
			"pids       make    /sys/fs/cgroup/pids/user/alice/N\n", "", "already"},
		"in a scope that was adopted": {"systemd-v2", "--pid 450",
			"/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope\n", "is already in session session-3.scope", "no session scope of this user"},
		"confined": {"slurm-v1", "--pid 701",
			"freezer           leave   confined by ", "no session would be opened", "make"},
		"a process that there is not": {"no-systemd-v2", "--pid 1234",
			"", "there is no process 1234", "HIERARCHY"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, _ := runOn(t, test.machine, nil, "open --dry-run --user alice "+test.args)
			if !strings.Contains(out, test.wantOut) || !strings.Contains(errOut, test.wantErr) || strings.Contains(out+errOut, test.not) {
				t.Errorf("out:\n%s\nerr:\n%s", out, errOut)
			}
		})
	}
}
