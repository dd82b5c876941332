package cgroupfs

import (
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// The kernel's own list (cgroups(7), "Cgroup delegation"); kernels before 4.15
// have none.
func TestDelegateFiles(t *testing.T) {
	for name, want := range map[string][]string{
		"debian12-v1-hybrid":  {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
		"debian12-v2-systemd": {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
		"docker-no-cgroupns":  {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"},
		"elogind-v2":          {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"},
	} {
		if got := DelegateFiles(machine.Recorded("../testdata/" + name)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
