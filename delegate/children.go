package delegate

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Child is a cgroup below a session: what its parts are in all hierarchies
// together.
type Child struct {
	Name string
	// Processes are how many there are in it and below, in the hierarchy that
	// has the most of them.
	Processes int
	Memory    int64   // as Part.Memory
	Children  []Child // sorted by name
	// More tells that there are others in it than Children.
	More bool
}

const (
	maxChildren   = 50 // of one cgroup
	maxRead       = 1 << 12
	childrenDepth = 2 // lxc/NAME, as LXC up to 3 names them
)

// ChildrenOf returns the cgroups below the session, a few levels deep and
// within a bound for their number, sorted by name. More tells that there are
// others.
func ChildrenOf(m machine.Machine, s *Session) (children []Child, more bool) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, false
	}
	defer set.Close()
	b := &cgroupfs.Budget{Dirs: 4096}
	for _, p := range s.Parts {
		h := set.ByName(p.Hierarchy)
		if h == nil {
			continue // it was unmounted
		}
		dir, err := h.OpenBelow(p.Path)
		if err != nil {
			continue // it ended
		}
		some, others := readChildren(h, dir, childrenDepth, b)
		dir.Close()
		children, more = joinChildren(children, some), more || others
	}
	return children, more
}

func readChildren(h *hierarchy.Hierarchy, dir *cgroupfs.Dir, depth int, b *cgroupfs.Budget) (children []Child, more bool) {
	if depth == 0 {
		return nil, false
	}
	names, more, _ := dir.Children(maxRead)
	if len(names) > maxChildren {
		names, more = names[:maxChildren], true // the first by name, not by the kernel's order
	}
	for _, name := range names {
		child, err := dir.Open(name)
		if err != nil {
			continue
		}
		c := Child{Name: name, Memory: memoryIn(h, child)}
		pids, _ := child.ProcsBelow(b)
		c.Processes = len(pids)
		c.Children, c.More = readChildren(h, child, depth-1, b)
		child.Close()
		children = append(children, c)
	}
	return children, more
}

// joinChildren makes one child of those with the same name.
func joinChildren(a, b []Child) []Child {
	joined := slices.Clone(a)
	for _, c := range b {
		at := slices.IndexFunc(joined, func(j Child) bool { return j.Name == c.Name })
		if at < 0 {
			joined = append(joined, c)
			continue
		}
		j := &joined[at]
		j.Processes, j.Memory = max(j.Processes, c.Processes), max(j.Memory, c.Memory)
		j.Children, j.More = joinChildren(j.Children, c.Children), j.More || c.More
	}
	slices.SortFunc(joined, func(a, b Child) int { return strings.Compare(a.Name, b.Name) })
	return joined
}
