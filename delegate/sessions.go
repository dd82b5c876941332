package delegate

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Session is user/NAME/N as it stands in the hierarchies, or a scope that was
// adopted, or both for one login.
type Session struct {
	// User is as PAM names it. Empty: there is no user/NAME/N, and the scope is
	// named after the user's ID only.
	User   string
	UID    int // of the owner
	Number int // N; -1: there is no user/NAME/N
	// Scope is the path, below the base, of the scope that a manager of logins
	// made and that was given to the user. Empty: there is none.
	Scope string
	// Own tells that the calling process is in it.
	Own bool
	// Leader is the process in it that was started first: the application, unless
	// somebody moved an older one in. The zero Process if there is none, or if
	// /proc does not show all of them.
	Leader machine.Process
	// Age is how long ago the leader was started. A session without processes
	// is at least that old: since the last change in the hierarchy where that
	// is longest ago. -1: not known.
	Age   time.Duration
	Parts []Part // in the order of /proc/PID/cgroup, the scope's last

	dead time.Time // when a session without processes was last changed
	// uncertain tells of a scope that nothing shows whether it was adopted.
	uncertain bool
}

// Part is a session's cgroup in one hierarchy.
type Part struct {
	Hierarchy string
	Path      string // below the mount point
	Dir       string // the whole path of the directory
	UID, GID  int    // who owns it
	// Adopted tells that it is a manager's scope.
	Adopted bool
	// Controllers are the v1 hierarchy's; on v2 those that are enabled for the
	// session's children.
	Controllers []string
	// Memory is in bytes, with that of the cgroups below; -1 where the
	// hierarchy does not count it.
	Memory int64
	// Processes are the PIDs in it and below, as the reader's PID namespace
	// numbers them (0: outside of it).
	Processes []int

	in *hierarchy.Hierarchy
}

// Processes returns how many processes the session has, in the hierarchy that
// has the most of them.
func (s *Session) Processes() int {
	most := 0
	for _, p := range s.Parts {
		most = max(most, len(p.Processes))
	}
	return most
}

// Memory returns how many bytes the session has in use, -1 if no hierarchy
// counts them.
func (s *Session) Memory() int64 {
	most := int64(-1)
	for _, p := range s.Parts {
		most = max(most, p.Memory)
	}
	return most
}

// Has tells whether the process is in the session.
func (s *Session) Has(pid int) bool {
	return slices.ContainsFunc(s.Parts, func(p Part) bool { return slices.Contains(p.Processes, pid) })
}

// Sessions returns all sessions of all users, sorted by user and number, those
// that are only a scope at the end; and an *hierarchy.UnusableError for every
// hierarchy that could not be looked at. It fails only on /proc itself.
func Sessions(m machine.Machine) (sessions []Session, unusable []error, err error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, nil, err
	}
	defer set.Close()
	for _, user := range layout.Users(set) {
		for _, n := range layout.Numbers(set, user) {
			if s := numbered(set, layout.ID{User: user, Number: n}); len(s.Parts) > 0 { // it may have ended meanwhile
				sessions = append(sessions, s)
			}
		}
	}
	scopes := adoptedScopes(m, set)
	for _, some := range [][]Session{sessions, scopes} {
		for i := range some {
			some[i].findLeader(m)
		}
	}
	sessions = joinScopes(sessions, scopes)
	markOwn(m, sessions)
	return sessions, set.Unusable, nil
}

// numbered returns the session user/NAME/N, without parts if there is none.
func numbered(set *hierarchy.Set, id layout.ID) Session {
	s := Session{User: layout.UserName(id.User), Number: id.Number}
	for _, h := range set.All {
		dir, err := id.Open(h)
		if err != nil {
			continue
		}
		s.add(Part{in: h, Path: id.Path(h)}, dir)
		dir.Close()
	}
	return s
}

