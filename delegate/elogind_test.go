package delegate

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// On the recorded machines session 1 is of user 1000, and sshd's process 147
// (v2) or 177 (hybrid) its leader. Only that login gets the cgroup; in the other
// hierarchies it has nothing to do with elogind.
func TestElogindCustody(t *testing.T) {
	const own, named, slice = hierarchy.Unified, "name=elogind", "/user.slice/user-1000.slice"
	for name, test := range map[string]struct {
		host, hierarchy, member string
		uid, pid                int
		scope                   string
		alone                   bool
	}{
		"v2, the session's leader":          {"elogind-v2", own, "/1", 1000, 147, "/1", false},
		"v2, su in the session":             {"elogind-v2", own, "/1", 1000, 148, "", true},
		"v2, another user's session":        {"elogind-v2", own, "/1", 1001, 147, "", true},
		"v2, root in a user's session":      {"elogind-v2", own, "/1", 0, 147, "", true},
		"v2, su in the session's leaf":      {"elogind-v2", own, "/1/init.scope", 1000, 147, "", true},
		"v2, in a container of the session": {"elogind-v2", own, "/1/lxc.payload.c1", 1000, 147, "", true},
		"v2, a session that elogind forgot": {"elogind-v2", own, "/2", 1000, 147, "", false},
		"v2, no session":                    {"elogind-v2", own, "/", 1000, 147, "", false},
		"v2, a path with the ID further on": {"elogind-v2", own, "/x/1", 1000, 147, "", false},
		"v2, outside of the namespace":      {"elogind-v2", own, "/../1", 1000, 147, "", false},
		"v2, ours":                          {"elogind-v2", own, "/user/alice/1", 1000, 147, "", false},
		"v2, a scope as Debian 13 has it":   {"elogind-v2", own, slice + "/session-1.scope", 1000, 147, slice + "/session-1.scope", false},
		"v2, su in the scope":               {"elogind-v2", own, slice + "/session-1.scope", 1000, 148, "", true},
		"v2, below the scope":               {"elogind-v2", own, slice + "/session-1.scope/init.scope", 1000, 147, "", true},
		"v2, a scope that elogind forgot":   {"elogind-v2", own, slice + "/session-2.scope", 1000, 147, "", false},
		"hybrid, the session's leader":      {"elogind-hybrid", named, "/1", 1000, 177, "/1", false},
		"hybrid, another user's session":    {"elogind-hybrid", named, "/1", 1001, 177, "", true},
		"hybrid, su in the session":         {"elogind-hybrid", named, "/1", 1000, 178, "", true},
		"hybrid, what elogind does not use": {"elogind-hybrid", "freezer", "/", 1000, 177, "", false},
		"hybrid, v2, without controllers":   {"elogind-hybrid", own, "/", 1000, 177, "", false},
		"a machine without elogind":         {"openrc-v2", own, "/1", 1000, 147, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(test.host)
			o := &opening{OpenRequest: OpenRequest{Machine: m, UID: test.uid, PID: test.pid}}
			got := o.custodyOf(namedIn(t, m, test.hierarchy), test.member)
			if got.scope != test.scope || (got.alone != nil) != test.alone {
				t.Errorf("scope %q, alone %v; want %q, %v", got.scope, got.alone, test.scope, test.alone)
			}
		})
	}
}

// The recorded logins, as /proc tells of them: one hierarchy is elogind's.
func TestElogindLogins(t *testing.T) {
	for host, test := range map[string]struct {
		pid     int
		adopted string
	}{
		"elogind-v2":     {147, "unified /1"},
		"elogind-hybrid": {177, "name=elogind /1"},
	} {
		m := recorded(host)
		members, err := hierarchy.Memberships(m, test.pid)
		if err != nil {
			t.Fatal(err)
		}
		o := &opening{OpenRequest: OpenRequest{Machine: m, UID: 1000, PID: test.pid}}
		var adopted []string
		for _, h := range discover(t, m) {
			who := o.custodyOf(&h, hierarchy.PathIn(members, h.Name))
			if who.alone != nil {
				t.Errorf("%s: %v", host, who.alone)
			}
			if who.scope != "" {
				adopted = append(adopted, h.Name+" "+who.scope)
			}
		}
		if !slices.Equal(adopted, []string{test.adopted}) {
			t.Errorf("%s: adopted %q, want %q", host, adopted, test.adopted)
		}
	}
}

