package applications

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What anybody with fusermount can do to /proc/self/mountinfo keeps no session from
// being made, nor cgdeleg from working.
func TestOddMountinfo(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgmounts", 20871)
	testbed.WriteService(t, u.Name, waitingLine(t, threeHierarchies))
	backslashes := strings.Repeat(`\`, 250)
	for _, test := range []struct {
		name  string
		count int
		path  func(i int) string
		least int64 // bytes of mountinfo
	}{
		{"5,000 mounts", 5000, func(i int) string { return fmt.Sprint(i) }, 5000 * 40},
		{"290 mounts on 3,750 backslashes", 290, func(i int) string {
			return strings.Repeat(backslashes+"/", 14) + fmt.Sprintf("%03d%s", i, backslashes[3:])
		}, 4_300_000},
		{"names that look like fields", 3, func(i int) string {
			return []string{"a - cgroup x rw,freezer", "b\n1 2 0:3 / /sys/fs/cgroup/freezer rw - cgroup2 x rw", `\13`}[i]
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			coverWithMounts(t, test.count, test.path)
			if size := len(readFile("/proc/self/mountinfo")); int64(size) < test.least {
				t.Fatalf("mountinfo has %d bytes, want %d", size, test.least)
			}
			log := testbed.LogFromNow(t)
			app := launch(t, "syslog state start=cgmounts:cgmounts open cgroups pause close cgroups end state")
			inside := app.Await("cgroups")
			wantPlacement(t, inside, placed(t, u.Name, 0))
			status := cgdeleg(t, "status", "-n", "-o", "user,session,state", "-u", u.Name)
			if got, want := strings.Join(strings.Fields(status), " "), "cgmounts 0 alive"; got != want {
				t.Errorf("status says %q, want %q", got, want)
			}
			app.Resume()
			a := app.Finish()
			a.Want(t, "open", "0")
			a.WantSameState(t)
			wantPlacement(t, a.All("cgroups")[1], testbed.Placement(t, os.Getpid()))
			log.WantSilence()

			dead := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "user", u.Name, "0", "below")
			if err := os.MkdirAll(dead, 0o755); err != nil {
				t.Fatal(err)
			}
			cgdeleg(t, "cleanup", "-u", u.Name)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// coverWithMounts makes mounts for the length of the test, in the tests' own
// namespace.
func coverWithMounts(t *testing.T, count int, path func(i int) string) {
	t.Helper()
	const dir = "/run/m"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // with all that is below
			t.Error(err)
		}
		_ = os.Remove(dir)
	})
	for i := range count {
		point := dir + "/" + path(i)
		if err := os.MkdirAll(point, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", point, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// cgdeleg runs the command, which has to succeed.
func cgdeleg(t *testing.T, args ...string) (out string) {
	t.Helper()
	data, err := exec.Command(testbed.Built(t, "cgdeleg"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("cgdeleg %q: %v: %s", args, err, data)
	}
	return string(data)
}
