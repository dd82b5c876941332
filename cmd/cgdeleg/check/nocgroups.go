package check

import (
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// noCgroupsResult is the result of a check of cgroups, or of what depends on them, where those
// are read-only and podman has containers without: as its configuration says, which in the
// image quay.io/podman/stable is by design, or on cgroup v1. isOne is false if that is not so,
// or the check is another.
func (f *Facts) noCgroupsResult(c *Check) (r Result, isOne bool) {
	isOfCgroups := func(name string) bool { return name == "mounts" || slices.Contains(withoutCgroups, name) }
	isAbout := isOfCgroups(c.Name) || slices.ContainsFunc(c.DependsOn, isOfCgroups)
	if !isAbout || !f.isReadOnly() || f.hasAskedFor() {
		return r, false
	}
	if none := f.podmanSetsNone(); none != "" {
		return skip(none + ", and needs no cgroups"), true
	}
	if f.isPodmanAlone() && f.podmanConf().Containers.Cgroups == "disabled" {
		return skip("podman's containers have no cgroups, as its configuration says: see the check podman-runtime"), true
	}
	return r, false
}

// isReadOnly tells whether all cgroups are mounted read-only.
func (f *Facts) isReadOnly() bool {
	isWritable := func(h *hierarchy.Hierarchy) bool { return !h.Mount.ReadOnly }
	return len(f.found) > 0 && !slices.ContainsFunc(f.found, isWritable)
}
