package delegate

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// adoptedScopes returns the scopes that were given to their users, sorted by
// user ID and path. What was made for a login and is still the manager's own is
// no session of ours.
func adoptedScopes(m machine.Machine, set *hierarchy.Set) []Session {
	var scopes []Session
	mgr := manager.Of(m, set)
	for _, h := range set.All {
		for _, c := range mgr.Scopes(h) {
			below := path.Join(h.Base, c.Path)
			dir, err := h.OpenBelow(below)
			if err != nil {
				continue // it ended
			}
			if uid, sure, ok := adoptedBy(m, h, dir, c.UID); ok {
				at := slices.IndexFunc(scopes, func(s Session) bool { return s.Scope == c.Path })
				if at < 0 {
					at = len(scopes)
					scopes = append(scopes, Session{UID: uid, Number: -1, Scope: c.Path, uncertain: true})
				}
				scopes[at].uncertain = scopes[at].uncertain && !sure
				scopes[at].add(Part{in: h, Path: below, Adopted: true}, dir)
			}
			dir.Close()
		}
	}
	slices.SortFunc(scopes, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), strings.Compare(a.Scope, b.Scope))
	})
	return scopes
}

// adoptedBy tells whether a scope was given to a user, the one with that ID if
// it is known. On v2 its leaf shows it, on v1 only the owner: for root nothing
// changed, and a recorded machine may have no owners. Then it is not sure, nor if
// nothing but the name says that root's cgroup was made for a login.
func adoptedBy(m machine.Machine, h *hierarchy.Hierarchy, scope *cgroupfs.Dir, uid int) (owner int, sure, ok bool) {
	info, err := scope.Info()
	if err != nil {
		return 0, false, false
	}
	owner = info.UID
	if m.IsRecorded() {
		owner = max(0, uid)
	}
	if uid >= 0 && owner != uid {
		return 0, false, false
	}
	if !h.IsUnified() {
		return owner, owner != 0 && !m.IsRecorded(), true
	}
	leaf, err := scope.Open(layout.Leaf)
	if err != nil {
		return 0, false, false
	}
	leaf.Close()
	return owner, uid >= 0 || owner != 0 || m.IsRecorded(), true
}
