package check

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// overlays are what LXC calls a root file system that it mounts as overlay. It does so in the
// container's user namespace.
var overlays = []string{"overlay", "overlayfs"}

// checkRootfsOverlay looks whether the kernel lets a user mount overlay, if the container's root
// file system is one.
func (f *Facts) checkRootfsOverlay() Result {
	item := f.rootfsItem()
	if kind, _, isKind := strings.Cut(item.Value, ":"); !isKind || !slices.Contains(overlays, kind) {
		return ok("")
	}
	const release = "/proc/sys/kernel/osrelease"
	switch f.mountsOverlay() {
	case machine.Found:
		return ok("")
	case machine.Unknown:
		return unknown("it cannot be told whether users may mount overlay, and the container's root file system is overlay", f.unseen())
	}
	return failed("the container's root file system is overlay, which no user may mount before Linux 5.11", itemEvidence(item), Evidence{release, f.readWord(release)}).
		fixed("make the container again in a directory, by lxc-copy without -s, as "+f.Subject.Name+"; or run Linux 5.11 or later", f.editAny(item.File))
}
