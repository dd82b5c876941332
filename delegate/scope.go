package delegate

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// On a machine that systemd runs, some cgroups are systemd's. A login must stay
// in the scope that logind made for it: logind and `systemd --user` know the
// session by it. Such a scope is adopted: given to the user, and on v2 with a
// leaf for the login's processes. systemd removes it, so a close has nothing to
// do (systemd.io/CGROUP_DELEGATION, systemd.scope(5)). What elogind makes for a
// session is adopted likewise, but for its end (elogind.go).

// custody is who has the cgroups of one hierarchy, for one process.
type custody struct {
	// scope is the cgroup to be adopted, below the mount point; empty: a
	// session of our own is made.
	scope string
	// alone says why the hierarchy is left alone; nil: it is not.
	alone error
}

// LeftAloneError says why a hierarchy that is a manager's own is not used for
// this login. It is no fault.
type LeftAloneError struct {
	Hierarchy string
	Cgroup    string // in which the process is
}

func (e *LeftAloneError) Error() string {
	return fmt.Sprintf("hierarchy %s: %s is systemd's or elogind's and no session scope of this user; left alone", e.Hierarchy, e.Cgroup)
}

// NotDelegatedError says that systemd does not know of the delegation of a
// scope: it would take the controllers away again at the next daemon-reload.
type NotDelegatedError struct{ Scope string }

func (e *NotDelegatedError) Error() string { return fmt.Sprintf("scope %s is not delegated", e.Scope) }

// sessionScope is how logind calls the cgroup of a user's session.
var sessionScope = regexp.MustCompile(`^/user\.slice/user-(\d+)\.slice/session-[^/]+\.scope$`)

// custodyOf tells who has a hierarchy on this machine, for a process at member
// (of /proc/PID/cgroup), logging in as uid.
func (o *opening) custodyOf(h *hierarchy.Hierarchy, member string) custody {
	below, err := h.Below(member)
	if err != nil {
		if o.booted {
			return custody{alone: err}
		}
		return custody{}
	}
	if !o.booted {
		return o.elogindCustody(h, below)
	}
	match := sessionScope.FindStringSubmatch(fromBase(h, below))
	isHis := match != nil && match[1] == fmt.Sprint(o.UID)
	onlyTracks := h.IsUnified() && o.hybrid // no controllers, and systemd's own bookkeeping
	switch {
	case isHis && !onlyTracks:
		return custody{scope: below}
	case h.Name == systemdName, h.IsUnified(), match != nil:
		return custody{alone: &LeftAloneError{Hierarchy: h.Name, Cgroup: below}}
	}
	return custody{}
}

// systemdName is the named v1 hierarchy in which a systemd on v1 keeps track of
// its units.
const systemdName = "name=systemd"

// adopt gives a scope to the user. It moves no process out of it.
func (o *opening) adopt(p *part) error {
	scope, err := p.OpenBelow(o.Machine, p.scope)
	if err != nil {
		return err
	}
	defer scope.Close()
	if !p.IsUnified() {
		return scope.Chown(o.UID, o.GID)
	}
	if o.booted && !isDelegated(scope) {
		return &NotDelegatedError{Scope: p.scope}
	}
	if !o.booted {
		if err := o.enableAbove(p); err != nil {
			return err
		}
	}
	if err := o.fillLeaf(scope, p.Enable); err != nil {
		_ = emptyLeaf(scope)
		return err
	}
	if path.Dir(p.scope) == p.Base {
		return nil // which is above everybody's sessions
	}
	return o.allowMovesInSlice(p)
}

// isDelegated looks for the mark that systemd sets on the cgroup of a unit with
// Delegate=: user.delegate since version 251, trusted.delegate before.
func isDelegated(scope *cgroupfs.Dir) bool {
	return scope.HasAttribute("user.delegate") || scope.HasAttribute("trusted.delegate")
}

// fillLeaf moves all processes of a v2 scope into its leaf, enables controllers
// and gives both to the user.
func (o *opening) fillLeaf(scope *cgroupfs.Dir, controllers []string) error {
	if err := scope.Mkdir(leafName); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	leaf, err := scope.Open(leafName)
	if err != nil {
		return err
	}
	defer leaf.Close()
	if err := moveAll(scope, leaf); err != nil {
		return err
	}
	offered, err := scope.Read("cgroup.controllers")
	if err != nil {
		return err
	}
	if !o.namesControllers() {
		has := strings.Fields(string(offered))
		controllers = slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return !slices.Contains(has, c) })
	}
	if err := o.enable(scope, controllers); err != nil {
		return err
	}
	return o.delegateBoth(scope, leaf)
}

// namesControllers tells whether the list names what it wants, so that the log
// has to say what of it the scope lacks (the kernel's ENOENT).
func (o *opening) namesControllers() bool {
	return !o.Controllers.All && !slices.Contains(o.Controllers.Names, hierarchy.Unified)
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
			if err := to.Enter(pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s does not come empty: %w", from.Path(), unix.EBUSY)
}

// emptyLeaf undoes fillLeaf.
func emptyLeaf(scope *cgroupfs.Dir) error {
	leaf, err := scope.Open(leafName)
	if cgroupfs.IsGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer leaf.Close()
	enabled, err := scope.Read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	for c := range strings.FieldsSeq(string(enabled)) {
		if err := scope.Write("cgroup.subtree_control", "-"+c); err != nil {
			return err
		}
	}
	if err := moveAll(leaf, scope); err != nil {
		return err
	}
	return scope.Rmdir(leafName)
}

// allowMovesInSlice lets the user move processes between its own sessions: the
// common ancestor of their scopes is user-UID.slice. systemd makes that anew, so
// every login does this again.
func (o *opening) allowMovesInSlice(p *part) error {
	slice, err := p.OpenBelow(o.Machine, path.Dir(p.scope))
	if err != nil {
		return err
	}
	defer slice.Close()
	return allowMoves(slice, o.UID, o.GID)
}
