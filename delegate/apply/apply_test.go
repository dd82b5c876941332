package apply

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// A number is free only if it is so everywhere, also where this session is not
// wanted: numbers of different hierarchies must mean the same session.
func TestPickNumber(t *testing.T) {
	for _, test := range []struct {
		machine, user string
		want          int
	}{
		{"debian12-v1-hybrid", "alice", 1}, // between 0 and 2
		{"debian12-v1-hybrid", "_tasks", 0},
		{"debian12-v1-hybrid", "nobody", 0},
		{"openrc-v2", "alice", 2},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("../testdata/"+test.machine)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, machine.StatFile), nil, 0o644); err != nil { // what is not there was absent
			t.Fatal(err)
		}
		set, err := hierarchy.Find(machine.Recorded(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		a := &application{Request: Request{Set: set, User: test.user}}
		if err := a.pickNumber(); err != nil || a.id.Number != test.want {
			t.Errorf("%s on %s: %d, %v; want %d", test.user, test.machine, a.id.Number, err, test.want)
		}
		if !slices.Equal(a.taken, layout.Numbers(set, test.user)) {
			t.Errorf("%s on %s: taken are %v", test.user, test.machine, a.taken)
		}
	}
}
