package delegate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// Login is who logs in, by which process, and what for.
type Login struct {
	PID         int    // the process to move in, with all its threads
	User        string // as PAM names it
	UID, GID    int    // who is to own the session
	Controllers hierarchy.ControllerList
	// Limits are those that the user and the session are given.
	Limits limits.Given
	Policy plan.Policy
}

// OpenRequest says for whom a session is to be opened.
type OpenRequest struct {
	Login
	Machine machine.Machine
	Locks   lock.Locks
	// Deadline is when to end removing the user's dead sessions. The zero Time sets
	// none; some thousand cgroups of each are removed at most anyway.
	Deadline time.Time
	// FindLimits, if set, is asked for the limits in place of Login.Limits, when the calling
	// process has left a session of the user's, who could freeze there what asks for groups.
	FindLimits func() (limits.Given, error)
	// RequireLimits makes it an error if a limit cannot be set.
	RequireLimits bool
	// Announce, if set, is called with what there will be to undo, before the
	// process is moved or a scope is given to the user; again when a race was lost.
	// If it returns an error the open fails, and nothing is done.
	Announce func(*ticket.Ticket) error
	// Enter, if set, has the process enter cgroups of v1 by itself (apply.Request).
	Enter func(tasks []int) (entered int, err error)
}

// Opened is a session that was made.
type Opened struct {
	Plan *plan.Plan
	// Ticket is for the close.
	Ticket ticket.Ticket
	// Notes are what was left out for a good reason: *manager.LeftAloneError,
	// *manager.DelegatedElsewhereError, *plan.AccountError, *plan.V1NamesError, and
	// *plan.DeniedError where everything was asked for, *apply.LimitError.
	Notes []error
	// Warnings are what was asked for and is not in the session:
	// *plan.MissingError, *apply.EnableError, *lock.Error, *plan.ConfinedError,
	// *manager.ScopeNotDelegatedError, *plan.DeniedError, *hierarchy.UnusableError; and
	// *apply.LimitError for limits that do not hold.
	Warnings []error
}

// RollbackError is an error of Open that could not take back all that it had done. Undo can
// try again, by what was announced.
type RollbackError = apply.RollbackError

