package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// More recorded machines.
const (
	slurm   = "slurm-v1"
	limited = "openrc-limited"
)

// sshd is the process of no-systemd-v2 that called PAM for alice's login.
const sshd = 146

// elogindSession puts the login of no-systemd-v2 into the session 1 of elogind, in
// a cgroup to which nothing is given.
func elogindSession(leader int, member string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		write("/run/systemd/sessions/1", fmt.Sprintf("UID=1000\nLEADER=%d\n", leader))(t, dir)
		write("/proc/self/cgroup", "0::"+member+"\n")(t, dir)
		write(fmt.Sprintf("/proc/%d/cgroup", sshd), "0::"+member+"\n")(t, dir)
		remove("/sys/fs/cgroup/user/alice")(t, dir)
		cgroup(member, machine.Stat{Mode: 0o40755})(t, dir)
	}
}

// cgroup makes a cgroup on v2, and who owns it and its files.
func cgroup(path string, st machine.Stat) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		file := st
		file.Mode = 0o100644
		for _, name := range []string{"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "cgroup.controllers"} {
			write("/sys/fs/cgroup"+path+"/"+name, "")(t, dir)
			stat("/sys/fs/cgroup"+path+"/"+name, file)(t, dir)
		}
		write("/sys/fs/cgroup"+path+"/cgroup.controllers", "cpu memory pids\n")(t, dir)
		stat("/sys/fs/cgroup"+path, st)(t, dir)
	}
}

