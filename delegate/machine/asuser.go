package machine

import (
	"errors"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Credentials are those by which the kernel decides what a user may read
// (credentials(7)).
type Credentials struct {
	UID, GID int
	Groups   []int // the supplementary ones
}

// As returns the same machine for looking at what a user has a hand in: what is
// below its home, and what its files name. Root reads there as that user, and so
// finds no more than the user does. Others, and root for itself, read as they are.
//
// Only regular files and directories are opened, and none of the kernel's: the
// user chose the path and where its links lead, and an open or a read can have an
// effect (a tape is wound back, /proc/kmsg gives each message once). Of a file, or
// of a directory's names, 256 KiB are read at most.
//
// Errors are those of the methods, and *fs.PathError with ErrNotRegular,
// ErrKernelFile and *TooLargeError. A recorded machine has no users, but the same
// bound and the same kinds of files.
func (m Machine) As(c Credentials) Machine {
	c.Groups = slices.Clone(c.Groups)
	m.user = &c
	return m
}

// maxUsersFile bounds what is read of a user's file. People write far shorter ones.
const maxUsersFile = 256 << 10

// Why a file is not opened that a user chose.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrKernelFile = errors.New("a file of the kernel's, named by a user")
)

// asUser calls look, which reads something, as the user whose files m is for.
//
// The credentials are a thread's. A thread of its own has them for the time of the
// call: if it cannot get back what it had, it ends with its goroutine, and nothing
// else ever runs on it.
func (m Machine) asUser(look func() error) error {
	if m.user == nil || m.IsRecorded() || os.Geteuid() != 0 || m.user.UID == 0 {
		return look()
	}
	answer := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() { // the first thread cannot end: another's, while this one is held
			answer <- m.asUser(look)
			runtime.UnlockOSThread()
			return
		}
		isBack, err := m.user.during(look)
		if isBack {
			runtime.UnlockOSThread()
		}
		answer <- err
	}()
	return <-answer
}

// during calls look with the credentials as this thread's. IsBack tells that the
// thread has its own again.
func (c *Credentials) during(look func() error) (isBack bool, err error) {
	own, err := ownCredentials()
	if err != nil {
		return true, err
	}
	if err = c.take(); err == nil {
		err = look()
	}
	return own.take() == nil, err
}

// ownCredentials returns those of this thread.
func ownCredentials() (c *Credentials, err error) {
	c = &Credentials{}
	if c.Groups, err = unix.Getgroups(); err != nil {
		return nil, err
	}
	// No ID is -1, so that only the one that holds is told (setfsuid(2)).
	if c.UID, err = unix.SetfsuidRetUid(-1); err != nil {
		return nil, err
	}
	c.GID, err = unix.SetfsgidRetGid(-1)
	return c, err
}

// take makes them those of this thread alone: the system calls are made as they
// are, not for all threads as by package syscall. With another fsuid than 0 the
// kernel takes root's capabilities over files away, and gives them back with 0
// (capabilities(7), "Effect of user ID changes on capabilities"), unless the
// process asked it not to: EPERM then.
func (c *Credentials) take() error {
	if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err != nil || bits&noSetUIDFixup != 0 {
		return unix.EPERM
	}
	if err := unix.Setgroups(c.Groups); err != nil {
		return err
	}
	// They return what held before, and nothing of how they went.
	_, _ = unix.SetfsgidRetGid(c.GID)
	_, _ = unix.SetfsuidRetUid(c.UID)
	gid, _ := unix.SetfsgidRetGid(-1)
	uid, _ := unix.SetfsuidRetUid(-1)
	if uint32(gid) != uint32(c.GID) || uint32(uid) != uint32(c.UID) {
		return unix.EPERM
	}
	return nil
}

// noSetUIDFixup is SECBIT_NO_SETUID_FIXUP (linux/securebits.h).
const noSetUIDFixup = 1 << 2

