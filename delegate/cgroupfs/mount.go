package cgroupfs

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// MountError says that a mount point does not show the file system that
// mountinfo says is mounted there; usually something else covers it.
type MountError struct {
	Point  string
	Reason string
}

func (e *MountError) Error() string { return fmt.Sprintf("mount point %s: %s", e.Point, e.Reason) }

// Covered is the error of a mount point at which another mount is seen.
func Covered(point string) *MountError {
	return &MountError{Point: point, Reason: "covered by another mount"}
}

// Mount names a mounted cgroup file system, with the words of
// /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	Point   string // where it is mounted
	Device  uint64 // st_dev of its files, as unix.Mkdev makes it
	Unified bool   // cgroup2, not cgroup
	// ReadOnly tells that nobody may write there: the mount's options or those of
	// its file system (fields 6 and 11) have "ro".
	ReadOnly bool
}

// OpenMount opens the root directory of a mounted hierarchy. It returns a
// *MountError when another file system covers the mount point, and a
// *fs.PathError when the mount point cannot be opened.
func OpenMount(m machine.Machine, mount Mount) (*Dir, error) {
	fd, err := m.Open(mount.Point, unix.O_DIRECTORY|unix.O_NOFOLLOW)
	m.NoteFile(mount.Point, machine.Existence, err)
	if err != nil {
		return nil, err
	}
	d := &Dir{fd: fd, path: mount.Point, unified: mount.Unified}
	if m.IsRecorded() || m.IsNoting() {
		d.machine = &m
	}
	if err := d.identify(mount); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) identify(mount Mount) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: mount.Point, Err: err}
	}
	d.device = st.Dev
	if d.machine != nil && d.machine.IsRecorded() {
		return nil
	}
	if st.Dev != mount.Device {
		return Covered(mount.Point)
	}
	var sfs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &sfs) }); err != nil {
		return &fs.PathError{Op: "fstatfs", Path: mount.Point, Err: err}
	}
	want := int64(unix.CGROUP_SUPER_MAGIC)
	if mount.Unified {
		want = unix.CGROUP2_SUPER_MAGIC
	}
	if int64(sfs.Type) != want { //nolint:unconvert // Type is int32 on some of Linux's architectures
		return &MountError{Point: mount.Point, Reason: fmt.Sprintf("file system type %#x, want %#x", sfs.Type, want)}
	}
	return nil
}
