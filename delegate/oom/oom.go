// Package oom sees what the kernel did to users because of a limit: processes that
// it killed for want of memory, and forks that it refused (pids.max).
//
// It compares counters of the users' cgroups between two looks, so that its work does
// not grow with the number of events, and adds what the kernel's log says of them, where
// that can be read. It changes nothing, and it must not know who is told of an event.
package oom

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/inotify"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Kind is what happened.
type Kind int

// The kinds of events.
const (
	Kill Kind = iota // the kernel killed a process for want of memory
	Fork             // the kernel refused a new process or thread (EAGAIN)
)

// Event is what happened to a user, for one limit, between two looks.
type Event struct {
	Kind  Kind
	User  string // as PAM names it; "" where only UID tells
	UID   int    // -1: not known
	Count int64  // how many processes were killed, or forks refused
	// Cgroup is where, as a path below the mount point: the cgroup of the processes, or
	// the nearest above it that is known.
	Cgroup  string
	Session int // N of user/NAME/N; -1: in none, or not known
	Limit   Limit
	// Victims are processes that were killed, at most MaxVictims of them. There are none
	// if the kernel's log does not tell.
	Victims []Victim
}

// MaxVictims bounds how many killed processes of an event are named.
const MaxVictims = 3

// Limit is what was reached. It is the nearest from the event's cgroup up.
type Limit struct {
	// File has it: memory.max, memory.limit_in_bytes, memory.memsw.limit_in_bytes or
	// pids.max. "": not known, or Machine.
	File  string
	Path  string // of the limit's cgroup, below the mount point
	Dir   string // of that, the whole path
	Value int64  // in bytes, or processes; -1: not known
	// Usage is what was in use when it was looked at, after the event, Peak the most
	// that ever was; -1: not known.
	Usage, Peak int64
	// Machine tells that no cgroup's limit was reached but the machine's own memory.
	Machine bool
}

// Victim is a process that the kernel killed.
type Victim struct {
	PID  int
	Name string // at most 15 bytes, as the process called itself: of any kind
	RSS  int64  // the memory that it had, in bytes; -1: not known
}

// Watch sees events.
type Watch struct {
	machine machine.Machine
	queue   *inotify.Queue
	log     *kernelLog
	// LogError says why the kernel's log is not read, so that nobody knows who was
	// killed; nil: it is.
	LogError error
	last     *snapshot // nil before the first look
	cost     time.Duration
}

// NewWatch returns a Watch that has seen nothing yet: the first Look only remembers what
// was counted before. Its error is one of inotify_init1(2).
func NewWatch(m machine.Machine) (*Watch, error) {
	q, err := inotify.New()
	if err != nil {
		return nil, err
	}
	w := &Watch{machine: m, queue: q}
	w.log, w.LogError = openKernelLog()
	return w, nil
}

// Close ends a Wait, also that of another goroutine, with an error.
func (w *Watch) Close() {
	w.queue.Close()
	w.log.close()
}

// Look returns what has happened since the last look. MustPoll tells that there are
// users' cgroups of which nothing tells when something happens there (v1). Errors are
// those of hierarchy.Find.
func (w *Watch) Look() (events []Event, mustPoll bool, err error) {
	begun := time.Now()
	var now *snapshot
	var unread error
	err = w.queue.Mark(func(mark inotify.Marker) { now, unread = read(w.machine, mark) })
	if err = errors.Join(err, unread); err != nil {
		return nil, false, err
	}
	defer now.set.Close()
	var records []record
	if w.log != nil {
		records = w.log.read() // after the counters: a process is counted before the log tells
	}
	if w.last != nil {
		records = append(w.last.unmatched, records...)
		events, now.unmatched = compare(w.last, now, records)
	}
	w.last, w.cost = now, time.Since(begun)
	return events, now.mustPoll, nil
}

// settling is how long Wait lets things settle at least. A user who hits a limit
// without end has the counters read, and not more often than that.
const settling = time.Second

// share bounds which part of the time is spent looking: one in so many.
const share = 20

// Wait waits until something happened that a Look may tell, or until patience is over.
// There is an error after Close, and if the kernel gives one.
func (w *Watch) Wait(patience time.Duration) error {
	return w.queue.Wait(patience, max(settling, share*w.cost))
}

// initialNamespaces are the inodes of the namespaces that the kernel's log speaks of
// (include/linux/proc_ns.h, PROC_PID_INIT_INO and PROC_CGROUP_INIT_INO).
var initialNamespaces = map[string]uint64{"pid": 0xeffffffc, "cgroup": 0xeffffffb}

// inInitialNamespaces tells whether PIDs and paths in the kernel's log mean here what
// they mean there.
func inInitialNamespaces() bool {
	for name, inode := range initialNamespaces {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+name, &st); err != nil && !os.IsNotExist(err) || err == nil && st.Ino != inode {
			return false
		}
	}
	return true
}
