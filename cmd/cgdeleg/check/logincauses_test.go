package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// What keeps a login from its cgroups, or a session from controllers, is said where it stands.
func TestCausesOfLogins(t *testing.T) {
	const common, session, memory = "/etc/pam.d/common-session", "/sys/fs/cgroup/user/alice/0", "memory\n"
	const line = "session\toptional\tpam_cgdeleg.so "
	const stray = "80 24 0:99 / /mnt/mem rw,relatime - cgroup none rw,memory\n"
	const commas = "/etc/systemd/system/session-.scope.d/50-cgdeleg.conf"
	alone := write("/proc/self/cgroup", "0::/\n")
	noControllers := all(write(scopeOf+"/cgroup.controllers", "\n"), write("/sys/fs/cgroup/user.slice/cgroup.subtree_control", "\n"))
	listed := all(replace(common, line, line+"-c freezer,memory,name=systemd"), write(session+"/cgroup.controllers", memory))
	noMounts := all(emptied("/sys/fs/cgroup"), write("/proc/self/mountinfo", "22 1 0:21 / / rw - ext4 /dev/vda rw\n"), write("/run/openrc/softlevel", "default\n"))
	strayed := all(appendTo("/proc/self/mountinfo", stray), appendTo("/proc/self/cgroup", "5:memory:/\n"), appendTo("/proc/1/cgroup", "5:memory:/\n"),
		write("/mnt/mem/cgroup.procs", ""), write(session+"/cgroup.controllers", "cpu cpuset io pids\n"), write("/sys/fs/cgroup/cgroup.controllers", "cpu cpuset io pids\n"))
	for name, test := range map[string]struct {
		machine string
		change  change
		config  bool
		want    []string // troubles
		says    []string // what is in their words, evidence, fix or commands
		never   string   // and what is not
	}{
		"the list of Debian's pam_cgfs": {v2, listed, false, []string{"warning:controllers"},
			[]string{"the controllers cpu and pids, because the list after -c in " + common + ":", "does not name them", "leave -c and its list out of line", `s/[[:blank:]]*-c[[:blank:]]*freezer,memory,name=systemd//" "$(readlink -f ` + common}, "subtree_control"},
		"a list in one word": {v2, all(replace(common, line, line+"-cmemory"), write(session+"/cgroup.controllers", memory)), false, []string{"warning:controllers"},
			[]string{`s/[[:blank:]]*-c[[:blank:]]*memory//"`}, "editor"},
		"a list in the next line of the file": {v2, all(replace(common, line, line+"\\\n -c memory"), write(session+"/cgroup.controllers", memory)), false, []string{"warning:controllers"},
			[]string{"leave -c and its list out of line", "editor " + common}, "sed"},
		"a list, and limits of what it does not name": {v2, listed, true, []string{"failed:config-limits"},
			[]string{"lacks the controller pids, which the container's limits need, because the list after -c in " + common, "leave -c and its list out of line", "or remove these limits"}, "cgdeleg open"},
		"a list, and lxc.cgroup.use": {v2, all(listed, write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = memory,pids\n")), false, []string{"warning:controllers", "failed:lxc-view"},
			[]string{"which is not delegated, because the list after -c in " + common, "leave -c and its list out of line", "or write lxc.cgroup.use = memory in"}, ""},
		"a list that names it, and it is not enabled": {v2, all(replace(common, line, line+"-c memory,cpu,pids"), write(session+"/cgroup.controllers", memory)), false, []string{"warning:controllers"},
			[]string{"neither the machine's init nor the module has enabled"}, "list after -c"},
		"commas in Delegate=": {v2sd, all(noControllers, write(commas, "[Scope]\nDelegate=cpu,memory,pids\n")), false, []string{"warning:controllers"},
			[]string{commas + " has commas between the names in Delegate=", "write Delegate=cpu memory pids in " + commas, "sudo sed -i", "daemon-reload"}, "does not name"},
		"a control that PAM does not know": {v2, replace(common, "optional\tpam_cgdeleg", "optinal\tpam_cgdeleg"), false, []string{"warning:pam-line"},
			[]string{"PAM does not know optinal in the module's line", "write optional in place of optinal in line"}, ""},
		"a result that PAM does not know": {v2, replace(common, "optional\tpam_cgdeleg", "[succeeded=ok default=ignore]\tpam_cgdeleg"), false, []string{"warning:pam-line"},
			[]string{"PAM does not know [succeeded=ok default=ignore]"}, ""},
		"a control in brackets": {v2, replace(common, "optional\tpam_cgdeleg", "[success=ok default=ignore]\tpam_cgdeleg"), false, nil, nil, ""},
		"a line that refuses every session": {v2, all(alone, replace(common, "session\t[default=1]", "session requisite pam_deny.so\nsession\t[default=1]")), false, []string{"failed:pam-reached"},
			[]string{"refuses every session", common + ":15: requisite pam_deny.so", "remove line 15 of " + common}, "cgdeleg open"},
		"such a line, and a session": {v2, replace(common, "session\t[default=1]", "session requisite pam_deny.so\nsession\t[default=1]"), false, nil, nil, ""},
		"a session of another user's": {v2, write("/proc/self/cgroup", "0::/user/bob/0/init.scope\n"), false, []string{"failed:session"},
			[]string{"the shell is in a session that was made for bob, and has no cgroup of its own in unified"}, ""},
		"v1 mounted where nobody looks": {v2, strayed, false, []string{"warning:controllers"},
			[]string{"cgroup v1 has it, mounted on /mnt/mem, where no program looks", "sudo umount /mnt/mem"}, "cgdeleg open"},
		"a small limit, and not what is used of it": {v2, all(write("/sys/fs/cgroup/user/pids.max", "5\n"), remove("/sys/fs/cgroup/user/pids.current")), false, []string{"warning:limits"},
			[]string{"/sys/fs/cgroup/user/pids.max: 5\n"}, "are used"},
		"OpenRC that does not mount cgroups": {v2, all(noMounts, write("/etc/init.d/cgroups", "#!/sbin/openrc-run\n")), false, []string{"failed:mode"},
			[]string{"have OpenRC mount the cgroup file systems, now and at boot", "sudo rc-update add cgroups", "sudo rc-service cgroups start"}, "mount -t"},
		"OpenRC without its script for cgroups": {v2, noMounts, false, []string{"failed:mode"}, []string{"mount -t cgroup2"}, "rc-update"},
	} {
		t.Run(name, func(t *testing.T) {
			container := ""
			if test.config {
				container = "c1"
			}
			findings := findingsOn(t, recorded(t, test.machine, test.change, write("/versions", "lxc 5.0.2\n")), container)
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if len(test.want) == 0 {
				return
			}
			text := ""
			for _, finding := range findings {
				if isTrouble(finding) && finding.BlockedBy == "" {
					text += allOf(finding) + "\n"
				}
			}
			for _, word := range test.says {
				if !strings.Contains(text, word) {
					t.Errorf("%q is not in\n%s", word, text)
				}
			}
			if test.never != "" && strings.Contains(text, test.never) {
				t.Errorf("%q is in\n%s", test.never, text)
			}
		})
	}
}

// LXC before 3.0.4 starts nothing on v1 without freezer: also where that is only a part of what
// the session lacks.
func TestStopsWithoutFreezer(t *testing.T) {
	for version, want := range map[string]string{"3.0.3": "LXC 3.0.3 refuses to start containers without a cgroup in freezer", "3.0.4": "", "2.1.1": ""} {
		f := &check.Facts{Machine: recorded(t, v1, replace("/proc/self/cgroup", "freezer:/user/alice/0", "freezer:/")), System: system{lxc: version}}
		var err error
		if f.Subject, err = check.Caller(f.Machine); err != nil {
			t.Fatal(err)
		}
		findings := run(t, f)
		i := slices.IndexFunc(findings, isTrouble)
		if got := f.WhyStops(findings[i]); findings[i].Name != "session" || got != want || f.Stops(findings[i]) != (want != "") {
			t.Errorf("LXC %s: %s stops for %q, want %q", version, findings[i].Name, got, want)
		}
	}
}

// Systemd's user manager takes a shell's processes from wherever they are; podman does not find
// what it makes where systemd has its cgroups below another.
func TestOutsideOfUnits(t *testing.T) {
	const where = "/sys/fs/cgroup/wsl-user/distro-280/systemd/user.slice"
	m := recorded(t, "field/wsl29")
	f := &check.Facts{Machine: m, System: versionsOf(t, m)}
	var err error
	if f.Subject, err = check.Caller(m); err != nil {
		t.Fatal(err)
	}
	findings := run(t, f)
	if got := f.WhyStops(findings[slices.IndexFunc(findings, isTrouble)]); !strings.Contains(got, "podman looks in ") || !strings.HasSuffix(got, where) {
		t.Errorf("containers do not start because %q", got)
	}
}

// hidepid is seen in mountinfo, or else only guessed.
func TestHidden(t *testing.T) {
	for name, c := range map[string]change{
		"as where it is mounted with hidepid":            nil,
		"/proc/self/mountinfo: /proc hidepid=ptraceable": replace("/proc/self/mountinfo", "- proc proc rw", "- proc proc rw,hidepid=ptraceable,gid=5"),
	} {
		changes := []change{c}
		if c == nil {
			changes = nil
		}
		findings := findingsOn(t, recorded(t, "field/hidepid", changes...), "")
		if text := allOf(findings[slices.IndexFunc(findings, isTrouble)]); !strings.Contains(text, name) {
			t.Errorf("%q is not in\n%s", name, text)
		}
	}
}
