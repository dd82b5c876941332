package applications

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// setting is a value that a test writes to a cgroup of a hierarchy.
type setting struct{ hierarchy, file, value string }

// tree is a cgroup of the same name in several hierarchies, as a batch system or
// an init system makes it.
type tree struct {
	t     *testing.T
	below string // as /proc/PID/cgroup has it
	at    []testbed.Hierarchy
}

// makeTree makes one, with all that is above; in cpuset with what the base has.
func makeTree(t *testing.T, below string, hierarchies ...string) *tree {
	t.Helper()
	tr := &tree{t: t, below: below}
	for _, name := range hierarchies {
		h := testbed.HierarchyNamed(t, name)
		tr.at = append(tr.at, h)
		for dir := h.Point; ; {
			rest, _ := filepath.Rel(dir, h.Point+below)
			if rest == "." {
				break
			}
			first, _, _ := strings.Cut(rest, "/")
			parent := dir
			dir = filepath.Join(dir, first)
			if os.Mkdir(dir, 0o755) != nil {
				continue // another part of the test made it
			}
			t.Cleanup(func() {
				if err := unix.Rmdir(dir); err != nil {
					t.Error(err)
				}
			})
			if name == "cpuset" {
				for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
					write(t, filepath.Join(dir, file), readFile(filepath.Join(parent, file)))
				}
			}
		}
	}
	return tr
}

// set writes a value to the cgroup, or in one above by "../FILE".
func (tr *tree) set(s setting) {
	tr.t.Helper()
	file := filepath.Join(testbed.HierarchyNamed(tr.t, s.hierarchy).Point+tr.below, s.file)
	if _, err := os.Stat(file); err != nil {
		tr.t.Skipf("this kernel has no %s", file)
	}
	write(tr.t, file, s.value)
}

// adopt moves a process into the cgroup in all of its hierarchies.
func (tr *tree) adopt(pid int) {
	tr.t.Helper()
	for _, h := range tr.at {
		write(tr.t, filepath.Join(h.Point+tr.below, "cgroup.procs"), fmt.Sprint(pid))
	}
}

// everyV1 are the hierarchies in which Slurm can have a job, and OpenRC a service.
var everyV1 = []string{"memory", "devices", "cpuset", "pids", "freezer", "cpu", "cpuacct", "blkio", "name=systemd"}

// job is where Slurm has what pam_slurm_adopt adopts.
const job = "/cgtest-slurm/uid_20861/job_42/step_extern"

