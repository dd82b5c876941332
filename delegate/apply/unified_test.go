package apply

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is there already is not written again, and one controller that cannot
// be enabled is one warning, not an end.
func TestEnable(t *testing.T) {
	m := machine.Recorded(files(t, map[string]string{"h/cgroup.subtree_control": "cpu memory\n"}))
	dir, err := cgroupfs.OpenMount(m, cgroupfs.Mount{Point: "/h"})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	a := &application{}
	if err := a.enable(dir, []string{"cpu", "memory"}); err != nil || a.warnings != nil {
		t.Errorf("%v, warnings %v", err, a.warnings)
	}
	content, err := dir.Read("cgroup.subtree_control")
	if err != nil || string(content) != "cpu memory\n" {
		t.Errorf("wrote what was enabled already: %q, %v", content, err)
	}
	if err := a.enable(dir, []string{"pids"}); err != nil || a.warnings != nil {
		t.Errorf("%v, warnings %v", err, a.warnings)
	}
	content, err = dir.Read("cgroup.subtree_control")
	if err != nil || string(content) != "+pidsemory\n" { // an ordinary file is not cut short
		t.Errorf("after pids: %q, %v", content, err)
	}
	a.warnings = []error{&EnableError{Controller: "io", Err: errors.New("before")}}
	if err := a.enable(dir, []string{"io"}); err != nil || len(a.warnings) != 1 {
		t.Errorf("%v, warnings %v", err, a.warnings)
	}
}

// In a cgroup that has processes nothing is enabled: what the kernel would let
// through there makes the children uninhabitable. Only the real root can have
// both.
func TestEnableBesideProcesses(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   map[string]string
		written string
		left    []string
	}{
		{"processes", map[string]string{"h/cgroup.procs": "1\n", "h/cgroup.events": "populated 1\n"}, "\n", []string{"cpu", "memory"}},
		{"processes of another namespace", map[string]string{"h/cgroup.procs": "0\n", "h/cgroup.events": "populated 1\n"}, "\n", []string{"cpu", "memory"}},
		{"only children have some", map[string]string{"h/cgroup.procs": "", "h/cgroup.events": "populated 1\n"}, "+memory", nil},
		{"the real root", map[string]string{"h/cgroup.procs": "1\n"}, "+memory", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.files["h/cgroup.subtree_control"] = "\n"
			m := machine.Recorded(files(t, test.files))
			dir, err := cgroupfs.OpenMount(m, cgroupfs.Mount{Point: "/h"})
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			a := &application{}
			if err := a.enable(dir, []string{"cpu", "memory"}); err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, w := range a.warnings {
				var e *EnableError
				if !errors.As(w, &e) || !errors.Is(e, unix.EBUSY) {
					t.Fatalf("warning %v", w)
				}
				left = append(left, e.Controller)
			}
			if !slices.Equal(left, test.left) {
				t.Errorf("left out %q, want %q", left, test.left)
			}
			written, err := dir.Read("cgroup.subtree_control")
			if err != nil || string(written) != test.written {
				t.Errorf("cgroup.subtree_control %q, %v; want %q", written, err, test.written)
			}
		})
	}
}
