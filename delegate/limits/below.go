package limits

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// cgroupsBelow bounds how many cgroups below one that is limited are changed. Users make
// them.
const cgroupsBelow = 4096

// isHinderedBelow tells whether cgroups below keep v1's kernel from lowering a limit: none may
// have more CPU time (EINVAL; __cfs_schedulable) or other CPUs (EBUSY; validate_change) than
// the one above. v2 has no such rule.
func (s Setting) isHinderedBelow(err error) bool {
	return s.File == cfsQuota && errors.Is(err, unix.EINVAL) || s.File == string(CPUs) && errors.Is(err, unix.EBUSY)
}

// makeWay takes from the cgroups below what they have more than the setting allows: a quota
// that is larger, and other CPUs. Otherwise a user could keep a limit away.
func (s Setting) makeWay(dir *cgroupfs.Dir) {
	below := pathsBelow(dir)
	if s.File == string(CPUs) {
		slices.Reverse(below) // none may have CPUs that the one above lacks
	}
	for _, path := range below {
		child, err := dir.OpenPath(path)
		if err != nil {
			continue // it went
		}
		if s.File == cfsQuota {
			s.lowerQuota(dir, child)
		} else {
			s.takeCPUs(child)
		}
		child.Close()
	}
}

// pathsBelow returns the paths of all cgroups below, parents first.
func pathsBelow(dir *cgroupfs.Dir) (paths []string) {
	budget := &cgroupfs.Budget{Dirs: cgroupsBelow}
	_ = dir.Visit(budget, func(at *cgroupfs.Dir) (bool, error) {
		if path := strings.TrimPrefix(at.Path(), dir.Path()); path != "" {
			paths = append(paths, path)
		}
		return true, nil
	})
	return paths
}

// lowerQuota lifts a quota that is larger than the setting: then that of the cgroup above
// holds. What a child may have is compared as a part of a CPU.
func (s Setting) lowerQuota(dir, child *cgroupfs.Dir) {
	period, err := readNumber(dir, cfsPeriod)
	quota, err2 := readNumber(child, cfsQuota) // -1: none
	childPeriod, err3 := readNumber(child, cfsPeriod)
	if errors.Join(err, err2, err3) != nil || period == 0 || childPeriod == 0 {
		return
	}
	if float64(quota)/float64(childPeriod) > float64(s.number())/float64(period) {
		_ = child.Write(cfsQuota, "-1")
	}
}

// takeCPUs leaves to a cgroup those of its CPUs that the setting has; all of these if it has
// none of them.
func (s Setting) takeCPUs(child *cgroupfs.Dir) {
	data, err := child.Read(string(CPUs))
	has := strings.TrimSpace(string(data))
	if err != nil || has == "" {
		return
	}
	common := commonCPUs(has, s.Value)
	own, err := cpulist.Parse(common)
	allowed, err2 := cpulist.Parse(s.Value)
	isOutside := func(cpu int) bool { return !slices.Contains(allowed, cpu) }
	if errors.Join(err, err2) == nil && slices.ContainsFunc(own, isOutside) {
		common = s.Value
	}
	if common != has {
		_ = child.Write(string(CPUs), common)
	}
}
