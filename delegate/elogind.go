package delegate

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// elogind makes a cgroup for each session right below the base, in one
// hierarchy: v2, or a named one of v1 (session_start_cgroup in its
// logind-session.c). It knows a process's session by the first component of the
// path (cg_path_get_session), so a leaf in that cgroup does not hide the
// session, and one elsewhere would. It never looks at the cgroup again, nor
// removes it.

// elogindCgroup is the path of such a cgroup from the base on, and of those
// below: the session's ID is the number that the kernel's audit gave it, or
// elogind's own behind a c.
var elogindCgroup = regexp.MustCompile(`^/(c?[0-9]+)(/.*)?$`)

// elogindSessions is where elogind says what it knows of its sessions, a file
// each, for sd-login.
const elogindSessions = "/run/systemd/sessions/"

// elogindCustody is custodyOf where systemd does not run. The cgroup is adopted
// if the session is of the user who logs in, and the process its leader: su in
// a session stays there, as a part of it.
func (o *opening) elogindCustody(h *hierarchy.Hierarchy, below string) custody {
	match := elogindCgroup.FindStringSubmatch(fromBase(h, below))
	if match == nil || !o.Machine.Exists(elogindSessions+match[1]) {
		return custody{}
	}
	uid, leader := readElogindSession(o.Machine, match[1])
	if match[2] == "" && uid == o.UID && leader == o.PID {
		return custody{scope: below}
	}
	return custody{alone: &LeftAloneError{Hierarchy: h.Name, Cgroup: below}}
}

// readElogindSession returns whose session it is and the process that opened
// it, -1 for what is not known.
func readElogindSession(m cgroupfs.Machine, id string) (uid, leader int) {
	uid, leader = -1, -1
	data, err := m.ReadFile(elogindSessions + id)
	if err != nil {
		return uid, leader
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
		case name == "UID":
			uid = n
		case name == "LEADER":
			leader = n
		}
	}
	return uid, leader
}

// sweepElogind removes what is left of the user's sessions that elogind has
// forgotten: those whose last process ended after the logout. Only an adopted
// one is the user's.
func (o *opening) sweepElogind() {
	if o.UID == 0 {
		return // whose adopted sessions look like all others
	}
	for _, session := range o.elogind {
		h := hierarchyOf(o.found, session.Hierarchy)
		base, err := h.OpenBase(o.Machine)
		if err != nil {
			continue
		}
		names, _, _ := base.Children(maxSessions)
		for _, id := range names {
			if elogindCgroup.MatchString("/"+id) && !o.Machine.Exists(elogindSessions+id) && owns(base, id, o.UID) {
				_ = removeDeadChild(base, id, sessionBudgets(o.SweepUntil))
			}
		}
		base.Close()
	}
}

// closeElogind takes the process out of the sessions that were adopted and
// removes those in which no other is: elogind leaves them where they are, and
// they are the user's.
func (r *CloseRequest) closeElogind(found []hierarchy.Hierarchy, members []hierarchy.Membership) error {
	if r.Opened == nil {
		return nil
	}
	var left []error
	for _, session := range r.Opened.Elogind {
		h := hierarchyOf(found, session.Hierarchy)
		if h == nil {
			continue
		}
		if err := r.closeOneElogind(h, session.Path, hierarchy.PathIn(members, h.Name)); err != nil {
			left = append(left, &HierarchyError{Hierarchy: h.Name, Err: err})
		}
	}
	return errors.Join(left...)
}

func (r *CloseRequest) closeOneElogind(h *hierarchy.Hierarchy, session, member string) error {
	base, err := h.OpenBase(r.Machine)
	if err != nil {
		return err
	}
	defer base.Close()
	if below, err := h.Below(member); err == nil && strings.HasPrefix(below+"/", session+"/") {
		if err := base.Enter(r.PID); err != nil {
			return err
		}
	}
	id := path.Base(session)
	awaitNo(func() bool {
		dir, err := base.Open(id)
		return err == nil && hasChildIn(r.Machine, h, dir, r.PID)
	})
	return removeDeadChild(base, id, sessionBudgets(r.Until))
}

// removeDeadChild removes a cgroup with all that is below, if it has no process.
func removeDeadChild(parent *cgroupfs.Dir, name string, b budgets) error {
	dir, err := parent.Open(name)
	if cgroupfs.IsGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	alive, err := dir.Populated(b.look)
	if err == nil && alive {
		err = fmt.Errorf("%s has processes: %w", dir.Path(), unix.EBUSY)
	}
	if err != nil {
		return err
	}
	return parent.RemoveTree(name, b.remove)
}

func owns(parent *cgroupfs.Dir, name string, uid int) bool {
	dir, err := parent.Open(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	owner, _, err := dir.Owner()
	return err == nil && owner == uid
}

func hierarchyOf(found []hierarchy.Hierarchy, name string) *hierarchy.Hierarchy {
	i := slices.IndexFunc(found, func(h hierarchy.Hierarchy) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return &found[i]
}
