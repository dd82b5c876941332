package cgroupfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Dir is an open cgroup directory. Names given to its methods are single
// components; anything else is refused with EINVAL. Every error is a
// *fs.PathError with the full path and the errno.
type Dir struct {
	fd     int
	device uint64
	path   string
	// unified tells that it is one of v2.
	unified bool
	// machine is set where somebody wants to know what was read, or a recording
	// has to say what it means that something is not in it.
	machine *machine.Machine
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
	if d.machine != nil && errors.Is(err, unix.ENOENT) && d.machine.Plain().Find(full) == machine.Unknown {
		err = machine.ErrNotRecorded
	}
	return &fs.PathError{Op: op, Path: full, Err: err}
}

// note notes what was asked of the file called name; of d itself for "".
func (d *Dir) note(name string, kind machine.Kind, err error) {
	if d.machine != nil {
		d.machine.NoteFile(path.Join(d.path, name), kind, err)
	}
}

func component(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return unix.EINVAL
	}
	return nil
}

// components is component for a relative path.
func components(p string) error {
	for name := range strings.SplitSeq(p, "/") {
		if err := component(name); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the child cgroup called name. A symbolic link is ENOTDIR or
// ELOOP, a mount of another file system is EXDEV.
func (d *Dir) Open(name string) (*Dir, error) {
	if err := component(name); err != nil {
		return nil, d.fail("open", name, err)
	}
	child, err := d.openPath(name)
	d.note(name, machine.Existence, err)
	return child, err
}

// OpenPath opens the cgroup at a slash-separated path below d. The path "/" gives
// a second descriptor of d itself. Errors are those of Open.
func (d *Dir) OpenPath(p string) (*Dir, error) {
	relative := strings.Trim(p, "/")
	if relative == "" {
		fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, d.fail("dup", "", err)
		}
		return d.at(fd, d.path), nil
	}
	if err := components(relative); err != nil {
		return nil, d.fail("open", relative, err)
	}
	child, err := d.openPath(relative)
	d.note(relative, machine.Existence, err)
	return child, err
}

// at returns a directory of the same hierarchy.
func (d *Dir) at(fd int, where string) *Dir {
	return &Dir{fd: fd, device: d.device, path: where, unified: d.unified, machine: d.machine}
}

// openPath opens a cgroup by a path whose components were looked at. The kernel
// keeps it below d, on its device and off symbolic links (openat2(2), Linux 5.6).
func (d *Dir) openPath(p string) (*Dir, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat2(d.fd, p, &how)
		return err
	})
	switch {
	case err == nil:
		return d.at(fd, d.join(p)), nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EAGAIN):
		return d.openSteps(p) // no such call, or a filter forbids it
	}
	return nil, d.fail("open", p, err)
}

