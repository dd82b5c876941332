package limits

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// Property is a resource property of a systemd unit as it is on D-Bus, under its name
// there (org.freedesktop.systemd1(5)). Which of the values counts is told by its Kind.
type Property struct {
	Name    string
	Number  uint64         `json:",omitempty"` // Infinity: no limit, no weight of its own
	Devices []DeviceNumber `json:",omitempty"` // none: no limit for any device
	CPUs    []byte         `json:",omitempty"` // a bit for each CPU, the lowest first; none: any
}

// DeviceNumber is a rate, in bytes or operations a second, or a weight for a device.
type DeviceNumber struct {
	Path   string // of a device, or in a file system that is on one
	Number uint64
}

// Infinity is how systemd writes that a number is no limit.
const Infinity = math.MaxUint64

// PropertyKind is which value of a Property counts.
type PropertyKind int

// The kinds of properties: t, a(st) and ay of D-Bus.
const (
	OfNumber PropertyKind = iota
	OfDevices
	OfCPUs
)

// Kind tells which value of a property of that name counts.
func (p Property) Kind() PropertyKind {
	switch {
	case p.Name == "AllowedCPUs":
		return OfCPUs
	case p.Name == "IODeviceWeight" || slices.Contains(rateProperties, p.Name):
		return OfDevices
	}
	return OfNumber
}

// Equal tells whether two properties have the same name and come to the same.
func (p Property) Equal(other Property) bool {
	if p.Name != other.Name {
		return false
	}
	switch p.Kind() {
	case OfDevices:
		return slices.Equal(sorted(p.Devices), sorted(other.Devices))
	case OfCPUs:
		return slices.Equal(trimmed(p.CPUs), trimmed(other.CPUs))
	}
	return p.Number == other.Number
}

// sorted is what systemd has in no particular order.
func sorted(devices []DeviceNumber) []DeviceNumber {
	return slices.SortedFunc(slices.Values(devices), func(a, b DeviceNumber) int { return strings.Compare(a.Path, b.Path) })
}

func trimmed(cpus []byte) []byte {
	for len(cpus) > 0 && cpus[len(cpus)-1] == 0 {
		cpus = cpus[:len(cpus)-1]
	}
	return cpus
}

// String returns the property as systemctl(1) shows it.
func (p Property) String() string {
	value := "infinity"
	switch kind := p.Kind(); {
	case kind == OfCPUs:
		value = cpulist.Format(cpusOf(p.CPUs))
	case kind == OfDevices:
		var words []string
		for _, d := range sorted(p.Devices) {
			words = append(words, d.Path+" "+strconv.FormatUint(d.Number, 10))
		}
		value = strings.Join(words, ", ")
	case p.Number != Infinity:
		value = strconv.FormatUint(p.Number, 10)
	}
	return p.Name + "=" + value
}

// rateProperties are the properties of rateKeys.
var rateProperties = []string{"IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax"}

