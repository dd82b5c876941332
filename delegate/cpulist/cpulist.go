// Package cpulist is the kernel's format for sets of CPUs and memory nodes (cpuset(7),
// "List format"), and which CPUs are kept for special use. It must not know what such
// a list is of.
package cpulist

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// WithoutIsolated returns the list without the CPUs that the kernel was told to keep
// free of other work (isolcpus= on its command line): those that a login gets. Where
// there are no others, or the list is malformed, it stays as it is.
func WithoutIsolated(m machine.Machine, cpus string) string {
	data, err := m.ReadFile("/sys/devices/system/cpu/isolated")
	if err != nil {
		return cpus
	}
	isolated, err := Parse(strings.TrimSpace(string(data)))
	if err != nil || len(isolated) == 0 {
		return cpus
	}
	all, err := Parse(cpus)
	if err != nil {
		return cpus
	}
	left := slices.DeleteFunc(all, func(cpu int) bool { return slices.Contains(isolated, cpu) })
	if len(left) == 0 {
		return cpus
	}
	return Format(left)
}

// maxCPU bounds CPU numbers and how many are read, so that ranges cannot exhaust
// memory. The kernel knows at most 8192 (CONFIG_NR_CPUS).
const maxCPU = 1 << 16

// Err says that something is no list of CPUs in the kernel's format.
var Err = errors.New("no CPU list")

// Parse parses the kernel's list format, such as "0-3,8" (cpuset(7)), into numbers
// in rising order. The error is Err.
func Parse(s string) ([]int, error) {
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
			return nil, Err
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// Format is the inverse of Parse for a sorted list.
func Format(cpus []int) string {
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
