// Package manager is who manages logins on a machine: systemd's logind, elogind,
// or nobody. Each has a file with all that is particular to it: which cgroups it
// makes for a login, what becomes of them, and what a login may therefore not do.
//
// It decides from what it reads and changes nothing. It must not know what a
// session of ours is given, nor how that is done.
package manager

import (
	"fmt"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Login is what a manager has to know of a login.
type Login struct {
	PID int // of the application that calls PAM
	UID int // of the user who logs in
}

// Placement is what a manager wants to become of one hierarchy for a login. The
// zero Placement leaves it to others.
type Placement struct {
	// Scope is the cgroup, below the mount point, that the manager made for this
	// login, and that may be given to the user; "": there is none.
	Scope string
	// Leave says why the hierarchy is to be left alone; nil: it is not.
	Leave error
	// LeaveLimited says why it is to be left alone if the process is under a limit
	// in it. The limit is the manager's, so the other hierarchies are free; nil:
	// whose limit it is, is not known.
	LeaveLimited error
}

// Scope is a cgroup that a manager made for a login.
type Scope struct {
	Path string // below the base
	UID  int    // whose login it is; -1 where the path does not tell
}

// Manager is who manages logins.
type Manager interface {
	// Name is what it is called: SystemdName, ElogindName; "" for nobody.
	Name() string
	// Place says what becomes of a hierarchy for a login whose process is in the
	// cgroup below, a path below the mount point; for one that is outside of it, as
	// /proc/PID/cgroup names it.
	Place(h *hierarchy.Hierarchy, below string, l Login) Placement
	// Scopes returns the cgroups that it made for logins in a hierarchy.
	Scopes(h *hierarchy.Hierarchy) []Scope
	// InScope tells whether a cgroup, by its path below the base, is one that it
	// made for a login, or below one; itself tells that it is the former.
	InScope(fromBase string) (in, itself bool)
	// KeepsScopes tells whether it looks after its scopes: enables controllers down
	// to them, and removes them when the login has ended.
	KeepsScopes() bool
}

// The managers' names.
const (
	SystemdName = "systemd"
	ElogindName = "elogind"
)

// Of returns who manages the logins of a machine.
func Of(m machine.Machine, set *hierarchy.Set) Manager {
	switch {
	case isBooted(m):
		return systemd{isHybrid: set.ByName(trackingName) != nil}
	case m.Exists(elogindSessions):
		return elogind{machine: m}
	}
	return none{}
}

// LeftAloneError says why a hierarchy that is a manager's own is not used for
// this login. It is no fault.
type LeftAloneError struct {
	Hierarchy string
	Cgroup    string // in which the process is
}

func (e *LeftAloneError) Error() string {
	return fmt.Sprintf("hierarchy %s: %s is systemd's or elogind's and no session scope of this user; the login stays there", e.Hierarchy, e.Cgroup)
}

// sessionScope takes apart the path, from the base on, of the cgroup that logind
// makes for a session, /user.slice/user-UID.slice/session-ID.scope, and of those
// below it.
func sessionScope(fromBase string) (uid int, id string, itself, ok bool) {
	parts := strings.SplitN(fromBase, "/", 5)
	if len(parts) < 4 || parts[0] != "" || parts[1] != UsersSlice {
		return 0, "", false, false
	}
	uid, isUser := UserOfSlice(parts[2])
	id, isSession := strings.CutPrefix(parts[3], "session-")
	id, isScope := strings.CutSuffix(id, ".scope")
	return uid, id, len(parts) == 4, isUser && isSession && isScope && id != ""
}

// scopesIn returns the cgroups that have the path of a session scope.
func scopesIn(h *hierarchy.Hierarchy) (all []Scope) {
	for _, slice := range childrenOf(h, UsersSlice) {
		for _, scope := range childrenOf(h, UsersSlice+"/"+slice) {
			path := "/" + UsersSlice + "/" + slice + "/" + scope
			if uid, _, _, ok := sessionScope(path); ok {
				all = append(all, Scope{Path: path, UID: uid})
			}
		}
	}
	return all
}

// childrenOf returns the names of the cgroups in one below the base, none if
// that cannot be read.
func childrenOf(h *hierarchy.Hierarchy, below string) []string {
	dir := h.BaseDir()
	if below != "" {
		var err error
		if dir, err = dir.OpenPath(below); err != nil {
			return nil
		}
		defer dir.Close()
	}
	names, _, _ := dir.Children(maxChildren)
	return names
}

// maxChildren bounds how many cgroups are looked at beside each other.
const maxChildren = 1 << 16

// exists tells whether there is a cgroup at a path below the mount point.
func exists(h *hierarchy.Hierarchy, below string) bool {
	dir, err := h.OpenBelow(below)
	if err == nil {
		dir.Close()
	}
	return err == nil || !cgroupfs.IsGone(err)
}
