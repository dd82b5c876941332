package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// The faults of LXC's pam_cgfs 5.0.2, a test each where no other test of this
// package has it:
//
//	sessions share N=0                      TestSessionsAtOnce
//	opener and closer one process           TestApplicationShapes
//	no lock                                 TestStorm
//	SIGSEGV on open-close-open              TestApplicationShapes
//	user ".." writes outside                TestUserNames
//	umask of the application changed        TestApplicationIsLeftAsItWas
//	unknown -c names ignored silently       TestOptions

// A logout must not prune the user's other sessions: their empty cgroups may
// be a container's that is just starting.
func TestLogoutLeavesOtherSessionsCgroups(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgprune", 20401)
	testbed.WriteService(t, "cgprune", waitingLine(t, threeHierarchies))
	applications := openAtOnce(t, 2, "cgprune", u.Name)
	for _, app := range applications {
		sessionNumber(t, app, u.Name)
	}
	freezer := testbed.HierarchyNamed(t, "freezer")
	at := testbed.Placement(t, applications[0].Cmd.Process.Pid)[freezer.Name]
	payload := filepath.Join(freezer.Point, at, "lxc.payload.c1", "deeper")
	if err := os.MkdirAll(payload, 0o755); err != nil {
		t.Fatal(err)
	}
	applications[1].Resume()
	applications[1].Finish()
	if _, err := os.Stat(payload); err != nil {
		t.Errorf("the other session's logout removed an empty cgroup: %v", err)
	}
	applications[0].Resume()
	applications[0].Finish()
	testbed.WantNothingLeft(t, u.Name)
}

// A v1 path that contains "0::" must not be taken for the v2 line.
func TestV1PathDoesNotSpoofV2(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgspoof", 20402)
	testbed.WriteService(t, "cgspoof", waitingLine(t, "-c freezer,unified"))
	freezer, unified := testbed.HierarchyNamed(t, "freezer"), testbed.HierarchyNamed(t, "unified")
	spoof := makeCgroup(t, freezer, "x0::")
	app := launch(t, "start=cgspoof:cgspoof pause open cgroups close cgroups end")
	app.Await("start")
	write(t, filepath.Join(spoof, "cgroup.procs"), fmt.Sprint(app.Cmd.Process.Pid))
	app.Resume()
	a := app.Finish()
	inside := testbed.ParsePlacement(a.All("cgroups")[0])
	if got, want := inside[unified.Name], "/user/cgspoof/0/init.scope"; got != want {
		t.Errorf("on v2 in %s, want %s", got, want)
	}
	if got, want := inside[freezer.Name], "/user/cgspoof/0"; got != want {
		t.Errorf("on v1 in %s, want %s", got, want)
	}
	if got, want := testbed.ParsePlacement(a.All("cgroups")[1])[freezer.Name], "/"+filepath.Base(spoof); got != want {
		t.Errorf("after the close in %s, want %s", got, want)
	}
}

// The kernel shows a "0::" line also where no cgroup2 is mounted; the v1
// hierarchies must be used all the same.
func TestNoUnifiedMount(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgnov2", 20403)
	testbed.WriteService(t, "cgnov2", waitingLine(t, threeHierarchies))
	unified := testbed.HierarchyNamed(t, "unified")
	if err := unix.Unmount(unified.Point, unix.MNT_DETACH); err != nil { // in our namespace
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Mount("cgroup2", unified.Point, "cgroup2", 0, ""); err != nil {
			t.Fatal(err)
		}
	}()
	a := run(t, "start=cgnov2:cgnov2 open cgroups close end")
	wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
}

