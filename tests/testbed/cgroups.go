package testbed

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Hierarchy is a mounted hierarchy of this machine. The tests find them in
// their own way, from /proc/mounts, so that they do not trust what they test.
type Hierarchy struct {
	Name  string // as /proc/PID/cgroup has it; "unified" for v2
	Point string
}

// mounted returns the hierarchies in the order of /proc/self/cgroup.
func mounted() []Hierarchy {
	points := map[string]string{}
	data, _ := os.ReadFile("/proc/mounts")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 3 && f[2] == "cgroup2":
			points["unified"] = f[1]
		case len(f) > 3 && f[2] == "cgroup":
			for option := range strings.SplitSeq(f[3], ",") {
				points[option] = f[1]
			}
		}
	}
	var all []Hierarchy
	for _, m := range memberships("self") {
		first, _, _ := strings.Cut(m.Name, ",")
		if point, ok := points[first]; ok {
			all = append(all, Hierarchy{Name: m.Name, Point: point})
		}
	}
	return all
}

// Hierarchies returns this machine's hierarchies.
func Hierarchies() []Hierarchy { return mounted() }

// HierarchyNamed returns the one with that controller or name; the test is
// skipped if this machine has none.
func HierarchyNamed(t testing.TB, name string) Hierarchy {
	t.Helper()
	for _, h := range mounted() {
		if slices.Contains(strings.Split(h.Name, ","), name) {
			return h
		}
	}
	t.Skipf("this machine has no %s hierarchy", name)
	return Hierarchy{}
}

type membership struct{ Name, Path string }

func memberships(pid string) []membership {
	var all []membership
	f, err := os.Open("/proc/" + pid + "/cgroup")
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		parts := strings.SplitN(s.Text(), ":", 3)
		if parts[1] == "" {
			parts[1] = "unified"
		}
		all = append(all, membership{parts[1], parts[2]})
	}
	return all
}

// Placement returns in which cgroup of each hierarchy the process is, by the
// names of /proc/PID/cgroup.
func Placement(t testing.TB, pid int) map[string]string {
	t.Helper()
	at := map[string]string{}
	for _, m := range memberships(fmt.Sprint(pid)) {
		at[m.Name] = m.Path
	}
	if len(at) == 0 {
		t.Fatalf("process %d has no /proc/PID/cgroup", pid)
	}
	return at
}

// ParsePlacement understands the content of a /proc/PID/cgroup file, with
// lines ended by newlines or spaces.
func ParsePlacement(text string) map[string]string {
	at := map[string]string{}
	for line := range strings.FieldsSeq(text) {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			parts[1] = "unified"
		}
		at[parts[1]] = parts[2]
	}
	return at
}

// Tree returns all cgroups below user/NAME of every hierarchy, as
// "HIERARCHY PATH UID:GID", sorted.
func Tree(name string) []string {
	var all []string
	for _, h := range mounted() {
		root := filepath.Join(h.Point, "user", name)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				st := info.Sys().(*syscall.Stat_t)
				rel, _ := filepath.Rel(filepath.Join(h.Point, "user"), path)
				all = append(all, fmt.Sprintf("%s %s %d:%d", h.Name, rel, st.Uid, st.Gid))
			}
			return nil
		})
	}
	slices.Sort(all)
	return all
}

// Sessions returns the session numbers of the user in one hierarchy.
func Sessions(h Hierarchy, name string) []string {
	var numbers []string
	entries, _ := os.ReadDir(filepath.Join(h.Point, "user", name))
	for _, e := range entries {
		if e.IsDir() {
			numbers = append(numbers, e.Name())
		}
	}
	return numbers
}

// DetachedWorkers returns the PIDs of the module's workers that nobody waits for, and that
// are in the private mount namespace: other packages have theirs at the same time.
func DetachedWorkers() (pids []int) {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		data, _ := os.ReadFile(file)
		mount, _ := os.Readlink(filepath.Join(filepath.Dir(file), "ns/mnt"))
		if name := string(data); err == nil && mount == own && (name == "cgdeleg-close\n" || Musl() && name == "worker\n") { // a program that has just begun
			pids = append(pids, pid)
		}
	}
	return pids
}

// AwaitDetachedWorkers waits until these have ended.
func AwaitDetachedWorkers(t *testing.T) {
	t.Helper()
	Eventually(t, "all detached workers have ended", func() bool { return len(DetachedWorkers()) == 0 })
}

// WantNothingLeft fails the test if the user still has cgroups, and removes
// those that are empty. A process that is just ending gets its time on a loaded machine.
func WantNothingLeft(t testing.TB, name string) {
	t.Helper()
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/") {
		return // there can be no directory of that name
	}
	var left []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if left = append(Tree(name), Tree("_"+name)...); len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	t.Errorf("left behind:\n%s\n%s", strings.Join(left, "\n"), inhabitants(name))
	RemoveAll(name)
}

// RemoveAll removes the user's cgroups, as far as they are empty.
func RemoveAll(name string) {
	for _, h := range mounted() {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(h.Point, "user", name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = syscall.Rmdir(dir)
		}
	}
}

// inhabitants says which processes are in the user's cgroups, for messages.
func inhabitants(name string) string {
	var out strings.Builder
	for _, h := range mounted() {
		_ = filepath.WalkDir(filepath.Join(h.Point, "user", name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			procs, _ := os.ReadFile(path)
			for pid := range strings.FieldsSeq(string(procs)) {
				cmd, _ := os.ReadFile("/proc/" + pid + "/cmdline")
				fmt.Fprintf(&out, "%s: %s %q\n", path, pid, strings.ReplaceAll(string(cmd), "\x00", " "))
			}
			return nil
		})
	}
	return out.String()
}

// remembered is how the machine's hierarchies were before the tests.
type remembered struct {
	hadUser map[string]bool
	enabled map[string]string // of v2's root
}

func rememberHierarchies() remembered {
	r := remembered{map[string]bool{}, map[string]string{}}
	for _, h := range mounted() {
		_, err := os.Stat(filepath.Join(h.Point, "user"))
		r.hadUser[h.Point] = err == nil
		if data, err := os.ReadFile(filepath.Join(h.Point, "cgroup.subtree_control")); err == nil {
			r.enabled[h.Point] = string(data)
		}
	}
	return r
}

// restore removes user/ where it was not before, and disables the v2
// controllers that were not enabled. Tests of another package that are still
// at it keep both busy.
func (r remembered) restore() {
	for point, had := range r.hadUser {
		if !had {
			_ = syscall.Rmdir(filepath.Join(point, "user"))
		}
	}
	for point, before := range r.enabled {
		file := filepath.Join(point, "cgroup.subtree_control")
		now, _ := os.ReadFile(file)
		for c := range strings.FieldsSeq(string(now)) {
			if !slices.Contains(strings.Fields(before), c) {
				_ = os.WriteFile(file, []byte("-"+c), 0)
			}
		}
	}
}
