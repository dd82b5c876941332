package applications

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// beside is how many cgroups a login of the user leaves who is in the way, in each
// of three hierarchies.
const beside = 1300

// BenchmarkBesideAnotherUser is an open of one user's while another's logins leave
// large trees behind, or have left them. What a quiet machine takes is the first.
//
// Wanted is a p90 of at most twice the quiet one and 30 ms. The kernel has one lock
// for making, removing and moving (cgroup_mutex), for which all wait; and what the
// processors alone cost, when others use them, is the second.
func BenchmarkBesideAnotherUser(b *testing.B) {
	testbed.Need(b, "gcc")
	first := testbed.AddUser(b, "cgbesidea", 20911)
	other := testbed.AddUser(b, "cgbesideb", 20912)
	testbed.WriteService(b, "cgbeside", testbed.SessionLine(b, threeHierarchies))
	for _, s := range []struct {
		name  string
		begin func(stop <-chan struct{}) *sync.WaitGroup
	}{
		{"quiet", func(<-chan struct{}) *sync.WaitGroup { return new(sync.WaitGroup) }},
		{"three programs that use the processor", func(stop <-chan struct{}) *sync.WaitGroup { return busy(3, stop) }},
		{"three loops of logins that leave 3x1300", func(stop <-chan struct{}) *sync.WaitGroup { return loops(b, 3, other, stop) }},
		{"30 dead sessions of 4500", func(stop <-chan struct{}) *sync.WaitGroup { return loopsOverDead(b, 30, 4500, other, stop) }},
	} {
		b.Run(s.name, func(b *testing.B) {
			stop := make(chan struct{})
			running := s.begin(stop)
			var took []time.Duration
			b.ResetTimer()
			for range max(b.N, 50) { // fewer have no p90
				took = append(took, timedOpen(b, first))
			}
			b.StopTimer()
			close(stop)
			running.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "p90-ms")
			b.ReportMetric(0, "ns/op")
			cleanUp(b, other)
		})
	}
}

// busy runs programs that do nothing but to use the processor.
func busy(programs int, stop <-chan struct{}) *sync.WaitGroup {
	running := new(sync.WaitGroup)
	for range programs {
		running.Go(func() {
			cmd := exec.Command("sh", "-c", "while :; do :; done")
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if cmd.Start() == nil {
				<-stop
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		})
	}
	return running
}

// timedOpen opens and closes a session and returns what the open took. The program
// is another's each time, as sshd's are.
func timedOpen(t testing.TB, u testbed.User) time.Duration {
	t.Helper()
	out, err := exec.Command(testbed.PamappPath(t), "start=cgbeside:"+u.Name, "clock", "open", "clock", "close", "end").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var at []time.Duration
	for line := range strings.Lines(string(out)) {
		if ns, ok := strings.CutPrefix(line, "clock: "); ok {
			d, err := time.ParseDuration(strings.TrimSpace(ns) + "ns")
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, d)
		}
	}
	return at[1] - at[0]
}

// loops logs a user in and out again and again, from several programs at once. In
// each session the user makes cgroups, which the logout removes.
func loops(t testing.TB, programs int, u testbed.User, stop <-chan struct{}) *sync.WaitGroup {
	t.Helper()
	running := new(sync.WaitGroup)
	for range programs {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cmd := exec.Command(testbed.PamappPath(t), "start=cgbeside:"+u.Name, "open", "cgroups", "pause", "close", "end")
				in, _ := cmd.StdinPipe()
				out, _ := cmd.StdoutPipe()
				if err := cmd.Start(); err != nil {
					return
				}
				for _, dir := range sessionOf(cmd.Process.Pid, u) {
					fill(dir, beside)
				}
				_, _ = fmt.Fprintln(in)
				_, _ = fmt.Fscanln(out)
				_ = in.Close()
				_ = cmd.Wait()
			}
		})
	}
	return running
}

// sessionOf waits until a process is in a session of the user in three hierarchies
// and returns that one's directories.
func sessionOf(pid int, u testbed.User) (dirs []string) {
	for range 2000 {
		dirs = nil
		at := testbed.ParsePlacement(readFile(fmt.Sprintf("/proc/%d/cgroup", pid)))
		for _, h := range testbed.Hierarchies() {
			if strings.HasPrefix(at[h.Name], "/user/"+u.Name+"/") {
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

func fill(dir string, count int) {
	for i := range count {
		_ = os.Mkdir(fmt.Sprintf("%s/c%d", dir, i), 0o755)
	}
}

// loopsOverDead makes dead sessions, and logs the user in and out while they are
// there: each login removes some of what is dead.
func loopsOverDead(t testing.TB, sessions, count int, u testbed.User, stop <-chan struct{}) *sync.WaitGroup {
	t.Helper()
	freezer := testbed.HierarchyNamed(t, "freezer").Point
	for n := range sessions {
		dir := filepath.Join(freezer, "user", u.Name, fmt.Sprint(n))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		fill(dir, count)
	}
	running := new(sync.WaitGroup)
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command(testbed.PamappPath(t), "start=cgbeside:"+u.Name, "open", "close", "end").Run()
				}
			}
		})
	}
	return running
}

func cleanUp(t testing.TB, u testbed.User) {
	t.Helper()
	if out, err := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).CombinedOutput(); err != nil {
		t.Errorf("cleanup: %v: %s", err, out)
	}
	testbed.RemoveAll(u.Name)
}

// Beside the loops of the benchmark nobody goes without the lock, neither the user
// who is in the way nor another.
func TestNobodyGoesWithoutTheLock(t *testing.T) {
	testbed.Need(t, "gcc")
	first := testbed.AddUser(t, "cgbesidea", 20911)
	other := testbed.AddUser(t, "cgbesideb", 20912)
	testbed.WriteService(t, "cgbeside", testbed.SessionLine(t, threeHierarchies))
	for name, begin := range map[string]func(stop <-chan struct{}) *sync.WaitGroup{
		"three loops of logins": func(stop <-chan struct{}) *sync.WaitGroup { return loops(t, 3, other, stop) },
		"dead sessions":         func(stop <-chan struct{}) *sync.WaitGroup { return loopsOverDead(t, 10, 4500, other, stop) },
	} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			stop := make(chan struct{})
			running := begin(stop)
			for range 30 {
				timedOpen(t, first)
			}
			close(stop)
			running.Wait()
			testbed.LogFromNow(t)             // all is read that was logged
			for _, line := range log.Ours() { // a logout may be cut short
				if strings.Contains(line, "went on without") || strings.Contains(line, "no cgroups of its own") {
					t.Error(line)
				}
			}
			cleanUp(t, other)
			testbed.WantNothingLeft(t, other.Name)
		})
	}
}
