package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Lock says how the lock is taken that keeps opens, closes and sweeps apart.
type Lock struct {
	// Dir is a directory that only root can enter; it is made if need be. No
	// user can open a file in it, so no user can hold the lock.
	Dir string
	// Patience is how long to wait for the lock.
	Patience time.Duration
}

// DefaultLock is the lock of the installed programs.
var DefaultLock = Lock{Dir: "/run/cgdeleg", Patience: 2 * time.Second}

// LockError says why the lock was not to be had. Unwrap gives EWOULDBLOCK when
// somebody held it all the time.
type LockError struct {
	Path string
	Err  error
}

func (e *LockError) Error() string { return fmt.Sprintf("lock %s: %v", e.Path, e.Err) }
func (e *LockError) Unwrap() error { return e.Err }

type heldLock struct{ fd int }

func (h heldLock) release() {
	if h.fd >= 0 {
		unix.Close(h.fd) // the only descriptor, so flock(2) lets go
	}
}

// acquire returns the held lock or a *LockError. flock has no timeout, and a
// blocked one could not be given up, so it asks again and again.
func (l Lock) acquire() (heldLock, error) {
	path := filepath.Join(l.Dir, "lock")
	fail := func(err error) (heldLock, error) { return heldLock{-1}, &LockError{Path: path, Err: err} }
	fd, err := l.open(path)
	if err != nil {
		return fail(err)
	}
	deadline := time.Now().Add(l.Patience)
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return heldLock{fd}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			unix.Close(fd)
			return fail(err)
		}
		time.Sleep(pause)
	}
}

// open opens the lock file, in a directory that is root's alone or that of
// whoever runs this; a directory that others can write is refused.
func (l Lock) open(path string) (int, error) {
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
		return -1, &fs.PathError{Op: "use directory that others can write", Path: l.Dir, Err: unix.EPERM}
	}
	return unix.Openat(dir, filepath.Base(path), unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
}
