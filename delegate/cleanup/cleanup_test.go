package cleanup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// cleaner is one over ordinary directories in place of the hierarchies freezer (at
// /f) and pids (at /p), with these paths: one that ends with a slash is an empty
// directory, any other a file that says "1". An ordinary directory with a file in it
// cannot be removed, as a cgroup with a process cannot.
func cleaner(t *testing.T, paths ...string) (c *Cleaner, dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(path, content string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644))
	}
	write("proc/self/mountinfo", "1 1 0:1 / /f rw - cgroup c rw,freezer\n2 1 0:2 / /p rw - cgroup c rw,pids\n")
	write("proc/1/cgroup", "1:freezer:/\n2:pids:/\n")
	write(machine.StatFile, "")
	for _, path := range append(paths, "f/user/", "p/user/") {
		if strings.HasSuffix(path, "/") {
			must(t, os.MkdirAll(filepath.Join(dir, path), 0o755))
		} else {
			write(path, "1\n")
		}
	}
	m := machine.Recorded(dir)
	set, err := hierarchy.Find(m)
	must(t, err)
	t.Cleanup(set.Close)
	locks := lock.Locks{Dir: filepath.Join(t.TempDir(), "cgdeleg"), Patience: 5 * time.Millisecond}
	return &Cleaner{Machine: m, Set: set, Locks: locks, Dirs: DirsInLogin}, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left returns the directories that there are in user/.
func left(t *testing.T, dir string) (paths []string) {
	t.Helper()
	for _, h := range []string{"f", "p"} {
		must(t, filepath.WalkDir(filepath.Join(dir, h, "user"), func(path string, e fs.DirEntry, err error) error {
			if path = strings.TrimPrefix(path, dir+"/"); err == nil && e.IsDir() && strings.Count(path, "/") > 1 {
				paths = append(paths, path)
			}
			return err
		}))
	}
	return paths
}

// requireLeft wants an error for each of these hierarchies, and no other.
func requireLeft(t *testing.T, err error, hierarchies []string, cause error) {
	t.Helper()
	var all []error
	if joined, is := err.(interface{ Unwrap() []error }); is {
		all = joined.Unwrap()
	} else if err != nil {
		all = []error{err}
	}
	var names []string
	for _, err := range all {
		var in *apply.HierarchyError
		if !errors.As(err, &in) || !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
			continue
		}
		names = append(names, in.Hierarchy)
	}
	if !slices.Equal(names, hierarchies) {
		t.Errorf("left in %q, want %q: %v", names, hierarchies, err)
	}
}

func TestSession(t *testing.T) {
	for _, test := range []struct {
		name     string
		paths    []string
		left     []string // directories
		in       []string // the hierarchies that the error names
		cause    error
		hasLock  bool // the lock's file stays
		unlocked bool // there can be no lock
	}{
		{"dead everywhere", []string{"f/user/alice/3/", "p/user/alice/3/"}, nil, nil, nil, false, false},
		{"dead in one", []string{"p/user/alice/3/"}, nil, nil, nil, false, false},
		{"with trees", []string{"f/user/alice/3/a/b/c/", "f/user/alice/3/d/", "p/user/alice/3/x/"}, nil, nil, nil, false, false},
		{"beside another of the user's", []string{"f/user/alice/3/a/", "p/user/alice/3/", "p/user/alice/4/"}, []string{"p/user/alice", "p/user/alice/4"}, nil, nil, true, false},
		{"beside another user's", []string{"f/user/alice/3/", "f/user/bob/3/"}, []string{"f/user/bob", "f/user/bob/3"}, nil, nil, false, false},
		{"alive in one", []string{"f/user/alice/3/a/", "p/user/alice/3/cgroup.procs"},
			[]string{"f/user/alice", "f/user/alice/3", "f/user/alice/3/a", "p/user/alice", "p/user/alice/3"}, []string{"pids"}, unix.EBUSY, false, false},
		{"alive below", []string{"f/user/alice/3/a/b/cgroup.procs", "p/user/alice/3/"},
			[]string{"f/user/alice", "f/user/alice/3", "f/user/alice/3/a", "f/user/alice/3/a/b", "p/user/alice", "p/user/alice/3"}, []string{"freezer"}, unix.EBUSY, false, false},
		{"kept in one hierarchy", []string{"f/user/alice/3/a/b/file", "f/user/alice/3/c/", "p/user/alice/3/d/"},
			[]string{"f/user/alice", "f/user/alice/3", "f/user/alice/3/a", "f/user/alice/3/a/b"}, []string{"freezer"}, unix.ENOTEMPTY, true, false},
		{"kept in both", []string{"f/user/alice/3/a/file", "p/user/alice/3/b/file"},
			[]string{"f/user/alice", "f/user/alice/3", "f/user/alice/3/a", "p/user/alice", "p/user/alice/3", "p/user/alice/3/b"},
			[]string{"freezer", "pids"}, unix.ENOTEMPTY, true, false},
		{"gone", []string{"f/user/bob/"}, []string{"f/user/bob"}, nil, nil, false, false},
		{"gone, and user/NAME is left", []string{"f/user/alice/"}, nil, nil, nil, false, false},
		{"gone in one, and user/NAME is left", []string{"f/user/alice/", "p/user/alice/3/"}, nil, nil, nil, false, false},
		{"gone, beside another of the user's", []string{"f/user/alice/", "p/user/alice/4/"}, []string{"p/user/alice", "p/user/alice/4"}, nil, nil, true, false},
		{"without a lock", []string{"f/user/alice/3/a/", "p/user/alice/3/"}, nil, nil, nil, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := cleaner(t, test.paths...)
			if test.unlocked {
				c.Locks.Dir = "/proc/nosuch/lock"
			}
			requireLeft(t, c.Session(layout.ID{User: "alice", Number: 3}), test.in, test.cause)
			if got := left(t, dir); !slices.Equal(got, test.left) {
				t.Errorf("left are %q, want %q", got, test.left)
			}
			if _, err := os.Stat(filepath.Join(c.Locks.Dir, "users/alice")); (err == nil) != test.hasLock {
				t.Errorf("the lock's file: %v", err)
			}
		})
	}
}

