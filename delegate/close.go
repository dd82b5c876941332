package delegate

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

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
	// Detached tells that nobody waits: the process may have ended, and may meanwhile
	// ask for another session. Application is its lock then, which the caller holds, and
	// which is let go of when the process has been moved. HasEnded tells whether it has
	// ended, so that another may have its PID.
	Detached    bool
	Application *lock.Held
	HasEnded    func() bool
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
	// Strayed says why the process is not back in the cgroups from which it came
	// (*apply.StrayedError of each), nil if it is.
	Strayed error
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
	defer c.end()
	if c.ticket.IsEmpty() {
		return &Closed{}, nil
	}
	left := c.leave()
	hasLeft := len(left) == 0 || r.Detached
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		if c.hasEnded() {
			return nil
		}
		return apply.LeaveScope(r.Machine, c.manager, h, scope, hierarchy.PathIn(c.members, h.Name), r.PID)
	})...)
	c.releaseApplication()
	if hasLeft {
		c.await()
	}
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		return c.cleaner.Scope(c.manager, h, scope)
	})...)
	if c.ticket.Session.Number >= 0 {
		left = append(left, c.cleaner.Session(c.ticket.Session))
		c.cleaner.Rest(c.user, nil)
	}
	left = append(left, c.unreached()...)
	return &Closed{Session: sessionName(c.ticket), Left: errors.Join(left...), Strayed: errors.Join(c.strayed...)}, nil
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
	defer c.end()
	if !hasTicket {
		return &Closed{Left: c.cleanUp()}, nil
	}
	left := c.leave()
	c.releaseApplication()
	if len(left) == 0 {
		c.await()
	}
	left = append(left, c.scopes(func(h *hierarchy.Hierarchy, scope string) error {
		return apply.GiveBack(r.Machine, h, scope)
	})...)
	if c.ticket.Session.Number >= 0 {
		left = append(left, c.cleaner.Session(c.ticket.Session))
	}
	left = append(left, c.cleanUp())
	left = append(left, c.unreached()...)
	return &Closed{Session: sessionName(c.ticket), Left: errors.Join(left...), Strayed: errors.Join(c.strayed...)}, nil
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
	// isTooDeep tells that there are none because the process is in a user's cgroup: it can
	// be moved back all the same.
	isTooDeep bool
	ticket    *ticket.Ticket
	cleaner   *cleanup.Cleaner
	strayed   []error // of Closed.Strayed
}

func (c *closing) end() {
	c.releaseApplication()
	if c.set != nil {
		c.set.Close()
	}
}

// releaseApplication lets go of the application, which stays where it is now.
func (c *closing) releaseApplication() {
	c.Application.Remove()
	c.Application.Release()
	c.Application = nil
}

// begin finds out where the process is, and which session is meant. Only wanted
// hierarchies are looked for. First of all the calling process leaves the session in
// which it may be: there the user could stop it.
func (r *CloseRequest) begin(isWanted func(name string, own []hierarchy.Membership) bool) (_ *closing, err error) {
	c := &closing{CloseRequest: *r, ticket: r.Ticket}
	defer func() {
		if err != nil {
			c.end()
		}
	}()
	if c.user, err = layout.DirName(r.User); err != nil {
		return nil, err
	}
	if r.Ticket != nil && r.Ticket.Session.Number >= 0 {
		c.user = r.Ticket.Session.User // the account's own name, where PAM has another spelling
	}
	own, err := ownMemberships(r.Machine)
	if err != nil {
		return nil, err
	}
	if c.set, err = hierarchy.FindSome(r.Machine, func(name string) bool { return isWanted(name, own) }); err != nil {
		return nil, err
	}
	c.manager = manager.Of(r.Machine, c.set)
	leaveSession(c.set, c.manager, own)
	if c.Application == nil && !r.Machine.IsRecorded() {
		c.Application, _ = r.Locks.AcquireApplication(r.PID) // nearly always nobody has it
	}
	c.members, err = hierarchy.Memberships(r.Machine, r.PID)
	c.isTooDeep = isTooDeep(err)
	if r.Detached && isOfEnded(err) || c.isTooDeep {
		err = nil // the session is there all the same
	}
	if err != nil {
		return nil, err
	}
	c.cleaner = &cleanup.Cleaner{
		Machine: r.Machine, Set: c.set, Locks: r.Locks, Deadline: r.Deadline, Dirs: cleanup.DirsInLogin, Yields: true,
		Patience: apply.Patience,
	}
	if r.Detached {
		c.cleaner.Dirs, c.cleaner.Patience = cleanup.DirsAtEase, apply.Departure
	}
	if c.ticket == nil {
		c.ticket = &ticket.Ticket{Session: c.present()}
	}
	if c.isAnothers() {
		c.ticket = &ticket.Ticket{Session: layout.ID{Number: -1}, Adopted: c.ticket.Adopted}
	}
	return c, nil
}

