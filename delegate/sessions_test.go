package delegate

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

func TestSessions(t *testing.T) {
	for _, test := range []struct {
		host     string
		want     []string // user, number, hierarchies with PIDs, processes
		unusable int
	}{
		{"debian12-v1-hybrid", []string{
			"alice 0 name=systemd[4711 4712] freezer[4712 4711] memory[4711 4712] unified[4711 4712] 2",
			"alice 2 freezer[] memory[] 0",
			"tasks 1 freezer[] memory[815] 1", // by its name, not its directory's
		}, 0},
		{"openrc-v2", []string{"alice 0 unified[141 156] 2", "alice 1 unified[] 0"}, 0},
		{"ubuntu1604-v1-systemd", nil, 0},
		{"docker-cgroupns-stale", nil, 2},
	} {
		t.Run(test.host, func(t *testing.T) {
			sessions, unusable, err := Sessions(recorded(test.host))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range sessions {
				line := fmt.Sprintf("%s %d", s.User, s.Number)
				parts := s.Parts
				for _, p := range parts {
					line += fmt.Sprintf(" %s%v", p.Hierarchy, p.Processes)
				}
				got = append(got, fmt.Sprintf("%s %d", line, s.Processes()))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if len(unusable) != test.unusable {
				t.Errorf("unusable: %v", unusable)
			}
		})
	}
}

func TestSessionPaths(t *testing.T) {
	sessions, _, err := Sessions(recorded("debian12-v1-hybrid"))
	if err != nil {
		t.Fatal(err)
	}
	last := sessions[len(sessions)-1]
	var st unix.Stat_t
	if err := unix.Stat("testdata/debian12-v1-hybrid/sys/fs/cgroup/freezer/user/_tasks/1", &st); err != nil {
		t.Fatal(err)
	}
	for _, p := range last.Parts {
		if p.Path != "/user/_tasks/1" {
			t.Errorf("%s: path %q", p.Hierarchy, p.Path)
		}
		if p.UID != int(st.Uid) || p.GID != int(st.Gid) { // whose checkout this is
			t.Errorf("%s: owner %d:%d", p.Hierarchy, p.UID, p.GID)
		}
	}
}

func TestSessionsFails(t *testing.T) {
	var parse *hierarchy.ParseError
	m := cgroupfs.Recorded(files(t, map[string]string{"proc/self/mountinfo": "garbage\n"}))
	if _, _, err := Sessions(m); !errors.As(err, &parse) {
		t.Errorf("got %v", err)
	}
}

// A dry run removes nothing and needs no lock.
func TestSweepDryRun(t *testing.T) {
	noLock := Lock{Dir: "/proc/nosuch/lock"}
	for _, test := range []struct {
		name, host, user string
		want             map[string]bool // dead
	}{
		// alice's session 0 has no process in freezer itself, but below.
		{"all users", "debian12-v1-hybrid", "", map[string]bool{"alice 0": false, "alice 2": true, "tasks 1": false}},
		{"one user", "debian12-v1-hybrid", "alice", map[string]bool{"alice 0": false, "alice 2": true}},
		{"user with an escaped name", "debian12-v1-hybrid", "tasks", map[string]bool{"tasks 1": false}},
		{"user without sessions", "debian12-v1-hybrid", "nobody", map[string]bool{}},
		{"v2", "openrc-v2", "", map[string]bool{"alice 0": false, "alice 1": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			swept, err := Sweep(SweepRequest{Machine: recorded(test.host), User: test.user, DryRun: true, Lock: noLock})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range swept {
				key := fmt.Sprintf("%s %d", s.User, s.Number)
				dead, ok := test.want[key]
				if !ok || dead != (s.Left == nil) || !dead && !errors.Is(s.Left, unix.EBUSY) {
					t.Errorf("%s: left %v", key, s.Left)
				}
			}
			if len(swept) != len(test.want) {
				t.Errorf("%d sessions, want %d", len(swept), len(test.want))
			}
		})
	}
	t.Run("bad user name", func(t *testing.T) {
		var name *NameError
		if _, err := Sweep(SweepRequest{Machine: recorded("openrc-v2"), User: "..", DryRun: true}); !errors.As(err, &name) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without a lock nothing is swept", func(t *testing.T) {
		var lock *LockError
		if _, err := Sweep(SweepRequest{Machine: recorded("openrc-v2"), Lock: noLock}); !errors.As(err, &lock) {
			t.Errorf("got %v", err)
		}
	})
}

// A session that is left is left for a reason that names the hierarchy, for
// cgdeleg to show.
func TestSweepNamesTheHierarchy(t *testing.T) {
	swept, err := Sweep(SweepRequest{Machine: recorded("debian12-v1-hybrid"), User: "tasks", DryRun: true})
	if err != nil || len(swept) != 1 {
		t.Fatalf("%v, %v", swept, err)
	}
	var h *HierarchyError
	if left := swept[0].Left; !errors.As(left, &h) || h.Hierarchy != "memory" || !errors.Is(left, unix.EBUSY) {
		t.Errorf("got %v", left)
	}
}

// Out of budget is not dead.
func TestPopulatedWithoutBudget(t *testing.T) {
	m := recorded("debian12-v1-hybrid")
	freezer := named(t, discover(t, m), "freezer")
	if alive, err := populated(m, freezer, "alice", 2, &cgroupfs.Budget{Dirs: 1, Depth: 10}); alive || !errors.Is(err, cgroupfs.ErrBudget) {
		t.Errorf("got %v, %v", alive, err)
	}
}

func TestLocateSession(t *testing.T) {
	m := recorded("debian12-v1-hybrid")
	found := discover(t, m)
	members, err := hierarchy.Memberships(m, 4711)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"name=systemd", "freezer", "memory", "unified"}
	for _, test := range []struct {
		name, user string
		opened     *Opened
		number     int
		inside     []string
	}{
		{"without a record, by the process", "alice", nil, 0, all},
		{"by the record", "alice", &Opened{Number: 0}, 0, all},
		{"record of a session that the process left", "alice", &Opened{Number: 2}, 2, nil},
		{"another user's process", "bob", nil, -1, nil},
		{"another user's record", "bob", &Opened{Number: 1}, 1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			number, inside := locateSession(found, members, test.user, test.opened)
			var names []string
			for _, h := range inside {
				names = append(names, h.Name)
			}
			if number != test.number || !slices.Equal(names, test.inside) {
				t.Errorf("got %d in %q; want %d in %q", number, names, test.number, test.inside)
			}
		})
	}
}

