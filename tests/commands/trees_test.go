package commands

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// makeDead makes user/NAME/0 of a hierarchy, which nobody is in.
func makeDead(t *testing.T, u testbed.User, hierarchy string) (dir string) {
	t.Helper()
	dir = filepath.Join(testbed.HierarchyNamed(t, hierarchy).Point, "user", u.Name, "0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// makeDeep makes cgroups in each other.
func makeDeep(t *testing.T, dir string, levels int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range levels {
		if err != nil {
			break
		}
		if err = unix.Mkdirat(fd, "d", 0o755); err != nil {
			break
		}
		next, openErr := unix.Openat(fd, "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		fd, err = next, openErr
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// makeWide makes cgroups beside each other.
func makeWide(t *testing.T, dir string, count int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range count {
		if err := unix.Mkdirat(fd, fmt.Sprintf("c%d", i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// A session of any size is gone after one cleanup, in each of its hierarchies.
func TestCleanupOfLargeTrees(t *testing.T) {
	testbed.Need(t)
	for _, test := range []struct {
		name string
		make func(t *testing.T, u testbed.User)
	}{
		{"10,000 deep", func(t *testing.T, u testbed.User) {
			makeDeep(t, makeDead(t, u, "freezer"), 10_000)
			makeDead(t, u, "memory")
		}},
		{"50,000 wide, 10,000 deep in another hierarchy", func(t *testing.T, u testbed.User) {
			makeWide(t, makeDead(t, u, "freezer"), 50_000)
			makeDeep(t, makeDead(t, u, "name=systemd"), 10_000)
			makeDead(t, u, "pids")
		}},
		{"3,000 wide, each with 3 in it, 2,000 deep at the end", func(t *testing.T, u testbed.User) {
			dir := makeDead(t, u, "freezer")
			makeWide(t, dir, 3000)
			for i := range 3000 {
				makeWide(t, fmt.Sprintf("%s/c%d", dir, i), 3)
			}
			makeDeep(t, dir+"/c2999/c2", 2000)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgcmdtrees", 24030)
			test.make(t, u)
			began := time.Now()
			r := cgdeleg(t, nil, "cleanup", "-u", u.Name)
			t.Logf("removed in %v", time.Since(began).Round(time.Millisecond))
			r.want(t, 0, "")
			if left := testbed.Sessions(testbed.HierarchyNamed(t, "freezer"), u.Name); len(left) > 0 {
				t.Errorf("sessions %q are left:\n%s", left, r.out)
			}
			wantUserGone(t, u.Name)
		})
	}
}

// wantUserGone fails the test if there is a user/NAME in any hierarchy.
func wantUserGone(t *testing.T, name string) {
	t.Helper()
	for _, h := range testbed.Hierarchies() {
		if dir := filepath.Join(h.Point, "user", name); exists(dir) {
			t.Errorf("%s is left", dir)
		}
	}
}

// A login removes a bounded part of what is too large for it. That keeps neither the
// other hierarchies of the session nor other sessions, and the next ones remove the
// rest.
func TestLoginsRemoveALargeTree(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdcut", 24031)
	makeWide(t, makeDead(t, u, "freezer"), 10_000)
	makeDead(t, u, "memory")
	makeDeep(t, makeDead(t, u, "name=systemd"), 300)
	pid, _ := process(t, 0)
	freezer := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "user", u.Name, "0")
	for round, left := 0, 10_000; left > 0; round++ {
		cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", "pids").want(t, 0, "")
		cgdeleg(t, nil, "close", "-u", u.Name, "-p", fmt.Sprint(pid)).want(t, 0, "closed and removed")
		for _, name := range []string{"memory", "name=systemd"} {
			if dead := testbed.Sessions(testbed.HierarchyNamed(t, name), u.Name); len(dead) > 0 {
				t.Errorf("%s keeps sessions %q", name, dead)
			}
		}
		now := 0
		if entries, err := filepath.Glob(freezer + "/c*/tasks"); err == nil {
			now = len(entries)
		}
		t.Logf("after login %d: %d cgroups", round+1, now)
		if now >= left {
			t.Fatalf("a login left %d cgroups of %d", now, left)
		}
		left = now
	}
	if exists(freezer) {
		cgdeleg(t, nil, "cleanup", "-u", u.Name).want(t, 0, "")
	}
	wantUserGone(t, u.Name)
}

// A deep tree needs no more descriptors than a flat one.
func TestCleanupNeedsFewDescriptors(t *testing.T) {
	testbed.Need(t, "prlimit")
	u := testbed.AddUser(t, "cgcmdfds", 24032)
	cleanup := func(descriptors int) (ok bool) {
		out, err := exec.Command("prlimit", fmt.Sprintf("--nofile=%d", descriptors), testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).CombinedOutput()
		first, _, _ := bytes.Cut(out, []byte("\ngoroutine "))
		t.Logf("%d descriptors: %v %s", descriptors, err, first)
		return err == nil && len(testbed.Tree(u.Name)) == 0
	}
	makeFlat := func() string {
		testbed.RemoveAll(u.Name)
		dir := makeDead(t, u, "freezer")
		makeWide(t, dir, 3000)
		return dir
	}
	least := 12
	for makeFlat(); !cleanup(least); makeFlat() {
		if least++; least > 100 {
			t.Fatal("no cleanup with 100 descriptors")
		}
	}
	makeDeep(t, makeFlat()+"/c50", 3000)
	const runtime = 4 // epoll_create and the like, which Go's may need only now
	if !cleanup(least + runtime) {
		t.Errorf("3,000 levels need more than the %d descriptors that are enough for one", least)
	}
	testbed.RemoveAll(u.Name)
}

// Directories of users who have no session, as a killed worker or an administrator
// leaves them.
func TestCleanupOfUsersWithoutSessions(t *testing.T) {
	testbed.Need(t)
	for _, test := range []struct {
		name string
		in   []string
	}{
		{"in one hierarchy", []string{"blkio"}},
		{"in several, of v1 and v2", []string{"blkio", "freezer", "unified"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range test.in {
				dir := filepath.Join(testbed.HierarchyNamed(t, name).Point, "user", "cgcmdghost")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = unix.Rmdir(dir) })
			}
			cgdeleg(t, nil, "cleanup", "--dry-run", "-u", "cgcmdghost").want(t, 0, "")
			if !exists(filepath.Join(testbed.HierarchyNamed(t, "blkio").Point, "user", "cgcmdghost")) {
				t.Error("--dry-run removed it")
			}
			cgdeleg(t, nil, "cleanup", "-u", "cgcmdghost").want(t, 0, "")
			wantUserGone(t, "cgcmdghost")
		})
	}
	t.Run("every user", func(t *testing.T) {
		testbed.Need(t, "unshare")
		// in a hierarchy in which no other test leaves dead sessions, and alone there
		dir := filepath.Join(testbed.HierarchyNamed(t, "blkio").Point, "user", "cgcmdghost")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		script := ""
		for _, h := range testbed.Hierarchies() {
			if h.Name != "blkio" {
				script += "umount -l " + h.Point + "; "
			}
		}
		run(t, exec.Command("unshare", "--mount", "sh", "-ec", script+testbed.Built(t, "cgdeleg")+" cleanup")).want(t, 0, "")
		wantUserGone(t, "cgcmdghost")
	})
}
