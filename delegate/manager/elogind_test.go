package manager_test

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// On the recorded machines session 1 is of user 1000, and sshd's process 147
// (v2) or 177 (hybrid) its leader. Only that login gets the cgroup; in the other
// hierarchies it has nothing to do with elogind.
func TestElogind(t *testing.T) {
	const own, named = hierarchy.Unified, "name=elogind"
	for name, test := range map[string]struct {
		host, hierarchy, member string
		uid, pid                int
		want                    string
	}{
		"v2, the session's leader":            {"elogind-v2", own, "/1", 1000, 147, "/1"},
		"v2, another process than its leader": {"elogind-v2", own, "/1", 1000, 148, alone},
		"v2, another user's session":          {"elogind-v2", own, "/1", 1001, 147, alone},
		"v2, root in a user's session":        {"elogind-v2", own, "/1", 0, 147, alone},
		"v2, su in the session's leaf":        {"elogind-v2", own, "/1/init.scope", 1000, 147, alone},
		"v2, in a container of the session":   {"elogind-v2", own, "/1/lxc.payload.c1", 1000, 147, alone},
		"v2, a session that elogind forgot":   {"elogind-v2", own, "/2", 1000, 147, ""},
		"v2, no session":                      {"elogind-v2", own, "/", 1000, 147, ""},
		"v2, a path with the ID further on":   {"elogind-v2", own, "/x/1", 1000, 147, ""},
		"v2, outside of the namespace":        {"elogind-v2", own, "/../1", 1000, 147, ""},
		"v2, ours":                            {"elogind-v2", own, "/user/alice/1", 1000, 147, ""},
		"v2, a scope as Debian 13 has it":     {"elogind-v2", own, slice + "/session-1.scope", 1000, 147, slice + "/session-1.scope"},
		"v2, su in the scope":                 {"elogind-v2", own, slice + "/session-1.scope", 1000, 148, alone},
		"v2, below the scope":                 {"elogind-v2", own, slice + "/session-1.scope/init.scope", 1000, 147, alone},
		"v2, a scope that elogind forgot":     {"elogind-v2", own, slice + "/session-2.scope", 1000, 147, ""},
		"hybrid, the session's leader":        {"elogind-hybrid", named, "/1", 1000, 177, "/1"},
		"hybrid, another user's session":      {"elogind-hybrid", named, "/1", 1001, 177, alone},
		"hybrid, su in the session":           {"elogind-hybrid", named, "/1", 1000, 178, alone},
		"hybrid, what elogind does not use":   {"elogind-hybrid", "freezer", "/", 1000, 177, ""},
		"hybrid, v2, without controllers":     {"elogind-hybrid", own, "/", 1000, 177, ""},
		"a machine without elogind":           {"openrc-v2", own, "/1", 1000, 147, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := placed(t, testdata(test.host), test.hierarchy, test.member, manager.Login{PID: test.pid, UID: test.uid}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// elogind with DelegateSessionCgroups=yes has delegated a cgroup of its own by the
// time our line runs: the whole session is left alone, and it is told where that is.
func TestElogindDelegates(t *testing.T) {
	machine := func(t *testing.T, session string) files {
		t.Helper()
		return files{
			"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "u/cgroup.controllers": "",
			"run/systemd/sessions/1": "UID=1000\nLEADER=7\n", "u" + session + "/session/cgroup.procs": "7\n",
		}
	}
	for name, test := range map[string]struct {
		session, member string
		delegates       bool // there is a cgroup for containers
		uid, pid        int
		want            string
	}{
		"the login":                      {"/1", "/1/session", true, 1000, 7, "elsewhere /1/delegated"},
		"the login, in a scope":          {slice + "/session-1.scope", slice + "/session-1.scope/session", true, 1000, 7, "elsewhere " + slice + "/session-1.scope/delegated"},
		"su to the same user":            {"/1", "/1/session", true, 1000, 8, "elsewhere /1/delegated"},
		"su to another":                  {"/1", "/1/session", true, 1001, 8, alone},
		"sudo":                           {"/1", "/1/session", true, 0, 8, alone},
		"without the other cgroup":       {"/1", "/1/session", false, 1000, 7, alone},
		"below the other cgroup":         {"/1", "/1/delegated/x", true, 1000, 7, alone},
		"in the session's cgroup itself": {"/1", "/1", true, 1000, 7, "/1"},
	} {
		t.Run(name, func(t *testing.T) {
			all := machine(t, test.session)
			if test.delegates {
				all["u"+test.session+"/delegated/cgroup.procs"] = ""
			}
			if got := placed(t, recorded(t, all), hierarchy.Unified, test.member, manager.Login{PID: test.pid, UID: test.uid}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What elogind says of a session is read as it writes it, and believed only where
// it is whole.
func TestElogindSessionFile(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		uid     int
		want    string
	}{
		"as elogind writes it": {"# This is private data. Do not parse.\nUID=1000\nUSER=alice\nLEADER=7\nAUDIT=1\n", 1000, "/1"},
		"root's":               {"UID=0\nLEADER=7\n", 0, "/1"},
		"no leader yet":        {"UID=1000\n", 1000, alone},
		"empty":                {"", 1000, alone},
		"no numbers":           {"UID=\nLEADER=x\n", 1000, alone},
		"other names":          {"XUID=1000\nLEADERS=7\nUID 1000\n", 1000, alone},
		"without an end":       {"LEADER=7\nUID=1000", 1000, "/1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, files{
				"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "u/cgroup.controllers": "",
				"u/1/cgroup.procs": "7\n", "run/systemd/sessions/1": test.content,
			})
			if got := placed(t, m, hierarchy.Unified, "/1", manager.Login{PID: 7, UID: test.uid}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
