package limits

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unified returns what a limit comes to on cgroup v2
// (Documentation/admin-guide/cgroup-v2.rst).
func (at Place) unified(l Limit, _ []Limit) ([]Setting, error) {
	one := func(value string) ([]Setting, error) {
		return []Setting{{Limit: l, File: string(l.Name), Value: value}}, nil
	}
	switch l.Name {
	case CPUMax:
		return one(cpuMax(l.Value))
	case CPUWeight:
		return one(strconv.FormatUint(weightOf(l.Value), 10))
	case IOWeight:
		return at.ioWeight(l)
	case IOMax:
		device, err := at.device(l)
		if err != nil {
			return nil, err
		}
		return one(device + ioRates(l.Value.Rates))
	case CPUs:
		return at.cpus(l)
	}
	n, err := at.amountOf(l, string(l.Name))
	if err != nil {
		return nil, err
	}
	return one(n.unified())
}

func (a amount) unified() string {
	if a.isUnlimited {
		return "max"
	}
	return strconv.FormatUint(a.number, 10)
}

func cpuMax(v Value) string {
	if v.Kind == Unlimited {
		return fmt.Sprintf("max %d", defaultPeriod)
	}
	return fmt.Sprintf("%d %d", v.Quota, v.Period)
}

// defaultWeight is what the kernel gives to a cgroup of v2 (CGROUP_WEIGHT_DFL).
const defaultWeight = 100

func weightOf(v Value) uint64 {
	if v.Kind == Unlimited {
		return defaultWeight
	}
	return v.Number
}

// ioRates are all rates of a device: those that are not given are unlimited.
func ioRates(rates []Rate) (text string) {
	for _, key := range rateKeys {
		value := "max"
		for _, r := range rates {
			if r.Key == key && !r.isUnlimited() {
				value = strconv.FormatUint(r.Number, 10)
			}
		}
		text += " " + key + "=" + value
	}
	return text
}

// isUnlimited tells whether the rate limits anything: the kernel counts operations in 32
// bits (tg_set_limit, tg_set_conf in block/blk-throttle.c), and v1 would cut off the rest.
func (r Rate) isUnlimited() bool {
	return r.IsUnlimited || strings.HasSuffix(r.Key, "iops") && r.Number > math.MaxUint32
}

// ioWeight: the file io.weight is there where the io.cost controller is built in; BFQ,
// the scheduler, has its own, with weights up to 1000 (block/bfq-cgroup.c). Where there are
// both, each counts for the devices that it schedules.
func (at Place) ioWeight(l Limit) (settings []Setting, err error) {
	device := "default"
	if l.Value.Device != "" {
		if device, err = at.device(l); err != nil {
			return nil, err
		}
	}
	weight := weightOf(l.Value)
	for file, value := range map[string]uint64{"io.weight": weight, "io.bfq.weight": bfqWeight(weight)} {
		if at.hasFile(file) {
			settings = append(settings, Setting{Limit: l, File: file, Value: fmt.Sprintf("%s %d", device, value)})
		}
	}
	if settings == nil {
		return nil, at.noEquivalent(l, "this kernel has no weights of input and output (neither io.weight nor io.bfq.weight)")
	}
	sortByFile(settings)
	return settings, nil
}

// bfqWeight is a weight of 1 to 10000 on the scale 1 to 1000, in which 100 stays 100
// (systemd does the same, BFQ_WEIGHT in src/basic/cgroup-util.h).
func bfqWeight(weight uint64) uint64 {
	if weight <= defaultWeight {
		return weight
	}
	return defaultWeight + (weight-defaultWeight)*(1000-defaultWeight)/(10000-defaultWeight)
}

func (at Place) noEquivalent(l Limit, reason string) error {
	return &NoEquivalentError{Limit: l, Hierarchy: at.Hierarchy.Name, Reason: reason}
}

// hasFile tells whether cgroups of the hierarchy have the file. The root has not all of
// them, so it is looked for in the nearest cgroup above that is there, or in one beside.
func (at Place) hasFile(file string) bool {
	for _, p := range at.chain() {
		dir, err := at.Hierarchy.OpenBelow(p)
		if err != nil {
			continue
		}
		defer dir.Close()
		if p == "/" {
			names, _, _ := dir.Children(1)
			if len(names) == 0 {
				return true // the write says so if it is not
			}
			child, err := dir.Open(names[0])
			if err != nil {
				return true
			}
			defer child.Close()
			dir = child
		}
		_, err = dir.Read(file)
		return err == nil
	}
	return false
}

// chain are the cgroup's path and those above.
func (at Place) chain() (paths []string) {
	for p := at.Path; ; {
		paths = append(paths, p)
		if p == "/" {
			return paths
		}
		if p = p[:strings.LastIndexByte(p, '/')]; p == "" {
			p = "/"
		}
	}
}
