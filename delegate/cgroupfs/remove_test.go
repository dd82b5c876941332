package cgroupfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// Trees here are of ordinary directories, in which rmdir answers ENOTEMPTY where a
// cgroup file system says EBUSY; below are some of real cgroups.

// manyDirs opens an empty directory for a large tree, as a mount called /h: in
// memory if it can be, because disks take half a minute for 50,000 rmdirs.
func manyDirs(t *testing.T) (d *Dir, inMemory bool) {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "cgdeleg")
	var sfs unix.Statfs_t
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(root) })
		inMemory = unix.Statfs(root, &sfs) == nil && sfs.Type == unix.TMPFS_MAGIC
	}
	if !inMemory {
		root = t.TempDir()
	}
	must(t, os.Mkdir(filepath.Join(root, "h"), 0o700))
	d, err = OpenMount(machine.Recorded(root), Mount{Point: "/h"})
	must(t, err)
	d.machine = nil // as on the running machine
	t.Cleanup(d.Close)
	return d, inMemory
}

// makeChain makes a directory in a directory in a directory, and in the last one some
// siblings. (While anybody has that one open, each rmdir above costs the kernel a walk
// down to it.)
func makeChain(t *testing.T, d *Dir, depth, siblings int) {
	t.Helper()
	at := d.fd
	for range depth {
		must(t, unix.Mkdirat(at, "c", 0o700))
		next, err := machine.OpenAt(at, "c", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		must(t, err)
		if at != d.fd {
			unix.Close(at)
		}
		at = next
	}
	makeSiblings(t, at, siblings)
	if at != d.fd {
		unix.Close(at)
	}
}

func makeSiblings(t *testing.T, fd, count int) {
	t.Helper()
	for i := range count {
		must(t, unix.Mkdirat(fd, strconv.Itoa(i), 0o700))
	}
}

// spare leaves this process so many descriptors that it can still open, until the
// function that it returns is called.
func spare(t *testing.T, count int) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	var fds []int
	for range count {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		fds = append(fds, fd)
	}
	limit := old
	limit.Cur = uint64(fds[count-1] + 1)
	for _, fd := range fds {
		unix.Close(fd)
	}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	return func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }
}

func TestSpare(t *testing.T) {
	restore := spare(t, 2)
	var fds []int
	for {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	restore()
	if len(fds) != 2 {
		t.Errorf("%d descriptors can be opened, want 2: the tests of walks see nothing", len(fds))
	}
}

func requireEmpty(t *testing.T, d *Dir) {
	t.Helper()
	if names, _, err := d.Children(10); len(names) > 0 || err != nil {
		t.Errorf("left are %q, %v", names, err)
	}
}

// A user may make trees of any shape. One walk removes them, and has two
// descriptors open beside the one that it was given.
func TestRemoveBelow(t *testing.T) {
	for _, test := range []struct {
		name  string
		depth int
		// levels is at how many depths, from the top on, there are siblings.
		levels, siblings int
	}{
		{"nothing", 0, 0, 0},
		{"one", 1, 0, 0},
		{"10,000 deep", 10000, 0, 0},
		{"50,000 wide", 0, 1, 50000},
		{"wide and deep mixed", 200, 200, 20},
		{"wide at the bottom", 1000, 0, 2000},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, inMemory := manyDirs(t)
			if !inMemory {
				test.siblings = min(test.siblings, 5000)
			}
			levels := test.levels
			if levels == 0 {
				makeChain(t, d, test.depth, test.siblings)
			} else {
				makeChain(t, d, test.depth, 0)
			}
			for dir := d; levels > 0; levels-- {
				makeSiblings(t, dir.fd, test.siblings)
				if levels > 1 {
					next, err := dir.openPath("c")
					must(t, err)
					defer next.Close()
					dir = next
				}
			}
			levels = test.levels
			want := 1 + test.depth + test.siblings*max(1, levels)
			restore := spare(t, 2)
			before := machinetest.Descriptors(t)
			seen, most := 0, 0
			walkErr := d.visit(&Budget{Dirs: want}, func(*Dir) (bool, error) {
				if seen++; seen%1000 == 0 {
					most = max(most, machinetest.Descriptors(t))
				}
				return true, nil
			})
			err := d.RemoveBelow(&Budget{Dirs: want, Deadline: time.Now().Add(time.Minute)})
			after := machinetest.Descriptors(t)
			restore()
			if walkErr != nil || seen != want || most > before+1 {
				t.Errorf("the walk saw %d of %d, with %d descriptors of which %d were there before: %v", seen, want, most, before, walkErr)
			}
			if err != nil {
				t.Error(err)
			}
			if after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
			requireEmpty(t, d)
		})
	}
}

