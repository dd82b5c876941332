package check

import (
	"path"
	"slices"
	"strings"
)

// withoutCgroups are the checks that do not keep a container from being started: where they
// fail, it has no cgroup, or no controllers, and its limits do not hold.
var withoutCgroups = []string{
	"container", "hierarchies", "base", "login", "module", "pam-line", "pam-order", "pam-reached", "pam-cgfs", "delegation",
	"parents", "session", "writable", "leaf", "controllers", "realtime", "probe", "podman-cgroups",
}

// Stops tells whether containers do not start with such a trouble. With others they start,
// and have no cgroups.
func (f *Facts) Stops(finding Finding) bool {
	switch name := finding.Name; {
	case !slices.Contains(withoutCgroups, name):
		return !f.startsUnlimited(finding)
	case name == "podman-cgroups":
		return !f.keptFromAsking()
	case name == "leaf" && strings.Contains(finding.Says, "is threaded"):
		return true
	}
	return f.needsCgroups() != ""
}

// WhyStops says why containers do not start with a trouble with which others start and have no
// cgroups; "" if it is no such trouble, or they start.
func (f *Facts) WhyStops(finding Finding) string {
	if !slices.Contains(withoutCgroups, finding.Name) || finding.Name == "podman-cgroups" {
		return ""
	}
	return f.needsCgroups()
}

// needsCgroups says why what is to be started does not start without cgroups; "" if it does.
func (f *Facts) needsCgroups() string {
	switch {
	case f.System.Version("lxc") != "" && f.lacksFreezer():
		return "LXC " + f.System.Version("lxc") + " refuses to start containers without a cgroup in freezer"
	case f.refusesForLimits():
		return "the limits in the configuration need cgroups"
	case f.System.Version("lxc") == "" && !f.mayBeAsked() && f.asksManager(f.podmanConf()):
		h := f.unified()
		return "podman looks in " + path.Join(h.Mount.Point, "user.slice") + " for the cgroups that systemd's user manager makes, and they are in " + path.Join(h.Mount.Point, h.Base, "user.slice")
	case f.System.Version("lxc") != "" && len(f.cgroupUse()) > 0:
		return "lxc.cgroup.use names controllers without which LXC starts nothing"
	}
	return ""
}

// Partly returns which controllers containers get, and where, of a shell that has cgroups of
// its own in some hierarchies, and not in others: where session is all that fails.
func (f *Facts) Partly(failed []string) (controllers, places []string) {
	if !slices.Equal(failed, []string{"session"}) || f.isInUserManager() {
		return nil, nil
	}
	return f.Session()
}

// startsUnlimited tells of a failure that is about LXC's cgroups alone: it goes on without
// those.
func (f *Facts) startsUnlimited(finding Finding) bool {
	return finding.Name == "lxc-view" && !strings.Contains(finding.Says, "refuses") && !f.refusesForLimits()
}

// refusesForLimits tells whether what the container is to be started with needs cgroups of its
// own for its limits: runc in any case, LXC on cgroup v1. On v2 LXC starts a container whose
// limits it has no cgroup for (cgfsng.c, cgfsng_setup_limits and cgfsng_setup_limits_legacy).
func (f *Facts) refusesForLimits() bool {
	if f.Bundle != nil {
		return f.hasRunc() && len(f.Bundle.Limits()) > 0
	}
	lacking, _ := f.lackingForLimits()
	return len(lacking) > 0 && !f.isUnified()
}

// WithoutNetwork is what a failure says with which podman starts containers that are given no
// network of their own.
const WithoutNetwork = "containers start only with --network=none or --network=host"

// LacksNetwork tells whether such a trouble keeps podman from giving containers a network, and
// from nothing else.
func (f Finding) LacksNetwork() bool { return strings.HasSuffix(f.Says, WithoutNetwork) }
