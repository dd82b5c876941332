// Package apply carries out a plan: it makes a session in each hierarchy, moves the
// application's process in, gives scopes to the user, and takes all of it back if
// one part fails.
//
// It does what the plan says and decides nothing but what only the kernel knows. It
// takes no lock: whoever calls it does.
package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// Request is a plan and for whom it is carried out.
type Request struct {
	Machine     machine.Machine
	Set         *hierarchy.Set
	Plan        *plan.Plan
	PID         int // the process to move in, with all its threads
	UID, GID    int // who is to own the session
	User        string
	Controllers hierarchy.ControllerList
	// Limits are set before the process is moved in: those of the user only where they
	// differ, and not below what is in use.
	Limits limits.Given
	// RequireLimits makes it an error if one of them cannot be set.
	RequireLimits bool
	// Announce, if set, is called with what there will be to undo, before the
	// process is moved or a scope changes hands; again, for the next attempt, when a
	// race was lost. If it returns an error nothing of that is done.
	Announce func(*ticket.Ticket) error
	// Enter, if set, has the process enter cgroups of v1 by itself, which costs no wait:
	// it writes 0 into these open files tasks, in their order, and Enter returns into how
	// many. After an error that is not known, and nothing is done.
	Enter func(tasks []int) (entered int, err error)
}

// Result is what was done.
type Result struct {
	Ticket ticket.Ticket
	// Taken are the numbers of the user's sessions that there were before.
	Taken []int
	// Warnings are what was asked for and is not in the session: *EnableError,
	// *plan.DeniedError, *LimitError. Notes are *plan.DeniedError where everything was
	// asked for, and *LimitError for what has no equivalent, but for the user's first
	// session.
	Warnings, Notes []error
}

// HierarchyError says in which hierarchy something failed.
type HierarchyError struct {
	Hierarchy string
	Err       error
}

func (e *HierarchyError) Error() string { return fmt.Sprintf("hierarchy %s: %v", e.Hierarchy, e.Err) }
func (e *HierarchyError) Unwrap() error { return e.Err }

// InHierarchy returns a *HierarchyError, or err itself if that names a hierarchy
// already; nil stays nil.
func InHierarchy(h *hierarchy.Hierarchy, err error) error {
	var named *HierarchyError
	var denied *plan.DeniedError
	if err == nil || errors.As(err, &named) || errors.As(err, &denied) {
		return err
	}
	return &HierarchyError{Hierarchy: h.Name, Err: err}
}

// attempts bounds how often a lost race is run again.
const attempts = 20

// RollbackError says that a run failed and could not take back all that it had done.
type RollbackError struct {
	Err error // why it failed
	// Left says what is not taken back; nil: nothing. What was announced tells how it can be.
	Left error
	// Strayed says why the process is not back in the cgroups from which it came
	// (*StrayedError of each); nil: it is, or in the session.
	Strayed error
}

func (e *RollbackError) Error() string {
	if e.Left == nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; not taken back: %s", e.Err, strings.ReplaceAll(e.Left.Error(), "\n", "; "))
}

func (e *RollbackError) Unwrap() error { return e.Err }

// Run carries out the plan: all of it or, after an error, nothing. Errors are
// *HierarchyError with the kernel's *fs.PathError, *plan.DeniedError, and what
// Announce and Enter return; and a *RollbackError of one of them.
func Run(r Request) (*Result, error) {
	a := &application{Request: r, id: layout.ID{User: r.User, Number: -1}}
	a.scopes = slices.DeleteFunc(r.Plan.With(plan.Adopt), a.hasScope)
	for _, s := range r.Plan.With(plan.Make) {
		a.parts = append(a.parts, &part{Step: s, former: inodeInSession(s.Hierarchy, s.Member)})
	}
	if len(a.parts) == 0 {
		if err := a.announce(); err != nil {
			return nil, err
		}
	} else if err := a.makeSession(); err != nil {
		return nil, err
	}
	if kept, err := a.adoptAll(); err != nil {
		return nil, a.rollBack(err, kept...)
	}
	warnings, notes := a.sortUnset()
	return &Result{
		Ticket: a.ticket(), Taken: a.taken,
		Warnings: slices.Concat(a.warnings, warnings), Notes: slices.Concat(a.notes, notes),
	}, nil
}

// application is one run of a plan.
type application struct {
	Request
	id              layout.ID
	taken           []int
	parts           []*part      // the session of our own
	scopes          []*plan.Step // those to be adopted
	warnings, notes []error
	// limits that could not be set, *LimitError: in this attempt, and in hierarchies that it
	// goes without
	unset, dropped []error
}