// isAnothers tells whether the session is gone, and another one has its number.
func (c *closing) isAnothers() bool {
	return slices.ContainsFunc(c.set.All, func(h *hierarchy.Hierarchy) bool {
		made := c.ticket.MadeInode(h.Name)
		if made == 0 {
			return false
		}
		now, err := c.ticket.Session.Inode(h)
		return err == nil && now != made
	})
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

// isInside tells whether the process is in the session in a hierarchy; or where only its
// user can have moved it, beside the user's sessions or too deep.
func (c *closing) isInside(h *hierarchy.Hierarchy) bool {
	if c.isTooDeep {
		return hierarchy.PathIn(c.ticket.Former, h.Name) != ""
	}
	below, err := h.Below(hierarchy.PathIn(c.members, h.Name))
	if err != nil {
		return false
	}
	at, ok := layout.SessionAt(h, below)
	return ok && at == c.ticket.Session || below == layout.UserPath(h, c.ticket.Session.User)
}

// leave moves the process out of the session in the hierarchies in which it is in
// it. One that closes in a forked child, or that somebody moved, is in none.
func (c *closing) leave() (failed []error) {
	id := c.ticket.Session
	if id.Number < 0 {
		return nil
	}
	for _, h := range c.set.All {
		if !c.isInside(h) || c.hasEnded() {
			continue
		}
		err := apply.MoveBack(h, hierarchy.PathIn(c.ticket.Former, h.Name), c.ticket.FormerInode(h.Name), c.PID)
		if c.Detached && isOfEnded(err) {
			continue
		}
		var strayed *apply.StrayedError
		switch {
		case errors.As(err, &strayed):
			c.strayed = append(c.strayed, err)
		case err != nil:
			failed = append(failed, apply.InHierarchy(h, err))
		}
	}
	return failed
}

// unreached returns why hierarchies cannot be used now in which the login was given
// something. The process is still there, and all of the session.
func (c *closing) unreached() (failed []error) {
	named := c.ticket.Former
	if !c.manager.KeepsScopes() {
		named = slices.Concat(named, c.ticket.Adopted)
	}
	for _, m := range named {
		if err := c.set.Unreached(m.Hierarchy); err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// hasEnded tells whether the process has ended, as far as that can be told.
func (c *closing) hasEnded() bool { return c.HasEnded != nil && c.HasEnded() }

// isOfEnded tells of an error about a process that it is not there any more: ENOENT in
// /proc, ESRCH of one that ends just now.
func isOfEnded(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// await waits a moment for what is just ending of the application in the session.
func (c *closing) await() {
	switch id := c.ticket.Session; {
	case c.Detached:
		apply.AwaitNobody(c.cgroups())
	case id.Number >= 0:
		apply.AwaitSession(c.Machine, c.set.All, id, c.PID)
	}
}

// cgroups are those of the login which this close removes.
func (c *closing) cgroups() (all []apply.Cgroup) {
	if id := c.ticket.Session; id.Number >= 0 {
		for _, h := range c.set.All {
			all = append(all, apply.Cgroup{Hierarchy: h, Path: id.Path(h)})
		}
	}
	for _, m := range c.ticket.Adopted {
		if h := c.set.ByName(m.Hierarchy); h != nil && !c.manager.KeepsScopes() {
			all = append(all, apply.Cgroup{Hierarchy: h, Path: m.Path})
		}
	}
	return all
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