// Open makes a session in every hierarchy in which the plan wants one, gives the
// user the scopes that a manager made for the login, and moves the process in. It
// does all of it or, after an error, nothing: what was made is removed and the
// process moved back, if the error is no *RollbackError. It also removes dead sessions of
// the user, within a small bound.
//
// Errors are *layout.UserNameError, *apply.HierarchyError with the kernel's
// *fs.PathError, *plan.DeniedError where there is nothing else, *apply.RequiredError,
// what Announce and Enter return, and what /proc gives (*fs.PathError, *hierarchy.ParseError).
func Open(r OpenRequest) (*Opened, error) {
	user, err := layout.DirName(r.User)
	if err != nil {
		return nil, err
	}
	set, err := hierarchy.Find(r.Machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	o, result, err := r.make(set, user)
	if err != nil || result == nil {
		return o, err
	}
	r.cleanUp(set, o.Plan, result)
	return o, nil
}

// make is Open without the removal of dead sessions, for which the result is: nil if
// none may be removed. Meanwhile nobody else moves the process, so a close that is not
// yet done has moved it back.
func (r *OpenRequest) make(set *hierarchy.Set, user string) (o *Opened, result *apply.Result, err error) {
	own, err := ownMemberships(r.Machine) // who does not know where it is takes no lock
	if err != nil {
		return nil, nil, err
	}
	if !r.Machine.IsRecorded() {
		held, _ := r.Locks.AcquireApplication(r.PID) // nearly always nobody has it
		defer held.Release()
		defer held.Remove()
	}
	if r.FindLimits != nil { // from outside of any session
		leaveSession(set, manager.Of(r.Machine, set), own)
		own = nil
		if r.Limits, err = r.FindLimits(); err != nil {
			return nil, nil, err
		}
	}
	p, err := r.plan(set, user)
	if err != nil {
		return nil, nil, err
	}
	o = &Opened{Plan: p, Ticket: ticket.Ticket{Session: layout.ID{Number: -1}}, Warnings: p.Warnings, Notes: p.Notes}
	if err := o.explain(r.Controllers); err != nil {
		return nil, nil, err
	}
	if err := o.explainLimits(r, set); err != nil {
		return nil, nil, err
	}
	if !p.DoesAnything() {
		return o, nil, nil
	}
	leaveSession(set, p.Manager, own)
	result, lockErr, err := r.apply(set, p, user)
	if err != nil {
		return nil, nil, err
	}
	o.Ticket = result.Ticket
	o.Notes = append(o.Notes, result.Notes...)
	o.Warnings = append(o.Warnings, result.Warnings...)
	if lockErr != nil {
		// without the lock another login's session, just made and still empty,
		// would look dead
		o.Warnings = append(o.Warnings, lockErr)
		return o, nil, nil
	}
	return o, result, nil
}

// Plan returns what Open would do. Errors are those of Open.
func Plan(m machine.Machine, l Login) (*plan.Plan, error) {
	user, err := layout.DirName(l.User)
	if err != nil {
		return nil, err
	}
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	return (&OpenRequest{Login: l, Machine: m}).plan(set, user)
}

func (r *OpenRequest) plan(set *hierarchy.Set, user string) (*plan.Plan, error) {
	members, err := hierarchy.Memberships(r.Machine, r.PID)
	if err != nil {
		return nil, err
	}
	return plan.New(r.Machine, set, plan.Request{
		Login: manager.Login{PID: r.PID, UID: r.UID}, User: user, Members: members,
		Controllers: r.Controllers, Limits: r.Limits, Policy: r.Policy,
	}), nil
}

// explain adds why hierarchies are left alone, each reason once. A login that can
// have nothing at all, only because root may make nothing, has failed.
func (o *Opened) explain(asked hierarchy.ControllerList) error {
	said := map[error]bool{}
	var denied error
	for _, s := range o.Plan.With(plan.Leave) {
		if said[s.Reason] {
			continue
		}
		said[s.Reason] = true
		switch reason := s.Reason.(type) { //nolint:errorlint // the plan wraps none
		case *manager.ScopeNotDelegatedError, *plan.ConfinedError:
			o.Warnings = append(o.Warnings, reason)
		case *plan.DeniedError:
			denied = reason
			if asked.All {
				o.Notes = append(o.Notes, reason)
			} else {
				o.Warnings = append(o.Warnings, reason)
			}
		default:
			o.Notes = append(o.Notes, reason)
		}
	}
	if denied != nil && o.Plan.AllDenied() {
		return denied
	}
	return nil
}

// explainLimits adds which limits the plan has no cgroup for, and which the manager has not
// set in its own. Where a manager of logins, or what an account is for, is the reason that
// there is no cgroup, that is as it should be.
func (o *Opened) explainLimits(r *OpenRequest, set *hierarchy.Set) error {
	var unset []error
	for _, reason := range o.Plan.Unlimited(r.Machine, set, slices.Concat(r.Limits.User, r.Limits.Session)) {
		err := &apply.LimitError{Of: "login", Err: reason}
		var confined *plan.ConfinedError
		var denied *plan.DeniedError
		if reason.Reason == nil || errors.Is(reason, plan.ErrScopeAlone) || errors.As(reason, &confined) || errors.As(reason, &denied) {
			unset = append(unset, err)
		} else {
			o.Notes = append(o.Notes, err)
		}
	}
	for _, reason := range o.Plan.NotInUnits(r.Machine, r.UID, r.Limits) {
		err := &apply.LimitError{Of: "login", Err: reason}
		var inUse *limits.InUseError
		if errors.As(reason, &inUse) && inUse.InForce > 0 {
			err.Of = "user"
			o.Warnings = append(o.Warnings, err) // who could not log in could not end what uses it
		} else {
			unset = append(unset, err)
		}
	}
	if r.RequireLimits && len(unset) > 0 {
		return &apply.RequiredError{Errs: unset}
	}
	o.Warnings = append(o.Warnings, unset...)
	return nil
}

// apply carries out the plan: under the user's lock where a session is made, or
// without if that is not to be had. A scope is nobody's but this login's.
func (r *OpenRequest) apply(set *hierarchy.Set, p *plan.Plan, user string) (result *apply.Result, lockErr, err error) {
	var held *lock.Held
	if len(p.With(plan.Make)) > 0 {
		held, lockErr = r.Locks.Acquire(user)
	}
	defer func() {
		if err != nil {
			held.Remove() // it may be the only thing that is left
		}
		held.Release()
	}()
	result, err = apply.Run(apply.Request{
		Machine: r.Machine, Set: set, Plan: p, PID: r.PID, UID: r.UID, GID: r.GID, User: user,
		Controllers: r.Controllers, Limits: r.Limits, RequireLimits: r.RequireLimits, Announce: r.Announce, Enter: r.Enter,
	})
	return result, lockErr, err
}

// lookedAt is how many of the user's other sessions a login looks at. The next ones look at
// others; each made but one.
const lookedAt = 16

// some returns at most lookedAt of the numbers, from any of them on.
func some(numbers []int, from int) []int {
	if len(numbers) <= lookedAt {
		return numbers
	}
	from %= len(numbers)
	return slices.Concat(numbers[from:], numbers[:from])[:lookedAt]
}

// cleanUp removes the user's dead sessions, or some of many, but for the new one, and the one that
// the process was in and will come back to, which is empty if the process was alone
// there.
func (r *OpenRequest) cleanUp(set *hierarchy.Set, p *plan.Plan, result *apply.Result) {
	c := cleanup.Cleaner{
		Machine: r.Machine, Set: set, Locks: r.Locks, Deadline: r.Deadline, Dirs: cleanup.DirsInLogin, Yields: true,
	}
	id := result.Ticket.Session
	if id.Number >= 0 {
		inUse := []int{id.Number}
		for _, s := range p.Steps {
			if former, ok := layout.SessionOf(s.Hierarchy, s.Member); ok && former.User == id.User {
				inUse = append(inUse, former.Number)
			}
		}
		c.Others(id.User, some(result.Taken, r.PID), inUse)
		c.Rest(id.User, inUse)
	}
	for _, s := range p.With(plan.Adopt) {
		c.OtherScopes(p.Manager, s.Hierarchy, s.Scope, r.UID)
	}
}

// LeftNothing tells whether there is nothing for a close to do: the login was left
// alone, or its manager removes all that it was given.
func (o *Opened) LeftNothing() bool {
	return o.Ticket.Session.Number < 0 && (len(o.Ticket.Adopted) == 0 || o.Plan.Manager.KeepsScopes())
}

// Name returns what the session is called that was opened: N of user/NAME/N, or the name of
// the scope (ScopeName); "" if there is none.
func (o *Opened) Name() string {
	if o.Ticket.Session.Number >= 0 {
		return strconv.Itoa(o.Ticket.Session.Number)
	}
	if o.Plan == nil {
		return ""
	}
	for _, s := range o.Plan.With(plan.Adopt) {
		return ScopeName(s.FromBase(s.Scope))
	}
	return ""
}

// HierarchyNames returns in which hierarchies the session was made.
func (o *Opened) HierarchyNames() (names []string) {
	for _, m := range o.Ticket.Former {
		names = append(names, m.Hierarchy)
	}
	return names
}

// AdoptedNames returns in which hierarchies the user has a scope that a manager made.
func (o *Opened) AdoptedNames() (names []string) {
	if o.Plan == nil {
		return nil
	}
	for _, s := range o.Plan.With(plan.Adopt) {
		names = append(names, s.Name)
	}
	return names
}

// Session returns what the session is called: by its number, or by the path of its
// scope; "" if there is none.
func sessionName(t *ticket.Ticket) string {
	switch {
	case t.Session.Number >= 0:
		return fmt.Sprint(t.Session.Number)
	case len(t.Adopted) > 0:
		return t.Adopted[0].Path
	}
	return ""
}