// A process that is just ending is in no list, and keeps its cgroup for a moment: that is
// waited for, and nothing else.
func TestEnding(t *testing.T) {
	for _, test := range []struct {
		name     string
		files    []string // paths that say "populated 1", or in which cgroup a process is
		patience time.Duration
		goes     bool // the kernel stops counting it
		isLeft   bool
	}{
		{"is waited for", nil, time.Hour, true, false},
		{"nobody has patience", nil, 0, false, true},
		{"it goes on ending", nil, 5 * time.Millisecond, false, true},
		{"a process says that it is there", []string{"proc/7/cgroup"}, time.Hour, false, true},
		{"a process on v1", []string{"f/user/alice/0/cgroup.procs"}, time.Hour, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := cleaner(t, append(test.files, "f/user/alice/0/", "u/user/alice/0/")...)
			c.Patience = test.patience
			for file, content := range map[string]string{
				"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n2 1 0:2 / /u rw - cgroup2 c rw\n",
				"proc/1/cgroup":       "1:freezer:/\n0::/\n", "u/cgroup.controllers": "cpu\n", "u/user/alice/0/cgroup.events": "populated 1\n",
			} {
				must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644))
			}
			if _, err := os.Stat(filepath.Join(dir, "proc/7/cgroup")); err == nil {
				must(t, os.WriteFile(filepath.Join(dir, "proc/7/cgroup"), []byte("1:freezer:/\n0::/user/alice/0\n"), 0o644))
			}
			set, err := hierarchy.Find(c.Machine)
			must(t, err)
			defer set.Close()
			c.Set = set
			if test.goes {
				time.AfterFunc(5*time.Millisecond, func() { _ = os.Remove(filepath.Join(dir, "u/user/alice/0/cgroup.events")) })
			}
			err = c.Session(layout.ID{User: "alice"})
			if isLeft := errors.Is(err, unix.EBUSY); isLeft != test.isLeft || !isLeft && err != nil {
				t.Errorf("got %v, want that it is left: %v", err, test.isLeft)
			}
			if _, err := os.Stat(filepath.Join(dir, "u/user/alice/0")); (err == nil) != test.isLeft {
				t.Errorf("the session: %v, want that it is left: %v", err, test.isLeft)
			}
		})
	}
}

// A session that is found dead under the lock may be emptied without it; what has
// its name by then is another's.
func TestReplacedSession(t *testing.T) {
	c, dir := cleaner(t, "f/user/alice/3/")
	id := layout.ID{User: "alice", Number: 3}
	in, err := c.find(id)
	must(t, err)
	defer closeAll(in)
	path := filepath.Join(dir, "f/user/alice/3")
	must(t, os.Rename(path, path+".old"))
	must(t, os.Mkdir(path, 0o755))
	if len(in) != 1 {
		t.Fatalf("found %v", in)
	}
	must(t, in[0].remove(id))
	if _, err := os.Stat(path); err != nil {
		t.Error("another's session was removed")
	}
}

