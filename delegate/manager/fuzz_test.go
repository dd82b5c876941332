package manager

import (
	"path"
	"strings"
	"testing"
)

// A session's file is elogind's, but has texts of users in it.
func FuzzElogindSession(f *testing.F) {
	for _, s := range []string{"", "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nLEADER=7\nAUDIT=1\n", "UID=\nLEADER=x", "UID=-1\nUID=4294967296\nLEADER=+7\n", "XUID=1\nLEADERS=2\nUID 3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		uid, leader := parseElogindSession(data)
		for name, got := range map[string]int{"UID": uid, "LEADER": leader} {
			if got < -1 || int64(got) > 1<<32-1 || got >= 0 && !strings.Contains("\n"+data, "\n"+name+"=") {
				t.Errorf("%s is %d of %q", name, got, data)
			}
		}
		if again, same := parseElogindSession(data + "\nUID=5\nLEADER=\n"); again != 5 || same != leader {
			t.Errorf("%q with another user's ID: %d, %d", data, again, same)
		}
	})
}

// Paths of cgroups, which users name below their own: a session's is recognized with
// whatever lies below it, and is always a whole beginning of the path.
func FuzzScopes(f *testing.F) {
	for _, s := range []string{"", "/", "/1", "/c3/x", "/user.slice/user-1000.slice/session-4.scope", "/user.slice/user-1000.slice/session-c1.scope/a/b", "/user.slice/user-x.slice/session-.scope", "//c1", "/user.slice/user-1.slice/session-1.scope/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, fromBase string) {
		uid, id, itself, ok := sessionScope(fromBase)
		if ok && (uid < 0 || id == "" || strings.Contains(id, "/") || itself != (strings.Count(fromBase, "/") == 3)) {
			t.Errorf("scope of %q: %d, %q, %v", fromBase, uid, id, itself)
		}
		elogindsID, depth := elogindID(fromBase)
		if (elogindsID == "") != (depth == 0) || elogindsID != "" && (!isElogindID(elogindsID) || !strings.Contains(fromBase, elogindsID)) {
			t.Errorf("elogind's of %q: %q, %d", fromBase, elogindsID, depth)
		}
		if path.Clean(fromBase) != fromBase || !strings.HasPrefix(fromBase, "/") || fromBase == "/" {
			return
		}
		if _, below, _, isBelow := sessionScope(fromBase + "/x"); ok && (below != id || !isBelow) {
			t.Errorf("%q is a scope, and below it is %q, %v", fromBase, below, isBelow)
		}
		if below, same := elogindID(fromBase + "/x"); elogindsID != "" && (below != elogindsID || same != depth) {
			t.Errorf("%q is elogind's, and below it is %q, %d", fromBase, below, same)
		}
		in, at := elogind{}.InScope(fromBase)
		if at && !in || in != (elogindsID != "") {
			t.Errorf("%q: in a scope %v, itself %v", fromBase, in, at)
		}
	})
}