// A login that is in a job, or in a service with a limit, stays there in every
// hierarchy, with one line that names what limits it. Confined is the line's file
// and value; empty: the login is moved as any other.
func TestConfined(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgconfined", 20861)
	memory := []setting{{"memory", "memory.limit_in_bytes", "1073741824"}}
	slurm := []setting{
		{"memory", "../memory.limit_in_bytes", "1073741824"}, {"devices", "devices.deny", "a"}, {"devices", "devices.allow", "c 1:3 rwm"},
		{"devices", "devices.allow", "c 5:* rwm"}, {"cpuset", "cpuset.cpus", "0"}, {"pids", "pids.max", "500"}, {"freezer", "freezer.state", "THAWED"},
	}
	slurmTree := []string{"memory", "devices", "cpuset", "pids", "freezer"}
	const three = threeHierarchies
	for _, test := range []struct {
		name, options string
		at            string
		in            []string
		set           []setting
		confined      string
	}{
		{"Slurm's job", "", job, slurmTree, slurm, `(pids/.*pids.max \(500\)|devices/.*devices.list \(c 1:3 rwm c 5:\* rwm\)|cpuset/.*cpuset.cpus \(0\)|memory/.*job_42/memory.limit_in_bytes \(1073741824\))`},
		{"Slurm's job, three hierarchies asked for", three, job, slurmTree, slurm, `memory/cgtest-slurm/uid_20861/job_42/memory.limit_in_bytes \(1073741824\)`},
		{"Slurm's job, confined=leave", three + " confined=leave", job, slurmTree, slurm, `memory/.*/memory.limit_in_bytes \(1073741824\)`},
		{"Slurm's job, confined=move", three + " confined=move", job, slurmTree, slurm, ""},
		{"Slurm's job without limits", three, job, slurmTree, nil, ""},
		{"nothing but a limit in a hierarchy that was not asked for", three, job, slurmTree, []setting{{"pids", "pids.max", "500"}}, ""},

		{"memory.limit_in_bytes", "-c memory,freezer", job, everyV1, memory, `memory/.*/step_extern/memory.limit_in_bytes \(1073741824\)`},
		{"memory.memsw.limit_in_bytes", "-c memory", job, everyV1, append(memory, setting{"memory", "memory.memsw.limit_in_bytes", "2147483648"}, setting{"memory", "memory.limit_in_bytes", "2147483648"}), `memory/.*/memory.limit_in_bytes \(2147483648\)`},
		{"memory limit taken away", "-c memory,freezer", job, everyV1, append(memory, setting{"memory", "memory.limit_in_bytes", "-1"}), ""},
		{"limit of a cgroup in the middle", "-c memory,freezer", job, everyV1, []setting{{"memory", "../../memory.limit_in_bytes", "1073741824"}}, `memory/cgtest-slurm/uid_20861/memory.limit_in_bytes \(1073741824\)`},
		{"pids.max", "-c pids,freezer", job, everyV1, []setting{{"pids", "pids.max", "500"}}, `pids/.*/pids.max \(500\)`},
		{"cpuset.cpus", "-c cpuset", job, everyV1, []setting{{"cpuset", "cpuset.cpus", "0"}}, `cpuset/.*/cpuset.cpus \(0\)`},
		{"cpuset of all CPUs", "-c cpuset", job, everyV1, nil, ""},
		{"devices denied one by one, which devices.list does not show", "-c devices", job, everyV1, []setting{{"devices", "devices.deny", "b 8:0 rwm"}}, ""},
		{"devices.list", "-c devices", job, everyV1, []setting{{"devices", "devices.deny", "a"}, {"devices", "devices.allow", "c 1:3 rw"}}, `devices/.*/devices.list \(c 1:3 rw\)`},
		{"cpu.cfs_quota_us", "-c cpu", job, everyV1, []setting{{"cpu", "cpu.cfs_quota_us", "50000"}}, `cpu/.*/cpu.cfs_quota_us \(50000\)`},
		{"cpu.shares limit nothing", "-c cpu", job, everyV1, []setting{{"cpu", "cpu.shares", "2"}}, ""},
		{"blkio.throttle", "-c blkio", job, everyV1, []setting{{"blkio", "blkio.throttle.read_bps_device", blockDevice() + " 1048576"}}, `blkio/.*/blkio.throttle.read_bps_device \(` + blockDevice() + ` 1048576\)`},

		{"OpenRC's service without limits", "", "/cgtest-sshd", []string{"name=systemd", "freezer"}, nil, ""},
		{"OpenRC's service in every hierarchy, without limits", "", "/cgtest-sshd", everyV1, nil, ""},
		{"OpenRC's service with a limit", "", "/cgtest-sshd", everyV1, []setting{{"pids", "pids.max", "500"}}, `pids/cgtest-sshd/pids.max \(500\)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := makeTree(t, test.at, test.in...)
			for _, s := range test.set {
				if s.hierarchy == "blkio" && blockDevice() == "" {
					t.Skip("this machine has no disk")
				}
				tr.set(s)
			}
			testbed.WriteService(t, u.Name, waitingLine(t, test.options))
			wantLeft(t, u, tr.adopt, test.confined, "cgconfined:cgconfined")
		})
	}
}

// wantLeft runs an application that adopt puts somewhere before it opens. If it is
// confined by what the expression says it has to stay there, with one line in the
// log; for "" it has to be in a session and then to come back.
func wantLeft(t *testing.T, u testbed.User, adopt func(pid int), confined, service string) {
	t.Helper()
	log := testbed.LogFromNow(t)
	app := launch(t, "syslog start="+service+" pause cgroups open cgroups pause close cgroups end")
	app.Await("start")
	adopt(app.Cmd.Process.Pid)
	app.Resume()
	before := testbed.ParsePlacement(app.Await("cgroups"))
	app.Await("open")
	inside := testbed.ParsePlacement(app.Await("cgroups"))
	left := testbed.Tree(u.Name)
	app.Resume()
	a := app.Finish()
	a.Want(t, "open", "0")
	a.Want(t, "close", "0")
	if after := testbed.ParsePlacement(a.All("cgroups")[2]); !maps.Equal(after, before) {
		t.Errorf("after the close in %v, was in %v", after, before)
	}
	if confined == "" {
		log.WantSilence()
		if maps.Equal(inside, before) || len(left) == 0 {
			t.Errorf("was not moved: in %v; cgroups %q", inside, left)
		}
		return
	}
	if !maps.Equal(inside, before) {
		t.Errorf("was moved: in %v, was in %v", inside, before)
	}
	log.Want(`^user "` + u.Name + `": confined by /sys/fs/cgroup/` + confined + `: the login stays there, without cgroups of its own`)
	if lines := log.Ours(); len(lines) != 1 {
		t.Errorf("log %q, want one line", lines)
	}
}

// blockDevice is the number of some disk of this machine; "" if it has none.
func blockDevice() string {
	disks, _ := filepath.Glob("/sys/block/*/dev")
	for _, disk := range disks {
		if size := strings.TrimSpace(readFile(filepath.Join(filepath.Dir(disk), "size"))); size != "0" {
			return strings.TrimSpace(readFile(disk))
		}
	}
	return ""
}

// What an administrator sets for a user holds for all sessions of that user, and
// for what they become by su.
func TestConfinedByAUsersLimits(t *testing.T) {
	testbed.Need(t, "gcc")
	alice := testbed.AddUser(t, "cgalice", 20862)
	bob := testbed.AddUser(t, "cgbob", 20863)
	testbed.WriteService(t, "cgsu", waitingLine(t, "-c pids,freezer"))
	pids := testbed.HierarchyNamed(t, "pids")
	for _, test := range []struct {
		name, limited string // below user/
		to            testbed.User
		confined      string
	}{
		{"another session of the same user", "cgalice", alice, ""},
		{"another session of the same user, the first one limited", "cgalice/0", alice, ""},
		{"su from a user with limits to another", "cgalice", bob, ""},
		{"su from a session with limits", "cgalice/0", bob, ""},
		{"limits below a session", "cgalice/0/box", bob, ""},
		{"limits of whom su leads to", "cgbob", bob, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := launch(t, "start=cgsu:cgalice open pause close end")
			first.Await("open")
			limited := filepath.Join(pids.Point, "user", test.limited)
			if os.Mkdir(limited, 0o755) == nil {
				defer unix.Rmdir(limited)
			}
			write(t, filepath.Join(limited, "pids.max"), "400")
			wantLeft(t, test.to, func(pid int) {
				at := filepath.Join(pids.Point, "user/cgalice/0")
				if strings.HasPrefix(test.limited, "cgalice/0/") {
					at = limited
				}
				write(t, filepath.Join(at, "cgroup.procs"), fmt.Sprint(pid))
			}, test.confined, "cgsu:"+test.to.Name)
			_ = unix.Rmdir(limited) // EBUSY: sessions
			first.Resume()
			first.Finish()
			testbed.WantNothingLeft(t, alice.Name)
		})
	}
}

// On v2, here with the only controller that the unified hierarchy may have.
func TestConfinedUnified(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgconfined2", 20864)
	unified := testbed.HierarchyNamed(t, "unified")
	if !strings.Contains(readFile(filepath.Join(unified.Point, "cgroup.controllers")), "hugetlb") {
		t.Skip("hugetlb is not a controller of the unified hierarchy")
	}
	// the test bed disables it in the end, if it was not enabled before
	write(t, filepath.Join(unified.Point, "cgroup.subtree_control"), "+hugetlb")
	for _, test := range []struct{ name, options, value, confined string }{
		{"hugetlb.2MB.max", "-c unified,freezer", "2097152", `unified/cgtest-job/hugetlb.2MB.max \(2097152\)`},
		{"hugetlb.2MB.max, confined=move", "-c unified,freezer confined=move", "2097152", ""},
		{"hugetlb.2MB.max in a hierarchy that was not asked for", "-c freezer", "2097152", ""},
		{"no limit", "-c unified,freezer", "max", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := makeTree(t, "/cgtest-job", "unified", "freezer")
			tr.set(setting{"unified", "hugetlb.2MB.max", test.value})
			testbed.WriteService(t, u.Name, waitingLine(t, test.options))
			wantLeft(t, u, tr.adopt, test.confined, "cgconfined2:cgconfined2")
		})
	}
}
