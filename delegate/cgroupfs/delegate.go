package cgroupfs

import (
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// DelegateFiles returns the files that a v2 cgroup's delegatee must own, as the
// kernel lists them (since 4.15; cgroups(7), "Cgroup delegation"). LXC takes a
// cgroup for its own only if it can write every one of them. Of a kernel that does
// not list them they are those that cgroup v2 had before.
func DelegateFiles(m machine.Machine) []string {
	data, err := m.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		return []string{"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}
	}
	return strings.Fields(string(data))
}
