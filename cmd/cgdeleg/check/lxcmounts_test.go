package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// mountedAt has what is below a directory, and is mounted there, elsewhere.
func mountedAt(from, to string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{machine.StatFile, "/proc/self/mountinfo"} {
			replace(file, " "+from, " "+to)(t, dir)
		}
	}
}

// LXC finds only cgroups that are mounted where it looks.
func TestMountsOfLXC(t *testing.T) {
	const root, there = "/sys/fs/cgroup", "mount them there too"
	for name, test := range map[string]struct {
		machine string
		change  change
		lxc     string
		want    string
		fix     string // its first command, or its text
	}{
		"v2":                             {v2, mountedAt(root, "/mnt/cgroup2"), "5.0.3", "failed", "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"},
		"v1":                             {v1, mountedAt(root, "/cgroup"), "4.0.12", "failed", "sudo sh -c 'mount -t tmpfs cgroup /sys/fs/cgroup && cd"},
		"v1, LXC before 4.0.7":           {v1, mountedAt(root, "/cgroup"), "4.0.6", "failed", "sudo sh -c 'mount -t tmpfs cgroup /sys/fs/cgroup && cd"},
		"v1, LXC 2":                      {v1, mountedAt(root, "/cgroup"), "2.1.1", "ok", ""},
		"one elsewhere":                  {v1, mountedAt(root+"/memory", "/dev/memory"), "5.0.3", "warning", "sudo mkdir -p /sys/fs/cgroup/memory"},
		"one by another name":            {v1, all(mountedAt(root+"/memory", root+"/mem"), write(machine.AbsentFile, root+"/memory\n")), "5.0.3", "warning", "sudo mkdir -p /sys/fs/cgroup/memory"},
		"the same, LXC before 4.0.7":     {v1, mountedAt(root+"/memory", root+"/mem"), "4.0.6", "ok", ""},
		"v2, and there too":              {v2, all(mountedAt(root, "/mnt/cgroup2"), appendTo("/proc/self/mountinfo", "99 22 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")), "5.0.3", "", ""},
		"v2, in a container of Docker's": {v2, all(mountedAt(root, "/mnt/cgroup2"), write("/.dockerenv", "")), "5.0.3", "failed", "outside, have /sys/fs/cgroup mounted"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, test.machine, test.change), System: system{lxc: test.lxc}}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			for _, finding := range run(t, f) {
				if finding.Name != "lxc-view" || test.want == "" {
					continue
				}
				fix := ""
				if finding.Fix != nil {
					if fix = finding.Fix.Text; strings.HasPrefix(fix, there) {
						fix = finding.Fix.Commands[0].String()
					}
				}
				if string(finding.Status) != test.want || !strings.HasPrefix(fix, test.fix) {
					t.Errorf("%s: %s, fixed by %q; want %s, %q", finding.Status, finding.Says, fix, test.want, test.fix)
				}
				if finding.Status == check.Failed && f.Stops(finding) {
					t.Error("containers do not start")
				}
			}
		})
	}
}
