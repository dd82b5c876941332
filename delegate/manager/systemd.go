package manager

import (
	"fmt"
	"path"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// systemd's logind makes a scope for each login, and a login must stay in it:
// logind and `systemd --user` know the session by it. Such a scope is adopted:
// given to the user, and on v2 with a leaf for the login's processes. systemd
// removes it (systemd.io/CGROUP_DELEGATION, systemd.scope(5)).
type systemd struct {
	isHybrid bool // it keeps track of its units on v1
}

// trackingName is the named v1 hierarchy in which a systemd on v1 keeps track of
// its units.
const trackingName = "name=systemd"

// isBooted tells whether systemd runs the machine (sd_booted(3)). Where that was
// not recorded, the first process's cgroup tells: systemd alone has it in a scope.
func isBooted(m machine.Machine) bool {
	answer := m.Find("/run/systemd/system")
	if answer != machine.Unknown || !m.IsRecorded() {
		return answer == machine.Found
	}
	members, err := hierarchy.Memberships(m, 1)
	if err != nil {
		return false
	}
	for _, member := range members {
		if strings.HasSuffix(member.Path, "/init.scope") {
			return true
		}
	}
	return false
}

// ScopeNotDelegatedError says that systemd does not know of the delegation of a
// scope: it would take the controllers away again at the next daemon-reload.
type ScopeNotDelegatedError struct{ Scope string }

func (e *ScopeNotDelegatedError) Error() string {
	return fmt.Sprintf("scope %s is not delegated", e.Scope)
}

func (systemd) Name() string { return SystemdName }

func (s systemd) Place(h *hierarchy.Hierarchy, below string, l Login) Placement {
	uid, _, itself, isScope := sessionScope(h.FromBase(below))
	onlyTracks := h.IsUnified() && s.isHybrid // no controllers, and systemd's own bookkeeping
	leave := &LeftAloneError{Hierarchy: h.Name, Cgroup: below}
	switch {
	case isScope && itself && uid == l.UID && !onlyTracks:
		if h.IsUnified() && !isDelegated(h, below) {
			return Placement{Leave: &ScopeNotDelegatedError{Scope: below}}
		}
		return Placement{Scope: below}
	case h.Name == trackingName, h.IsUnified(), isScope, isInUnit(below), isOutside(below):
		return Placement{Leave: leave}
	case isService(below):
		return Placement{LeaveLimited: leave}
	}
	return Placement{}
}

// isService tells whether a cgroup is that of a service of systemd's. In a v1
// hierarchy the cgroup is there for what systemd limits, or only counts: a cron job
// stays under the TasksMax= of cron.service, and gets a freezer of its own; and a
// service that starts containers gets a session where systemd does no more than
// MemoryAccounting=, which is on by default.
func isService(below string) bool { return strings.HasSuffix(below, ".service") }

// isInUnit tells whether a cgroup is one of a scope of systemd's, which belongs to
// who asked for it, or one that somebody made below a scope or a service. Slices are
// common to many.
func isInUnit(below string) bool {
	if strings.HasSuffix(below, ".scope") {
		return true
	}
	for at := path.Dir(below); at != "/" && at != "."; at = path.Dir(at) {
		if isService(at) || strings.HasSuffix(at, ".scope") {
			return true
		}
	}
	return false
}

// isOutside tells whether a path of /proc/PID/cgroup is that of a process outside of
// this cgroup namespace, which whoever brought it in looks after.
func isOutside(member string) bool { return member == "/.." || strings.HasPrefix(member, "/../") }

// isDelegated looks for the mark that systemd sets on the cgroup of a unit with
// Delegate=. A machine that was recorded without it gets the benefit of the doubt.
func isDelegated(h *hierarchy.Hierarchy, below string) bool {
	dir, err := h.OpenBelow(below)
	if err != nil {
		return false
	}
	defer dir.Close()
	delegated, known := dir.IsDelegated()
	return delegated || !known
}

func (systemd) Scopes(h *hierarchy.Hierarchy) []Scope { return scopesIn(h) }

func (systemd) InScope(fromBase string) (in, itself bool) {
	_, _, itself, in = sessionScope(fromBase)
	return in, itself
}

func (systemd) KeepsScopes() bool { return true }