// part is a session in one hierarchy, as far as it is made.
type part struct {
	*plan.Step
	hasUser    bool          // there is a user/NAME, which may be ours
	isMade     bool          // user/NAME/N is ours
	isAttached bool          // the process is in it
	target     *cgroupfs.Dir // what the process is to enter; nil before it is made
	former     uint64        // the inode of the process's cgroup, if that is in a session; else 0
	made       uint64        // the inode of the session; 0 before it is made
	ofUser     []limits.Setting
}

func (a *application) ticket() ticket.Ticket {
	t := ticket.Ticket{Session: a.id}
	for _, p := range a.parts {
		if p.made != 0 {
			t.Made = append(t.Made, ticket.Inode{Hierarchy: p.Name, Number: p.made})
		}
		t.Former = append(t.Former, hierarchy.Membership{Hierarchy: p.Name, Path: p.Member})
		if p.former != 0 {
			t.Inodes = append(t.Inodes, ticket.Inode{Hierarchy: p.Name, Number: p.former})
		}
	}
	for _, s := range a.scopes {
		t.Adopted = append(t.Adopted, hierarchy.Membership{Hierarchy: s.Name, Path: s.Scope})
	}
	return t
}

func (a *application) announce() error {
	t := a.ticket()
	if a.Announce == nil || t.IsEmpty() {
		return nil
	}
	return a.Announce(&t)
}

// makeSession makes and enters the session, again with another number when a race
// for one was lost.
func (a *application) makeSession() error {
	for attempt := 1; ; attempt++ {
		if err := a.pickNumber(); err != nil {
			return err
		}
		err := a.attempt()
		var kept *RollbackError
		if errors.As(err, &kept) {
			return err // another attempt would be announced in the place of this one
		}
		if a.leaveOut(err) {
			if len(a.parts) == 0 { // there is only a scope
				return a.announce()
			}
			attempt--
			continue
		}
		lostRace := errors.Is(err, unix.EEXIST) || cgroupfs.IsGone(err)
		if err != nil && !lostRace && a.drop(err) {
			if len(a.parts) == 0 {
				return errors.Join(a.requireLimits(), a.announce())
			}
			attempt--
			continue
		}
		if !lostRace || attempt == attempts {
			return err
		}
		time.Sleep(time.Duration(attempt) * time.Millisecond)
	}
}

// leaveOut goes on without the hierarchy in which no cgroup may be made, if there
// is another. In a container that is no fault of this login's.
func (a *application) leaveOut(err error) bool {
	var denied *plan.DeniedError
	if !errors.As(err, &denied) || len(a.parts)+len(a.Plan.With(plan.Adopt)) < 2 {
		return false
	}
	a.parts = slices.DeleteFunc(a.parts, func(p *part) bool { return p.Name == denied.Hierarchy })
	if len(a.parts) == 0 {
		a.id.Number = -1
	}
	if a.Controllers.All {
		a.notes = append(a.notes, denied)
	} else {
		a.warnings = append(a.warnings, denied)
	}
	return true
}

// pickNumber takes the lowest number that is free in every hierarchy, also in those
// that this session does not want.
func (a *application) pickNumber() error {
	a.taken = nil
	for _, h := range a.Set.All {
		numbers, err := layout.NumbersIn(h, a.User)
		if err != nil {
			return InHierarchy(h, err)
		}
		a.taken = append(a.taken, numbers...)
	}
	slices.Sort(a.taken)
	a.taken = slices.Compact(a.taken)
	a.id.Number = 0
	for _, n := range a.taken {
		if n == a.id.Number {
			a.id.Number++
		}
	}
	return nil
}

// attempt makes and enters the session everywhere; after an error it takes
// back what it did.
func (a *application) attempt() (err error) {
	defer func() {
		for _, p := range a.parts {
			if p.target != nil {
				p.target.Close()
			}
			p.target = nil
		}
		if err != nil {
			err = a.rollBack(err)
		}
	}()
	a.unset = nil
	for _, p := range a.parts {
		err := a.make(p)
		if err == nil {
			p.made, err = a.id.Inode(p.Hierarchy)
		}
		if err != nil {
			return InHierarchy(p.Hierarchy, err)
		}
	}
	if err := a.requireLimits(); err != nil {
		return err
	}
	if err := a.announce(); err != nil {
		return err
	}
	if err := a.haveEntered(); err != nil {
		return err
	}
	for _, p := range a.parts {
		if p.isAttached {
			continue
		}
		if err := p.target.Attach(a.PID); err != nil {
			return InHierarchy(p.Hierarchy, err)
		}
		p.isAttached = true
	}
	return nil
}