// What is cut short has become smaller each time, whatever its shape, so that it is
// gone one day.
func TestRemoveBelowWithinBudget(t *testing.T) {
	for _, test := range []struct {
		name            string
		depth, siblings int
		budget          int
	}{
		{"deep", 100, 0, 10},
		{"deep, by one", 20, 0, 1},
		{"wide", 0, 100, 10},
		{"wide at the bottom", 50, 50, 7},
		{"budget of the whole", 50, 50, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := manyDirs(t)
			makeChain(t, d, test.depth, test.siblings)
			left := count(t, d)
			for round := 1; left > 0; round++ {
				err := d.RemoveBelow(&Budget{Dirs: test.budget})
				now := count(t, d)
				if now > left-min(test.budget, left) {
					t.Fatalf("round %d: %d left of %d, %v", round, now, left, err)
				}
				if err != nil && !errors.Is(err, ErrBudget) || err == nil && now > 0 {
					t.Fatalf("round %d: %v with %d left", round, err, now)
				}
				left = now
			}
			if err := d.RemoveBelow(&Budget{Dirs: test.budget}); err != nil {
				t.Errorf("of nothing: %v", err)
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		d, _ := manyDirs(t)
		makeSiblings(t, d.fd, 3)
		if err := d.RemoveBelow(&Budget{Dirs: 100, Deadline: time.Now().Add(-time.Second)}); !errors.Is(err, ErrBudget) || count(t, d) != 3 {
			t.Errorf("%v, %d left", err, count(t, d))
		}
	})
}

// count returns how many directories there are below.
func count(t *testing.T, d *Dir) (n int) {
	t.Helper()
	must(t, d.visit(&Budget{Dirs: 1 << 20}, func(*Dir) (bool, error) {
		n++
		return true, nil
	}))
	return n - 1
}

// A cgroup with more children than names are held at once takes more than one pass.
func TestRemoveBelowInPasses(t *testing.T) {
	for _, test := range []struct{ children, atOnce int }{{10, 10}, {11, 10}, {100, 7}, {3, 1}, {0, 1}} {
		d, _ := manyDirs(t)
		makeSiblings(t, d.fd, test.children)
		makeChain(t, d, 3, test.children)
		if err := d.removeBelow(&Budget{Dirs: 1000}, test.atOnce); err != nil {
			t.Errorf("%d children, %d at once: %v", test.children, test.atOnce, err)
		}
		requireEmpty(t, d)
	}
}

// What cannot be removed stays, with what is above it, and hinders nothing else.
func TestRemoveBelowOfOccupied(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		at    string // which one the error names
		left  []string
	}{
		{"a leaf", map[string]string{"a/file": "", "b/c/": ""}, "/h/a", []string{"a"}},
		{"deep inside", map[string]string{"a/x/": "", "a/y/z/file": "", "a/y/u/": "", "b/": ""}, "/h/a/y/z", []string{"a", "a/y", "a/y/z"}},
		{"two", map[string]string{"a/b/file": "", "c/d/file": "", "c/e/": ""}, "/h/a/b", []string{"a", "a/b", "c", "c/d"}},
		{"the directory itself", map[string]string{"file": "", "a/b/": ""}, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, dir := tree(t, test.files)
			b := plenty()
			err := d.RemoveBelow(b)
			if test.at != "" {
				requirePathError(t, err, test.at, unix.ENOTEMPTY)
			} else if err != nil {
				t.Error(err)
			}
			var left []string
			must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if path != dir && e.IsDir() {
					left = append(left, strings.TrimPrefix(path, dir+"/"))
				}
				return err
			}))
			if strings.Join(left, " ") != strings.Join(test.left, " ") {
				t.Errorf("left are %q, want %q", left, test.left)
			}
			if b.Dirs == plenty().Dirs {
				t.Error("nothing of the budget was used")
			}
		})
	}
}

