package hierarchy

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestSeen(t *testing.T) {
	const root = "24 1 254:0 / / rw - ext4 /dev/vda rw\n"
	unified := []Membership{{Hierarchy: Unified, Path: "/"}}
	v1 := []Membership{{"cpu,cpuacct", "/"}, {"name=systemd", "/"}, {Unified, "/"}}
	for name, test := range map[string]struct {
		mountinfo string
		members   []Membership
		want      []Mounted
		isWhole   bool
		hasAny    bool
	}{
		"none":               {root, unified, nil, true, false},
		"none of a part":     {"22 24 0:21 / /sys rw - sysfs sysfs rw\n", unified, nil, false, false},
		"an odd line":        {root + "gibberish\n", unified, nil, false, false},
		"v2":                 {root + "34 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/sys/fs/cgroup", false, false}}, true, true},
		"read-only":          {"34 22 0:26 / /c ro - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/c", true, false}}, false, true},
		"read-only above":    {"34 22 0:26 / /c rw - cgroup2 cgroup2 rw\n35 22 0:26 / /c ro - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/c", true, false}}, false, true},
		"writable elsewhere": {"34 22 0:26 / /c ro - cgroup2 cgroup2 rw\n35 22 0:26 / /d rw - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/d", false, false}}, false, true},
		"stale":              {"34 22 0:26 /../.. /c rw - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/c", false, true}}, false, true},
		"stale, and another": {"34 22 0:26 /.. /c rw - cgroup2 cgroup2 rw\n35 22 0:26 / /d ro - cgroup2 cgroup2 rw\n", unified, []Mounted{{Unified, "/d", true, false}}, false, true},
		"hybrid": {"1 2 0:3 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n1 2 0:4 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd\n1 2 0:5 / /c/unified rw - cgroup2 cgroup2 rw\n", v1,
			[]Mounted{{"cpu,cpuacct", "/c/cpu", false, false}, {"name=systemd", "/c/systemd", false, false}, {Unified, "/c/unified", false, false}}, false, true},
		"members of others": {"1 2 0:3 / /c/cpu rw - cgroup cgroup rw,cpu\n", unified, nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "proc/self"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "proc/self/mountinfo"), []byte(test.mountinfo), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := Seen(machine.Recorded(dir), test.members)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.All, test.want) || got.IsWhole != test.isWhole || got.HasAny != test.hasAny {
				t.Errorf("got %+v, want %+v, whole %v, any %v", got, test.want, test.isWhole, test.hasAny)
			}
		})
	}
	if _, err := Seen(machine.Recorded(t.TempDir()), unified); err == nil {
		t.Error("what was not recorded is taken for a mountinfo without mounts")
	}
}
