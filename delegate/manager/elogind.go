package manager

import (
	"path"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// elogind makes a cgroup for each session in one hierarchy: v2, or a named one of
// v1 (session_start_cgroup in its logind-session.c). It knows a process's session
// by the beginning of the path (cg_path_get_session), so a leaf in that cgroup
// does not hide the session, and one elsewhere would. It never looks at the
// cgroup again, nor removes it.
//
// There are three layouts. The cgroup is /ID; or a scope as systemd's where Debian
// builds it (since 252: "use libsystemd0 compatible cgroups"); and with
// DelegateSessionCgroups=yes (255.25, 257.15; elogind/elogind#344) it has two
// children: session for the login's processes, and delegated, which elogind gives
// to the user. Then there is nothing left to be done.
type elogind struct{ machine machine.Machine }

// elogindSessions is where elogind says what it knows of its sessions, a file
// each, for sd-login.
const elogindSessions = "/run/systemd/sessions"

// What elogind makes in a session's cgroup with DelegateSessionCgroups=yes.
const (
	elogindLeaf      = "session"
	elogindDelegated = "delegated"
)

// DelegatedElsewhereError says that a manager has given the user a cgroup for its
// containers by itself. It is no fault, and the session is left alone.
type DelegatedElsewhereError struct {
	Hierarchy string
	Cgroup    string // the user's, below the mount point
}

func (e *DelegatedElsewhereError) Error() string {
	return "hierarchy " + e.Hierarchy + ": elogind delegates " + e.Cgroup + " to the user; the login stays where it is"
}

func (elogind) Name() string { return ElogindName }

// Place adopts the cgroup if the session is of the user who logs in, and the
// process its leader: su in a session stays there, as a part of it.
func (e elogind) Place(h *hierarchy.Hierarchy, below string, l Login) Placement {
	session, id, itself := e.session(h, below)
	if id == "" || !e.machine.Exists(elogindSessions+"/"+id) {
		return Placement{}
	}
	uid, leader := e.read(id)
	delegated := path.Join(session, elogindDelegated)
	switch {
	case uid == l.UID && path.Base(below) == elogindLeaf && exists(h, delegated):
		return Placement{Leave: &DelegatedElsewhereError{Hierarchy: h.Name, Cgroup: delegated}}
	case uid == l.UID && leader == l.PID && itself:
		return Placement{Scope: below}
	}
	return Placement{Leave: &LeftAloneError{Hierarchy: h.Name, Cgroup: below}}
}

// session returns the path, below the mount point, of the session's cgroup in which
// another lies, its ID, "" if there is none, and whether it is that itself.
func (elogind) session(h *hierarchy.Hierarchy, below string) (session, id string, itself bool) {
	fromBase := h.FromBase(below)
	id, depth := elogindID(fromBase)
	if id == "" {
		return "", "", false
	}
	parts := strings.Split(strings.TrimPrefix(fromBase, "/"), "/")
	session = path.Join(h.Base, path.Join(parts[:depth]...))
	return session, id, len(parts) == depth
}

// elogindID returns the ID in the path, from the base on, of a session's cgroup or
// of one below, and how deep the former lies; "" for any other path.
func elogindID(fromBase string) (id string, depth int) {
	first, _, _ := strings.Cut(strings.TrimPrefix(fromBase, "/"), "/")
	if isElogindID(first) {
		return first, 1
	}
	if _, id, _, ok := sessionScope(fromBase); ok && isElogindID(id) {
		return id, 3
	}
	return "", 0
}

// isElogindID tells whether that may be a session's ID: the number that the
// kernel's audit gave the session, or elogind's own after a c.
func isElogindID(s string) bool {
	s = strings.TrimPrefix(s, "c")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// read returns whose session it is and the process that opened it, -1 for what is
// not known.
func (e elogind) read(id string) (uid, leader int) {
	data, err := e.machine.ReadFile(elogindSessions + "/" + id)
	if err != nil {
		return -1, -1
	}
	return parseElogindSession(string(data))
}

// parseElogindSession parses a session's file: lines of NAME=VALUE.
func parseElogindSession(data string) (uid, leader int) {
	uid, leader = -1, -1
	for line := range strings.Lines(data) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		n, err := strconv.ParseUint(value, 10, 32)
		switch {
		case err != nil:
		case name == "UID":
			uid = int(n)
		case name == "LEADER":
			leader = int(n)
		}
	}
	return uid, leader
}

// Scopes returns also those that elogind has forgotten: it leaves them behind.
func (elogind) Scopes(h *hierarchy.Hierarchy) []Scope {
	all := scopesIn(h)
	for _, id := range childrenOf(h, "") {
		if isElogindID(id) {
			all = append(all, Scope{Path: "/" + id, UID: -1})
		}
	}
	return all
}

func (elogind) InScope(fromBase string) (in, itself bool) {
	id, depth := elogindID(fromBase)
	return id != "", id != "" && strings.Count(fromBase, "/") == depth
}

func (elogind) KeepsScopes() bool { return false }
