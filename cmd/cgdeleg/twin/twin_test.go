package twin

import (
	"fmt"

	"testing"
)

func TestTwins(t *testing.T) {
	for _, test := range []struct {
		name       string
		from       []Setting
		onV1, onV2 string
	}{
		{"memory", []Setting{{"memory.limit_in_bytes", "1G"}}, "[]", "[{memory.max 1G}]"},
		{"no limit", []Setting{{"memory.limit_in_bytes", "-1"}}, "[]", "[{memory.max max}]"},
		{"v2's memory", []Setting{{"memory.max", "max"}}, "[{memory.limit_in_bytes -1}]", "[]"},
		{"what both have", []Setting{{"pids.max", "7"}}, "[{pids.max 7}]", "[{pids.max 7}]"},
		{"quota", []Setting{{"cpu.cfs_quota_us", "5"}}, "[]", "[{cpu.max 5 100000}]"},
		{"quota and period", []Setting{{"cpu.cfs_quota_us", "5"}, {"cpu.cfs_period_us", "10"}}, "[]", "[{cpu.max 5 10}]"},
		{"period alone", []Setting{{"cpu.cfs_period_us", "10"}}, "[]", "[]"},
		{"v2's quota", []Setting{{"cpu.max", "max 10"}}, "[{cpu.cfs_period_us 10} {cpu.cfs_quota_us -1}]", "[]"},
		{"v2's quota alone", []Setting{{"cpu.max", "5"}}, "[{cpu.cfs_quota_us 5}]", "[]"},
		{"three words", []Setting{{"cpu.max", "5 6 7"}}, "[]", "[]"},
		{"shares", []Setting{{"cpu.shares", "1024"}}, "[]", "[{cpu.weight 39}]"},
		{"most shares", []Setting{{"cpu.shares", "262144"}}, "[]", "[{cpu.weight 10000}]"},
		{"no number", []Setting{{"cpu.shares", "many"}}, "[]", "[]"},
		{"weight", []Setting{{"cpu.weight", "1"}}, "[{cpu.shares 2}]", "[]"},
		{"throttle", []Setting{{"blkio.throttle.read_bps_device", "8:0 100"}}, "[]", "[{io.max 8:0 rbps=100}]"},
		{"io.max", []Setting{{"io.max", "8:0 rbps=1 wiops=max x=1"}}, "[{blkio.throttle.read_bps_device 8:0 1} {blkio.throttle.write_iops_device 8:0 0}]", "[]"},
		{"huge pages", []Setting{{"hugetlb.2MB.limit_in_bytes", "1"}}, "[]", "[{hugetlb.2MB.max 1}]"},
		{"v2's huge pages", []Setting{{"hugetlb.2MB.max", "1"}}, "[{hugetlb.2MB.limit_in_bytes 1}]", "[]"},
		{"none", []Setting{{"memory.high", "1"}, {"memory.memsw.limit_in_bytes", "1"}}, "[]", "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fmt.Sprint(OnV1(test.from)); got != test.onV1 {
				t.Errorf("on v1: %s, want %s", got, test.onV1)
			}
			if got := fmt.Sprint(OnV2(test.from)); got != test.onV2 {
				t.Errorf("on v2: %s, want %s", got, test.onV2)
			}
		})
	}
}
