package cgroupfs

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openRecorded opens a file of a recorded machine. os.Root keeps to the machine's
// directory, whatever links are in there and whoever changes them meanwhile. It
// would follow a link in the last place that stays inside: with O_NOFOLLOW that
// is left to the kernel, in the directory that holds it.
func (m Machine) openRecorded(name string, flags int) (fd int, err error) {
	fail := func(err error) (int, error) { return -1, &fs.PathError{Op: "open", Path: name, Err: unwrapPath(err)} }
	root, err := os.OpenRoot(m.root)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path.Join(m.root, name), Err: unwrapPath(err)}
	}
	defer func() { _ = root.Close() }()
	dir, last := inside(name), ""
	if flags&unix.O_NOFOLLOW != 0 && dir != "." {
		dir, last = path.Split(dir)
		if fd, err = openIn(root, path.Clean(dir), unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return fail(err)
		}
		defer unix.Close(fd)
		if fd, err = open(fd, last, flags); err != nil {
			return fail(err)
		}
		return fd, nil
	}
	if fd, err = openIn(root, dir, flags); err != nil {
		return fail(err)
	}
	return fd, nil
}

// openIn opens a file below root. The descriptor is a second one of an os.File's,
// because that would have Go's poller wait for what comes through a named pipe.
func openIn(root *os.Root, name string, flags int) (fd int, err error) {
	file, err := root.OpenFile(name, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return -1, err
	}
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := conn.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// inside makes an absolute path one for os.Root. One with a ".." too many ends
// at the root, as in a chroot(2).
func inside(name string) string {
	if name = path.Clean("/" + name); name == "/" {
		return "."
	}
	return name[1:]
}

// isRecordedAt is Exists. A path that ends with a slash, or one and a dot, is
// there only if it is a directory.
func (m Machine) isRecordedAt(name string) bool {
	root, err := os.OpenRoot(m.root)
	if err != nil {
		return false
	}
	defer func() { _ = root.Close() }()
	if strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.") {
		info, err := root.Stat(inside(name))
		return err == nil && info.IsDir()
	}
	_, err = root.Lstat(inside(name))
	return err == nil
}
