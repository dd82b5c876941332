package cgroupfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is where the files of /proc and /sys are read: the running machine
// or a recorded one. The zero Machine is the running one.
type Machine struct {
	root string // "" on the running machine
}

// Recorded returns a Machine whose /proc and /sys are the ordinary files below
// dir. What only a kernel can answer (the file system's type, device numbers)
// is not asked of it. Somebody else may have made dir: nothing outside of it is
// read, symbolic links lead nowhere but to what is in it. If dir itself cannot be
// opened, errors name the file with it.
func Recorded(dir string) Machine { return Machine{root: filepath.Clean(dir)} }

// IsRecorded tells whether m reads files that were recorded on some machine.
func (m Machine) IsRecorded() bool { return m.root != "" }

// ReadFile returns the content of the file at the absolute path; one of 4 MiB
// or more is EFBIG. It does not wait for the writer of a named pipe. Errors are
// *fs.PathError.
func (m Machine) ReadFile(path string) ([]byte, error) {
	fd, err := m.open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data, err := readAll(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return data, nil
}

// Exists tells whether there is anything at the absolute path.
func (m Machine) Exists(path string) bool {
	if m.IsRecorded() {
		return m.isRecordedAt(path)
	}
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil
}

// ReadDir returns the names in the directory at the absolute path, sorted.
// Errors are *fs.PathError; ENOTDIR if it is something else.
func (m Machine) ReadDir(path string) ([]string, error) {
	fd, err := m.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// Processes returns the PIDs of all processes that /proc shows, in no order.
func (m Machine) Processes() ([]int, error) {
	names, err := m.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Uptime returns how long ago the machine was started, on the clock by which
// /proc/PID/stat tells when a process was. /proc/uptime is not asked but on a
// recorded machine: LXCFS has containers see their own there.
func (m Machine) Uptime() (time.Duration, error) {
	if !m.IsRecorded() {
		var now unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
		return time.Duration(now.Nano()), err
	}
	data, err := m.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	seconds, _, _ := strings.Cut(string(data), " ")
	return time.ParseDuration(seconds + "s")
}

// MountError says that a mount point does not show the file system that
// mountinfo says is mounted there; usually something else covers it.
type MountError struct {
	Point  string
	Reason string
}

func (e *MountError) Error() string { return fmt.Sprintf("mount point %s: %s", e.Point, e.Reason) }

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
func (m Machine) OpenMount(mount Mount) (*Dir, error) {
	fd, err := m.open(mount.Point, unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	d := &Dir{fd: fd, path: mount.Point}
	if err := d.identify(m, mount); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) identify(m Machine, mount Mount) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: mount.Point, Err: err}
	}
	d.device = st.Dev
	if m.IsRecorded() {
		return nil
	}
	if st.Dev != mount.Device {
		return &MountError{Point: mount.Point, Reason: "covered by another mount"}
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

// open opens the file at the absolute path. Errors are *fs.PathError.
func (m Machine) open(path string, flags int) (fd int, err error) {
	if m.IsRecorded() {
		return m.openRecorded(path, flags)
	}
	if fd, err = open(unix.AT_FDCWD, path, flags); err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// open opens a file with the descriptor flags that every open here has.
func open(dirfd int, name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dirfd, name, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	return fd, err
}

// retry repeats a system call that a signal interrupted: the Go scheduler
// sends signals to its own threads.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// maxFile bounds what is read of one file. The kernel's files are far smaller,
// but for cgroup.procs of a huge session.
const maxFile = 4 << 20

func readAll(fd int) ([]byte, error) {
	data := make([]byte, 0, 4096)
	for len(data) < maxFile {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		var n int
		err := retry(func() (err error) {
			n, err = unix.Read(fd, data[len(data):cap(data)])
			return err
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
	}
	return nil, unix.EFBIG
}
