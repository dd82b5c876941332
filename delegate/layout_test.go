package delegate

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
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
		want                    int // -1: none
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
			n, ok := sessionOf(h, test.user, test.below)
			if ok != (test.want >= 0) || ok && n != test.want {
				t.Errorf("got %d, %v; want %d", n, ok, test.want)
			}
			if ok && !strings.HasPrefix(test.below+"/", sessionPath(h, test.user, n)+"/") {
				t.Errorf("sessionPath is %q", sessionPath(h, test.user, n))
			}
		})
	}
}

func discover(t *testing.T, m cgroupfs.Machine) []hierarchy.Hierarchy {
	t.Helper()
	found, _, err := hierarchy.Discover(m)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func named(t *testing.T, found []hierarchy.Hierarchy, name string) *hierarchy.Hierarchy {
	t.Helper()
	i := slices.IndexFunc(found, func(h hierarchy.Hierarchy) bool { return h.Name == name })
	if i < 0 {
		t.Fatalf("no hierarchy %q", name)
	}
	return &found[i]
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		host, user, hierarchy string // "": in any
		want                  []int
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
		t.Run(test.host+" "+test.user+" "+test.hierarchy, func(t *testing.T) {
			m := recorded(test.host)
			found := discover(t, m)
			var got []int
			if test.hierarchy == "" {
				got = numbersOf(m, found, test.user)
			} else {
				var err error
				if got, err = numbersIn(m, named(t, found, test.hierarchy), test.user); err != nil {
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

func TestUserDirs(t *testing.T) {
	for host, want := range map[string][]string{
		"debian12-v1-hybrid": {"alice", "_tasks"}, "openrc-v2": {"alice"}, "openrc-hybrid": nil, "docker-cgroupns-stale": nil,
	} {
		m := recorded(host)
		if got := userDirs(m, discover(t, m)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
