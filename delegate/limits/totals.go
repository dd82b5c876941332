package limits

import (
	"maps"
	"path"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Totals are what a percentage is of, by the limit's name: MemoryMax, also for memory.high,
// MemorySwapMax and PidsMax. What is not known is not in it.
type Totals map[Name]uint64

// of returns what a percentage of a limit is of.
func (t Totals) of(name Name) (total uint64, known bool) {
	if name == MemoryHigh {
		name = MemoryMax
	}
	total, known = t[name]
	return total, known
}

// Resolve returns the limits with numbers in place of percentages. Where the total is not
// known a limit stays as it is.
func (t Totals) Resolve(list []Limit) []Limit {
	resolved := make([]Limit, 0, len(list))
	for _, l := range list {
		if total, known := t.of(l.Name); known && l.Value.Kind == Percent {
			l.Value = Value{Kind: Number, Number: roundDown(l.Name, percentOf(total, l.Value.Percent))}
		}
		resolved = append(resolved, l)
	}
	return resolved
}

// Below returns the totals for a cgroup below one that has these limits, which are
// resolved.
func (t Totals) Below(list []Limit) Totals {
	below := maps.Clone(t)
	for _, l := range list {
		if _, counts := t[l.Name]; counts && l.Value.Kind == Number {
			below[l.Name] = l.Value.Number
		}
	}
	return below
}

// ReadTotals returns the totals for the cgroup below, a path below the bases of all
// hierarchies: the nearest limits above it, or what the machine has. It need not be there.
func ReadTotals(m machine.Machine, set *hierarchy.Set, below string) Totals {
	t := Totals{}
	for _, name := range []Name{MemoryMax, MemorySwapMax, PidsMax} {
		if n, err := (Place{Machine: m}).ofMachine(name); err == nil {
			t[name] = n
		}
		for _, h := range set.All {
			file, has := totalFile(h, name)
			if !has {
				continue
			}
			at := Place{Machine: m, Hierarchy: h, Path: path.Join(h.Base, below)}
			n, isLimited := at.nearestAbove(name, file)
			if total, known := t[name]; isLimited && (!known || n < total) {
				t[name] = n
			}
		}
	}
	return t
}

// totalFile is the file of a limit, where the hierarchy has it. v1 knows no limit of swap
// alone.
func totalFile(h *hierarchy.Hierarchy, name Name) (file string, has bool) {
	switch {
	case h.IsUnified():
		return string(name), true
	case name == MemoryMax:
		return memoryLimit, h.Has("memory")
	case name == PidsMax:
		return string(PidsMax), h.Has("pids")
	}
	return "", false
}
