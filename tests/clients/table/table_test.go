package table

import (
	"reflect"
	"testing"
)

func TestParseNotes(t *testing.T) {
	got, err := ParseNotes([]string{"a note", "row: runc | S/c1 | memory pids | runc pause"})
	want := []Row{{"runc", "S/c1", "memory pids", "runc pause"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseNotes([]string{"row: runc | S/c1"}); err == nil {
		t.Error("a row with two cells is no error")
	}
}

// What is written for a machine is what is found of it, and nothing else changes.
func TestCut(t *testing.T) {
	const text = "# Head\n<!-- machine: a -->\n| old |\n\n<!-- machine: b -->\n| other |\n"
	for machine, old := range map[string]string{"a": "| old |\n", "b": "| other |\n"} {
		before, rows, after, err := cut(text, machine)
		if err != nil || rows != old || before+rows+after != text {
			t.Errorf("%s: %q, %q, %q, %v", machine, before, rows, after, err)
		}
		wrote := before + format([]Row{{"c", "S/c1", "memory", "-"}}) + after
		if _, rows, _, err := cut(wrote, machine); err != nil || rows != format([]Row{{"c", "S/c1", "memory", "-"}}) {
			t.Errorf("%s: %q, %v", machine, rows, err)
		}
	}
	if _, _, _, err := cut(text, "c"); err == nil {
		t.Error("a machine that is not there is no error")
	}
}
