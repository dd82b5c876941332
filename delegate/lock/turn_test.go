package lock

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
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
	if err := os.Link(turn.path, turn.path+".linked"); err != nil {
		t.Fatal(err)
	}
	turn.End()
	if err := os.Rename(turn.path+".linked", turn.path); err != nil {
		t.Fatal(err)
	}
	if takeTurn(t, l, "alice").End() {
		t.Error("the calls of before count")
	}
}

// Whoever comes in vain has called before the turn ends: of many that have something
// to do, each does it, or one that comes after it was told does.
func TestNoCallIsLost(t *testing.T) {
	l := newLocks(t)
	var todo, turns atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Add(1)
		go func() {
			defer running.Done()
			for range 200 {
				todo.Add(1)
				for more := true; more; {
					turn, err := l.TakeTurn("alice")
					if errors.Is(err, ErrTaken) {
						break
					}
					if err != nil {
						t.Error(err)
						return
					}
					if turns.Add(1) != 1 {
						t.Error("two at a time")
					}
					todo.Store(0)
					turns.Add(-1)
					more = turn.End()
				}
			}
		}()
	}
	running.Wait()
	if left := todo.Load(); left != 0 {
		t.Errorf("%d things are left to do", left)
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
