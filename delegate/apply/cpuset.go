package apply

import (
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// InheritCpuset gives a new v1 cpuset cgroup its parent's CPUs and memory
// nodes: with the empty sets that the kernel starts it with, no process can
// enter it (ENOSPC; cpuset(7)). CPUs isolated for special use stay out, unless
// there are no others. clone_children makes the kernel do the same for the
// cgroups that the user will make below.
func InheritCpuset(m machine.Machine, parent, child *cgroupfs.Dir) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		set, err := child.Read(file)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(set)) != "" {
			continue // the parent has clone_children, or an administrator chose
		}
		inherited, err := parent.Read(file)
		if err != nil {
			return err
		}
		value := strings.TrimSpace(string(inherited))
		if file == "cpuset.cpus" {
			value = cpulist.WithoutIsolated(m, value)
		}
		if err := child.Write(file, value); err != nil {
			return err
		}
	}
	return child.Write("cgroup.clone_children", "1")
}
