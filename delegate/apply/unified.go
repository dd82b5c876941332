package delegate

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// enable enables v2 controllers for the children of dir, each with a write of
// its own: one that cannot be enabled must not lose the others. Those become
// warnings, once each.
func (o *opening) enable(dir *cgroupfs.Dir, controllers []string) error {
	enabled, err := dir.Read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	has := strings.Fields(string(enabled))
	lacking := slices.DeleteFunc(slices.Clone(controllers), func(c string) bool {
		return slices.Contains(has, c) || o.warnedOf(c)
	})
	if len(lacking) == 0 {
		return nil
	}
	inhabited := isInhabited(dir)
	for _, c := range lacking {
		err := error(unix.EBUSY)
		if !inhabited {
			err = dir.Write("cgroup.subtree_control", "+"+c)
		}
		if errors.Is(err, unix.ENODEV) {
			return err // the cgroup itself is gone
		}
		if err != nil {
			o.warnings = append(o.warnings, &EnableError{Controller: c, Err: err})
		}
	}
	return nil
}

// isInhabited tells whether dir has processes of its own and is not the real
// root, which alone has no cgroup.events. The kernel then refuses most
// controllers with EBUSY, but accepts the threaded ones (cpu, cpuset, pids):
// that makes dir the root of a threaded subtree, in whose other cgroups no
// process can live, so no login either (cgroup-v2.rst, "Threads").
func isInhabited(dir *cgroupfs.Dir) bool {
	if _, err := dir.Read("cgroup.events"); err != nil {
		return false
	}
	pids, err := dir.Procs()
	return err == nil && len(pids) > 0
}

func (o *opening) warnedOf(controller string) bool {
	return slices.ContainsFunc(o.warnings, func(err error) bool {
		var e *EnableError
		return errors.As(err, &e) && e.Controller == controller
	})
}

// makeLeaf makes a v2 session's leaf and gives session and leaf to the user.
// The controllers come first: each brings files that must change owner too.
func (o *opening) makeLeaf(session *cgroupfs.Dir, controllers []string) (*cgroupfs.Dir, error) {
	if err := o.enable(session, controllers); err != nil {
		return nil, err
	}
	if err := session.Mkdir(leafName); err != nil {
		return nil, err
	}
	leaf, err := session.Open(leafName)
	if err != nil {
		return nil, err
	}
	if err := o.delegateBoth(session, leaf); err != nil {
		leaf.Close()
		return nil, err
	}
	return leaf, nil
}

// delegateBoth gives a session and its leaf to the user.
func (o *opening) delegateBoth(session, leaf *cgroupfs.Dir) error {
	files := DelegateeFiles(o.Machine)
	if err := delegateTo(session, files, o.UID, o.GID); err != nil {
		return err
	}
	return delegateTo(leaf, files, o.UID, o.GID)
}

// DelegateeFiles returns the files that a v2 cgroup's delegatee must own, as the
// kernel lists them (since 4.15; cgroups(7), "Cgroup delegation"). LXC takes a
// cgroup for its own only if it can write every one of them. Of a kernel that does
// not list them they are those that cgroup v2 had before.
func DelegateeFiles(m cgroupfs.Machine) []string {
	data, err := m.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		return []string{"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}
	}
	return strings.Fields(string(data))
}

func delegateTo(dir *cgroupfs.Dir, files []string, uid, gid int) error {
	if err := dir.Chown(uid, gid); err != nil {
		return err
	}
	for _, file := range files {
		err := dir.ChownFile(file, uid, gid)
		if err != nil && !errors.Is(err, unix.ENOENT) { // not every cgroup has every file
			return err
		}
	}
	return nil
}

// allowMoves lets the user move processes between its sessions: for that the
// kernel wants cgroup.procs of their common ancestor writable.
func allowMoves(user *cgroupfs.Dir, uid, gid int) error {
	return user.ChownFile("cgroup.procs", uid, gid)
}
