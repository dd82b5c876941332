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
			"raise the limits where they are set",
			"sudo sh -c 'echo max >" + cgroup + "/cgroup.max.descendants'", "sudo sh -c 'echo max >" + cgroup + "/pids.max'",
		}},
		"newuidmap of somebody else's among the system's": {machine: v2, check: "idmap-tools", changes: []change{
			stat("/usr/bin/newuidmap", machine.Stat{Mode: 0o104755, UID: 1, GID: 1})}, want: []string{
			"/usr/bin/newuidmap owner 1:1, mode 4755, capabilities 0", "install the package of newuidmap again",
		}},
		"newuidmap of somebody else's before the system's": {machine: v2, check: "idmap-tools", changes: []change{
			write("/usr/local/bin/newuidmap", ""), stat("/usr/local/bin/newuidmap", machine.Stat{Mode: 0o100755, UID: 1000, GID: 1000})}, want: []string{
			"/usr/local/bin/newuidmap owner 1000:1000, mode 0755, capabilities 0", "remove the directory of newuidmap from PATH: the system's own come after it",
		}},
		"lxc.cgroup.use of more than the session has": {machine: v1, check: "lxc-view", changes: []change{
			replace("/proc/self/cgroup", "memory:/user/alice/0", "memory:/"), replace("/etc/pam.d/common-session", "freezer,memory", "freezer"), write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer,memory\n")}, want: []string{
			"/home/alice/.config/lxc/lxc.conf:1 lxc.cgroup.use = freezer,memory", "/sys/fs/cgroup/freezer/user/alice/0 freezer", "/sys/fs/cgroup/openrc/user/alice/0 name=openrc",
			"so that every later session has the controller memory: write -c freezer,name=openrc,memory in /etc/pam.d/common-session; for this shell, now: make a session with the controller memory; or write lxc.cgroup.use = freezer in /home/alice/.config/lxc/lxc.conf",
			`sudo sh -c 'sed -i "26s/\(-c[[:blank:]]*\)freezer,name=openrc/\1freezer,name=openrc,memory/" "$(readlink -f /etc/pam.d/common-session)"'`,
			"sudo cgdeleg open --user alice --pid 190 -c freezer,name=openrc,memory",
			"# or: sed -i '1s/=.*/= freezer/' /home/alice/.config/lxc/lxc.conf",
		}},
		"no devices any more": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "# user type bridge number\nalice  veth lxcbr0 0\n")}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/etc/lxc/lxc-usernet:2 alice veth lxcbr0 0, which gives none", "/sys/class/net/lxcbr0 is not there",
			"allow alice 10 network devices on lxcbr0; and make the bridge, or name one that is there",
			`sudo sh -c 'printf '\''\n%s\n'\'' '\''alice veth lxcbr0 10'\'' >>/etc/lxc/lxc-usernet'`, "editor " + config,
		}},
		"a sysctl.conf that systemd does not read": {machine: v2sd, check: "userns", changes: []change{
			write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.conf", "user.max_user_namespaces=0\n")}, want: []string{
			"/proc/sys/user/max_user_namespaces 0", "allow user namespaces in /etc/sysctl.conf, for every boot and now",
			"sudo sed -i 's|^[[:blank:]]*-*user[./]max_user_namespaces[[:blank:]]*=.*|user.max_user_namespaces=15000|' /etc/sysctl.conf",
			"sudo sh -c 'mkdir -p /etc/sysctl.d && echo user.max_user_namespaces=15000 >/etc/sysctl.d/99-max_user_namespaces.conf'",
			"sudo sysctl -w user.max_user_namespaces=15000",
		}},
		"no lxcbr0 with Debian's sysvinit": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/etc/init.d/lxc-net", ""), write("/etc/default/lxc-net", ""), stat("/usr/sbin/update-rc.d", machine.Stat{Mode: 0o100755})}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/sys/class/net/lxcbr0 is not there",
			"start the service that makes lxcbr0, now and at boot; with USE_LXC_BRIDGE=\"false\" in /etc/default/lxc-net it makes none", "sudo update-rc.d lxc-net defaults", "sudo service lxc-net start",
		}},
		"no lxcbr0 with OpenRC": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/etc/init.d/lxc-net", ""), write("/run/openrc/softlevel", "default\n")}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/sys/class/net/lxcbr0 is not there",
			"start the service that makes lxcbr0, now and at boot", "sudo rc-update add lxc-net", "sudo rc-service lxc-net start",
		}},
		"no lxcbr0 with OpenRC, and none to be made": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/etc/init.d/lxc-net", ""), write("/run/openrc/softlevel", "default\n"), write("/etc/default/lxc", "USE_LXC_BRIDGE=false\n")}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/sys/class/net/lxcbr0 is not there", "/etc/default/lxc:1 USE_LXC_BRIDGE=false",
			"have lxc-net make it, now and at boot", `sudo sed -i 's/^[[:blank:]]*USE_LXC_BRIDGE=.*/USE_LXC_BRIDGE="true"/' /etc/default/lxc`,
			"sudo rc-update add lxc-net", "sudo rc-service lxc-net restart",
		}},
		"no lxcbr0 with Alpine's lxc-bridge": {machine: v2, config: config, check: "config-network", changes: []change{
			veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/etc/init.d/dnsmasq.lxcbr0", ""), write("/run/openrc/softlevel", "default\n")}, want: []string{
			config + ":6 lxc.net.0.link = lxcbr0", "/sys/class/net/lxcbr0 is not there",
			"start the service that makes lxcbr0, now and at boot", "sudo rc-update add dnsmasq.lxcbr0", "sudo rc-service dnsmasq.lxcbr0 start",
		}},
		"one file for all services": {machine: v2, user: "alice", check: "pam-line", changes: []change{
			remove("/etc/pam.d"), write("/etc/pam.conf", "sshd session required pam_unix.so\n")}, want: []string{
			`so that every later login gets cgroups: add the line "sshd session optional pam_cgdeleg.so" to /etc/pam.conf`,
			`sudo sh -c 'printf '\''\nsshd session optional pam_cgdeleg.so\n'\'' >>/etc/pam.conf'`,
		}},
		"another's files in a session": {machine: v2, check: "writable", changes: []change{
			stat(cgroup+"/0/cgroup.procs", machine.Stat{Mode: 0o100644})}, want: []string{
			cgroup + "/0/cgroup.procs owner 0:0, mode 0644", "log in again",
		}},
		"a threaded session": {machine: v2, check: "leaf", changes: []change{write(cgroup+"/0/cgroup.type", "threaded\n")}, want: []string{
			cgroup + "/0/cgroup.type threaded",
			"end all that runs in the session, and then log in again: a threaded cgroup stays so, and beside it no login gets a session",
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
		line := fmt.Sprint(c)
		if c.Or {
			line = "# or: " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
