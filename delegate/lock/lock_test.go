package lock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const impatient = 5 * time.Millisecond

func newLocks(t *testing.T) Locks {
	t.Helper()
	return Locks{Dir: filepath.Join(t.TempDir(), "cgdeleg"), Patience: impatient}
}

func requireError(t *testing.T, l Locks, errnos ...unix.Errno) {
	t.Helper()
	held, err := l.Acquire("alice")
	var lock *Error
	if !errors.As(err, &lock) || lock.Path != filepath.Join(l.Dir, usersDir, "alice") {
		t.Errorf("got %v, want an *Error", err)
	}
	if !slices.ContainsFunc(errnos, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		t.Errorf("got %v, want one of %v", err, errnos)
	}
	if held != nil {
		t.Errorf("beside the error: %+v", held)
	}
	held.Release() // harmless
	held.Remove()
}

func TestLock(t *testing.T) {
	l := newLocks(t)
	first, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	requireError(t, l, unix.EWOULDBLOCK)
	requireError(t, Locks{Dir: l.Dir}, unix.EWOULDBLOCK) // no patience at all
	first.Release()
	second, err := l.Acquire("alice")
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	second.Release()
	if _, err := os.Stat(filepath.Join(l.Dir, usersDir, "alice")); err != nil {
		t.Error(err) // nobody removed it
	}
}

// Users do not wait for each other.
func TestLocksOfUsers(t *testing.T) {
	l := newLocks(t)
	for _, user := range []string{"alice", "bob", "_tasks", "first last", `DOMAIN\u`} {
		held, err := l.Acquire(user)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		defer held.Release()
	}
	requireError(t, l, unix.EWOULDBLOCK) // but alice for herself
}

// It is waited for as long as patience lasts.
func TestPatience(t *testing.T) {
	l := newLocks(t)
	l.Patience = 50 * time.Millisecond
	held, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	began := time.Now()
	requireError(t, l, unix.EWOULDBLOCK)
	if waited := time.Since(began); waited < l.Patience {
		t.Errorf("it waited %v of %v", waited, l.Patience)
	}
}

// The file of a user without sessions is removed, under those who wait for it and
// those who have it open. There is one holder at any time all the same.
func TestRemoveUnderWaiters(t *testing.T) {
	l := newLocks(t)
	l.Patience = time.Minute
	var holders, most, times atomic.Int32
	var all sync.WaitGroup
	for who := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for round := range 25 {
				held, err := l.Acquire("alice")
				if err != nil {
					t.Error(err)
					return
				}
				now := holders.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				times.Add(1)
				time.Sleep(time.Duration(who) * 100 * time.Microsecond) // others come to have it open
				holders.Add(-1)
				if (who+round)%2 == 0 {
					held.Remove()
				}
				held.Release()
			}
		}()
	}
	all.Wait()
	if most.Load() != 1 || times.Load() != 8*25 {
		t.Errorf("up to %d at once held it, %d times", most.Load(), times.Load())
	}
	if names, err := os.ReadDir(filepath.Join(l.Dir, usersDir)); err != nil || len(names) > 1 {
		t.Errorf("left are %v, %v", names, err)
	}
}

// Whoever holds a removed file holds nothing any more: the next one has a file of
// its own.
func TestRemovedIsNotWaitedFor(t *testing.T) {
	l := newLocks(t)
	first, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	first.Remove()
	second, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	requireError(t, l, unix.EWOULDBLOCK)
}

func TestLocksLeaveNoDescriptors(t *testing.T) {
	l := newLocks(t)
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	count() // the Go runtime opens what it waits with when it first needs it
	before := count()
	for range 5 {
		held, err := l.Acquire("alice")
		if err != nil {
			t.Fatal(err)
		}
		requireError(t, l, unix.EWOULDBLOCK)
		held.Remove()
		held.Release()
		requireError(t, Locks{Dir: "/sys"}, unix.EROFS, unix.EACCES, unix.EPERM)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Whoever waits gets it, once it is let go.
func TestLockIsWaitedFor(t *testing.T) {
	l := newLocks(t)
	first, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		patient := Locks{Dir: l.Dir, Patience: time.Minute}
		second, err := patient.Acquire("alice")
		second.Release()
		got <- err
	}()
	first.Release()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// No user may be able to open the lock file: who can open it can hold it.
func TestLockIsPrivate(t *testing.T) {
	l := newLocks(t)
	held, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	for path, want := range map[string]fs.FileMode{l.Dir: 0o700, filepath.Join(l.Dir, usersDir): 0o700, filepath.Join(l.Dir, usersDir, "alice"): 0o600} {
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
			return errors.Join(mkdirs(usersDir)(dir), os.WriteFile(dir+".target", nil, 0o600), os.Symlink(dir+".target", filepath.Join(dir, usersDir, "alice")))
		}, []unix.Errno{unix.ELOOP}},
		{"dangling link in place of the lock file", func(dir string) error {
			return errors.Join(mkdirs(usersDir)(dir), os.Symlink(dir+".target", filepath.Join(dir, usersDir, "alice")))
		}, []unix.Errno{unix.ELOOP}},
		{"directory in place of the lock file", mkdirs(usersDir + "/alice"), []unix.Errno{unix.EISDIR}},
		{"file in place of the directory with the files", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, usersDir), nil, 0o600))
		}, []unix.Errno{unix.ENOTDIR}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLocks(t)
			if err := test.prepare(l.Dir); err != nil {
				t.Fatal(err)
			}
			requireError(t, l, test.errnos...)
			if _, err := os.Lstat(l.Dir + ".target"); test.name == "dangling link in place of the lock file" && err == nil {
				t.Error("the link was followed")
			}
		})
	}
	t.Run("no parent directory", func(t *testing.T) {
		requireError(t, Locks{Dir: filepath.Join(t.TempDir(), "a/b")}, unix.ENOENT)
	})
	// A read-only /run. Root can write everywhere, but /sys takes no new files
	// from anybody: EROFS in containers, EACCES or EPERM elsewhere.
	t.Run("read-only directory", func(t *testing.T) {
		requireError(t, Locks{Dir: "/sys"}, unix.EROFS, unix.EACCES, unix.EPERM)
	})
}

// mkdir makes the directory with exactly that mode, whatever the umask.
func mkdir(mode fs.FileMode) func(dir string) error {
	return func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)) }
}

func mkdirs(below string) func(dir string) error {
	return func(dir string) error {
		return os.MkdirAll(filepath.Join(dir, below), 0o700)
	}
}

// It was made by root, or by whoever runs this; an old one with other owners
// is not ours. Only root can make such a directory.
func TestLockOfAnotherUser(t *testing.T) {
	l := newLocks(t)
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(l.Dir, os.Geteuid()+4711, os.Getegid()); err != nil {
		t.Skipf("needs root: %v", err)
	}
	requireError(t, l, unix.EPERM)
}