func TestRemoveTree(t *testing.T) {
	d, dir := tree(t, map[string]string{"empty/": "", "full/child/": "", "busy/file": "", "file": ""})
	must(t, d.RemoveTree("empty", &Budget{Dirs: 1}))
	if _, err := os.Stat(filepath.Join(dir, "empty")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty is still there: %v", err)
	}
	must(t, d.RemoveTree("empty", plenty())) // not there: no error
	requirePathError(t, d.RemoveTree("busy", plenty()), "/h/busy", unix.ENOTEMPTY)
	requirePathError(t, d.RemoveTree("file", plenty()), "/h/file", unix.ENOTDIR)
	if err := d.RemoveTree("full", &Budget{}); !errors.Is(err, ErrBudget) {
		t.Errorf("without a budget: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "full/child")); err != nil {
		t.Error(err)
	}
	must(t, d.RemoveTree("full", &Budget{Dirs: 2}))
	if _, err := os.Stat(filepath.Join(dir, "full")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("full is still there: %v", err)
	}
}

// Two who remove the same tree do not disturb each other: what is gone is no error.
func TestRemoveBelowTogether(t *testing.T) {
	d, _ := manyDirs(t)
	makeSiblings(t, d.fd, 300)
	makeChain(t, d, 300, 300)
	var all sync.WaitGroup
	for range 3 {
		own, err := d.OpenPath("/")
		must(t, err)
		all.Add(1)
		go func() {
			defer all.Done()
			defer own.Close()
			if err := own.RemoveBelow(&Budget{Dirs: 1 << 20}); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	requireEmpty(t, d)
}

// A walk goes on where what it looks at, and all that is above, is removed meanwhile.
func TestVisitOfGone(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/b/c/d/": "", "a/b/e/": "", "f/": ""})
	var seen []string
	err := d.visit(plenty(), func(at *Dir) (bool, error) {
		seen = append(seen, strings.TrimPrefix(at.Path(), "/h"))
		if at.Path() == "/h/a/b/c" {
			must(t, os.RemoveAll(filepath.Join(dir, "a")))
		}
		return true, nil
	})
	if want := " /a /a/b /a/b/c /f"; err != nil || strings.Join(seen, " ") != want {
		t.Errorf("saw%s, %v; want%s", strings.Join(seen, " "), err, want)
	}
}

// A cgroup cannot be moved to another parent, but a directory can: then the way up
// is not the way down, and the walk ends.
func TestVisitOfMoved(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/b/c/": "", "elsewhere/": ""})
	err := d.visit(plenty(), func(at *Dir) (bool, error) {
		if at.Path() == "/h/a/b/c" {
			must(t, os.Rename(filepath.Join(dir, "a/b"), filepath.Join(dir, "elsewhere/b")))
		}
		return true, nil
	})
	requirePathError(t, err, "/h/a/b/..", unix.EXDEV)
}

// Messages name where something was, with paths of a bounded length.
func TestPathsOfWalks(t *testing.T) {
	d, _ := manyDirs(t)
	makeChain(t, d, 2000, 0)
	longest := ""
	must(t, d.visit(&Budget{Dirs: 3000}, func(at *Dir) (bool, error) {
		if len(at.Path()) >= len(longest) {
			longest = at.Path()
		}
		return true, nil
	}))
	if len(longest) > maxPath+len(omitted) || !strings.HasPrefix(longest, "/h/c/c/") || !strings.HasSuffix(longest, "/c"+omitted) {
		t.Errorf("%d bytes: %.20s...%s", len(longest), longest, longest[max(0, len(longest)-20):])
	}
}

// realCgroup makes a cgroup of this machine's own.
func realCgroup(t *testing.T, mount Mount) *Dir {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(mount.Point, &st); err != nil {
		t.Skip("needs a mounted hierarchy: ", err)
	}
	mount.Device = st.Dev
	root, err := OpenMount(machine.Machine{}, mount)
	if err != nil {
		t.Skip("needs a mounted hierarchy: ", err)
	}
	t.Cleanup(root.Close)
	name := "cgdeleg-unit-test-" + strconv.Itoa(os.Getpid())
	if err := root.Mkdir(name); err != nil {
		t.Skip("needs root, and a hierarchy of its own: ", err)
	}
	t.Cleanup(func() {
		if err := root.RemoveTree(name, &Budget{Dirs: 1 << 20}); err != nil {
			t.Error(err)
		}
	})
	d, err := root.Open(name)
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

// Cgroups with processes stay, with those above them, and all others go: on the
// kernel's own file systems.
func TestRemoveBelowOfCgroups(t *testing.T) {
	for name, mount := range map[string]Mount{
		"v1":           {Point: "/sys/fs/cgroup/freezer"},
		"v2 beside v1": {Point: "/sys/fs/cgroup/unified", Unified: true},
		"v2":           {Point: "/sys/fs/cgroup", Unified: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := realCgroup(t, mount)
			makeSiblings(t, d.fd, 20)
			makeChain(t, d, 100, 20)
			for _, path := range []string{"0/a", "0/a/b", "0/a/c", "1/x"} {
				must(t, d.Mkdir(path))
			}
			sleep := exec.Command("sleep", "60")
			must(t, sleep.Start())
			end := sync.OnceFunc(func() {
				_ = sleep.Process.Kill()
				_ = sleep.Wait()
			})
			defer end()
			b, err := d.OpenPath("0/a/b")
			must(t, err)
			defer b.Close()
			must(t, b.Attach(sleep.Process.Pid))
			requirePathError(t, d.RemoveBelow(&Budget{Dirs: 1000}), b.Path(), unix.EBUSY)
			if left := count(t, d); left != 3 {
				t.Errorf("%d cgroups left, want 0, a and b", left)
			}
			if populated, err := d.Populated(plenty()); !populated || err != nil {
				t.Errorf("populated: %v, %v", populated, err)
			}
			if pids, err := d.ProcsBelow(plenty()); err != nil || len(pids) != 1 || pids[0] != sleep.Process.Pid {
				t.Errorf("processes %v, %v; want %d", pids, err, sleep.Process.Pid)
			}
			end()
			must(t, eventually(func() error { return d.RemoveBelow(&Budget{Dirs: 1000}) })) // it leaves when it is reaped, or a moment later
			requireEmpty(t, d)
			if populated, err := d.Populated(plenty()); populated || err != nil {
				t.Errorf("populated: %v, %v", populated, err)
			}
			if err := b.Attach(os.Getpid()); !IsGone(err) {
				t.Errorf("attached to what is gone: %v", err)
			}
		})
	}
}

// eventually calls f until it succeeds, for a while.
func eventually(f func() error) (err error) {
	for range 1000 {
		if err = f(); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}
