package machine

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// openRecorded opens a file of a recorded machine. The kernel keeps to the machine's
// directory, whatever links are in there and whoever changes them meanwhile
// (openat2(2), RESOLVE_BENEATH): a link that stays inside is followed, with O_NOFOLLOW
// only on the way.
func (m Machine) openRecorded(name string, flags int) (fd int, err error) {
	root, err := OpenAt(unix.AT_FDCWD, m.root, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path.Join(m.root, name), Err: err}
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_PATH == 0 { // beside which the call allows none of these
		how.Flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	err = retry(func() error {
		fd, err = unix.Openat2(root, inside(name), &how)
		return err
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // no such call (Linux 5.6), or a filter forbids it
		fd, err = m.openInSteps(name, flags)
	}
	if err != nil {
		return -1, m.failRecorded("open", name, err)
	}
	return fd, nil
}

// openInSteps is openRecorded by os.Root, which takes the way one name at a time. It
// would follow a link in the last place that stays inside: with O_NOFOLLOW that is left
// to the kernel, in the directory that holds it.
func (m Machine) openInSteps(name string, flags int) (fd int, err error) {
	root, err := os.OpenRoot(m.root)
	if err != nil {
		return -1, err
	}
	defer func() { _ = root.Close() }()
	dir, last := inside(name), ""
	if flags&unix.O_NOFOLLOW != 0 && dir != "." {
		dir, last = path.Split(dir)
		if fd, err = openIn(root, path.Clean(dir), unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return -1, err
		}
		defer unix.Close(fd)
		return OpenAt(fd, last, flags)
	}
	return openIn(root, dir, flags)
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

// findRecorded is Find. A path that ends with a slash, or one and a dot, is there
// only if it is a directory.
func (m Machine) findRecorded(name string) Answer {
	flags := unix.O_PATH | unix.O_NOFOLLOW
	wantsDirectory := strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.")
	if wantsDirectory {
		flags = unix.O_PATH | unix.O_DIRECTORY
	}
	fd, err := m.openRecorded(name, flags)
	switch {
	case err == nil:
		unix.Close(fd)
		return Found
	case !m.sawPresent(name):
		return answerOf(err)
	case wantsDirectory:
		return Absent // it is something else
	}
	return Found
}

// ErrNotRecorded says that a recorded machine does not tell whether something was
// there. It is not fs.ErrNotExist.
var ErrNotRecorded = errors.New("not recorded")

// AbsentFile is the file, in a recorded machine's directory, that has a line for
// every path that was looked for and was not there.
const AbsentFile = "absent"

// failRecorded makes a *fs.PathError of an error; nil stays nil. What is not in
// the recording was absent only if that was seen.
func (m Machine) failRecorded(op, name string, err error) error {
	if err == nil {
		return nil
	}
	err = unwrapPath(err)
	if errors.Is(err, fs.ErrNotExist) && !m.sawAbsent(name) {
		err = ErrNotRecorded
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// sawAbsent tells whether it is known that there was nothing at a path: what was
// absent, or a directory above, has a line of its own. Reports had no such lines
// before there was AbsentFile, and held all that their reader looked for; they are
// known by StatFile. What was pasted together by hand has neither.
func (m Machine) sawAbsent(name string) bool {
	if slices.Contains([]string{"/" + AbsentFile, "/" + PresentFile, "/" + StatFile}, name) {
		return true
	}
	lines := m.list().absent
	if lines == nil {
		return m.list().stat != nil
	}
	for at := path.Clean("/" + name); at != "/"; at = path.Dir(at) {
		if hasLine(lines, at) {
			return true
		}
	}
	return false
}

// PresentFile is the file, in a recorded machine's directory, that has a line for
// every path where something was seen, other than a directory, of which no more is
// recorded.
const PresentFile = "present"

// sawPresent tells whether there was something at a path that was not recorded.
func (m Machine) sawPresent(name string) bool {
	return hasLine(m.list().present, path.Clean("/"+name))
}

func hasLine(lines []byte, line string) bool {
	return bytes.HasPrefix(lines, []byte(line+"\n")) || bytes.Contains(lines, []byte("\n"+line+"\n"))
}

// DirectoryMark is the file that a directory of a recorded machine has if nothing
// else is in it: what copies such a machine may leave out empty directories.
const DirectoryMark = ".recorded"

// recordedNames returns the names in a recorded directory: those of its files and
// those of what was only seen.
func (m Machine) recordedNames(dir string, names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return name == DirectoryMark })
	for line := range strings.Lines(string(m.list().present)) {
		in, name := path.Split(strings.TrimSuffix(line, "\n"))
		if path.Clean(in) == path.Clean("/"+dir) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// lists are the files in which a recording says more of paths than files can. They
// are read once, when one is wanted first.
type lists struct {
	once                  sync.Once
	absent, present, stat []byte // nil: there is no such file
}

func (m Machine) list() *lists {
	m.lists.once.Do(func() {
		bare := Machine{root: m.root, lists: &lists{}}
		m.lists.absent, _ = bare.ReadFile("/" + AbsentFile)
		m.lists.present, _ = bare.ReadFile("/" + PresentFile)
		m.lists.stat, _ = bare.ReadFile("/" + StatFile)
	})
	return m.lists
}

// Plain returns the same machine, of which nothing is noted.
func (m Machine) Plain() Machine {
	m.notes = nil
	return m
}

// unwrapPath takes a path error's errno out, for one of our own.
func unwrapPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
