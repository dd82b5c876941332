package limits

import (
	"bytes"
	"maps"
	"math"
	"path"
	"strconv"
	"strings"

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
			l.Value = Value{Kind: Number, Number: part(total, l.Value.Percent)}
		}
		resolved = append(resolved, l)
	}
	return resolved
}

// part is so many hundredths of a percent of the total, which may be as large as it likes.
func part(total, percent uint64) uint64 {
	const whole = 100 * 100
	if percent > math.MaxUint64/whole || percent != 0 && total/whole > math.MaxUint64/percent/2 {
		return math.MaxUint64
	}
	return total/whole*percent + total%whole*percent/whole
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
	t := machineTotals(m)
	for _, h := range set.All {
		for name, file := range limitFiles(h) {
			if limit, found := nearestLimit(h, path.Join(h.Base, below), file); found {
				if total, known := t[name]; !known || limit < total {
					t[name] = limit
				}
			}
		}
	}
	return t
}

// limitFiles are the files of the limits that a percentage can be of.
func limitFiles(h *hierarchy.Hierarchy) map[Name]string {
	switch {
	case h.IsUnified():
		return map[Name]string{MemoryMax: "memory.max", MemorySwapMax: "memory.swap.max", PidsMax: "pids.max"}
	case h.Has("memory"):
		return map[Name]string{MemoryMax: "memory.limit_in_bytes"}
	case h.Has("pids"):
		return map[Name]string{PidsMax: "pids.max"}
	}
	return nil
}

// nearestLimit returns the limit of the nearest cgroup above that has one, below the mount
// point. No limit is "max", or on v1 a number so large that no machine has it.
func nearestLimit(h *hierarchy.Hierarchy, below, file string) (limit uint64, found bool) {
	for below = path.Dir(path.Clean("/" + below)); ; below = path.Dir(below) {
		if limit, found = readLimit(h, below, file); found {
			return limit, true
		}
		if below == "/" {
			return 0, false
		}
	}
}

// readLimit reads the limit of a cgroup, by its path below the mount point.
func readLimit(h *hierarchy.Hierarchy, below, file string) (limit uint64, found bool) {
	dir := h.BaseDir()
	if below != h.Base {
		var err error
		if dir, err = h.OpenBelow(below); err != nil {
			return 0, false
		}
		defer dir.Close()
	}
	data, err := dir.Read(file)
	limit, parseErr := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return limit, err == nil && parseErr == nil && limit < 1<<60
}

// machineTotals are what the machine has (proc(5)): its memory, its swap, and how many
// processes the kernel allows, of whose two bounds the lower counts.
func machineTotals(m machine.Machine) Totals {
	t := Totals{}
	if data, err := m.ReadFile("/proc/meminfo"); err == nil {
		for line := range bytes.Lines(data) {
			fields := strings.Fields(string(line))
			if len(fields) != 3 || fields[2] != "kB" {
				continue
			}
			name, counts := map[string]Name{"MemTotal:": MemoryMax, "SwapTotal:": MemorySwapMax}[fields[0]]
			if kib, err := strconv.ParseUint(fields[1], 10, 50); counts && err == nil {
				t[name] = kib << 10
			}
		}
	}
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		data, err := m.ReadFile(file)
		if err != nil {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
		if total, known := t[PidsMax]; err == nil && (!known || n < total) {
			t[PidsMax] = n
		}
	}
	return t
}
