package delegate

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// The list format of cpuset(7).
func TestCPUList(t *testing.T) {
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
			got, err := parseCPUList(test.in)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
			if out := formatCPUList(got); out != test.out {
				t.Errorf("formatted %q, want %q", out, test.out)
			}
		})
	}
}

func TestCPUListRefuses(t *testing.T) {
	for _, in := range []string{
		",", "0,", ",0", "0,,1", "-", "-1", "1-", "3-1", "0-1-2", "x", "0x1", " 0", "0 ", "0\n", "+1", "1_0", "0-3:1/2",
		"65536", "0-65536", "0-4294967295", "99999999999999999999",
		strings.Repeat("0-65535,", 1000) + "0", // overlaps may not exhaust memory either
	} {
		if got, err := parseCPUList(in); !errors.Is(err, errCPUList) || got != nil {
			t.Errorf("%.40q: %d CPUs, %v", in, len(got), err)
		}
	}
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,8", "7-7", "3,1,2", "0-1-2", "65535", "0-65535,0-65535", "00,01", "1-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := parseCPUList(s)
		if err != nil {
			return
		}
		for i, cpu := range cpus {
			if cpu < 0 || cpu >= maxCPU || i > 0 && cpu <= cpus[i-1] {
				t.Fatalf("%q: CPU %d", s, cpu)
			}
		}
		again, err := parseCPUList(formatCPUList(cpus))
		if err != nil || !reflect.DeepEqual(again, cpus) {
			t.Errorf("%q: %v, then %v, %v", s, cpus, again, err)
		}
	})
}

func recorded(host string) cgroupfs.Machine { return cgroupfs.Recorded("testdata/" + host) }

// isolcpus= keeps CPUs for special use; a login must not run there.
func TestWithoutIsolated(t *testing.T) {
	for _, test := range []struct{ name, host, cpus, want string }{
		{"none isolated: an empty line", "debian12-v1-hybrid", "0-3", "0-3"},
		{"a range isolated", "ubuntu1604-v1-systemd", "0-7", "0-1,4-7"},
		{"none of ours isolated", "ubuntu1604-v1-systemd", "4-7", "4-7"},
		{"no others left", "ubuntu1604-v1-systemd", "2-3", "2-3"},
		{"kernel without the file", "docker-no-cgroupns", "0-3", "0-3"},
		{"nothing to begin with", "ubuntu1604-v1-systemd", "", ""},
		{"no list", "ubuntu1604-v1-systemd", "0-3:1/2", "0-3:1/2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := withoutIsolated(recorded(test.host), test.cpus); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("every second isolated", func(t *testing.T) {
		m := cgroupfs.Recorded(files(t, map[string]string{"sys/devices/system/cpu/isolated": "1,3\n"}))
		if got := withoutIsolated(m, "0-3"); got != "0,2" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("isolated file that is no list", func(t *testing.T) {
		m := cgroupfs.Recorded(files(t, map[string]string{"sys/devices/system/cpu/isolated": "all\n"}))
		if got := withoutIsolated(m, "0-3"); got != "0-3" {
			t.Errorf("got %q", got)
		}
	})
}

// files writes files (path to content) into a new directory.
func files(t *testing.T, contents map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range contents {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// An empty set lets no process in (cpuset(7), ENOSPC); a set that is there is
// somebody's choice.
func TestInheritCpuset(t *testing.T) {
	for _, test := range []struct{ name, cpus, mems, wantCPUs, wantMems string }{
		{"both empty", "\n", "\n", "0-1,4-7", "0"},
		{"the administrator chose CPUs", "2\n", "\n", "2\n", "0"},
		{"the parent has clone_children", "0-7\n", "1\n", "0-7\n", "1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := files(t, map[string]string{
				"sys/devices/system/cpu/isolated": "2-3\n",
				"h/cpuset.cpus":                   "0-7\n", "h/cpuset.mems": "0\n",
				// Ordinary files are not cut short when they are written.
				"h/c/cpuset.cpus": strings.TrimSuffix(test.cpus, "\n"), "h/c/cpuset.mems": strings.TrimSuffix(test.mems, "\n"),
				"h/c/cgroup.clone_children": "0",
			})
			parent, err := cgroupfs.Recorded(dir).OpenMount(cgroupfs.Mount{Point: "/h"})
			if err != nil {
				t.Fatal(err)
			}
			defer parent.Close()
			child, err := parent.Open("c")
			if err != nil {
				t.Fatal(err)
			}
			defer child.Close()
			if err := inheritCpuset(cgroupfs.Recorded(dir), parent, child); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{
				"cpuset.cpus": strings.TrimSuffix(test.wantCPUs, "\n"), "cpuset.mems": strings.TrimSuffix(test.wantMems, "\n"), "cgroup.clone_children": "1",
			} {
				if got, err := child.Read(file); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v; want %q", file, got, err, want)
				}
			}
		})
	}
}
