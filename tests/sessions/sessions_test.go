// Package sessions tests package delegate on the real kernel, where a PAM
// application is too far away: races that are lost on purpose, trees that are
// too large, locks that are not to be had.
package sessions

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) {
	if os.Getenv(threadedEnv) != "" {
		comeAndGo()
	}
	os.Exit(testbed.Main(m))
}

var three = hierarchy.ControllerList{Names: []string{"freezer", "memory", "name=systemd"}}

// start starts a process and returns how to end it.
func start(t *testing.T, cmd *exec.Cmd) (pid int, end func()) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

// process starts one that sleeps until the test's end, and returns its PID.
func process(t *testing.T) int {
	t.Helper()
	pid, end := start(t, exec.Command("sleep", "600"))
	t.Cleanup(end)
	return pid
}

// threadedEnv makes this program a process whose threads come and go.
const threadedEnv = "CGDELEG_TEST_THREADS"

// threadedProcess is process for one whose threads come and go.
func threadedProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{threadedEnv + "=1"}
	pid, end := start(t, cmd)
	t.Cleanup(end)
	return pid
}

// comeAndGo never returns. The runtime ends the thread of a goroutine that ends
// locked to it; those that map memory make a thread that is ending wait.
func comeAndGo() {
	for range 16 {
		go func() {
			for {
				ended := make(chan struct{})
				go func() { runtime.LockOSThread(); close(ended) }()
				<-ended
				if memory, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE); err == nil {
					_ = unix.Munmap(memory)
				}
			}
		}()
	}
	select {}
}

func request(u testbed.User, pid int) delegate.OpenRequest {
	return delegate.OpenRequest{Login: delegate.Login{PID: pid, User: u.Name, UID: u.UID, GID: u.GID, Controllers: three}, Locks: lock.Default}
}

func open(t *testing.T, r delegate.OpenRequest) *delegate.Opened {
	t.Helper()
	opened, err := delegate.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func closeSession(t *testing.T, r delegate.OpenRequest, opened *delegate.Opened) *delegate.Closed {
	t.Helper()
	closed, err := delegate.Close(delegate.CloseRequest{PID: r.PID, User: r.User, Ticket: &opened.Ticket, Locks: r.Locks})
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// sessionDir is user/NAME/N of a hierarchy on this machine.
func sessionDir(t *testing.T, hierarchy string, u testbed.User, number int) string {
	t.Helper()
	return filepath.Join(testbed.HierarchyNamed(t, hierarchy).Point, "user", u.Name, strconv.Itoa(number))
}

// deadSession makes a session that nobody is in.
func deadSession(t *testing.T, u testbed.User, number int, below ...string) {
	t.Helper()
	for _, path := range append(below, ".") {
		if err := os.MkdirAll(filepath.Join(sessionDir(t, "freezer", u, number), path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// removeLast removes the session in the hierarchy that is entered last.
func removeLast(t *testing.T, u testbed.User, o *ticket.Ticket) {
	t.Helper()
	last := o.Former[len(o.Former)-1].Hierarchy
	if err := unix.Rmdir(sessionDir(t, last, u, o.Session.Number)); err != nil {
		t.Fatal(err)
	}
}

// A hierarchy that cannot be entered takes the others back, also those that the
// process is in already. What fails is that somebody removes the last
// hierarchy's cgroup each time before it is entered.
func TestEnterFailsLate(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgseslate", 23001)
	r := request(u, process(t))
	before := testbed.Placement(t, r.PID)
	attempts := 0
	r.Announce = func(o *ticket.Ticket) error {
		attempts++
		removeLast(t, u, o)
		return nil
	}
	if _, err := delegate.Open(r); err == nil {
		t.Error("no error")
	}
	if attempts < 2 {
		t.Errorf("%d attempts, want several: the race may be won next time", attempts)
	}
	if now := testbed.Placement(t, r.PID); !maps.Equal(now, before) {
		t.Errorf("process is in %v, was in %v", now, before)
	}
	testbed.WantNothingLeft(t, u.Name)
}

// Threads that are just ending when the process leaves must not keep the session:
// the kernel does not move them.
func TestCloseForThreads(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgsesending", 23025)
	r := request(u, threadedProcess(t))
	r.Controllers = hierarchy.ControllerList{Names: append([]string{"unified"}, three.Names...)}
	for range 100 {
		if closed := closeSession(t, r, open(t, r)); closed.Left != nil {
			t.Error(closed.Left)
		}
	}
	testbed.WantNothingLeft(t, u.Name)
}

// Nor may they keep what a failed open takes back.
func TestEnterFailsLateForThreads(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgsesthreads", 23024)
	r := request(u, threadedProcess(t))
	r.Announce = func(o *ticket.Ticket) error { removeLast(t, u, o); return nil }
	for range 10 {
		if _, err := delegate.Open(r); err == nil {
			t.Error("no error")
		}
	}
	testbed.WantNothingLeft(t, u.Name)
}

// A race that is lost once is run again.
func TestLostRaceIsRunAgain(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgsesrace", 23002)
	r := request(u, process(t))
	lost := false
	r.Announce = func(o *ticket.Ticket) error {
		if !lost {
			lost = true
			if err := unix.Rmdir(sessionDir(t, "memory", u, o.Session.Number)); err != nil {
				t.Fatal(err)
			}
		}
		return nil
	}
	opened := open(t, r)
	if got := testbed.Placement(t, r.PID)["memory"]; got != fmt.Sprintf("/user/%s/%d", u.Name, opened.Ticket.Session.Number) {
		t.Errorf("process is in %s", got)
	}
	if closed := closeSession(t, r, opened); closed.Left != nil {
		t.Error(closed.Left)
	}
}

// Without the lock nothing is cleaned up: what looks dead may be a login that is
// just being made.
func TestNoCleanupWithoutLock(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgsesnolock", 23003)
	deadSession(t, u, 7)
	r := request(u, process(t))
	r.Locks = lock.Locks{Dir: "/proc/nosuch"}
	opened := open(t, r)
	if _, err := os.Stat(sessionDir(t, "freezer", u, 7)); err != nil {
		t.Errorf("a session was cleaned up without the lock: %v", err)
	}
	r.Locks = lock.Default
	closeSession(t, r, opened)
	if _, err := delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default}); err != nil {
		t.Error(err)
	}
}

// A dead session that is large or deep does not keep the others from being
// cleaned up, and is removed in the end, by logins as by cleanup.
func TestLargeDeadSessions(t *testing.T) {
	testbed.Need(t)
	wide := make([]string, 6000)
	for i := range wide {
		wide[i] = fmt.Sprintf("c%d", i)
	}
	deep := ""
	for range 400 {
		deep = filepath.Join(deep, "d")
	}
	for name, below := range map[string][]string{"6000 children": wide, "400 levels": {deep}} {
		t.Run("login, "+name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgseslarge", 23004)
			deadSession(t, u, 1, below...)
			deadSession(t, u, 2)
			r := request(u, process(t))
			for range 4 {
				opened := open(t, r)
				if _, err := os.Stat(sessionDir(t, "freezer", u, 2)); err == nil {
					t.Error("the small dead session is still there")
				}
				closeSession(t, r, opened)
			}
		})
		t.Run("cleanup, "+name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgseslarge", 23004)
			deadSession(t, u, 1, below...)
			cleaned, err := delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default})
			if err != nil || len(cleaned) != 1 || cleaned[0].Left != nil {
				t.Errorf("cleaned up %v, %v", cleaned, err)
			}
		})
	}
}

