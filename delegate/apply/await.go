package delegate

import (
	"slices"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// hostPatience bounds how long a close, or an open that takes back what it made,
// waits for what is just ending of the host.
// The longest wait seen in 1,600 logouts by ssh on a loaded machine was 32 ms.
const hostPatience = 500 * time.Millisecond

// awaitHost waits a moment for threads and children of the host that are just
// ending in the session that the host has left.
//
// The kernel moves no thread that is exiting (PF_EXITING; cgroup_migrate_add_task
// in kernel/cgroup/cgroup.c), and counts it where it was. And sshd closes when its
// unprivileged child has announced its end and is just exiting (mm_answer_term in
// its monitor.c). Without the moment, one or two in a hundred logouts left their
// session behind, by ssh as by a host whose threads come and go.
//
// Nothing else is waited for: the user's processes are not children of the host.
func awaitHost(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string, number, host int) {
	awaitNo(func() bool {
		return slices.ContainsFunc(found, func(h hierarchy.Hierarchy) bool {
			return hostInSession(m, &h, dirName, number, host)
		})
	})
}

// awaitNo waits until the condition no longer holds, hostPatience at most.
func awaitNo(condition func() bool) {
	for deadline := time.Now().Add(hostPatience); time.Now().Before(deadline) && condition(); {
		time.Sleep(time.Millisecond)
	}
}

func hostInSession(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number, host int) bool {
	dir, err := openSession(m, h, dirName, number)
	return err == nil && hostIn(m, h, dir, host)
}

// hostIn is hostInSession for a session that is open, and closes it.
//
// An exiting thread of the host shows as the host's own PID on v1. On v2 it shows
// only in that the leaf is populated and lists nobody; from Linux 7.0 on so does
// an exiting process, the host's child or not (commit a72f73c4dd9b).
func hostIn(m cgroupfs.Machine, h *hierarchy.Hierarchy, dir *cgroupfs.Dir, host int) bool {
	defer dir.Close()
	if h.IsUnified() {
		leaf, err := dir.Open(leafName)
		if err != nil {
			return false
		}
		defer leaf.Close()
		dir = leaf
	}
	pids, err := dir.Procs()
	if err != nil {
		return false
	}
	if len(pids) == 0 && h.IsUnified() {
		return isEnding(dir)
	}
	return slices.ContainsFunc(pids, func(pid int) bool {
		return pid == host || parentOf(m, pid) == host
	})
}

// isEnding tells of a v2 cgroup that lists no process whether the kernel counts
// one, which then is just ending; one below it does not matter.
func isEnding(dir *cgroupfs.Dir) bool {
	populated, err := dir.Populated(&cgroupfs.Budget{Dirs: 1})
	if err != nil || !populated {
		return false
	}
	below, _, err := dir.Children(1)
	return err == nil && len(below) == 0
}
