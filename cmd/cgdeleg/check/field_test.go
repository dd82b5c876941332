package check_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is true of machines whose owners asked in public why containers do not start.
// Beside what is found, no fix may be printed that cannot work there.
func TestField(t *testing.T) {
	for name, test := range map[string]struct {
		want  []string // troubles
		says  string   // the first of them, or a part of it
		text  string   // of its fix, or a part of it
		fix   string   // its first command, or a part of it; "": it has none
		never []string // what no command of any fix has
	}{
		"wsl29": {[]string{"failed:login"}, "outside of the units that systemd makes for logins", "log in on the console, or by ssh", "systemd-run --user --scope", []string{"cgdeleg open", "session-.scope"}},
		"rpi-memory-off": {[]string{"warning:controllers"}, "because the kernel's command line has cgroup_disable=memory",
			"cmdline.txt", "", []string{"systemctl edit"}},
		"rpi-612-memory-absent": {[]string{"warning:controllers"}, "because the kernel's command line has cgroup_disable=memory",
			"cmdline.txt", "", []string{"systemctl edit"}},
		"proxmox-subid": {[]string{"failed:subid"}, "none of this user namespace's", "outside, give this container more IDs", "", []string{"usermod"}},
		"subid-sss":     {[]string{"unknown:subid"}, "come from sss", "look in sss whether alice has enough subordinate IDs", "", []string{"usermod", "touch"}},
		"subuid-blank":  {[]string{"failed:subid"}, "newuidmap does not take /etc/subuid:1", "correct /etc/subuid:1 and /etc/subgid:1", "sudo editor /etc/subuid /etc/subgid", []string{"usermod"}},
		"own-uid-in-range": {[]string{"failed:subid-overlap"}, "alice's own ID is in a range of alice's subordinate IDs: podman and rootless Docker map both",
			"another range", "sudo editor /etc/subuid", []string{"usermod"}},
		"nixos": {[]string{"failed:pam-line", "failed:delegation"}, `"sshd" has no line of the module`,
			"in the configuration from which this machine's /etc is built", "", []string{"apt", "/etc/", "cgdeleg open"}},
		"hidepid": {[]string{"unknown:mode"}, "hidepid", "ask as root", "sudo cgdeleg check --pid 701", []string{"cgdeleg open"}},
		"openwrt": {[]string{"failed:module"}, "this machine has no PAM", "so that every later login gets cgroups: have root", "sudo cgdeleg open --user alice --pid 902", []string{"apt", "opkg"}},
		"cgred":   {[]string{"failed:session"}, "pam_cgroup.so moved the shell to another cgroup", "remove the rules for alice from /etc/cgrules.conf, or remove the line of pam_cgroup.so", "sudo vi /etc/cgrules.conf", []string{"cgdeleg open"}},
		"slurm-v1": {[]string{"failed:session"}, "Slurm put this login into a job, and the module has moved it out in the hierarchies memory freezer",
			"leaves such a login in its job", "", []string{"cgdeleg open"}},
		"usepam-no": {[]string{"failed:session"}, "sshd did not call PAM for this shell: it was built without PAM", "install openssh-server-pam, set UsePAM yes in /etc/ssh/sshd_config", "sudo apk add openssh-server-pam", nil},
		"cgmanager": {[]string{"unknown:mode"}, "no cgroup file system is mounted, and it cannot be told whether cgmanager, which LXC 1.1.5 asks first, gives alice cgroups", "not over /sys/fs/cgroup", "cgm ping", []string{"mount", "umount"}},
		"ad-name":   {[]string{"failed:subid"}, "newuidmap does not take /etc/subuid:1", "correct /etc/subuid:1 and /etc/subgid:1", "sudo editor /etc/subuid /etc/subgid", []string{"usermod"}},
		"cgroup-use": {[]string{"warning:controllers", "failed:lxc-view"}, "because the kernel's command line has cgroup_disable=memory",
			"cmdline.txt", "", []string{"cgdeleg open"}},
		"cockpit":     {[]string{"unknown:login"}, "the PAM service cockpit has no line of the module", "the PAM service cockpit of cockpit-session", "pam_cgdeleg.so\\n'\\'' >>/etc/pam.d/cockpit", []string{"cgdeleg open"}},
		"pasted-only": {[]string{"unknown:mounts", "unknown:module", "unknown:pam-cgfs", "unknown:userns", "unknown:idmap-tools", "unknown:subid", "unknown:paths"}, "not recorded", "", "", []string{"umount", "apt", "cgdeleg open"}},
	} {
		t.Run(name, func(t *testing.T) {
			findings := findingsOf(t, "field/"+name, "")
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			wantFirst(t, findings, test.says, test.fix)
			fix := findings[slices.IndexFunc(findings, isTrouble)].Fix
			if fix == nil {
				fix = &check.Fix{}
			}
			if !strings.Contains(fix.Text, test.text) || test.fix == "" && len(fix.Commands) > 0 {
				t.Errorf("its fix is %q by %v, want %q", fix.Text, fix.Commands, test.text)
			}
			for _, finding := range findings {
				wantNone(t, finding, test.never)
			}
		})
	}
}

