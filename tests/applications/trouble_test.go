package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What stops the worker must not stop the login: the stack succeeds, the
// application is as it was, and the log says why there are no cgroups.
func TestWorkerTrouble(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgtrouble", 20201)
	testbed.WriteService(t, "cgtrouble", waitingLine(t, threeHierarchies))
	testbed.WriteService(t, "cgtrouble-1s", waitingLine(t, threeHierarchies+" timeout=1"))
	tests := []struct{ name, script, log string }{
		{"killed", "syslog seccomp=kill state start=cgtrouble:%u open close end state",
			`^worker was killed by signal 31; this session has no cgroups`},
		{"hangs for the default deadline", "syslog seccomp=hang state start=cgtrouble:%u open close end state",
			`^worker did not finish in 5 s`},
		{"hangs for timeout=1", "syslog seccomp=hang state start=cgtrouble-1s:%u open close end state",
			`^worker did not finish in 1 s`},
		{"hangs, SIGCHLD ignored", "syslog sigchld=ignore seccomp=hang state start=cgtrouble-1s:%u open close end state",
			`^worker did not finish in 1 s`},
		{"hangs, the application reaps", "syslog sigchld=reap seccomp=hang state start=cgtrouble-1s:%u open close end state",
			`^worker did not finish in 1 s`},
		{"descriptors used up", "syslog start=cgtrouble:%u open close softlimit=nofile:5 open close end",
			`^worker could not be run: `},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			a := run(t, strings.ReplaceAll(test.script, "%u", u.Name))
			for _, result := range append(a.All("open"), a.All("close")...) {
				if result != "0" {
					t.Errorf("open or close failed:\n%s", strings.Join(a, "\n"))
				}
			}
			if len(a.All("state")) > 1 {
				a.WantSameState(t)
			}
			log.Want(test.log)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// What the caller of su or sudo sets must not even be noticed.
func TestCallersLimitsAndEnvironment(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglimits", 20202)
	testbed.WriteService(t, "cglimits", waitingLine(t, threeHierarchies))
	for name, words := range map[string]string{
		"soft limits":          "softlimit=as:300000000 softlimit=data:50000000 softlimit=nproc:1 softlimit=fsize:0 softlimit=nofile:10",
		"64 kB of stack":       "rlimit=stack:65536",
		"RLIMIT_NPROC 0":       "rlimit=nproc:0",
		"RLIMIT_FSIZE 0":       "rlimit=fsize:0",
		"GOMEMLIMIT=garbage":   "env=GOMEMLIMIT=garbage",
		"GOGC=garbage":         "env=GOGC=garbage",
		"GODEBUG":              "env=GODEBUG=inittrace=1,schedtrace=1,gctrace=1",
		"GOTRACEBACK":          "env=GOTRACEBACK=crash",
		"GOMAXPROCS":           "env=GOMAXPROCS=99999",
		"LD_PRELOAD of nought": "env=LD_PRELOAD=/nonexistent.so",
	} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			a := run(t, words+" state start=cglimits:"+u.Name+" open cgroups close end state")
			a.Want(t, "open", "0")
			a.Want(t, "close", "0")
			a.WantSameState(t)
			wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
			log.WantSilence()
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// Hard limits of memory can be lifted with CAP_SYS_RESOURCE. Root of a
// container may lack that; the Go runtime then cannot start.
func TestHardMemoryLimits(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cghard", 20206)
	testbed.WriteService(t, "cghard", waitingLine(t, threeHierarchies))
	for name, limit := range map[string]string{"RLIMIT_AS 300 MB": "as:300000000", "RLIMIT_DATA 50 MB": "data:50000000"} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			a := run(t, "syslog rlimit="+limit+" state start=cghard:cghard open cgroups close end state")
			a.Want(t, "open", "0")
			a.Want(t, "close", "0")
			a.WantSameState(t)
			// without a C library the runtime asks for little data
			if canLiftLimits(t) || testbed.Musl() && strings.HasPrefix(limit, "data:") {
				wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
				log.WantSilence()
				return
			}
			wantPlacement(t, a.One(t, "cgroups"), testbed.Placement(t, os.Getpid()))
			log.Want(`^worker said: .*memory`)
			log.Want(`^worker (was killed by signal|ended early).*this session has no cgroups`)
		})
	}
}

