package delegate

import (
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Watch tells when it is worth cleaning up again: inotify(7) shows new sessions,
// by other processes too (Linux 6.18, v1 and v2), and on v2 that the last
// process of one has ended (cgroup.events). On v1 only a look shows that.
type Watch struct {
	machine machine.Machine
	inotify *os.File
	marks   map[string]int // watch descriptors by what they are for
}

// NewWatch returns a Watch that sees nothing before Refresh.
func NewWatch(m machine.Machine) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &Watch{machine: m, inotify: os.NewFile(uintptr(fd), "inotify"), marks: map[string]int{}}, nil
}

// Close ends a Wait, also that of another goroutine, with an error. So do all
// that come later.
func (w *Watch) Close() { _ = w.inotify.Close() }

// Refresh watches the sessions that there are now, and where new ones will
// appear. MustPoll tells that there are sessions whose end nothing tells of.
// What cannot be watched is left to the next Refresh. Errors are those of /proc,
// and one after Close.
func (w *Watch) Refresh() (mustPoll bool, err error) {
	set, err := hierarchy.Find(w.machine)
	if err != nil {
		return false, err
	}
	defer set.Close()
	conn, err := w.inotify.SyscallConn()
	if err != nil {
		return false, err
	}
	err = conn.Control(func(fd uintptr) {
		r := refresh{Watch: w, fd: int(fd), marks: map[string]int{}}
		for _, h := range set.All {
			mustPoll = r.hierarchy(h) || mustPoll
		}
		r.forget()
	})
	return mustPoll, err
}

// refresh is one run of Refresh.
type refresh struct {
	*Watch
	fd    int
	marks map[string]int
}

const newChild = unix.IN_CREATE | unix.IN_ONLYDIR

// hierarchy watches the base, user/, each user/NAME and on v2 each
// user/NAME/N/cgroup.events.
func (r *refresh) hierarchy(h *hierarchy.Hierarchy) (mustPoll bool) {
	r.mark(h.BaseDir(), "", newChild)
	users, err := layout.OpenUsers(h)
	if err != nil {
		return false
	}
	defer users.Close()
	r.mark(users, "", newChild)
	names, _, _ := users.Children(layout.MaxSessions)
	for _, name := range names {
		if user, err := users.Open(name); err == nil {
			mustPoll = r.user(user, h.IsUnified()) || mustPoll
			user.Close()
		}
	}
	return mustPoll
}

func (r *refresh) user(user *cgroupfs.Dir, unified bool) (mustPoll bool) {
	r.mark(user, "", newChild)
	names, _, _ := user.Children(layout.MaxSessions)
	for _, name := range names {
		if !layout.IsNumber(name) {
			continue
		}
		session, err := user.Open(name)
		if err != nil {
			continue
		}
		if !unified || !r.mark(session, "cgroup.events", unix.IN_MODIFY) {
			mustPoll = true
		}
		session.Close()
	}
	return mustPoll
}

func (r *refresh) mark(dir *cgroupfs.Dir, name string, mask uint32) (ok bool) {
	wd, err := dir.AddWatch(r.fd, name, mask)
	if err == nil {
		r.marks[path.Join(dir.Path(), name)] = wd
	}
	return err == nil
}

// forget gives up the marks of what is gone. The kernel would keep them: kernfs
// tells inotify nothing of a cgroup's end. They count for max_user_watches.
func (r *refresh) forget() {
	for what, wd := range r.Watch.marks {
		if now, ok := r.marks[what]; !ok || now != wd {
			_, _ = unix.InotifyRmWatch(r.fd, uint32(wd))
		}
	}
	r.Watch.marks = r.marks
}

// settling is how long Wait lets things settle when something happened: a
// logout removes its session itself, a login makes a cgroup in every hierarchy,
// and a user who thaws and freezes a cgroup without end must not keep us busy.
const settling = 500 * time.Millisecond

// Wait waits until something happened that a Refresh and a cleanup may answer, or
// until patience is over. There is an error after Close, and if the kernel gives
// one.
func (w *Watch) Wait(patience time.Duration) error {
	if err := w.read(patience); err != nil {
		return ignoreDeadline(err)
	}
	time.Sleep(settling)
	for {
		if err := w.read(0); err != nil {
			return ignoreDeadline(err)
		}
	}
}

// read takes events out of the kernel's queue. What they say does not matter.
func (w *Watch) read(patience time.Duration) error {
	if err := w.inotify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := w.inotify.Read(make([]byte, 16<<10))
	return err
}

func ignoreDeadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
