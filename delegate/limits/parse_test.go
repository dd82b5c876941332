package limits

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func number(n uint64) Value           { return Value{Kind: Number, Number: n} }
func percent(hundredths uint64) Value { return Value{Kind: Percent, Percent: hundredths} }
func quota(quota, period uint64) Value {
	return Value{Kind: Quota, Quota: quota, Period: period}
}
func rates(device string, r ...Rate) Value {
	return Value{Kind: Rates, Device: device, Rates: r}
}
func weight(device string, n uint64) Value {
	return Value{Kind: Weight, Device: device, Number: n}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, word string
		limit      Name
		want       Value
		out        string // as String writes it, if that is another way
	}{
		{"bytes", "memory.max=4096", MemoryMax, number(4096), "memory.max=4K"},
		{"odd bytes", "memory.max=4097", MemoryMax, number(4097), ""},
		{"none at all", "memory.swap.max=0", MemorySwapMax, number(0), ""},
		{"K", "memory.max=3K", MemoryMax, number(3 << 10), ""},
		{"M", "memory.max=512M", MemoryMax, number(512 << 20), ""},
		{"G", "memory.high=2G", MemoryHigh, number(2 << 30), ""},
		{"T", "memory.high=2T", MemoryHigh, number(2 << 40), ""},
		{"P", "memory.high=2P", MemoryHigh, number(2 << 50), ""},
		{"E", "memory.high=15E", MemoryHigh, number(15 << 60), ""},
		{"small letter", "memory.max=2g", MemoryMax, number(2 << 30), "memory.max=2G"},
		{"decimal", "memory.max=1.5G", MemoryMax, number(3 << 29), "memory.max=1536M"},
		{"decimal that is rounded down", "memory.max=0.3K", MemoryMax, number(307), "memory.max=307"},
		{"most that is below 2^64", "memory.max=15.999999999999999999E", MemoryMax, number(math.MaxUint64 - 1), "memory.max=18446744073709551614"},
		{"largest", "memory.max=18446744073709551615", MemoryMax, number(math.MaxUint64), ""},
		{"max", "memory.max=max", MemoryMax, Value{}, ""},
		{"infinity", "memory.max=infinity", MemoryMax, Value{}, "memory.max=max"},
		{"percent", "memory.max=20%", MemoryMax, percent(2000), ""},
		{"a part of a percent", "memory.max=12.5%", MemoryMax, percent(1250), ""},
		{"a hundredth of a percent", "memory.max=0.01%", MemoryMax, percent(1), ""},
		{"zero that is not needed", "memory.max=12.50%", MemoryMax, percent(1250), "memory.max=12.5%"},
		{"more than there is", "memory.max=150%", MemoryMax, percent(15000), ""},
		{"MemoryMax", "MemoryMax=1G", MemoryMax, number(1 << 30), "memory.max=1G"},
		{"MemoryHigh", "MemoryHigh=1G", MemoryHigh, number(1 << 30), "memory.high=1G"},
		{"MemorySwapMax", "MemorySwapMax=1G", MemorySwapMax, number(1 << 30), "memory.swap.max=1G"},

		{"one CPU", "cpu.max=100%", CPUMax, quota(100_000, 100_000), ""},
		{"four CPUs", "cpu.max=400%", CPUMax, quota(400_000, 100_000), ""},
		{"a fifth", "cpu.max=20%", CPUMax, quota(20_000, 100_000), ""},
		{"a hundredth", "cpu.max=1%", CPUMax, quota(1_000, 100_000), ""},
		{"less than a hundredth has a longer period", "cpu.max=0.5%", CPUMax, quota(1_000, 200_000), ""},
		{"with a rest", "cpu.max=0.33%", CPUMax, quota(1_000, 303_031), ""},
		{"the least", "cpu.max=0.1%", CPUMax, quota(1_000, 1_000_000), ""},
		{"as the kernel writes it", "cpu.max=400000 100000", CPUMax, quota(400_000, 100_000), "cpu.max=400%"},
		{"another period", "cpu.max=50000 1000000", CPUMax, quota(50_000, 1_000_000), ""},
		{"shortest period", "cpu.max=1000 1000", CPUMax, quota(1_000, 1_000), ""},
		{"as the kernel writes none", "cpu.max=max 100000", CPUMax, Value{}, "cpu.max=max"},
		{"CPUQuota", "CPUQuota=20%", CPUMax, quota(20_000, 100_000), "cpu.max=20%"},
		{"CPUQuota=infinity", "CPUQuota=infinity", CPUMax, Value{}, "cpu.max=max"},
		{"cpu.weight", "cpu.weight=1", CPUWeight, number(1), ""},
		{"CPUWeight", "CPUWeight=10000", CPUWeight, number(10000), "cpu.weight=10000"},

		{"pids.max", "pids.max=1024", PidsMax, number(1024), ""},
		{"most processes", "pids.max=4194304", PidsMax, number(4 << 20), ""},
		{"no process", "pids.max=0", PidsMax, number(0), ""},
		{"percent of processes", "pids.max=10%", PidsMax, percent(1000), ""},
		{"TasksMax", "TasksMax=infinity", PidsMax, Value{}, "pids.max=max"},

		{"io.max", "io.max=/dev/sda rbps=10M wbps=max riops=100", IOMax, rates("/dev/sda", Rate{"rbps", 10 << 20, false}, Rate{"wbps", 0, true}, Rate{"riops", 100, false}), ""},
		{"io.max by number", "io.max=8:16  wiops=2K", IOMax, rates("8:16", Rate{"wiops", 2000, false}), "io.max=8:16 wiops=2000"},
		{"IOReadBandwidthMax", "IOReadBandwidthMax=/home 5M", IOMax, rates("/home", Rate{"rbps", 5_000_000, false}), "io.max=/home rbps=5000000"},
		{"IOWriteBandwidthMax", "IOWriteBandwidthMax=/home infinity", IOMax, rates("/home", Rate{"wbps", 0, true}), "io.max=/home wbps=max"},
		{"IOReadIOPSMax", "IOReadIOPSMax=/dev/sda 1K", IOMax, rates("/dev/sda", Rate{"riops", 1000, false}), "io.max=/dev/sda riops=1000"},
		{"IOWriteIOPSMax", "IOWriteIOPSMax=/dev/sda 7", IOMax, rates("/dev/sda", Rate{"wiops", 7, false}), "io.max=/dev/sda wiops=7"},
		{"io.weight", "io.weight=200", IOWeight, weight("", 200), ""},
		{"io.weight as the kernel writes it", "io.weight=default 200", IOWeight, weight("", 200), "io.weight=200"},
		{"io.weight of a device", "io.weight=/dev/sda 200", IOWeight, weight("/dev/sda", 200), ""},
		{"IOWeight", "IOWeight=50", IOWeight, weight("", 50), "io.weight=50"},
		{"IODeviceWeight", "IODeviceWeight=/var 50", IOWeight, weight("/var", 50), "io.weight=/var 50"},

		{"cpuset.cpus", "cpuset.cpus=0-3,7", CPUs, Value{Kind: Set, CPUs: "0-3,7"}, ""},
		{"in another order", "cpuset.cpus=7,0,1-2,3", CPUs, Value{Kind: Set, CPUs: "0-3,7"}, "cpuset.cpus=0-3,7"},
		{"AllowedCPUs", "AllowedCPUs=0-3, 7", CPUs, Value{Kind: Set, CPUs: "0-3,7"}, "cpuset.cpus=0-3,7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(test.word)
			if want := (Limit{Name: test.limit, Value: test.want}); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v; want %+v", got, err, want)
			}
			want := test.out
			if want == "" {
				want = test.word
			}
			if got.String() != want {
				t.Errorf("written %q, want %q", got.String(), want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ word, reason, want string }{
		{"", "no NAME=VALUE", "memory.max=2G"},
		{"2G", "no NAME=VALUE", "memory.max=2G"},
		{"memory.max", "no value", "equals sign"},
		{"memory.max=", "not a number", "512M"},
		{"memory.max=G", "not a number", "512M"},
		{"memory.max= 1G", "not a number", "512M"},
		{"memory.max=-1", "not a number", "512M"},
		{"memory.max=+1", "not a number", "512M"},
		{"memory.max=1GB", "not a number", "512M"},
		{"memory.max=1.G", "not a number", "512M"},
		{"memory.max=.5G", "not a number", "512M"},
		{"memory.max=1.-5G", "not a number", "512M"},
		{"memory.max=1e3", "not a number", "512M"},
		{"memory.max=1.5", "a fraction without a unit", "512M"},
		{"memory.max=16E", "too large", "512M"},
		{"memory.max=18446744073709551616", "too large", "512M"},
		{"memory.max=18446744073709551615.5K", "too large", "512M"},
		{"memory.max=%", "not a percentage", "20%"},
		{"memory.max=-1%", "not a percentage", "20%"},
		{"memory.max=1.234%", "not a percentage", "20%"},
		{"memory.max=1.%", "not a percentage", "20%"},
		{"memory.max=99999999999999999999%", "not a percentage", "20%"},
		{"memory.max=10001%", "too large", "100%"},
		{"pids.max=1K", "not a number", "1024"},
		{"pids.max=4194305", "too large", "at most 4194304"},
		{"cpu.max=400", "neither a percentage nor a quota", "150%"},
		{"cpu.max=0%", "out of bounds", "0.1%"},
		{"cpu.max=0.09%", "out of bounds", "0.1%"},
		{"cpu.max=200000000000000%", "out of bounds", "0.1%"},
		{"cpu.max=999 100000", "the quota is out of bounds", "1000"},
		{"cpu.max=17592186044416 100000", "the quota is out of bounds", "2^44"},
		{"cpu.max=1000 999", "the period is out of bounds", "1000000"},
		{"cpu.max=1000 1000001", "the period is out of bounds", "1000000"},
		{"cpu.max=max 7", "the period is out of bounds", "1000000"},
		{"cpu.max=x 100000", "the quota is not a number", "50000 100000"},
		{"cpu.max=1000 x", "the period is not a number", "50000 100000"},
		{"cpu.weight=0", "out of bounds", "10000"},
		{"cpu.weight=10001", "out of bounds", "10000"},
		{"cpu.weight=max", "not a number", "10000"},
		{"io.weight=/dev/sda", "not a number", "10000"},
		{"io.weight=sda 100", "the device is neither", "/dev/sda 200"},
		{"io.weight=/dev/sda 0", "out of bounds", "10000"},
		{"IODeviceWeight=100", "not a device and a weight", "/dev/sda 200"},
		{"IOWeight=/dev/sda 100", "not a number", "10000"},
		{"io.max=max", "not a device and its rates", "rbps=10M"},
		{"io.max=sda rbps=1", "the device is neither", "rbps=10M"},
		{"io.max=8:x rbps=1", "the device is neither", "rbps=10M"},
		{"io.max=8: rbps=1", "the device is neither", "rbps=10M"},
		{"io.max=/dev/sda bps=1", "is no rate", "rbps=10M"},
		{"io.max=/dev/sda rbps=1 rbps=2", "rbps is given twice", "rbps=10M"},
		{"io.max=/dev/sda rbps=0", "no access at all", "10M"},
		{"io.max=/dev/sda rbps", "rbps: not a number", "10M"},
		{"IOReadIOPSMax=/dev/sda", "not a device and a rate", "/dev/sda 10M"},
		{"cpuset.cpus=", "no list of CPUs", "0-3,7"},
		{"cpuset.cpus=3-1", "no list of CPUs", "0-3,7"},
		{"cpuset.cpus=max", "no list of CPUs", "0-3,7"},
		{"AllowedCPUs= ", "no list of CPUs", "0-3,7"},
	} {
		t.Run(test.word, func(t *testing.T) {
			got, err := Parse(test.word)
			var wrong *ValueError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %+v, %v; want a *ValueError", got, err)
			}
			if wrong.Word != test.word || !strings.Contains(wrong.Reason, test.reason) || !strings.Contains(wrong.Want, test.want) {
				t.Errorf("got %v; want %q, and %q", err, test.reason, test.want)
			}
		})
	}
}

