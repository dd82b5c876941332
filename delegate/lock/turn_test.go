package lock

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func takeTurn(t *testing.T, l Locks, user string) *Turn {
	t.Helper()
	turn, err := l.TakeTurn(user)
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func requireTaken(t *testing.T, l Locks) {
	t.Helper()
	if turn, err := l.TakeTurn("alice"); !errors.Is(err, ErrTaken) || turn != nil {
		t.Errorf("got %v, %v", turn, err)
	}
}

func TestTurn(t *testing.T) {
	l := newLocks(t)
	for name, calls := range map[string]int{"nobody else": 0, "another": 1, "others": 3} {
		t.Run(name, func(t *testing.T) {
			turn := takeTurn(t, l, "alice")
			takeTurn(t, l, "bob").End() // users do not wait for each other
			held, err := l.Acquire("alice")
			if err != nil {
				t.Errorf("the lock is another thing: %v", err)
			}
			held.Release()
			for range calls {
				requireTaken(t, l)
			}
			if more := turn.End(); more != (calls > 0) {
				t.Errorf("more is %v", more)
			}
			if _, err := os.Stat(filepath.Join(l.Dir, turnsDir, "alice")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
	var none *Turn
	if none.End() {
		t.Error("there is more to do after no turn")
	}
}

// A process that ended in its turn has left the file, with calls in it that nobody
// answered. They do not concern the next one.
func TestTurnAfterAnother(t *testing.T) {
	l := newLocks(t)
	turn := takeTurn(t, l, "alice")
	requireTaken(t, l)
	unix.Close(turn.fd)
	if takeTurn(t, l, "alice").End() {
		t.Error("the calls of before count")
	}
}

// Whoever comes in vain has called before the turn ends. Each has one thing to do, and
// does that of others only if it is told that there is more: in the end all are done.
func TestNoCallIsLost(t *testing.T) {
	l := newLocks(t)
	const workers, things = 8, 300
	var lock sync.Mutex
	todo := map[int]bool{}
	turns := 0
	do := func(mine int, all bool) {
		lock.Lock()
		defer lock.Unlock()
		delete(todo, mine)
		if all {
			clear(todo)
		}
	}
	var running sync.WaitGroup
	for w := range workers {
		running.Add(1)
		go func() {
			defer running.Done()
			for i := range things {
				mine := w*things + i
				lock.Lock()
				todo[mine] = true
				lock.Unlock()
				for more, all := true, false; more; all = true {
					turn, err := l.TakeTurn("alice")
					if err != nil {
						if !errors.Is(err, ErrTaken) {
							t.Error(err)
						}
						break
					}
					lock.Lock()
					if turns++; turns != 1 {
						t.Error("two at a time")
					}
					lock.Unlock()
					do(mine, all)
					lock.Lock()
					turns--
					lock.Unlock()
					more = turn.End()
				}
			}
		}()
	}
	running.Wait()
	if len(todo) != 0 {
		t.Errorf("%d things are left to do", len(todo))
	}
}

func TestTurnRefuses(t *testing.T) {
	l := Locks{Dir: "/proc/nosuch/cgdeleg"}
	turn, err := l.TakeTurn("alice")
	var lock *Error
	if !errors.As(err, &lock) || errors.Is(err, ErrTaken) || turn != nil {
		t.Errorf("got %v, %v", turn, err)
	}
}

// What killed processes left is removed; what is held stays.
func TestRemoveUnheld(t *testing.T) {
	l := newLocks(t)
	l.RemoveUnheld() // there is nothing yet
	turn := takeTurn(t, l, "alice")
	application, err := l.AcquireApplication(7)
	if err != nil {
		t.Fatal(err)
	}
	user, err := l.Acquire("alice")
	if err != nil {
		t.Fatal(err)
	}
	user.Release()
	names := func() (names []string) {
		for _, dir := range []string{applicationsDir, turnsDir, usersDir} {
			entries, err := os.ReadDir(filepath.Join(l.Dir, dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				names = append(names, dir+"/"+e.Name())
			}
		}
		return names
	}
	l.RemoveUnheld()
	if got, want := names(), []string{"applications/7", "turns/alice", "users/alice"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	application.Release()
	unix.Close(turn.fd)
	l.RemoveUnheld()
	if got, want := names(), []string{"users/alice"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}

// A worker inherits the lock of the application, on a descriptor.
func TestInheritApplication(t *testing.T) {
	l := newLocks(t)
	held, err := l.AcquireApplication(7)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(held.fd)
	if err != nil {
		t.Fatal(err)
	}
	held.Release()
	inherited := l.InheritApplication(7, fd)
	if other, err := l.AcquireApplication(7); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("it is not held: %v, %v", other, err)
	}
	inherited.Remove()
	inherited.Release()
	other, err := l.AcquireApplication(7)
	if err != nil {
		t.Error(err)
	}
	other.Release()
}
