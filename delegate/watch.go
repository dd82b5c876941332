package delegate

import (
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/inotify"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Watch tells when it is worth cleaning up again: inotify(7) shows new sessions,
// by other processes too, and on v2 that the last process of one has ended
// (cgroup.events). On v1 only a look shows that.
type Watch struct {
	machine machine.Machine
	queue   *inotify.Queue
}

// NewWatch returns a Watch that sees nothing before Refresh. Its error is one of
// inotify_init1(2).
func NewWatch(m machine.Machine) (*Watch, error) {
	q, err := inotify.New()
	if err != nil {
		return nil, err
	}
	return &Watch{machine: m, queue: q}, nil
}

// Close ends a Wait, also that of another goroutine, with an error. So do all
// that come later.
func (w *Watch) Close() { w.queue.Close() }

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
	err = w.queue.Mark(func(m inotify.Marker) {
		for _, h := range set.All {
			mustPoll = markHierarchy(m, h) || mustPoll
		}
	})
	return mustPoll, err
}

// markHierarchy watches the base, user/, each user/NAME and on v2 each
// user/NAME/N/cgroup.events.
func markHierarchy(m inotify.Marker, h *hierarchy.Hierarchy) (mustPoll bool) {
	m.Children(h.BaseDir())
	users, err := layout.OpenUsers(h)
	if err != nil {
		return false
	}
	defer users.Close()
	m.Children(users)
	names, _, _ := users.Children(layout.MaxSessions)
	for _, name := range names {
		if user, err := users.Open(name); err == nil {
			mustPoll = markUser(m, user, h.IsUnified()) || mustPoll
			user.Close()
		}
	}
	return mustPoll
}

func markUser(m inotify.Marker, user *cgroupfs.Dir, unified bool) (mustPoll bool) {
	m.Children(user)
	names, _, _ := user.Children(layout.MaxSessions)
	for _, name := range names {
		if !layout.IsNumber(name) {
			continue
		}
		session, err := user.Open(name)
		if err != nil {
			continue
		}
		if !unified || !m.Changes(session, "cgroup.events") {
			mustPoll = true
		}
		session.Close()
	}
	return mustPoll
}

// settling is how long Wait lets things settle when something happened: a
// logout removes its session itself, a login makes a cgroup in every hierarchy,
// and a user who thaws and freezes a cgroup without end must not keep us busy.
const settling = 500 * time.Millisecond

// Wait waits until something happened that a Refresh and a cleanup may answer, or
// until patience is over. There is an error after Close, and if the kernel gives
// one.
func (w *Watch) Wait(patience time.Duration) error { return w.queue.Wait(patience, settling) }
