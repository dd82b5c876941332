package layout

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]int{
		"0": 0, "7": 7, "65536": 65536,
		"": -1, "00": -1, "007": -1, "-0": -1, "-1": -1, "+1": -1, " 1": -1, "1 ": -1, "1x": -1, "0x1": -1, "1_0": -1,
		"٣": -1, "99999999999999999999": -1, "init.scope": -1, "1 (deleted)": -1,
	} {
		n, ok := parseNumber(s)
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("parseNumber(%q) = %d, %v; want %d", s, n, ok, want)
		}
	}
}

func TestSessionOf(t *testing.T) {
	for _, test := range []struct {
		name, base, user, below string
		want                    int // -1: none of that user's
	}{
		{"session itself", "/", "alice", "/user/alice/0", 0},
		{"leaf", "/", "alice", "/user/alice/12/init.scope", 12},
		{"deep inside", "/", "alice", "/user/alice/3/lxc/c1/user/alice/4", 3},
		{"base of a container", "/lxc/c1", "alice", "/lxc/c1/user/alice/5", 5},
		{"outside of the container's base", "/lxc/c1", "alice", "/user/alice/5", -1},
		{"another user", "/", "alice", "/user/bob/0", -1},
		{"user with a longer name", "/", "alice", "/user/alice2/0", -1},
		{"the user's directory", "/", "alice", "/user/alice", -1},
		{"with a slash at its end", "/", "alice", "/user/alice/", -1},
		{"no number", "/", "alice", "/user/alice/x", -1},
		{"not as we write numbers", "/", "alice", "/user/alice/007", -1},
		{"removed session", "/", "alice", "/user/alice/0 (deleted)", -1},
		{"removed below the session", "/", "alice", "/user/alice/0/x (deleted)", 0},
		{"escaped name", "/", "_tasks", "/user/_tasks/1", 1},
		{"not at the base", "/", "alice", "/x/user/alice/0", -1},
		{"systemd's session", "/", "alice", "/user.slice/user-1000.slice/session-2.scope", -1},
		{"root", "/", "alice", "/", -1},
		{"no path: the hierarchy is not in /proc/PID/cgroup", "/", "alice", "", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &hierarchy.Hierarchy{Name: "freezer", Base: test.base}
			id, ok := SessionAt(h, test.below)
			isHis := ok && id.User == test.user
			if isHis != (test.want >= 0) || isHis && id.Number != test.want {
				t.Errorf("got %+v, %v; want %d", id, ok, test.want)
			}
			if ok && !strings.HasPrefix(test.below+"/", id.Path(h)+"/") {
				t.Errorf("the path of %+v is %q", id, id.Path(h))
			}
			h.Root = "/" // a member's path is the same, then
			if member, also := SessionOf(h, test.below); also != ok || ok && member != id {
				t.Errorf("as a member: %+v, %v", member, also)
			}
		})
	}
}

// A member's path is one of its cgroup namespace, and of what is mounted.
func TestSessionOfMember(t *testing.T) {
	for _, test := range []struct {
		name, base, root, member string
		want                     ID
		ok                       bool
	}{
		{"whole hierarchy", "/", "/", "/user/alice/3/x", ID{"alice", 3}, true},
		{"a container's mount", "/", "/lxc/c1", "/lxc/c1/user/alice/3", ID{"alice", 3}, true},
		{"outside of the container's mount", "/", "/lxc/c1", "/user/alice/3", ID{}, false},
		{"outside of the namespace", "/", "/", "/../user/alice/3", ID{}, false},
		{"dots inside", "/", "/", "/user/alice/3/../4", ID{}, false},
		{"mount older than the namespace", "/", "/..", "/user/alice/3", ID{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &hierarchy.Hierarchy{Name: "freezer", Base: test.base, Root: test.root}
			if id, ok := SessionOf(h, test.member); ok != test.ok || ok && id != test.want {
				t.Errorf("got %+v, %v", id, ok)
			}
		})
	}
}

func TestIsNumber(t *testing.T) {
	for name, want := range map[string]bool{"0": true, "12": true, "007": false, "": false, "init.scope": false, "-1": false} {
		if IsNumber(name) != want {
			t.Errorf("IsNumber(%q) is %v", name, !want)
		}
	}
}

func recorded(name string) machine.Machine { return machine.Recorded("../testdata/" + name) }

