package delegate

import (
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// CleanupRequest says what is to be cleaned up.
type CleanupRequest struct {
	Machine machine.Machine
	User    string // as PAM names it; empty: every user
	DryRun  bool   // only tell what would be removed
	Locks   lock.Locks
}

// Cleanup removes dead sessions: those that have a process in no hierarchy; and the
// directories of users who have none. It needs each user's lock for a moment:
// without it a session that a login is just making would look dead. The result is
// sorted by user and number. Errors are *layout.UserNameError, *lock.Error and those
// of /proc; beside an error, what was cleaned until then.
func Cleanup(r CleanupRequest) ([]cleanup.Cleaned, error) {
	set, err := hierarchy.Find(r.Machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if !r.DryRun {
		own, err := ownMemberships(r.Machine)
		if err != nil {
			return nil, err
		}
		leaveSession(set, manager.Of(r.Machine, set), own)
		if r.User == "" {
			r.Locks.RemoveUnheld()
		}
	}
	users := layout.Users(set)
	if r.User != "" {
		user, err := layout.DirName(r.User)
		if err != nil {
			return nil, err
		}
		users = []string{user}
	}
	c := cleanup.Cleaner{Machine: r.Machine, Set: set, Locks: r.Locks, Dirs: cleanup.DirsAtEase}
	return c.All(users, r.DryRun)
}
