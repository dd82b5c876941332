package cgroupfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// childrenAtOnce is how many names are held of one cgroup.
const childrenAtOnce = 1 << 16

// RemoveBelow removes all cgroups below d, deepest first, and leaves d. It does
// not kill: cgroups with processes stay, with those above them, and RemoveBelow
// returns the kernel's EBUSY for one of them. A cgroup that goes meanwhile is no
// error.
//
// The budget counts what was removed and what could not be: the way down to the
// first of them does not count, so that each call makes a tree smaller, however
// deep it is. Only the deadline ends that, too. Then the error is ErrBudget.
func (d *Dir) RemoveBelow(b *Budget) error { return d.removeBelow(b, childrenAtOnce) }

func (d *Dir) removeBelow(b *Budget, atOnce int) error {
	r := removal{walker: walker{top: d, at: d}, Budget: b, atOnce: atOnce}
	defer r.leave()
	for {
		more, err := r.pass()
		switch {
		case err != nil:
			return err
		case r.busy != nil:
			return r.busy
		case !more:
			return nil
		}
	}
}

// RemoveTree removes the child called name and everything below it, as
// RemoveBelow does. A child that is not there is no error.
func (d *Dir) RemoveTree(name string, b *Budget) error {
	if err := component(name); err != nil {
		return d.fail("rmdir", name, err)
	}
	if err := b.take(); err != nil {
		return err
	}
	err := d.Rmdir(name)
	if !IsOccupied(err) {
		return ignoreGone(err)
	}
	child, err := d.Open(name)
	if err != nil {
		return ignoreGone(err)
	}
	err = child.RemoveBelow(b)
	child.Close()
	if err != nil {
		return err
	}
	return ignoreGone(d.Rmdir(name))
}

// removal is one run of RemoveBelow.
type removal struct {
	walker
	*Budget
	atOnce int   // how many names are held of one cgroup
	busy   error // the first cgroup that has processes
}

// IsOccupied tells whether a directory could not be removed because something is
// in it. Only other file systems than cgroups' tell that by ENOTEMPTY, such as the
// one that has a recorded machine.
func IsOccupied(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) }

// pass removes what is below the top as far as the names go that are held at once;
// more tells that some cgroup had others.
func (r *removal) pass() (more bool, err error) {
	left, more, err := r.at.Children(r.atOnce)
	if err != nil {
		return false, ignoreGone(err)
	}
	for {
		down, err := r.removeLeaves(&left)
		if err != nil {
			return false, err
		}
		switch {
		case down != "":
			var others bool
			if left, others = r.enter(down, left); others {
				r.markPartial()
				more = true
			}
		case len(r.levels) == 0:
			return more, nil
		default:
			from, err := r.up()
			if err != nil {
				return false, err
			}
			if left = from.left; !r.remove(from) {
				return false, ErrBudget
			}
		}
	}
}

// removeLeaves removes the named children that have none of their own, up to the
// first that has: down.
func (r *removal) removeLeaves(names *[]string) (down string, err error) {
	for len(*names) > 0 {
		name := (*names)[0]
		*names = (*names)[1:]
		if r.isLate() {
			return "", ErrBudget
		}
		err := r.at.Rmdir(name)
		switch {
		case IsOccupied(err):
			return name, nil
		case err != nil && !IsGone(err):
			r.keep(err)
		case r.take() != nil:
			return "", ErrBudget
		}
	}
	return "", nil
}

// enter goes into a child that could not be removed and returns its children. One
// that has none is busy with processes; what cannot be entered stays as well.
func (r *removal) enter(name string, left []string) (names []string, more bool) {
	if err := r.down(name, left); err != nil {
		if !IsGone(err) {
			r.keep(err)
		}
		return left, false
	}
	names, more, err := r.at.Children(r.atOnce)
	if err != nil && !IsGone(err) {
		r.keep(err)
	}
	return names, more
}

// remove removes a child whose own children are gone, as far as they were known; it
// returns false when the budget is used up.
func (r *removal) remove(child level) bool {
	err := r.at.Rmdir(child.name)
	switch {
	case err == nil || IsGone(err):
	case child.isPartial && IsOccupied(err):
		r.markPartial() // the next pass takes the others
	default:
		r.keep(err)
	}
	return r.take() == nil
}

// markPartial notes that the cgroup at which the walk is has children that this pass
// does not know.
func (r *removal) markPartial() {
	if len(r.levels) > 0 {
		r.levels[len(r.levels)-1].isPartial = true
	}
}

func (r *removal) keep(err error) {
	if r.busy == nil {
		r.busy = err
	}
}
