package limits

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// v1 returns what a limit comes to on cgroup v1
// (Documentation/admin-guide/cgroup-v1/), given the others of the cgroup.
func (at Place) v1(l Limit, list []Limit) ([]Setting, error) {
	one := func(file, value string) ([]Setting, error) {
		return []Setting{{Limit: l, File: file, Value: value}}, nil
	}
	switch l.Name {
	case MemoryMax:
		n, err := at.amountOf(l, memoryLimit)
		if err != nil {
			return nil, err
		}
		settings, _ := one(memoryLimit, n.v1())
		return append(at.hierarchical(l), settings...), nil
	case MemoryHigh:
		return nil, at.noEquivalent(l, "cgroup v1 has no such limit (memory.soft_limit_in_bytes slows nobody down)")
	case MemorySwapMax:
		return at.memsw(l, list)
	case CPUMax:
		return []Setting{
			{Limit: l, File: cfsPeriod, Value: strconv.FormatUint(cmp.Or(l.Value.Period, defaultPeriod), 10)},
			{Limit: l, File: cfsQuota, Value: quotaOnV1(l.Value)},
		}, nil
	case CPUWeight:
		return one("cpu.shares", strconv.FormatUint(shares(weightOf(l.Value)), 10))
	case PidsMax:
		n, err := at.amountOf(l, string(l.Name))
		if err != nil {
			return nil, err
		}
		return one(string(l.Name), n.unified())
	case IOMax:
		return at.throttle(l)
	case IOWeight:
		return at.blkioWeight(l)
	}
	return at.cpus(l)
}

// hierarchical: before Linux 5.11 a limit held for the cgroup alone, and not for those
// below, unless the cgroup was told otherwise before it had any (memory.rst, "Hierarchy
// support").
func (at Place) hierarchical(l Limit) []Setting {
	const file = "memory.use_hierarchy"
	for _, p := range at.chain() {
		dir, err := at.Hierarchy.OpenBelow(p)
		if err != nil {
			continue
		}
		data, err := dir.Read(file)
		dir.Close()
		if err == nil && strings.TrimSpace(string(data)) == "0" {
			return []Setting{{Limit: l, File: file, Value: "1"}}
		}
		break
	}
	return nil
}

const (
	cfsPeriod   = "cpu.cfs_period_us"
	cfsQuota    = "cpu.cfs_quota_us"
	memoryLimit = "memory.limit_in_bytes"
	memswLimit  = "memory.memsw.limit_in_bytes"
)

// v1 is -1 for no limit, as memory.limit_in_bytes and others want it.
func (a amount) v1() string {
	if a.isUnlimited {
		return "-1"
	}
	return strconv.FormatUint(a.number, 10)
}

// memsw: what v1 limits is memory and swap space together. runc and crun add both as well
// (linux.resources.memory of the OCI runtime specification).
func (at Place) memsw(l Limit, list []Limit) ([]Setting, error) {
	if !at.hasFile(memswLimit) {
		return nil, at.noEquivalent(l, "the kernel does not count swap space (swapaccount=1 on its command line)")
	}
	swap, err := at.swapOf(l)
	if err != nil {
		return nil, err
	}
	together := amount{isUnlimited: true}
	if !swap.isUnlimited {
		i := slices.IndexFunc(list, func(l Limit) bool { return l.Name == MemoryMax })
		if i < 0 || list[i].Value.Kind == Unlimited {
			return nil, &NoEquivalentError{
				Limit: l, Hierarchy: at.Hierarchy.Name, Needs: MemoryMax,
				Reason: "cgroup v1 limits swap space only together with memory: give memory.max as well",
			}
		}
		memory, err := at.amountOf(list[i], memoryLimit)
		if err != nil {
			return nil, err
		}
		if together.number = memory.number + swap.number; !memory.isUnlimited && together.number < unlimitedBytes {
			together.isUnlimited = false
		}
	}
	return []Setting{{Limit: l, File: memswLimit, Value: together.v1()}}, nil
}

