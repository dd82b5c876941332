package cgroupfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is an open cgroup directory. Names given to its methods are single
// components; anything else is refused with EINVAL. Every error is a
// *fs.PathError with the full path and the errno.
type Dir struct {
	fd     int
	device uint64
	path   string
}

// Path returns where the directory was found, for messages.
func (d *Dir) Path() string { return d.path }

// Close closes the descriptor.
func (d *Dir) Close() { unix.Close(d.fd) }

func (d *Dir) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	full := d.path
	if name != "" { // not path.Join: it would hide the ".." of a refused name
		full = strings.TrimSuffix(d.path, "/") + "/" + name
	}
	return &fs.PathError{Op: op, Path: full, Err: err}
}

func component(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return unix.EINVAL
	}
	return nil
}

// Open opens the child cgroup called name. A symbolic link is ENOTDIR or
// ELOOP, a mount of another file system is EXDEV.
func (d *Dir) Open(name string) (*Dir, error) {
	if err := component(name); err != nil {
		return nil, d.fail("open", name, err)
	}
	fd, err := open(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Dev != d.device {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return nil, d.fail("open", name, err)
	}
	return &Dir{fd: fd, device: d.device, path: path.Join(d.path, name)}, nil
}

// OpenPath opens the cgroup at a slash-separated path below d, one component
// at a time. The path "/" gives a second descriptor of d itself.
func (d *Dir) OpenPath(p string) (*Dir, error) {
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("dup", "", err)
	}
	at := &Dir{fd: fd, device: d.device, path: d.path}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" {
			continue
		}
		next, err := at.Open(name)
		at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// Mkdir makes the child cgroup called name with mode 0755, whatever the umask.
// EEXIST means that somebody else has it: mkdir is how a name is claimed.
func (d *Dir) Mkdir(name string) error {
	if err := component(name); err != nil {
		return d.fail("mkdir", name, err)
	}
	if err := retry(func() error { return unix.Mkdirat(d.fd, name, 0o755) }); err != nil {
		return d.fail("mkdir", name, err)
	}
	return d.fail("chmod", name, unix.Fchmodat(d.fd, name, 0o755, 0))
}

// Rmdir removes the child cgroup called name. The kernel answers EBUSY while
// it has processes or children.
func (d *Dir) Rmdir(name string) error {
	if err := component(name); err != nil {
		return d.fail("rmdir", name, err)
	}
	return d.fail("rmdir", name, retry(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }))
}

// Read returns the content of the file called name. It does not wait for the
// writer of a named pipe, which a recorded machine may have in its place.
func (d *Dir) Read(name string) ([]byte, error) {
	if err := component(name); err != nil {
		return nil, d.fail("open", name, err)
	}
	fd, err := open(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	defer unix.Close(fd)
	data, err := readAll(fd)
	if err != nil {
		return nil, d.fail("read", name, err)
	}
	return data, nil
}

// Write writes value to the file called name in one write(2), as cgroup files
// demand.
func (d *Dir) Write(name, value string) error {
	if err := component(name); err != nil {
		return d.fail("open", name, err)
	}
	fd, err := open(d.fd, name, unix.O_WRONLY|unix.O_NOFOLLOW)
	if err != nil {
		return d.fail("open", name, err)
	}
	defer unix.Close(fd)
	return d.fail("write", name, retry(func() error {
		_, err := unix.Write(fd, []byte(value))
		return err
	}))
}

// Enter moves the process, with all its threads, into this cgroup
// (cgroup.procs; cgroups(7)).
func (d *Dir) Enter(pid int) error { return d.Write("cgroup.procs", strconv.Itoa(pid)) }

// Procs returns the PIDs of the processes in this cgroup itself, in the
// kernel's order. A PID outside of the reader's namespace is 0.
func (d *Dir) Procs() ([]int, error) {
	data, err := d.Read("cgroup.procs")
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return nil, d.fail("parse "+strconv.Quote(line), "cgroup.procs", unix.EINVAL)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Chown gives the directory itself to uid and gid.
func (d *Dir) Chown(uid, gid int) error {
	return d.fail("chown", "", unix.Fchown(d.fd, uid, gid))
}

// ChownFile gives the file called name to uid and gid.
func (d *Dir) ChownFile(name string, uid, gid int) error {
	if err := component(name); err != nil {
		return d.fail("chown", name, err)
	}
	return d.fail("chown", name, unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW))
}

// Owner returns the directory's uid and gid.
func (d *Dir) Owner() (uid, gid int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return 0, 0, d.fail("fstat", "", err)
	}
	return int(st.Uid), int(st.Gid), nil
}

// Changed returns when the directory last changed. For a cgroup whose mode or
// owner was ever set the kernel keeps that time: it is then, or when the last
// child was made or removed in it, if that was later. For any other it is some
// moment at which somebody looked (kernfs_get_inode, kernfs_add_one).
func (d *Dir) Changed() (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return time.Time{}, d.fail("fstat", "", err)
	}
	return time.Unix(st.Ctim.Unix()), nil
}

// AddWatch lets the inotify(7) instance tell of the file called name, or of the
// directory itself for "". It returns the watch descriptor: the same as long as
// it is the same file.
func (d *Dir) AddWatch(inotify int, name string, mask uint32) (int, error) {
	if name != "" {
		if err := component(name); err != nil {
			return -1, d.fail("watch", name, err)
		}
	}
	// there is no inotify_add_watch with a directory's descriptor
	wd, err := unix.InotifyAddWatch(inotify, fmt.Sprintf("/proc/self/fd/%d/%s", d.fd, name), mask)
	return wd, d.fail("watch", name, err)
}

// HasAttribute tells whether the directory has the extended attribute.
func (d *Dir) HasAttribute(name string) bool {
	_, err := unix.Fgetxattr(d.fd, name, nil)
	return err == nil
}

// Children returns the names of the child cgroups, sorted, at most limit of
// them; more tells that there are others.
func (d *Dir) Children(limit int) (names []string, more bool, err error) {
	fd, err := open(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, false, d.fail("open", "", err)
	}
	dir := os.NewFile(uintptr(fd), d.path)
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(512) // the kernel tells the types, so there is no stat
		for _, e := range entries {
			switch {
			case !e.IsDir():
			case len(names) == limit:
				sort.Strings(names)
				return names, true, nil
			default:
				names = append(names, e.Name())
			}
		}
		if err != nil {
			sort.Strings(names)
			if err == io.EOF {
				err = nil
			}
			return names, false, d.fail("read directory", "", unwrapPath(err))
		}
	}
}

// unwrapPath takes a path error's errno out, for one of our own.
func unwrapPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// IsGone tells whether err means that a cgroup was removed under our hands:
// ENOENT from its parent, ENODEV from a descriptor that is still open.
func IsGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
