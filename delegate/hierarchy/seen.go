package hierarchy

import (
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Mounted is what mountinfo alone tells of a hierarchy: no cgroup was looked at, and
// the base is not known.
type Mounted struct {
	Name     string // as in /proc/PID/cgroup
	Point    string
	ReadOnly bool
	// Stale tells that every mount of it was made before the cgroup namespace was:
	// nobody can find its own cgroup there (Hierarchy.Below).
	Stale bool
}

// IsUnified tells whether it is the v2 hierarchy.
func (h *Mounted) IsUnified() bool { return h.Name == Unified }

// Mounts are the mounts of cgroup file systems, of a machine of which perhaps no more is
// known.
type Mounts struct {
	All []Mounted // in the order of the members
	// IsWhole tells that mountinfo has all mounts, as far as can be told: that of the
	// root directory is among them, and each line was understood.
	IsWhole bool
	// HasAny tells that there is a cgroup mount, of whichever hierarchy.
	HasAny bool
}

// Seen returns what mountinfo tells of the hierarchies of these members, whichever
// process's they are: each process is in all of them. Errors are those of
// machine.ReadFile.
func Seen(m machine.Machine, members []Membership) (*Mounts, error) {
	mounts, odd, err := readMountinfo(m)
	if err != nil {
		return nil, err
	}
	data, err := m.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	s := &Mounts{IsWhole: mountsRoot(data) && len(odd) == 0, HasAny: len(mounts) > 0}
	for _, member := range members {
		if h, isMounted := seen(member.Hierarchy, mounts); isMounted {
			s.All = append(s.All, h)
		}
	}
	return s, nil
}

// seen returns the best mount of a hierarchy: one that can be used, one that can be
// written.
func seen(name string, mounts []mount) (best Mounted, isMounted bool) {
	worth := func(h Mounted) int {
		switch {
		case h.Stale:
			return 1
		case h.ReadOnly:
			return 2
		}
		return 3
	}
	for i, mt := range mounts {
		if !mt.shows(name) || isCovered(mounts, i) {
			continue
		}
		h := Mounted{Name: name, Point: mt.point, ReadOnly: mt.readOnly, Stale: hasDotDot(mt.root)}
		if !isMounted || worth(h) > worth(best) {
			best, isMounted = h, true
		}
	}
	return best, isMounted
}

// mountsRoot tells whether a line mounts the root directory.
func mountsRoot(mountinfo []byte) bool {
	for _, line := range lines(mountinfo) {
		if fields := strings.SplitN(line, " ", 6); len(fields) == 6 && fields[4] == "/" {
			return true
		}
	}
	return false
}