// What was not recorded, or is hidden, is nowhere said to be not there.
func TestUntold(t *testing.T) {
	for _, name := range []string{"field/pasted-only", "field/hidepid"} {
		for _, finding := range findingsOf(t, name, "") {
			for _, never := range []string{"no hierarchy is usable", "none is usable", "does not manage", "there is no /etc/pam.d"} {
				if strings.Contains(finding.Says, never) {
					t.Errorf("%s: %s: %s", name, finding.Name, finding.Says)
				}
			}
		}
	}
}

// findingsOf runs all checks over a recorded machine, as who recorded it.
func findingsOf(t *testing.T, name, container string) []check.Finding {
	t.Helper()
	return findingsOn(t, recorded(t, name), container)
}

// findingsOn is findingsOf for a machine that somebody has changed.
func findingsOn(t *testing.T, m machine.Machine, container string) []check.Finding {
	t.Helper()
	f := &check.Facts{Machine: m, System: versionsOf(t, m)}
	var err error
	if f.Subject, err = check.Caller(m); err != nil {
		t.Fatal(err)
	}
	if container != "" {
		file, err := lxcconf.ContainerPath(m, f.Subject.Home, container)
		if err == nil {
			f.Config, err = lxcconf.Read(m, file)
		}
		f.ConfigError = err
	}
	return run(t, f)
}

