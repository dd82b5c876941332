package apply

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

// EnableError says that a v2 controller could not be enabled for the session.
// EBUSY: there are processes in the cgroup itself, and it is not the root
// (the kernel's "no internal process" rule, Documentation/admin-guide/cgroup-v2.rst).
type EnableError struct {
	Controller string
	Err        error
}

func (e *EnableError) Error() string { return fmt.Sprintf("controller %s: %v", e.Controller, e.Err) }
func (e *EnableError) Unwrap() error { return e.Err }

// enable enables v2 controllers for the children of dir, each with a write of
// its own: one that cannot be enabled must not lose the others. Those become
// warnings, once each.
func (a *application) enable(dir *cgroupfs.Dir, controllers []string) error {
	has, err := dir.ReadWords("cgroup.subtree_control")
	if err != nil {
		return err
	}
	wanted := slices.DeleteFunc(lacking(has, controllers), a.warnedOf)
	if len(wanted) == 0 {
		return nil
	}
	inhabited := isInhabited(dir)
	for _, c := range wanted {
		err := error(unix.EBUSY)
		if !inhabited {
			err = dir.Write("cgroup.subtree_control", "+"+c)
		}
		if errors.Is(err, unix.ENODEV) {
			return err // the cgroup itself is gone
		}
		if err != nil {
			a.warnings = append(a.warnings, &EnableError{Controller: c, Err: err})
		}
	}
	return nil
}

// lacking returns those of the controllers that are not among the others.
func lacking(has, controllers []string) []string {
	return slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return slices.Contains(has, c) })
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

func (a *application) warnedOf(controller string) bool {
	return slices.ContainsFunc(a.warnings, func(err error) bool {
		var e *EnableError
		return errors.As(err, &e) && e.Controller == controller
	})
}

// makeLeaf makes a v2 session's leaf and gives session and leaf to the user, if the session
// was asked for. The controllers came before: each brings files that must change owner
// too.
func (a *application) makeLeaf(p *part, session *cgroupfs.Dir) (*cgroupfs.Dir, error) {
	if err := session.Mkdir(layout.Leaf); err != nil {
		return nil, err
	}
	leaf, err := session.Open(layout.Leaf)
	if err != nil {
		return nil, err
	}
	if p.ForLimits {
		return leaf, nil
	}
	if err := a.delegateBoth(session, leaf); err != nil {
		leaf.Close()
		return nil, err
	}
	return leaf, nil
}

// delegateBoth gives a session and its leaf to the user.
func (a *application) delegateBoth(session, leaf *cgroupfs.Dir) error {
	files := cgroupfs.DelegateFiles(a.Machine)
	if err := delegateTo(session, files, a.UID, a.GID); err != nil {
		return err
	}
	return delegateTo(leaf, files, a.UID, a.GID)
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
