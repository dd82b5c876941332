package delegate

import (
	"os"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// ownMemberships returns in which cgroups the calling process is; none of a recorded
// machine, on which it is nowhere. Errors are those of hierarchy.Memberships.
func ownMemberships(m machine.Machine) ([]hierarchy.Membership, error) {
	if m.IsRecorded() {
		return nil, nil
	}
	return hierarchy.Memberships(m, os.Getpid())
}

// leaveSession moves the calling process, which is in these cgroups, to the base
// where it is in some user's session. There the user could freeze it (on v2, whoever owns a cgroup's files
// can move its processes), and with it the lock that it is about to take. So a
// worker that was forked inside a session leaves first.
//
// Where neither the base nor a leaf of the first process takes it, or the caller
// lacks the privileges, it stays.
func leaveSession(set *hierarchy.Set, mgr manager.Manager, own []hierarchy.Membership) {
	for _, h := range set.All {
		member := hierarchy.PathIn(own, h.Name)
		below, err := h.Below(member)
		if member == "" || err != nil || !inSession(h, mgr, below) {
			continue
		}
		_ = h.AttachToBase(os.Getpid())
	}
}

// inSession tells whether a cgroup below the mount point is in a session of ours,
// of any user, or in a scope that a manager made for a login.
func inSession(h *hierarchy.Hierarchy, mgr manager.Manager, below string) bool {
	_, isOurs := layout.SessionAt(h, below)
	inScope, _ := mgr.InScope(h.FromBase(below))
	return isOurs || inScope
}