func TestParseSuggestsNames(t *testing.T) {
	for name, want := range map[string]string{
		"memory.maximum":         "memory.max",
		"memory.hi":              "memory.high",
		"MEMORY.MAX":             "memory.max",
		"memorymax":              "MemoryMax",
		"memory_max":             "memory.max",
		"pid.max":                "pids.max",
		"CPUQuotas":              "CPUQuota",
		"cpuset.cpu":             "cpuset.cpus",
		"TaskMax":                "TasksMax",
		"":                       "",
		"nproc":                  "",
		"hugetlb.2MB.max":        "",
		strings.Repeat("x", 1e6): "",
	} {
		var unknown *NameError
		if got, err := Parse(name + "=1"); !errors.As(err, &unknown) || unknown.Name != name || unknown.Nearest != want {
			t.Errorf("%.40q: got %+v, %.200v; want %q", name, got, err, want)
		}
	}
}

// Each spelling can be written, and gives a limit that is one of the kernel's names.
func TestSpellings(t *testing.T) {
	seen := map[Name]bool{}
	for _, name := range Spellings() {
		for _, value := range []string{"1", "10%", "/dev/sda 100", "/dev/sda rbps=1"} {
			if l, err := Parse(name + "=" + value); err == nil {
				seen[l.Name] = true
			}
		}
	}
	for _, name := range []Name{MemoryMax, MemoryHigh, MemorySwapMax, CPUMax, CPUWeight, PidsMax, IOMax, IOWeight, CPUs} {
		if !seen[name] {
			t.Errorf("%s cannot be written", name)
		}
	}
}

