package limits

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// parsed are the limits of some words of the file.
func parsed(t *testing.T, words ...string) (list []Limit) {
	t.Helper()
	for _, word := range words {
		l, err := Parse(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

func TestUnitProperties(t *testing.T) {
	for _, test := range []struct {
		name        string
		words       []string
		want        string // by systemctl's words
		unsupported []string
	}{
		{"nothing", nil, "", nil},
		{"memory", []string{"memory.max=1G", "memory.high=512M", "memory.swap.max=0"}, "MemoryHigh=536870912; MemoryMax=1073741824; MemorySwapMax=0", nil},
		{"unlimited", []string{"memory.max=max", "memory.high=max", "memory.swap.max=max", "cpu.max=max", "pids.max=max"},
			"CPUQuotaPerSecUSec=infinity; MemoryHigh=infinity; MemoryMax=infinity; MemorySwapMax=infinity; TasksMax=infinity", nil},
		{"processes", []string{"pids.max=100"}, "TasksMax=100", nil},
		{"no processes", []string{"pids.max=0"}, "", []string{"pids.max=0"}}, // systemd has TasksMax= from 1 on
		{"no memory", []string{"memory.max=0"}, "", []string{"memory.max=0"}},
		{"percentages that nobody resolved", []string{"memory.max=20%", "pids.max=10%", "cpu.weight=7"}, "CPUWeight=7", []string{"memory.max=20%", "pids.max=10%"}},
		{"a fifth of a CPU", []string{"cpu.max=20%"}, "CPUQuotaPerSecUSec=200000; CPUQuotaPeriodUSec=infinity", nil},
		{"four CPUs", []string{"cpu.max=400%"}, "CPUQuotaPerSecUSec=4000000; CPUQuotaPeriodUSec=infinity", nil},
		{"as the kernel writes it", []string{"cpu.max=5000 10000"}, "CPUQuotaPerSecUSec=500000; CPUQuotaPeriodUSec=10000", nil},
		{"a fraction of a percent", []string{"cpu.max=12.5%"}, "CPUQuotaPerSecUSec=120000; CPUQuotaPeriodUSec=infinity", nil},
		{"less than a percent", []string{"cpu.max=0.5%"}, "CPUQuotaPerSecUSec=10000; CPUQuotaPeriodUSec=200000", nil},
		{"weights", []string{"cpu.weight=1", "io.weight=10000"}, "CPUWeight=1; IOWeight=10000", nil},
		{"weights of devices", []string{"io.weight=/dev/sdb 20", "io.weight=/dev/sda 10", "io.weight=/dev//sdb 30"}, "IODeviceWeight=/dev/sda 10, /dev/sdb 30", nil},
		{"rates", []string{"io.max=/dev/sda rbps=10M wiops=100"}, "IOReadBandwidthMax=/dev/sda 10485760; IOWriteIOPSMax=/dev/sda 100", nil},
		{"rates of two devices", []string{"io.max=/dev/sda rbps=1K", "io.max=8:16 rbps=2K"}, "IOReadBandwidthMax=/dev/block/8:16 2048, /dev/sda 1024", nil},
		{"a rate that is unlimited", []string{"io.max=/dev/sda rbps=max wbps=1M riops=2"}, "IOReadBandwidthMax=; IOReadIOPSMax=/dev/sda 2; IOWriteBandwidthMax=/dev/sda 1048576", nil},
		{"systemd's own names", []string{"IOReadBandwidthMax=/ 10M", "CPUQuota=50%", "TasksMax=infinity", "AllowedCPUs=0-3"},
			"AllowedCPUs=0-3; CPUQuotaPerSecUSec=500000; CPUQuotaPeriodUSec=infinity; IOReadBandwidthMax=/ 10000000; TasksMax=infinity", nil},
		{"CPUs", []string{"cpuset.cpus=1,8-10"}, "AllowedCPUs=1,8-10", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			properties, unsupported := UnitProperties(parsed(t, test.words...))
			var words []string
			for _, p := range properties {
				words = append(words, p.String())
			}
			if got := strings.Join(words, "; "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if want := parsed(t, test.unsupported...); !reflect.DeepEqual(unsupported, want) {
				t.Errorf("unsupported: %v, want %v", unsupported, want)
			}
		})
	}
}

// The bits are those of cpu_set_to_dbus in systemd's src/shared/cpu-set-util.c.
func TestBitsOfCPUs(t *testing.T) {
	properties, _ := UnitProperties(parsed(t, "cpuset.cpus=0,3,8"))
	if got := properties[0].CPUs; !slices.Equal(got, []byte{0b1001, 1}) {
		t.Errorf("%b", got)
	}
}

func TestEqualProperties(t *testing.T) {
	sda, sdb := DeviceNumber{"/dev/sda", 1}, DeviceNumber{"/dev/sdb", 2}
	for _, test := range []struct {
		name string
		a, b Property
		want bool
	}{
		{"the same number", Property{Name: "MemoryMax", Number: 1}, Property{Name: "MemoryMax", Number: 1}, true},
		{"other numbers", Property{Name: "MemoryMax", Number: 1}, Property{Name: "MemoryMax", Number: 2}, false},
		{"other names", Property{Name: "MemoryMax", Number: 1}, Property{Name: "MemoryHigh", Number: 1}, false},
		{"devices in another order", Property{Name: "IOReadBandwidthMax", Devices: []DeviceNumber{sda, sdb}}, Property{Name: "IOReadBandwidthMax", Devices: []DeviceNumber{sdb, sda}}, true},
		{"a device less", Property{Name: "IODeviceWeight", Devices: []DeviceNumber{sda, sdb}}, Property{Name: "IODeviceWeight", Devices: []DeviceNumber{sdb}}, false},
		{"no devices", Property{Name: "IODeviceWeight", Devices: []DeviceNumber{}}, Property{Name: "IODeviceWeight"}, true},
		{"more bytes of the same CPUs", Property{Name: "AllowedCPUs", CPUs: []byte{1, 0, 0}}, Property{Name: "AllowedCPUs", CPUs: []byte{1}}, true},
		{"other CPUs", Property{Name: "AllowedCPUs", CPUs: []byte{1, 0, 1}}, Property{Name: "AllowedCPUs", CPUs: []byte{1}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.a.Equal(test.b); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPAMItems(t *testing.T) {
	for _, test := range []struct {
		name        string
		words       []string
		want        []Item
		unsupported []string
	}{
		{"nothing", nil, nil, nil},
		{"all that there are", []string{"memory.max=4G", "pids.max=100", "cpu.weight=50", "io.weight=200"},
			[]Item{{"systemd.memory_max", "4294967296"}, {"systemd.tasks_max", "100"}, {"systemd.cpu_weight", "50"}, {"systemd.io_weight", "200"}}, nil},
		{"unlimited", []string{"memory.max=max", "pids.max=max"}, []Item{{"systemd.memory_max", "infinity"}, {"systemd.tasks_max", "infinity"}}, nil},
		{"what pam_systemd has no word for", []string{"memory.high=1G", "memory.max=2G", "cpu.max=50%", "io.weight=/dev/sda 5", "memory.swap.max=0", "cpuset.cpus=0"},
			[]Item{{"systemd.memory_max", "2147483648"}}, []string{"memory.high=1G", "cpu.max=50%", "io.weight=/dev/sda 5", "memory.swap.max=0", "cpuset.cpus=0"}},
		{"percentages that nobody resolved", []string{"memory.max=20%", "pids.max=1%"}, nil, []string{"memory.max=20%", "pids.max=1%"}},
		{"the last one counts", []string{"pids.max=5", "pids.max=6"}, []Item{{"systemd.tasks_max", "6"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			items, unsupported := PAMItems(parsed(t, test.words...))
			if !reflect.DeepEqual(items, test.want) {
				t.Errorf("got %v, want %v", items, test.want)
			}
			if want := parsed(t, test.unsupported...); !reflect.DeepEqual(unsupported, want) {
				t.Errorf("unsupported: %v, want %v", unsupported, want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	totals := Totals{MemoryMax: 4096000000, PidsMax: 32768}
	got := totals.Resolve(parsed(t, "memory.max=25%", "memory.high=0.01%", "memory.swap.max=10%", "pids.max=33%", "cpu.max=50%", "memory.max=1G"))
	want := []Limit{
		{MemoryMax, number(1024000000)}, {MemoryHigh, number(409600)}, {MemorySwapMax, percent(1000)}, {PidsMax, number(10813)},
		{CPUMax, quota(50000, 100000)}, {MemoryMax, number(1 << 30)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	below := totals.Below(got[:1]).Resolve(parsed(t, "memory.max=50%", "pids.max=50%"))
	if want := []Limit{{MemoryMax, number(512000000)}, {PidsMax, number(16384)}}; !reflect.DeepEqual(below, want) {
		t.Errorf("below: got %v, want %v", below, want)
	}
}
