package manager_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

const (
	slice = "/user.slice/user-1000.slice"
	// elsewhere stands for the placement that a *manager.DelegatedElsewhereError is,
	// and so on.
	alone        = "left alone"
	ifLimited    = "left alone if it is limited"
	notDelegated = "not delegated"
)

// files are what a machine has.
type files = machinetest.Files

// recorded returns a machine with these files; what it has not was absent.
func recorded(t testing.TB, all ...files) machine.Machine {
	t.Helper()
	return machine.Recorded(machinetest.Make(t, append([]files{{machine.StatFile: ""}}, all...)...))
}

// testdata is a machine of delegate/testdata.
func testdata(name string) machine.Machine { return machine.Recorded("../testdata/" + name) }

func find(t *testing.T, m machine.Machine) *hierarchy.Set {
	t.Helper()
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// placed is what a manager wants to become of a hierarchy: the scope, alone,
// notDelegated, ifLimited, "elsewhere CGROUP"; "" for a hierarchy that it does not
// care about.
func placed(t *testing.T, m machine.Machine, name, member string, l manager.Login) string {
	t.Helper()
	set := find(t, m)
	h := set.ByName(name)
	if h == nil {
		t.Fatalf("no hierarchy %s", name)
	}
	below, err := h.Below(member)
	if err != nil {
		below = member
	}
	p := manager.Of(m, set).Place(h, below, l)
	var leftAlone *manager.LeftAloneError
	var elsewhere *manager.DelegatedElsewhereError
	var scope *manager.ScopeNotDelegatedError
	switch {
	case errors.As(p.Leave, &leftAlone):
		if leftAlone.Hierarchy != name || leftAlone.Cgroup != below || !strings.Contains(leftAlone.Error(), below) {
			t.Errorf("it says %v", leftAlone)
		}
		return alone
	case errors.As(p.Leave, &elsewhere):
		if elsewhere.Hierarchy != name || !strings.Contains(elsewhere.Error(), "elogind delegates "+elsewhere.Cgroup) {
			t.Errorf("it says %v", elsewhere)
		}
		return "elsewhere " + elsewhere.Cgroup
	case errors.As(p.Leave, &scope):
		if scope.Scope != below || !strings.Contains(scope.Error(), below) {
			t.Errorf("it says %v", scope)
		}
		return notDelegated
	case p.Leave != nil:
		t.Errorf("left for another reason: %v", p.Leave)
	case errors.As(p.LeaveLimited, &leftAlone):
		return ifLimited
	}
	return p.Scope
}

// Who manages the logins of a machine.
func TestOf(t *testing.T) {
	v2 := files{"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "u/cgroup.controllers": ""}
	for name, test := range map[string]struct {
		files files
		init  string // the first process's cgroup
		want  string
	}{
		"systemd":                             {files{"run/systemd/system/x": ""}, "/init.scope", manager.SystemdName},
		"systemd beside elogind's files":      {files{"run/systemd/system/x": "", "run/systemd/sessions/1": ""}, "/init.scope", manager.SystemdName},
		"elogind":                             {files{"run/systemd/sessions/1": ""}, "/", manager.ElogindName},
		"nobody":                              {nil, "/", ""},
		"nobody, init in a scope":             {nil, "/init.scope", ""},
		"systemd, of which that is not known": {files{machine.AbsentFile: ""}, "/init.scope", manager.SystemdName},
		"nobody, of whom that is not known":   {files{machine.AbsentFile: ""}, "/rc.init", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := files{"proc/1/cgroup": "0::" + test.init + "\n"}
			for _, some := range []files{v2, test.files} {
				for path, content := range some {
					all[path] = content
				}
			}
			m := recorded(t, all)
			if got := manager.Of(m, find(t, m)).Name(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The same for real logins: sshd's process.
func TestRecordedLogins(t *testing.T) {
	const v1 = "cpuset blkio freezer devices hugetlb perf_event misc net_cls,net_prio rdma cpu,cpuacct"
	for _, test := range []struct {
		host               string
		pid                int
		scopes, alone, own string
	}{
		{"debian12-v2-systemd", 249, "unified=" + slice + "/session-1.scope", "", ""},
		{"hybrid-systemd", 247, "memory=" + slice + "/session-1.scope pids=" + slice + "/session-1.scope name=systemd=" + slice + "/session-1.scope", "unified", v1},
		{"elogind-v2", 147, "unified=/1", "", ""},
		{"elogind-hybrid", 177, "name=elogind=/1", "", "misc rdma pids hugetlb net_prio perf_event net_cls freezer devices memory blkio cpuacct cpu cpuset name=openrc unified"},
	} {
		t.Run(test.host, func(t *testing.T) {
			m := testdata(test.host)
			members, err := hierarchy.Memberships(m, test.pid)
			if err != nil {
				t.Fatal(err)
			}
			var scopes, left, own []string
			for _, h := range find(t, m).All {
				switch got := placed(t, m, h.Name, hierarchy.PathIn(members, h.Name), manager.Login{PID: test.pid, UID: 1000}); got {
				case alone:
					left = append(left, h.Name)
				case "":
					own = append(own, h.Name)
				default:
					scopes = append(scopes, h.Name+"="+got)
				}
			}
			for what, names := range map[string][2]string{
				"scopes": {strings.Join(scopes, " "), test.scopes}, "alone": {strings.Join(left, " "), test.alone}, "own": {strings.Join(own, " "), test.own},
			} {
				if names[0] != names[1] {
					t.Errorf("%s: %q, want %q", what, names[0], names[1])
				}
			}
		})
	}
}

// The cgroups that somebody made for logins, those that are gone from its books
// among them.
func TestScopes(t *testing.T) {
	for name, test := range map[string]struct {
		machine, hierarchy string
		want               []manager.Scope
	}{
		"systemd, v2": {"systemd-v2-adopted", hierarchy.Unified, []manager.Scope{
			{Path: slice + "/session-3.scope", UID: 1000}, {Path: slice + "/session-7.scope", UID: 1000}, {Path: "/user.slice/user-1001.slice/session-4.scope", UID: 1001}}},
		"systemd, a hierarchy without": {"hybrid-systemd", "freezer", nil},
		"elogind":                      {"elogind-v2", hierarchy.Unified, []manager.Scope{{Path: "/1", UID: -1}}},
		"elogind, not its hierarchy":   {"elogind-hybrid", "freezer", nil},
		"elogind, its hierarchy":       {"elogind-hybrid", "name=elogind", []manager.Scope{{Path: "/1", UID: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := testdata(test.machine)
			set := find(t, m)
			if got := manager.Of(m, set).Scopes(set.ByName(test.hierarchy)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Which cgroups are a manager's scopes, by their paths below the base.
func TestInScope(t *testing.T) {
	systemd, elogind := testdata("debian12-v2-systemd"), testdata("elogind-v2")
	for path, want := range map[string]struct{ systemd, elogind string }{
		"/":                            {"", ""},
		"/1":                           {"", "itself"},
		"/c12/init.scope":              {"", "in"},
		"/1/lxc.payload.c1":            {"", "in"},
		"/c":                           {"", ""},
		"/1x":                          {"", ""},
		"/x/1":                         {"", ""},
		"/user/alice/0/init.scope":     {"", ""},
		slice:                          {"", ""},
		slice + "/session-1.scope":     {"itself", "itself"},
		slice + "/session-1.scope/x/y": {"in", "in"},
		slice + "/session-c2.scope":    {"itself", "itself"},
		slice + "/session-.scope":      {"", ""},
		slice + "/session-1.scopes":    {"", ""},
		slice + "/user@1000.service":   {"", ""},
		"/user.slice/user-x.slice/session-1.scope": {"", ""},
		"/x" + slice + "/session-1.scope":          {"", ""},
	} {
		for m, want := range map[machine.Machine]string{systemd: want.systemd, elogind: want.elogind} {
			who := manager.Of(m, find(t, m))
			in, itself := who.InScope(path)
			if got := map[[2]bool]string{{false, false}: "", {true, false}: "in", {true, true}: "itself"}[[2]bool{in, itself}]; got != want {
				t.Errorf("%s, %s: %q (in %v, itself %v), want %q", who.Name(), path, got, in, itself, want)
			}
		}
	}
}

// Who removes what it made.
func TestKeepsScopes(t *testing.T) {
	for name, want := range map[string]bool{"debian12-v2-systemd": true, "hybrid-systemd": true, "elogind-v2": false} {
		m := testdata(name)
		if got := manager.Of(m, find(t, m)).KeepsScopes(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
