// Package cleanup removes sessions that have no process any more, with all that
// their users made in them.
//
// What users made can be any size, so it is walked without a lock. A user's lock is
// held for two moments only: to list the user's sessions, which no login of theirs
// is then in the middle of making, and to remove the directories of those that were
// found dead. In between nobody can claim a session's number, because its directory
// is there.
//
// All changes of cgroups wait for one lock in the kernel. So the logins and logouts of
// a user remove more than a few cgroups one at a time (lock.Turn), and rest meanwhile.
// The package must not know how a session is made.
package cleanup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Cleaner removes sessions of one machine.
type Cleaner struct {
	Machine machine.Machine
	Set     *hierarchy.Set
	Locks   lock.Locks
	// Deadline is when to end; what is left then goes with a later cleanup. The
	// zero Time sets none.
	Deadline time.Time
	// Dirs bounds how many cgroups are looked at, and how many are removed, in each
	// hierarchy of each session.
	Dirs int
	// Yields leaves time to others: more than a few cgroups are removed in the user's
	// turn alone, and slowly.
	Yields bool
	// Patience is how long Session waits for a process that is just ending: it is in
	// no list any more, and the kernel counts it until it has left its processor for
	// the last time (Linux 7.0, and 6.18.44; cgroup_task_dead in kernel/cgroup/cgroup.c).
	Patience time.Duration

	turn *lock.Turn // of the user whose session it is at, while it yields
}

// Enough for any session that was not made to be large.
const (
	DirsInLogin = 4096    // while somebody waits
	DirsAtEase  = 1 << 24 // while nobody does: only the deadline counts
)

func (c *Cleaner) budget() *cgroupfs.Budget {
	return &cgroupfs.Budget{Dirs: c.Dirs, Deadline: c.Deadline}
}

// fewDirs is how many cgroups of a session, in each hierarchy, are removed without a
// turn: more than any that was made by hand, and done in a few milliseconds.
const fewDirs = 64

// isLate tells whether it is time to end.
func (c *Cleaner) isLate() bool { return !c.Deadline.IsZero() && time.Now().After(c.Deadline) }

// presence is a session's directory in one hierarchy.
type presence struct {
	h             *hierarchy.Hierarchy
	dir           *cgroupfs.Dir
	cgroupfs.Info // its inode number, by which it is known again
}

// find opens the session's directories in all hierarchies.
func (c *Cleaner) find(id layout.ID) (in []presence, err error) {
	for _, h := range c.Set.All {
		dir, err := id.Open(h)
		if cgroupfs.IsGone(err) || errors.Is(err, machine.ErrNotRecorded) { // a dry run has what a recording has
			continue
		}
		if err == nil {
			var info cgroupfs.Info
			if info, err = dir.Info(); err == nil {
				in = append(in, presence{h, dir, info})
				continue
			}
			dir.Close()
		}
		closeAll(in)
		return nil, apply.InHierarchy(h, err)
	}
	return in, nil
}

func closeAll(in []presence) {
	for _, p := range in {
		p.dir.Close()
	}
}

// Look returns nil if a session has a process in no hierarchy. Errors are
// *apply.HierarchyError; EBUSY: it is alive.
func (c *Cleaner) Look(id layout.ID) error {
	in, err := c.find(id)
	if err != nil {
		return err
	}
	defer closeAll(in)
	_, err = c.look(id, in)
	return err
}

// look is Look. IsListed tells that the kernel lists a process of the session; on v2 it
// may be one that it only counts.
func (c *Cleaner) look(id layout.ID, in []presence) (isListed bool, err error) {
	for _, p := range in {
		alive, err := p.dir.Populated(c.budget())
		isListed = alive && !p.h.IsUnified()
		if errors.Is(err, cgroupfs.ErrBudget) && !c.isLate() { // looking at all processes takes long, too
			alive, err = c.hasProcess(id, p.h)
			isListed = alive
		}
		if err == nil && alive {
			err = fmt.Errorf("%s has processes: %w", id.Path(p.h), unix.EBUSY)
		}
		if err != nil {
			return isListed, apply.InHierarchy(p.h, err)
		}
	}
	return false, nil
}

