package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

func init() { programs["by hand"] = testByHand }

// background starts a command line in the login and returns its PID, which is
// that of the command which cgdeleg run has become.
func background(t *testing.T, login *sshd.Client, command string) int {
	t.Helper()
	out := login.Must(t, inPath+command+" </dev/null >~/said 2>&1 & echo $!")
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatalf("%s: %q", command, out)
	}
	return pid
}

// end kills what is in the cgroup of the hierarchy, and waits for the process.
func end(t *testing.T, hierarchy, cgroup string, pid int) {
	t.Helper()
	h := testbed.HierarchyNamed(t, hierarchy)
	procs, err := os.ReadFile(filepath.Join(h.Point, cgroup, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(procs)) {
		if p, err := strconv.Atoi(word); err == nil && p > 0 {
			_ = syscall.Kill(p, syscall.SIGKILL)
		}
	}
	awaitGone(t, pid)
}

// spin is a loop that takes all the CPU that it gets.
const spin = "sh -c 'while :; do :; done'"

// A container made by hand: a fifth of one CPU is what it gets, beside the same
// loop without a limit.
func testByHand(t *testing.T) []table.Row {
	testbed.Need(t, "unshare", "chroot")
	cpu, cpuset, account := testbed.HierarchyNamed(t, "cpu"), testbed.HierarchyNamed(t, "cpuset"), testbed.HierarchyNamed(t, "cpuacct")
	g, server := newGuest(t, "cgrthand", 27007, "")
	login := server.Login(t, g.user.Name)
	run := "exec " + forUsers(t, testbed.Built(t, "cgdeleg")) + " run "
	cpus := readAt(t, cpuset, "/user/cgrthand/0", "cpuset.cpus")
	last := cpus[strings.LastIndexAny(cpus, ",-")+1:]

	limited := background(t, login, run+"-p cpu.cfs_quota_us=20000 -p cpu.cfs_period_us=100000 -p cpuset.cpus="+last+
		" -- unshare --user --map-root-user --pid --fork chroot "+g.rootfs+" /bin/busybox "+spin)
	free := background(t, login, run+"-- "+spin)
	cgroup := func(pid int) string { return fmt.Sprintf("/user/cgrthand/0/run-%d", pid) }
	defer func() { // also when the test is skipped
		end(t, "cpu", cgroup(limited), limited)
		end(t, "cpu", cgroup(free), free)
		awaitIdle(t, g.user)
		login.Logout()
		wantNothingNow(t, g.user)
	}()
	used := func(pid int) time.Duration {
		ns, err := strconv.ParseInt(readAt(t, account, cgroup(pid), "cpuacct.usage"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ns)
	}
	testbed.Eventually(t, "both loops run", func() bool {
		return len(members(t, cpu, cgroup(limited))) > 1 && len(members(t, account, cgroup(free))) > 0
	})
	for _, pid := range members(t, cpu, cgroup(limited)) {
		if got := statusLine(t, pid, "Cpus_allowed_list"); got != last {
			t.Errorf("process %d may use the CPUs %s, want %s", pid, got, last)
		}
	}
	wantShare(t, func() time.Duration { return used(limited) }, func() time.Duration { return used(free) })
	if stat := readAt(t, cpu, cgroup(free), "cpu.stat"); !strings.Contains(stat, "nr_throttled 0\n") {
		t.Errorf("the loop without limit was throttled:\n%s", stat)
	}
	wantPlaced(t, limited, cgroup(limited), "cpu", "cpuset", "memory")

	state := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, cgroup(limited), "freezer.state")
	login.Must(t, "echo FROZEN >"+state)
	testbed.Eventually(t, "the freezer says FROZEN", func() bool { return readCgroup(t, limited, "freezer", "freezer.state") == "FROZEN" })
	before := used(limited)
	time.Sleep(200 * time.Millisecond) // two turns of a loop that is not frozen
	if after := used(limited); after != before {
		t.Errorf("the frozen loop goes on: %v more", after-before)
	}
	login.Must(t, "echo THAWED >"+state)
	testbed.Eventually(t, "the loop goes on", func() bool { return used(limited) > before })
	return []table.Row{{
		Client: "cgdeleg run -p … -- unshare … chroot", Cgroup: "S/run-PID", Limits: "cpu.cfs_quota_us, cpuset.cpus", Freezes: "hand",
	}}
}

// wantShare measures two loops side by side, a second at a time, until one in
// which the free loop had more than twice as much as the limited one. In none may
// the limited one have more than its fifth. Where other work leaves a fifth to
// nobody the test says so and is skipped; the machines of tests/vm have no other.
func wantShare(t *testing.T, limited, free func() time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(testbed.Patience); ; {
		start, limited0, free0 := time.Now(), limited(), free()
		time.Sleep(time.Second)
		l, f, elapsed := limited()-limited0, free()-free0, time.Since(start)
		if share := float64(l) / float64(elapsed); share > 0.3 {
			t.Fatalf("the loop with a fifth of a CPU had %.2f of one: %v in %v", share, l, elapsed)
		}
		if l > 0 && f > 2*l {
			return
		}
		if time.Now().After(deadline) {
			t.Skipf("this machine is too busy: of %v a loop without limit gets %v, one with a fifth %v", elapsed, f, l)
		}
	}
}

func readAt(t *testing.T, h testbed.Hierarchy, cgroup, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.Point, cgroup, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(data), "\n")
}

