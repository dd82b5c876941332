package delegate

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// ownMemberships returns in which cgroups the calling process is; none of a recorded
// machine, on which it is nowhere. Errors are those of hierarchy.Memberships. Who takes a
// lock asks before: a process that cannot tell where it is may be where a user can stop it.
// One that is where no path is that short leaves that first.
func ownMemberships(m machine.Machine) ([]hierarchy.Membership, error) {
	if m.IsRecorded() {
		return nil, nil
	}
	own, err := hierarchy.Memberships(m, os.Getpid())
	if !isTooDeep(err) {
		return own, err
	}
	set, findErr := hierarchy.Find(m)
	if findErr != nil {
		return nil, err
	}
	defer set.Close()
	for _, h := range set.All {
		_ = h.AttachToBase(os.Getpid())
	}
	return hierarchy.Memberships(m, os.Getpid())
}

// isTooDeep tells of an error of hierarchy.Memberships that the process is in a cgroup whose
// path has 4,096 bytes or more. Newer kernels cut it short, others tell nothing of any
// hierarchy (proc_cgroup_show). Only users make such.
func isTooDeep(err error) bool { return errors.Is(err, unix.ENAMETOOLONG) }

// leaveSession moves the calling process, which is in these cgroups, to the base
// where it is in some user's session, or in any other cgroup of a user's. There the
// user could freeze it (on v2, whoever owns a cgroup's files can move its processes),
// and with it the lock that it is about to take. So a worker that was forked inside a
// session leaves first.
//
// Where neither the base nor a leaf of the first process takes it, or the caller
// lacks the privileges, it stays. A cgroup outside of the mount or of the cgroup namespace
// is in no session: these are all below the base.
func leaveSession(set *hierarchy.Set, mgr manager.Manager, own []hierarchy.Membership) {
	for _, h := range set.All {
		member := hierarchy.PathIn(own, h.Name)
		below, err := h.Below(member)
		if member == "" || err != nil || !inSession(h, mgr, below) && !h.IsUsers(below) {
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
