package cgroupfs

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// ErrBudget says that a tree was too large, or took too long, to be walked to its
// end.
var ErrBudget = errors.New("too many cgroups to look at in the time that there is")

// Budget bounds walks of trees that a user owns. One Budget is shared by all the
// walks of one job. The zero Budget allows nothing. How deep a tree is does not
// matter: a walk needs two descriptors.
type Budget struct {
	Dirs     int       // directories that may still be visited, or removed
	Deadline time.Time // zero: no limit of time
	// Yields has a walk rest as long as it works: it takes the kernel's one lock for
	// all changes of cgroups (cgroup_mutex) at each step, and a processor.
	Yields bool

	worked int       // steps since the last rest
	since  time.Time // when that ended
}

// stepsAtOnce is after how many steps a walk that yields rests: a millisecond or less.
const stepsAtOnce = 32

// maxRest bounds a rest: on a loaded machine the steps take long because others work.
const maxRest = 20 * time.Millisecond

func (b *Budget) isLate() bool { return !b.Deadline.IsZero() && time.Now().After(b.Deadline) }

func (b *Budget) take() error {
	if b.Dirs <= 0 || b.isLate() {
		return ErrBudget
	}
	b.Dirs--
	if b.Yields {
		b.rest()
	}
	return nil
}

// rest sleeps as long as the steps took, if there were enough.
func (b *Budget) rest() {
	switch b.worked++; {
	case b.since.IsZero():
		b.since = time.Now()
	case b.worked >= stepsAtOnce:
		time.Sleep(min(time.Since(b.since), maxRest))
		b.worked, b.since = 0, time.Now()
	}
}

// walker is where a walk of a tree is. It goes down by a child's name and up by
// "..", and has no other descriptor than that of the cgroup at which it is.
type walker struct {
	top    *Dir // the caller's, never closed
	at     *Dir
	levels []level
}

// level is a cgroup on the way down to where the walk is.
type level struct {
	name  string   // of the child into which the walk went
	path  string   // of the cgroup itself
	inode uint64   // of it too, to know it again
	left  []string // its children that are still to be visited
	// isPartial tells that the child has more children than a removal knows.
	isPartial bool
}

// down goes into a child. Left are those of its siblings that come later.
func (w *walker) down(name string, left []string) error {
	inode, err := w.at.identity()
	if err != nil {
		return err
	}
	child, err := w.at.openPath(name)
	if err != nil {
		return err
	}
	child.path = shortPath(w.at.path, child.path)
	w.levels = append(w.levels, level{name: name, path: w.at.path, inode: inode, left: left})
	w.leave()
	w.at = child
	return nil
}

// maxPath bounds the paths that walks make for messages: in a tree that is ten
// thousand cgroups deep, whole ones would take hundreds of megabytes.
const maxPath = 1024

const omitted = "/..."

// shortPath returns the path of a child, or that of its parent with an ellipsis.
func shortPath(parent, child string) string {
	switch {
	case len(child) <= maxPath:
		return child
	case strings.HasSuffix(parent, omitted):
		return parent
	}
	return parent + omitted
}

// up goes back to the parent and returns the level that it left. The kernel lets
// nobody move a cgroup to another parent, so what is above is what was; that it is
// is looked at all the same.
func (w *walker) up() (from level, err error) {
	from = w.levels[len(w.levels)-1]
	w.levels = w.levels[:len(w.levels)-1]
	parent := w.top
	if len(w.levels) > 0 {
		if parent, err = w.at.openParent(from.inode, from.path); err != nil {
			return from, err
		}
	}
	w.leave()
	w.at = parent
	return from, nil
}

func (w *walker) leave() {
	if w.at != w.top {
		w.at.Close()
	}
}

// identity returns the directory's inode number.
func (d *Dir) identity() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return 0, d.fail("fstat", "", err)
	}
	return st.Ino, nil
}

// openParent opens the cgroup above, which has to be the one with that inode
// number on the same device; EXDEV if it is another.
func (d *Dir) openParent(inode uint64, where string) (*Dir, error) {
	fd, err := machine.OpenAt(d.fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, d.fail("open", "..", err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Dev != d.device || st.Ino != inode) {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return nil, d.fail("open", "..", err)
	}
	return d.at(fd, where), nil
}

// Visit walks d and all cgroups below, parents first, and calls look for each, until
// that returns false or an error. The directory is look's only while it runs. Errors are
// look's, ErrBudget, and those of Open; cgroups that go meanwhile are none.
func (d *Dir) Visit(b *Budget, look func(at *Dir) (goOn bool, err error)) error {
	return d.visit(b, look)
}

// visit walks d and all cgroups below, parents first, and calls look for each,
// until that returns false.
func (d *Dir) visit(b *Budget, look func(at *Dir) (goOn bool, err error)) error {
	w := &walker{top: d, at: d}
	defer w.leave()
	for {
		if err := b.take(); err != nil {
			return err
		}
		goOn, err := look(w.at)
		if err != nil || !goOn {
			return err
		}
		left, err := w.at.childrenWithin(b)
		if err != nil {
			return err
		}
		if done, err := w.next(left); done || err != nil {
			return err
		}
	}
}

// childrenWithin returns the names of the children; ErrBudget if they are too many.
func (d *Dir) childrenWithin(b *Budget) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err == nil && st.Nlink == noChildren {
		return nil, nil
	}
	names, more, err := d.Children(b.Dirs)
	if more {
		return nil, ErrBudget
	}
	return names, ignoreGone(err)
}

// next goes to the next cgroup that is still to be visited: the first of left,
// which are below, or else a sibling of an ancestor. Done tells that there is none.
func (w *walker) next(left []string) (done bool, err error) {
	for {
		for len(left) > 0 {
			name, rest := left[0], left[1:]
			if err := w.down(name, rest); err == nil {
				return false, nil
			} else if !IsGone(err) {
				return false, err
			}
			left = rest
		}
		if len(w.levels) == 0 {
			return true, nil
		}
		from, err := w.up()
		if err != nil {
			return false, err
		}
		left = from.left
	}
}

// Populated tells whether there is any process in d or below it. On v2 the
// kernel counts (cgroup.events); on v1 the tree is walked. Cgroups that go
// while it looks do not matter.
func (d *Dir) Populated(b *Budget) (populated bool, err error) {
	if d.unified {
		if events, err := d.Read("cgroup.events"); err == nil { // the real root has none
			return strings.Contains(string(events), "populated 1"), nil
		}
	}
	err = d.visit(b, func(at *Dir) (goOn bool, err error) {
		procs, err := at.Read("cgroup.procs")
		populated = err == nil && len(procs) > 0
		return !populated, ignoreGone(err)
	})
	return populated, err
}

// ProcsBelow returns the PIDs in d and below it. Beside an error it returns
// those that it found.
func (d *Dir) ProcsBelow(b *Budget) (pids []int, err error) {
	err = d.visit(b, func(at *Dir) (bool, error) {
		some, err := at.Procs()
		pids = append(pids, some...)
		if errors.Is(err, unix.EOPNOTSUPP) { // a threaded v2 cgroup shows its processes above
			err = nil
		}
		return true, ignoreGone(err)
	})
	return pids, err
}

func ignoreGone(err error) error {
	if IsGone(err) {
		return nil
	}
	return err
}