// openSteps is openPath one component at a time.
func (d *Dir) openSteps(p string) (*Dir, error) {
	at := d
	for name := range strings.SplitSeq(p, "/") {
		next, err := at.openStep(name)
		if at != d {
			at.Close()
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (d *Dir) openStep(name string) (*Dir, error) {
	fd, err := machine.OpenAt(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
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
	return d.at(fd, d.join(name)), nil
}

func (d *Dir) join(p string) string {
	if strings.HasSuffix(d.path, "/") {
		return d.path + p
	}
	return d.path + "/" + p
}

// Mkdir makes the child cgroup called name with mode 0755, whatever the umask.
// EEXIST means that somebody else has it: mkdir is how a name is claimed. A path
// of several components makes the last one; the others have to be there and be
// root's. After an error there is none.
func (d *Dir) Mkdir(name string) error {
	if err := components(name); err != nil {
		return d.fail("mkdir", name, err)
	}
	if err := retry(func() error { return unix.Mkdirat(d.fd, name, 0o755) }); err != nil {
		return d.fail("mkdir", name, err)
	}
	if err := retry(func() error { return unix.Fchmodat(d.fd, name, 0o755, 0) }); err != nil {
		_ = d.Rmdir(name) // the caller takes it for one that was not made
		return d.fail("chmod", name, err)
	}
	return nil
}

// MkdirAny is Mkdir where it does not matter who made it: EEXIST is no error, and
// then the mode stays as it is.
func (d *Dir) MkdirAny(name string) error {
	if err := d.Mkdir(name); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// Rmdir removes the child cgroup called name. The kernel answers EBUSY while
// it has processes or children.
func (d *Dir) Rmdir(name string) error {
	if err := components(name); err != nil {
		return d.fail("rmdir", name, err)
	}
	return d.fail("rmdir", name, retry(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }))
}

// Read returns the content of the file called name. It does not wait for the
// writer of a named pipe, which a recorded machine may have in its place.
func (d *Dir) Read(name string) (data []byte, err error) {
	defer func() { d.note(name, machine.Content, err) }()
	if err := component(name); err != nil {
		return nil, d.fail("open", name, err)
	}
	fd, err := machine.OpenAt(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	defer unix.Close(fd)
	if data, err = machine.ReadAll(fd); err != nil {
		return nil, d.fail("read", name, err)
	}
	return data, nil
}

// ReadWords returns the words of the file called name.
func (d *Dir) ReadWords(name string) ([]string, error) {
	data, err := d.Read(name)
	return strings.Fields(string(data)), err
}

// Write writes value to the file called name in one write(2), as cgroup files
// demand.
func (d *Dir) Write(name, value string) error {
	if err := component(name); err != nil {
		return d.fail("open", name, err)
	}
	fd, err := machine.OpenAt(d.fd, name, unix.O_WRONLY|unix.O_NOFOLLOW)
	if err != nil {
		return d.fail("open", name, err)
	}
	defer unix.Close(fd)
	return d.fail("write", name, retry(func() error {
		_, err := unix.Write(fd, []byte(value))
		return err
	}))
}

// Attach moves the process, with all its threads, into this cgroup
// (cgroup.procs; cgroups(7)).
func (d *Dir) Attach(pid int) error { return d.Write("cgroup.procs", strconv.Itoa(pid)) }

// OpenTasks opens the file tasks of a cgroup of v1 for writing, for a process of one
// thread that enters by itself: it writes 0 (cgroups(7), cgroup_procs_write_start in
// Linux). The caller closes the descriptor.
func (d *Dir) OpenTasks() (fd int, err error) {
	fd, err = machine.OpenAt(d.fd, "tasks", unix.O_WRONLY|unix.O_NOFOLLOW)
	return fd, d.fail("open", "tasks", err)
}

// Procs returns the PIDs of the processes in this cgroup itself, in the
// kernel's order. A PID outside of the reader's namespace is 0.
func (d *Dir) Procs() ([]int, error) {
	words, err := d.ReadWords("cgroup.procs")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, word := range words {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, d.fail("parse "+strconv.Quote(word), "cgroup.procs", unix.EINVAL)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// MayWrite tells whether the calling process may make cgroups in the directory
// (access(2), with its effective user ID).
func (d *Dir) MayWrite() bool {
	return retry(func() error { return unix.Faccessat(d.fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) }) == nil
}

// Chown gives the directory itself to uid and gid.
func (d *Dir) Chown(uid, gid int) error {
	return d.fail("chown", "", retry(func() error { return unix.Fchown(d.fd, uid, gid) }))
}

// ChownFile gives the file called name to uid and gid.
func (d *Dir) ChownFile(name string, uid, gid int) error {
	if err := component(name); err != nil {
		return d.fail("chown", name, err)
	}
	return d.fail("chown", name, retry(func() error { return unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW) }))
}

// Info is what fstat(2) says of a cgroup's directory.
type Info struct {
	UID, GID int
	// Inode tells it from a later directory of the same name: the kernel gives
	// the numbers of a hierarchy in turn (kernfs, idr_alloc_cyclic).
	Inode uint64
	// HasChildren tells whether there are cgroups in it. The kernel counts them in
	// the number of links (kernfs_refresh_inode).
	HasChildren bool
	// Changed is when the directory last changed. For a cgroup whose mode or owner
	// was ever set the kernel keeps that time: it is then, or when the last child
	// was made or removed in it, if that was later. For any other it is some moment
	// at which somebody looked (kernfs_get_inode, kernfs_add_one).
	Changed time.Time
}

// noChildren is how many links a directory has in which there are no others.
const noChildren = 2

// Info returns who owns the directory, which it is, and when it last changed. A
// recorded machine has its owner from the file stat, if that has a line of it.
func (d *Dir) Info() (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return Info{}, d.fail("fstat", "", err)
	}
	info := Info{UID: int(st.Uid), GID: int(st.Gid), Inode: st.Ino, HasChildren: st.Nlink != noChildren, Changed: time.Unix(st.Ctim.Unix())}
	if d.machine != nil {
		recorded, err := d.machine.Stat(d.path)
		if err == nil {
			info.UID, info.GID = recorded.UID, recorded.GID
		} else if d.machine.IsRecorded() {
			info.UID, info.GID = -1, -1
		}
	}
	return info, nil
}

// InodeAt returns the inode number of the cgroup at a path below d (Info). Errors
// are *fs.PathError.
func (d *Dir) InodeAt(p string) (uint64, error) {
	if err := components(p); err != nil {
		return 0, d.fail("stat", p, err)
	}
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, p, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st.Ino, d.fail("stat", p, err)
}

// OwnerAt returns who owns what is at a path below d: a cgroup, or one of its files. Errors
// are *fs.PathError.
func (d *Dir) OwnerAt(p string) (uid int, err error) {
	if err := components(p); err != nil {
		return 0, d.fail("stat", p, err)
	}
	var st unix.Stat_t
	err = retry(func() error { return unix.Fstatat(d.fd, p, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return int(st.Uid), d.fail("stat", p, err)
}

// IsDelegated tells whether systemd marked the cgroup as delegated. Known is false
// on a machine that was recorded without that.
func (d *Dir) IsDelegated() (delegated, known bool) {
	if d.machine != nil {
		st, err := d.machine.Stat(d.path)
		if d.machine.IsRecorded() {
			return st.Delegated, err == nil && (st.Delegated || st.Undelegated)
		}
	}
	for _, name := range machine.DelegateAttributes {
		if _, err := unix.Fgetxattr(d.fd, name, nil); err == nil {
			return true, true
		}
	}
	return false, true
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

// Children returns the names of the child cgroups, sorted, at most limit of
// them; more tells that there are others.
func (d *Dir) Children(limit int) (names []string, more bool, err error) {
	return d.names(limit, d.isDirectory)
}

// Files returns the names of the files that begin and end so, sorted.
func (d *Dir) Files(prefix, suffix string) (names []string, err error) {
	names, _, err = d.names(1<<10, func(name string, _ byte) bool {
		return strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix)
	})
	return names, err
}

// names returns what is in the directory and is wanted, at most limit of it.
func (d *Dir) names(limit int, isWanted func(name string, kind byte) bool) (names []string, more bool, err error) {
	defer func() {
		slices.Sort(names)
		d.note("", machine.Names, err)
	}()
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return nil, false, d.fail("seek", "", err)
	}
	buffer := make([]byte, 8<<10)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Getdents(d.fd, buffer)
			return err
		})
		if err != nil {
			return names, false, d.fail("read directory", "", err)
		}
		if n == 0 {
			return names, false, nil
		}
		for name, kind := range entries(buffer[:n]) {
			switch {
			case !isWanted(name, kind):
			case len(names) == limit:
				return names, true, nil
			default:
				names = append(names, name)
			}
		}
	}
}

// isDirectory tells whether an entry is a child cgroup. A cgroup file system tells
// each entry's type, so that there is no stat; others may not.
func (d *Dir) isDirectory(name string, kind byte) bool {
	if kind != unix.DT_UNKNOWN {
		return kind == unix.DT_DIR && name != "." && name != ".."
	}
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && name != "." && name != ".."
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

// IsGone tells whether err means that a cgroup was removed under our hands:
// ENOENT from its parent, ENODEV from a descriptor that is still open.
func IsGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
