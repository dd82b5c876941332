package hostile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What a login gets.
const (
	session = "a session"
	rest    = "a session without the freezer"
	none    = "no session, and a line in the log"
	silent  = "no session" // where nobody can write to the log
	// In a cgroup namespace the mounts of before show nothing of a hierarchy in which this
	// machine's tests are in a cgroup themselves.
	visible = "a session where the namespace shows a cgroup"
)

// machines are what is done to a mount namespace before the login, in sh, and what the
// login has then with three hierarchies, and with all. $freezer is where that hierarchy is
// mounted, $all are the points of all, $part is a cgroup in the freezer.
var machines = []struct {
	name, prepare string
	under         []string // further namespaces
	three, all    string
}{
	{"as it is", ":", nil, session, session},
	{"a tmpfs over all hierarchies", "mount -t tmpfs tmpfs /sys/fs/cgroup", nil, none, none},
	{"a tmpfs over one", "mount -t tmpfs tmpfs $freezer", nil, rest, rest},
	{"a tmpfs over one, with files as in a cgroup", "mount -t tmpfs tmpfs $freezer && mkdir $freezer/user && touch $freezer/cgroup.procs $freezer/tasks", nil, rest, rest},
	{"one is unmounted", "umount $freezer", nil, rest, rest},
	{"all are unmounted", "umount $all", nil, none, none},
	{"one is read-only", "mount -o remount,bind,ro $freezer", nil, rest, rest},
	{"all are read-only", "for point in $all; do mount -o remount,bind,ro $point; done", nil, none, none},
	{"one is mounted twice", "mkdir -p /run/second && mount --bind $freezer /run/second", nil, session, session},
	{"one is mounted twice, the first time read-only", "mkdir -p /run/second && mount --bind $freezer /run/second && mount -o remount,bind,ro $freezer", nil, session, session},
	{"one is mounted twice, the first time covered", "mkdir -p /run/second && mount --bind $freezer /run/second && mount -t tmpfs tmpfs $freezer", nil, session, session},
	{"one is mounted elsewhere", "mkdir -p /run/second && mount --bind $freezer /run/second && umount $freezer", nil, session, session},
	{"one is mounted over itself 20 times", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mount --bind $freezer $freezer; done", nil, session, session},
	{"a part of one is in its place", "mount --bind $part $freezer", nil, rest, rest},
	{"another hierarchy is in the place of one", "mount --bind $memory $freezer", nil, rest, rest},
	{"/dev/null over the files of one's root", "mount --bind /dev/null $freezer/cgroup.procs && mount --bind /dev/null $freezer/tasks", nil, session, session},
	{"/proc is a tmpfs", "mount -t tmpfs tmpfs /proc", nil, none, none},
	{"/proc/1 is a tmpfs", "mount -t tmpfs tmpfs /proc/1", nil, none, none},
	{"/proc is read-only", "mount -o remount,bind,ro /proc", nil, session, session},
	{"/proc is unmounted", "umount -l /proc", nil, none, none},
	{"/sys is unmounted", "umount -R -l /sys", nil, none, none},
	{"/run is read-only", "mount -o remount,bind,ro /run", nil, session, session},
	{"/run is empty", "mkdir -m 700 -p /run/cgdeleg && mount -t tmpfs -o mode=755 tmpfs /run/cgdeleg", nil, session, session},
	{"/dev/null is a file", "touch /run/null && mount --bind /run/null /dev/null", nil, session, session},
	{"/dev has no devices", "mount -o remount,bind,nodev /dev", nil, none, none},
	{"/dev is empty", "umount -l /dev/pts /dev/shm; mount -t tmpfs tmpfs /dev", nil, silent, silent},
	{"a cgroup namespace", ":", []string{"unshare", "--cgroup"}, visible, visible},
	{"a cgroup namespace in another", ":", []string{"unshare", "--cgroup", "unshare", "--cgroup"}, visible, visible},
	{"a PID namespace", ":", pidNamespace, session, session},
	{"a PID namespace in another", ":", slices.Concat(pidNamespace, pidNamespace), session, session},
	{"a PID and a cgroup namespace in another of each", ":", slices.Concat(pidNamespace, []string{"unshare", "--cgroup"}, pidNamespace, []string{"unshare", "--cgroup"}), visible, visible},
	{"a PID namespace with the /proc of another", ":", []string{"unshare", "--pid", "--fork", "sh", "-c", `"$@"; exit $?`, "sh"}, visible, visible},
}

// pidNamespace has an init that is not the application.
var pidNamespace = []string{"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", `"$@"; exit $?`, "sh"}

// Whatever the mounts and namespaces are: the login goes on and is in time, the application
// is in its session or where it was in each hierarchy, the log says why it is not in one,
// and nothing is left.
func TestMachines(t *testing.T) {
	testbed.Need(t, "gcc", "unshare")
	freezer, memory := testbed.HierarchyNamed(t, "freezer"), testbed.HierarchyNamed(t, "memory")
	part := filepath.Join(freezer.Point, "cghostile")
	if err := os.Mkdir(part, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(part); err != nil {
			t.Error(err) // something is left in it
		}
	})
	var points []string
	for _, h := range testbed.Hierarchies() {
		points = append(points, h.Point)
	}
	outside := testbed.Placement(t, os.Getpid())
	names := fmt.Sprintf("freezer=%s; memory=%s; part=%s; all='%s'; ", freezer.Point, memory.Point, part, strings.Join(points, " "))
	for i, m := range machines {
		for list, want := range map[string]string{"three": m.three, "all": m.all} {
			t.Run(m.name+", "+list, func(t *testing.T) {
				name := fmt.Sprintf("cghostile%d%c", i, list[0])
				u := testbed.AddUser(t, name, 22400+2*i+len(list)%2)
				testbed.WriteService(t, name, testbed.SessionLine(t, map[string]string{"three": threeHierarchies, "all": ""}[list]+" close=wait"))
				under := append(slices.Clone(m.under), "unshare", "--mount", "sh", "-c", names+m.prepare+` && exec "$@"`, "sh")
				log := testbed.LogFromNow(t)
				app := testbed.LaunchUnder(t, under, "syslog", "start="+name+":"+name, "clock", "open", "clock", "pause", "close", "end")
				if got := app.Await("start"); got != "0" {
					t.Skipf("without these PAM does not begin: %s", got)
				}
				begun, _ := strconv.Atoi(app.Await("clock"))
				open := app.Await("open")
				ended, _ := strconv.Atoi(app.Await("clock"))
				inside := placements(t, app.Cmd.Process.Pid)
				app.Resume()
				a := app.Finish()
				if took := time.Duration(ended - begun); took > 2*5*time.Second { // timeout='s default
					t.Errorf("the open took %v", took)
				}
				if open != "0" {
					t.Errorf("open answered %s", open)
				}
				a.Want(t, "close", "0")
				testbed.LogFromNow(t)
				said := ours(log, name)
				asked := []string{freezer.Name, memory.Name, testbed.HierarchyNamed(t, "name=systemd").Name}
				if list == "all" {
					asked = slices.Collect(maps.Keys(inside))
				}
				if want == visible {
					asked = slices.DeleteFunc(asked, func(name string) bool { return outside[name] != "/" })
				}
				got := entered(inside, name, asked, len(said) > 0)
				if want == visible && got == session {
					got = visible
				}
				t.Logf("%s; log %q", got, said)
				if want != "" && got != want {
					t.Errorf("%s, want %s; in %v", got, want, inside)
				}
				leaveNothing(t, u, m.name)
			})
		}
	}
}

// placements are those of the application, which is the last of the process's descendants.
func placements(t *testing.T, pid int) map[string]string {
	t.Helper()
	for {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		child, err := strconv.Atoi(strings.TrimSpace(string(children)))
		if err != nil {
			return testbed.Placement(t, pid)
		}
		pid = child
	}
}

// entered says what the application has of what was asked for.
func entered(at map[string]string, user string, asked []string, isLogged bool) string {
	var without []string
	for _, name := range asked {
		if !strings.Contains(at[name], "/user/"+user+"/") {
			without = append(without, name)
		}
	}
	switch {
	case len(without) == 0:
		return session
	case len(without) == 1 && without[0] == "freezer":
		return rest
	case len(without) == len(asked) && isLogged:
		return none
	case len(without) == len(asked):
		return silent
	}
	return fmt.Sprintf("something between: not in %v", without)
}
