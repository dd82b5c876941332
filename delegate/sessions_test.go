package delegate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

func TestSessions(t *testing.T) {
	for _, test := range []struct {
		machine  string
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
		t.Run(test.machine, func(t *testing.T) {
			sessions, unusable, err := Sessions(recorded(test.machine))
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

// A line of mountinfo that cannot be understood costs that line: anybody can mount
// something. Without /proc there is no answer.
func TestSessionsFails(t *testing.T) {
	var parse *hierarchy.ParseError
	m := machine.Recorded(files(t, map[string]string{"proc/self/mountinfo": "garbage\n", "proc/1/cgroup": "1:freezer:/\n"}))
	sessions, unusable, err := Sessions(m)
	if err != nil || sessions != nil || len(unusable) != 1 || !errors.As(unusable[0], &parse) {
		t.Errorf("got %v, %v, %v", sessions, unusable, err)
	}
	m = machine.Recorded(files(t, map[string]string{"proc/self/mountinfo": "", "proc/1/cgroup": "garbage\n"}))
	if _, _, err := Sessions(m); !errors.As(err, &parse) {
		t.Errorf("got %v", err)
	}
	if _, _, err := Sessions(machine.Recorded(files(t, nil))); !errors.Is(err, machine.ErrNotRecorded) {
		t.Errorf("got %v", err)
	}
}

// A dry run removes nothing and needs no lock.
func TestCleanupDryRun(t *testing.T) {
	noLock := lock.Locks{Dir: "/proc/nosuch/lock"}
	for _, test := range []struct {
		name, machine, user string
		want                map[string]bool // dead
	}{
		// alice's session 0 has no process in freezer itself, but below.
		{"all users", "debian12-v1-hybrid", "", map[string]bool{"alice 0": false, "alice 2": true, "tasks 1": false}},
		{"one user", "debian12-v1-hybrid", "alice", map[string]bool{"alice 0": false, "alice 2": true}},
		{"user with an escaped name", "debian12-v1-hybrid", "tasks", map[string]bool{"tasks 1": false}},
		{"user without sessions", "debian12-v1-hybrid", "nobody", map[string]bool{}},
		{"v2", "openrc-v2", "", map[string]bool{"alice 0": false, "alice 1": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cleaned, err := Cleanup(CleanupRequest{Machine: recorded(test.machine), User: test.user, DryRun: true, Locks: noLock})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range cleaned {
				key := fmt.Sprintf("%s %d", s.User, s.Number)
				dead, ok := test.want[key]
				if !ok || dead != (s.Left == nil) || !dead && !errors.Is(s.Left, unix.EBUSY) {
					t.Errorf("%s: left %v", key, s.Left)
				}
			}
			if len(cleaned) != len(test.want) {
				t.Errorf("%d sessions, want %d", len(cleaned), len(test.want))
			}
		})
	}
	t.Run("bad user name", func(t *testing.T) {
		var name *layout.UserNameError
		if _, err := Cleanup(CleanupRequest{Machine: recorded("openrc-v2"), User: "..", DryRun: true}); !errors.As(err, &name) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without a lock nothing is removed", func(t *testing.T) {
		var lock *lock.Error
		m := machine.Recorded(files(t, map[string]string{
			"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n", "proc/1/cgroup": "1:freezer:/\n",
			fmt.Sprintf("proc/%d/cgroup", os.Getpid()): "1:freezer:/\n",
			"f/user/alice/0/x":                         "",
		}))
		if cleaned, err := Cleanup(CleanupRequest{Machine: m, Locks: noLock}); !errors.As(err, &lock) || cleaned != nil {
			t.Errorf("got %v, %v", cleaned, err)
		}
	})
}

// A session that is left is left for a reason that names the hierarchy, for
// cgdeleg to show.
func TestCleanupNamesTheHierarchy(t *testing.T) {
	cleaned, err := Cleanup(CleanupRequest{Machine: recorded("debian12-v1-hybrid"), User: "tasks", DryRun: true})
	if err != nil || len(cleaned) != 1 {
		t.Fatalf("%v, %v", cleaned, err)
	}
	var h *apply.HierarchyError
	if left := cleaned[0].Left; !errors.As(left, &h) || h.Hierarchy != "memory" || !errors.Is(left, unix.EBUSY) {
		t.Errorf("got %v", left)
	}
}

// Which session a close means, and in which hierarchies the process is in it.
func TestLocateSession(t *testing.T) {
	m := recorded("debian12-v1-hybrid")
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	members, err := hierarchy.Memberships(m, 4711)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"name=systemd", "freezer", "memory", "unified"}
	numbered := func(n int) *ticket.Ticket { return &ticket.Ticket{Session: layout.ID{User: "alice", Number: n}} }
	for _, test := range []struct {
		name, user string
		ticket     *ticket.Ticket
		number     int
		inside     []string
	}{
		{"without a ticket, by the process", "alice", nil, 0, all},
		{"by the ticket", "alice", numbered(0), 0, all},
		{"ticket of a session that the process left", "alice", numbered(2), 2, nil},
		{"another user's process", "bob", nil, -1, nil},
		{"another user's ticket", "bob", &ticket.Ticket{Session: layout.ID{User: "bob", Number: 1}}, 1, nil},
		{"ticket of nothing", "alice", numbered(-1), -1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &closing{user: test.user, set: set, members: members, ticket: test.ticket}
			if c.ticket == nil {
				c.ticket = &ticket.Ticket{Session: c.present()}
			}
			var names []string
			for _, h := range set.All {
				if at, ok := layout.SessionOf(h, hierarchy.PathIn(members, h.Name)); ok && at == c.ticket.Session {
					names = append(names, h.Name)
				}
			}
			if number := c.ticket.Session.Number; number != test.number || !slices.Equal(names, test.inside) {
				t.Errorf("got %d in %q; want %d in %q", number, names, test.number, test.inside)
			}
		})
	}
}

// files writes files (path to content) into a new directory.
func files(t *testing.T, contents map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range contents {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func recorded(name string) machine.Machine { return machine.Recorded("testdata/" + name) }
