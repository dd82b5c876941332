package check

import (
	"cmp"
	"errors"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/podmanconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// firstRuncOnV2 is the release candidate of runc 1.0.0 since which runc makes a user's cgroups
// on v2 (opencontainers/runc#2315). Before that it refuses v2, or a user on it.
const firstRuncOnV2 = 91

var candidate = regexp.MustCompile(`^1\.0\.0[~-]rc\.?([0-9]+)`)

// runcOnV2 tells whether this version of runc makes a user's cgroups on v2. Of what somebody built
// between two releases that is not known.
func runcOnV2(version string) machine.Answer {
	first := []int{1, 0, 0}
	numbers := versionNumbers(version)
	rc := candidate.FindStringSubmatch(version)
	switch {
	case len(numbers) == 0 || strings.Contains(version, "dev") && slices.Compare(numbers, first) <= 0:
		return machine.Unknown
	case rc != nil:
		if n, err := strconv.Atoi(rc[1]); err != nil || n < firstRuncOnV2 {
			return machine.Absent
		}
		return machine.Found
	case slices.Compare(numbers, first) < 0:
		return machine.Absent
	}
	return machine.Found
}

// checkOldRunc looks whether podman's runtime is a runc that cannot do with cgroup v2. said is the
// line that names it; nil: none does.
func (f *Facts) checkOldRunc(conf *podmanconf.Config, name string, said *Evidence) Result {
	version := f.System.Version("runc")
	if path.Base(name) != "runc" || !f.isUnified() || version == "" {
		return ok("")
	}
	switch runcOnV2(version) {
	case machine.Found:
		return ok("")
	case machine.Unknown:
		return unknown("it cannot be told whether runc "+version+" makes cgroups for users on cgroup v2", errors.New("it is of no release"))
	}
	r := failed("podman starts nothing: its runtime is runc " + version + ", which makes no cgroups for users on cgroup v2")
	_, _, crun := f.lookUp("crun")
	switch {
	case said != nil && crun == machine.Found:
		r.Evidence = []Evidence{*said}
		return r.fixed("write runtime = \"crun\", which is there", f.setting(conf, "engine.runtime"))
	case said != nil:
		r.Evidence = []Evidence{*said}
		return r.fixed("install crun and write runtime = \"crun\", or take a newer runc", append(f.install("crun"), f.setting(conf, "engine.runtime"))...)
	}
	return f.byDefault(r.fixed("install crun, which podman then takes, or a newer runc", f.install("crun")...))
}

// overlayless are file systems on which the kernel's overlay cannot be (containers/storage,
// drivers/overlay).
var overlayless = []string{"overlay", "aufs", "ecryptfs"}

// checkOverlayOn looks at the file system under podman's images, where no program mounts in the
// kernel's place.
func (f *Facts) checkOverlayOn(s *storage, said Evidence) Result {
	at := f.mountOf(s.graphRoot)
	_, _, fuse := f.lookUp(fuseOverlay)
	refuses := f.refusesBacking(at.Type)
	switch {
	case s.graphRoot == "" || refuses == machine.Absent || fuse == machine.Found:
		return ok("")
	case refuses == machine.Unknown:
		return f.untoldBacking(said, at)
	case fuse == machine.Unknown:
		return unknown("it cannot be told whether podman can store images on "+at.Type, f.unseen())
	}
	r := failed("podman starts nothing: its storage driver is overlay, which cannot be on "+at.Type+", and there is no "+fuseOverlay,
		said, Evidence{"/proc/self/mountinfo", at.Point + " " + at.Type})
	file := cmp.Or(s.file, f.userConfig()+storageFile)
	text := "write driver = \"vfs\", or name a directory on another mount by graphroot"
	if f.lacksFuse() {
		return r.fixed(text, f.editAny(file))
	}
	return r.fixed("install "+fuseOverlay+"; or "+text, append(f.install(fuseOverlay), or(f.editAny(file))...)...)
}
