package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// onV2 is a machine with cgroup v2 alone, mounted on /u.
func onV2(t *testing.T, base string, some ...files) machine.Machine {
	t.Helper()
	const all = "cpuset cpu io memory hugetlb pids rdma misc dmem\n"
	return recorded(t, append([]files{{
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::" + base + "\n",
		"u/cgroup.controllers": all, "u" + strings.TrimSuffix(base, "/") + "/cgroup.controllers": all,
	}}, some...)...)
}

// onV1 is a machine with these v1 hierarchies alone, each mounted below /v.
func onV1(t *testing.T, controllers []string, some ...files) machine.Machine {
	t.Helper()
	mounts, init := "", ""
	for i, c := range controllers {
		mounts += fmt.Sprintf("%d 1 0:%d / /v/%s rw - cgroup c rw,%s\n", i+2, i+2, c, c)
		init += fmt.Sprintf("%d:%s:/\n", i+2, c)
	}
	all := files{"proc/self/mountinfo": mounts, "proc/1/cgroup": init}
	for _, c := range controllers {
		all["v/"+c+"/tasks"] = ""
	}
	return recorded(t, append([]files{all}, some...)...)
}

// confinedOn returns why alice's login is left alone, for a process in these
// cgroups; nil if it is not.
func confinedOn(t *testing.T, m machine.Machine, cgroups string, move bool) *plan.ConfinedError {
	t.Helper()
	p := planFor(t, m, plan.Request{
		Login: manager.Login{PID: 7, UID: 1000}, Members: members(t, cgroups), Controllers: hierarchy.Everything,
		Policy: plan.Policy{MoveConfined: move},
	})
	confined := p.Confined()
	for _, s := range p.Steps {
		if (confined != nil) != (s.Action == plan.Leave) || confined != nil && !errors.Is(s.Reason, confined) {
			t.Errorf("%s: %v, %v, though the login is confined: %v", s.Name, s.Action, s.Reason, confined)
		}
	}
	wantWellFormed(t, p)
	return confined
}

// wantConfined looks at what a login is confined by: "FILE VALUE", "" for nothing.
func wantConfined(t *testing.T, got *plan.ConfinedError, want string) {
	t.Helper()
	text := ""
	if got != nil {
		text = got.File + " " + got.Value
	}
	if text != want {
		t.Errorf("confined by %q, want %q", text, want)
	}
}

// Every file of v2 that can hold a limit, without and with one.
func TestLimitsOnV2(t *testing.T) {
	const controllers = "cpuset cpu io memory hugetlb pids rdma misc dmem\n"
	for _, test := range []struct {
		name, file, value string
		isLimit           bool
	}{
		{"memory.max, none", "memory.max", "max", false},
		{"memory.max", "memory.max", "1073741824", true},
		{"memory.max, nothing at all", "memory.max", "0", true},
		{"memory.high, none", "memory.high", "max", false},
		{"memory.high", "memory.high", "536870912", true},
		{"memory.swap.max, none", "memory.swap.max", "max", false},
		{"memory.swap.max", "memory.swap.max", "0", true},
		{"memory.low is no limit", "memory.low", "1048576", false},
		{"pids.max, none", "pids.max", "max", false},
		{"pids.max", "pids.max", "100", true},
		{"cpu.max, none", "cpu.max", "max 100000", false},
		{"cpu.max", "cpu.max", "50000 100000", true},
		{"cpu.weight is no limit", "cpu.weight", "50", false},
		{"io.max, none", "io.max", "", false},
		{"io.max, all max", "io.max", "8:0 rbps=max wbps=max riops=max wiops=max", false},
		{"io.max", "io.max", "8:0 rbps=max wbps=1048576 riops=max wiops=max", true},
		{"io.max, the second device", "io.max", "8:0 rbps=max wbps=max\n8:16 rbps=5 wbps=max", true},
		{"cpuset.cpus, none", "cpuset.cpus", "", false},
		{"cpuset.cpus", "cpuset.cpus", "0-1", true},
		{"cpuset.mems, none", "cpuset.mems", "", false},
		{"cpuset.mems", "cpuset.mems", "0", true},
		{"hugetlb, none", "hugetlb.2MB.max", "max", false},
		{"hugetlb, none, as of a new cgroup of Linux 6.18", "hugetlb.2MB.max", "9223372036854771712", false},
		{"hugetlb", "hugetlb.2MB.max", "4194304", true},
		{"hugetlb, another page size", "hugetlb.1GB.max", "0", true},
		{"hugetlb, reservations", "hugetlb.2MB.rsvd.max", "4194304", false},
		{"rdma.max, none", "rdma.max", "mlx4_0 hca_handle=max hca_object=max", false},
		{"rdma.max", "rdma.max", "mlx4_0 hca_handle=2 hca_object=max", true},
		{"dmem.max, none", "dmem.max", "drm/0000:03:00.0/vram0 max", false},
		{"dmem.max", "dmem.max", "drm/0000:03:00.0/vram0 1073741824", true},
		{"misc.max, none", "misc.max", "sev max\nsev_es max", false},
		{"misc.max", "misc.max", "sev max\nsev_es 3", true},
		{"an empty file", "memory.max", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := onV2(t, "/", files{"u/job/cgroup.controllers": controllers, "u/job/" + test.file: test.value + "\n"})
			want := ""
			if test.isLimit {
				want = "/u/job/" + test.file + " " + strings.Join(strings.Fields(test.value), " ")
			}
			wantConfined(t, confinedOn(t, m, "0::/job\n", false), want)
			if moved := confinedOn(t, m, "0::/job\n", true); moved != nil {
				t.Errorf("left alone with confined=move: %v", moved)
			}
		})
	}
}

