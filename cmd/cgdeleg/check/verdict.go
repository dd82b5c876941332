package check

import (
	"slices"
	"strings"
)

// withoutCgroups are the checks that do not keep a container from being started: where they
// fail, it has no cgroup, or no controllers, and its limits do not hold.
var withoutCgroups = []string{
	"container", "hierarchies", "base", "login", "module", "pam-line", "pam-order", "pam-reached", "pam-cgfs", "delegation",
	"parents", "session", "writable", "leaf", "controllers", "realtime", "probe",
}

// limitsCheck is the check of a container's limits.
const limitsCheck = "config-limits"

// LosesLimits tells whether containers start with such a failure in cgroups, but without some
// of their limits.
func (f *Facts) LosesLimits(finding Finding) bool {
	return finding.Name == limitsCheck && !f.Stops(finding)
}

// Stops tells whether containers do not start with such a trouble. With others they start,
// and have no cgroups.
func (f *Facts) Stops(finding Finding) bool {
	switch name := finding.Name; {
	case !slices.Contains(withoutCgroups, name):
		return !f.startsUnlimited(finding)
	case name == "leaf" && strings.Contains(finding.Says, "is threaded"):
		return true
	}
	if f.System.Version("lxc") == "" && !f.mayBeAsked() && f.asksManager(f.podmanConf()) {
		return true // podman asks a manager that is not known to take the shell's processes
	}
	// what has no cgroups has none of the controllers that LXC is told to use
	return f.System.Version("lxc") != "" && len(f.cgroupUse()) > 0
}

// startsUnlimited tells of a failure that is about LXC's cgroups alone: it goes on without
// those, and on cgroup v2 also without a limit.
func (f *Facts) startsUnlimited(finding Finding) bool {
	switch finding.Name {
	case limitsCheck:
		return f.isUnified()
	case "lxc-view":
		return !strings.Contains(finding.Says, "refuses")
	}
	return false
}
