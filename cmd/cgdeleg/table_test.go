package main

import (
	"bytes"
	"strings"
	"testing"
)

// A table fits into the terminal: its last column is broken at blanks, and the widest behind
// slashes.
func TestTableFits(t *testing.T) {
	for name, test := range map[string]struct {
		width int
		want  string
	}{
		"no terminal":            {0, "A   CGROUP                      LIMITS\nab  /process/0123456789abcdef0  memory pids not cpu\n"},
		"some columns less":      {46, "A   CGROUP                    LIMITS\nab  /process/                 memory pids not\n    0123456789abcdef0         cpu\n"},
		"as narrow as it can be": {28, "A   CGROUP            LIMITS\nab  /process/         memory\n    0123456789abcdef  pids\n    0                 not\n                      cpu\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			table := newTable(screen{Writer: &out, width: test.width}, "A", "CGROUP", "LIMITS")
			table.row("ab", "/process/0123456789abcdef0", "memory pids not cpu")
			if err := table.flush(); err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(out.String()) != strings.TrimSpace(test.want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), test.want)
			}
		})
	}
}
