// Package table keeps docs/clients/table.md true: which cgroup each client was
// seen in on which machine, and which of its limits held. A test hands over what
// it saw; the machine's part of the file must say the same, and no more.
package table

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// updateEnv, set to 1, has the tests write what they saw instead of comparing.
const updateEnv = "CGDELEG_UPDATE"

// Here is the machine of the tests that use no virtual one.
const Here = "here"

// Row is what a test saw of a client.
type Row struct {
	Client  string // its command line, shortened
	Cgroup  string // of its processes; S is the session
	Limits  string // those that hold of what was asked for
	Freezes string // how it is frozen, if it can be
}

// notePrefix begins a scenario's note that is a row.
const notePrefix = "row: "

// ParseNotes returns the rows among a scenario's notes.
func ParseNotes(notes []string) (rows []Row, err error) {
	for _, note := range notes {
		text, ok := strings.CutPrefix(note, notePrefix)
		if !ok {
			continue
		}
		cells := strings.Split(text, " | ")
		if len(cells) != 4 {
			return nil, fmt.Errorf("row %q: want 4 cells", note)
		}
		rows = append(rows, Row{cells[0], cells[1], cells[2], cells[3]})
	}
	return rows, nil
}

// file guards the table against machines that end at the same time.
var file sync.Mutex

// Check fails the test unless the machine's part of the table has these rows, in
// this order. What a test saw that failed is not written.
func Check(t *testing.T, machine string, rows []Row) {
	t.Helper()
	file.Lock()
	defer file.Unlock()
	path := filepath.Join(testbed.Root(t), "docs/clients/table.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, got, after, err := cut(string(data), machine)
	if err != nil {
		t.Fatal(err)
	}
	want := format(rows)
	switch {
	case got == want:
	case os.Getenv(updateEnv) == "1" && !t.Failed():
		if err := os.WriteFile(path, []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what was seen (%s=1 writes it); it says of %s:\n%s\nseen:\n%s", path, updateEnv, machine, got, want)
	}
}

// Machines returns the machines that the table has.
func Machines(t *testing.T) (machines []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testbed.Root(t), "docs/clients/table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "<!-- machine: "); ok {
			name, _, _ = strings.Cut(name, " ")
			machines = append(machines, name)
		}
	}
	return machines
}

// cut finds the machine's rows: all lines from its mark to the next empty line.
func cut(text, machine string) (before, rows, after string, err error) {
	mark := "<!-- machine: " + machine + " -->\n"
	before, rest, ok := strings.Cut(text, mark)
	if !ok {
		return "", "", "", fmt.Errorf("the table has no %q", mark)
	}
	rows, after, ok = strings.Cut(rest, "\n\n")
	if ok {
		rows, after = rows+"\n", "\n"+after
	}
	return before + mark, rows, after, nil
}

func format(rows []Row) string {
	lines := []string{"| client | its cgroup | limits that hold | frozen by |", "| --- | --- | --- | --- |"}
	for _, r := range rows {
		cells := []string{"`" + r.Client + "`", r.Cgroup, r.Limits, r.Freezes}
		if strings.HasPrefix(r.Cgroup, "S") || strings.HasPrefix(r.Cgroup, "U/") {
			cells[1] = "`" + r.Cgroup + "`"
		}
		lines = append(lines, "| "+strings.Join(cells, " | ")+" |")
	}
	return strings.Join(lines, "\n") + "\n"
}
