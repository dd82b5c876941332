package cleanup

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Scope removes an adopted scope in which no process is, where the manager does not,
// and takes back what the user might do in the slice above if that was the last in
// it. The slice stays: the manager may be about to make a scope in it. A scope that
// is gone is no error.
func (c *Cleaner) Scope(mgr manager.Manager, h *hierarchy.Hierarchy, scope string) error {
	if mgr.KeepsScopes() {
		return nil
	}
	parent, err := h.OpenBelow(path.Dir(scope))
	if err == nil {
		defer parent.Close()
		err = c.deadChild(parent, path.Base(scope))
		if err == nil && path.Dir(scope) != h.Base {
			err = takeBackMoves(parent)
		}
	}
	if err == nil || cgroupfs.IsGone(err) {
		return nil
	}
	return apply.InHierarchy(h, err)
}

// takeBackMoves undoes what an adoption allowed in a slice, if it has no sessions.
func takeBackMoves(slice *cgroupfs.Dir) error {
	sessions, _, err := slice.Children(1)
	if err != nil || len(sessions) > 0 {
		return err
	}
	err = slice.ChownFile("cgroup.procs", 0, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// deadChild removes a cgroup with all that is below, if it has no process.
func (c *Cleaner) deadChild(parent *cgroupfs.Dir, name string) error {
	dir, err := parent.Open(name)
	if cgroupfs.IsGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	alive, err := dir.Populated(c.budget())
	if err == nil && alive {
		err = fmt.Errorf("%s has processes: %w", dir.Path(), unix.EBUSY)
	}
	if err != nil {
		return err
	}
	return parent.RemoveTree(name, c.budget())
}

// OtherScopes removes what is left of the user's sessions beside an adopted scope:
// those whose last process ended after the logout. Only an adopted one is the
// user's, and that has its application in it until the logout. What the manager
// says of it does not count: elogind 255 calls some sessions closing for ever
// (elogind/elogind#297).
func (c *Cleaner) OtherScopes(mgr manager.Manager, h *hierarchy.Hierarchy, scope string, uid int) {
	if mgr.KeepsScopes() || uid == 0 {
		return // root's adopted ones look like those of users without the module
	}
	above := path.Dir(scope)
	parent, err := h.OpenBelow(above)
	if err != nil {
		return
	}
	defer parent.Close()
	names, _, _ := parent.Children(layout.MaxSessions)
	for _, name := range names {
		_, isScope := mgr.InScope(h.FromBase(path.Join(above, name)))
		if isScope && owns(parent, name, uid) {
			_ = c.deadChild(parent, name)
		}
	}
}

func owns(parent *cgroupfs.Dir, name string, uid int) bool {
	dir, err := parent.Open(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	info, err := dir.Info()
	return err == nil && info.UID == uid
}