// Every file of v1.
func TestLimitsOnV1(t *testing.T) {
	const unlimited = "9223372036854771712"
	for _, test := range []struct {
		name, controller, file, base, value string
		isLimit                             bool
	}{
		{"memory, none", "memory", "memory.limit_in_bytes", unlimited, unlimited, false},
		{"memory, none, 64K pages", "memory", "memory.limit_in_bytes", "", "9223372036854710272", false},
		{"memory", "memory", "memory.limit_in_bytes", unlimited, "1073741824", true},
		{"memory, as the base", "memory", "memory.limit_in_bytes", "1073741824", "1073741824", true},
		{"memsw, none", "memory", "memory.memsw.limit_in_bytes", unlimited, unlimited, false},
		{"memsw", "memory", "memory.memsw.limit_in_bytes", unlimited, "0", true},
		{"kmem, none", "memory", "memory.kmem.limit_in_bytes", unlimited, unlimited, false},
		{"kmem", "memory", "memory.kmem.limit_in_bytes", unlimited, "1048576", true},
		{"soft limits are none", "memory", "memory.soft_limit_in_bytes", unlimited, "1048576", false},
		{"pids, none", "pids", "pids.max", "", "max", false},
		{"pids", "pids", "pids.max", "", "42", true},
		{"cpu, none", "cpu", "cpu.cfs_quota_us", "-1", "-1", false},
		{"cpu, nothing said", "cpu", "cpu.cfs_quota_us", "-1", "0", false},
		{"cpu", "cpu", "cpu.cfs_quota_us", "-1", "20000", true},
		{"cpuset, all", "cpuset", "cpuset.cpus", "0-3", "0-3", false},
		{"cpuset, all, in another order", "cpuset", "cpuset.cpus", "0-3", "0,1,2-3", false},
		{"cpuset", "cpuset", "cpuset.cpus", "0-3", "0-1", true},
		{"cpuset, not set yet", "cpuset", "cpuset.cpus", "0-3", "", false},
		{"cpuset, garbage", "cpuset", "cpuset.cpus", "0-3", "x", false},
		{"cpuset, more than the base", "cpuset", "cpuset.cpus", "0-1", "0-3", false},
		{"cpuset, memory, all", "cpuset", "cpuset.mems", "0-1", "0-1", false},
		{"cpuset, memory", "cpuset", "cpuset.mems", "0-1", "1", true},
		{"devices, all", "devices", "devices.list", "a *:* rwm", "a *:* rwm", false},
		{"devices", "devices", "devices.list", "a *:* rwm", "c 1:3 rwm\nc 1:5 rwm", true},
		{"devices, as the base", "devices", "devices.list", "c 1:3 rwm\nc 1:5 rwm", "c 1:3 rwm\nc 1:5 rwm", false},
		{"devices, none at all", "devices", "devices.list", "a *:* rwm", "", true},
		{"blkio, none", "blkio", "blkio.throttle.read_bps_device", "", "", false},
		{"blkio, read bytes", "blkio", "blkio.throttle.read_bps_device", "", "8:0 1048576", true},
		{"blkio, written bytes", "blkio", "blkio.throttle.write_bps_device", "", "8:0 1048576", true},
		{"blkio, reads", "blkio", "blkio.throttle.read_iops_device", "", "8:0 5", true},
		{"blkio, writes", "blkio", "blkio.throttle.write_iops_device", "", "8:0 5", true},
		{"a frozen cgroup has no limit", "freezer", "freezer.state", "", "FROZEN", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			some := files{"v/" + test.controller + "/job/" + test.file: test.value + "\n"}
			if test.base != "" {
				some["v/"+test.controller+"/"+test.file] = test.base + "\n"
			}
			m := onV1(t, []string{test.controller}, some)
			want := ""
			if test.isLimit {
				want = "/v/" + test.controller + "/job/" + test.file + " " + strings.Join(strings.Fields(test.value), " ")
			}
			wantConfined(t, confinedOn(t, m, "2:"+test.controller+":/job\n", false), want)
			if moved := confinedOn(t, m, "2:"+test.controller+":/job\n", true); moved != nil {
				t.Errorf("left alone with confined=move: %v", moved)
			}
		})
	}
}

