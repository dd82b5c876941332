package main

import (
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// A terminal's lines end between words, and go on in the same column; what is typed is
// left whole. Where there is no terminal all lines are.
func TestLinesOfATerminal(t *testing.T) {
	finding := check.Finding{Check: check.ByName("session"), Result: check.Result{
		Status: check.Failed, Says: strings.Repeat("word ", 19) + "last", Fix: &check.Fix{
			Text: "say\x1b it " + strings.Repeat("again ", 15) + "please", Commands: []check.Command{{Args: []string{strings.Repeat("x", 100)}}},
		},
	}}
	for _, test := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, `FAILED   session  ` + strings.Repeat("word ", 19) + `last
         fix: say\x1b it ` + strings.Repeat("again ", 15) + `please
           ` + strings.Repeat("x", 100) + "\n"},
		{"80 columns", 80, `FAILED   session  ` + strings.TrimSpace(strings.Repeat("word ", 12)) + `
                  ` + strings.Repeat("word ", 7) + `last
         fix: say\x1b it ` + strings.TrimSpace(strings.Repeat("again ", 9)) + `
              ` + strings.Repeat("again ", 6) + `please
           ` + strings.Repeat("x", 100) + "\n"},
		{"too narrow for that", 50, `FAILED   session  ` + strings.Repeat("word ", 19) + `last
         fix: say\x1b it ` + strings.Repeat("again ", 15) + `please
           ` + strings.Repeat("x", 100) + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			screen{width: test.width}.write(&out, finding, len(finding.Name))
			if out.String() != test.want {
				t.Errorf("got\n%s, want\n%s", out.String(), test.want)
			}
		})
	}
}

// Evidence that is wider than the terminal is broken behind a part of a path or of a list,
// and goes on farther to the right.
func TestEvidenceOnATerminal(t *testing.T) {
	finding := check.Finding{Check: check.ByName("controllers"), Result: check.Result{Status: check.Warning, Says: "few", Evidence: []check.Evidence{
		{Path: "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope/cgroup.controllers", Value: "cpu pids"},
		{Path: "/proc/cmdline", Value: "two  blanks"},
	}}}
	const want = `warning  controllers  few
         /sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope/
           cgroup.controllers: cpu pids
         /proc/cmdline: two  blanks
`
	var out strings.Builder
	screen{width: 80}.write(&out, finding, len(finding.Name))
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", out.String(), want)
	}
}
