package apply

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// adoptAll adopts the scopes. After an error it gives back those that it had; kept says
// which it could not.
func (a *application) adoptAll() (kept []error, err error) {
	for i, s := range a.scopes {
		if err := a.adopt(s); err != nil {
			for _, done := range slices.Backward(a.scopes[:i+1]) {
				kept = append(kept, InHierarchy(done.Hierarchy, GiveBack(a.Machine, done.Hierarchy, done.Scope)))
			}
			return kept, InHierarchy(s.Hierarchy, err)
		}
	}
	return nil, nil
}

// hasScope tells whether a v1 scope is the user's already: it is that of the login in
// which this one is (su to oneself), and nothing that this one may take back. On v2
// that login's processes are in a leaf, and the plan adopts no scope from there.
func (a *application) hasScope(s *plan.Step) bool {
	if s.IsUnified() || a.UID == 0 {
		return false
	}
	scope, err := s.OpenBelow(s.Scope)
	if err != nil {
		return false // the adoption says why
	}
	defer scope.Close()
	info, err := scope.Info()
	return err == nil && info.UID == a.UID && info.GID == a.GID
}

// adopt gives a scope to the user. It moves no process out of it.
func (a *application) adopt(s *plan.Step) error {
	scope, err := s.OpenBelow(s.Scope)
	if err != nil {
		return err
	}
	defer scope.Close()
	if !s.IsUnified() {
		return scope.Chown(a.UID, a.GID)
	}
	if !a.Plan.Manager.KeepsScopes() {
		if err := a.enableAbove(s); err != nil {
			return err
		}
	}
	if err := a.fillLeaf(scope, s.Enable); err != nil {
		return err
	}
	if path.Dir(s.Scope) == s.Base {
		return nil // which is above everybody's sessions
	}
	return a.allowMovesInSlice(s)
}

// enableAbove enables controllers from the base down to the scope's parent, where
// the manager does not.
func (a *application) enableAbove(s *plan.Step) error {
	above := s.Base
	for {
		dir, err := s.OpenBelow(above)
		if err != nil {
			return err
		}
		err = a.enable(dir, s.Enable)
		dir.Close()
		if err != nil || above == path.Dir(s.Scope) {
			return err
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s.Scope, above), "/"), "/")
		above = path.Join(above, next)
	}
}

// fillLeaf moves all processes of a v2 scope into its leaf, enables controllers
// and gives both to the user.
func (a *application) fillLeaf(scope *cgroupfs.Dir, controllers []string) error {
	if err := scope.MkdirAny(layout.Leaf); err != nil {
		return err
	}
	leaf, err := scope.Open(layout.Leaf)
	if err != nil {
		return err
	}
	defer leaf.Close()
	if err := moveAll(scope, leaf); err != nil {
		return err
	}
	offered, err := scope.ReadWords("cgroup.controllers")
	if err != nil {
		return err
	}
	if !a.namesControllers() {
		controllers = slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return !slices.Contains(offered, c) })
	}
	if err := a.enable(scope, controllers); err != nil {
		return err
	}
	return a.delegateBoth(scope, leaf)
}

// namesControllers tells whether the list names what it wants, so that the log
// has to say what of it the scope lacks (the kernel's ENOENT).
func (a *application) namesControllers() bool {
	return !a.Controllers.All && !slices.Contains(a.Controllers.Names, hierarchy.Unified)
}

// moveRounds bounds how often moveAll looks again for processes that were
// started meanwhile.
const moveRounds = 100

// moveAll moves all processes from one cgroup to another. A process that ends
// while it is moved is no error.
func moveAll(from, to *cgroupfs.Dir) error {
	for range moveRounds {
		pids, err := from.Procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := to.Attach(pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("new processes keep coming into %s: %w", from.Path(), unix.EBUSY)
}

// allowMovesInSlice lets the user move processes between its own sessions: the
// common ancestor of their scopes is user-UID.slice. systemd makes that again for
// a user who comes back, so every login does this.
func (a *application) allowMovesInSlice(s *plan.Step) error {
	slice, err := s.OpenBelow(path.Dir(s.Scope))
	if err != nil {
		return err
	}
	defer slice.Close()
	return allowMoves(slice, a.UID, a.GID)
}

// GiveBack undoes the adoption of a scope, a path below the mount point, however far
// it came. What the user may do in the slice above stays: its other sessions need
// it. A scope that is gone is no error.
func GiveBack(m machine.Machine, h *hierarchy.Hierarchy, scopePath string) error {
	scope, err := h.OpenBelow(scopePath)
	if err != nil {
		return ignoreGone(err)
	}
	defer scope.Close()
	if !h.IsUnified() {
		return scope.Chown(0, 0)
	}
	if err := emptyLeaf(scope); err != nil {
		return ignoreGone(err)
	}
	return ignoreGone(delegateTo(scope, cgroupfs.DelegateFiles(m), 0, 0))
}

// emptyLeaf undoes fillLeaf.
func emptyLeaf(scope *cgroupfs.Dir) error {
	leaf, err := scope.Open(layout.Leaf)
	if err != nil {
		return ignoreGone(err)
	}
	defer leaf.Close()
	enabled, err := scope.ReadWords("cgroup.subtree_control")
	if err != nil {
		return err
	}
	for _, c := range enabled {
		if err := scope.Write("cgroup.subtree_control", "-"+c); err != nil {
			return err
		}
	}
	if err := moveAll(leaf, scope); err != nil {
		return err
	}
	return scope.Rmdir(layout.Leaf)
}

func ignoreGone(err error) error {
	if cgroupfs.IsGone(err) {
		return nil
	}
	return err
}

// LeaveScope moves the process out of a scope that nobody else removes, to the base:
// nobody knows where it was before the manager had it. A process that is elsewhere
// stays there.
func LeaveScope(m machine.Machine, mgr manager.Manager, h *hierarchy.Hierarchy, scope, member string, pid int) error {
	below, err := h.Below(member)
	if mgr.KeepsScopes() || err != nil || !strings.HasPrefix(below+"/", scope+"/") {
		return nil
	}
	if err := h.AttachToBase(pid); err != nil {
		return InHierarchy(h, err)
	}
	awaitNo(func() bool {
		dir, err := h.OpenBelow(scope)
		return err == nil && applicationIn(m, h, dir, pid)
	})
	return nil
}
