package check

import (
	"errors"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

const (
	zfsSince     = 4_04 // podman that lets overlay be on zfs (containers/storage#1432)
	zfsVersion   = "/sys/module/zfs/version"
	networkSince = 5_00 // podman that refuses overlay for users on a network's file system; perhaps before
)

// firstZFSOverlay is the OpenZFS since which overlay can be on it.
var firstZFSOverlay = []int{2, 2}

// networkBacking are the network's file systems by which containers/storage goes
// (drivers/overlay, isNetworkFileSystem): not those of FUSE, and BeeGFS no longer.
var networkBacking = []string{"nfs", "nfs4", "cifs", "smb3", "afs", "gpfs", "lustre", "ceph"}

// refusesBacking tells whether podman, or the kernel, refuses overlay on a file system where no
// program mounts in the kernel's place.
func (f *Facts) refusesBacking(kind string) machine.Answer {
	version := f.podmanVersion()
	switch {
	case slices.Contains(overlayless, kind), slices.Contains(networkBacking, kind) && version >= networkSince:
		return machine.Found
	case kind != "zfs":
		return machine.Absent
	case version != 0 && version < zfsSince:
		return machine.Found
	case version != 0 && slices.Compare(versionNumbers(f.readWord(zfsVersion)), firstZFSOverlay) >= 0:
		return machine.Absent
	}
	return machine.Unknown
}

// untoldBacking is the result where it cannot be told whether overlay can be on zfs.
func (f *Facts) untoldBacking(said Evidence, at mounted) Result {
	reason := "that takes OpenZFS 2.2, and it is not known which one is here"
	if version := f.readWord(zfsVersion); version != "" {
		reason = "that takes OpenZFS 2.2, and here is " + version
	}
	r := unknown("it cannot be told whether podman can store images on zfs, as its storage driver is overlay", errors.New(reason))
	r.Evidence = []Evidence{said, {"/proc/self/mountinfo", strings.TrimSpace(at.Point + " " + at.Type)}}
	return r
}
