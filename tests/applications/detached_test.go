package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// A close that nobody waits for. That the application is as it was is among its shapes
// (TestApplicationShapes).

// laterService writes a service whose closes nobody waits for.
func laterService(t *testing.T, u testbed.User, options string) {
	t.Helper()
	testbed.Need(t, "gcc")
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, threeHierarchies+options))
}

// What the application does next does not matter: it ends, or goes on.
func TestDetachedClose(t *testing.T) {
	u, v := testbed.AddUser(t, "cglater", 20921), testbed.AddUser(t, "cglaterb", 20922)
	laterService(t, u, "")
	testbed.WriteService(t, v.Name, testbed.SessionLine(t, threeHierarchies))
	const first, second = "start=cglater:cglater open", "start=cglaterb:cglaterb open"
	for name, test := range map[string]struct {
		script string
		in     []string // the sessions in which the answers of "cgroups" are; "" is none
	}{
		"it ends at once":                        {first + " close", nil},
		"it ends its transaction, and then":      {first + " close end", nil},
		"it closes in vain a second time":        {first + " close close settle cgroups", []string{""}},
		"it opens again":                         {first + " close open cgroups close settle cgroups", []string{"cglater", ""}},
		"it opens again on another handle":       {first + " close end handle=1 " + first + " cgroups close settle cgroups", []string{"cglater", ""}},
		"it opens another user's":                {first + " close " + second + " cgroups close settle cgroups", []string{"cglaterb", ""}},
		"it opens another user's on that handle": {first + " close end " + second + " cgroups close end settle cgroups", []string{"cglaterb", ""}},
		"it was in another user's":               {second + " handle=1 " + first + " close settle cgroups handle=0 close settle cgroups", []string{"cglaterb", ""}},
		"a child closes, and ends":               {first + " fork { close } settle cgroups close settle cgroups", []string{"cglater", ""}},
		"a child opens and closes, and ends":     {"fork { " + first + " close }", nil},
	} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			for range 10 {
				a := run(t, test.script)
				for i, got := range a.All("cgroups") {
					at := testbed.ParsePlacement(got)[testbed.HierarchyNamed(t, "freezer").Name]
					isIn := strings.HasPrefix(at, "/user/"+test.in[i]+"/")
					if test.in[i] == "" {
						isIn = at == testbed.Placement(t, os.Getpid())[testbed.HierarchyNamed(t, "freezer").Name]
					}
					if !isIn {
						t.Errorf("answer %d: in %s, not in one of %q\n%s", i, at, test.in[i], strings.Join(a, "\n"))
					}
				}
			}
			testbed.AwaitDetachedWorkers(t)
			log.WantSilence()
			testbed.WantNothingLeft(t, u.Name)
			testbed.WantNothingLeft(t, v.Name)
		})
	}
}

// One close after the other is detached, also where the application's lock has to be
// waited for.
func TestClosesAreDetached(t *testing.T) {
	u := testbed.AddUser(t, "cglaterall", 20926)
	laterService(t, u, " debug")
	log := testbed.LogFromNow(t)
	const rounds = 10
	for range rounds {
		run(t, "start=cglaterall:cglaterall open handle=1 start=cglaterall:cglaterall open close handle=0 close settle")
	}
	testbed.AwaitDetachedWorkers(t)
	testbed.WantNothingLeft(t, u.Name)
	testbed.LogFromNow(t) // all is read that was logged
	closed := 0
	for _, line := range log.All() {
		if strings.Contains(line, " cgdeleg-close[") && strings.HasSuffix(strings.TrimSpace(line), " closed and removed") {
			closed++
		}
	}
	if closed != 2*rounds {
		t.Errorf("%d of %d closes were detached", closed, 2*rounds)
	}
}

