package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// All of a fix: where one command is not enough, or more than the first counts.
func TestWholeFix(t *testing.T) {
	const cgroup = "/sys/fs/cgroup/user/alice"
	for name, test := range map[string]struct {
		machine, config, user string
		changes               []change
		check                 string
		want                  []string // the evidence, the text and the commands
	}{
		"two limits": {machine: v2, check: "limits", changes: []change{
			write(cgroup+"/pids.max", "20\n"), write(cgroup+"/pids.current", "3\n"),
			write(cgroup+"/cgroup.max.descendants", "2\n"), write(cgroup+"/cgroup.stat", "nr_descendants 2\n")}, want: []string{
			cgroup + "/cgroup.max.descendants 2, of which 2 are used", cgroup + "/pids.max 20, of which 3 are used",
			"raise them where they are set",
			"sudo sh -c 'echo max >" + cgroup + "/cgroup.max.descendants'", "sudo sh -c 'echo max >" + cgroup + "/pids.max'",
		}},
		"newuidmap of somebody else's among the system's": {machine: v2, check: "idmap-tools", changes: []change{
			stat("/usr/bin/newuidmap", machine.Stat{Mode: 0o104755, UID: 1, GID: 1})}, want: []string{
			"/usr/bin/newuidmap owner 1:1, mode 4755, capabilities 0", "install their package again",
		}},
		"newuidmap of somebody else's before the system's": {machine: v2, check: "idmap-tools", changes: []change{
			write("/usr/local/bin/newuidmap", ""), stat("/usr/local/bin/newuidmap", machine.Stat{Mode: 0o100755, UID: 1000, GID: 1000})}, want: []string{
			"/usr/local/bin/newuidmap owner 1000:1000, mode 0755, capabilities 0", "take them out of PATH: the system's own come after them",
		}},
		"no devices any more": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "# user type bridge number\nalice  veth lxcbr0 0\n")}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/etc/lxc/lxc-usernet:2 alice veth lxcbr0 0, which gives none", "/sys/class/net/lxcbr0 is not there",
			"give the user some (10 here); and make the bridge, or name one that is there",
			`sudo sh -c 'printf '\''\n%s\n'\'' '\''alice veth lxcbr0 10'\'' >>/etc/lxc/lxc-usernet'`, "editor " + config,
		}},
		"one file for all services": {machine: v2, user: "alice", check: "pam-line", changes: []change{
			remove("/etc/pam.d"), write("/etc/pam.conf", "sshd session required pam_unix.so\n")}, want: []string{
			`for every login add the line "sshd session optional pam_cgdeleg.so" to /etc/pam.conf`,
			`sudo sh -c 'printf '\''\nsshd session optional pam_cgdeleg.so\n'\'' >>/etc/pam.conf'`,
		}},
		"another's files in a session": {machine: v2, check: "writable", changes: []change{
			stat(cgroup+"/0/cgroup.procs", machine.Stat{Mode: 0o100644})}, want: []string{
			cgroup + "/0/cgroup.procs owner 0:0, mode 0644", "log in again",
		}},
		"a threaded session": {machine: v2, check: "leaf", changes: []change{write(cgroup+"/0/cgroup.type", "threaded\n")}, want: []string{
			cgroup + "/0/cgroup.type threaded",
			"end all that runs in it, and then log in again: what made it so cannot be taken back, and beside it no login gets a session",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, test.machine, test.changes...)}
			var err error
			if test.user != "" {
				f.Subject, err = check.User(f.Machine, test.user)
			} else {
				f.Subject, err = check.Caller(f.Machine)
			}
			if err == nil && test.config != "" {
				f.Config, err = lxcconf.Read(f.Machine, test.config)
			}
			if err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			i := slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == test.check })
			if got, want := wholeFix(findings[i]), strings.Join(test.want, "\n"); got != want {
				t.Errorf("%s: %s\ngot\n%s\nwant\n%s", findings[i].Status, findings[i].Says, got, want)
			}
		})
	}
}

func wholeFix(f check.Finding) string {
	var lines []string
	for _, e := range f.Evidence {
		lines = append(lines, e.Path+" "+e.Value)
	}
	if f.Fix == nil {
		return strings.Join(append(lines, "no fix"), "\n")
	}
	lines = append(lines, f.Fix.Text)
	for _, c := range f.Fix.Commands {
		lines = append(lines, fmt.Sprint(c))
	}
	return strings.Join(lines, "\n")
}