// A login must not escape from its caller's limits for longer than it lasts:
// it comes back to the very cgroups in which it was, not to the root.
func TestLoginComesBackToItsCallersCgroup(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgback", 20404)
	testbed.WriteService(t, "cgback", waitingLine(t, "-c pids"))
	pids := testbed.HierarchyNamed(t, "pids")
	limited := makeCgroup(t, pids, "limited")
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("former cgroup gone %v", gone), func(t *testing.T) {
			former := filepath.Join(limited, "former")
			if err := os.Mkdir(former, 0o755); err != nil {
				t.Fatal(err)
			}
			app := launch(t, "start=cgback:cgback pause open cgroups pause close cgroups end")
			app.Await("start")
			write(t, filepath.Join(former, "cgroup.procs"), fmt.Sprint(app.Cmd.Process.Pid))
			app.Resume()
			app.Await("cgroups")
			want, _ := filepath.Rel(pids.Point, former)
			want = "/" + want
			if gone {
				if err := unix.Rmdir(former); err != nil {
					t.Fatal(err)
				}
				want = "/" // the base
			} else {
				defer unix.Rmdir(former)
			}
			app.Resume()
			app.Await("close")
			if got := testbed.ParsePlacement(app.Await("cgroups"))[pids.Name]; got != want {
				t.Errorf("after the close in %s, want %s", got, want)
			}
			app.Finish()
		})
	}
}

// A user with a thousand cgroups of its own in a dead session (pam_cgfs took
// 164 ms for them at every login): a login spends a bounded effort on them,
// does not fail, and a few of them take everything away.
func TestThousandLeftOvers(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgheap", 20405)
	testbed.WriteService(t, "cgheap", waitingLine(t, threeHierarchies))
	freezer := testbed.HierarchyNamed(t, "freezer")
	dead := filepath.Join(freezer.Point, "user", u.Name, "0")
	for i := range 1000 {
		if err := os.MkdirAll(filepath.Join(dead, fmt.Sprintf("c%d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	log := testbed.LogFromNow(t)
	for range 4 {
		cleanupByLogin(t, "cgheap", u.Name)
	}
	log.WantSilence()
}

// getpwnam_r of pam_cgfs did not try again with a larger buffer.
func TestHugePasswdEntry(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cghuge", 20406)
	testbed.WriteService(t, "cghuge", waitingLine(t, threeHierarchies))
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	huge := strings.Replace(string(data), "cghuge:x:20406:20406::", "cghuge:x:20406:20406:"+strings.Repeat("g", 20000)+":", 1)
	if err := os.WriteFile("/etc/passwd", []byte(huge), 0o644); err != nil {
		t.Fatal(err)
	}
	a := run(t, "start=cghuge:cghuge open cgroups close end")
	wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
}

// The directories are the user's and its group's, the files root's: children
// may be made, limits not be lifted.
func TestOwnership(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgowner", 20407)
	testbed.WriteService(t, "cgowner", waitingLine(t, threeHierarchies+",unified"))
	app := launch(t, "start=cgowner:cgowner open pause close end")
	app.Await("open")
	var want []string
	for _, name := range []string{"freezer", "memory", "name=systemd", "unified"} {
		hierarchy := testbed.HierarchyNamed(t, name)
		want = append(want, hierarchy.Name+" cgowner 0:0", fmt.Sprintf("%s cgowner/0 %d:%d", hierarchy.Name, u.UID, u.GID))
		wantOwnedFiles(t, filepath.Join(hierarchy.Point, "user", u.Name), u.UID, ownedFiles(name, "user"))
		wantOwnedFiles(t, filepath.Join(hierarchy.Point, "user", u.Name, "0"), u.UID, ownedFiles(name, "session"))
	}
	want = append(want, fmt.Sprintf("unified cgowner/0/init.scope %d:%d", u.UID, u.GID))
	slices.Sort(want)
	if got := testbed.Tree(u.Name); !slices.Equal(got, want) {
		t.Errorf("tree:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	app.Resume()
	app.Finish()
}

// ownedFiles returns which files the user is to own.
func ownedFiles(hierarchy, level string) []string {
	if hierarchy != "unified" {
		return nil
	}
	if level == "user" {
		return []string{"cgroup.procs"}
	}
	data, err := os.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		return []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
	}
	return strings.Fields(string(data))
}

func wantOwnedFiles(t *testing.T, dir string, uid int, want []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var st unix.Stat_t
		if e.IsDir() {
			continue
		}
		if err := unix.Lstat(filepath.Join(dir, e.Name()), &st); err != nil {
			t.Fatal(err)
		}
		if owned := int(st.Uid) == uid; owned != slices.Contains(want, e.Name()) {
			t.Errorf("%s/%s belongs to %d", dir, e.Name(), st.Uid)
		}
	}
}
