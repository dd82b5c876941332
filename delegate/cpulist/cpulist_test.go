package cpulist

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The list format of cpuset(7).
func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     []int
		out      string
	}{
		{"none", "", nil, ""},
		{"one", "0", []int{0}, "0"},
		{"range", "0-3", []int{0, 1, 2, 3}, "0-3"},
		{"pair is a range", "2-3", []int{2, 3}, "2-3"},
		{"mixed", "0-2,5,7-8", []int{0, 1, 2, 5, 7, 8}, "0-2,5,7-8"},
		{"range of one", "4-4", []int{4}, "4"},
		{"neighbours grow together", "0,1,2", []int{0, 1, 2}, "0-2"},
		{"sorted and without repeats", "5,1-2,2-3", []int{1, 2, 3, 5}, "1-3,5"},
		{"highest", "65535", []int{65535}, "65535"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(test.in)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
			if out := Format(got); out != test.out {
				t.Errorf("formatted %q, want %q", out, test.out)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		",", "0,", ",0", "0,,1", "-", "-1", "1-", "3-1", "0-1-2", "x", "0x1", " 0", "0 ", "0\n", "+1", "1_0", "0-3:1/2",
		"65536", "0-65536", "0-4294967295", "99999999999999999999",
		strings.Repeat("0-65535,", 1000) + "0", // overlaps may not exhaust memory either
	} {
		if got, err := Parse(in); !errors.Is(err, Err) || got != nil {
			t.Errorf("%.40q: %d CPUs, %v", in, len(got), err)
		}
	}
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,8", "7-7", "3,1,2", "0-1-2", "65535", "0-65535,0-65535", "00,01", "1-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := Parse(s)
		if err != nil {
			return
		}
		for i, cpu := range cpus {
			if cpu < 0 || cpu >= maxCPU || i > 0 && cpu <= cpus[i-1] {
				t.Fatalf("%q: CPU %d", s, cpu)
			}
		}
		again, err := Parse(Format(cpus))
		if err != nil || !reflect.DeepEqual(again, cpus) {
			t.Errorf("%q: %v, then %v, %v", s, cpus, again, err)
		}
	})
}
