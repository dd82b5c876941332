package check

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// isSeenByLXC tells whether LXC finds a hierarchy where it is mounted. Since 4.0.7 it opens
// cgroupRoot, and in that the directory that is called like the hierarchy in /proc/self/cgroup
// (cgfsng.c, __initialize_cgroups); before that it took what mountinfo has below cgroupRoot
// (cg_hybrid_get_mountpoint), and before 3.0, by another driver, what it has anywhere.
func (f *Facts) isSeenByLXC(l *location) bool {
	version := versionNumbers(f.System.Version("lxc"))
	where, _ := f.mountCommand(l.Name)
	isBelow := strings.HasPrefix(l.Mount.Point, cgroupRoot+"/")
	switch at := f.mountOf(where); {
	case l.IsUnified() && l.Mount.Point == cgroupRoot, l.Mount.Point == where || at.Point == where && strings.HasPrefix(at.Type, "cgroup"):
		return true
	case len(version) > 0 && version[0] < 3, len(version) > 0 && slices.Compare(version, []int{4, 0, 7}) < 0 && isBelow:
		return true
	}
	return isBelow && f.findLimit(where+"/cgroup.procs") != machine.Absent // by a link
}

// checkLXCMounts looks for cgroups of the user's that LXC does not find, for where they are
// mounted.
func (f *Facts) checkLXCMounts() Result {
	var names []string
	var evidence []Evidence
	isAny := false
	for i := range f.locations {
		switch l := &f.locations[i]; {
		case !l.delegated() || len(l.Controllers) == 0:
		case f.isSeenByLXC(l):
			isAny = true
		default:
			names = append(names, l.Name)
			where, _ := f.mountCommand(l.Name)
			evidence = append(evidence, Evidence{l.Mount.Point, l.Name + ", which LXC looks for in " + where})
		}
	}
	const most = 4
	if len(evidence) > most {
		evidence = evidence[:most]
	}
	const says = "LXC looks for cgroups in " + cgroupRoot + " alone, and "
	switch {
	case len(names) == 0:
		return ok("")
	case isAny:
		return f.mountedForLXC(warning(says+"does not find "+strings.Join(first(names), " ")+" there: the limits that need it do not hold", evidence...), names)
	}
	return f.mountedForLXC(failed(says+"does not find this session's there: it would start containers without any cgroup", evidence...), names)
}

// mountedForLXC has hierarchies mounted where LXC looks, beside where they are.
func (f *Facts) mountedForLXC(r Result, names []string) Result {
	at := f.mountOf(cgroupRoot)
	isRoot := at.Point == cgroupRoot
	switch {
	case f.inDocker():
		return r.fixed("outside, have " + cgroupRoot + " mounted in this container")
	case isRoot && strings.HasPrefix(at.Type, "cgroup"): // in which no directories can be made for mounts
		return r.fixed("have this machine's init mount them in " + cgroupRoot + ", each in a directory of its name")
	}
	const text = "mount them there too, and have this machine's init do so"
	if isRoot || f.set.IsUnified() {
		return r.fixed(text, f.mountsInRoot(names)...)
	}
	all := []Command{f.mountAll()}
	if slices.Contains(names, hierarchy.Unified) { // beside v1
		all = append(all, f.mountsInRoot([]string{hierarchy.Unified})...)
	}
	return r.fixed(text, all...)
}

// mountsInRoot mounts hierarchies in cgroupRoot: v2 alone over it, of which the kernel has the
// directory, others in directories.
func (f *Facts) mountsInRoot(names []string) (commands []Command) {
	for _, name := range names {
		dir, mount := f.mountCommand(name)
		if dir != cgroupRoot {
			commands = append(commands, asRoot("mkdir", "-p", dir))
		}
		commands = append(commands, mount)
	}
	return commands
}