// While processes are left in the session, the worker stays for a moment. It holds
// nothing of the application's: whoever reads what that wrote sees the end of it, its
// terminal can have another session, and its parent no child.
func TestDetachedWorkerHoldsNothing(t *testing.T) {
	u := testbed.AddUser(t, "cglaterfd", 20923)
	laterService(t, u, " debug")
	log := testbed.LogFromNow(t)
	a := launch(t, "setsid openfds=9 start=cglaterfd:cglaterfd open child close settle state pause")
	var sleeper int
	_, _ = fmt.Sscan(a.Await("child"), &sleeper)
	t.Cleanup(func() { _ = syscall.Kill(sleeper, syscall.SIGKILL) })
	a.Await("state")
	workers := testbed.DetachedWorkers()
	if len(workers) != 1 {
		t.Fatalf("%d workers", len(workers))
	}
	proc := fmt.Sprintf("/proc/%d", workers[0])
	for fd, want := range map[string]string{"0": "/dev/null", "1": "/dev/null", "3": "/dev/null"} {
		if got, err := os.Readlink(proc + "/fd/" + fd); got != want {
			t.Errorf("descriptor %s is %s, %v", fd, got, err)
		}
	}
	fds, _ := filepath.Glob(proc + "/fd/*")
	for _, fd := range fds {
		got, _ := os.Readlink(fd)
		isLog := filepath.Base(fd) == "2" && strings.HasPrefix(got, "socket:")
		if got != "/dev/null" && !isLog && !strings.HasPrefix(got, "/sys/fs/cgroup") && !strings.HasPrefix(got, "anon_inode:") {
			t.Errorf("it has %s", got)
		}
	}
	// pid (comm) state ppid pgrp session tty
	stat := strings.Fields(readFile(proc + "/stat"))
	if stat[3] == fmt.Sprint(a.Cmd.Process.Pid) || stat[5] == fmt.Sprint(a.Cmd.Process.Pid) || stat[6] != "0" {
		t.Errorf("parent %s, session %s, terminal %s of application %d", stat[3], stat[5], stat[6], a.Cmd.Process.Pid)
	}
	if cwd, _ := os.Readlink(proc + "/cwd"); cwd != "/" {
		t.Errorf("it is in %s", cwd)
	}
	for name, at := range testbed.ParsePlacement(readFile(proc + "/cgroup")) {
		if strings.HasPrefix(at, "/user/") {
			t.Errorf("%s: it is in the session %s itself", name, at)
		}
	}
	_ = syscall.Kill(sleeper, syscall.SIGKILL)
	a.Resume()
	a.Finish()
	testbed.AwaitDetachedWorkers(t)
	testbed.WantNothingLeft(t, u.Name)
	log.WantOnly(`^user "cglaterfd": session 0 (opened by .*|closed and removed)$`)
}

// Who may be killed with its service leaves the session to the next login.
func TestDetachedWorkerIsKilled(t *testing.T) {
	u := testbed.AddUser(t, "cglaterkill", 20924)
	laterService(t, u, "")
	a := launch(t, "start=cglaterkill:cglaterkill open child close settle pause endchild")
	a.Await("settle")
	for _, pid := range testbed.DetachedWorkers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	a.Resume()
	a.Finish()
	if len(testbed.Tree(u.Name)) == 0 {
		t.Error("nothing was left, so nothing is shown")
	}
	cleanupByLogin(t, u.Name, u.Name)
	testbed.AwaitDetachedWorkers(t)
	testbed.WantNothingLeft(t, u.Name)
}

// What cannot be done without the application is done while it waits.
func TestDetachedCloseIsWaitedFor(t *testing.T) {
	u := testbed.AddUser(t, "cgwaited", 20925)
	laterService(t, u, "")
	const session = "start=cgwaited:cgwaited open close cgroups end"
	outside := testbed.Placement(t, os.Getpid())
	t.Run("the application gets orphans", func(t *testing.T) {
		a := run(t, "subreaper "+session)
		wantPlacement(t, a.One(t, "cgroups"), outside)
		testbed.WantNothingLeft(t, u.Name)
	})
	t.Run("the application is the first process of a PID namespace", func(t *testing.T) {
		testbed.Need(t, "unshare")
		a := testbed.LaunchUnder(t, []string{"unshare", "--pid", "--fork", "--mount-proc"}, strings.Fields("state "+session+" state")...)
		a.Finish().WantSameState(t) // with no child, in particular; its session stays, since that is where the first process is
		cleanupByLogin(t, u.Name, u.Name)
		testbed.AwaitDetachedWorkers(t)
		testbed.WantNothingLeft(t, u.Name)
	})
	t.Run("somebody has the application's lock", func(t *testing.T) {
		a := launch(t, "start=cgwaited:cgwaited open pause close cgroups end")
		a.Await("open")
		path := fmt.Sprintf("/run/cgdeleg/applications/%d", a.Cmd.Process.Pid)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		defer file.Close()
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		a.Resume()
		wantPlacement(t, a.Finish().One(t, "cgroups"), outside)
		testbed.WantNothingLeft(t, u.Name)
	})
	t.Run("there can be no such lock", func(t *testing.T) {
		a := launch(t, "start=cgwaited:cgwaited open pause close cgroups end")
		a.Await("open")
		const dir = "/run/cgdeleg/applications"
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dir)
		a.Resume()
		wantPlacement(t, a.Finish().One(t, "cgroups"), outside)
		testbed.WantNothingLeft(t, u.Name)
	})
}