func canLiftLimits(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// pids.max cannot be lifted as limits can: at 1 there is no fork, a little
// above there are no threads for the Go runtime.
func TestNoThreadsToBeHad(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgpids", 20203)
	testbed.WriteService(t, "cgpids", waitingLine(t, threeHierarchies+" timeout=2"))
	pids := testbed.HierarchyNamed(t, "pids")
	const noProcess = `^worker could not be run: Resource temporarily unavailable; this session has no cgroups`
	const noThread = `^worker said: .*(pthread_create failed|failed to create new OS thread)` // with a C library, or without
	limits := map[int]string{1: noProcess, 2: noThread, 3: noThread, 4: noThread}
	if testbed.Musl() { // the worker is a program, which may need a thread less
		delete(limits, 4)
	}
	for limit, wanted := range limits {
		t.Run(fmt.Sprintf("pids.max %d", limit), func(t *testing.T) {
			cgroup := makeCgroup(t, pids, "pids")
			write(t, filepath.Join(cgroup, "pids.max"), fmt.Sprint(limit))
			log := testbed.LogFromNow(t)
			app := launch(t, "syslog start=cgpids:cgpids state pause open state close end")
			app.Await("state")
			write(t, filepath.Join(cgroup, "cgroup.procs"), fmt.Sprint(app.Cmd.Process.Pid))
			app.Resume()
			a := app.Finish()
			a.Want(t, "open", "0")
			a.Want(t, "close", "0")
			a.WantSameState(t)
			log.Want(wanted)
			log.Want(`this session has no cgroups of its own$`)
		})
	}
}

// makeCgroup makes a cgroup of the test's own at the top of a hierarchy.
func makeCgroup(t *testing.T, h testbed.Hierarchy, name string) string {
	t.Helper()
	cgroup := filepath.Join(h.Point, fmt.Sprintf("cgtest-%s-%d", name, os.Getpid()))
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(cgroup); err != nil {
			t.Error(err)
		}
	})
	return cgroup
}

func write(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// Without /run there is no lock; the session is made all the same.
func TestNoLockToBeHad(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglock", 20204)
	testbed.WriteService(t, "cglock", waitingLine(t, threeHierarchies))
	tests := []struct {
		name, log string
		breakIt   func(t *testing.T)
	}{
		{"/run/cgdeleg is a file", `^user "cglock": lock /run/cgdeleg/users/cglock: .*not a directory; session made without the lock`, func(t *testing.T) {
			write0600(t, "/run/cgdeleg")
		}},
		{"/run/cgdeleg belongs to others", `^user "cglock": lock /run/cgdeleg/users/cglock: others than root can write /run/cgdeleg`, func(t *testing.T) {
			mkdirMode(t, "/run/cgdeleg", 0o777)
		}},
		{"somebody holds it", `^user "cglock": lock /run/cgdeleg/users/cglock: resource temporarily unavailable; session made without the lock`, holdLock},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.RemoveAll("/run/cgdeleg"); err != nil {
				t.Fatal(err)
			}
			test.breakIt(t)
			defer os.RemoveAll("/run/cgdeleg")
			log := testbed.LogFromNow(t)
			a := run(t, "start=cglock:cglock open cgroups close end")
			a.Want(t, "open", "0")
			wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
			log.Want(test.log)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

func write0600(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdirMode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func holdLock(t *testing.T) {
	t.Helper()
	mkdirMode(t, "/run/cgdeleg", 0o700)
	mkdirMode(t, "/run/cgdeleg/users", 0o700)
	f, err := os.Create("/run/cgdeleg/users/cglock")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
}

// All or nothing: where one hierarchy fails, the others are taken back. What
// fails here is the walk: a mount covers user/NAME of the last hierarchy.
func TestRollBack(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgroll", 20205)
	testbed.WriteService(t, "cgroll", waitingLine(t, "-c freezer,memory,pids,name=systemd"))
	pids := testbed.HierarchyNamed(t, "pids")
	users := filepath.Join(pids.Point, "user")
	_ = os.Mkdir(users, 0o755)
	user := filepath.Join(users, u.Name)
	if err := os.Mkdir(user, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", user, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Unmount(user, unix.MNT_DETACH)
		_ = unix.Rmdir(user)
	}()
	log := testbed.LogFromNow(t)
	a := run(t, "syslog state start=cgroll:cgroll open cgroups close end state")
	a.Want(t, "open", "0")
	a.WantSameState(t)
	wantPlacement(t, a.One(t, "cgroups"), testbed.Placement(t, os.Getpid()))
	line := log.Want(`this session has no cgroups of its own$`)
	if !regexp.MustCompile(`hierarchy pids: open .*/user/cgroll: invalid cross-device link`).MatchString(line) {
		t.Errorf("log line names no hierarchy, path and reason: %s", line)
	}
	for _, got := range testbed.Tree(u.Name) {
		if !strings.HasPrefix(got, "pids ") {
			t.Errorf("not taken back: %s", got)
		}
	}
}
