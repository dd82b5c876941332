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

// A list has a line for each row: texts are cut, and numbers are not. Where that is not
// enough a row has more lines; for programs it is written whole.
func TestListFits(t *testing.T) {
	for name, test := range map[string]struct {
		width         int
		isUTF8, isRaw bool
		want          string
	}{
		"no terminal": {0, true, false, "USER                 MEMORY      CONTROLLERS\nalice-with-a-long-n  1234567890  memory pids cpu\nbob                  -           -\n"},
		"wide enough": {48, true, false, "USER                 MEMORY      CONTROLLERS\nalice-with-a-long-n  1234567890  memory pids cpu\nbob                  -           -\n"},
		"narrow":      {40, true, false, "USER           MEMORY      CONTROLLERS\nalice-with-a…  1234567890  memory pids …\nbob            -           -\n"},
		"ASCII":       {40, false, false, "USER           MEMORY      CONTROLLERS\nalice-with...  1234567890  memory pid...\nbob            -           -\n"},
		"too narrow":  {24, true, false, "USER\n    MEMORY\n    CONTROLLERS\nalice-with-a-long-n\n    1234567890\n    memory pids cpu\nbob\n    -\n    -\n"},
		"two letters": {6, true, false, "U…  M…\n    C…\na…  1…\n    m…\nb…  -\n    -\n"},
		"raw":         {24, true, true, "USER MEMORY CONTROLLERS\nalice-with-a-long-n 1234567890 memory\\x20pids\\x20cpu\nbob - -\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			table := newTable(screen{Writer: &out, width: test.width, utf8: test.isUTF8})
			table.isList, table.isRaw, table.isText = true, test.isRaw, []bool{true, false, true}
			table.row("USER", "MEMORY", "CONTROLLERS")
			table.row("alice-with-a-long-n", "1234567890", "memory pids cpu")
			table.row("bob", "-", "-")
			if err := table.flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), test.want)
			}
		})
	}
}
