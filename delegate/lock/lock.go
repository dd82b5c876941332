// Package lock keeps the logins, logouts and cleanups of one user apart, and what one
// application asks for one after the other. Users do not wait for each other.
//
// A user's lock is held from the mkdir of a session to the move of the process into
// it, and for moments in which a session is removed; never while something is walked
// that a user made. For that there is a turn. An application's lock is held by whoever
// moves its process, and taken before the user's. The package must not know what is done
// under them.
package lock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Locks says where the locks are.
type Locks struct {
	// Dir is a directory that only root can enter; it is made if need be. No
	// user can open a file in it, so no user can hold a lock.
	Dir string
	// Patience is how long to wait for a lock.
	Patience time.Duration
}

// Default is the locks of the installed programs.
var Default = Locks{Dir: "/run/cgdeleg", Patience: 2 * time.Second}

// The directories in Locks.Dir. (A version before had one file called lock for all.)
const (
	usersDir        = "users"        // a user's lock
	turnsDir        = "turns"        // a user's turn
	applicationsDir = "applications" // an application's lock, by its PID (WORKER_LOCKS in worker.h)
	serversDir      = "servers"      // a server's lock, by the name of its socket
)

// Error says why a lock was not to be had. Unwrap gives EWOULDBLOCK when somebody
// held it all the time.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("lock %s: %v", e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Held is a lock that is held; nil is none.
type Held struct {
	fd   int
	path string
}

// Release lets go of the lock.
func (h *Held) Release() {
	if h != nil {
		unix.Close(h.fd) // the only descriptor, so flock(2) lets go
	}
}

// Remove removes the lock's file, of a user who has no sessions, or of an application.
// Who waits for it takes a new one (Acquire).
func (h *Held) Remove() {
	if h != nil {
		_ = unix.Unlink(h.path)
	}
}

// Acquire takes the lock of a user, whose name has to be a file's. It returns an
// *Error after Patience, or where there can be no lock.
func (l Locks) Acquire(user string) (*Held, error) { return l.acquire(usersDir, user) }

// AcquireApplication takes the lock of an application, by its PID. Errors are those of
// Acquire.
func (l Locks) AcquireApplication(pid int) (*Held, error) {
	return l.acquire(applicationsDir, strconv.Itoa(pid))
}

// AcquireServer takes the lock of who answers on a socket, by the socket's name. Errors
// are those of Acquire.
func (l Locks) AcquireServer(socket string) (*Held, error) { return l.acquire(serversDir, socket) }

// InheritApplication returns the lock of an application that the calling process holds
// already, on a descriptor that it was given.
func (l Locks) InheritApplication(pid, fd int) *Held {
	return &Held{fd: fd, path: filepath.Join(l.Dir, applicationsDir, strconv.Itoa(pid))}
}

func (l Locks) acquire(kind, name string) (*Held, error) {
	path := filepath.Join(l.Dir, kind, name)
	deadline := time.Now().Add(l.Patience)
	for {
		fd, err := l.open(kind, name)
		if err == nil {
			err = wait(fd, deadline)
		}
		if err != nil {
			return nil, &Error{Path: path, Err: err}
		}
		isLinked, err := isLinked(fd)
		if isLinked {
			return &Held{fd: fd, path: path}, nil
		}
		unix.Close(fd) // removed by who held it
		if err != nil {
			return nil, &Error{Path: path, Err: err}
		}
	}
}

// RemoveUnheld removes the files that processes left behind which were killed while they
// moved an application, or in a user's turn. Errors do not matter: such a file is in
// nobody's way.
func (l Locks) RemoveUnheld() {
	for _, kind := range []string{applicationsDir, turnsDir} {
		entries, _ := os.ReadDir(filepath.Join(l.Dir, kind))
		for _, entry := range entries {
			fd, err := l.open(kind, entry.Name())
			if err != nil {
				continue
			}
			if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
				if isLinked, _ := isLinked(fd); isLinked {
					_ = unix.Unlink(filepath.Join(l.Dir, kind, entry.Name()))
				}
			}
			unix.Close(fd)
		}
	}
}

// wait takes the lock on an open file, or closes it. flock(2) has no timeout, and a
// blocked one could not be given up, so it asks again and again.
func wait(fd int, deadline time.Time) error {
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			unix.Close(fd)
			return err
		}
		time.Sleep(pause)
	}
}

// isLinked tells whether an open file still has a name.
func isLinked(fd int) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return err == nil && st.Nlink > 0, err
}

// open opens the lock's file, in a directory that is root's alone or that of
// whoever runs this; a directory that others can write is refused.
func (l Locks) open(kind, name string) (int, error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dir, err := unix.Open(l.Dir, flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := unix.Mkdir(l.Dir, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
		dir, err = unix.Open(l.Dir, flags, 0)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return -1, err
	}
	if st.Uid != 0 && int(st.Uid) != unix.Geteuid() || st.Mode&0o022 != 0 {
		return -1, fmt.Errorf("others than root can write %s: %w", l.Dir, unix.EPERM)
	}
	return openFile(dir, kind, name)
}

// openFile opens or makes the file, and the directory that has the files.
func openFile(dir int, kind, file string) (fd int, err error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_CLOEXEC
	name := kind + "/" + file
	if fd, err = unix.Openat(dir, name, flags, 0o600); !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if err := unix.Mkdirat(dir, kind, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return unix.Openat(dir, name, flags, 0o600)
}
