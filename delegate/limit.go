package delegate

import (
	"context"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// LimitRequest says which limits a user with sessions is to have.
type LimitRequest struct {
	Machine machine.Machine
	Locks   lock.Locks
	User    string // as PAM names it
	UID     int    // -1: not known
	Limits  limits.Given
	// OnlyCompare tells what would be done, and does nothing.
	OnlyCompare bool
}

// Limit gives limits to a user's live sessions, and lifts those that are not given. It kills
// nobody: memory that is in use is not taken away, but lowered as it falls, until the
// context ends; what is left of that is a *limits.InUseError in its outcome. It returns nothing
// for a user who has no sessions of ours. Errors are *layout.UserNameError, *lock.Error and
// what /proc gives.
func Limit(ctx context.Context, r LimitRequest) ([]apply.Limited, error) {
	user, err := layout.DirName(r.User)
	if err != nil {
		return nil, err
	}
	set, err := hierarchy.Find(r.Machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if len(layout.Numbers(set, user)) == 0 {
		return nil, nil
	}
	request := apply.LimitRequest{Machine: r.Machine, Set: set, User: user, Limits: r.Limits, Managed: r.managed(set), OnlyCompare: r.OnlyCompare}
	if r.OnlyCompare {
		return apply.Limit(request), nil
	}
	own, err := ownMemberships(r.Machine)
	if err != nil {
		return nil, err
	}
	leaveSession(set, manager.Of(r.Machine, set), own)
	held, err := r.Locks.Acquire(user)
	if err != nil {
		return nil, err
	}
	all := apply.Limit(request)
	held.Release()
	apply.Lower(ctx, all)
	return all, nil
}

// managed returns the hierarchies in which a manager that limits its scopes has one of the
// user's.
func (r LimitRequest) managed(set *hierarchy.Set) (all []*hierarchy.Hierarchy) {
	m := manager.Of(r.Machine, set)
	if !m.KeepsScopes() {
		return nil
	}
	for _, h := range set.All {
		if slices.ContainsFunc(m.Scopes(h), func(s manager.Scope) bool { return s.UID == r.UID }) {
			all = append(all, h)
		}
	}
	return all
}

// LimitedUsers returns the users who have sessions of ours, as PAM names them. Errors are
// what /proc gives.
func LimitedUsers(m machine.Machine) (users []string, err error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	for _, name := range layout.Users(set) {
		users = append(users, layout.UserName(name))
	}
	return users, nil
}
