package sessions

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// readOnly mounts hierarchies read-only, as Docker does; only this test's mount
// namespace sees it.
func readOnly(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		point := testbed.HierarchyNamed(t, name).Point
		var st unix.Statfs_t
		if err := unix.Statfs(point, &st); err != nil {
			t.Fatal(err)
		}
		flags := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME)
		if err := unix.Mount("", point, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Mount("", point, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// makeUsers makes user/ as somebody else has left it, with no CPUs in it.
func makeUsers(t *testing.T, name string) {
	t.Helper()
	users := filepath.Join(testbed.HierarchyNamed(t, name).Point, "user")
	if os.Mkdir(users, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(users) }) // unless another test is in it
	}
}

// Where root may make no cgroups, as in a container that was started without,
// the session is made in the other hierarchies: a note if everything was asked
// for, a warning if that one was.
func TestDeniedHierarchies(t *testing.T) {
	u := testbed.AddUser(t, "cgsesdenied", 22090)
	for _, test := range []struct {
		name            string
		list            hierarchy.ControllerList
		denied          []string
		notes, warnings int
	}{
		{"everything", hierarchy.Everything, []string{"freezer", "pids"}, 2, 0},
		{"everything, cpuset among what is denied", hierarchy.Everything, []string{"cpuset"}, 1, 0},
		{"by name", three, []string{"freezer"}, 0, 1},
		{"by name, the first and the last", three, []string{"freezer", "name=systemd"}, 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range test.denied {
				makeUsers(t, name)
			}
			readOnly(t, test.denied...)
			r := request(u, process(t))
			r.Controllers = test.list
			opened := open(t, r)
			if got := count(opened.Notes); got != test.notes {
				t.Errorf("%d notes, want %d: %v", got, test.notes, opened.Notes)
			}
			if got := count(opened.Warnings); got != test.warnings {
				t.Errorf("%d warnings, want %d: %v", got, test.warnings, opened.Warnings)
			}
			at := testbed.Placement(t, r.PID)
			if got := at[testbed.HierarchyNamed(t, "memory").Name]; got != "/user/cgsesdenied/0" {
				t.Errorf("memory: in %s", got)
			}
			for _, name := range test.denied {
				if got := at[testbed.HierarchyNamed(t, name).Name]; got == "/user/cgsesdenied/0" {
					t.Errorf("%s: in %s, though it is read-only", name, got)
				}
			}
			closeSession(t, r, opened)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
	t.Run("nothing is left of it", func(t *testing.T) {
		readOnly(t, "freezer", "memory", "name=systemd")
		var denied *plan.DeniedError
		if opened, err := delegate.Open(request(u, process(t))); !errors.As(err, &denied) || !errors.Is(err, unix.EROFS) {
			t.Errorf("got %+v, %v; want a *DeniedError with EROFS", opened, err)
		}
		testbed.WantNothingLeft(t, u.Name)
	})
}

func count(all []error) (n int) {
	for _, err := range all {
		var denied *plan.DeniedError
		if errors.As(err, &denied) {
			n++
		}
	}
	return n
}
