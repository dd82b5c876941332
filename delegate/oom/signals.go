package oom

import (
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// signals are what tells that a look is worth it: inotify(7), of new cgroups of users,
// and on v2 of the files with counters (cgroup-v2.rst: a file modified event).
type signals struct {
	inotify *os.File
	marks   map[string]int // watch descriptors by what they are for
}

func newSignals() (*signals, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &signals{inotify: os.NewFile(uintptr(fd), "inotify"), marks: map[string]int{}}, nil
}

func (s *signals) close() { _ = s.inotify.Close() }

// markFunc has a file tell when it changes, or with "" a directory when it gets a child.
// It returns false if it cannot.
type markFunc func(dir *cgroupfs.Dir, name string) bool

// during calls read with a function that marks, and gives up the marks of what was not
// marked again: kernfs tells inotify nothing of a cgroup's end, and the marks count for
// max_user_watches.
func (s *signals) during(read func(markFunc)) error {
	conn, err := s.inotify.SyscallConn()
	if err != nil {
		return err // closed
	}
	return conn.Control(func(fd uintptr) {
		marks := map[string]int{}
		read(func(dir *cgroupfs.Dir, name string) bool {
			mask := uint32(unix.IN_MODIFY)
			if name == "" {
				mask = unix.IN_CREATE | unix.IN_ONLYDIR
			}
			wd, err := dir.AddWatch(int(fd), name, mask)
			if err == nil {
				marks[path.Join(dir.Path(), name)] = wd
			}
			return err == nil
		})
		for what, wd := range s.marks {
			if kept, ok := marks[what]; !ok || kept != wd {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(wd))
			}
		}
		s.marks = marks
	})
}

// wait waits for an event, and then lets things settle.
func (s *signals) wait(patience, settle time.Duration) error {
	if err := s.read(patience); err != nil {
		return ignoreDeadline(err)
	}
	time.Sleep(settle)
	for {
		if err := s.read(0); err != nil {
			return ignoreDeadline(err)
		}
	}
}

// read takes events out of the kernel's queue. What they say does not matter.
func (s *signals) read(patience time.Duration) error {
	if err := s.inotify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := s.inotify.Read(make([]byte, 16<<10))
	return err
}

func ignoreDeadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