// openUsers opens what a user chose, if that is a regular file, or with O_DIRECTORY
// a directory. What it is is seen before it is opened (O_PATH, open(2)).
func (m Machine) openUsers(name string, flags int) (fd int, err error) {
	isDirectory := flags&unix.O_DIRECTORY != 0
	if m.IsRecorded() {
		return m.openUsersRecorded(name, flags, isDirectory)
	}
	at, err := openAny(name, unix.O_PATH|flags&(unix.O_DIRECTORY|unix.O_NOFOLLOW))
	if err != nil {
		return -1, inPath("open", name, err)
	}
	defer unix.Close(at)
	if err = isOfKind(at, isDirectory); err == nil {
		err = isStored(at)
	}
	if err != nil {
		return -1, inPath("open", name, err)
	}
	if fd, err = OpenAt(unix.AT_FDCWD, descriptorLink(at), flags&^unix.O_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		err = unix.EIO // it is there; /proc is not
	}
	return fd, inPath("open", name, err)
}

func (m Machine) openUsersRecorded(name string, flags int, isDirectory bool) (fd int, err error) {
	if fd, err = m.openRecorded(name, flags|unix.O_NONBLOCK); err != nil {
		return -1, err
	}
	if err := isOfKind(fd, isDirectory); err != nil {
		unix.Close(fd)
		return -1, inPath("open", name, err)
	}
	return fd, nil
}

// openAny opens whatever is there with O_PATH among the flags. The way does not
// lead through what a process has open, such as /dev/stdin: that may be another's.
func openAny(name string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	err = retry(func() error {
		fd, err = unix.Openat2(unix.AT_FDCWD, name, &how)
		return err
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // no such call (Linux 5.6), or a filter forbids it
		return OpenAt(unix.AT_FDCWD, name, flags)
	}
	return fd, err
}

// isOfKind returns why what a descriptor is of is not to be read; nil if it is a
// regular file, or a directory where one is wanted.
func isOfKind(fd int, isDirectory bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case isDirectory && kind == unix.S_IFDIR, !isDirectory && kind == unix.S_IFREG:
		return nil
	case kind == unix.S_IFDIR:
		return unix.EISDIR
	}
	return ErrNotRegular
}

// isStored returns ErrKernelFile for what the kernel makes up.
func isStored(fd int) error {
	where, err := os.Readlink(descriptorLink(fd))
	if err != nil {
		return unix.EIO
	}
	var sfs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &sfs) }); err != nil {
		return err
	}
	if IsKernels(where) || slices.Contains(kernelFileSystems, uint32(sfs.Type)) {
		return ErrKernelFile
	}
	return nil
}

func descriptorLink(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// IsKernels tells whether a path, without links in it, leads to where the kernel's
// files and devices usually are. What is in /dev/shm people have stored (shm_overview(7)).
func IsKernels(name string) bool {
	name = path.Clean(name) + "/"
	return !strings.HasPrefix(name, "/dev/shm/") && slices.ContainsFunc([]string{"/proc/", "/sys/", "/dev/"}, func(dir string) bool { return strings.HasPrefix(name, dir) })
}

// kernelFileSystems are the types of those that are not made of anything that
// somebody stored, wherever they are mounted (linux/magic.h; those of configfs,
// mqueue, fusectl, nfsd and rpc_pipefs are in their sources).
var kernelFileSystems = []uint32{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.RDTGROUP_SUPER_MAGIC,
	unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.AAFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC,
	unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC, unix.BINFMTFS_MAGIC, unix.BINDERFS_SUPER_MAGIC,
	unix.DEVPTS_SUPER_MAGIC, unix.NSFS_MAGIC, unix.PID_FS_MAGIC, unix.PIPEFS_MAGIC, unix.SOCKFS_MAGIC, unix.ANON_INODE_FS_MAGIC,
	unix.XENFS_SUPER_MAGIC, unix.OPENPROM_SUPER_MAGIC, unix.USBDEVICE_SUPER_MAGIC, unix.AUTOFS_SUPER_MAGIC,
	0x62656570, 0x19800202, 0x65735543, 0x6e667364, 0x67596969,
}