// find finds the hierarchies, until the test ends.
func find(t *testing.T, m machine.Machine) *hierarchy.Set {
	t.Helper()
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		machine, user, hierarchy string // "": in any
		want                     []int
	}{
		{"debian12-v1-hybrid", "alice", "freezer", []int{0, 2}}, // 007, -1 and x are not ours
		{"debian12-v1-hybrid", "alice", "memory", []int{0, 2}},
		{"debian12-v1-hybrid", "alice", "name=systemd", []int{0}},
		{"debian12-v1-hybrid", "alice", "unified", []int{0}},
		{"debian12-v1-hybrid", "alice", "cpu", nil},
		{"debian12-v1-hybrid", "alice", "", []int{0, 2}},
		{"debian12-v1-hybrid", "_tasks", "", []int{1}},
		{"debian12-v1-hybrid", "tasks", "", nil},
		{"debian12-v1-hybrid", "nobody", "", nil},
		{"openrc-v2", "alice", "", []int{0, 1}},
		{"ubuntu1604-v1-systemd", "alice", "", nil},
	} {
		t.Run(test.machine+" "+test.user+" "+test.hierarchy, func(t *testing.T) {
			set := find(t, recorded(test.machine))
			var got []int
			if test.hierarchy == "" {
				got = Numbers(set, test.user)
			} else {
				var err error
				if got, err = NumbersIn(set.ByName(test.hierarchy), test.user); err != nil && !errors.Is(err, machine.ErrNotRecorded) {
					t.Fatal(err)
				}
				slices.Sort(got)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestUsers(t *testing.T) {
	for name, want := range map[string][]string{
		"debian12-v1-hybrid": {"alice", "_tasks"}, "openrc-v2": {"alice"}, "openrc-hybrid": nil, "docker-cgroupns-stale": nil,
	} {
		if got := Users(find(t, recorded(name))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What a session is made of, in a directory in place of a hierarchy.
func TestMakeAndRemove(t *testing.T) {
	for _, base := range []string{"/", "/lxc/c1"} {
		t.Run(base, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{
				"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n", "proc/1/cgroup": "1:freezer:" + base + "\n",
				"f" + base + "/cgroup.procs": "", machine.StatFile: "",
			} {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
				must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
			}
			set := find(t, machine.Recorded(dir))
			h, id := set.ByName("freezer"), ID{"alice", 3}
			if _, err := OpenUsers(h); !errors.Is(err, unix.ENOENT) {
				t.Errorf("user/ before: %v", err)
			}
			if numbers, err := NumbersIn(h, "alice"); numbers != nil || err != nil {
				t.Errorf("numbers before: %v, %v", numbers, err)
			}
			requireErrno(t, "session before user/NAME", id.Make(h), unix.ENOENT)
			requireErrno(t, "user/NAME before user/", MakeUser(h, "alice"), unix.ENOENT)
			for range 2 { // the second time they are there
				must(t, MakeUsers(h))
				must(t, MakeUser(h, "alice"))
			}
			if _, err := id.Open(h); !errors.Is(err, unix.ENOENT) {
				t.Errorf("session before: %v", err)
			}
			must(t, id.Make(h))
			requireErrno(t, "session of another login", id.Make(h), unix.EEXIST)
			must(t, ID{"alice", 12}.Make(h))
			session, err := id.Open(h)
			must(t, err)
			defer session.Close()
			if want := filepath.Join("/f", base, "user/alice/3"); session.Path() != want || filepath.Join("/f", id.Path(h)) != want || filepath.Join("/f", UserPath(h, "alice"), "3") != want {
				t.Errorf("path %s, %s; want %s", session.Path(), id.Path(h), want)
			}
			info, err := session.Info()
			inode, err2 := id.Inode(h)
			if err != nil || err2 != nil || inode != info.Inode {
				t.Errorf("inode %d, %v; of the open one %d, %v", inode, err, info.Inode, err2)
			}
			if got := Numbers(set, "alice"); !slices.Equal(got, []int{3, 12}) {
				t.Errorf("numbers %v", got)
			}
			requireErrno(t, "user/NAME with sessions", RemoveUser(h, "alice"), unix.ENOTEMPTY) // a cgroup's is EBUSY
			must(t, id.Remove(h))
			requireErrno(t, "session that is gone", id.Remove(h), unix.ENOENT)
			if _, err := id.Inode(h); !cgroupfs.IsGone(err) {
				t.Errorf("inode of what is gone: %v", err)
			}
			must(t, ID{"alice", 12}.Remove(h))
			must(t, RemoveUser(h, "alice"))
			if users := Users(set); users != nil {
				t.Errorf("left are %q", users)
			}
			users, err := OpenUsers(h) // stays
			must(t, err)
			users.Close()
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requireErrno(t *testing.T, what string, err error, want unix.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
