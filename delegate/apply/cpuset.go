package apply

import (
	"slices"
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
			value = withoutIsolated(m, value)
		}
		if err := child.Write(file, value); err != nil {
			return err
		}
	}
	return child.Write("cgroup.clone_children", "1")
}

func withoutIsolated(m machine.Machine, cpus string) string {
	data, err := m.ReadFile("/sys/devices/system/cpu/isolated")
	if err != nil {
		return cpus
	}
	isolated, err := cpulist.Parse(strings.TrimSpace(string(data)))
	if err != nil || len(isolated) == 0 {
		return cpus
	}
	all, err := cpulist.Parse(cpus)
	if err != nil {
		return cpus
	}
	left := slices.DeleteFunc(all, func(cpu int) bool { return slices.Contains(isolated, cpu) })
	if len(left) == 0 {
		return cpus
	}
	return cpulist.Format(left)
}