// Out of budget is not dead: then /proc is asked who is in it.
func TestLookWithoutBudget(t *testing.T) {
	tree := []string{"f/user/alice/3/a/b/", "f/user/alice/3/c/"}
	for _, test := range []struct {
		name  string
		procs map[string]string // of /proc/PID/cgroup
		alive bool
	}{
		{"nobody", nil, false},
		{"in it", map[string]string{"7": "1:freezer:/user/alice/3\n"}, true},
		{"below", map[string]string{"7": "1:freezer:/user/alice/3/a/b\n"}, true},
		{"in another session", map[string]string{"7": "1:freezer:/user/alice/33\n2:pids:/user/alice/3\n"}, false},
		{"another user's", map[string]string{"7": "1:freezer:/user/bob/3\n"}, false},
		{"the last of many", map[string]string{"7": "1:freezer:/\n", "8": "garbage", "9": "1:freezer:/user/alice/3\n"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := cleaner(t, tree...)
			c.Dirs = 1
			for pid, members := range test.procs {
				must(t, os.MkdirAll(filepath.Join(dir, "proc", pid), 0o755))
				must(t, os.WriteFile(filepath.Join(dir, "proc", pid, "cgroup"), []byte(members), 0o644))
			}
			err := c.Look(layout.ID{User: "alice", Number: 3})
			if errors.Is(err, unix.EBUSY) != test.alive || err != nil && !test.alive {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody can tell", func(t *testing.T) {
		c, dir := cleaner(t, tree...)
		c.Dirs = 1
		must(t, os.RemoveAll(filepath.Join(dir, "proc")))
		if err := c.Look(layout.ID{User: "alice", Number: 3}); err == nil || errors.Is(err, unix.EBUSY) {
			t.Errorf("got %v", err)
		}
	})
}

// A session that is too large for one cleanup has become smaller, and its other
// hierarchies are gone.
func TestSessionInPieces(t *testing.T) {
	var paths []string
	for i := range 50 {
		paths = append(paths, fmt.Sprintf("f/user/alice/3/%d/", i))
	}
	c, dir := cleaner(t, append(paths, "p/user/alice/3/x/")...)
	c.Dirs = 20
	for round := 1; round <= 4; round++ {
		before := len(left(t, dir))
		err := c.Session(layout.ID{User: "alice", Number: 3})
		now := left(t, dir)
		if slices.Contains(now, "p/user/alice") || len(now) > max(0, before-20) {
			t.Errorf("round %d: left are %q, %v", round, now, err)
		}
		if len(now) == 0 {
			if err != nil || round < 3 {
				t.Errorf("in round %d: %v", round, err)
			}
			return
		}
		requireLeft(t, err, []string{"freezer"}, cgroupfs.ErrBudget)
	}
	t.Error("it does not become empty")
}

func TestAll(t *testing.T) {
	paths := []string{
		"f/user/alice/0/cgroup.procs", "f/user/alice/2/x/", "p/user/alice/2/", "f/user/alice/007/",
		"f/user/_tasks/1/", "p/user/ghost/", "f/user/ghost/",
	}
	users := []string{"alice", "ghost", "_tasks"}
	show := func(all []Cleaned) (lines []string) {
		for _, c := range all {
			state := "dead"
			if errors.Is(c.Left, unix.EBUSY) {
				state = "alive"
			} else if c.Left != nil {
				state = c.Left.Error()
			}
			lines = append(lines, fmt.Sprintf("%s %d %s", c.User, c.Number, state))
		}
		return lines
	}
	want := []string{"alice 0 alive", "alice 2 dead", "tasks 1 dead"}
	t.Run("dry run", func(t *testing.T) {
		c, dir := cleaner(t, paths...)
		c.Locks.Dir = "/proc/nosuch/lock"
		before := left(t, dir)
		all, err := c.All(users, true)
		if err != nil || !slices.Equal(show(all), want) || !slices.Equal(left(t, dir), before) {
			t.Errorf("got %q, %v; left are %q", show(all), err, left(t, dir))
		}
	})
	t.Run("for good", func(t *testing.T) {
		c, dir := cleaner(t, paths...)
		all, err := c.All(users, false)
		if err != nil || !slices.Equal(show(all), want) {
			t.Errorf("got %q, %v", show(all), err)
		}
		if got, want := left(t, dir), []string{"f/user/alice", "f/user/alice/0", "f/user/alice/007"}; !slices.Equal(got, want) {
			t.Errorf("left are %q, want %q", got, want)
		}
	})
	t.Run("without one user's lock", func(t *testing.T) {
		c, dir := cleaner(t, paths...)
		held, err := c.Locks.Acquire("ghost")
		must(t, err)
		defer held.Release()
		all, err := c.All(users, false)
		var lockErr *lock.Error
		if !errors.As(err, &lockErr) || filepath.Base(lockErr.Path) != "ghost" || !slices.Equal(show(all), want) {
			t.Errorf("got %q, %v", show(all), err)
		}
		if got := left(t, dir); !slices.Contains(got, "f/user/ghost") || slices.Contains(got, "f/user/_tasks/1") {
			t.Errorf("left are %q: that user's, and nothing of those who come later", got)
		}
	})
}

// Those in use are empty for a moment only.
func TestOthers(t *testing.T) {
	c, dir := cleaner(t, "f/user/alice/0/", "f/user/alice/1/x/", "f/user/alice/2/", "p/user/alice/3/")
	c.Others("alice", []int{0, 1, 3, 4}, []int{0})
	if got, want := left(t, dir), []string{"f/user/alice", "f/user/alice/0", "f/user/alice/2"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}

// After the deadline nothing more is looked at: to ask every process of the machine
// about every dead session and hierarchy took longer than a login has.
func TestLate(t *testing.T) {
	c, dir := cleaner(t, "f/user/alice/0/", "f/user/alice/1/x/")
	c.Deadline = time.Now().Add(-time.Second)
	must(t, os.RemoveAll(filepath.Join(dir, "proc"))) // asking would be another error
	if err := c.Look(layout.ID{User: "alice", Number: 1}); !errors.Is(err, cgroupfs.ErrBudget) {
		t.Errorf("got %v", err)
	}
	before := left(t, dir)
	c.Others("alice", []int{0, 1}, nil)
	if after := left(t, dir); !slices.Equal(after, before) {
		t.Errorf("left are %q of %q", after, before)
	}
}

// A login yields to another process that removes much of what the user made: that is
// told that there is more, and does it at the end of its turn.
func TestOneAtATime(t *testing.T) {
	var paths []string
	for n := range 3 {
		for i := range fewDirs + 36 {
			paths = append(paths, fmt.Sprintf("f/user/alice/%d/%d/", n, i))
		}
	}
	first, dir := cleaner(t, append(paths, "f/user/alice/3/x/")...)
	first.Yields = true
	second := *first
	must(t, first.Session(layout.ID{User: "alice", Number: 0}))
	if first.turn == nil {
		t.Fatal("a large session is removed out of turn")
	}
	requireLeft(t, second.Session(layout.ID{User: "alice", Number: 1}), []string{"freezer"}, lock.ErrTaken)
	if got := len(left(t, dir)); got <= 1+1+1+fewDirs+36+2 || got >= 1+2*(1+fewDirs+36)+2 {
		t.Errorf("%d are left: not some of session 1", got)
	}
	partly := len(left(t, dir))
	second.Others("alice", []int{2, 3}, nil)
	must(t, second.Session(layout.ID{User: "alice", Number: 3})) // a small one takes no turn
	second.Rest("alice", nil)
	if got := len(left(t, dir)); got != partly-2 {
		t.Errorf("%d are left: session 3 is, or session 2 is not", got)
	}
	first.Rest("alice", []int{2})
	if got := len(left(t, dir)); got != 1+1+fewDirs+36 {
		t.Errorf("%d are left: not session 2, which is in use, alone", got)
	}
	first.Rest("alice", nil) // ended
	must(t, second.Session(layout.ID{User: "alice", Number: 2}))
	second.Rest("alice", nil)
	if got := left(t, dir); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

// Where there can be no locks, nothing is left for that.
func TestNoTurnToBeHad(t *testing.T) {
	var paths []string
	for i := range 2 * fewDirs {
		paths = append(paths, fmt.Sprintf("f/user/alice/3/%d/", i))
	}
	c, dir := cleaner(t, paths...)
	c.Yields, c.Locks.Dir = true, "/proc/nosuch"
	must(t, c.Session(layout.ID{User: "alice", Number: 3}))
	c.Rest("alice", nil)
	if got := left(t, dir); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}