// Where a limit has to be, to be shed by a move into a session of alice's.
func TestWhatIsShed(t *testing.T) {
	for name, test := range map[string]struct {
		base    string // of the first process
		limited string // the cgroup that has a limit
		member  string
		shed    bool
	}{
		"the login's own cgroup": {"/", "/job", "/job", true},
		"one above":              {"/", "/a", "/a/b/c", true},
		"one above, and the login's is our name further": {"/", "/a", "/a/user/alice/0", true},
		"one beside":                        {"/", "/other", "/job", false},
		"one below":                         {"/", "/job/x", "/job", false},
		"the base":                          {"/b", "/b", "/b/job", false},
		"the base, in which the login is":   {"/b", "/b", "/b", false},
		"above the base":                    {"/b/c", "/b", "/b/c/job", false},
		"below a base":                      {"/b", "/b/job", "/b/job", true},
		"beside the base":                   {"/b", "/job", "/job", true},
		"the leaf of the first process":     {"/init.scope", "/init.scope", "/init.scope", true},
		"user/":                             {"/", "/user", "/user/alice/0/init.scope", false},
		"the user's own":                    {"/", "/user/alice", "/user/alice/0/init.scope", false},
		"the user's session":                {"/", "/user/alice/0", "/user/alice/0/init.scope", false},
		"below the user's session":          {"/", "/user/alice/0/limited", "/user/alice/0/limited", false},
		"a container in the user's session": {"/", "/user/alice/0/lxc.payload.c1", "/user/alice/0/lxc.payload.c1/x", false},
		"another session of the user's":     {"/", "/user/alice/1", "/user/alice/0", false},
		"another user's":                    {"/", "/user/bob", "/user/bob/0/init.scope", false},
		"another user's session":            {"/", "/user/bob/0", "/user/bob/0/init.scope", false},
		"no session in user/":               {"/", "/user/alice/x", "/user/alice/x", true},
		"a number that is none of ours":     {"/", "/user/alice/007", "/user/alice/007", true},
		"outside of the namespace":          {"/", "/job", "/../job", false},
		"a cgroup that is gone":             {"/", "/job", "/job (deleted)", false},
		"gone, in one that is there":        {"/", "/job", "/job/x (deleted)", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := onV2(t, test.base, files{
				"u" + test.limited + "/cgroup.controllers": "pids cpuset cpu io memory hugetlb rdma misc dmem\n", "u" + test.limited + "/pids.max": "9\n",
			})
			want := ""
			if test.shed {
				want = "/u" + test.limited + "/pids.max 9"
			}
			wantConfined(t, confinedOn(t, m, "0::"+test.member+"\n", false), want)
		})
	}
}