// What the check says of a session and what Open would do are the same plan's.
func TestAgreesWithOpen(t *testing.T) {
	alices := machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000}
	for name, test := range map[string]struct {
		machine string
		changes []change
		pid     int
		action  plan.Action // with unified, or the first hierarchy
		status  check.Status
		says    string // a part of it
		fix     string // a part of its text and commands
		isNoFix string // what is no part of them
	}{
		"elogind's session, of this login": {machine: v2, changes: []change{elogindSession(sshd, "/1")}, pid: sshd,
			action: plan.Adopt, status: check.Failed, says: "though the login's PAM service has a line"},
		"elogind's session, whose leader is another process": {machine: v2, changes: []change{elogindSession(99, "/1")}, pid: sshd,
			action: plan.Leave, status: check.Failed, says: "the shell is in /1, a cgroup of elogind's", fix: "log in by ssh", isNoFix: "cgdeleg open"},
		"elogind's scope, whose leader is another process": {machine: v2, changes: []change{elogindSession(99, "/user.slice/user-1000.slice/session-1.scope")}, pid: sshd,
			action: plan.Leave, status: check.Failed, says: "the shell is in /user.slice", isNoFix: "cgdeleg open"},
		"elogind delegates by itself": {machine: v2, changes: []change{elogindSession(sshd, "/1/session"), cgroup("/1/delegated", alices)}, pid: sshd,
			action: plan.Leave, status: check.OK, says: "elogind delegates /1/delegated to the user: containers belong below it"},
		"Slurm's job": {machine: slurm, pid: 700,
			action: plan.Leave, status: check.Failed, says: "Slurm's pam_slurm_adopt limits this login", fix: "confined=move", isNoFix: "cgdeleg open"},
		"Slurm's job, moved": {machine: slurm, pid: 700, changes: []change{appendMove("/etc/pam.d/common-session")},
			action: plan.Make, status: check.Failed, says: "though the login's PAM service has a line"},
		"cgrules": {machine: slurm, pid: 700, changes: []change{replace("/etc/pam.d/sshd", "account required pam_slurm_adopt.so\n", ""), write("/etc/cgrules.conf", "# rules\nalice\t*\tslurm/uid_%U/job_4242/step_extern\n")},
			action: plan.Leave, status: check.Failed, says: "cgrules (/etc/cgrules.conf) limits this login", fix: "confined=move", isNoFix: "cgdeleg open"},
		"cgrules without a rule": {machine: slurm, pid: 700, changes: []change{replace("/etc/pam.d/sshd", "account required pam_slurm_adopt.so\n", ""), write("/etc/cgrules.conf", "# rules\n\n")},
			action: plan.Leave, status: check.Failed, says: "whoever made the cgroup /slurm/uid_1000/job_4242/step_extern limits this login"},
		"pam_cgroup": {machine: slurm, pid: 700, changes: []change{replace("/etc/pam.d/sshd", "account required pam_slurm_adopt.so\n", "session required pam_cgroup.so\n"), write("/etc/cgrules.conf", "* memory slurm/uid_%U/job_4242/step_extern\n")},
			action: plan.Leave, status: check.Failed, says: "cgrules (pam_cgroup) limits this login"},
		"pam_cgroup without a rule that leads there": {machine: slurm, pid: 700, changes: []change{replace("/etc/pam.d/sshd", "account required pam_slurm_adopt.so\n", "session required pam_cgroup.so\n"), write("/etc/cgrules.conf", "* memory elsewhere\n")},
			action: plan.Leave, status: check.Failed, says: "whoever made the cgroup /slurm/uid_1000/job_4242/step_extern limits this login"},
		"a service that OpenRC limits": {machine: limited, pid: 4709,
			action: plan.Leave, status: check.Failed, says: "OpenRC's service sshd limits this login (/sys/fs/cgroup/openrc.sshd/pids.max)", fix: "confined=move", isNoFix: "cgdeleg open"},
		"a service that OpenRC does not limit": {machine: limited, pid: 4709, changes: []change{write("/sys/fs/cgroup/openrc.sshd/pids.max", "max\n")},
			action: plan.Make, status: check.Failed, says: "though the login's PAM service has a line"},
		"systemd's cron": {machine: stock, pid: 99, changes: []change{delegateConf, write("/proc/self/cgroup", "0::/system.slice/cron.service\n"), write("/proc/99/cgroup", "0::/system.slice/cron.service\n")},
			action: plan.Leave, status: check.Failed, says: "the shell is in cron.service; only the scope", fix: "systemd-run --user", isNoFix: "cgdeleg open"},
		"systemd's, below a service": {machine: stock, pid: 99, changes: []change{delegateConf, write("/proc/self/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/session.slice\n"), write("/proc/99/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/session.slice\n")},
			action: plan.Leave, status: check.Failed, says: "the shell is in user@1000.service", isNoFix: "cgdeleg open"},
		"outside of systemd's units": {machine: stock, pid: 99, changes: []change{delegateConf, write("/proc/self/cgroup", "0::/wsl-user/distro-1/non-systemd\n"), write("/proc/99/cgroup", "0::/wsl-user/distro-1/non-systemd\n")},
			action: plan.Leave, status: check.Failed, says: "the shell is in /wsl-user/distro-1/non-systemd, outside of the units", isNoFix: "cgdeleg open"},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, test.machine, test.changes...)
			p, err := delegate.Plan(m, delegate.Login{PID: test.pid, User: "alice", UID: 1000, GID: 1000, Controllers: hierarchy.Everything, Policy: policyOf(test.action)})
			if err != nil {
				t.Fatal(err)
			}
			step := p.Step(hierarchy.Unified)
			if step == nil {
				step = p.Step("memory")
			}
			if step.Action != test.action {
				t.Errorf("Open would %v %s: %v; want %v", step.Action, step.Name, step.Reason, test.action)
			}
			f := &check.Facts{Machine: m}
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			i := slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == "session" })
			finding, fix := findings[i], fixText(findings[i].Fix)
			if finding.Status != test.status || !strings.Contains(finding.Says, test.says) {
				t.Errorf("%s: %s; want %s, %q", finding.Status, finding.Says, test.status, test.says)
			}
			if !strings.Contains(fix, test.fix) || test.isNoFix != "" && strings.Contains(fix, test.isNoFix) {
				t.Errorf("its fix is %q; want %q and no %q", fix, test.fix, test.isNoFix)
			}
		})
	}
}

// policyOf is the policy of the line: one that has Open move a confined login says
// so.
func policyOf(action plan.Action) plan.Policy {
	return plan.Policy{MinUID: plan.DefaultMinUID, MoveConfined: action == plan.Make}
}

func appendMove(file string) change {
	return replace(file, "pam_cgdeleg.so", "pam_cgdeleg.so confined=move")
}

func fixText(fix *check.Fix) string {
	if fix == nil {
		return ""
	}
	words := []string{fix.Text}
	for _, c := range fix.Commands {
		words = append(words, c.String())
	}
	return strings.Join(words, "\n")
}

