// Package inotify waits until a look at cgroups or files is worth it again: inotify(7) tells
// that something has changed, and what that means only the look says. It knows no layout, and
// does not keep what has changed.
package inotify

import (
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Queue is an inotify instance and its marks.
type Queue struct {
	file  *os.File
	marks map[string]int // watch descriptors by what they are for
}

// New returns a Queue without marks. Its error is one of inotify_init1(2): a user may have
// few of them (/proc/sys/fs/inotify/max_user_instances).
func New() (*Queue, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &Queue{file: os.NewFile(uintptr(fd), "inotify"), marks: map[string]int{}}, nil
}

// Close ends a Wait, also that of another goroutine, with an error. So do all that come
// later.
func (q *Queue) Close() { _ = q.file.Close() }

// Marker marks what is waited for, while Mark has it.
type Marker struct {
	fd    int
	marks map[string]int
}

// Mark calls look, and then gives up the marks that look has not made again. The kernel
// would keep them: kernfs tells inotify nothing of a cgroup's end, and they count for
// max_user_watches. There is an error after Close.
func (q *Queue) Mark(look func(Marker)) error {
	conn, err := q.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) {
		m := Marker{fd: int(fd), marks: map[string]int{}}
		look(m)
		for what, wd := range q.marks {
			if now, ok := m.marks[what]; !ok || now != wd {
				_, _ = unix.InotifyRmWatch(m.fd, uint32(wd))
			}
		}
		q.marks = m.marks
	})
}

// Children marks that a cgroup gets a child (Linux 6.18, v1 and v2). It returns false if that
// cannot be had.
func (m Marker) Children(dir *cgroupfs.Dir) (ok bool) {
	wd, err := dir.AddWatch(m.fd, "", unix.IN_CREATE|unix.IN_ONLYDIR)
	return m.add(dir.Path(), wd, err)
}

// Changes marks that a file of a cgroup changes, of which the kernel tells for some
// (Documentation/admin-guide/cgroup-v2.rst: «a file modified event»). It returns false if
// that cannot be had.
func (m Marker) Changes(dir *cgroupfs.Dir, name string) (ok bool) {
	wd, err := dir.AddWatch(m.fd, name, unix.IN_MODIFY)
	return m.add(path.Join(dir.Path(), name), wd, err)
}

// anyChange is what changes the files of a directory.
const anyChange = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ATTRIB | unix.IN_ONLYDIR

// Files marks that the files of a directory that is no cgroup change. It returns false if
// that cannot be had, as where there is no such directory.
func (m Marker) Files(dir string) (ok bool) {
	wd, err := unix.InotifyAddWatch(m.fd, dir, anyChange)
	return m.add(dir, wd, err)
}

func (m Marker) add(what string, wd int, err error) (ok bool) {
	if err == nil {
		m.marks[what] = wd
	}
	return err == nil
}

// Wait waits until something has changed, or until patience is over. What has changed is
// left to settle before it returns: more than one change may belong to one act, and who
// changes things without end must not keep us busy. There is an error after Close, and if
// the kernel gives one.
func (q *Queue) Wait(patience, settling time.Duration) error {
	if err := q.read(patience); err != nil {
		return ignoreDeadline(err)
	}
	time.Sleep(settling)
	for {
		if err := q.read(0); err != nil {
			return ignoreDeadline(err)
		}
	}
}

// read takes events out of the kernel's queue. What they say does not matter.
func (q *Queue) read(patience time.Duration) error {
	if err := q.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := q.file.Read(make([]byte, 16<<10))
	return err
}

func ignoreDeadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