// The nearest limit is the one that is told of.
func TestNearestLimit(t *testing.T) {
	m := onV2(t, "/", files{
		"u/a/cgroup.controllers": "pids\n", "u/a/pids.max": "5\n",
		"u/a/b/cgroup.controllers": "memory pids\n", "u/a/b/pids.max": "4\n", "u/a/b/memory.max": "3\n",
		"u/a/b/c/cgroup.controllers": "\n", "u/a/b/c/pids.max": "2\n", // not enabled: no such file
	})
	got := confinedOn(t, m, "0::/a/b/c\n", false)
	wantConfined(t, got, "/u/a/b/memory.max 3")
	if got.Cgroup != "/a/b" || got.Hierarchy != hierarchy.Unified || got.Error() != "confined by /u/a/b/memory.max (3)" {
		t.Errorf("%+v: %v", got, got)
	}
}

// A batch system's job: pam_slurm_adopt put the login in before our line.
func TestSlurm(t *testing.T) {
	const step = "/slurm/uid_1000/job_42/step_extern"
	all := []string{"memory", "devices", "cpuset", "pids", "freezer", "cpu"}
	tree := files{
		"v/cpuset/cpuset.cpus": "0-15\n", "v/cpuset/cpuset.mems": "0\n", "v/devices/devices.list": "a *:* rwm\n",
		"v/freezer" + step + "/freezer.state": "THAWED\n",
	}
	for _, at := range []string{"/slurm", "/slurm/uid_1000", "/slurm/uid_1000/job_42", step} {
		tree["v/cpuset"+at+"/cpuset.cpus"] = "0-15\n"
		tree["v/cpuset"+at+"/cpuset.mems"] = "0\n"
		tree["v/memory"+at+"/memory.limit_in_bytes"] = "9223372036854771712\n"
		tree["v/devices"+at+"/devices.list"] = "a *:* rwm\n"
		tree["v/pids"+at+"/pids.max"] = "max\n"
	}
	cgroups := ""
	for i, c := range all {
		where := step
		if c == "cpu" {
			where = "/"
		}
		cgroups += fmt.Sprintf("%d:%s:%s\n", i+2, c, where)
	}
	for name, test := range map[string]struct {
		limits files
		want   string
	}{
		"a tracker without limits": {nil, ""},
		"memory of the job":        {files{"v/memory/slurm/uid_1000/job_42/memory.limit_in_bytes": "1073741824\n"}, "/v/memory/slurm/uid_1000/job_42/memory.limit_in_bytes 1073741824"},
		"devices of the step":      {files{"v/devices" + step + "/devices.list": "c 1:3 rwm\n"}, "/v/devices" + step + "/devices.list c 1:3 rwm"},
		"cores of the user":        {files{"v/cpuset/slurm/uid_1000/cpuset.cpus": "4-7\n"}, "/v/cpuset/slurm/uid_1000/cpuset.cpus 4-7"},
		"processes":                {files{"v/pids/slurm/pids.max": "1000\n"}, "/v/pids/slurm/pids.max 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			wantConfined(t, confinedOn(t, onV1(t, all, tree, test.limits), cgroups, false), test.want)
		})
	}
}