// Where elogind delegates a cgroup beside the login's, LXC is told to be started
// there, and nothing claims that the session lacks anything.
func TestElogindDelegates(t *testing.T) {
	alices := machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000}
	for name, test := range map[string]struct {
		changes []change
		fix     string
	}{
		"root has to move the shell":   {nil, "sudo sh -c 'mkdir -p /sys/fs/cgroup/1/delegated/init.scope && echo "},
		"the user may move its shells": {[]change{stat("/sys/fs/cgroup/1/cgroup.procs", machine.Stat{Mode: 0o100644, UID: 1000})}, "sh -c 'mkdir -p /sys/fs/cgroup/1/delegated/init.scope && echo "},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []change{elogindSession(sshd, "/1/session"), cgroup("/1/delegated", alices)}
			f := &check.Facts{Machine: recorded(t, v2, append(changes, test.changes...)...)}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			if got := troubles(findings); !slices.Equal(got, []string{"failed:lxc-view"}) {
				t.Fatalf("got %q", got)
			}
			wantFirst(t, findings, "it would start containers without any", test.fix)
			if i := slices.IndexFunc(findings, isTrouble); findings[i].Fix.Commands[0].Root == strings.HasPrefix(test.fix, "sh") {
				t.Errorf("its command: %v", findings[i].Fix.Commands[0])
			}
		})
	}
}

// A system account gets nothing, unless the line says otherwise.
func TestSystemAccounts(t *testing.T) {
	const common = "/etc/pam.d/common-session"
	for name, test := range map[string]struct {
		changes []change
		status  check.Status
		says    string
	}{
		"one below 1000":               {nil, check.Failed, "daemon is a system account: users from 1 to 999, below UID_MIN (shadow's default)"},
		"one below UID_MIN":            {[]change{write("/etc/login.defs", "UID_MIN 500\n")}, check.Failed, "users from 1 to 499"},
		"a person of UID_MIN":          {[]change{write("/etc/login.defs", "UID_MIN\t100\n")}, check.OK, ""},
		"one that the line lets in":    {[]change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so min_uid=400")}, check.OK, ""},
		"one that the line leaves out": {[]change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so min_uid=450")}, check.Failed, "the module's line has min_uid=450, and daemon has the user ID 400"},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, v2, append(test.changes, appendTo("/etc/passwd", "daemon:x:400:400::/:/bin/sh\n"))...)
			f := &check.Facts{Machine: m, System: system{}}
			var err error
			if f.Subject, err = check.User(m, "daemon"); err != nil {
				t.Fatal(err)
			}
			check.Gather(f)
			t.Cleanup(f.Close)
			finding := check.Run(f, []*check.Check{check.ByName("pam-line")}, nil)[0]
			if finding.Status != test.status || !strings.Contains(finding.Says, test.says) || strings.Contains(fixText(finding.Fix), "cgdeleg open") {
				t.Errorf("%s %s: %s", finding.Name, finding.Status, finding.Says)
			}
		})
	}
}

// What was read of a machine is enough to say the same of it: a check reads nothing
// but through the machine that notes it.
func TestReadsThroughTheMachine(t *testing.T) {
	var machines []string
	for _, pattern := range []string{"testdata/*/proc", "testdata/*/*/proc"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		machines = append(machines, more...)
	}
	for name, test := range map[string]struct {
		machine string
		changes []change
	}{
		"a drop-in by systemctl edit": {stock, []change{write("/etc/systemd/system/session-.scope.d/override.conf", "[Scope]\nDelegate=yes\n")}},
		"a profile without a line":    {v2, []change{replace("/etc/pam.d/common-session", "pam_cgdeleg.so", "pam_permit.so"), write("/usr/share/pam-configs/cgdeleg", "Name: x\n")}},
		"a realtime process without cpu": {v2, []change{
			write("/sys/fs/cgroup/user/alice/0/cgroup.controllers", "memory pids\n"), write("/proc/77/stat", "77 (a ) b) S"+strings.Repeat(" 0", 37)+" 2 0 0\n")}},
		"elogind delegates": {v2, []change{elogindSession(sshd, "/1/session"), cgroup("/1/delegated", machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000})}},
		"elogind's session": {v2, []change{elogindSession(sshd, "/1")}},
	} {
		t.Run(name, func(t *testing.T) { wantSameFromNotes(t, recorded(t, test.machine, test.changes...)) })
	}
	for _, proc := range machines {
		name := strings.TrimPrefix(filepath.Dir(proc), "testdata/")
		t.Run(name, func(t *testing.T) { wantSameFromNotes(t, recorded(t, name)) })
	}
}

