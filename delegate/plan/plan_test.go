package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// files are what a machine has.
type files = machinetest.Files

// recorded returns a machine with these files; what it has not was absent.
func recorded(t testing.TB, all ...files) machine.Machine {
	t.Helper()
	return machine.Recorded(machinetest.Make(t, append([]files{{machine.StatFile: ""}}, all...)...))
}

// copyOf returns a copy of a machine of delegate/testdata, with more files.
func copyOf(t *testing.T, name string, more files) machine.Machine {
	t.Helper()
	dir := machinetest.Copy(t, "../testdata/"+name)
	for name, content := range more {
		machinetest.Write(t, dir, name, content)
	}
	return machine.Recorded(dir)
}

// planFor returns the plan for a login of alice's, who has the user ID 1000 unless
// the request says otherwise.
func planFor(t *testing.T, m machine.Machine, r plan.Request) *plan.Plan {
	t.Helper()
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	if r.User == "" {
		r.User = "alice"
	}
	return plan.New(m, set, r)
}

// members are lines of /proc/PID/cgroup.
func members(t *testing.T, lines string) []hierarchy.Membership {
	t.Helper()
	all, err := hierarchy.ParseMemberships([]byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func list(t *testing.T, s string) hierarchy.ControllerList {
	t.Helper()
	if s == "" {
		return hierarchy.Everything
	}
	l, err := hierarchy.ParseList(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// outcome is a line for each action: "make cpu memory", "adopt unified=/scope",
// "leave freezer (LeftAloneError)".
func outcome(p *plan.Plan) string {
	var lines []string
	for _, action := range []plan.Action{plan.Make, plan.Adopt, plan.Leave} {
		line := action.String()
		reason := ""
		for _, s := range p.With(action) {
			line += " " + s.Name
			if s.Scope != "" {
				line += "=" + s.Scope
			}
			if s.Reason != nil {
				kind := fmt.Sprintf("%T", s.Reason)
				reason = " (" + kind[strings.LastIndexByte(kind, '.')+1:] + ")"
			}
		}
		if line != action.String() {
			lines = append(lines, line+reason)
		}
	}
	return strings.Join(lines, "\n")
}

// What logins get on the recorded machines.
func TestPlan(t *testing.T) {
	const (
		slice    = "/user.slice/user-1000.slice"
		scope    = slice + "/session-1.scope"
		allV1    = "cpuset blkio freezer devices hugetlb perf_event misc net_cls,net_prio rdma cpu,cpuacct"
		hybrid   = "4:memory:%[1]s\n3:pids:%[1]s\n2:freezer:/\n1:name=systemd:%[1]s\n0::%[1]s\n"
		inHybrid = "freezer,memory,pids,name=systemd,unified"
	)
	for name, test := range map[string]struct {
		machine     string
		files       files // more
		pid         int   // on the recorded machine; its cgroups, unless there are
		cgroups     string
		uid         int
		controllers string // "": all
		want        string
	}{
		"nobody, v2": {machine: "openrc-v2", cgroups: "0::/openrc.sshd\n", uid: 1000,
			want: "make unified"},
		"nobody, v2, a second login": {machine: "openrc-v2", cgroups: "0::/user/alice/0/init.scope\n", uid: 1000,
			want: "make unified"},
		"nobody, v1": {machine: "debian12-v1-hybrid", pid: 4711, uid: 1000, controllers: "freezer,memory,name=systemd",
			want: "make name=systemd freezer memory"},
		"nobody, v1, root": {machine: "debian12-v1-hybrid", pid: 4711, uid: 0, controllers: "freezer",
			want: "make freezer"},
		"nobody, v2, a container": {machine: "lxc-unprivileged", cgroups: "0::/\n", uid: 1000,
			want: "make unified"},

		"systemd, v2, ssh": {machine: "debian12-v2-systemd", pid: 249, uid: 1000,
			want: "adopt unified=" + scope},
		"systemd, v2, ssh, by pam_cgfs's list": {machine: "debian12-v2-systemd", pid: 249, uid: 1000, controllers: "freezer,memory,name=systemd",
			want: "adopt unified=" + scope},
		"systemd, v2, cron": {machine: "debian12-v2-systemd", cgroups: "0::/system.slice/cron.service\n", uid: 1000,
			want: "leave unified (LeftAloneError)"},
		"systemd, v2, su to another in a login": {machine: "debian12-v2-systemd", pid: 249, uid: 1001,
			want: "leave unified (LeftAloneError)"},
		"systemd, v2, sudo in a login": {machine: "debian12-v2-systemd", pid: 249, uid: 0,
			want: "leave unified (LeftAloneError)"},
		"systemd, v2, a second module in the leaf": {machine: "debian12-v2-systemd", cgroups: "0::" + scope + "/init.scope\n", uid: 1000,
			want: "leave unified (LeftAloneError)"},
		"systemd, v2, outside of the namespace": {machine: "debian12-v2-systemd", cgroups: "0::/../x\n", uid: 1000,
			want: "leave unified (LeftAloneError)"},
		"systemd, v2, a scope that is gone": {machine: "debian12-v2-systemd", cgroups: "0::" + slice + "/session-9.scope\n", uid: 1000,
			want: "leave unified (ScopeNotDelegatedError)"},

		"systemd, hybrid, ssh": {machine: "hybrid-systemd", pid: 247, uid: 1000,
			want: "make " + allV1 + "\nadopt memory=" + scope + " pids=" + scope + " name=systemd=" + scope + "\nleave unified (LeftAloneError)"},
		"systemd, hybrid, cron": {machine: "hybrid-systemd", cgroups: fmt.Sprintf(hybrid, "/system.slice/cron.service"), uid: 1000, controllers: inHybrid,
			files: files{"sys/fs/cgroup/pids/system.slice/cron.service/pids.max": "512\n", "sys/fs/cgroup/memory/system.slice/cron.service/memory.limit_in_bytes": "9223372036854771712\n"},
			want:  "make freezer memory\nleave pids name=systemd unified (LeftAloneError)"},
		"systemd, hybrid, su to another in a login": {machine: "hybrid-systemd", cgroups: fmt.Sprintf(hybrid, scope), uid: 1001, controllers: inHybrid,
			want: "make freezer\nleave memory pids name=systemd unified (LeftAloneError)"},
		"systemd 229, v1": {machine: "ubuntu1604-v1-systemd", uid: 1000, controllers: "pids,memory,name=systemd",
			cgroups: "8:pids:" + slice + "\n7:memory:/user.slice\n1:name=systemd:" + slice + "/session-2.scope\n",
			files:   files{"sys/fs/cgroup/pids" + slice + "/pids.max": "12288\n", "sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes": "9223372036854771712\n"},
			want:    "make pids memory\nadopt name=systemd=" + slice + "/session-2.scope"},

		"elogind, v2": {machine: "elogind-v2", pid: 147, uid: 1000,
			want: "adopt unified=/1"},
		"elogind, v2, su in the session": {machine: "elogind-v2", pid: 148, cgroups: "0::/1\n", uid: 1000,
			want: "leave unified (LeftAloneError)"},
		"elogind, v2, in its cgroup of another user": {machine: "elogind-v2", pid: 147, uid: 1001,
			want: "leave unified (LeftAloneError)"},
		"elogind, v2, no session": {machine: "elogind-v2", cgroups: "0::/\n", uid: 1000,
			want: "make unified"},
		"elogind as Debian 13 has it": {machine: "elogind-v2", pid: 147, cgroups: "0::" + scope + "\n", uid: 1000,
			want: "adopt unified=" + scope},
		"elogind that delegates": {machine: "elogind-v2", pid: 147, cgroups: "0::/1/session\n", uid: 1000,
			files: files{"sys/fs/cgroup/1/session/cgroup.procs": "147\n", "sys/fs/cgroup/1/delegated/cgroup.procs": ""},
			want:  "leave unified (DelegatedElsewhereError)"},
		"elogind, v1": {machine: "elogind-hybrid", pid: 177, uid: 1000, controllers: "freezer,memory,name=elogind",
			want: "make freezer memory\nadopt name=elogind=/1"},

		"a system account": {machine: "openrc-v2", cgroups: "0::/\n", uid: 33,
			want: "leave unified (AccountError)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := copyOf(t, test.machine, test.files)
			r := plan.Request{Login: manager.Login{PID: test.pid, UID: test.uid}, Controllers: list(t, test.controllers), Policy: plan.Policy{MinUID: plan.DefaultMinUID}}
			if test.cgroups != "" {
				r.Members = members(t, test.cgroups)
			} else {
				var err error
				if r.Members, err = hierarchy.Memberships(m, test.pid); err != nil {
					t.Fatal(err)
				}
			}
			p := planFor(t, m, r)
			if got := outcome(p); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			wantWellFormed(t, p)
		})
	}
}

// wantWellFormed looks for steps whose parts contradict each other.
func wantWellFormed(t *testing.T, p *plan.Plan) {
	t.Helper()
	for _, s := range p.Steps {
		if (s.Action == plan.Leave) != (s.Reason != nil) || (s.Action == plan.Adopt) != (s.Scope != "") {
			t.Errorf("%s: %v, reason %v, scope %q", s.Name, s.Action, s.Reason, s.Scope)
		}
		if found := p.Step(s.Name); found == nil || found.Name != s.Name {
			t.Errorf("%s: not found by its name", s.Name)
		}
	}
}

// What was asked for and is not to be had is a warning; v1 names where there is v2
// alone, as in the line of pam_cgfs, are a note.
func TestMissing(t *testing.T) {
	for name, test := range map[string]struct {
		machine, controllers, warnings, notes string
	}{
		"all there":                   {"openrc-v2", "memory,pids", "", ""},
		"pam_cgfs's list on v2":       {"openrc-v2", "freezer,memory,name=systemd", "", `ignored "name=systemd": this machine has only cgroup v2`},
		"more names on v2":            {"openrc-v2", "name=a,memory,name=b,nosuch", "no mounted hierarchy has \"nosuch\"", `ignored "name=a,name=b": this machine has only cgroup v2`},
		"a name that v1 lacks":        {"debian12-v1-hybrid", "name=elogind,freezer", "no mounted hierarchy has \"name=elogind\"", ""},
		"nothing of the list":         {"openrc-v2", "nosuch", "no mounted hierarchy has \"nosuch\"", ""},
		"mounted, but cannot be used": {"docker-cgroupns-stale", "memory", "hierarchy memory: mounted, but cannot be used", ""},
		"of no use, not asked":        {"docker-cgroupns-stale", "freezer", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(t, copyOf(t, test.machine, nil), plan.Request{Login: manager.Login{UID: 1000}, Controllers: list(t, test.controllers)})
			for _, got := range []struct {
				what string
				errs []error
				want string
			}{{"warnings", p.Warnings, test.warnings}, {"notes", p.Notes, test.notes}} {
				text := fmt.Sprint(errors.Join(got.errs...))
				if got.want == "" && len(got.errs) > 0 || !strings.Contains(text, got.want) {
					t.Errorf("%s: %s; want %q", got.what, text, got.want)
				}
				if strings.Contains(strings.ReplaceAll(text, "\n", " "), "hierarchy memory: hierarchy") {
					t.Errorf("%s: the hierarchy is said twice: %s", got.what, text)
				}
			}
		})
	}
}

// System accounts get nothing, root and people do; the line can say otherwise.
func TestAccounts(t *testing.T) {
	minimal := files{"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "u/cgroup.controllers": ""}
	for name, test := range map[string]struct {
		files  files
		uid    int
		minUID int
		want   string // the error; "": none
	}{
		"root":                              {nil, 0, plan.DefaultMinUID, ""},
		"root, a bound in the line":         {nil, 0, 1, "user ID 0 is below min_uid=1"},
		"root, no bound in the line":        {nil, 0, 0, ""},
		"a person":                          {nil, 1000, plan.DefaultMinUID, ""},
		"a system account":                  {nil, 999, plan.DefaultMinUID, "user ID 999 is a system account's: below UID_MIN, which is 1000 by default"},
		"one that the line lets in":         {nil, 1, 0, ""},
		"below the line's bound":            {nil, 1999, 2000, "user ID 1999 is below min_uid=2000"},
		"at the line's bound":               {nil, 2000, 2000, ""},
		"a machine with a lower bound":      {files{"etc/login.defs": "# UID_MIN 2000\nUID_MIN\t\t500\n"}, 500, plan.DefaultMinUID, ""},
		"below a machine's lower bound":     {files{"etc/login.defs": "UID_MIN 500\n"}, 499, plan.DefaultMinUID, "below UID_MIN 500 of /etc/login.defs"},
		"a distribution's file":             {files{"usr/etc/login.defs": "UID_MIN 700\n"}, 600, plan.DefaultMinUID, "below UID_MIN 700 of /usr/etc/login.defs"},
		"the administrator's before that":   {files{"etc/login.defs": "UID_MIN 500\n", "usr/etc/login.defs": "UID_MIN 700\n"}, 600, plan.DefaultMinUID, ""},
		"the administrator's without one":   {files{"etc/login.defs": "GID_MIN 5\n", "usr/etc/login.defs": "UID_MIN 700\n"}, 600, plan.DefaultMinUID, "below UID_MIN 700"},
		"an octal number":                   {files{"etc/login.defs": "UID_MIN 0764\n"}, 499, plan.DefaultMinUID, "below UID_MIN 500"},
		"no number":                         {files{"etc/login.defs": "UID_MIN many\nUID_MIN\n"}, 999, plan.DefaultMinUID, "below UID_MIN, which is 1000 by default"},
		"a number that is one to Go alone":  {files{"etc/login.defs": "UID_MIN 0b1\nUID_MIN 1_0\n"}, 999, plan.DefaultMinUID, "below UID_MIN, which is 1000 by default"},
		"a hexadecimal number":              {files{"etc/login.defs": "UID_MIN +0x1F4\n"}, 499, plan.DefaultMinUID, "below UID_MIN 500"},
		"a negative number":                 {files{"etc/login.defs": "UID_MIN -5\n"}, 999, plan.DefaultMinUID, "below UID_MIN, which is 1000 by default"},
		"a user ID that is larger than int": {nil, 4294967294, plan.DefaultMinUID, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(t, recorded(t, minimal, test.files), plan.Request{
				Login: manager.Login{UID: test.uid}, Members: members(t, "0::/\n"), Controllers: hierarchy.Everything, Policy: plan.Policy{MinUID: test.minUID},
			})
			var account *plan.AccountError
			isLeft := errors.As(p.Steps[0].Reason, &account)
			if isLeft != (test.want != "") || isLeft && !strings.Contains(account.Error(), test.want) {
				t.Errorf("%v %v, want %q", p.Steps[0].Action, p.Steps[0].Reason, test.want)
			}
		})
	}
}

// In a user namespace it can be seen where its root may make nothing.
func TestDenied(t *testing.T) {
	const userns, host = "0 100000 65536\n", "0 0 4294967295\n"
	minimal := files{"proc/self/mountinfo": "1 1 0:1 / /m rw - cgroup c rw,memory\n", "proc/1/cgroup": "1:memory:/\n", "m/tasks": ""}
	for name, test := range map[string]struct {
		idMap  string
		base   machine.Stat
		users  *machine.Stat // of BASE/user, if there is one
		denied bool
	}{
		"the container's own":                 {userns, machine.Stat{Mode: 0o40755}, nil, false},
		"the container's by its group (LXC)":  {userns, machine.Stat{Mode: 0o40775, UID: 65534}, nil, false},
		"the group may not write":             {userns, machine.Stat{Mode: 0o40755, UID: 65534}, nil, true},
		"of nobody in the container":          {userns, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534}, nil, true},
		"of nobody, for all":                  {userns, machine.Stat{Mode: 0o40777, UID: 65534, GID: 65534}, nil, false},
		"the owner is root, the group nobody": {userns, machine.Stat{Mode: 0o40755, GID: 65534}, nil, false},
		"of another of the container's users": {userns, machine.Stat{Mode: 0o40755, UID: 5, GID: 5}, nil, false},
		"user/ is the container's":            {userns, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534}, &machine.Stat{Mode: 0o40755}, false},
		"user/ is not the container's":        {userns, machine.Stat{Mode: 0o40755}, &machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534}, true},
		"not in a user namespace":             {host, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			stats := machine.FormatStat("/m", test.base) + "\n"
			more := files{"proc/self/uid_map": test.idMap}
			if test.users != nil {
				stats += machine.FormatStat("/m/user", *test.users) + "\n"
				more["m/user/tasks"] = ""
			}
			more[machine.StatFile] = stats
			p := planFor(t, recorded(t, minimal, more), plan.Request{Login: manager.Login{UID: 1000}, Members: members(t, "1:memory:/\n"), Controllers: hierarchy.Everything})
			var denied *plan.DeniedError
			if got := errors.As(p.Steps[0].Reason, &denied); got != test.denied {
				t.Fatalf("%v: %v", p.Steps[0].Action, p.Steps[0].Reason)
			}
			if test.denied && (denied.Hierarchy != "memory" || !strings.HasPrefix(denied.Dir, "/m") || denied.Owner.UID != 65534 || p.Steps[0].Action != plan.Leave || !p.AllDenied()) {
				t.Errorf("%+v", denied)
			}
		})
	}
}

// What is said of all steps.
func TestSummary(t *testing.T) {
	m := copyOf(t, "hybrid-systemd", nil)
	for name, test := range map[string]struct {
		controllers  string
		uid          int
		doesAnything bool
	}{
		"makes":        {"freezer", 1000, true},
		"leaves":       {"unified", 1000, false},
		"leaves, user": {"freezer", 33, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(t, m, plan.Request{Login: manager.Login{UID: test.uid}, Controllers: list(t, test.controllers), Members: members(t, "11:freezer:/\n0::/\n"), Policy: plan.Policy{MinUID: plan.DefaultMinUID}})
			if got := p.DoesAnything(); got != test.doesAnything || p.AllDenied() {
				t.Errorf("does anything: %v, all denied: %v", got, p.AllDenied())
			}
			if p.Step("memory") != nil || !slices.Contains([]string{"make", "leave"}, p.Steps[0].Action.String()) {
				t.Errorf("%+v", p.Steps)
			}
		})
	}
}
