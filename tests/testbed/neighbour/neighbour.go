// Package neighbour is a user who is in the way of others: one whose programs use the
// processor, make and remove cgroups, or log in and leave large trees behind.
//
// Each function begins one of these, and returns what ends it.
package neighbour

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Neighbour logs in by pamapp and a PAM service with three hierarchies.
type Neighbour struct {
	User        testbed.User
	Application string // the path of pamapp
	Service     string
}

// Busy runs programs that do nothing but to use the processor.
func Busy(programs int) (end func()) {
	var running []*exec.Cmd
	for range programs {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if cmd.Start() == nil {
			running = append(running, cmd)
		}
	}
	return func() {
		for _, cmd := range running {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
}

// Mkdirs makes and removes a cgroup in the freezer hierarchy, again and again.
func (n Neighbour) Mkdirs(t testing.TB, programs int) (end func()) {
	t.Helper()
	dir := n.inFreezer(t, "0")
	stop := loop(programs, func(program int) {
		own := filepath.Join(dir, fmt.Sprintf("c%d", program))
		_ = os.Mkdir(own, 0o755)
		_ = syscall.Rmdir(own)
	})
	return func() {
		stop()
		testbed.RemoveAll(n.User.Name)
	}
}

// Logins logs the user in and out, from several programs at once. In each session the
// user makes cgroups in each of the three hierarchies, which the logout removes.
func (n Neighbour) Logins(t testing.TB, programs, cgroups int) (end func()) {
	t.Helper()
	stop := loop(programs, func(int) {
		cmd := exec.Command(n.Application, "start="+n.Service+":"+n.User.Name, "open", "cgroups", "pause", "close", "end")
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if cmd.Start() != nil {
			return
		}
		for _, dir := range n.sessionOf(cmd.Process.Pid) {
			fill(dir, cgroups)
		}
		_, _ = fmt.Fprintln(in)
		_, _ = fmt.Fscanln(out)
		_ = in.Close()
		_ = cmd.Wait()
	})
	return func() { stop(); n.cleanUp(t) }
}

// Dead makes dead sessions, and logs the user in and out from three programs while
// they are there: each login removes some of what is dead.
func (n Neighbour) Dead(t testing.TB, sessions, cgroups int) (end func()) {
	t.Helper()
	for i := range sessions {
		fill(n.inFreezer(t, fmt.Sprint(i)), cgroups)
	}
	stop := loop(3, func(int) {
		_ = exec.Command(n.Application, "start="+n.Service+":"+n.User.Name, "open", "close", "end").Run()
	})
	return func() { stop(); n.cleanUp(t) }
}

// loop has several do the same, again and again.
func loop(programs int, body func(program int)) (end func()) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	for program := range programs {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					body(program)
				}
			}
		})
	}
	return func() { close(stop); running.Wait() }
}

// inFreezer makes a cgroup below user/NAME.
func (n Neighbour) inFreezer(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "user", n.User.Name, name)
	err := os.MkdirAll(dir, 0o755)
	for range 100 { // a logout of the user's may remove user/NAME between the two
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sessionOf waits until a process is in a session of the user in three hierarchies
// and returns that one's directories.
func (n Neighbour) sessionOf(pid int) (dirs []string) {
	for range 2000 {
		dirs = nil
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		at := testbed.ParsePlacement(string(data))
		for _, h := range testbed.Hierarchies() {
			if strings.HasPrefix(at[h.Name], "/user/"+n.User.Name+"/") {
				dirs = append(dirs, h.Point+at[h.Name])
			}
		}
		if len(dirs) == 3 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return dirs
}

func fill(dir string, cgroups int) {
	for i := range cgroups {
		_ = os.Mkdir(fmt.Sprintf("%s/c%d", dir, i), 0o755)
	}
}

func (n Neighbour) cleanUp(t testing.TB) {
	t.Helper()
	if out, err := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", n.User.Name).CombinedOutput(); err != nil {
		t.Errorf("cleanup: %v: %s", err, out)
	}
	testbed.RemoveAll(n.User.Name)
}