// add adds a part, of which the path and the hierarchy are known, unless its
// cgroup went meanwhile.
func (s *Session) add(p Part, dir *cgroupfs.Dir) {
	info, err := dir.Info()
	if err != nil {
		return
	}
	p.Hierarchy, p.Dir, p.UID, p.GID = p.in.Name, dir.Path(), max(0, info.UID), max(0, info.GID)
	p.Processes, _ = dir.ProcsBelow(&cgroupfs.Budget{Dirs: 1 << 20})
	p.Memory = memoryIn(p.in, dir)
	p.Controllers = p.in.Controllers
	if p.in.IsUnified() {
		p.Controllers, _ = dir.ReadWords("cgroup.subtree_control")
	}
	if len(s.Parts) == 0 && !p.Adopted {
		s.UID = p.UID
	}
	s.Parts = append(s.Parts, p)
	if s.dead.IsZero() || info.Changed.Before(s.dead) {
		s.dead = info.Changed
	}
}

// memoryIn returns how many bytes the processes in a cgroup and below have in
// use, -1 where the hierarchy does not count them (cgroup-v1/memory.rst,
// cgroup-v2.rst).
func memoryIn(h *hierarchy.Hierarchy, dir *cgroupfs.Dir) int64 {
	file := "memory.current"
	if !h.IsUnified() {
		file = "memory.usage_in_bytes"
	}
	data, err := dir.Read(file)
	if err != nil {
		return -1
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return -1
	}
	return bytes
}

// oldest returns the process that was started first, the zero Process if there
// is none, or if one may not be looked at: that could be it.
func oldest(m machine.Machine, pids []int) machine.Process {
	var first machine.Process
	for _, pid := range pids {
		p, err := m.Process(pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return machine.Process{} // /proc is mounted with hidepid=1
		case err != nil: // it ended
		case first.PID == 0, p.Started < first.Started, p.Started == first.Started && p.PID < first.PID:
			first = p
		}
	}
	return first
}

// findLeader fills in leader and age.
func (s *Session) findLeader(m machine.Machine) {
	var pids []int
	for _, p := range s.Parts {
		pids = append(pids, p.Processes...)
	}
	slices.Sort(pids)
	s.Leader, s.Age = oldest(m, slices.Compact(pids)), -1
	uptime, err := m.Uptime()
	switch {
	case s.Leader.PID != 0 && err == nil:
		s.Age = max(0, uptime-s.Leader.Started)
	case len(pids) == 0 && !m.IsRecorded():
		s.Age = max(0, time.Since(s.dead))
	}
}

// joinScopes makes one session of those that are the same login: where systemd
// has some hierarchies to itself, a login has a scope there and user/NAME/N in
// the others. They have the same leader. A uncertain scope counts only so.
func joinScopes(sessions, scopes []Session) []Session {
	for _, scope := range scopes {
		at := slices.IndexFunc(sessions, func(s Session) bool {
			return s.Leader.PID != 0 && s.Leader.PID == scope.Leader.PID && s.Scope == ""
		})
		if at < 0 {
			if !scope.uncertain {
				sessions = append(sessions, scope)
			}
			continue
		}
		sessions[at].Scope = scope.Scope
		sessions[at].Parts = append(sessions[at].Parts, scope.Parts...)
	}
	return sessions
}

// markOwn marks the session in which the calling process is. Who changed user
// within a login is in a session of the other user's, and still in the login's
// scope; then only the former is marked.
func markOwn(m machine.Machine, sessions []Session) {
	data, err := m.ReadFile("/proc/self/cgroup")
	if err != nil {
		return
	}
	members, err := hierarchy.ParseMemberships(data)
	if err != nil {
		return
	}
	marked := false
	for _, adopted := range []bool{false, true} {
		for i := range sessions {
			if !marked || !adopted {
				sessions[i].Own = sessions[i].Own || sessions[i].holds(members, adopted)
			}
		}
		marked = slices.ContainsFunc(sessions, func(s Session) bool { return s.Own })
	}
}

// holds tells whether one of those cgroups is in a part of the session.
func (s *Session) holds(members []hierarchy.Membership, adopted bool) bool {
	return slices.ContainsFunc(s.Parts, func(p Part) bool {
		below, err := p.in.Below(hierarchy.PathIn(members, p.Hierarchy))
		return err == nil && p.Adopted == adopted && (below == p.Path || strings.HasPrefix(below, p.Path+"/"))
	})
}
