package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// usersCgroup makes a cgroup as a user has it, or as a user can put processes in it, and
// removes it with the test.
func usersCgroup(t *testing.T, h testbed.Hierarchy, uid int, isWhole bool, path ...string) string {
	t.Helper()
	dir := h.Point
	var made []string
	for _, name := range path {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err == nil {
			made = append(made, dir)
		} else if !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i := range made {
			_ = os.Remove(made[len(made)-1-i])
		}
	})
	owned := []string{filepath.Join(dir, "cgroup.procs")}
	if isWhole {
		owned = append(owned, dir)
	}
	for _, file := range owned {
		if err := os.Chown(file, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// moveTo moves a process into a cgroup.
func moveTo(t *testing.T, dir string, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// A worker that makes a session for somebody, and has that user's lock, is in no cgroup that
// another user owns, be it one of ours or not: who owns it could freeze the worker there, and
// the other's logins would have to wait for the lock.
func TestWorkerLeavesCgroupsOfUsers(t *testing.T) {
	testbed.Need(t, "gcc")
	const owner = 20720
	testbed.AddUser(t, "cgowner", owner)
	testbed.AddUser(t, "cgwaits", 20721)
	testbed.WriteService(t, "cgwaits", waitingLine(t, "timeout=2"))
	for _, test := range []struct {
		name, hierarchy string
		isWhole         bool
		path            []string
	}{
		{"beside own sessions", "unified", false, []string{"user", "cgowner"}},
		{"a slice with moves", "unified", false, []string{"cgslice"}},
		{"a manager's, below a slice", "unified", true, []string{"cgslice", "user@20720.service"}},
		{"below one of v2", "unified", true, []string{"cgslice", "owned"}},
		{"below one of v1", "freezer", true, []string{"cgslice", "owned"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := testbed.HierarchyNamed(t, test.hierarchy)
			dir := usersCgroup(t, h, owner, test.isWhole, test.path...)
			if strings.HasPrefix(test.name, "below") {
				dir = usersCgroup(t, h, owner, true, append(test.path, "box")...)
			}
			// the first login makes the directories of the locks
			app := launch(t, fmt.Sprintf("start=cgwaits:cgwaits open close pause caller=%d seccomp=hang pause open end", owner))
			app.Await("close")
			moveTo(t, dir, app.Cmd.Process.Pid)
			app.Resume()
			app.Resume()
			worker := hangingWorker(t, app)
			if path := testbed.Placement(t, worker)[h.Name]; path != "/" {
				t.Errorf("in %s, where a user could freeze it", path)
			}
			app.Finish()
			testbed.WantNothingLeft(t, "cgwaits")
		})
	}
}

// An application that a user has moved where a close would not look for it, on v2: beside the
// sessions, or to where the kernel does not tell the path any more, because it is too long. The
// close finds it, moves it back, and removes the session; and it can log somebody in again.
func TestCloseFindsTheApplication(t *testing.T) {
	testbed.Need(t, "gcc")
	h := testbed.HierarchyNamed(t, "unified")
	u := testbed.AddUser(t, "cgmoved", 20722)
	testbed.AddUser(t, "cgnext", 20723)
	for _, wait := range []string{"close=wait", ""} {
		for _, test := range []struct {
			name string
			move func(t *testing.T, session string, pid int)
		}{
			{"to a long path", moveDeep},
			{"beside the sessions", func(t *testing.T, session string, pid int) {
				home := filepath.Dir(session)
				// as where there is no controller that could be enabled
				for _, dir := range []string{session, home} {
					for _, c := range strings.Fields(readFile(filepath.Join(dir, "cgroup.subtree_control"))) {
						if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("-"+c), 0); err != nil {
							t.Fatal(err)
						}
					}
				}
				moveTo(t, home, pid)
			}},
		} {
			t.Run(test.name+" "+wait, func(t *testing.T) {
				testbed.WriteService(t, "cgmoved", testbed.SessionLine(t, wait))
				app := launch(t, "start=cgmoved:cgmoved open pause close settle cgroups end handle=1 start=cgmoved:cgnext open cgroups close settle cgroups end")
				app.Await("open")
				test.move(t, filepath.Join(h.Point, "user", u.Name, "0"), app.Cmd.Process.Pid)
				app.Resume()
				a := app.Finish()
				a.Want(t, "open", "0", "0")
				a.Want(t, "close", "0", "0")
				at := a.All("cgroups")
				wantPlacement(t, at[0], testbed.Placement(t, os.Getpid()))
				for name, path := range testbed.ParsePlacement(at[1]) {
					if !strings.HasPrefix(path, "/user/cgnext/0") {
						t.Errorf("%s: the next session's process is in %s", name, path)
					}
				}
				wantPlacement(t, at[2], testbed.Placement(t, os.Getpid()))
				testbed.WantNothingLeft(t, u.Name)
			})
		}
	}
}

// moveDeep moves a process to a cgroup in a session whose path is longer than 4,096 bytes.
func moveDeep(t *testing.T, session string, pid int) {
	t.Helper()
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	fd, err := unix.Open(session, flags, 0)
	const levels = 18
	for range levels {
		name, next := strings.Repeat("d", 250), -1
		if err == nil {
			err = unix.Mkdirat(fd, name, 0o755)
		}
		if err == nil {
			next, err = unix.Openat(fd, name, flags, 0)
		}
		_ = unix.Close(fd)
		fd = next
	}
	procs := -1
	if err == nil {
		procs, err = unix.Openat(fd, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		_, err = unix.Write(procs, []byte(strconv.Itoa(pid)))
	}
	_, _ = unix.Close(fd), unix.Close(procs)
	if err != nil {
		t.Fatal(err)
	}
	// newer kernels tell a part of it, others nothing
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err == nil && strings.Count(string(data), "d/d")+1 == levels {
		t.Fatal("the kernel tells paths of that length")
	}
}
