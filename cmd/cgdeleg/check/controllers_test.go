package check

import (
	"strings"
	"testing"
)

// One fix has all that is kept at a place: not the first alone, nor without what is lacking
// for another reason too.
func TestKept(t *testing.T) {
	for _, test := range []struct{ list, controller, want string }{
		{"cpu", "pids", "memory pids"},
		{"cpu memory", "pids", "pids"},
		{"", "memory", "cpu memory pids"},
		{"cpu memory pids", "io", "io"},
	} {
		if got := strings.Join(notIn(test.list, test.controller), " "); got != test.want {
			t.Errorf("%q without %s: got %q, want %q", test.list, test.controller, got, test.want)
		}
	}
	f := withFiles(t, map[string]string{"c/cgroup.controllers": "cpu pids\n", "c/cgroup.subtree_control": "\n"})
	if got := strings.Join(f.keptAt("pids", "/c"), " "); got != "cpu pids" {
		t.Errorf("at a cgroup without memory: got %q", got)
	}
}
