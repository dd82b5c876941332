// Package cpulist is the kernel's format for sets of CPUs and memory nodes (cpuset(7),
// "List format"). It must not know where such a list stands.
package cpulist

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

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