func wantSameFromNotes(t *testing.T, m machine.Machine) {
	t.Helper()
	for _, what := range []string{"the login", "the user", "a container"} {
		_, unknown := check.User(m, "alice")
		if what == "a container" && !m.Exists(config) || what == "the user" && unknown != nil {
			continue
		}
		var notes machine.Notes
		want := described(t, m.Noting(&notes), what)
		dir := t.TempDir()
		record(t, dir, m, &notes)
		if got := described(t, machine.Recorded(dir), what); got != want {
			t.Errorf("%s: of what was read it says\n%s\nwant\n%s", what, got, want)
		}
	}
}

// described is all that the checks say of the login that recorded a machine, or of
// its user, or also of a container's configuration.
func described(t *testing.T, m machine.Machine, what string) string {
	t.Helper()
	f := &check.Facts{Machine: m}
	var err error
	switch what {
	case "the user":
		f.Subject, err = check.User(m, "alice")
	case "a container":
		f.Config, f.ConfigError = lxcconf.Read(m, config)
		fallthrough
	default:
		f.Subject, err = check.Caller(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range run(t, f) {
		fmt.Fprintf(&out, "%s %s: %s %v %q\n", f.Status, f.Name, f.Says, f.Evidence, fixText(f.Fix))
	}
	return out.String()
}

// record writes what was asked of a machine, and nothing else, as one to be asked
// again.
func record(t *testing.T, dir string, m machine.Machine, notes *machine.Notes) {
	t.Helper()
	var absent, stats strings.Builder
	for _, q := range notes.Questions {
		switch answer := notes.Answer(q); {
		case answer == machine.Absent:
			absent.WriteString(q.Path + "\n")
		case answer == machine.Unknown:
		case q.Kind == machine.Owner:
			if st, err := m.Stat(q.Path); err == nil {
				stats.WriteString(machine.FormatStat(q.Path, st) + "\n")
			}
		case q.Kind == machine.Content:
			data, err := m.ReadFile(q.Path)
			if err != nil {
				t.Fatal(err)
			}
			write(q.Path, string(data))(t, dir)
		case q.Kind == machine.Names:
			names, err := m.ReadDir(q.Path)
			if err != nil {
				t.Fatal(err)
			}
			makeAll(t, dir, m, q.Path, names)
		default:
			makeAll(t, dir, m, "/", []string{q.Path})
		}
	}
	if m.Exists("/"+machine.AbsentFile) || !m.Exists("/"+machine.StatFile) { // else it is older than that file
		write(machine.AbsentFile, absent.String())(t, dir)
	}
	write(machine.StatFile, stats.String())(t, dir)
}

// makeAll makes empty files, or directories, of these names.
func makeAll(t *testing.T, dir string, m machine.Machine, path string, names []string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		at := filepath.Join(path, name)
		if _, err := os.Lstat(filepath.Join(dir, at)); err == nil {
			continue
		}
		if m.Exists(at + "/.") {
			if err := os.MkdirAll(filepath.Join(dir, at), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(at, "")(t, dir)
	}
}

// Who types sudo is looked at, by the process from which that was typed.
func TestCallerBehind(t *testing.T) {
	alice, err := check.Caller(recorded(t, v2))
	if err != nil {
		t.Fatal(err)
	}
	status := func(parent, uid int) string {
		return fmt.Sprintf("Name:\tx\nPPid:\t%d\nUid:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\nGid:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\n", parent, uid)
	}
	m := recorded(t, v2, write("/proc/self/status", status(9000, 0)), write("/proc/9000/status", status(alice.PID, 0)))
	if s, ok := check.CallerBehind(m, 1000); !ok || s.PID != alice.PID || s.Name != "alice" || s.Proc != fmt.Sprintf("/proc/%d", alice.PID) {
		t.Errorf("got %+v, %v", s, ok)
	}
	if s, ok := check.CallerBehind(m, 1001); ok {
		t.Errorf("nobody's process: %+v", s)
	}
	if s, ok := check.CallerBehind(recorded(t, v2, write("/proc/self/status", status(9000, 0))), 1000); ok {
		t.Errorf("an ancestor that is not shown: %+v", s)
	}
}
