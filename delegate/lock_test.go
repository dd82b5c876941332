package delegate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const impatient = 5 * time.Millisecond

func newLock(t *testing.T) Lock {
	t.Helper()
	return Lock{Dir: filepath.Join(t.TempDir(), "cgdeleg"), Patience: impatient}
}

func requireLockError(t *testing.T, l Lock, errnos ...unix.Errno) {
	t.Helper()
	held, err := l.acquire()
	var lock *LockError
	if !errors.As(err, &lock) || lock.Path != filepath.Join(l.Dir, "lock") {
		t.Errorf("got %v, want a *LockError", err)
	}
	if !slices.ContainsFunc(errnos, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		t.Errorf("got %v, want one of %v", err, errnos)
	}
	if held.fd != -1 {
		t.Errorf("beside the error: descriptor %d", held.fd)
	}
	held.release() // harmless
}

func TestLock(t *testing.T) {
	l := newLock(t)
	first, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	requireLockError(t, l, unix.EWOULDBLOCK)
	requireLockError(t, Lock{Dir: l.Dir}, unix.EWOULDBLOCK) // no patience at all
	first.release()
	second, err := l.acquire()
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	second.release()
}

// Whoever waits gets it, once it is let go.
func TestLockIsWaitedFor(t *testing.T) {
	l := newLock(t)
	first, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		patient := Lock{Dir: l.Dir, Patience: time.Minute}
		second, err := patient.acquire()
		second.release()
		got <- err
	}()
	first.release()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// No user may be able to open the lock file: who can open it can hold it.
func TestLockIsPrivate(t *testing.T) {
	l := newLock(t)
	held, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	for path, want := range map[string]fs.FileMode{l.Dir: 0o700, filepath.Join(l.Dir, "lock"): 0o600} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm()&^want != 0 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
	}
}

func TestLockRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(dir string) error
		errnos  []unix.Errno
	}{
		{"directory that everybody can write", mkdir(0o777), []unix.Errno{unix.EPERM}},
		{"directory that everybody can write, sticky", mkdir(0o777 | fs.ModeSticky), []unix.Errno{unix.EPERM}},
		{"directory that its group can write", mkdir(0o770), []unix.Errno{unix.EPERM}},
		{"symbolic link in place of the directory", func(dir string) error {
			return errors.Join(os.Mkdir(dir+".real", 0o700), os.Symlink(dir+".real", dir))
		}, []unix.Errno{unix.ENOTDIR, unix.ELOOP}},
		{"file in place of the directory", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, []unix.Errno{unix.ENOTDIR}},
		{"symbolic link in place of the lock file", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(dir+".target", nil, 0o600), os.Symlink(dir+".target", filepath.Join(dir, "lock")))
		}, []unix.Errno{unix.ELOOP}},
		{"dangling link in place of the lock file", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir+".target", filepath.Join(dir, "lock")))
		}, []unix.Errno{unix.ELOOP}},
		{"directory in place of the lock file", mkdirs("lock"), []unix.Errno{unix.EISDIR}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLock(t)
			if err := test.prepare(l.Dir); err != nil {
				t.Fatal(err)
			}
			requireLockError(t, l, test.errnos...)
			if _, err := os.Lstat(l.Dir + ".target"); test.name == "dangling link in place of the lock file" && err == nil {
				t.Error("the link was followed")
			}
		})
	}
	t.Run("no parent directory", func(t *testing.T) {
		requireLockError(t, Lock{Dir: filepath.Join(t.TempDir(), "a/b")}, unix.ENOENT)
	})
	// A read-only /run. Root can write everywhere, but /sys takes no new files
	// from anybody: EROFS in containers, EACCES or EPERM elsewhere.
	t.Run("read-only directory", func(t *testing.T) {
		requireLockError(t, Lock{Dir: "/sys"}, unix.EROFS, unix.EACCES, unix.EPERM)
	})
}

// mkdir makes the directory with exactly that mode, whatever the umask.
func mkdir(mode fs.FileMode) func(dir string) error {
	return func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)) }
}

func mkdirs(below string) func(dir string) error {
	return func(dir string) error {
		return errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(filepath.Join(dir, below), 0o700))
	}
}

// It was made by root, or by whoever runs this; an old one with other owners
// is not ours. Only root can make such a directory.
func TestLockOfAnotherUser(t *testing.T) {
	l := newLock(t)
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(l.Dir, os.Geteuid()+4711, os.Getegid()); err != nil {
		t.Skipf("needs root: %v", err)
	}
	requireLockError(t, l, unix.EPERM)
}