func members(t *testing.T, h testbed.Hierarchy, cgroup string) (pids []int) {
	t.Helper()
	data, _ := os.ReadFile(filepath.Join(h.Point, cgroup, "cgroup.procs"))
	for word := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func statusLine(t *testing.T, pid int, key string) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, key+":\t"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// The views of cgroup namespaces in docs/clients/by-hand.md.
func TestNamespaceViews(t *testing.T) {
	testbed.Need(t, "unshare")
	g, server := newGuest(t, "cgrtview", 27008, fourOptions)
	login := server.Login(t, g.user.Name)
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run -- "
	point := testbed.HierarchyNamed(t, "freezer").Point
	session := point + "/user/cgrtview/0"
	unshare := "unshare --user --map-root-user -Cm "
	root := "while read -r _ _ _ root at rest; do [ $at != " + point + " ] || echo $root; done </proc/self/mountinfo"
	for name, test := range map[string]struct{ script, want string }{
		"own cgroup": {
			run + unshare + "sed -n s/.*:freezer://p /proc/self/cgroup", "/",
		},
		"the shell's, from below": {
			"shell=$$; " + run + unshare + "sed -n s/.*:freezer://p /proc/$shell/cgroup; exit", "/..", // exit: so that the shell stays
		},
		"the mount point's root is stale": {
			run + unshare + "sh -c '" + root + "'", "/../../../..",
		},
		"that of a new mount is not": {
			run + unshare + "sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/freezer && mount -t cgroup -o freezer none /mnt/freezer && " +
				strings.ReplaceAll(root, point, "/mnt/freezer") + "'", "/",
		},
		"a cgroup beside it": {
			"mkdir " + session + "/test01 " + session + "/test02 && sh -c 'echo $$ >" + session + "/test01/cgroup.procs; exec " +
				unshare + "sh -c \"echo \\$\\$ >" + session + "/test02/cgroup.procs; sed -n s/.*:freezer://p /proc/self/cgroup\"'; s=$?; " +
				"rmdir " + session + "/test01 " + session + "/test02; exit $s", "/../test02",
		},
		"cgdeleg run below a stale one": {
			"out=$(" + run + unshare + run + "true 2>&1) || echo \"$out\" | grep -o 'this shell has no cgroup of its own'", "this shell has no cgroup of its own",
		},
		"cgdeleg check says why": {
			run + unshare + strings.Replace(run, "run -- ", "check -q mounts", 1) + " | grep -o 'mounted before this cgroup namespace was made'",
			"mounted before this cgroup namespace was made",
		},
		"without the namespace": {
			run + "unshare --user --map-root-user sed -n s/.*:freezer://p /proc/self/cgroup | sed s/run-.*/run-PID/", "/user/cgrtview/0/run-PID",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := login.Must(t, test.script); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	login.Logout()
	wantNothingNow(t, g.user)
}
