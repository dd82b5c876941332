package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// hangingWorker waits until the application's worker hangs in its mkdir, and
// returns its PID.
func hangingWorker(t *testing.T, app *testbed.Application) int {
	t.Helper()
	children := fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", app.Cmd.Process.Pid)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for pid := range strings.FieldsSeq(readFile(children)) {
			tasks, _ := filepath.Glob("/proc/" + pid + "/task/*/syscall")
			for _, task := range tasks {
				if strings.HasPrefix(readFile(task), fmt.Sprintf("%d ", syscall.SYS_MKDIRAT)) {
					n, _ := strconv.Atoi(pid)
					return n
				}
			}
		}
	}
	t.Fatal("no worker hangs in mkdir")
	return 0
}

func readFile(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// The worker is a process of its own: nothing of the application or of its
// caller is left in it, so that neither can disturb it. Its application is a
// set-user-ID program of a user who is in a session of its own on every
// hierarchy.
func TestWorkerIsItsOwnProcess(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgworker", 20701)
	testbed.WriteService(t, "cgworker", waitingLine(t, "timeout=2"))
	app := launch(t, "start=cgworker:cgworker open handle=1 start=cgworker:cgworker umask=077 chdir=/etc env=SECRET=1 caller=20701 "+
		"sigchld=ignore sigchld=block seccomp=hang pause open close end handle=0 close end")
	app.Await("open")
	app.Resume()
	worker := hangingWorker(t, app)
	dir := fmt.Sprintf("/proc/%d/", worker)
	status := readFile(dir + "status")
	for _, line := range []string{"Uid:\t0\t0\t0\t0", "Gid:\t0\t0\t0\t0", "Umask:\t0022", "SigBlk:\t0000000000000000",
		"CapInh:\t0000000000000000", "CapPrm:\t" + workerCapabilities, "CapEff:\t" + workerCapabilities, "NoNewPrivs:\t1"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("status has no line %q:\n%s", line, status)
		}
	}
	if ignored := ignoredSignals(t, status); ignored != 0 {
		t.Errorf("signals %#x ignored", ignored)
	}
	if cwd, _ := os.Readlink(dir + "cwd"); cwd != "/" {
		t.Errorf("working directory %s", cwd)
	}
	if sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, uintptr(worker), 0, 0); int(sid) != worker {
		t.Errorf("in session %d, not in its own", sid)
	}
	wantDescriptors(t, dir)
	for name, path := range testbed.Placement(t, worker) {
		if path != "/" {
			t.Errorf("%s: in %s, where the user could freeze it", name, path)
		}
	}
	app.Finish()
	testbed.WantNothingLeft(t, "cgworker")
}

// workerCapabilities are CHOWN, DAC_OVERRIDE, SYS_PTRACE, SYS_ADMIN and SYS_NICE, as
// /proc/PID/status has them.
const workerCapabilities = "0000000000a80003"

// ignoredSignals returns SigIgn of /proc/PID/status, but for the signals 32 to
// 34: glibc (two of them) and musl keep them to themselves and let nobody reset
// what they were inherited as.
func ignoredSignals(t *testing.T, status string) uint64 {
	t.Helper()
	_, rest, _ := strings.Cut(status, "SigIgn:\t")
	mask, err := strconv.ParseUint(rest[:16], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask &^ (7 << 31)
}

// wantDescriptors looks that a worker has /dev/null, the reply, and what its
// own runtime and its own work opened, but nothing of the application's.
func wantDescriptors(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(dir + "fd/" + e.Name())
		var ok bool
		switch e.Name() {
		case "0", "1":
			ok = target == "/dev/null"
		case "2", "3":
			ok = strings.HasPrefix(target, "socket:")
		default:
			ok = strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") || strings.HasPrefix(target, "/run/cgdeleg/")
		}
		if !ok {
			t.Errorf("descriptor %s is %s", e.Name(), target)
		}
	}
}

// An application that is killed takes its worker with it.
func TestWorkerDiesWithItsApplication(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgorphan", 20702)
	testbed.WriteService(t, "cgorphan", waitingLine(t, threeHierarchies+" timeout=60"))
	app := launch(t, "start=cgorphan:cgorphan seccomp=hang open")
	worker := hangingWorker(t, app)
	// stopped, because the end of the application also ends what made it hang
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := app.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state := readFile(fmt.Sprintf("/proc/%d/stat", worker))
		if state == "" || strings.Contains(state, ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(worker, syscall.SIGKILL)
			t.Fatal("the worker outlived its application")
		}
	}
}

// Children that another thread of the application forks inherit the reply's
// pipe and keep it open. The worker's end must be noticed all the same, or
// every login by such an application would wait for its deadline.
func TestForksOfAnotherThreadKeepThePipe(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgforks", 20704)
	testbed.WriteService(t, "cgforks", waitingLine(t, threeHierarchies+" timeout=1"))
	log := testbed.LogFromNow(t)
	a := run(t, "sigchld=ignore forks=300 start=cgforks:cgforks open cgroups")
	a.Want(t, "open", "0")
	wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
	log.WantSilence()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && len(testbed.Tree(u.Name)) > 0; time.Sleep(200 * time.Millisecond) {
		cleanupByLogin(t, "cgforks", u.Name) // until the forked children have ended
	}
}

// A worker that is killed when it has begun to move the application: what it
// did is undone, and the application is where it was.
func TestWorkerKilledInTheMiddle(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgmiddle", 20703)
	testbed.WriteService(t, "cgmiddle", waitingLine(t, ""))
	hits := 0
	for range 40 {
		log := testbed.LogFromNow(t)
		app := launch(t, "syslog start=cgmiddle:cgmiddle pause open cgroups pause close cgroups end")
		app.Await("start")
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			killWorkerOnMove(app.Cmd.Process.Pid, stop)
		}()
		app.Resume()
		inside := app.Await("cgroups")
		close(stop)
		<-done
		app.Resume()
		a := app.Finish()
		a.Want(t, "open", "0")
		wantPlacement(t, a.All("cgroups")[1], testbed.Placement(t, os.Getpid()))
		if len(log.Ours()) > 0 {
			hits++
			log.Want(`^worker was killed by signal 9; this session has no cgroups of its own$`)
			wantPlacement(t, inside, testbed.Placement(t, os.Getpid()))
		}
		cleanupByLogin(t, "cgmiddle", "cgmiddle")
	}
	t.Logf("hit %d of 40", hits)
	if hits == 0 {
		t.Skip("no worker could be killed in time")
	}
}

// killWorkerOnMove kills the application's child as soon as the application is
// in a session.
func killWorkerOnMove(application int, stop <-chan struct{}) {
	children := fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", application)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if strings.Contains(readFile(fmt.Sprintf("/proc/%d/cgroup", application)), "/user/") {
			for pid := range strings.FieldsSeq(readFile(children)) {
				n, _ := strconv.Atoi(pid)
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
			return
		}
	}
}
