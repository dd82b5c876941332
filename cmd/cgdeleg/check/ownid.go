package check

import (
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// forMaps makes a check of what an ID map takes one that knows the exception: a map of the
// user's own ID alone the user may write itself (user_namespaces(7)), and so runc and crun do.
func forMaps(look func(*Facts) Result) func(*Facts) Result {
	return func(f *Facts) Result {
		if f.mapsOwnIDAlone() {
			return skip("the bundle maps the user's own ID alone, for which neither newuidmap nor subordinate IDs are needed")
		}
		r := look(f)
		if runtime := f.runtimeAlone(); r.Status == Failed && runtime != "" {
			r.Status = Warning
			r.Says += ": " + runtime + " starts only containers that map the user's own ID alone, as those of " + runtime + " spec --rootless"
		}
		return r
	}
}

// mapsOwnIDAlone tells whether the bundle that was asked about maps one user ID and one group
// ID, which are the subject's own.
func (f *Facts) mapsOwnIDAlone() bool {
	if f.Bundle == nil || f.Bundle.Linux == nil {
		return false
	}
	isOwn := func(maps []ociconf.IDMap, id int) bool {
		return len(maps) == 1 && maps[0].Count == 1 && int64(maps[0].Outside) == int64(id)
	}
	return isOwn(f.Bundle.Linux.UIDs, f.Subject.UID) && isOwn(f.Bundle.Linux.GIDs, f.Subject.GID)
}

// runtimeAlone returns the runtime that is the only client, of which no bundle is known: what
// that maps nobody has said. It is "" where another is there, which maps a range.
func (f *Facts) runtimeAlone() string {
	_, _, docker := f.lookUp("dockerd-rootless.sh") // which has runc started in a map of a range
	if f.hasAskedFor() || f.System.Version("lxc") != "" || f.System.Version("podman") != "" || docker == machine.Found {
		return ""
	}
	for _, runtime := range []string{"runc", "crun"} {
		if f.System.Version(runtime) != "" {
			return runtime
		}
	}
	return ""
}

// hasAskedFor tells whether a container of LXC's or a bundle was asked about.
func (f *Facts) hasAskedFor() bool {
	return f.Bundle != nil || f.BundleError != nil || f.Config != nil || f.ConfigError != nil
}

// enoughOfPodmans is how many subordinate IDs a usual container of podman's takes: 0 in it is
// the user's own ID, and 65535 nobody has (chown(2)). The image quay.io/podman/stable has no
// more.
const enoughOfPodmans = oneContainer - 2

// isPodmanAlone tells whether a usual container is one of podman's.
func (f *Facts) isPodmanAlone() bool {
	return !f.hasAskedFor() && f.System.Version("lxc") == "" && f.System.Version("podman") != ""
}

// mayBeEnough tells whether these are enough for podman alone: of a part of a machine nobody
// may know that nothing else is there.
func (f *Facts) mayBeEnough(s subIDs) bool {
	return f.Nested == 1 && s.count() >= enoughOfPodmans && s.count() < oneContainer
}
