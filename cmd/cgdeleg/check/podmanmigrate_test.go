package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// After a change of subordinate IDs podman goes on in its old user namespace, if it has one.
func TestMigrated(t *testing.T) {
	const pause, program = "/run/user/1000/libpod/tmp/pause.pid", "podman system migrate"
	none := all(usual, write("/etc/subuid", ""), write("/etc/subgid", ""))
	for name, test := range map[string]struct {
		change            change
		clients           string
		isWord, isCommand bool
	}{
		"podman has run":     {all(none, write(pause, "77")), bookworm, true, true},
		"podman has not run": {all(none, write(pause, "77"), lacking(pause)), bookworm, false, false},
		"nobody knows":       {none, bookworm, true, false},
		"no podman":          {all(none, write(pause, "77")), "runc 1.1.5+ds1", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, v2, test.change), System: system{clients: test.clients, known: true, delegated: true}}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			i := slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == "subid" })
			fix := findings[i].Fix
			if findings[i].Status != check.Failed && findings[i].Status != check.Warning || fix == nil || len(fix.Commands) == 0 {
				t.Fatalf("%s: %s, fixed by %v", findings[i].Status, findings[i].Says, fix)
			}
			isCommand := fix.Commands[len(fix.Commands)-1].String() == program
			if isWord := strings.Contains(fix.Text, program); isWord != test.isWord || isCommand != test.isCommand {
				t.Errorf("it is fixed by %q and %v", fix.Text, fix.Commands)
			}
		})
	}
}
