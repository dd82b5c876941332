package cgroupfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		{"exactly enough directories", chain(5), Budget{Dirs: 6, Depth: 5}, true, []int{4711}},
		{"one directory too few", chain(5), Budget{Dirs: 5, Depth: 5}, false, nil},
		{"one level too few", chain(5), Budget{Dirs: 100, Depth: 4}, false, nil},
		{"enough for siblings", siblings(5), Budget{Dirs: 6, Depth: 1}, true, nil},
		{"one sibling too many", siblings(5), Budget{Dirs: 5, Depth: 1}, false, nil},
		{"only for the start itself", siblings(1), Budget{Dirs: 1, Depth: 1}, false, nil},
		{"deadline over", chain(1), Budget{Dirs: 100, Depth: 100, Deadline: past}, false, nil},
		{"deadline far", chain(1), Budget{Dirs: 100, Depth: 100, Deadline: time.Now().Add(time.Hour)}, true, []int{4711}},
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
	b := &Budget{Dirs: 6, Depth: 3}
	if _, err := d.Populated(b); err != nil || b.Dirs != 2 {
		t.Fatalf("%d directories left, %v", b.Dirs, err)
	}
	if _, err := d.ProcsBelow(b); !errors.Is(err, ErrBudget) || b.Dirs != 0 {
		t.Errorf("%d directories left, %v", b.Dirs, err)
	}
	// What lies beside a branch that is too deep can still be walked.
	deep := &Budget{Dirs: 100, Depth: 1}
	if _, err := d.Populated(deep); !errors.Is(err, ErrBudget) || deep.Dirs != 98 {
		t.Errorf("after going too deep: %d directories left, %v", deep.Dirs, err)
	}
}

// Beside ErrBudget, ProcsBelow returns what it found: `cgdeleg` shows it.
func TestProcsBelowReturnsWhatItFound(t *testing.T) {
	d, _ := tree(t, map[string]string{
		"cgroup.procs": "1\n2\n", "a/cgroup.procs": "3\n", "a/b/cgroup.procs": "4\n", "a/b/c/cgroup.procs": "5\n",
	})
	for dirs, want := range [][]int{nil, {1, 2}, {1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}} {
		pids, err := d.ProcsBelow(&Budget{Dirs: dirs, Depth: 10})
		if !slices.Equal(pids, want) || errors.Is(err, ErrBudget) != (dirs < 4) {
			t.Errorf("%d directories: %v, %v; want %v", dirs, pids, err, want)
		}
	}
}

// On v2 the kernel counts, and the walk spares itself the tree (cgroup-v2.rst,
// "[Un]populated Notification").
func TestPopulatedByEvents(t *testing.T) {
	for _, test := range []struct {
		name, events string
		want         bool
	}{
		{"populated", "populated 1\nfrozen 0\n", true},
		{"not populated", "populated 0\nfrozen 1\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := tree(t, map[string]string{"cgroup.events": test.events, "a/cgroup.procs": "1\n"})
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

// A process list that cannot be understood is an error, never "nobody here".
func TestPopulatedOfGarbage(t *testing.T) {
	d, _ := tree(t, map[string]string{"cgroup.procs": "", "a/cgroup.procs": "garbage\n"})
	populated, err := d.Populated(plenty())
	if populated {
		t.Error("populated")
	}
	requirePathError(t, err, "/h/a/cgroup.procs", unix.EINVAL)
}

// What needs rmdir's EBUSY is tested on real cgroups (tests/): an ordinary
// directory answers ENOTEMPTY.
func TestRemoveTree(t *testing.T) {
	d, dir := tree(t, map[string]string{"empty/": "", "full/child/": "", "file": ""})
	must(t, d.RemoveTree("empty", &Budget{Dirs: 1}))
	if _, err := os.Stat(filepath.Join(dir, "empty")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty is still there: %v", err)
	}
	must(t, d.RemoveTree("empty", plenty())) // not there: no error
	requirePathError(t, d.RemoveTree("full", plenty()), "/h/full", unix.ENOTEMPTY)
	requirePathError(t, d.RemoveTree("file", plenty()), "/h/file", unix.ENOTDIR)
	if err := d.RemoveTree("full", &Budget{}); !errors.Is(err, ErrBudget) {
		t.Errorf("without a budget: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "full/child")); err != nil {
		t.Error(err)
	}
}

func TestMachineReadFile(t *testing.T) {
	_, dir := tree(t, map[string]string{"proc/1/cgroup": "0::/\n"})
	m := Recorded(dir + "/./") // cleaned
	if got, err := m.ReadFile("/proc/1/cgroup"); err != nil || string(got) != "0::/\n" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := m.ReadFile("/proc/2/cgroup")
	requirePathError(t, err, "/proc/2/cgroup", unix.ENOENT)
	_, err = m.ReadFile("/proc/1")
	requirePathError(t, err, "/proc/1", unix.EISDIR)
	if !m.Exists("/proc/1") || m.Exists("/proc/2") || !m.IsRecorded() {
		t.Error("Exists or IsRecorded is wrong")
	}
	if (Machine{}).IsRecorded() || !(Machine{}).Exists("/proc/self") {
		t.Error("the zero Machine is not the running one")
	}
}

// On the running machine the mount point must show the file system that
// mountinfo promised: /proc is none.
func TestOpenMountChecks(t *testing.T) {
	var st unix.Stat_t
	must(t, unix.Stat("/proc", &st))
	for _, test := range []struct {
		name   string
		mount  Mount
		reason string
	}{
		{"another device", Mount{Point: "/proc", Device: st.Dev + 1}, "covered by another mount"},
		{"another type, for v1", Mount{Point: "/proc", Device: st.Dev}, "file system type 0x9fa0, want 0x27e0eb"},
		{"another type, for v2", Mount{Point: "/proc", Device: st.Dev, Unified: true}, "file system type 0x9fa0, want 0x63677270"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			_, err := Machine{}.OpenMount(test.mount)
			var mount *MountError
			if !errors.As(err, &mount) || *mount != (MountError{Point: "/proc", Reason: test.reason}) {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "/proc: "+test.reason) {
				t.Errorf("text %q", err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
	_, err := Machine{}.OpenMount(Mount{Point: "/proc/nosuch"})
	requirePathError(t, err, "/proc/nosuch", unix.ENOENT)
	_, err = Machine{}.OpenMount(Mount{Point: "/proc/version"})
	requirePathError(t, err, "/proc/version", unix.ENOTDIR)
}
