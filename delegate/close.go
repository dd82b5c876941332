package delegate

import (
	"errors"
	"slices"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// CloseRequest says which session is to be closed.
type CloseRequest struct {
	Machine machine.Machine
	PID     int    // the process to move out
	User    string // as PAM names it
	// Ticket is what Open returned. Without it (nil) the session is the one in
	// which PID is now, and PID goes to the base.
	Ticket *ticket.Ticket
	Locks  lock.Locks
	// Deadline is when to end removing what the user made below the session; the
	// rest goes with a later cleanup. The zero Time sets none.
	Deadline time.Time
}

// Closed tells what became of a session.
type Closed struct {
	// Session is what it is called: its number, or the path of a scope; "": the
	// process was in none of ours.
	Session string
	// Left says why something of the session is still there, nil if nothing
	// is. EBUSY: other processes are in it; EACCES, EPERM: the closing process
	// lacks the privileges.
	Left error
}

// Close moves the process back and removes the session, if no other process is
// in it; then user/NAME, if that was the last. Removing does not need every
// hierarchy: it goes on after an error. What is left goes with a later cleanup.
// So it does with an adopted scope that its manager does not remove.
//
// Errors are those of Open; Left is none of them.
func Close(r CloseRequest) (*Closed, error) {
	c, err := r.begin(r.isWanted)
	if err != nil {
		return nil, err
	}
	defer c.set.Close()
	if c.ticket.IsEmpty() {
		return &Closed{}, nil
	}
	leaveSession(c.set, c.manager, c.own)
	left := c.leave()
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		return apply.LeaveScope(r.Machine, c.manager, h, scope, hierarchy.PathIn(c.members, h.Name), r.PID)
	})...)
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		return c.cleaner.Scope(c.manager, h, scope)
	})...)
	if c.ticket.Session.Number >= 0 {
		left = append(left, c.cleaner.Session(c.ticket.Session))
		c.cleaner.Rest(c.user, nil)
	}
	return &Closed{Session: sessionName(c.ticket), Left: errors.Join(left...)}, nil
}

// Undo takes back an open that did not come to its end, and may have done any part
// of what its ticket says: the process is moved back, the session removed, the
// scopes are taken from the user. Without a ticket the open did not come to move
// anything: then what it may have made is removed with the user's dead sessions,
// for which the lock is needed.
//
// Errors are those of Open; Left is none of them.
func Undo(r CloseRequest) (*Closed, error) {
	hasTicket := r.Ticket != nil
	if !hasTicket {
		r.Ticket = &ticket.Ticket{Session: layout.ID{Number: -1}}
	}
	// all of them: half a ticket names only some of those in which something was made
	c, err := r.begin(func(string, []hierarchy.Membership) bool { return true })
	if err != nil {
		return nil, err
	}
	defer c.set.Close()
	leaveSession(c.set, c.manager, c.own)
	if !hasTicket {
		return &Closed{Left: c.cleanUp()}, nil
	}
	left := c.leave()
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		return apply.GiveBack(r.Machine, h, scope)
	})...)
	if c.ticket.Session.Number >= 0 {
		left = append(left, c.cleaner.Session(c.ticket.Session))
	}
	left = append(left, c.cleanUp())
	return &Closed{Session: sessionName(c.ticket), Left: errors.Join(left...)}, nil
}

// cleanUp removes the user's dead sessions: also what an attempt made of which the
// ticket does not tell yet; and user/NAME where the attempt came no further.
func (c *closing) cleanUp() error {
	defer c.cleaner.Rest(c.user, nil)
	numbers, err := c.cleaner.List(c.user)
	if err != nil || len(numbers) == 0 {
		return err
	}
	c.cleaner.Others(c.user, numbers, nil)
	_, err = c.cleaner.List(c.user)
	return err
}

// closing is one run of Close or Undo.
type closing struct {
	CloseRequest
	user    string // the directory of the user's sessions
	set     *hierarchy.Set
	manager manager.Manager
	members []hierarchy.Membership
	own     []hierarchy.Membership // of the calling process
	ticket  *ticket.Ticket
	cleaner *cleanup.Cleaner
}

// begin finds out where the process is, and which session is meant. Only wanted
// hierarchies are looked for.
func (r *CloseRequest) begin(isWanted func(name string, own []hierarchy.Membership) bool) (*closing, error) {
	user, err := layout.DirName(r.User)
	if err != nil {
		return nil, err
	}
	members, err := hierarchy.Memberships(r.Machine, r.PID)
	if err != nil {
		return nil, err
	}
	own, err := ownMemberships(r.Machine)
	if err != nil {
		return nil, err
	}
	set, err := hierarchy.FindSome(r.Machine, func(name string) bool { return isWanted(name, own) })
	if err != nil {
		return nil, err
	}
	c := &closing{
		CloseRequest: *r, user: user, set: set, manager: manager.Of(r.Machine, set), members: members, own: own, ticket: r.Ticket,
		cleaner: &cleanup.Cleaner{Machine: r.Machine, Set: set, Locks: r.Locks, Deadline: r.Deadline, Dirs: cleanup.DirsInLogin, Yields: true},
	}
	if c.ticket == nil {
		c.ticket = &ticket.Ticket{Session: c.present()}
	}
	return c, nil
}

// isWanted tells whether a hierarchy has to do with the session, or may have the
// calling process in one.
func (r *CloseRequest) isWanted(name string, own []hierarchy.Membership) bool {
	isNamed := func(m hierarchy.Membership) bool { return m.Hierarchy == name }
	return r.Ticket == nil || r.Ticket.IsEmpty() || hierarchy.PathIn(own, name) != "/" ||
		slices.ContainsFunc(r.Ticket.Former, isNamed) || slices.ContainsFunc(r.Ticket.Adopted, isNamed)
}

// present returns the session of the user in which the process is.
func (c *closing) present() layout.ID {
	for _, h := range c.set.All {
		if id, ok := layout.SessionOf(h, hierarchy.PathIn(c.members, h.Name)); ok && id.User == c.user {
			return id
		}
	}
	return layout.ID{Number: -1}
}

// leave moves the process out of the session in the hierarchies in which it is in
// it, and waits a moment for what is just ending of the application. One that
// closes in a forked child, or that somebody moved, is in none.
func (c *closing) leave() (failed []error) {
	id := c.ticket.Session
	if id.Number < 0 {
		return nil
	}
	for _, h := range c.set.All {
		if at, ok := layout.SessionOf(h, hierarchy.PathIn(c.members, h.Name)); !ok || at != id {
			continue
		}
		if err := apply.MoveBack(h, hierarchy.PathIn(c.ticket.Former, h.Name), c.ticket.FormerInode(h.Name), c.PID); err != nil {
			failed = append(failed, apply.InHierarchy(h, err))
		}
	}
	if len(failed) == 0 {
		apply.AwaitSession(c.Machine, c.set.All, id, c.PID)
	}
	return failed
}

// scopes does something with each of the adopted scopes.
func (c *closing) scopes(do func(h *hierarchy.Hierarchy, scope string) error) (failed []error) {
	for _, m := range c.ticket.Adopted {
		if h := c.set.ByName(m.Hierarchy); h != nil {
			failed = append(failed, do(h, m.Path))
		}
	}
	return failed
}
