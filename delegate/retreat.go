package delegate

import (
	"os"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// retreat moves the calling process to the base where it is in some user's
// session. There the user could freeze it (on v2, whoever owns a cgroup's files
// can move its processes), and with it the lock that it is about to take. So a
// worker that was forked inside a session leaves first.
//
// Where neither the base nor a leaf of the first process takes it, or the caller
// lacks the privileges, it stays.
func retreat(m cgroupfs.Machine, found []hierarchy.Hierarchy) {
	members, err := hierarchy.Memberships(m, os.Getpid())
	if err != nil || m.IsRecorded() {
		return
	}
	for i := range found {
		h := &found[i]
		below, err := h.Below(hierarchy.PathIn(members, h.Name))
		if err != nil || !inSession(h, below) {
			continue
		}
		_ = h.EnterBase(m, os.Getpid())
	}
}

// inSession tells whether a cgroup below the mount point is in a session of
// ours, of any user, in a session scope of logind's, or in an elogind session's.
func inSession(h *hierarchy.Hierarchy, below string) bool {
	relative := fromBase(h, below)
	parts := strings.Split(relative, "/")
	if len(parts) > 3 && parts[1] == usersDir {
		_, ok := sessionOf(h, parts[2], below)
		return ok
	}
	return elogindCgroup.MatchString(relative) ||
		len(parts) > 3 && sessionScope.MatchString(strings.Join(parts[:4], "/"))
}
