package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// sizes are how many there are of what a login may have to look at.
var sizes = []int{1, 10, 100, 1000}

// kinds are what there may be many of. {} is the number, from 0 on, and USER who logs in.
var kinds = []struct {
	name        string
	path        string   // of a cgroup with a process, below the hierarchy
	hierarchies []string // in which it is
}{
	{"live sessions of the user", "user/USER/{}", three.members},
	{"live sessions of other users", "user/cgbenchother{}/0", three.members},
	{"populated children of a session", "user/USER/0/c{}", three.members},
	{"sessions in another hierarchy", "user/USER/{}", []string{"pids"}},
	{"mounts", "", nil},
}

// BenchmarkGrowth is a login and logout where there is much of something. All stacks
// have the same user: what pam_cgfs leaves is removed after each login.
func BenchmarkGrowth(b *testing.B) {
	server := startServer(b)
	stacks := stacks(b, server, three)[1:] // with pam_permit nothing can grow
	user := testbed.AddUser(b, "cgbenchgrowth", 21030)
	for i := range stacks {
		stacks[i].user = user
	}
	n := rounds(15)
	var panels []panel
	for _, kind := range kinds {
		c := &crowd{made: map[string]bool{}}
		b.Cleanup(c.end) // if something fails
		medians := make([][]time.Duration, len(stacks))
		for _, size := range sizes {
			c.grow(b, size, strings.ReplaceAll(kind.path, "USER", user.Name), kind.hierarchies)
			for i, samples := range inTurns(b, server, stacks, n, func() { c.tidy(user) }) {
				medians[i] = append(medians[i], median(samples, whole))
			}
		}
		c.end()
		panels = append(panels, panel{kind.name, stacks, medians})
		growthTable(kind.name, n, stacks, medians)
	}
	folder := "docs"
	if testing.Short() {
		folder = "build/bench"
	}
	plot(b, filepath.Join(testbed.Root(b), folder, "growth.svg"), panels)
}

func growthTable(name string, n int, stacks []stack, medians [][]time.Duration) {
	var rows [][]string
	for i, s := range stacks {
		row := []string{s.name}
		for _, m := range medians[i] {
			row = append(row, ms(m))
		}
		rows = append(rows, append(row, ratio(medians[i][len(sizes)-1], medians[i][0])))
	}
	table(fmt.Sprintf("A login and logout beside %s: medians of %d rounds, ms", name, n),
		[]string{"stack", "1", "10", "100", "1,000", "1,000 / 1"}, rows)
}

// crowd is what a login finds: cgroups with a process each, or mounts.
type crowd struct {
	processes []*exec.Cmd
	cgroups   []string
	made      map[string]bool // the cgroups again
	mounts    []string
}

// grow makes more, until there are that many.
func (c *crowd) grow(b *testing.B, size int, path string, hierarchies []string) {
	b.Helper()
	for len(c.mounts) < size && path == "" {
		c.mount(b)
	}
	for len(c.processes) < size && path != "" {
		cmd := exec.Command("sleep", "3600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		below := strings.ReplaceAll(path, "{}", fmt.Sprint(len(c.processes)))
		c.processes = append(c.processes, cmd)
		for _, name := range hierarchies {
			c.enter(b, filepath.Join(testbed.HierarchyNamed(b, name).Point, below), cmd.Process.Pid)
		}
	}
}

// enter makes a cgroup for a process.
func (c *crowd) enter(b *testing.B, dir string, pid int) {
	b.Helper()
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0)
	}
	if err != nil {
		b.Fatal(err)
	}
	c.cgroups = append(c.cgroups, dir)
	c.made[dir] = true
}

func (c *crowd) mount(b *testing.B) {
	b.Helper()
	dir := fmt.Sprintf("/run/bench-mount%d", len(c.mounts))
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = unix.Mount("/run/cgdeleg", dir, "", unix.MS_BIND, "")
	}
	if err != nil {
		b.Fatal(err)
	}
	c.mounts = append(c.mounts, dir)
}

// tidy removes the user's sessions that are not of the crowd.
func (c *crowd) tidy(user testbed.User) {
	for _, h := range testbed.Hierarchies() {
		for _, number := range testbed.Sessions(h, user.Name) {
			if dir := filepath.Join(h.Point, "user", user.Name, number); !c.made[dir] {
				_ = syscall.Rmdir(dir)
			}
		}
		_ = syscall.Rmdir(filepath.Join(h.Point, "user", user.Name)) // which floor and pam_cgfs leave
	}
}

func (c *crowd) end() {
	for _, cmd := range c.processes {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for _, dir := range c.cgroups {
		for path := dir; filepath.Base(path) != "user"; path = filepath.Dir(path) {
			if syscall.Rmdir(path) != nil { // its parent has others
				break
			}
		}
	}
	for _, dir := range c.mounts {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = os.Remove(dir)
	}
	*c = crowd{}
}