// A large session that is alive is left alone: its process is found although
// the tree is too large to be walked.
func TestLargeLiveSession(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgseslive", 23005)
	wide := []string{"z"}
	for i := range 6000 {
		wide = append(wide, fmt.Sprintf("c%d", i))
	}
	deadSession(t, u, 0, wide...)
	inhabitant := process(t)
	procs := filepath.Join(sessionDir(t, "freezer", u, 0), "z", "cgroup.procs")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(inhabitant)), 0); err != nil {
		t.Fatal(err)
	}
	r := request(u, process(t))
	closeSession(t, r, open(t, r))
	cleaned, err := delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default})
	if err != nil || len(cleaned) != 1 || cleaned[0].Left == nil {
		t.Errorf("cleaned up %v, %v", cleaned, err)
	}
	if dirs, _ := filepath.Glob(filepath.Join(sessionDir(t, "freezer", u, 0), "c*")); len(slices.DeleteFunc(dirs, isFile)) != 6000 {
		t.Errorf("%d of the live session's cgroups are left", len(dirs))
	}
	_ = unix.Kill(inhabitant, unix.SIGKILL)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		cleaned, _ = delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default})
		if len(cleaned) == 0 || cleaned[0].Left == nil {
			return
		}
	}
	t.Error("the session is not cleaned up when its process has ended")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.IsDir()
}

// A former cgroup outside of the namespace has no name here: the process goes
// to the base, not to one that is called alike.
func TestFormerCgroupOutsideOfNamespace(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgsesoutside", 23006)
	namesake := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "cgsesoutside-namesake")
	if err := os.Mkdir(namesake, 0o755); err != nil {
		t.Fatal(err)
	}
	r := request(u, process(t))
	opened := open(t, r)
	for i := range opened.Ticket.Former {
		opened.Ticket.Former[i].Path = "/../../cgsesoutside-namesake"
	}
	closeSession(t, r, opened)
	if got := testbed.Placement(t, r.PID)["freezer"]; got != "/" {
		t.Errorf("process is in %s, want the base", got)
	}
	if err := unix.Rmdir(namesake); err != nil {
		t.Error(err)
	}
}
