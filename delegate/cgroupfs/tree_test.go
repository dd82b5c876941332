package cgroupfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// chain is a tree of depth directories, each in the one before, with a process
// in the last only.
func chain(depth int) map[string]string {
	files := map[string]string{"cgroup.procs": ""}
	path := ""
	for i := 1; i <= depth; i++ {
		path += "c/"
		procs := ""
		if i == depth {
			procs = "4711\n"
		}
		files[path+"cgroup.procs"] = procs
	}
	return files
}

// siblings are n empty cgroups side by side.
func siblings(n int) map[string]string {
	files := map[string]string{"cgroup.procs": ""}
	for i := range n {
		files[string(rune('a'+i))+"/cgroup.procs"] = ""
	}
	return files
}

// A walk either sees everything or says that it did not: a session that is
// taken for dead is removed.
func TestWalksWithinBudget(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	for _, test := range []struct {
		name   string
		files  map[string]string
		budget Budget
		whole  bool  // the walk gets to the end
		pids   []int // what it finds then
	}{
		{"zero budget allows nothing", siblings(0), Budget{}, false, nil},
		{"exactly enough directories", chain(5), Budget{Dirs: 6}, true, []int{4711}},
		{"one directory too few", chain(5), Budget{Dirs: 5}, false, nil},
		{"however deep", chain(200), Budget{Dirs: 201}, true, []int{4711}},
		{"enough for siblings", siblings(5), Budget{Dirs: 6}, true, nil},
		{"one sibling too many", siblings(5), Budget{Dirs: 5}, false, nil},
		{"only for the start itself", siblings(1), Budget{Dirs: 1}, false, nil},
		{"deadline over", chain(1), Budget{Dirs: 100, Deadline: past}, false, nil},
		{"deadline far", chain(1), Budget{Dirs: 100, Deadline: time.Now().Add(time.Hour)}, true, []int{4711}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want error
			if !test.whole {
				want = ErrBudget
			}
			d, _ := tree(t, test.files)
			budget := test.budget
			populated, err := d.Populated(&budget)
			if populated != (test.pids != nil) || !errors.Is(err, want) {
				t.Errorf("Populated: %v, %v", populated, err)
			}
			budget = test.budget
			pids, err := d.ProcsBelow(&budget)
			if !slices.Equal(pids, test.pids) || !errors.Is(err, want) {
				t.Errorf("ProcsBelow: %v, %v", pids, err)
			}
		})
	}
}

// One budget is for all the walks of a job: what the first used up is gone.
func TestBudgetIsShared(t *testing.T) {
	d, _ := tree(t, chain(3))
	b := &Budget{Dirs: 6}
	if _, err := d.Populated(b); err != nil || b.Dirs != 2 {
		t.Fatalf("%d directories left, %v", b.Dirs, err)
	}
	if _, err := d.ProcsBelow(b); !errors.Is(err, ErrBudget) || b.Dirs != 0 {
		t.Errorf("%d directories left, %v", b.Dirs, err)
	}
	// How deep they are costs nothing.
	deep, _ := tree(t, chain(20))
	b = &Budget{Dirs: 100}
	if pids, err := deep.ProcsBelow(b); err != nil || !slices.Equal(pids, []int{4711}) || b.Dirs != 79 {
		t.Errorf("%d directories left, %v, %v", b.Dirs, pids, err)
	}
}

// Beside ErrBudget, ProcsBelow returns what it found: `cgdeleg` shows it.
func TestProcsBelowReturnsWhatItFound(t *testing.T) {
	d, _ := tree(t, map[string]string{
		"cgroup.procs": "1\n2\n", "a/cgroup.procs": "3\n", "a/b/cgroup.procs": "4\n", "a/b/c/cgroup.procs": "5\n",
	})
	for dirs, want := range [][]int{nil, {1, 2}, {1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}} {
		pids, err := d.ProcsBelow(&Budget{Dirs: dirs})
		if !slices.Equal(pids, want) || errors.Is(err, ErrBudget) != (dirs < 4) {
			t.Errorf("%d directories: %v, %v; want %v", dirs, pids, err, want)
		}
	}
}

// On v2 the kernel counts, and the walk spares itself the tree (cgroup-v2.rst,
// "[Un]populated Notification"). The real root has no such file.
func TestPopulatedByEvents(t *testing.T) {
	for _, test := range []struct {
		name    string
		unified bool
		files   map[string]string
		want    bool
	}{
		{"populated", true, map[string]string{"cgroup.events": "populated 1\nfrozen 0\n", "a/cgroup.procs": "1\n"}, true},
		{"not populated", true, map[string]string{"cgroup.events": "populated 0\nfrozen 1\n", "a/cgroup.procs": "1\n"}, false},
		{"real root", true, map[string]string{"cgroup.procs": "1\n"}, true},
		{"v1 has no such file of the kernel's", false, map[string]string{"cgroup.procs": "", "cgroup.events": "populated 1\n"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := tree(t, test.files)
			d.unified = test.unified
			got, err := d.Populated(&Budget{Dirs: 1})
			if err != nil || got != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// Cgroups that go while a walk looks at them are not populated.
func TestPopulatedOfGone(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/cgroup.procs": "1\n"})
	a, err := d.Open("a")
	must(t, err)
	defer a.Close()
	must(t, os.RemoveAll(filepath.Join(dir, "a")))
	if populated, err := a.Populated(plenty()); populated || err != nil {
		t.Errorf("%v, %v", populated, err)
	}
	if pids, err := a.ProcsBelow(plenty()); pids != nil || err != nil {
		t.Errorf("%v, %v", pids, err)
	}
}

// A process list that cannot be understood, or not be read, is never "nobody here".
func TestPopulatedOfGarbage(t *testing.T) {
	d, _ := tree(t, map[string]string{"cgroup.procs": "", "a/cgroup.procs": "garbage\n"})
	if populated, err := d.Populated(plenty()); !populated || err != nil {
		t.Errorf("%v, %v", populated, err)
	}
	_, err := d.ProcsBelow(plenty())
	requirePathError(t, err, "/h/a/cgroup.procs", unix.EINVAL)
	d, _ = tree(t, map[string]string{"cgroup.procs": "", "a/cgroup.procs/": ""})
	populated, err := d.Populated(plenty())
	if populated {
		t.Error("populated")
	}
	requirePathError(t, err, "/h/a/cgroup.procs", unix.EISDIR)
}
