package limits

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// unlimitedFiles are the files that hold a limit, and what is in them where there is none:
// on v2, and on v1. Those with a line for each device are in deviceFiles.
var unlimitedFiles = map[bool][]Setting{
	true: {
		{Limit{Name: MemoryMax}, string(MemoryMax), "max"}, {Limit{Name: MemoryHigh}, string(MemoryHigh), "max"},
		{Limit{Name: MemorySwapMax}, string(MemorySwapMax), "max"}, {Limit{Name: PidsMax}, string(PidsMax), "max"},
		{Limit{Name: CPUMax}, string(CPUMax), "max 100000"}, {Limit{Name: CPUWeight}, string(CPUWeight), "100"},
	},
	false: {
		{Limit{Name: MemorySwapMax}, memswLimit, "-1"}, {Limit{Name: MemoryMax}, memoryLimit, "-1"},
		{Limit{Name: PidsMax}, string(PidsMax), "max"}, {Limit{Name: CPUMax}, "cpu.cfs_quota_us", "-1"},
		{Limit{Name: CPUWeight}, "cpu.shares", "1024"},
	},
}

// deviceFiles are those with a line for each device, and what takes the line away.
var deviceFiles = map[bool][]Setting{
	true: {{Limit{Name: IOMax}, string(IOMax), "rbps=max wbps=max riops=max wiops=max"}},
	false: {
		{Limit{Name: IOMax}, "blkio.throttle.read_bps_device", "0"}, {Limit{Name: IOMax}, "blkio.throttle.write_bps_device", "0"},
		{Limit{Name: IOMax}, "blkio.throttle.read_iops_device", "0"}, {Limit{Name: IOMax}, "blkio.throttle.write_iops_device", "0"},
	},
}

// Surplus returns what has to be written into a cgroup to lift the limits that it has and
// that are not among the given ones: those of an earlier line of the file, or of somebody
// else. CPUs, and weights of input and output, stay.
func Surplus(at Place, dir *cgroupfs.Dir, given []Setting) (settings []Setting) {
	isUnified := at.Hierarchy.IsUnified()
	hasController := func(s Setting) bool { return at.Hierarchy.Has(ControllerOf(s.Limit.Name, isUnified)) }
	for _, s := range unlimitedFiles[isUnified] {
		if !hasController(s) {
			continue
		}
		isGiven := slices.ContainsFunc(given, func(g Setting) bool { return g.File == s.File })
		data, err := dir.Read(s.File)
		if err != nil || isGiven || s.isSame(s.valueIn(string(data))) {
			continue
		}
		settings = append(settings, s)
	}
	for _, s := range deviceFiles[isUnified] {
		if !hasController(s) {
			continue
		}
		data, err := dir.Read(s.File)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			device, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			isGiven := slices.ContainsFunc(given, func(g Setting) bool { return g.File == s.File && strings.HasPrefix(g.Value, device+" ") })
			if device != "" && device != "Total" && !isGiven {
				settings = append(settings, Setting{s.Limit, s.File, device + " " + s.Value})
			}
		}
	}
	return settings
}
