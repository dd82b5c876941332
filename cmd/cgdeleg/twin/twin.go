// Package twin knows for a limit of cgroup v1 what sets the same on v2, and the other way
// round.
//
// It knows names and values alone, of limits that mean the same on both: it must not know
// which files a kernel or a cgroup has.
package twin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Setting is a cgroup's file and what is written to it.
type Setting struct{ File, Value string }

// named are files that have another name on v2 and take the same values, but for what stands
// for no limit.
var named = map[string]string{"memory.limit_in_bytes": "memory.max"}

// same are files that both versions have.
var same = []string{"pids.max", "cpuset.cpus", "cpuset.mems", "devices.allow", "devices.deny"}

// throttles are the words of v2's io.max, by v1's files.
var throttles = [][2]string{
	{"rbps", "blkio.throttle.read_bps_device"}, {"wbps", "blkio.throttle.write_bps_device"},
	{"riops", "blkio.throttle.read_iops_device"}, {"wiops", "blkio.throttle.write_iops_device"},
}

// defaultPeriod is the time, in microseconds, of which a CPU quota is a part where nobody
// has said another.
const defaultPeriod = "100000"

// OnV2 returns what sets on v2 what these set on v1. Those for which there is nothing are left
// out. A quota's period is looked for among all, and stands for nothing alone.
func OnV2(settings []Setting) (twins []Setting) {
	period := defaultPeriod
	for _, s := range settings {
		if s.File == "cpu.cfs_period_us" {
			period = s.Value
		}
	}
	for _, s := range settings {
		switch name, isNamed := named[s.File]; {
		case isNamed:
			twins = append(twins, Setting{name, unlimited(s.Value, "-1", "max")})
		case isSame(s.File):
			twins = append(twins, s)
		case s.File == "cpu.cfs_quota_us":
			twins = append(twins, Setting{"cpu.max", unlimited(s.Value, "-1", "max") + " " + period})
		case s.File == "cpu.shares":
			twins = append(twins, scaled(s, "cpu.weight", 2, 262144, 1, 10000)...)
		case isHugetlb(s.File, ".limit_in_bytes"):
			twins = append(twins, Setting{strings.TrimSuffix(s.File, ".limit_in_bytes") + ".max", unlimited(s.Value, "-1", "max")})
		}
		for _, t := range throttles {
			if device, value, found := strings.Cut(s.Value, " "); found && s.File == t[1] {
				twins = append(twins, Setting{"io.max", device + " " + t[0] + "=" + unlimited(value, "0", "max")})
			}
		}
	}
	return twins
}

// OnV1 is OnV2 the other way round.
func OnV1(settings []Setting) (twins []Setting) {
	for _, s := range settings {
		for v1, v2 := range named {
			if s.File == v2 {
				twins = append(twins, Setting{v1, unlimited(s.Value, "max", "-1")})
			}
		}
		switch {
		case isSame(s.File):
			twins = append(twins, s)
		case s.File == "cpu.max":
			twins = append(twins, quota(s.Value)...)
		case s.File == "cpu.weight":
			twins = append(twins, scaled(s, "cpu.shares", 1, 10000, 2, 262144)...)
		case s.File == "io.max":
			twins = append(twins, throttled(s.Value)...)
		case isHugetlb(s.File, ".max"):
			twins = append(twins, Setting{strings.TrimSuffix(s.File, ".max") + ".limit_in_bytes", unlimited(s.Value, "max", "-1")})
		}
	}
	return twins
}

func isSame(file string) bool { return slices.Contains(same, file) }

// isHugetlb tells whether a file is of huge pages of one size: hugetlb.2MB.max.
func isHugetlb(file, end string) bool {
	return strings.HasPrefix(file, "hugetlb.") && strings.HasSuffix(file, end) && strings.Count(file, ".") == 2
}

// unlimited is a value, with the other version's word where it stands for no limit.
func unlimited(value, none, other string) string {
	if value == none {
		return other
	}
	return value
}

// scaled is a weight of another scale, as runc and systemd translate it; none if it is no
// number of the first.
func scaled(s Setting, file string, least, most, otherLeast, otherMost float64) []Setting {
	n, err := strconv.ParseUint(strings.TrimSpace(s.Value), 10, 32)
	if err != nil || float64(n) < least || float64(n) > most {
		return nil
	}
	value := otherLeast + (float64(n)-least)*(otherMost-otherLeast)/(most-least)
	return []Setting{{file, fmt.Sprintf("%.0f", math.Floor(value))}}
}

// quota is cpu.max on v1. The period comes first: the kernel compares the quota with it.
func quota(value string) []Setting {
	words := strings.Fields(value)
	switch len(words) {
	case 1:
		return []Setting{{"cpu.cfs_quota_us", unlimited(words[0], "max", "-1")}}
	case 2:
		return []Setting{{"cpu.cfs_period_us", words[1]}, {"cpu.cfs_quota_us", unlimited(words[0], "max", "-1")}}
	}
	return nil
}

// throttled is io.max on v1.
func throttled(value string) (twins []Setting) {
	words := strings.Fields(value)
	for i := 1; i < len(words); i++ {
		key, limit, _ := strings.Cut(words[i], "=")
		for _, t := range throttles {
			if t[0] == key {
				twins = append(twins, Setting{t[1], words[0] + " " + unlimited(limit, "max", "0")})
			}
		}
	}
	return twins
}