// hasProcess answers the question of Populated from the other side: is there a
// process that says it is in the session? Its cost does not grow with the tree
// that the user made.
func (c *Cleaner) hasProcess(id layout.ID, in ...*hierarchy.Hierarchy) (bool, error) {
	pids, err := c.Machine.Processes()
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		members, err := hierarchy.Memberships(c.Machine, pid)
		if err != nil {
			continue // it ended
		}
		for _, h := range in {
			if at, ok := layout.SessionOf(h, hierarchy.PathIn(members, h.Name)); ok && at == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// Session removes a session that has a process in no hierarchy, then user/NAME if
// that was its last. It takes the user's lock for the end of that, and goes on
// without if it is not to be had. Errors are those of Look, and one for each
// hierarchy in which something is left.
func (c *Cleaner) Session(id layout.ID) error {
	deadline := time.Now().Add(c.Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		isListed, err := c.session(id)
		isEnding := errors.Is(err, unix.EBUSY) && !isListed && !c.isLate() && time.Now().Add(pause).Before(deadline)
		if !isEnding {
			return err
		}
		if has, lost := c.hasProcess(id, c.Set.All...); has || lost != nil {
			return err
		}
		time.Sleep(pause)
	}
}

// session is Session without patience. IsListed tells that a process is in the session.
func (c *Cleaner) session(id layout.ID) (isListed bool, err error) {
	in, err := c.find(id)
	if err != nil {
		return false, err
	}
	defer closeAll(in)
	if isListed, err := c.look(id, in); err != nil {
		return isListed, err
	}
	var left []error
	fail := func(h *hierarchy.Hierarchy, err error) {
		left = append(left, apply.InHierarchy(h, err))
	}
	var empty []presence
	for _, p := range in {
		if err := c.empty(p, id.User); err != nil {
			fail(p.h, err)
		} else {
			empty = append(empty, p)
		}
	}
	held, _ := c.Locks.Acquire(id.User)
	defer held.Release()
	for _, p := range empty {
		if err := p.remove(id); err != nil {
			fail(p.h, err)
		}
	}
	// also where another hierarchy keeps the session, and where the session is not: who was to
	// remove both may have been killed in between
	left = append(left, c.removeUser(id.User, held))
	return false, errors.Join(left...)
}

// empty removes what is below. Beyond a few cgroups that takes the user's turn, which
// then goes on until Rest.
func (c *Cleaner) empty(p presence, user string) error {
	budget := c.budget()
	switch {
	case !p.HasChildren:
		return nil
	case !c.Yields:
		return p.dir.RemoveBelow(budget)
	}
	budget.Dirs = min(budget.Dirs, fewDirs)
	err := p.dir.RemoveBelow(budget)
	if !errors.Is(err, cgroupfs.ErrBudget) || c.isLate() || c.Dirs <= fewDirs {
		return err
	}
	if err := c.takeTurn(user); err != nil {
		return err
	}
	budget = c.budget()
	budget.Yields = true
	return p.dir.RemoveBelow(budget)
}

// takeTurn takes the user's turn, if that was not done already. The error is
// lock.ErrTaken: where there can be no locks, everybody goes on.
func (c *Cleaner) takeTurn(user string) (err error) {
	if !c.Yields || c.turn != nil {
		return nil
	}
	if c.turn, err = c.Locks.TakeTurn(user); errors.Is(err, lock.ErrTaken) {
		return err
	}
	return nil
}

// Rest ends the user's turn, if Session or Others took it. What others have left to it
// meanwhile is removed as well.
func (c *Cleaner) Rest(user string, inUse []int) {
	for c.endTurn() && !c.isLate() {
		numbers, err := c.List(user)
		if err != nil {
			return
		}
		c.Others(user, numbers, inUse)
	}
}

func (c *Cleaner) endTurn() (more bool) {
	turn := c.turn
	c.turn = nil
	return turn.End()
}

// remove removes the session's directory, if it is still the same.
func (p *presence) remove(id layout.ID) error {
	inode, err := id.Inode(p.h)
	if err == nil && inode == p.Inode {
		err = id.Remove(p.h)
	}
	if cgroupfs.IsGone(err) {
		return nil
	}
	return err
}

// removeUser removes user/NAME in all hierarchies if it is empty, and then the
// lock's file, which is held. That there are other sessions is no error.
func (c *Cleaner) removeUser(user string, held *lock.Held) error {
	gone := true
	var left []error
	for _, h := range c.Set.All {
		err := layout.RemoveUser(h, user)
		isGone := err == nil || cgroupfs.IsGone(err) || errors.Is(err, machine.ErrNotRecorded)
		gone = gone && isGone
		if !isGone && !cgroupfs.IsOccupied(err) {
			left = append(left, apply.InHierarchy(h, err))
		}
	}
	if gone {
		held.Remove()
	}
	return errors.Join(left...)
}

// Others removes the dead ones among sessions of a user that List, or a login under
// the user's lock, has seen, but for those in use. What cannot be removed, or not in
// time, stays for later; all of it if another process has the user's turn.
func (c *Cleaner) Others(user string, numbers, inUse []int) {
	if len(numbers) == 0 || c.takeTurn(user) != nil {
		return
	}
	patience := c.Patience
	c.Patience = 0 // these have the next login
	defer func() { c.Patience = patience }()
	for _, n := range numbers {
		if c.isLate() {
			return
		}
		if !slices.Contains(inUse, n) {
			_ = c.Session(layout.ID{User: user, Number: n})
		}
	}
}

// Cleaned is a session that All looked at.
type Cleaned struct {
	User   string
	Number int
	// Left says why it is still there; nil: it was dead and is removed, or
	// would be. EBUSY: it is alive.
	Left error
}

// patience bounds what is spent on one session: enough for any real tree, and an
// end to one that grows while it is removed.
const patience = 2 * time.Minute

// All removes the dead sessions of these users, and user/NAME of those that have
// none; with dryRun it only tells which. A user whose lock is not to be had does not
// keep the others': the error is the first of List's, beside what was cleaned.
func (c *Cleaner) All(users []string, dryRun bool) (all []Cleaned, first error) {
	for _, user := range users {
		cleaned, err := c.user(user, dryRun)
		all = append(all, cleaned...)
		if first == nil {
			first = err
		}
	}
	return all, first
}

// user is All for one user.
func (c *Cleaner) user(user string, dryRun bool) (all []Cleaned, err error) {
	list, clean := c.List, c.Session
	if dryRun {
		list = func(user string) ([]int, error) { return layout.Numbers(c.Set, user), nil }
		clean = c.Look
	}
	numbers, err := list(user)
	for _, n := range numbers {
		c.Deadline = time.Now().Add(patience)
		all = append(all, Cleaned{User: layout.UserName(user), Number: n, Left: clean(layout.ID{User: user, Number: n})})
	}
	if len(numbers) > 0 { // user/NAME is also where the session was not, if a worker was killed
		_, err = list(user)
	}
	return all, err
}

// List lists a user's sessions, none of which is just being made; and removes a
// user/NAME that has none. Errors are *lock.Error, and *apply.HierarchyError where that
// cannot be removed.
func (c *Cleaner) List(user string) ([]int, error) {
	held, err := c.Locks.Acquire(user)
	if err != nil {
		return nil, err
	}
	defer held.Release()
	numbers := layout.Numbers(c.Set, user)
	if len(numbers) == 0 {
		return nil, c.removeUser(user, held)
	}
	return numbers, nil
}
