package commands

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// runner runs shell scripts as a user, in a session of its own each time.
type runner struct {
	testbed.User
	controllers string
}

func newRunner(t *testing.T, name string, uid int) runner {
	t.Helper()
	testbed.Need(t, "setpriv", "timeout")
	for _, controller := range []string{"memory", "cpu", "cpuacct", "pids"} {
		if h := testbed.HierarchyNamed(t, controller); h.Name == "unified" {
			t.Skip("needs the controllers on cgroup v1")
		}
	}
	forUsers(t)
	u := runner{testbed.AddUser(t, name, uid), "all"}
	t.Cleanup(func() { cgdeleg(t, nil, "cleanup", "-u", name).want(t, 0, "") })
	return u
}

// says runs a script in which cgdeleg is the built one, and returns what it wrote to both.
func (u runner) says(t *testing.T, script string) ran {
	t.Helper()
	const enter = `cgdeleg=$1 name=$2 controllers=$3 uid=$4 script=$5
test -z "$controllers" || $cgdeleg open -u $name -c $controllers >/dev/null
exec setpriv --reuid $uid --regid $uid --clear-groups env PATH=/home:$PATH sh -c "$script"`
	return run(t, exec.Command("timeout", "60", "sh", "-ec", enter, "sh", "/home/cgdeleg", u.Name, u.controllers, strconv.Itoa(u.UID), script))
}

func (u runner) dir(t *testing.T, controller string) string {
	return filepath.Join(testbed.HierarchyNamed(t, controller).Point, "user", u.Name, "0")
}

// The words for limits come to v1's files.
func TestRunLimits(t *testing.T) {
	u := newRunner(t, "cgrunlimits", 24101)
	r := u.says(t, `cgdeleg run --memory 64M --cpus 1.5 --tasks 100 -- sh -c '
		at() { sed -n "s/^[0-9]*:\([a-z,]*,\)*$1\(,[a-z,]*\)*:\(.*\)/\3/p" /proc/self/cgroup; }
		cd `+testbed.HierarchyNamed(t, "memory").Point+`$(at memory) && cat memory.limit_in_bytes
		cd `+testbed.HierarchyNamed(t, "cpu").Point+`$(at cpu) && cat cpu.cfs_quota_us cpu.cfs_period_us
		cd `+testbed.HierarchyNamed(t, "pids").Point+`$(at pids) && cat pids.max
		echo $PPID'; echo $$`)
	r.want(t, 0, "")
	lines := strings.Fields(r.out)
	if want := "67108864 150000 100000 100"; len(lines) != 6 || strings.Join(lines[:4], " ") != want {
		t.Errorf("got %q, want %s", lines, want)
	}
	t.Log(r)
}

var _ = regexp.MustCompile

func TestRunReportX(t *testing.T) {
	u := newRunner(t, "cgrunreport", 24102)
	for _, s := range []string{
		`cgdeleg run --report --memory 64M --swap 0 -- sh -c 'exec tail /dev/zero'; echo code $?`,
		`cgdeleg run --report --memory 64M -- sh -c 'tail /dev/zero; exit $?'; echo code $?`,
		`cgdeleg run --report --memory 64M -- sh -c 'tail /dev/zero; exit 3'; echo code $?`,
		`cgdeleg run --report -- true; echo code $?; find /sys/fs/cgroup/*/user -name 'run-*'`,
		`cgdeleg run --report --tasks 3 -- sh -c 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait'; echo code $?`,
		`cgdeleg run --report --cpus 0.2 -- timeout 2 sh -c 'while :; do :; done'; echo code $?`,
		`cgdeleg run --report -- sh -c 'kill -9 $$'; echo code $?`,
		`cgdeleg run --report -- sh -c 'kill -SEGV $$'; echo code $?`,
		`cgdeleg run --report -- sh -c 'sleep 3 & '; echo code $?; find /sys/fs/cgroup/*/user -name 'run-*'`,
		`cgdeleg run --report -- cgdeleg run -- true; echo code $?; find /sys/fs/cgroup/*/user -name 'run-*'`,
		`cgdeleg run -- cgdeleg path; cgdeleg path --leaf; cgdeleg path --json; cgdeleg path --controller memory; cgdeleg path --controller name=systemd; cgdeleg path --controller x`,
		`cgdeleg run --memory 1 -- true; echo $?; cgdeleg run --io /nosuch,rbps=10M -- true; cgdeleg run --memory 20% --swap 1G -- true; cgdeleg run --tasks 1 -- true; echo $?`,
	} {
		r := u.says(t, s)
		t.Log(s + "\n" + r.out + r.errOut)
	}
}
