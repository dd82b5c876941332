package delegate

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// A number is free only if it is so everywhere, also where this session is not
// wanted: numbers of different hierarchies must mean the same session.
func TestLowestFree(t *testing.T) {
	for _, test := range []struct {
		host, dirName string
		want          int
	}{
		{"debian12-v1-hybrid", "alice", 1}, // between 0 and 2
		{"debian12-v1-hybrid", "_tasks", 0},
		{"debian12-v1-hybrid", "nobody", 0},
		{"openrc-v2", "alice", 2},
	} {
		m := recorded(test.host)
		o := &opening{OpenRequest: OpenRequest{Machine: m}, dirName: test.dirName, found: discover(t, m)}
		if got, err := o.lowestFree(); err != nil || got != test.want {
			t.Errorf("%s on %s: %d, %v; want %d", test.dirName, test.host, got, err, test.want)
		}
	}
}

// A machine on which nothing that was asked for is mounted: the login goes on,
// and the log says why there is no session.
func TestOpenWithNothingToMake(t *testing.T) {
	for _, test := range []struct {
		name, host, list string
		missing          []string
		unusable         []string
	}{
		{"unknown names", "openrc-hybrid", "nosuch,io", []string{"nosuch", "io"}, nil},
		// Nothing at all: what is there and cannot be used is the likely reason.
		{"mounts of another namespace", "docker-cgroupns-stale", "memory", []string{"memory"}, []string{"memory", "name=systemd"}},
		{"mount that shows another cgroup", "docker-no-cgroupns", "freezer", []string{"freezer"}, []string{"freezer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := hierarchy.ParseList(test.list)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := Open(OpenRequest{Machine: recorded(test.host), PID: 1, User: "alice", Controllers: list})
			if err != nil {
				t.Fatal(err)
			}
			if opened.Former != nil {
				t.Errorf("opened in %v", opened.Former)
			}
			var missing, unusable []string
			for _, w := range opened.Warnings {
				var m *MissingError
				var u *hierarchy.UnusableError
				switch {
				case errors.As(w, &m):
					missing = append(missing, m.Controllers...)
				case errors.As(w, &u):
					unusable = append(unusable, u.Hierarchy)
				default:
					t.Errorf("warning %v", w)
				}
			}
			if !slices.Equal(missing, test.missing) || !slices.Equal(unusable, test.unusable) {
				t.Errorf("missing %q, unusable %q", missing, unusable)
			}
		})
	}
}

// Only what was asked for is worth a warning, if there is something to make a
// session in.
func TestWarnAbout(t *testing.T) {
	unusable := func(name string) error { return &hierarchy.UnusableError{Hierarchy: name, Reason: "why"} }
	for _, test := range []struct {
		name    string
		asked   []string
		nothing bool
		want    int
	}{
		{"asked for", []string{"cpuacct"}, false, 1},
		{"not asked for", []string{"memory"}, false, 0},
		{"nothing else there", []string{"memory"}, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &opening{OpenRequest: OpenRequest{Controllers: hierarchy.List{Names: test.asked}}}
			o.warnAbout(nil, []error{unusable("cpu,cpuacct"), unusable("freezer")}, test.nothing)
			if len(o.warnings) != test.want {
				t.Errorf("%d warnings: %v", len(o.warnings), o.warnings)
			}
		})
	}
}

// The kernel's own list (cgroups(7), "Cgroup delegation"); kernels before 4.15
// have none.
func TestDelegateFiles(t *testing.T) {
	for host, want := range map[string][]string{
		"debian12-v1-hybrid":  {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
		"debian12-v2-systemd": {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
		"docker-no-cgroupns":  {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"},
		"elogind-v2":          {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
	} {
		if got := DelegateeFiles(recorded(host)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// What is there already is not written again, and one controller that cannot
// be enabled is one warning, not an end.
func TestEnable(t *testing.T) {
	m := cgroupfs.Recorded(files(t, map[string]string{"h/cgroup.subtree_control": "cpu memory\n"}))
	dir, err := m.OpenMount(cgroupfs.Mount{Point: "/h"})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	o := &opening{}
	if err := o.enable(dir, []string{"cpu", "memory"}); err != nil || o.warnings != nil {
		t.Errorf("%v, warnings %v", err, o.warnings)
	}
	content, err := dir.Read("cgroup.subtree_control")
	if err != nil || string(content) != "cpu memory\n" {
		t.Errorf("wrote what was enabled already: %q, %v", content, err)
	}
	if err := o.enable(dir, []string{"pids"}); err != nil || o.warnings != nil {
		t.Errorf("%v, warnings %v", err, o.warnings)
	}
	content, err = dir.Read("cgroup.subtree_control")
	if err != nil || string(content) != "+pidsemory\n" { // an ordinary file is not cut short
		t.Errorf("after pids: %q, %v", content, err)
	}
	o.warnings = []error{&EnableError{Controller: "io", Err: errors.New("before")}}
	if err := o.enable(dir, []string{"io"}); err != nil || len(o.warnings) != 1 {
		t.Errorf("%v, warnings %v", err, o.warnings)
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
			m := cgroupfs.Recorded(files(t, test.files))
			dir, err := m.OpenMount(cgroupfs.Mount{Point: "/h"})
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			o := &opening{}
			if err := o.enable(dir, []string{"cpu", "memory"}); err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, w := range o.warnings {
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