// UnitProperties returns the properties of a unit that come to the limits, sorted by
// name, and the limits that no property comes to.
//
// Percent of memory and of processes are to be resolved before (Resolve): unresolved they
// are not supported. systemd has properties for these (MemoryMaxScale and others), but
// writes them to the unit's drop-in in whole percents, those of TasksMax as a tenth of
// what they are (systemd#41009), and has others after a daemon-reload.
//
// For the same reason a quota of CPU time is rounded down to a whole percent of a CPU,
// but not below one.
func UnitProperties(list []Limit) (properties []Property, unsupported []Limit) {
	byName := map[string]*Property{}
	set := func(name string) *Property {
		if byName[name] == nil {
			byName[name] = &Property{Name: name}
		}
		return byName[name]
	}
	for _, l := range list {
		if !setProperty(set, l) {
			unsupported = append(unsupported, l)
		}
	}
	for _, p := range byName {
		properties = append(properties, *p)
	}
	slices.SortFunc(properties, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	return properties, unsupported
}

// numbers are the limits that are a number, and from which one on systemd takes it.
var numbers = map[Name]struct {
	property string
	least    uint64
	most     uint64
}{
	MemoryMax:     {"MemoryMax", 1, Infinity - 1},
	MemoryHigh:    {"MemoryHigh", 1, Infinity - 1},
	MemorySwapMax: {"MemorySwapMax", 0, Infinity - 1},
	PidsMax:       {"TasksMax", 1, Infinity - 1},
	CPUWeight:     {"CPUWeight", leastWeight, mostWeight},
	IOWeight:      {"IOWeight", leastWeight, mostWeight},
}

// setProperty sets what a limit comes to; false if nothing does.
func setProperty(set func(name string) *Property, l Limit) bool {
	switch v := l.Value; {
	case l.Name == CPUMax:
		return setQuota(set, v)
	case l.Name == IOMax && v.Kind == Rates:
		return setRates(set, v)
	case l.Name == IOWeight && v.Kind == Weight && v.Device != "":
		device, ok := devicePath(v.Device)
		if ok {
			setDevice(set("IODeviceWeight"), DeviceNumber{device, v.Number})
		}
		return ok
	case l.Name == CPUs && v.Kind == Set:
		cpus, err := cpulist.Parse(v.CPUs)
		if err != nil {
			return false
		}
		set("AllowedCPUs").CPUs = bitsOf(cpus)
		return true
	case l.Name == CPUs && v.Kind == Unlimited:
		set("AllowedCPUs").CPUs = nil
		return true
	}
	number, known := numbers[l.Name]
	isWeight := l.Name == CPUWeight || l.Name == IOWeight
	switch v := l.Value; {
	case !known:
		return false
	case v.Kind == Unlimited && !isWeight:
		set(number.property).Number = Infinity
		return true
	case (v.Kind == Number || v.Kind == Weight) && v.Number >= number.least && v.Number <= number.most:
		set(number.property).Number = v.Number
		return true
	}
	return false
}

const (
	second       = 1_000_000 // in microseconds
	percentOfCPU = second / 100
)

func setQuota(set func(name string) *Property, v Value) bool {
	switch {
	case v.Kind == Unlimited:
		set("CPUQuotaPerSecUSec").Number = Infinity
		return true
	case v.Kind != Quota || v.Quota == 0 || v.Period == 0 || v.Quota > math.MaxUint64/second:
		return false
	}
	perSecond := v.Quota * second / v.Period
	set("CPUQuotaPerSecUSec").Number = max(perSecond-perSecond%percentOfCPU, percentOfCPU)
	set("CPUQuotaPeriodUSec").Number = Infinity // its default
	if v.Period != defaultPeriod {
		set("CPUQuotaPeriodUSec").Number = v.Period
	}
	return true
}

// setRates sets the rates of a device. One that is unlimited is just not listed, as is
// what io.max says nothing of: whoever gives one rate gives them all.
func setRates(set func(name string) *Property, v Value) bool {
	device, ok := devicePath(v.Device)
	if !ok {
		return false
	}
	for i, key := range rateKeys {
		for _, r := range v.Rates {
			if r.Key != key {
				continue
			}
			p := set(rateProperties[i])
			if !r.IsUnlimited {
				setDevice(p, DeviceNumber{device, r.Number})
			}
		}
	}
	return true
}

// setDevice sets the number of a device; the last one counts.
func setDevice(p *Property, d DeviceNumber) {
	p.Devices = slices.DeleteFunc(p.Devices, func(other DeviceNumber) bool { return other.Path == d.Path })
	p.Devices = append(p.Devices, d)
}

// devicePath is a device as systemd wants it: an absolute path. A number is the link that
// udev makes for it.
func devicePath(device string) (where string, ok bool) {
	switch {
	case strings.HasPrefix(device, "/"):
		return path.Clean(device), true
	case isDevice(device):
		return "/dev/block/" + device, true
	}
	return "", false
}

func bitsOf(cpus []int) (bits []byte) {
	for _, c := range cpus {
		for len(bits) <= c/8 {
			bits = append(bits, 0)
		}
		bits[c/8] |= 1 << (c % 8)
	}
	return bits
}

func cpusOf(bits []byte) (cpus []int) {
	for i := range len(bits) * 8 {
		if bits[i/8]&(1<<(i%8)) != 0 {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// Item is what pam_systemd(8) reads of a PAM handle (pam_get_data(3)), before it asks
// logind for a session's scope, under this name.
type Item struct {
	Name, Value string
}

// PAMItems returns the items that come to the limits of a session, and the limits that
// none comes to: pam_systemd reads MemoryMax=, TasksMax=, CPUWeight= and IOWeight= of a
// scope alone. Percents are to be resolved before (Resolve): pam_systemd understands those
// of memory, of the machine's, but none of processes.
func PAMItems(list []Limit) (items []Item, unsupported []Limit) {
	names := map[Name]string{
		MemoryMax: "systemd.memory_max", PidsMax: "systemd.tasks_max", CPUWeight: "systemd.cpu_weight", IOWeight: "systemd.io_weight",
	}
	for _, l := range list {
		name, known := names[l.Name]
		properties, _ := UnitProperties([]Limit{l})
		if !known || len(properties) != 1 || properties[0].Kind() != OfNumber {
			unsupported = append(unsupported, l)
			continue
		}
		value := "infinity"
		if n := properties[0].Number; n != Infinity {
			value = strconv.FormatUint(n, 10)
		}
		items = append(slices.DeleteFunc(items, func(i Item) bool { return i.Name == name }), Item{name, value})
	}
	return items, unsupported
}
