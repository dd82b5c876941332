package lock

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrTaken says that another process has the user's turn.
var ErrTaken = errors.New("another process is removing what this user made")

// Turn is the right to remove much of what a user made. The kernel has one lock for
// all changes of cgroups (cgroup_mutex); so that nobody waits long for it, one process
// at a time removes much, for each user.
type Turn struct {
	fd    int
	path  string
	calls int64 // how many have asked for it in vain, when it began
}

// TakeTurn takes the user's turn. It does not wait: ErrTaken says that another process
// has it, which is now told, when it ends its turn, that there is more to do. Other
// errors are *Error.
func (l Locks) TakeTurn(user string) (*Turn, error) {
	path := filepath.Join(l.Dir, turnsDir, user)
	for {
		fd, err := l.open(turnsDir, user)
		if err != nil {
			return nil, &Error{Path: path, Err: err}
		}
		calls := sizeOf(fd) // before the lock is taken: a call that comes meanwhile is for this turn
		err = tryOrCall(fd)
		isLinked, lost := isLinked(fd)
		switch {
		case lost != nil:
			err = lost
		case !isLinked: // somebody's turn has just ended, and so a call was not heard
			unix.Close(fd)
			continue
		case err == nil:
			return &Turn{fd: fd, path: path, calls: calls}, nil
		}
		unix.Close(fd)
		if errors.Is(err, ErrTaken) {
			return nil, ErrTaken
		}
		return nil, &Error{Path: path, Err: err}
	}
}

// tryOrCall takes the lock on an open file; or makes the file longer, which whoever
// has it looks at when it has let go.
func tryOrCall(fd int) error {
	const flags = unix.LOCK_EX | unix.LOCK_NB
	err := unix.Flock(fd, flags)
	if errors.Is(err, unix.EWOULDBLOCK) {
		if _, err = unix.Write(fd, []byte{'.'}); err == nil {
			err = unix.Flock(fd, flags) // it may have looked already
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrTaken
		}
	}
	return err
}

// End ends the turn. It returns whether others have asked for it in vain, so that
// somebody should look again; of a nil Turn it does not.
func (t *Turn) End() (more bool) {
	if t == nil {
		return false
	}
	_ = unix.Unlink(t.path)
	_ = unix.Flock(t.fd, unix.LOCK_UN)
	more = sizeOf(t.fd) > t.calls // after letting go: who asks now, gets it
	unix.Close(t.fd)
	return more
}

func sizeOf(fd int) int64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Size
}
