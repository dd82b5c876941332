package delegate

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// inheritCpuset gives a new v1 cpuset cgroup its parent's CPUs and memory
// nodes: with the empty sets that the kernel starts it with, no process can
// enter it (ENOSPC; cpuset(7)). CPUs isolated for special use stay out, unless
// there are no others. clone_children makes the kernel do the same for the
// cgroups that the user will make below.
func inheritCpuset(m cgroupfs.Machine, parent, child *cgroupfs.Dir) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		set, err := child.Read(file)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(set)) != "" {
			continue // the parent has clone_children, or an administrator chose
		}
		inherited, err := parent.Read(file)
		if err != nil {
			return err
		}
		value := strings.TrimSpace(string(inherited))
		if file == "cpuset.cpus" {
			value = withoutIsolated(m, value)
		}
		if err := child.Write(file, value); err != nil {
			return err
		}
	}
	return child.Write("cgroup.clone_children", "1")
}

func withoutIsolated(m cgroupfs.Machine, cpus string) string {
	data, err := m.ReadFile("/sys/devices/system/cpu/isolated")
	if err != nil {
		return cpus
	}
	isolated, err := parseCPUList(strings.TrimSpace(string(data)))
	if err != nil || len(isolated) == 0 {
		return cpus
	}
	all, err := parseCPUList(cpus)
	if err != nil {
		return cpus
	}
	left := slices.DeleteFunc(all, func(cpu int) bool { return slices.Contains(isolated, cpu) })
	if len(left) == 0 {
		return cpus
	}
	return formatCPUList(left)
}

// maxCPU bounds CPU numbers and how many are read, so that ranges cannot exhaust
// memory. The kernel knows at most 8192 (CONFIG_NR_CPUS).
const maxCPU = 1 << 16

// errCPUList says that something is no list of CPUs in the kernel's format.
var errCPUList = errors.New("no CPU list")

// parseCPUList parses the kernel's list format, such as "0-3,8" (cpuset(7)).
func parseCPUList(s string) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	var cpus []int
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if errors.Join(err, err2) != nil || from > to || to >= maxCPU || len(cpus) > maxCPU {
			return nil, errCPUList
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// formatCPUList is the inverse of parseCPUList for a sorted list.
func formatCPUList(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}
