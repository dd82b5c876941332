package delegate

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// adoptedScopes returns the scopes that were given to their users, sorted by
// user ID and path. What was made for a login and is still the manager's own is
// no session of ours.
func adoptedScopes(m cgroupfs.Machine, found []hierarchy.Hierarchy) []Session {
	var scopes []Session
	for i := range found {
		for _, c := range candidates(m, &found[i]) {
			dir, err := found[i].OpenBelow(m, path.Join(found[i].Base, c.Scope))
			if err != nil {
				continue // it ended
			}
			if uid, sure, ok := adoptedBy(m, &found[i], dir, c.UID); ok {
				at := slices.IndexFunc(scopes, func(s Session) bool { return s.Scope == c.Scope })
				if at < 0 {
					at = len(scopes)
					scopes = append(scopes, Session{UID: uid, Number: -1, Scope: c.Scope, doubtful: true})
				}
				scopes[at].doubtful = scopes[at].doubtful && !sure
				scopes[at].add(Part{in: &found[i], Path: path.Join(found[i].Base, c.Scope), Adopted: true}, dir)
			}
			dir.Close()
		}
	}
	slices.SortFunc(scopes, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), strings.Compare(a.Scope, b.Scope))
	})
	return scopes
}

// candidates are the cgroups that logind or elogind made for logins: their path
// below the base, and whose they are, -1 where the path does not say so.
func candidates(m cgroupfs.Machine, h *hierarchy.Hierarchy) (all []Session) {
	for _, slice := range childrenOf(m, h, "/user.slice") {
		for _, scope := range childrenOf(m, h, path.Join("/user.slice", slice)) {
			name := path.Join("/user.slice", slice, scope)
			if match := sessionScope.FindStringSubmatch(name); match != nil {
				if uid, err := strconv.Atoi(match[1]); err == nil {
					all = append(all, Session{UID: uid, Scope: name})
				}
			}
		}
	}
	if m.Exists("/run/systemd/system") {
		return all
	}
	for _, id := range childrenOf(m, h, "/") {
		if _, itself := elogindSession("/" + id); itself { // elogind leaves it behind when it has forgotten the session
			all = append(all, Session{UID: -1, Scope: "/" + id})
		}
	}
	return all
}

// adoptedBy tells whether a scope was given to a user, the one with that ID if
// it is known. On v2 its leaf shows it, on v1 only the owner: for root nothing
// changed, and a recorded machine has no owners. Then it is not sure, nor if
// nothing but the name says that root's cgroup was made for a login.
func adoptedBy(m cgroupfs.Machine, h *hierarchy.Hierarchy, scope *cgroupfs.Dir, uid int) (owner int, sure, ok bool) {
	owner, _, err := scope.Owner()
	if err != nil {
		return 0, false, false
	}
	if m.IsRecorded() {
		owner = max(0, uid)
	}
	if uid >= 0 && owner != uid {
		return 0, false, false
	}
	if !h.IsUnified() {
		return owner, owner != 0 && !m.IsRecorded(), true
	}
	leaf, err := scope.Open(leafName)
	if err != nil {
		return 0, false, false
	}
	leaf.Close()
	return owner, uid >= 0 || owner != 0 || m.IsRecorded(), true
}

// childrenOf returns the names of the cgroups in one below the base, none if
// that cannot be read.
func childrenOf(m cgroupfs.Machine, h *hierarchy.Hierarchy, below string) []string {
	dir, err := h.OpenBelow(m, path.Join(h.Base, below))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _, _ := dir.Children(maxSessions)
	return names
}