// swapOf returns how much swap space a limit gives. What is limited above is memory and
// swap space together.
func (at Place) swapOf(l Limit) (amount, error) {
	if l.Value.Kind != Percent {
		return at.amountOf(l, memswLimit)
	}
	whole, err := at.ofMachine(l.Name)
	if err != nil {
		return amount{}, &SettingError{Limit: l, Err: err}
	}
	both, isLimited := at.nearestAbove(l.Name, memswLimit)
	if memory, isMemoryLimited := at.nearestAbove(MemoryMax, memoryLimit); isLimited && isMemoryLimited && memory <= both {
		whole = min(whole, both-memory)
	}
	return amount{number: roundDown(l.Name, percentOf(whole, l.Value.Percent))}, nil
}

func quotaOnV1(v Value) string {
	if v.Kind == Unlimited {
		return "-1"
	}
	return strconv.FormatUint(v.Quota, 10)
}

// shares are v1's weight of CPU time, of which a cgroup has 1024 by itself, as it has 100
// on v2 (systemd's cgroup_cpu_weight_to_shares in src/basic/cgroup-util.c or
// src/core/cgroup.c).
func shares(weight uint64) uint64 { return min(max(weight*1024/defaultWeight, 2), 262144) }

// throttle: v1 has a file for each rate, and 0 for none (blkio-controller.rst).
func (at Place) throttle(l Limit) (settings []Setting, err error) {
	device, err := at.device(l)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops",
	}
	for _, r := range l.Value.Rates {
		number := r.Number
		if r.isUnlimited() {
			number = 0
		}
		settings = append(settings, Setting{
			Limit: l, File: "blkio.throttle." + files[r.Key] + "_device", Value: fmt.Sprintf("%s %d", device, number),
		})
	}
	return settings, nil
}

// blkioWeight: CFQ had blkio.weight, to Linux 5.0, and 500 in it where v2 has 100
// (systemd's cgroup_weight_io_to_blkio); BFQ has its own, on v2's scale.
func (at Place) blkioWeight(l Limit) (settings []Setting, err error) {
	file, weight, suffix := "blkio.weight", min(max(weightOf(l.Value)*500/defaultWeight, 10), 1000), "_device"
	switch {
	case at.hasFile(file):
	case at.hasFile("blkio.bfq.weight"):
		file, weight = "blkio.bfq.weight", bfqWeight(weightOf(l.Value))
	default:
		return nil, at.noEquivalent(l, "no scheduler of this kernel has weights (neither blkio.weight nor blkio.bfq.weight)")
	}
	value := strconv.FormatUint(weight, 10)
	if l.Value.Device != "" {
		device, err := at.device(l)
		if err != nil {
			return nil, err
		}
		file, value = file+suffix, device+" "+value
	}
	return []Setting{{Limit: l, File: file, Value: value}}, nil
}

// cpus: v1 wants a part of what the cgroup above has, and refuses any other list (EACCES;
// cpusets.rst). v2 takes what there is of it, but no CPU that the machine cannot have
// (update_cpumask). Both refuse numbers that are too large for the kernel.
func (at Place) cpus(l Limit) ([]Setting, error) {
	wanted, err := cpulist.Parse(l.Value.CPUs)
	if err != nil {
		return nil, &SettingError{Limit: l, Err: err}
	}
	there, who := "", "the cgroup above"
	if at.Hierarchy.IsUnified() {
		who = "the machine"
		there, err = at.possibleCPUs()
	} else {
		there, err = at.cpusAbove()
	}
	if err != nil {
		return nil, &SettingError{Limit: l, Err: err}
	}
	all, err := cpulist.Parse(there)
	if err != nil {
		return nil, &SettingError{Limit: l, Err: err}
	}
	common := slices.DeleteFunc(wanted, func(cpu int) bool { return !slices.Contains(all, cpu) })
	if len(common) == 0 {
		return nil, at.noEquivalent(l, fmt.Sprintf("%s has none of these CPUs, but %s", who, there))
	}
	return []Setting{{Limit: l, File: string(CPUs), Value: cpulist.Format(common)}}, nil
}