// proc_pid_stat(5): the second field is whatever the process calls itself, in
// parentheses.
func TestParentOf(t *testing.T) {
	for _, test := range []struct {
		name, stat string
		want       int
	}{
		{"ordinary", "10 (sh) S 7 10 10 0 -1\n", 7},
		{"space", "10 (tmux: server) S 7 10\n", 7},
		{"closing parenthesis", "10 (a) b) S 7 10\n", 7},
		{"forged fields", "10 (x) S 4711 (y) S 7 10\n", 7},
		{"only parentheses", "10 ()))((() S 7 10\n", 7},
		{"newline", "10 (a\nb) S 7 10\n", 7},
		{"not UTF-8", "10 (\xff) S 7 10\n", 7},
		{"no name", "10 () S 7 10\n", 7},
		{"parent outside of the namespace", "10 (sh) S 0 10\n", 0},
		{"cut short", "10 (sh) S", 0},
		{"cut in the name", "10 (sh", 0},
		{"empty", "", 0},
		{"no number", "10 (sh) S x 10\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := cgroupfs.Recorded(files(t, map[string]string{"proc/10/stat": test.stat}))
			if got := parentOf(m, 10); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	if got := parentOf(cgroupfs.Recorded(t.TempDir()), 10); got != 0 {
		t.Errorf("of a process that is gone: %d", got)
	}
}