// Machines of the same kinds, each with a file EXPECTED that says what is true there. They
// were made by somebody who knew the public reports and not the checks.
func TestTried(t *testing.T) {
	for name, test := range map[string]struct {
		container string
		want      []string // troubles
		says      string   // the first of them, or its beginning
		fix       string   // its first command, or its beginning; "": it has none
	}{
		"no-libpam-systemd":                 {"", []string{"failed:session"}, "the login by sshd has no scope of its own, and its containers have no cgroups: it stayed in systemd's ssh.service, because pam_systemd.so, which has systemd make a scope for each login, is not installed", "sudo apt install libpam-systemd"},
		"custom-sshd-stack":                 {"", []string{"failed:session"}, `the login by sshd-session has no scope of its own, and its containers have no cgroups: it stayed in systemd's ssh.service, because the login's PAM service "sshd" has no line of pam_systemd.so`, "sudo sed -i '4i session optional pam_systemd.so' /etc/pam.d/sshd"},
		"logind-masked":                     {"", []string{"failed:session"}, "the login by sshd has no scope of its own, and its containers have no cgroups: it stayed in systemd's ssh.service, because systemd-logind, which makes a scope for each login, is masked", "sudo systemctl unmask systemd-logind.service"},
		"cron-debian":                       {"", []string{"failed:session"}, `the login by cron has no scope of its own, and its containers have no cgroups: it stayed in systemd's cron.service, because the login's PAM service "cron" has no line of pam_systemd.so`, `sudo sh -c 'printf '\''\nsession optional pam_systemd.so\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/cron'`},
		"runner-service":                    {"", []string{"failed:login"}, "no login has started this process: it is in actions.runner.service, whose cgroup systemd does not delegate", "sudo mkdir -p /etc/systemd/system/actions.runner.service.d"},
		"dropbear-other":                    {"", []string{"failed:login"}, "this shell was started by dropbear, which opens no PAM session", "sudo cgdeleg open --user alice --pid 701"},
		"dropbear-file":                     {"", []string{"failed:login"}, "this shell was started by dropbear, which opens no PAM session", "sudo cgdeleg open --user alice --pid 701"},
		"dropbear-openrc":                   {"", []string{"failed:login"}, "this shell was started by dropbear, which opens no PAM session", "sudo cgdeleg open --user alice --pid 701"},
		"dropbear-systemd":                  {"", []string{"failed:login"}, "this shell was started by dropbear, which opens no PAM session", ""},
		"opensuse-noline":                   {"", []string{"failed:pam-line"}, `the login came through sshd-session, whose PAM service "sshd" has no line of the module`, "sudo sh -c 'cp /usr/lib/pam.d/sshd /etc/pam.d/sshd && printf"},
		"login-remote":                      {"", []string{"failed:pam-line"}, `the login came through login, whose PAM service "remote" has no line of the module`, `sudo sh -c 'printf '\''\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/remote'`},
		"run0-noline":                       {"", []string{"failed:login"}, "this shell's login got no cgroups, and its PAM service cannot be told", ""},
		"doas-alpine":                       {"", []string{"failed:pam-line"}, `the login came through sshd, whose PAM service "sshd" has no line of the module`, "doas sh -c 'printf"},
		"termux":                            {"", []string{"failed:module", "failed:idmap-tools", "failed:subid", "unknown:paths"}, "this machine has no PAM: no login can call the module", ""},
		"vte-no-bus":                        {"", []string{"failed:leaf"}, "this shell is in vte-spawn-1.scope of systemd's user manager", ""},
		"toolbox":                           {"", []string{"failed:leaf", "failed:subid"}, "this shell is in libpod-4f.scope of systemd's user manager", ""},
		"scope-shell-leaf":                  {"c1", []string{"failed:leaf"}, "this shell is in run-r7.scope of systemd's user manager", "systemd-run --user --scope --property Delegate=yes -- lxc-start"},
		"centos7-dnf":                       {"", []string{"failed:idmap-tools"}, "newuidmap is neither in PATH nor where distributions have it", "sudo yum install shadow-utils"},
		"container-cmdline-grub":            {"", []string{"warning:controllers"}, "the session lacks the controller memory, because the kernel's command line has", ""},
		"container-nosuid":                  {"", []string{"failed:idmap-tools"}, "set-user-ID and capabilities do nothing on newuidmap and newgidmap: the mount ignores them (nosuid)", ""},
		"container-userns-clone":            {"", []string{"failed:userns"}, "kernel.unprivileged_userns_clone forbids user namespaces", ""},
		"lxc71-v1-no-systemd":               {"", []string{"failed:session", "failed:lxc-v1"}, "pam_cgroup.so moved the shell to another cgroup, by the rules of /etc/cgrules.conf", "sudo vi /etc/cgrules.conf"},
		"microos-zypper":                    {"", []string{"failed:idmap-tools"}, "newuidmap is neither in PATH nor where distributions have it", "sudo transactional-update pkg install shadow"},
		"silverblue-dnf":                    {"", []string{"failed:idmap-tools"}, "newuidmap is neither in PATH nor where distributions have it", "sudo rpm-ostree install shadow-utils"},
		"c-idmap-nou":                       {"c1", []string{"failed:config-idmap"}, "lxc.idmap has no line for user IDs (u)", `sh -c 'printf '\''\nlxc.idmap = u 0 100000 65536\n`},
		"c-idmap-overlap":                   {"c1", []string{"failed:config-idmap"}, "two lines of lxc.idmap have an ID in common, and the kernel takes no ID twice", "editor /home/alice/.local/share/lxc/c1/config"},
		"c-include-missing":                 {"c1", []string{"failed:config"}, "LXC cannot read /usr/share/lxc/config/nosuch.conf, which the configuration includes", "editor /home/alice/.local/share/lxc/c1/config"},
		"c-rootfs-elsewhere":                {"c1", nil, "", ""},
		"c-typo":                            {"", []string{"warning:hierarchies"}, "the module's -c asks for fredzer, which no mounted hierarchy has; this kernel has no controller fredze", "sudo vi /etc/pam.d/system-auth"},
		"c-veth-nolink":                     {"c1", []string{"failed:config-network"}, "a network device of type veth has no lxc.net.N.link, and lxc-user-nic ", "editor /home/alice/.local/share/lxc/c1/config"},
		"cgroup-use-all":                    {"", []string{"failed:lxc-view"}, "LXC refuses to start containers: lxc.cgroup.use names @all, which is not delegated", "sed -i 1d /home/alice/.config/lxc/lxc.conf"},
		"cgrules-comments":                  {"", []string{"failed:session"}, "the shell has no cgroup of its own in cpuset cpu,cpuacct blkio memory ", "sudo cgdeleg open --user alice --pid 701"},
		"cgrulesengd-only":                  {"", []string{"failed:session"}, "cgrulesengd moved the shell to another cgroup, by the rules of /etc/cgrules.conf: it ", "sudo vi /etc/cgrules.conf"},
		"cmdline-mem-pids":                  {"", []string{"warning:controllers"}, "the session lacks the controllers memory and pids, because the kernel's command line has", ""},
		"container-no-memory":               {"", []string{"warning:controllers"}, "the session lacks the controller memory, because this container has not been given it", ""},
		"cgrules-d":                         {"", []string{"failed:session"}, "cgrulesengd moved the shell to another cgroup, by the rules of /etc/cgrules.d/50-alice.conf: it has no cgroup of its own in cpu,cpuacct memory", "sudo vi /etc/cgrules.d/50-alice.conf"},
		"cgrules-ditto":                     {"", []string{"failed:session"}, "cgrulesengd moved the shell to another cgroup, by the rules of /etc/cgrules.conf: it has no cgroup of its own in cpu,cpuacct memory", "sudo vi /etc/cgrules.conf"},
		"cgrules-innocent":                  {"", []string{"failed:session"}, "the shell has no cgroup of its own in unified, though the login's PAM service has a line", "sudo cgdeleg open --user alice --pid 701"},
		"own-job-cgroup":                    {"", nil, "", ""},
		"delegate-later-dropin":             {"", []string{"warning:controllers"}, "the session lacks the controller memory, because /etc/systemd/system/session-.scope.d/90-site.conf does not name it in Delegate=", "sudo editor /etc/systemd/system/session-.scope.d/90-site.con"},
		"desktop-vte":                       {"", []string{"failed:leaf"}, "this shell is in vte-spawn-ab.scope of systemd's user manager", ""},
		"docker-ro":                         {"", []string{"failed:mounts"}, "the cgroups are mounted read-only", ""},
		"gentoo-noline":                     {"", []string{"failed:pam-line"}, `the login came through sshd, whose PAM service "sshd" has no line of the module`, `sudo sh -c 'printf '\''\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/system-login'`},
		"guix":                              {"", []string{"failed:pam-line"}, `the login came through sshd, whose PAM service "sshd" has no line of the module`, "sudo cgdeleg open --user alice --pid 701"},
		"kernel-no-pids":                    {"", []string{"warning:controllers"}, "the session lacks the controller pids, because this kernel does not have it for cgroup v2", ""},
		"max-descendants":                   {"", []string{"failed:limits"}, "a limit above the session is reached: no container can be started", "sudo sh -c 'echo max >/sys/fs/cgroup/user/alice/cgroup.max.de"},
		"max-depth":                         {"", []string{"failed:limits"}, "a limit above the session is reached: no container can be started", "sudo sh -c 'echo max >/sys/fs/cgroup/user/alice/0/cgroup.max.depth'"},
		"max-depth-above":                   {"", []string{"failed:limits"}, "a limit above the session is reached: no container can be started", "sudo sh -c 'echo max >/sys/fs/cgroup/user/alice/cgroup.max.depth'"},
		"max-net-ns":                        {"c1", []string{"failed:userns"}, "user.max_net_namespaces is 0, so that no network namespace can be made", "sudo sh -c 'mkdir -p /etc/sysctl.d && echo user.max_net_namespaces=15000 >"},
		"max-cgroup-ns":                     {"", []string{"failed:userns"}, "user.max_pid_namespaces and user.max_cgroup_namespaces are 0, so that no PID and no cgroup namespace can be made", "sudo sh -c 'mkdir -p /etc/sysctl.d && echo user.max_pid_namespaces=15000 >"},
		"prlimit":                           {"c1", []string{"failed:config"}, "the limit nofile in the configuration is above the shell's own hard limit", "editor /home/alice/.local/share/lxc/c1/config"},
		"apparmor-disabled-profile":         {"", []string{"failed:apparmor"}, "AppArmor takes the capabilities of user namespaces from podman, whose profile allows user namespaces and is turned off", "sudo rm /etc/apparmor.d/disable/podman"},
		"apparmor-local-podman":             {"", []string{"failed:apparmor"}, "AppArmor takes the capabilities of user namespaces from podman, which has no profile", "sudo sh -c 'printf '\\''abi <abi/4.0>,\\nprofile usr.local.bin.podman /usr/local/bin/podman"},
		"rpi-enable-already":                {"", []string{"warning:controllers"}, "the session lacks the controller memory, because the kernel's command line has cgroup_disable=memory", ""},
		"podman-nfs":                        {"", []string{"warning:podman-storage"}, "podman's images are on nfs4", ""},
		"usernet-group-not-in":              {"c1", []string{"failed:config-network"}, "alice may have no network device on lxcbr0", ""},
		"rootfs-loop":                       {"c1", []string{"failed:config-rootfs"}, "only root can mount the container's root file system, which is of the kind loop", "editor /home/alice/.local/share/lxc/c1/config"},
		"no-stat":                           {"", []string{"unknown:session", "unknown:apparmor", "unknown:idmap-tools", "unknown:paths"}, "it cannot be told whose the shell's cgroups are: stat /sys/fs/cgroup/u", ""},
		"nss-files-sss":                     {"", nil, "", ""},
		"pam-vendor-line":                   {"", nil, "", ""},
		"podman-only-0700":                  {"", nil, "", ""},
		"rt-fine":                           {"", nil, "", ""},
		"slurm-v2":                          {"", []string{"failed:session"}, "Slurm has put this shell into a job (/system.slice/slurmstepd.scope/jo", ""},
		"sshd-option-usepam":                {"", []string{"failed:session"}, "sshd did not call PAM for this shell: UsePAM is not set to yes", "sudo cgdeleg open --user alice --pid 701"},
		"usepam-include-crypto-policies":    {"", []string{"failed:session"}, "sshd did not call PAM for this shell: UsePAM is not set to yes", "sudo editor /etc/ssh/sshd_config"},
		"subid-bobs-bad-line":               {"", nil, "", ""},
		"subid-hex":                         {"", nil, "", ""},
		"subid-numeric":                     {"", nil, "", ""},
		"subid-own-overlap":                 {"", []string{"failed:subid-overlap"}, "some IDs are given to alice twice: podman and rootless Docker map both", "sudo sed -i 2d /etc/subuid"},
		"subid-straddle":                    {"", []string{"failed:subid"}, "a range of alice's subordinate IDs is not wholly within a single line", "sudo sed -i '/^alice:100000:65536$/d' /etc/subuid"},
		"subid-twice-32768":                 {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs", "sudo sed -i '/^alice:100000:32768$/d' /etc/subuid"},
		"threaded":                          {"", []string{"failed:leaf"}, "the session's cgroup is threaded: no container can be made in it", ""},
		"tools-bind-nosuid":                 {"", []string{"failed:idmap-tools"}, "set-user-ID and capabilities do nothing on newuidmap and newgidmap: the mount ignores them (nosuid)", "sudo mount -o remount,suid /usr/bin"},
		"usepam-include-last":               {"", []string{"failed:session"}, "sshd did not call PAM for this shell: UsePAM is not set to yes", "sudo editor /etc/ssh/sshd_config"},
		"usepam-included-no":                {"", []string{"failed:session"}, "sshd did not call PAM for this shell: UsePAM is not set to yes", "sudo editor /etc/ssh/sshd_config.d/10-hard.conf"},
		"usepam-match":                      {"", []string{"failed:session"}, "sshd did not call PAM for this shell: UsePAM stands below Match, where it is not allowed (with this file sshd does not start again)", "sudo editor /etc/ssh/sshd_config"},
		"user-at-domain":                    {"", []string{"failed:subid"}, "jdoe@corp.example.com has fewer subordinate IDs than the 65536 that a ", "sudo editor /etc/subuid /etc/subgid"},
		"usernic-notsetuid":                 {"c1", []string{"failed:config-network"}, "lxc-user-nic is not set-user-ID root, and can make no network device", "sudo chown root:root /usr/lib/x86_64-linux-gnu/lxc/lxc-user-"},
		"usr-nosuid":                        {"", []string{"failed:idmap-tools"}, "set-user-ID and capabilities do nothing on newuidmap and newgidmap: the mount ignores them (nosuid)", "sudo mount -o remount,suid /usr"},
		"v1-took-memory":                    {"", []string{"warning:controllers"}, "the session lacks the controller memory, because cgroup v1 has it, mounted on /cgroup/memory", "sudo umount /cgroup/memory"},
		"podman-second-range-outside":       {"", []string{"failed:subid"}, "podman maps each of alice's lines of /etc/subuid and /etc/subgid as a whole", "sudo sed -i '/^alice:500000:65536$/d' /etc/subuid"},
		"podman-range-over-map":             {"", []string{"failed:subid"}, "podman maps each of alice's lines of /etc/subuid and /etc/subgid as a whole", "sudo sed -i '/^alice:100000:131072$/d' /etc/subuid"},
		"podman-straddle-fix":               {"", []string{"failed:subid"}, "a range of alice's subordinate IDs is not wholly within a single line", "sudo sed -i '/^alice:100000:65536$/d' /etc/subuid"},
		"podman-straddle-after-printed-fix": {"", []string{"failed:subid"}, "podman maps each of alice's lines of /etc/subuid and /etc/subgid as a whole", "sudo sed -i '/^alice:100000:65536$/d' /etc/subuid"},
		"subuid-leading-blank":              {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs: newuidmap does not take /etc/subuid:1", "sudo editor /etc/subuid /etc/subgid"},
		"subuid-blank-before-colon":         {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs: newuidmap does not take /etc/subuid:1", "sudo editor /etc/subuid /etc/subgid"},
		"subuid-bom":                        {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs: newuidmap does not take /etc/subuid:1", "sudo editor /etc/subuid /etc/subgid"},
		"alpine-no-usermod":                 {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs", "sudo sh -c 'printf '\\''\\n1000:100000:65536"},
		"cgroup-use-comounted":              {"", []string{"failed:lxc-view"}, "LXC refuses to start containers: it leaves out hierarchies of which lxc.cgroup.use", "vi /home/alice/.config/lxc/lxc.conf"},
		"lxc-3.0-no-freezer":                {"", []string{"failed:lxc-view"}, "LXC 3.0.3 refuses to start containers where the controller freezer is not delegated", `sudo sh -c 'sed -i "2s/\(-c[[:blank:]]*\)memory/\1memory,freezer/"`},
		"subuid-other-name-same-uid":        {"", nil, "", ""},
		"cgroup-use-blank":                  {"", []string{"warning:controllers", "failed:lxc-view"}, "the session lacks the controller memory, because the kernel's command line has", ""},
		"cgroup-use-first-counts":           {"", []string{"warning:controllers", "failed:lxc-view"}, "the session lacks the controller memory, because the kernel's command line has", ""},
		"cgroup-use-lxc-4.0.6":              {"", []string{"warning:controllers"}, "the session lacks the controller memory, because the kernel's command line has", ""},
		"lxc602-uid1001":                    {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "systemd-run --user --scope --property Delegate=yes -- lxc-start"},
		"lxc604-uid1001-no-address":         {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1001/bus"},
		"lxc604-uid1001-address":            {"", nil, "", ""},
		"lxc604-uid1001-unread":             {"", []string{"unknown:session"}, "it cannot be told whether LXC asks systemd's user manager for its cgroups", "export DBUS_SESSION_BUS_ADDRESS="},
		"cgroup-use-user-manager":           {"", []string{"failed:lxc-view"}, "LXC refuses to start containers: systemd's user manager, which LXC asks for its cgroups, lacks the controllers cpuset and io", "sudo mkdir -p /etc/systemd/system/user@.service.d"},
		"c-limit-user-manager":              {"c1", []string{"failed:config-limits"}, "LXC refuses to start the container: systemd's user manager, which LXC asks for its cgroups, lacks the controller cpuset", "sudo mkdir -p /etc/systemd/system/user@.service.d"},
		"c-v2-limit-not-there":              {"c1", []string{"failed:config-limits"}, "LXC refuses to start the container: the session lacks the controller cpuset, which the container's limits need, because", "sudo editor /etc/systemd/system/session-.scope.d/50-cgdeleg.conf"},
		"v1-limit-no-session":               {"c1", []string{"failed:pam-line"}, "the login came through sshd.pam, whose PAM service", "sudo sh -c 'printf"},
		"podman-unknown-hidden":             {"", []string{"unknown:podman-storage"}, "it cannot be told whether users may mount overlay", ""},
		"podman-dropin-cgroupfs":            {"", []string{"failed:podman-cgroups"}, "podman's configuration has it make its cgroups itself (cgroupfs)", "editor /home/alice/.config/containers/containers.conf.d/10-x.conf"},
		"podman-user-manager-memory-off":    {"", []string{"warning:controllers"}, "systemd's user manager lacks the controller memory, because the kernel's command line has", ""},
		"desktop-podman":                    {"", nil, "", ""},
		"desktop-lxc6":                      {"", nil, "", ""},
		"desktop-lxc5-no-bus":               {"", []string{"failed:leaf"}, "this shell is in vte-spawn-1.scope of systemd's user manager", ""},
		"su-from-root-podman":               {"", []string{"failed:session"}, "the shell is in session-1.scope, which belongs to a login of root (su and sudo", "sudo loginctl enable-linger alice"},
		"lxc6-no-bus":                       {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "sudo apt install dbus-user-session"},
		"lxc5-bus-no-module":                {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "systemd-run --user --scope --property Delegate=yes -- lxc-start"},
		"lxc5-podman-bus":                   {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "systemd-run --user --scope --property Delegate=yes -- lxc-start"},
		"podman-v1-no-module":               {"", nil, "", ""},
		"podman-user-manager-no-io":         {"", []string{"failed:podman-limits"}, "podman starts nothing: cgroup_conf needs the controller io, which systemd's user manager does not have", "sudo mkdir -p /etc/systemd/system/user@.service.d"},
		"wsl-no-systemd":                    {"", []string{"failed:login"}, "this shell was started without PAM: WSL's init has started it", "su - alice"},
		"alpine-sshdpam":                    {"", []string{"failed:pam-line"}, `the login came through sshd.pam, whose PAM service "sshd" has no line of the module`, `sudo sh -c 'printf '\''\nsession optional pam_cgdeleg.so\n`},
		"v1-bound-unmounted":                {"", []string{"warning:controllers"}, "the session lacks the controller memory, because cgroup v1 has it, in a hierarchy that is not mounted here", ""},
		"no-userns":                         {"", []string{"failed:userns"}, "this kernel has no user namespaces (CONFIG_USER_NS)", ""},
		"no-userns-sysctl":                  {"", []string{"failed:userns"}, "this kernel has no user namespaces (CONFIG_USER_NS)", ""},
		"apparmor-lxc-none":                 {"", []string{"failed:apparmor"}, "AppArmor takes the capabilities of user namespaces from LXC", "sudo sh -c 'printf '\\''abi <abi/4.0>"},
		"apparmor-podman":                   {"", nil, "", ""},
		"apparmor-podman-lxd":               {"", nil, "", ""},
		"usernet-blank":                     {"c1", []string{"failed:config-network"}, "alice may have no network device on lxcbr0", "sudo sed -i '1s/^[[:blank:]]*//' /etc/lxc/lxc-usernet"},
		"debian12-stock":                    {"c1", []string{"failed:config-network", "failed:config-apparmor"}, "alice may have no network device on lxcbr0: lxc-user-nic makes none, and the container does not start; and the bridge lxcbr0 is not there", "sudo sh -c 'printf"},
		"systemd-tasksmax":                  {"", []string{"warning:limits"}, "limits above the session leave little room", "sudo editor /etc/systemd/system/user-.slice.d/10-tasks.conf"},
		"idmap-wrong-range":                 {"c1", []string{"failed:config-idmap"}, "IDs in the container's lxc.idmap are not among alice's subordinate IDs", "sed -i -e '1s/=.*/= u 0 300000 65536/' -e '2s/=.*/= g 0 300000 65536/' /home"},
		"void-noline":                       {"", []string{"failed:pam-line"}, `the login came through sshd-session, whose PAM service "sshd" has no line`, `sudo sh -c 'printf '\''\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/system-login'`},
		"nss-sss-files":                     {"", []string{"unknown:subid"}, "subordinate IDs come from sss, which cgdeleg check does not ask", ""},
		"debian11-nss-sss":                  {"", nil, "", ""},
		"subid-end-of-all":                  {"", []string{"failed:subid"}, "a range of alice's subordinate IDs is not wholly within a single line", "sudo sed -i '/^alice:4294967295:1$/d' /etc/subuid"},
		"nothing-installed":                 {"", nil, "", ""},
		"podman-no-conmon":                  {"", []string{"failed:podman-runtime"}, "no command of podman's works: podman finds no conmon", "sudo dnf install conmon"},
		"podman-no-tun":                     {"", []string{"failed:podman-network"}, "there is no /dev/net/tun, without which slirp4netns makes no network", ""},
		"podman-no-netavark":                {"", []string{"failed:podman-network"}, "no command of podman's works: podman finds no netavark in /usr/local/libexec/podman", "sudo dnf install netavark"},
		"etc-readonly":                      {"", []string{"failed:subid"}, "alice has fewer subordinate IDs than the 65536 that a container needs", ""},
		"flatpak-vscode":                    {"", []string{"failed:userns"}, "this shell is in a sandbox of Flatpak's, which lets nobody make user namespaces", ""},
		"wsl1":                              {"", []string{"failed:mode"}, "this is WSL 1, which has neither the cgroups nor the namespaces that containers need", ""},
		"podman-stable-image":               {"", []string{"warning:podman-runtime"}, "podman's containers have no cgroups of their own, and so no limits: its configuration says so, and cgroups are mounted read-only here", ""},
		"runc-rootless-no-newuidmap":        {"", []string{"warning:idmap-tools"}, "newuidmap is neither in PATH nor where distributions have it: runc starts only", "sudo apt install uidmap"},
		"docker-seccomp":                    {"", []string{"failed:leaf", "unknown:userns"}, "there are processes in the session's cgroup itself", "sh -c 'mkdir -p /sys/fs/cgroup/init/init.scope"},
		"void-dash":                         {"", []string{"failed:module"}, "pam_cgdeleg.so is in no security directory of PAM", "sudo cgdeleg open --user alice --pid 701"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := findingsOf(t, "tried/"+name, test.container)
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if len(test.want) == 0 {
				return
			}
			first := findings[slices.IndexFunc(findings, isTrouble)]
			command := ""
			if first.Fix != nil && len(first.Fix.Commands) > 0 {
				command = first.Fix.Commands[0].String()
			}
			if !strings.HasPrefix(first.Says, test.says) || !strings.HasPrefix(command, test.fix) || test.fix == "" && command != "" {
				t.Errorf("it says %q, fixed by %q; want %q, fixed by %q", first.Says, command, test.says, test.fix)
			}
		})
	}
}

// wantNone fails the test if a command of the finding's fix has one of the words.
func wantNone(t *testing.T, finding check.Finding, words []string) {
	t.Helper()
	if finding.Fix == nil {
		return
	}
	for _, command := range finding.Fix.Commands {
		for _, word := range words {
			if strings.Contains(command.String(), word) {
				t.Errorf("%s is fixed by %s", finding.Name, command)
			}
		}
	}
}

// versionsOf returns a system that says what the recorded one's programs said.
func versionsOf(t *testing.T, m machine.Machine) (s system) {
	t.Helper()
	data, err := m.ReadFile("/versions")
	if err != nil && !errors.Is(err, machine.ErrNotRecorded) {
		t.Fatal(err)
	}
	var clients []string
	for line := range strings.Lines(string(data)) {
		switch name, version, _ := strings.Cut(strings.TrimSpace(line), " "); name {
		case "lxc":
			s.lxc = version
		case "systemd":
			s.systemd = version
		default:
			clients = append(clients, name+" "+version)
		}
	}
	s.clients = strings.Join(clients, ", ")
	environment, err := m.ReadFile("/variables")
	s.isUnread = err != nil
	var variables []string
	for line := range strings.Lines(string(environment)) {
		variables = append(variables, strings.Replace(strings.TrimSpace(line), " ", "=", 1))
	}
	s.variables = strings.Join(variables, ", ")
	return s
}