// isAnothers tells whether another cgroup has the session's path: then this one is gone.
func (a *application) isAnothers(p *part) bool {
	now, err := a.id.Inode(p.Hierarchy)
	return err == nil && p.made != 0 && now != p.made
}

// rollBack takes the session back, but for what somebody else took back already. It returns
// the cause; as a *RollbackError if something of the session is kept, or of what is kept already.
func (a *application) rollBack(cause error, kept ...error) error {
	for _, p := range a.parts {
		if a.isAnothers(p) {
			p.isAttached, p.isMade = false, false
		}
	}
	var left []*hierarchy.Hierarchy
	var strayed []error
	keep := func(h *hierarchy.Hierarchy, err error) { kept = append(kept, InHierarchy(h, ignoreGone(err))) }
	for _, p := range slices.Backward(a.parts) {
		if !p.isAttached {
			continue
		}
		p.isAttached = false
		err := MoveBack(p.Hierarchy, p.Member, p.former, a.PID)
		if hasLeft(err) {
			left = append(left, p.Hierarchy)
			strayed = append(strayed, err)
		} else {
			keep(p.Hierarchy, err)
		}
	}
	AwaitSession(a.Machine, left, a.id, a.PID)
	for _, p := range slices.Backward(a.parts) {
		if p.isMade {
			if dir, err := a.id.Open(p.Hierarchy); err == nil {
				_ = dir.RemoveBelow(&cgroupfs.Budget{Dirs: 64}) // the session cannot be removed then
				dir.Close()
			}
			keep(p.Hierarchy, a.id.Remove(p.Hierarchy))
		}
		// also without a session: the limits of the user may be why there is none
		err := layout.RemoveUser(p.Hierarchy, a.User)
		if (p.isMade || p.hasUser) && !cgroupfs.IsOccupied(err) { // by other sessions
			keep(p.Hierarchy, err)
		}
		p.isMade, p.made = false, 0
	}
	failure := &RollbackError{Err: cause, Left: errors.Join(kept...), Strayed: errors.Join(strayed...)}
	if failure.Left == nil && failure.Strayed == nil {
		return cause
	}
	return failure
}

// inodeInSession returns the inode number of a cgroup, named as in /proc/PID/cgroup,
// that lies in a session of ours; 0 for any other.
func inodeInSession(h *hierarchy.Hierarchy, member string) uint64 {
	if _, ok := layout.SessionOf(h, member); !ok {
		return 0
	}
	dir, err := h.OpenMember(member)
	if err != nil {
		return 0 // it is gone
	}
	defer dir.Close()
	info, err := dir.Info()
	if err != nil {
		return 0
	}
	return info.Inode
}

// MoveBack moves the process to the cgroup in which it was, named as in
// /proc/PID/cgroup and with that inode number, if it is not 0; or to the base if that
// is gone or not known (""). Another of the same name is not the one: it may be the
// session of somebody who has nothing to do with the process. A *StrayedError says that it
// is in the base although its cgroup is still there.
func MoveBack(h *hierarchy.Hierarchy, former string, inode uint64, pid int) error {
	err := error(unix.ENOENT)
	switch {
	case former != "" && inode == 0:
		err = h.Attach(former, pid)
	case former != "":
		err = attachToSame(h, former, inode, pid)
	}
	if err == nil || errors.Is(err, unix.ESRCH) {
		return err
	}
	if baseErr := h.AttachToBase(pid); baseErr != nil || cgroupfs.IsGone(err) {
		return baseErr
	}
	return &StrayedError{Hierarchy: h.Name, Former: former, Err: err}
}

// hasLeft tells of MoveBack's error whether the process is out of the session.
func hasLeft(err error) bool {
	var strayed *StrayedError
	return err == nil || errors.As(err, &strayed)
}

// StrayedError says that a process left its session, and could not go back to the cgroup in
// which it was before: it is in the base, without the limits that it had there.
type StrayedError struct {
	Hierarchy string
	Former    string // as in /proc/PID/cgroup
	Err       error
}

func (e *StrayedError) Error() string {
	return fmt.Sprintf("hierarchy %s: not back in %s, but in the base: %v", e.Hierarchy, e.Former, e.Err)
}

func (e *StrayedError) Unwrap() error { return e.Err }

func attachToSame(h *hierarchy.Hierarchy, member string, inode uint64, pid int) error {
	dir, err := h.OpenMember(member)
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Info()
	if err == nil && info.Inode != inode {
		err = unix.ENOENT
	}
	if err != nil {
		return err
	}
	return dir.Attach(pid)
}

// isDenied tells whether the kernel refuses root.
func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) }
