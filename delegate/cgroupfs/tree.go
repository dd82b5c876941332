package cgroupfs

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBudget says that a tree was too large, too deep or took too long to be
// walked to its end.
var ErrBudget = errors.New("walk budget used up")

// Budget bounds walks of trees that a user owns. One Budget is shared by all
// the walks of one job. The
// zero Budget allows nothing.
type Budget struct {
	Dirs     int       // directories that may still be visited
	Depth    int       // how deep below the start
	Deadline time.Time // zero: no limit of time
}

func (b *Budget) take(depth int) error {
	if b.Dirs <= 0 || depth > b.Depth || (!b.Deadline.IsZero() && time.Now().After(b.Deadline)) {
		return ErrBudget
	}
	b.Dirs--
	return nil
}

// Populated tells whether there is any process in d or below it. On v2 the
// kernel counts (cgroup.events); on v1 the tree is walked. Cgroups that go
// while it looks do not matter.
func (d *Dir) Populated(b *Budget) (bool, error) { return d.populated(b, 0) }

func (d *Dir) populated(b *Budget, depth int) (bool, error) {
	if err := b.take(depth); err != nil {
		return false, err
	}
	if events, err := d.Read("cgroup.events"); err == nil {
		return strings.Contains(string(events), "populated 1"), nil
	}
	procs, err := d.Procs()
	if err != nil || len(procs) > 0 {
		return len(procs) > 0, ignoreGone(err)
	}
	names, more, err := d.Children(b.Dirs)
	if err != nil {
		return false, ignoreGone(err)
	}
	for _, name := range names {
		populated, err := d.childPopulated(name, b, depth+1)
		if populated || err != nil {
			return populated, err
		}
	}
	if more {
		return false, ErrBudget
	}
	return false, nil
}

func (d *Dir) childPopulated(name string, b *Budget, depth int) (bool, error) {
	child, err := d.Open(name)
	if err != nil {
		return false, ignoreGone(err)
	}
	defer child.Close()
	return child.populated(b, depth)
}

// ProcsBelow returns the PIDs in d and below it. Beside an error it returns
// those that it found.
func (d *Dir) ProcsBelow(b *Budget) ([]int, error) { return d.procsBelow(b, 0) }

func (d *Dir) procsBelow(b *Budget, depth int) ([]int, error) {
	if err := b.take(depth); err != nil {
		return nil, err
	}
	pids, err := d.Procs()
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) { // a threaded v2 cgroup shows its processes above
		return nil, ignoreGone(err)
	}
	names, more, err := d.Children(b.Dirs)
	if err != nil {
		return pids, ignoreGone(err)
	}
	for _, name := range names {
		child, err := d.Open(name)
		if err != nil {
			continue
		}
		below, err := child.procsBelow(b, depth+1)
		child.Close()
		pids = append(pids, below...)
		if errors.Is(err, ErrBudget) {
			return pids, err
		}
	}
	if more {
		return pids, ErrBudget
	}
	return pids, nil
}

// RemoveTree removes the child called name and everything below it, deepest
// first. It does not kill: cgroups with processes stay, with their parents,
// and RemoveTree returns the kernel's EBUSY. A child that is not there is no
// error.
func (d *Dir) RemoveTree(name string, b *Budget) error { return d.removeTree(name, b, 0) }

func (d *Dir) removeTree(name string, b *Budget, depth int) error {
	if err := b.take(depth); err != nil {
		return err
	}
	err := d.Rmdir(name)
	if !errors.Is(err, unix.EBUSY) {
		return ignoreGone(err)
	}
	if err := d.removeBelow(name, b, depth); err != nil {
		return err
	}
	return ignoreGone(d.Rmdir(name))
}

// removeBelow goes on after a busy cgroup, so that it does not save its
// siblings; only a used-up budget ends it. It returns the first error.
func (d *Dir) removeBelow(name string, b *Budget, depth int) error {
	dir, err := d.Open(name)
	if err != nil {
		return ignoreGone(err)
	}
	defer dir.Close()
	names, more, err := dir.Children(b.Dirs)
	if err != nil {
		return ignoreGone(err)
	}
	var first error
	for _, child := range names {
		err := dir.removeTree(child, b, depth+1)
		if errors.Is(err, ErrBudget) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil && more {
		return ErrBudget
	}
	return first
}

func ignoreGone(err error) error {
	if IsGone(err) {
		return nil
	}
	return err
}
