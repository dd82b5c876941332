package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func recorded(name string) machine.Machine { return machine.Recorded("../testdata/" + name) }

// isolcpus= keeps CPUs for special use; a login must not run there.
func TestWithoutIsolated(t *testing.T) {
	for _, test := range []struct{ name, machine, cpus, want string }{
		{"none isolated: an empty line", "debian12-v1-hybrid", "0-3", "0-3"},
		{"a range isolated", "ubuntu1604-v1-systemd", "0-7", "0-1,4-7"},
		{"none of ours isolated", "ubuntu1604-v1-systemd", "4-7", "4-7"},
		{"no others left", "ubuntu1604-v1-systemd", "2-3", "2-3"},
		{"kernel without the file", "docker-no-cgroupns", "0-3", "0-3"},
		{"nothing to begin with", "ubuntu1604-v1-systemd", "", ""},
		{"no list", "ubuntu1604-v1-systemd", "0-3:1/2", "0-3:1/2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := cpulist.WithoutIsolated(recorded(test.machine), test.cpus); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("every second isolated", func(t *testing.T) {
		m := machine.Recorded(files(t, map[string]string{"sys/devices/system/cpu/isolated": "1,3\n"}))
		if got := cpulist.WithoutIsolated(m, "0-3"); got != "0,2" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("isolated file that is no list", func(t *testing.T) {
		m := machine.Recorded(files(t, map[string]string{"sys/devices/system/cpu/isolated": "all\n"}))
		if got := cpulist.WithoutIsolated(m, "0-3"); got != "0-3" {
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
			parent, err := cgroupfs.OpenMount(machine.Recorded(dir), cgroupfs.Mount{Point: "/h"})
			if err != nil {
				t.Fatal(err)
			}
			defer parent.Close()
			child, err := parent.Open("c")
			if err != nil {
				t.Fatal(err)
			}
			defer child.Close()
			if err := InheritCpuset(machine.Recorded(dir), parent, child); err != nil {
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