// FuzzParse wants that what Parse understands is written so that it understands the same
// again, and that nothing of it is out of the kernel's bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"memory.max=1.5G", "memory.max=20%", "memory.high=max", "memory.swap.max=0", "MemoryMax=infinity", "cpu.max=0.33%",
		"cpu.max=50000 100000", "CPUQuota=400%", "cpu.weight=100", "io.weight=/dev/sda 200", "pids.max=12.34%", "TasksMax=7",
		"io.max=/dev/sda rbps=10M wbps=max riops=100", "IOReadBandwidthMax=8:0 5M", "cpuset.cpus=0-3,7", "AllowedCPUs=1 2", "cpu.max=17592186044415 999999",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, word string) {
		l, err := Parse(word)
		if err != nil {
			var value *ValueError
			var name *NameError
			if !errors.As(err, &value) && !errors.As(err, &name) {
				t.Fatalf("%q: %T", word, err)
			}
			return
		}
		again, err := Parse(l.String())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Errorf("%q: %+v, written %q, read %+v, %v", word, l, l.String(), again, err)
		}
		if v := l.Value; v.Kind == Quota && (v.Quota < leastQuota || v.Quota > mostQuota || v.Period < leastPeriod || v.Period > mostPeriod) {
			t.Errorf("%q: the kernel refuses %s", word, l)
		}
	})
}