func namedIn(t *testing.T, m cgroupfs.Machine, name string) *hierarchy.Hierarchy {
	t.Helper()
	return named(t, discover(t, m), name)
}

func TestReadElogindSession(t *testing.T) {
	for name, test := range map[string]struct {
		content     string
		uid, leader int
	}{
		"as elogind writes it": {"# This is private data. Do not parse.\nUID=1000\nUSER=alice\nLEADER=147\nAUDIT=1\n", 1000, 147},
		"root's":               {"UID=0\nLEADER=1\n", 0, 1},
		"no leader yet":        {"UID=1000\n", 1000, -1},
		"empty":                {"", -1, -1},
		"no numbers":           {"UID=\nLEADER=x\n", -1, -1},
		"other names":          {"XUID=1000\nLEADERS=147\nUID 1000\n", -1, -1},
		"without an end":       {"LEADER=147\nUID=1000", 1000, 147},
	} {
		t.Run(name, func(t *testing.T) {
			m := cgroupfs.Recorded(files(t, map[string]string{"run/systemd/sessions/1": test.content}))
			if uid, leader := readElogindSession(m, "1"); uid != test.uid || leader != test.leader {
				t.Errorf("user %d, leader %d; want %d, %d", uid, leader, test.uid, test.leader)
			}
		})
	}
	if uid, leader := readElogindSession(recorded("elogind-v2"), "2"); uid != -1 || leader != -1 {
		t.Errorf("a session that is gone: user %d, leader %d", uid, leader)
	}
}

// A close takes the host out of the session that its open adopted, and of no
// other; what has processes stays.
func TestCloseElogind(t *testing.T) {
	const scope = "/user.slice/user-1000.slice/session-1.scope"
	adopted := &Opened{Number: -1, Elogind: []hierarchy.Membership{{Hierarchy: hierarchy.Unified, Path: "/1"}}}
	inScope := &Opened{Number: -1, Elogind: []hierarchy.Membership{{Hierarchy: hierarchy.Unified, Path: scope}}}
	for name, test := range map[string]struct {
		member string
		opened *Opened
		moved  bool
		left   error
	}{
		"in the leaf":                      {"/1/init.scope", adopted, true, unix.EBUSY},
		"in the cgroup itself":             {"/1", adopted, true, unix.EBUSY},
		"in a session whose ID begins so":  {"/10/init.scope", adopted, false, unix.EBUSY},
		"in the root":                      {"/", adopted, false, unix.EBUSY},
		"in the leaf of a scope":           {scope + "/init.scope", inScope, true, unix.EBUSY},
		"in another scope":                 {"/user.slice/user-1000.slice/session-10.scope", inScope, false, unix.EBUSY},
		"a session that is gone":           {"/", &Opened{Number: -1, Elogind: []hierarchy.Membership{{Hierarchy: hierarchy.Unified, Path: "/2"}}}, false, nil},
		"a hierarchy that is gone":         {"/1", &Opened{Number: -1, Elogind: []hierarchy.Membership{{Hierarchy: "name=elogind", Path: "/1"}}}, false, nil},
		"without a record":                 {"/1/init.scope", nil, false, nil},
		"su in the session adopts nothing": {"/1/init.scope", &Opened{Number: -1}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, map[string]string{
				"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "proc/147/cgroup": "0::" + test.member + "\n",
				"u/cgroup.controllers": "", "u/cgroup.procs": "",
				"u/1/cgroup.events": "populated 1\n", "u/1/init.scope/cgroup.procs": "",
				"u" + scope + "/cgroup.events": "populated 1\n", "u" + scope + "/init.scope/cgroup.procs": "",
			})
			m := cgroupfs.Recorded(dir)
			closed, err := Close(CloseRequest{Machine: m, PID: 147, User: "alice", Opened: test.opened, Lock: newLock(t)})
			if err != nil {
				t.Fatal(err)
			}
			if closed.Number != -1 || !errors.Is(closed.Left, test.left) || (closed.Left == nil) != (test.left == nil) {
				t.Errorf("number %d, left %v; want %v", closed.Number, closed.Left, test.left)
			}
			procs, err := cgroupfs.Recorded(filepath.Join(dir, "u")).ReadFile("/cgroup.procs")
			if moved := strings.TrimSpace(string(procs)) == "147"; err != nil || moved != test.moved {
				t.Errorf("the root has %q, %v; want it moved: %v", procs, err, test.moved)
			}
		})
	}
}

