package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is where files are read: the running machine or a recorded one. The
// zero Machine is the running one.
type Machine struct {
	root  string       // "" on the running machine
	lists *lists       // of a recorded one
	notes *Notes       // nil: nothing is noted
	user  *Credentials // as whom files are read (As); nil: as whoever asks
}

// Recorded returns a Machine whose files are the ordinary files below dir. What
// only a kernel can answer (the file system's type, device numbers) is not asked
// of it. Somebody else may have made dir: nothing outside of it is read, symbolic
// links lead nowhere but to what is in it. If dir itself cannot be opened, errors
// name the file with it.
func Recorded(dir string) Machine { return Machine{root: filepath.Clean(dir), lists: &lists{}} }

// IsRecorded tells whether m reads files that were recorded on some machine.
func (m Machine) IsRecorded() bool { return m.root != "" }

// Answer is what became of the question whether something is there.
type Answer int

// The answers.
const (
	Unknown Answer = iota // it may not be looked at, or was not recorded
	Absent
	Found
)

// answerOf makes an Answer of an error.
func answerOf(err error) Answer {
	switch {
	case err == nil:
		return Found
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return Absent
	}
	return Unknown
}

// Find tells whether there is anything at the absolute path. A symbolic link is
// there, wherever it leads.
func (m Machine) Find(path string) (answer Answer) {
	defer func() { m.note(path, Existence, answer) }()
	if m.IsRecorded() {
		return m.findRecorded(path)
	}
	var st unix.Stat_t
	return answerOf(m.asUser(func() error {
		return retry(func() error { return unix.Lstat(path, &st) })
	}))
}

// Exists tells whether Find finds something.
func (m Machine) Exists(path string) bool { return m.Find(path) == Found }

// ReadFile returns the content of the file at the absolute path; one of 4 MiB
// or more is a *TooLargeError. It does not wait for the writer of a named pipe.
// Errors are *fs.PathError: fs.ErrNotExist if the file is absent, ErrNotRecorded
// if nobody knows.
func (m Machine) ReadFile(path string) (data []byte, err error) {
	defer func() { m.note(path, Content, answerOf(err)) }()
	err = m.asUser(func() error {
		fd, err := m.open(path, unix.O_RDONLY|unix.O_NONBLOCK)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		data, err = readAll(fd, m.limit())
		return inPath("read", path, err)
	})
	return data, err
}

// inPath makes a *fs.PathError of an error; nil stays nil.
func inPath(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// Stream calls use with the content of the file at the absolute path, piece by
// piece, however large it is. The pieces share memory. Errors are those of
// ReadFile, and what use returns ends it.
func (m Machine) Stream(path string, use func(piece []byte) error) (err error) {
	defer func() { m.note(path, Content, answerOf(err)) }()
	fd, err := m.Open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buffer := make([]byte, 16<<10)
	for {
		n, err := read(fd, buffer)
		if err != nil {
			return &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return nil
		}
		if err := use(buffer[:n]); err != nil {
			return err
		}
	}
}

// ReadDir returns the names in the directory at the absolute path, sorted.
// Errors are those of ReadFile; ENOTDIR if it is something else.
func (m Machine) ReadDir(path string) (names []string, err error) {
	defer func() { m.note(path, Names, answerOf(err)) }()
	err = m.asUser(func() error {
		names, err = m.readNames(path)
		return err
	})
	if m.IsRecorded() && err == nil {
		names = m.recordedNames(path, names)
	}
	slices.Sort(names)
	return names, err
}

// readNames reads the names in a directory, and no more of them than fit into a
// file that is as large as may be.
func (m Machine) readNames(path string) (names []string, err error) {
	fd, err := m.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	for size := 0; ; {
		some, err := dir.Readdirnames(1 << 10)
		for _, name := range some {
			size += len(name) + 1
		}
		names = append(names, some...)
		switch {
		case errors.Is(err, io.EOF):
			return names, nil
		case err != nil:
			return nil, err
		case size > m.limit():
			return nil, &fs.PathError{Op: "read", Path: path, Err: &TooLargeError{m.limit()}}
		}
	}
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
		m.note("/proc/uptime", Content, Found) // by whom it is asked elsewhere
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

// Open opens the file or directory at the absolute path, for callers that go on
// from there by its descriptor, which they close. Flags are those of open(2);
// O_CLOEXEC and O_NOCTTY are added. Errors are those of ReadFile. It is not
// noted: what is done with the descriptor is (NoteFile).
func (m Machine) Open(path string, flags int) (fd int, err error) {
	err = m.asUser(func() error {
		fd, err = m.open(path, flags)
		return err
	})
	return fd, err
}

func (m Machine) open(path string, flags int) (fd int, err error) {
	switch {
	case m.user != nil:
		return m.openUsers(path, flags)
	case m.IsRecorded():
		return m.openRecorded(path, flags)
	}
	if fd, err = OpenAt(unix.AT_FDCWD, path, flags); err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// OpenAt is openat(2) with the descriptor flags that every open here has,
// repeated when a signal interrupts it. The error is the errno alone.
func OpenAt(dirfd int, name string, flags int) (fd int, err error) {
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

// maxFile bounds what is read of one file at once. The kernel's files are far
// smaller, but for cgroup.procs of a huge session, and for mountinfo, which is
// streamed.
const maxFile = 4<<20 - 1

// TooLargeError says that there is more in a file, or in a directory, than is read
// of one. It is EFBIG.
type TooLargeError struct{ Most int } // bytes

func (e *TooLargeError) Error() string { return fmt.Sprintf("larger than %d KiB", (e.Most+1)>>10) }

func (e *TooLargeError) Unwrap() error { return unix.EFBIG }

// limit is how much is read of a file.
func (m Machine) limit() int {
	if m.user != nil {
		return maxUsersFile
	}
	return maxFile
}

// ReadAll reads a descriptor to its end; a *TooLargeError at 4 MiB, other errors
// are the errno alone.
func ReadAll(fd int) ([]byte, error) { return readAll(fd, maxFile) }

func readAll(fd, most int) ([]byte, error) {
	data := make([]byte, 0, 4096)
	for len(data) <= most {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := read(fd, data[len(data):cap(data)])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
	}
	return nil, &TooLargeError{most}
}

func read(fd int, buffer []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(fd, buffer)
		return err
	})
	return n, err
}
