package delegate

import (
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// Session is user/NAME/N as it stands in the hierarchies.
type Session struct {
	User   string
	Number int
	Parts  []Part // in the order of /proc/PID/cgroup
}

// Part is a session's cgroup in one hierarchy.
type Part struct {
	Hierarchy string
	Path      string // below the mount point
	UID, GID  int    // who owns it
	// Processes are the PIDs in it and below, as the reader's PID namespace
	// numbers them (0: outside of it).
	Processes []int
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

// Sessions returns all sessions of all users, sorted by user and number, and
// an *hierarchy.UnusableError for every hierarchy that could not be looked at.
// It fails only on /proc itself.
func Sessions(m cgroupfs.Machine) (sessions []Session, unusable []error, err error) {
	found, unusable, err := hierarchy.Discover(m)
	if err != nil {
		return nil, nil, err
	}
	for _, dirName := range userDirs(m, found) {
		for _, n := range numbersOf(m, found, dirName) {
			s := Session{User: UserName(dirName), Number: n}
			for i := range found {
				if p, ok := readPart(m, &found[i], dirName, n); ok {
					s.Parts = append(s.Parts, p)
				}
			}
			if len(s.Parts) > 0 { // it may have ended meanwhile
				sessions = append(sessions, s)
			}
		}
	}
	return sessions, unusable, nil
}

func readPart(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number int) (Part, bool) {
	dir, err := openSession(m, h, dirName, number)
	if err != nil {
		return Part{}, false
	}
	defer dir.Close()
	p := Part{Hierarchy: h.Name, Path: sessionPath(h, dirName, number)}
	if p.UID, p.GID, err = dir.Owner(); err != nil {
		return Part{}, false
	}
	p.Processes, _ = dir.ProcsBelow(&cgroupfs.Budget{Dirs: 1 << 20, Depth: 4096})
	return p, true
}