// A worker leaves every cgroup in which a user could freeze it.
func TestInSession(t *testing.T) {
	h := &hierarchy.Hierarchy{Name: hierarchy.Unified, Base: "/b", Root: "/"}
	for below, want := range map[string]bool{
		"/b": false, "/b/1": true, "/b/c12/init.scope": true, "/b/1/lxc.payload.c1": true,
		"/b/c": false, "/b/1x": false, "/b/x/1": false,
		"/b/user/alice/0/init.scope": true, "/b/user/alice/x": false, "/b/user": false,
		"/b/user.slice/user-1000.slice/session-1.scope/init.scope": true, "/b/user.slice/user-1000.slice/user@1000.service": false,
	} {
		if got := inSession(h, below); got != want {
			t.Errorf("%s: %v", below, got)
		}
	}
}

// The controllers are given from the base down to the scope's parent, and no
// further: the scope's own are enabled when its processes are in the leaf.
func TestEnableAbove(t *testing.T) {
	for name, test := range map[string]struct {
		base, scope string
		enabled     []string
	}{
		"below the base":      {"/", "/1", []string{"/"}},
		"below a nested base": {"/b", "/b/1", []string{"/b"}},
		"in slices":           {"/", "/s/u/1", []string{"/", "/s", "/s/u"}},
		"in a nested base's":  {"/b", "/b/s/u/1", []string{"/b", "/b/s", "/b/s/u"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{}
			for _, dir := range []string{"", "/1", "/s", "/s/u", "/s/u/1", "/b", "/b/1", "/b/s", "/b/s/u", "/b/s/u/1"} {
				all["u"+dir+"/cgroup.subtree_control"] = ""
			}
			m := cgroupfs.Recorded(files(t, all))
			h := hierarchy.Hierarchy{Name: hierarchy.Unified, Base: test.base, Mount: cgroupfs.Mount{Point: "/u"}}
			o := &opening{OpenRequest: OpenRequest{Machine: m}}
			if err := o.enableAbove(&part{Choice: hierarchy.Choice{Hierarchy: h, Enable: []string{"pids"}}, scope: test.scope}); err != nil {
				t.Fatal(err)
			}
			var enabled []string
			for file := range all {
				if data, err := m.ReadFile("/" + file); err == nil && string(data) == "+pids" {
					enabled = append(enabled, path.Join("/", strings.TrimPrefix(path.Dir(file), "u")))
				}
			}
			slices.Sort(enabled)
			if !slices.Equal(enabled, test.enabled) {
				t.Errorf("enabled in %q, want %q", enabled, test.enabled)
			}
		})
	}
}

// A slice's cgroup.procs is the user's only while it has a session in it.
func TestTakeBackMoves(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	for name, test := range map[string]struct {
		files map[string]string
		owner int
	}{
		"no session":      {map[string]string{"u/cgroup.procs": ""}, 0},
		"another session": {map[string]string{"u/cgroup.procs": "", "u/session-2.scope/cgroup.procs": ""}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, test.files)
			slice, err := cgroupfs.Recorded(dir).OpenMount(cgroupfs.Mount{Point: "/u"})
			if err != nil {
				t.Fatal(err)
			}
			defer slice.Close()
			if err := errors.Join(allowMoves(slice, 1000, 1000), takeBackMoves(slice)); err != nil {
				t.Fatal(err)
			}
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, "u/cgroup.procs"), &st); err != nil || int(st.Uid) != test.owner {
				t.Errorf("owner %d, %v; want %d", st.Uid, err, test.owner)
			}
		})
	}
}
