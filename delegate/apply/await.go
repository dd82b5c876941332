package apply

import (
	"slices"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Patience bounds how long a close, or an open that takes back what it made,
// waits for what is just ending of the application.
// The longest wait seen in 1,600 logouts by ssh on a loaded machine was 32 ms.
const Patience = 500 * time.Millisecond

// AwaitSession waits a moment for threads and children of the application that are
// just ending in the session that it has left, in these hierarchies.
//
// The kernel moves no thread that is exiting (PF_EXITING; cgroup_migrate_add_task
// in kernel/cgroup/cgroup.c), and counts it where it was. And sshd closes when its
// unprivileged child has announced its end and is just exiting (mm_answer_term in
// its monitor.c). Without the moment, one or two in a hundred logouts left their
// session behind, by ssh as by an application whose threads come and go.
//
// Nothing else is waited for: the user's processes are not children of the
// application.
func AwaitSession(m machine.Machine, in []*hierarchy.Hierarchy, id layout.ID, application int) {
	awaitNo(func() bool {
		return slices.ContainsFunc(in, func(h *hierarchy.Hierarchy) bool {
			dir, err := id.Open(h)
			return err == nil && applicationIn(m, h, dir, application)
		})
	})
}

// Departure bounds how long AwaitNobody waits.
const Departure = 2 * time.Second

// Cgroup is one that a login had: its session, or a scope.
type Cgroup struct {
	Hierarchy *hierarchy.Hierarchy
	Path      string // below the mount point
}

// AwaitNobody waits a moment until no process is in these cgroups themselves any more.
// It is for a close that nobody waits for: then the application may have ended, so that
// nothing tells which of the user's processes were its children. The longest that it
// waits is two seconds, where the user has left processes behind.
func AwaitNobody(in []Cgroup) {
	isIn := func(c Cgroup) bool {
		dir, err := c.Hierarchy.OpenBelow(c.Path)
		return err == nil && isOccupied(c.Hierarchy, dir)
	}
	deadline := time.Now().Add(Departure)
	for pause := time.Millisecond; time.Now().Before(deadline) && slices.ContainsFunc(in, isIn); pause = min(2*pause, 50*time.Millisecond) {
		time.Sleep(pause)
	}
}

// isOccupied tells whether a process is in a session, or on v2 in its leaf, and closes
// it.
func isOccupied(h *hierarchy.Hierarchy, dir *cgroupfs.Dir) bool {
	pids, isEnding, _ := processesIn(h, dir)
	return len(pids) > 0 || isEnding
}

// processesIn returns the processes that a session lists, or on v2 its leaf, and closes
// the session. IsEnding tells that it lists none, and one is just ending there.
func processesIn(h *hierarchy.Hierarchy, dir *cgroupfs.Dir) (pids []int, isEnding bool, err error) {
	defer dir.Close()
	if h.IsUnified() {
		leaf, err := dir.Open(layout.Leaf)
		if err != nil {
			return nil, false, err
		}
		defer leaf.Close()
		dir = leaf
	}
	pids, err = dir.Procs()
	return pids, len(pids) == 0 && h.IsUnified() && countsProcess(dir), err
}

// awaitNo waits until the condition no longer holds, Patience at most.
func awaitNo(condition func() bool) {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline) && condition(); {
		time.Sleep(time.Millisecond)
	}
}

// applicationIn tells whether something of the application is in a session, and
// closes the session.
//
// An exiting thread of the application shows as its own PID on v1. On v2 it shows
// only in that the leaf is populated and lists nobody; from Linux 7.0 on so does
// an exiting process, the application's child or not (commit a72f73c4dd9b).
func applicationIn(m machine.Machine, h *hierarchy.Hierarchy, dir *cgroupfs.Dir, application int) bool {
	pids, isEnding, err := processesIn(h, dir)
	if err != nil || isEnding {
		return err == nil
	}
	return slices.ContainsFunc(pids, func(pid int) bool {
		return pid == application || parentOf(m, pid) == application
	})
}

// parentOf returns the PID of the process's parent, 0 if that is not known.
func parentOf(m machine.Machine, pid int) int {
	p, err := m.Process(pid)
	if err != nil {
		return 0
	}
	return p.Parent
}

// countsProcess tells of a v2 cgroup whether the kernel counts a process in it; one
// below it does not matter. If the cgroup lists none, that one is just ending.
func countsProcess(dir *cgroupfs.Dir) bool {
	populated, err := dir.Populated(&cgroupfs.Budget{Dirs: 1})
	if err != nil || !populated {
		return false
	}
	below, _, err := dir.Children(1)
	return err == nil && len(below) == 0
}