// A hierarchy in which nothing would be moved sheds nothing; another one does, and
// then all are left alone.
func TestOnlyMovesShed(t *testing.T) {
	const service, counted = "/system.slice/cron.service", "/system.slice/boot.service"
	limited := files{
		"sys/fs/cgroup/pids" + service + "/pids.max":                             "512\n",
		"sys/fs/cgroup/memory" + service + "/memory.limit_in_bytes":              "1048576\n",
		"sys/fs/cgroup/memory" + counted + "/memory.limit_in_bytes":              "9223372036854771712\n",
		"sys/fs/cgroup/memory" + counted + "/job/memory.limit_in_bytes":          "9223372036854771712\n",
		"sys/fs/cgroup/memory/limited.slice/memory.limit_in_bytes":               "1048576\n",
		"sys/fs/cgroup/memory/limited.slice/a.service/memory.limit_in_bytes":     "9223372036854771712\n",
		"sys/fs/cgroup/freezer/job/cgroup.procs":                                 "",
		"sys/fs/cgroup/cpuset/job/cpuset.cpus":                                   "0\n",
		"sys/fs/cgroup/cpuset/cpuset.cpus":                                       "0-3\n",
		"sys/fs/cgroup/pids/user.slice/user-1000.slice/pids.max":                 "10813\n",
		"sys/fs/cgroup/pids/user.slice/user-1000.slice/session-1.scope/pids.max": "100\n",
	}
	for name, test := range map[string]struct {
		cgroups, controllers, want string
	}{
		"a cron job under TasksMax=": {"9:pids:" + service + "\n10:memory:" + service + "\n11:freezer:/\n1:name=systemd:" + service + "\n", "pids,memory,freezer,name=systemd",
			"make freezer\nleave memory pids name=systemd (LeftAloneError)"},
		"a service that is only counted": {"9:pids:" + service + "\n10:memory:" + counted + "\n11:freezer:/\n1:name=systemd:" + service + "\n", "pids,memory,freezer,name=systemd",
			"make freezer memory\nleave pids name=systemd (LeftAloneError)"},
		"below a service that is only counted": {"10:memory:" + counted + "/job\n11:freezer:/\n", "memory,freezer",
			"make freezer\nleave memory (LeftAloneError)"},
		"a service that is only counted, in a limited slice": {"10:memory:/limited.slice/a.service\n11:freezer:/\n", "memory,freezer",
			"make freezer\nleave memory (LeftAloneError)"},
		"a service, by somebody who confines": {"10:memory:" + counted + "\n13:cpuset:/job\n11:freezer:/job\n", "memory,freezer,cpuset",
			"leave cpuset freezer memory (ConfinedError)"},
		"a login under a limit of its scope": {"9:pids:/user.slice/user-1000.slice/session-1.scope\n11:freezer:/\n", "pids,freezer",
			"make freezer\nadopt pids=/user.slice/user-1000.slice/session-1.scope"},
		"every user's UserTasksMax=": {"9:pids:/user.slice/user-1000.slice\n11:freezer:/\n", "pids,freezer",
			"make freezer pids"},
		"one that somebody gave some CPUs": {"9:pids:/user.slice/user-1000.slice/session-1.scope\n13:cpuset:/job\n11:freezer:/job\n", "pids,freezer,cpuset",
			"leave cpuset freezer pids (ConfinedError)"},
		"the same, where that is not asked for": {"9:pids:/user.slice/user-1000.slice/session-1.scope\n13:cpuset:/job\n11:freezer:/job\n", "pids,freezer",
			"make freezer\nadopt pids=/user.slice/user-1000.slice/session-1.scope"},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(t, copyOf(t, "hybrid-systemd", limited), plan.Request{
				Login: manager.Login{UID: 1000}, Members: members(t, test.cgroups), Controllers: list(t, test.controllers),
			})
			if got := outcome(p); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// A session gets no isolated CPUs, so a login in a cgroup without them sheds nothing.
func TestIsolatedCPUsConfineNobody(t *testing.T) {
	for _, test := range []struct {
		name, own, isolated string
		isLimit             bool
	}{
		{"all that a session gets", "0-1", "2-3", false},
		{"fewer than a session gets", "0", "2-3", true},
		{"none isolated", "0-1", "", true},
		{"all isolated, so that a session gets them", "0-1", "0-3", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := onV1(t, []string{"cpuset"}, files{
				"sys/devices/system/cpu/isolated": test.isolated + "\n",
				"v/cpuset/cpuset.cpus":            "0-3\n",
				"v/cpuset/job/cpuset.cpus":        test.own + "\n",
			})
			want := ""
			if test.isLimit {
				want = "/v/cpuset/job/cpuset.cpus " + test.own
			}
			wantConfined(t, confinedOn(t, m, "2:cpuset:/job\n", false), want)
		})
	}
}
