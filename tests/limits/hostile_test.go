package limits

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

// asUser runs a script as the user.
func asUser(t *testing.T, u testbed.User, script string) {
	t.Helper()
	cmd := exec.Command("setpriv", fmt.Sprintf("--reuid=%d", u.UID), fmt.Sprintf("--regid=%d", u.GID), "--clear-groups", "sh", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// required logs in by a line with limits=required, and wants that it succeeds.
func required(t *testing.T, u testbed.User, options string) login {
	t.Helper()
	testbed.WriteService(t, u.Name, strings.Replace(testbed.SessionLine(t, options+" limits=required"), "optional", "required", 1))
	app := testbed.LaunchApplication(t, fmt.Sprintf("syslog start=%s:%s open pause close settle end", u.Name, u.Name))
	if result := app.Await("open"); result != "0" {
		t.Errorf("open: %s", result)
	}
	return login{app, t, u}
}

// want compares what files of the user's cgroups have.
func (l login) want(values map[string]string) {
	l.t.Helper()
	for file, value := range values {
		controller, below, _ := strings.Cut(file, "/")
		if got := read(l.t, l.dir(controller, below)); got != value {
			l.t.Errorf("%s is %s, want %s", file, got, value)
		}
	}
}

// Nothing that a session has, or that the user made in it, keeps a tighter limit from the
// next login. v1 wants cgroups below to have no more than those above.
func TestLowered(t *testing.T) {
	testbed.Need(t, "gcc", "setpriv")
	u := testbed.AddUser(t, "cglimlowered", 25020)
	if read(t, "/sys/devices/system/cpu/online") == "0" {
		t.Skip("this machine has one CPU")
	}
	for _, test := range []struct {
		name          string
		before, after []string // lines
		script        string   // %[1]s is the session in cpu, %[2]s in cpuset
		want          map[string]string
	}{
		{
			"a child with a larger quota", nil, []string{"%s user cpu.max=20%%"}, "mkdir %[1]s/x && echo 200000 >%[1]s/x/cpu.cfs_quota_us",
			map[string]string{"cpu/cpu.cfs_quota_us": "20000"},
		},
		{
			"a child with a smaller quota", nil, []string{"%s user cpu.max=50%%"}, "mkdir %[1]s/x && echo 10000 >%[1]s/x/cpu.cfs_quota_us",
			map[string]string{"cpu/cpu.cfs_quota_us": "50000", "cpu/0/x/cpu.cfs_quota_us": "10000"},
		},
		{
			"children with other CPUs", nil, []string{"%s user cpuset.cpus=0"},
			"mkdir %[2]s/x %[2]s/x/y && echo 0-1 >%[2]s/x/cpuset.cpus && echo 1 >%[2]s/x/y/cpuset.cpus",
			map[string]string{"cpuset/cpuset.cpus": "0", "cpuset/0/cpuset.cpus": "0", "cpuset/0/x/y/cpuset.cpus": "0", "cpuset/1/cpuset.cpus": "0"},
		},
		{
			"another session's quota", []string{"%s user cpu.max=200%%", "%s session cpu.max=200%%"}, []string{"%s user cpu.max=100%%", "%s session cpu.max=100%%"}, "",
			map[string]string{"cpu/cpu.cfs_quota_us": "100000", "cpu/1/cpu.cfs_quota_us": "100000"},
		},
		{
			"another period", []string{"%s session cpu.max=100%%", "%s user cpu.max=100%%"}, []string{`%s user cpu.max="20000 20000"`}, "",
			map[string]string{"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "20000"},
		},
		{
			"a limit that is given no more", []string{"%s user cpu.max=50%%"}, []string{"%s user cpuset.cpus=0"}, "",
			map[string]string{"cpu/cpu.cfs_quota_us": "-1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := func(list []string) (all []string) {
				for _, line := range list {
					all = append(all, fmt.Sprintf(line, u.Name))
				}
				return all
			}
			if test.before != nil {
				testbed.WriteLimits(t, lines(test.before)...)
			}
			first := open(t, u, "-c cpu,cpuset")
			if test.script != "" {
				asUser(t, u, fmt.Sprintf(test.script+" # %[1]s %[2]s", first.dir("cpu", "0"), first.dir("cpuset", "0")))
			}
			testbed.WriteLimits(t, lines(test.after)...)
			second := required(t, u, "-c cpu,cpuset")
			second.want(test.want)
			second.close()
			first.close()
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// Memory that is in use leaves a limit with some room, also if it is the kernel's to take
// back; and nobody is refused for it. v1's limit of memory and swap space does not stay
// behind.
func TestMemoryInUse(t *testing.T) {
	testbed.Need(t, "gcc", "perl", "setpriv")
	u := testbed.AddUser(t, "cgliminuse", 25021)
	testbed.WriteLimits(t, u.Name+" user memory.max=300M memory.swap.max=0")
	first := open(t, u, "-c memory")
	holder := first.processIn("0", []string{"memory"}, hog(150)...)
	testbed.Eventually(t, "150 MiB are in use", func() bool { return number(t, first.dir("memory", "memory.usage_in_bytes")) > 150<<20 })
	testbed.WriteLimits(t, u.Name+" user memory.max=100M")
	second := required(t, u, "-c memory")
	if n := number(t, second.dir("memory", "memory.limit_in_bytes")); n < 150<<20 || n > 180<<20 {
		t.Errorf("%d holds, want a little more than 150 MiB", n)
	}
	second.close()
	_ = holder.Process.Kill()
	_ = holder.Wait()
	second = required(t, u, "-c memory")
	second.want(map[string]string{"memory/memory.limit_in_bytes": fmt.Sprint(100 << 20), "memory/memory.memsw.limit_in_bytes": unlimited})
	second.close()
	testbed.WriteLimits(t, u.Name+" user memory.max=400M")
	second = required(t, u, "-c memory")
	second.want(map[string]string{"memory/memory.limit_in_bytes": fmt.Sprint(400 << 20)})
	second.close()
	first.close()
}

func number(t *testing.T, file string) (n int) {
	t.Helper()
	_, _ = fmt.Sscan(read(t, file), &n)
	return n
}

// A process that a hierarchy of limits does not take has what it asked for, and a warning.
func TestRealtime(t *testing.T) {
	testbed.Need(t, "gcc", "chrt")
	u := testbed.AddUser(t, "cglimrealtime", 25022)
	if _, err := os.Stat(testbed.HierarchyNamed(t, "cpu").Point + "/cpu.rt_runtime_us"); err != nil {
		t.Skip("this kernel takes realtime processes in any cgroup (no CONFIG_RT_GROUP_SCHED)")
	}
	testbed.WriteLimits(t, u.Name+" user cpu.weight=50 memory.max=1G")
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer"))
	log := testbed.LogFromNow(t)
	app := testbed.LaunchUnder(t, []string{"chrt", "-f", "1"}, "syslog", "start="+u.Name+":"+u.Name, "open", "pause", "close", "settle", "end")
	app.Await("open")
	at := testbed.Placement(t, app.Cmd.Process.Pid)
	for _, controller := range []string{"freezer", "memory"} {
		if name := testbed.HierarchyNamed(t, controller).Name; at[name] != "/user/"+u.Name+"/0" {
			t.Errorf("%s: in %s", name, at[name])
		}
	}
	app.Resume()
	app.Finish()
	log.Want("limit of the user not set: cpu.weight: .*invalid argument")
	testbed.WantNothingLeft(t, u.Name)
}

// What asks for the user's groups is in no cgroup of the user's, who could freeze it.
func TestAsksOutside(t *testing.T) {
	testbed.Need(t, "gcc", "id")
	u := testbed.AddUser(t, "cglimfreeze", 25023)
	testbed.AddGroup(t, "cglimfrozen", 25923, u.Name)
	testbed.WriteLimits(t, "@cglimfrozen user pids.max=50", u.Name+" user pids.max=4096")
	first := open(t, u, "-c freezer,pids")
	box := first.dir("freezer", "0", "box")
	if err := os.Mkdir(box, 0o755); err != nil {
		t.Fatal(err)
	}
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer,pids"))
	for range 5 {
		app := testbed.LaunchApplication(t, fmt.Sprintf("syslog start=%s:%s pause open pause close settle end", u.Name, u.Name))
		app.Await("start")
		if err := os.WriteFile(filepath.Join(box, "cgroup.procs"), fmt.Append(nil, app.Cmd.Process.Pid), 0o644); err != nil {
			t.Fatal(err)
		}
		app.Resume()
		asked := make(chan string)
		go func() { asked <- app.Await("open") }()
		for isOpen := false; !isOpen; {
			select {
			case <-asked:
				isOpen = true
			default:
			}
			for pid := range strings.FieldsSeq(read(t, filepath.Join(box, "cgroup.procs"))) {
				if name, _ := os.ReadFile("/proc/" + pid + "/comm"); string(name) == "id\n" {
					t.Error("id(1) can be frozen")
				}
			}
		}
		app.Resume()
		app.Finish()
	}
	first.want(map[string]string{"pids/pids.max": "50"})
	first.close()
	if err := unix.Rmdir(box); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	testbed.WantNothingLeft(t, u.Name)
}
