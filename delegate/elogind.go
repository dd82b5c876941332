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

// elogind makes a cgroup for each session in one hierarchy: v2, or a named one of
// v1 (session_start_cgroup in its logind-session.c). It knows a process's session
// by the beginning of the path (cg_path_get_session), so a leaf in that cgroup
// does not hide the session, and one elsewhere would. It never looks at the
// cgroup again, nor removes it.

// elogindCgroup is the path of such a cgroup from the base on, and of those
// below: /ID, but a scope as systemd's where Debian builds it (since 252: "use
// libsystemd0 compatible cgroups"). The ID is the number that the kernel's audit
// gave the session, or elogind's own behind a c.
var elogindCgroup = regexp.MustCompile(`^/(?:(c?[0-9]+)|user\.slice/user-[0-9]+\.slice/session-(c?[0-9]+)\.scope)(/.*)?$`)

// elogindSession returns the ID in such a path, "" in any other, and whether it
// is that of the session's cgroup itself.
func elogindSession(relative string) (id string, itself bool) {
	match := elogindCgroup.FindStringSubmatch(relative)
	if match == nil {
		return "", false
	}
	return match[1] + match[2], match[3] == ""
}

// elogindSessions is where elogind says what it knows of its sessions, a file
// each, for sd-login.
const elogindSessions = "/run/systemd/sessions/"

// elogindCustody is custodyOf where systemd does not run. The cgroup is adopted
// if the session is of the user who logs in, and the process its leader: su in
// a session stays there, as a part of it.
func (o *opening) elogindCustody(h *hierarchy.Hierarchy, below string) custody {
	id, itself := elogindSession(fromBase(h, below))
	if id == "" || !o.Machine.Exists(elogindSessions+id) {
		return custody{}
	}
	uid, leader := readElogindSession(o.Machine, id)
	if itself && uid == o.UID && leader == o.PID {
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

// enableAbove enables controllers from the base down to the scope's parent, which
// systemd does for its scopes.
func (o *opening) enableAbove(p *part) error {
	above := p.Base
	for {
		dir, err := p.OpenBelow(o.Machine, above)
		if err != nil {
			return err
		}
		err = o.enable(dir, p.Enable)
		dir.Close()
		if err != nil || above == path.Dir(p.scope) {
			return err
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p.scope, above), "/"), "/")
		above = path.Join(above, next)
	}
}

// sweepElogind removes what is left of the user's sessions: those whose last
// process ended after the logout. Only an adopted one is the user's, and that
// has its host in it until the logout. What elogind says of it does not count:
// version 255 calls some sessions closing for ever (elogind/elogind#297).
func (o *opening) sweepElogind() {
	if o.UID == 0 {
		return // whose adopted sessions look like those of users without the module
	}
	for _, session := range o.elogind {
		h := hierarchyOf(o.found, session.Hierarchy)
		above := path.Dir(session.Path)
		parent, err := h.OpenBelow(o.Machine, above)
		if err != nil {
			continue
		}
		names, _, _ := parent.Children(maxSessions)
		for _, name := range names {
			if _, itself := elogindSession(fromBase(h, path.Join(above, name))); itself && owns(parent, name, o.UID) {
				_ = removeDeadChild(parent, name, sessionBudgets(o.SweepUntil))
			}
		}
		parent.Close()
	}
}

// adopted returns the sessions of elogind's that the open adopted.
func (r *CloseRequest) adopted() []hierarchy.Membership {
	if r.Opened == nil {
		return nil
	}
	return r.Opened.Elogind
}

// leaveElogind moves the process out of the sessions that were adopted, to the
// base: nobody knows where it was before elogind had it.
func (r *CloseRequest) leaveElogind(found []hierarchy.Hierarchy, members []hierarchy.Membership) (failed []error) {
	for _, session := range r.adopted() {
		h := hierarchyOf(found, session.Hierarchy)
		if h == nil {
			continue
		}
		below, err := h.Below(hierarchy.PathIn(members, h.Name))
		if err != nil || !strings.HasPrefix(below+"/", session.Path+"/") {
			continue
		}
		if err := moveBack(r.Machine, h, "", r.PID); err != nil {
			failed = append(failed, &HierarchyError{Hierarchy: h.Name, Err: err})
			continue
		}
		awaitNo(func() bool {
			dir, err := h.OpenBelow(r.Machine, session.Path)
			return err == nil && hostIn(r.Machine, h, dir, r.PID)
		})
	}
	return failed
}

// removeElogind removes the adopted sessions in which no process is. elogind
// leaves them where they are, and they are the user's.
func (r *CloseRequest) removeElogind(found []hierarchy.Hierarchy) (left []error) {
	for _, session := range r.adopted() {
		h := hierarchyOf(found, session.Hierarchy)
		if h == nil {
			continue
		}
		parent, err := h.OpenBelow(r.Machine, path.Dir(session.Path))
		if err == nil {
			err = removeDeadChild(parent, path.Base(session.Path), sessionBudgets(r.Until))
			if err == nil && path.Dir(session.Path) != h.Base {
				err = takeBackMoves(parent)
			}
			parent.Close()
		}
		if err != nil && !cgroupfs.IsGone(err) {
			left = append(left, &HierarchyError{Hierarchy: h.Name, Err: err})
		}
	}
	return left
}

// takeBackMoves undoes allowMoves in a slice without sessions. The slice stays:
// elogind may be about to make one in it.
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
