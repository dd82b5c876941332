package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

const (
	bookworm = "runc 1.1.5+ds1, crun 1.8.1, podman 4.3.1, bwrap 0.8.0"
	trixie   = "runc 1.1.15+ds1, crun 1.21, podman 5.4.2, bwrap 0.11.0"

	containersConf = "/home/alice/.config/containers/containers.conf"
	storageConf    = "/home/alice/.config/containers/storage.conf"
	netavark       = "/usr/lib/podman/netavark"
)

// program puts a program into /usr/bin.
func program(name string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		write("/usr/bin/"+name, "")(t, dir)
		stat("/usr/bin/"+name, machine.Stat{Mode: 0o100755})(t, dir)
	}
}

// all makes several changes.
func all(changes ...change) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, c := range changes {
			c(t, dir)
		}
	}
}

// usual is what a podman of Debian's has around it.
var usual = all(program("crun"), program("runc"), program("slirp4netns"), program("pasta"), program("conmon"), write(netavark, ""), write("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
	write("/dev/net/tun", ""), stat("/dev/net/tun", machine.Stat{Mode: 0o20666}))

// conf is the user's containers.conf, store the user's storage.conf.
func conf(text string) change  { return write(containersConf, text) }
func store(text string) change { return write(storageConf, text) }

// lacking takes files away, in a recording that lists what was absent.
func lacking(files ...string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, file := range files {
			remove(file)(t, dir)
		}
		seen := append([]string{"/etc/containers", "/usr/share/containers", "/home", "/usr/local", "/usr/libexec", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"}, files...)
		write(machine.AbsentFile, strings.Join(seen, "\n")+"\n")(t, dir)
	}
}

// without lists files as absent that the recording does not have anyway.
func without(files ...string) change {
	return all(lacking(), appendTo("/"+machine.AbsentFile, strings.Join(files, "\n")+"\n"))
}

// limits are those of the shell.
func limits(nofile string) change {
	const head = "Limit                     Soft Limit           Hard Limit           Units     \n"
	return write("/proc/self/limits", head+
		"Max open files            1024                 "+nofile+"                 files     \n"+
		"Max processes             unlimited            unlimited            processes \n")
}

// aCase is what podman, or a bundle, asks for, and what the checks say.
type aCase struct {
	machine   string
	change    change
	clients   string // bookworm, if nothing is said
	variables string
	want      []string // troubles, and the notes of the checks that are looked at
	says      string   // the first of them
	evidence  string   // one of its
	fix       string   // its text, or one of its commands
}

func (test *aCase) run(t *testing.T, prefix string, prepare func(*testing.T, *check.Facts)) {
	t.Helper()
	changes := []change{usual}
	if test.change != nil {
		changes = append(changes, test.change)
	}
	clients := test.clients
	if clients == "" {
		clients = bookworm
	}
	f := &check.Facts{Machine: recorded(t, test.machine, changes...), System: system{clients: clients, variables: test.variables, known: true, delegated: true}}
	var err error
	if f.Subject, err = check.Caller(f.Machine); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(t, f)
	}
	findings := run(t, f)
	var got []string
	first := -1
	for i, finding := range findings {
		isAsked := strings.HasPrefix(finding.Name, prefix) && finding.Status == check.Note
		if (isTrouble(finding) || isAsked) && finding.BlockedBy == "" {
			got = append(got, string(finding.Status)+":"+finding.Name)
			if first < 0 {
				first = i
			}
		}
	}
	if !slices.Equal(got, test.want) {
		for _, finding := range findings {
			t.Logf("%s %s: %s %v", finding.Status, finding.Name, finding.Says, finding.Evidence)
		}
		t.Fatalf("got %q, want %q", got, test.want)
	}
	if first >= 0 {
		test.wantFinding(t, findings[first])
	}
}

func (test *aCase) wantFinding(t *testing.T, got check.Finding) {
	t.Helper()
	if !strings.Contains(got.Says, test.says) {
		t.Errorf("it says %q, want %q", got.Says, test.says)
	}
	var evidence, fix []string
	for _, e := range got.Evidence {
		evidence = append(evidence, e.Path+": "+e.Value)
	}
	if got.Fix != nil {
		fix = append(fix, got.Fix.Text)
		for _, c := range got.Fix.Commands {
			fix = append(fix, c.String())
		}
	}
	fix = append(fix, got.Usage...)
	if all := strings.Join(evidence, "\n"); !strings.Contains(all, test.evidence) {
		t.Errorf("seen in %s, want %q", all, test.evidence)
	}
	if all := strings.Join(fix, "\n"); !strings.Contains(all, test.fix) {
		t.Errorf("its fix is %s, want %q", all, test.fix)
	}
}

// What podman's configuration asks for against what is there. The statuses were seen of
// Debian 12's podman 4.3.1, of what it does on cgroup v1 and without a user manager
// (tests/clients).
func TestPodman(t *testing.T) {
	noBus := remove("/run/user/1000/bus")
	for name, test := range map[string]aCase{
		"stock, Debian 12, v2":          {machine: v2},
		"stock, Debian 12, v1":          {machine: v1},
		"stock, Debian 12, systemd":     {machine: v2sd},
		"stock, Debian 12, hybrid":      {machine: hybrid},
		"stock, Debian 13, v2":          {machine: v2, clients: trixie},
		"stock, Debian 13, systemd":     {machine: v2sd, clients: trixie},
		"stock, with its own files":     {machine: v2, change: all(write("/usr/share/containers/containers.conf", "[containers]\npids_limit = 2048\n[engine]\n[engine.runtimes]\n"), write("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/var/lib/containers/storage\"\n[storage.options]\nmount_program = \"/nosuch\"\n"))},
		"not installed, but configured": {machine: v2, clients: "runc 1.1.5", change: conf("[engine\n")},

		"no TOML": {machine: v2, change: conf("[engine]\n[containers\n"),
			want: []string{"failed:podman-config"}, says: "podman starts nothing: it does not understand " + containersConf, evidence: containersConf + ":2: [containers", fix: "editor " + containersConf},
		"no TOML, the administrator's": {machine: v2, change: write("/etc/containers/containers.conf.d/10.conf", "x = \n"),
			want: []string{"failed:podman-config"}, evidence: "/etc/containers/containers.conf.d/10.conf:1: x =", fix: "sudo editor /etc/containers/containers.conf.d/10.conf"},
		"a value of another type": {machine: v2, change: conf("[engine]\ncgroup_manager = 3\n"),
			want: []string{"failed:podman-config"}, evidence: "its cause: incompatible types"},
		"storage.conf is no TOML": {machine: v2, change: store("[storage\n"),
			want: []string{"failed:podman-config"}, says: "podman starts nothing: it does not understand " + storageConf},
		"append, too early": {machine: v2, change: conf("[containers]\ndefault_ulimits = [\"nofile=10:10\", {append = true}]\n"),
			want: []string{"failed:podman-config"}, says: "podman 4.3.1 does not know {append = true} in an array"},
		"append": {machine: v2, clients: trixie, change: all(limits("1024"), conf("[containers]\ndefault_ulimits = [\"nofile=10:10\", {append = true}]\n"))},
		"nested without end": {machine: v2, change: conf("a = " + strings.Repeat("[", 1000)),
			want: []string{"unknown:podman-config"}, says: "nested too deeply"},
		"larger than is read": {machine: v2, change: conf(strings.Repeat("# nothing\n", 30_000)),
			want: []string{"unknown:podman-config"}, says: "larger than 256 KiB"},
		"a directory among the drop-ins": {machine: v2, change: write(containersConf+".d/old.conf/x", "[engine\n")},
		"CONTAINERS_CONF leads nowhere": {machine: v2, variables: "CONTAINERS_CONF=/home/alice/my.conf",
			want: []string{"failed:podman-config"}, says: "the variable CONTAINERS_CONF names /home/alice/my.conf, which is not there", fix: "make the file /home/alice/my.conf, or unset CONTAINERS_CONF"},
		"CONTAINERS_CONF in place of all": {machine: v2, variables: "CONTAINERS_CONF=/home/alice/my.conf", change: all(conf("[engine\n"), write("/home/alice/my.conf", ""))},
		"CONTAINERS_CONF_OVERRIDE": {machine: v2, clients: trixie, variables: "CONTAINERS_CONF_OVERRIDE=/home/alice/my.conf", change: all(conf("[engine]\nruntime = \"crun\"\n"), write("/home/alice/my.conf", "[engine]\nruntime = \"nosuch\"\n")),
			want: []string{"failed:podman-runtime"}, evidence: `/home/alice/my.conf: runtime = "nosuch"`},
		"CONTAINERS_CONF_OVERRIDE, too early": {machine: v2, variables: "CONTAINERS_CONF_OVERRIDE=/home/alice/my.conf", change: write("/home/alice/my.conf", "[engine]\nruntime = \"nosuch\"\n")},
		"XDG_CONFIG_HOME": {machine: v2, variables: "XDG_CONFIG_HOME=/home/alice/c", change: all(conf("[engine\n"), write("/home/alice/c/containers/containers.conf", "[engine]\nruntime = \"nosuch\"\n")),
			want: []string{"failed:podman-runtime"}, evidence: "/home/alice/c/containers/containers.conf"},
		"podman 6 takes one file": {machine: v2, clients: "podman 6.0.0, crun 1.21", change: all(write("/etc/containers/containers.conf", "[engine]\nruntime = \"nosuch\"\n"), conf("[engine]\n"))},
		"podman 5 takes all of them": {machine: v2, clients: trixie, change: all(write("/etc/containers/containers.conf", "[engine]\nruntime = \"nosuch\"\n"), conf("[engine]\n")),
			want: []string{"failed:podman-runtime"}, fix: "editor " + containersConf},

		"a runtime that is not there": {machine: v2, change: conf("[engine]\nruntime = \"kata\"\n"),
			want: []string{"failed:podman-runtime"}, says: "its OCI runtime kata is not there", evidence: containersConf + `: runtime = "kata"`, fix: `write runtime = "crun", which is there`},
		"a runtime's path that is not there": {machine: v1, change: conf("[engine]\nruntime = \"/opt/runc\"\n"),
			want: []string{"failed:podman-runtime"}, says: "/opt/runc is not there"},
		"a runtime of another name": {machine: v2, change: all(program("kata-runtime"), conf("[engine]\nruntime = \"kata\"\n"))},
		"a runtime by its paths":    {machine: v2, change: all(write("/opt/x", ""), conf("[engine]\nruntime = \"x\"\n[engine.runtimes]\nx = [\"/opt/nosuch\", \"/opt/x\"]\n"))},
		"a runtime that nobody recorded": {machine: v2, change: all(write(machine.AbsentFile, "/etc/containers\n/usr/share/containers\n"+storageConf+"\n/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n"), conf("[engine]\nruntime = \"kata\"\n")),
			want: []string{"unknown:podman-runtime"}, says: "it cannot be told whether the OCI runtime kata is there"},
		"crun where it refuses": {machine: v1, change: all(write("/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n"), conf("[engine]\nruntime = \"crun\"\n")),
			want: []string{"failed:podman-runtime"}, says: "which starts nothing where cgroup v2 has controllers beside v1", fix: `write runtime = "runc"`},
		"no cgroups with runc": {machine: v2, change: conf("[containers]\ncgroups = \"disabled\"\n[engine]\nruntime = \"runc\"\n"),
			want: []string{"failed:podman-runtime"}, says: "cgroups = \"disabled\", which podman refuses where runc is its runtime", evidence: `cgroups = "disabled"`},
		"no cgroups with crun": {machine: v2, change: conf("[containers]\ncgroups = \"disabled\"\n"),
			want: []string{"warning:podman-runtime"}, says: "have no cgroups of their own", fix: `cgroups = "enabled"`},
		"cgroups, misspelt": {machine: v2, change: conf("[containers]\ncgroups = \"on\"\n"),
			want: []string{"failed:podman-runtime"}, says: `podman starts nothing: it does not know "on"`},
		"cgroups that are split on v1": {machine: v1, change: conf("[containers]\ncgroups = \"split\"\n"),
			want: []string{"failed:podman-runtime"}, says: "cgroups = \"split\" in its configuration works only on cgroup v2"},

		"systemd without a bus for user managers": {machine: v2sd, change: all(noBus, conf("[engine]\ncgroup_manager = \"systemd\"\n")),
			want: []string{"warning:podman-cgroups"}, fix: "write cgroup_manager = \"cgroupfs\""},
		"systemd without its user manager": {machine: v2sd, change: all(noBus, write("/usr/lib/systemd/user/dbus.socket", ""), conf("[engine]\ncgroup_manager = \"systemd\"\n")),
			want: []string{"warning:podman-cgroups"}, says: "no user manager answers on /run/user/1000/bus: podman warns at every start, and makes its cgroups itself (cgroupfs)", evidence: "/run/user/1000/bus: is not there", fix: "sudo loginctl enable-linger alice"},
		"cgroupfs in a drop-in, where a user manager answers": {machine: stock, change: all(write("/run/user/1000/bus", ""), write("/home/alice/.config/containers/containers.conf.d/50-fs.conf", "[engine]\ncgroup_manager = \"cgroupfs\"\n")),
			want: []string{"failed:podman-cgroups"}, fix: "remove the line cgroup_manager, so that"},
		"cgroupfs in root's file, where a user manager answers": {machine: stock, change: all(write("/run/user/1000/bus", ""), without(containersConf), write("/etc/containers/containers.conf", "[engine]\ncgroup_manager = \"cgroupfs\"\n")),
			want: []string{"failed:podman-cgroups"}, fix: "test -e " + containersConf + ` || printf '\''[engine]\ncgroup_manager = "systemd"\n'\'' >` + containersConf},
		"cgroupfs in root's file, beside the user's": {machine: stock, change: all(write("/run/user/1000/bus", ""), conf("[engine]\n"), write("/usr/share/containers/containers.conf", "[engine]\ncgroup_manager = \"cgroupfs\"\n")),
			want: []string{"failed:podman-cgroups"}, fix: `write cgroup_manager = "systemd" under [engine] in ` + containersConf + ", which podman reads after /usr/share/containers/containers.conf"},
		"cgroupfs in root's file, and podman 6": {machine: stock, clients: "podman 6.0.0, crun 1.21", change: all(write("/run/user/1000/bus", ""), without(containersConf), write("/etc/containers/containers.conf", "[engine]\ncgroup_manager = \"cgroupfs\"\n")),
			want: []string{"failed:podman-cgroups"}, fix: "sudo editor /etc/containers/containers.conf"},
		"by default, without a bus, and crun drops limits": {machine: v2sd, clients: "crun 1.8.1, podman 4.3.1", change: all(lacking("/run/user/1000/bus"), appendTo("/absent", "/usr/lib/systemd/user/dbus.socket\n")),
			want: []string{"warning:podman-cgroups"}, says: "with which crun 1.8.1 drops limits silently", fix: "sudo apt install dbus-user-session"},
		"by default, without a user manager": {machine: v2sd, clients: "crun 1.8.1, podman 4.3.1", change: all(lacking("/run/user/1000/bus"), appendTo("/absent", "/run/user/1000/systemd/private\n"), write("/usr/lib/systemd/user/dbus.socket", "")),
			want: []string{"warning:podman-cgroups"}, fix: "sudo loginctl enable-linger alice"},
		"by default, by a user manager without a bus": {machine: v2sd, clients: "crun 1.8.1, podman 4.3.1", change: all(lacking("/run/user/1000/bus"), write("/run/user/1000/systemd/private", ""), write("/usr/lib/systemd/user/dbus.socket", "")),
			want: []string{"warning:podman-cgroups"}, fix: "systemctl --user start dbus.socket"},
		"by default, without a bus, and crun makes cgroups": {machine: v2sd, clients: trixie, change: lacking("/run/user/1000/bus"),
			want: []string{"note:podman-cgroups"}, says: "podman warns at every start, and makes its cgroups itself (cgroupfs)"},
		"by default, by another bus":    {machine: v2sd, clients: "crun 1.8.1, podman 4.3.1", variables: "DBUS_SESSION_BUS_ADDRESS=unix:abstract=/tmp/dbus-x", change: lacking("/run/user/1000/bus")},
		"by default, and nobody looked": {machine: v2sd, clients: "crun 1.8.1, podman 4.3.1", change: noBus},
		"systemd where there is none": {machine: v2, change: conf("[engine]\ncgroup_manager = \"systemd\"\n"),
			want: []string{"warning:podman-cgroups"}, fix: "editor " + containersConf},
		"systemd on v1": {machine: v1, change: conf("[engine]\ncgroup_manager = \"systemd\"\n")},
		"systemd":       {machine: v2sd, change: conf("[engine]\ncgroup_manager = \"systemd\"\n")},
		"a manager, misspelt": {machine: v2, change: conf("[engine]\ncgroup_manager = \"cgroupsfs\"\n"),
			want: []string{"failed:podman-cgroups"}, says: `podman starts nothing: it does not know "cgroupsfs"`},

		"pids_limit without a user manager": {machine: v2, change: write("/etc/containers/containers.conf", "[containers]\npids_limit = 100\n"),
			want: []string{"warning:podman-limits"}, says: "podman ignores it where it makes cgroups itself", evidence: "/etc/containers/containers.conf: pids_limit = 100", fix: "cgdeleg run -p pids.max=100 -- podman --cgroup-manager=cgroupfs run IMAGE"},
		"pids_limit on v1": {machine: v1, change: conf("[containers]\npids_limit = 100\n"),
			want: []string{"warning:podman-limits"}, says: "podman ignores it on cgroup v1", fix: "this session lacks the controller pids"},
		"pids_limit by the user manager": {machine: v2sd, change: conf("[containers]\npids_limit = 100\n")},
		"pids_limit, none":               {machine: v2, change: conf("[containers]\npids_limit = -1\n")},
		"cgroup_conf":                    {machine: v2, clients: trixie, change: conf("[containers]\ncgroup_conf = [\"memory.high=1000000000\", \"cgroup.max.depth=5\"]\n")},
		"cgroup_conf, too early":         {machine: v1, change: conf("[containers]\ncgroup_conf = [\"memory.high=1\"]\n")},
		"cgroup_conf on v1": {machine: v1, clients: trixie, change: conf("[containers]\ncgroup_conf = [\"memory.high=1\"]\n"),
			want: []string{"warning:podman-limits"}, says: "podman ignores it on cgroup v1"},
		"cgroup_conf without its controller": {machine: v2, clients: trixie, change: all(replace("/sys/fs/cgroup/user/alice/0/cgroup.controllers", "memory", "misc"), conf("[containers]\ncgroup_conf = [\"memory.high=1\"]\n")),
			want: []string{"warning:controllers", "failed:podman-limits"}},
		"cgroup_conf, misspelt": {machine: v2, clients: trixie, change: conf("[containers]\ncgroup_conf = [\"memory=1\"]\n"),
			want: []string{"failed:podman-limits"}, says: `"memory" is no name of a cgroup's file`},
		"a ulimit above the shell's": {machine: v2, change: all(limits("4096"), conf("[containers]\ndefault_ulimits = [\"nproc=-1\", \"nofile=1024:8192\"]\n")),
			want: []string{"failed:podman-limits"}, says: "the limit nofile in the configuration is above", evidence: "/proc/self/limits: Max open files 1024 4096 files"},
		"a ulimit": {machine: v2, change: all(limits("4096"), conf("[containers]\ndefault_ulimits = [\"nproc=1024\", \"nofile=1024:4096\"]\n"))},
		"a ulimit, misspelt": {machine: v2, change: all(limits("4096"), conf("[containers]\ndefault_ulimits = [\"files=1\"]\n")),
			want: []string{"failed:podman-limits"}, says: `it does not understand the limit "files=1"`},
		"a ulimit, and limits that nobody recorded": {machine: v2, change: all(write(machine.AbsentFile, "/etc/containers\n/usr/share/containers\n"+storageConf+"\n/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n"), conf("[containers]\ndefault_ulimits = [\"nofile=1\"]\n")),
			want: []string{"unknown:podman-limits"}, says: "it cannot be told whether the shell may set the limit nofile"},

		"no conmon": {machine: v2, change: lacking("/usr/bin/conmon"),
			want: []string{"failed:podman-runtime"}, says: "no command of podman's works: podman finds no conmon", fix: "sudo apt install conmon"},
		"no conmon, beside LXC": {machine: v2, clients: bookworm + ", lxc 5.0.2", change: lacking("/usr/bin/conmon"),
			want: []string{"note:podman-runtime"}, says: "no command of podman's works: podman finds no conmon", fix: "sudo apt install conmon"},
		"no conmon where it is named": {machine: v2, change: all(lacking("/usr/bin/conmon"), conf("[engine]\nconmon_path = [\"/usr/local/libexec/x\"]\n")),
			want: []string{"failed:podman-runtime"}, says: "no command of podman's works: podman finds no conmon", evidence: "conmon_path = /usr/local/libexec/x", fix: "or correct conmon_path in"},
		"conmon where it is named": {machine: v2, change: all(lacking("/usr/bin/conmon"), write("/opt/conmon", ""), conf("[engine]\nconmon_path = [\"/opt/conmon\"]\n"))},
		"no netavark": {machine: v2, clients: trixie, change: lacking(netavark, "/usr/lib/podman"),
			want: []string{"failed:podman-network"}, says: "no command of podman's works: podman finds no netavark in /usr/local/libexec/podman", fix: "sudo apt install netavark"},
		"netavark in PATH": {machine: v2, clients: trixie, change: all(lacking(netavark, "/usr/lib/podman"), program("netavark")),
			want: []string{"failed:podman-network"}, says: "no command of podman's works: podman finds no netavark", fix: "helper_binaries_dir under [engine]"},
		"no netavark, and podman 4": {machine: v2, change: lacking(netavark, "/usr/lib/podman")},
		"no netavark, and CNI": {machine: v2, clients: trixie, change: all(lacking(netavark, "/usr/lib/podman"), conf("[network]\nnetwork_backend = \"cni\"\n")),
			want: []string{"unknown:podman-network"}, says: `whether podman 5.4.2 knows network_backend = "cni"`, evidence: `network_backend = "cni"`, fix: "write network_backend = \"netavark\""},
		"CNI, and podman 4": {machine: v2, change: conf("[network]\nnetwork_backend = \"cni\"\n")},
		"CNI, and podman 6": {machine: v2, clients: "podman 6.0.0, crun 1.21", change: conf("[network]\nnetwork_backend = \"cni\"\n"),
			want: []string{"failed:podman-network"}, says: `podman does not know "cni" as a value of network_backend`},
		"a network backend, misspelt": {machine: v2, change: conf("[network]\nnetwork_backend = \"netavak\"\n"),
			want: []string{"failed:podman-network"}, says: `podman does not know "netavak" as a value of network_backend`},
		"netavark elsewhere than it is looked for": {machine: v2, clients: trixie, change: all(without("/opt/x/netavark"), write("/etc/containers/containers.conf", "[engine]\nhelper_binaries_dir = [\"/opt/x\"]\n")),
			want: []string{"failed:podman-network"}, says: "podman finds no netavark in /opt/x", evidence: "/etc/containers/containers.conf: helper_binaries_dir = /opt/x", fix: "sudo editor /etc/containers/containers.conf"},
		"no netavark, and other directories": {machine: v2, clients: trixie, change: all(lacking(netavark, "/usr/lib/podman"), appendTo("/absent", "/opt/x/netavark\n"), conf("[engine]\nhelper_binaries_dir = [\"/opt/x\"]\n")),
			want: []string{"failed:podman-network"}, fix: "install netavark, and remove the line helper_binaries_dir from " + containersConf},
		"netavark in podman's own directories, which others are added to": {machine: v2, clients: trixie, change: all(without("/opt/x/netavark"), conf("[engine]\nhelper_binaries_dir = [\"/opt/x\", {append = true}]\n"))},
		"conmon in podman's own directories, which others are added to":   {machine: v2, clients: trixie, change: all(lacking("/usr/bin/conmon"), appendTo("/absent", "/opt/conmon\n"), write("/usr/libexec/podman/conmon", ""), conf("[engine]\nconmon_path = [\"/opt/conmon\", {append = true}]\n"))},
		"conmon elsewhere than it is looked for": {machine: v2, change: all(lacking("/usr/bin/conmon"), appendTo("/absent", "/opt/conmon\n"), write("/usr/libexec/podman/conmon", ""), conf("[engine]\nconmon_path = [\"/opt/conmon\"]\n")),
			want: []string{"failed:podman-runtime"}, evidence: "/usr/libexec/podman/conmon: is there", fix: "write /usr/libexec/podman/conmon into conmon_path in " + containersConf},
		"netavark beside podman": {machine: v2, clients: trixie, change: all(lacking(netavark, "/usr/lib/podman"), program("podman"), write("/usr/helpers/netavark", ""), conf("[engine]\nhelper_binaries_dir = [\"$BINDIR/../helpers\"]\n"))},
		"no netavark for podman 4, which is asked for": {machine: v2, change: all(lacking(netavark, "/usr/lib/podman"), conf("[network]\nnetwork_backend = \"netavark\"\n")),
			want: []string{"failed:podman-network"}, says: "no command of podman's works: podman finds no netavark", evidence: "network_backend = \"netavark\"", fix: "sudo apt install netavark"},
		"no netavark for podman 4, which had it": {machine: v2, change: all(lacking(netavark, "/usr/lib/podman"), write("/home/alice/.local/share/containers/storage/defaultNetworkBackend", "netavark")),
			want: []string{"failed:podman-network"}, says: "no command of podman's works: podman finds no netavark"},

		"no slirp4netns": {machine: v2, change: lacking("/usr/bin/slirp4netns"),
			want: []string{"failed:podman-network"}, says: "podman finds no slirp4netns", fix: "sudo apt install slirp4netns"},
		"no slirp4netns, beside LXC": {machine: v2, clients: bookworm + ", lxc 5.0.2", change: lacking("/usr/bin/slirp4netns"),
			want: []string{"note:podman-network"}, says: "podman finds no slirp4netns", fix: "sudo apt install slirp4netns"},
		"no pasta": {machine: v2, clients: trixie, change: lacking("/usr/bin/pasta"),
			want: []string{"failed:podman-network"}, says: "podman finds no pasta", fix: "sudo apt install passt"},
		"no pasta, which is asked for": {machine: v2, clients: trixie, change: all(remove("/usr/bin/pasta"), conf("[network]\ndefault_rootless_network_cmd = \"pasta\"\n")),
			want: []string{"failed:podman-network"}, says: "podman finds no pasta, which its configuration names", fix: `default_rootless_network_cmd = "slirp4netns" under [network]: slirp4netns is there`},
		"pasta, too early":             {machine: v2, change: all(remove("/usr/bin/pasta"), conf("[network]\ndefault_rootless_network_cmd = \"pasta\"\n"))},
		"slirp4netns by its directory": {machine: v2, change: all(remove("/usr/bin/slirp4netns"), write("/opt/h/slirp4netns", ""), conf("[engine]\nhelper_binaries_dir = [\"/opt/h\"]\n"))},
		"slirp4netns by a path": {machine: v2, change: conf("[engine]\nnetwork_cmd_path = \"/opt/slirp\"\n"),
			want: []string{"failed:podman-network"}, says: "podman finds no /opt/slirp", evidence: `network_cmd_path = "/opt/slirp"`},
		"no network is asked for": {machine: v2, change: all(remove("/usr/bin/slirp4netns"), conf("[containers]\nnetns = \"host\"\n"))},
		"runc of before cgroup v2": {machine: v2, clients: "runc 1.0.0-rc10, podman 2.1.1", change: lacking("/usr/bin/crun", netavark, "/usr/lib/podman"),
			want: []string{"failed:podman-runtime"}, says: "podman starts nothing: its runtime is runc 1.0.0-rc10, which makes no cgroups for users on cgroup v2", fix: "sudo apt install crun"},
		"runc of before cgroup v2, by name": {machine: v2, clients: "runc 1.0.0~rc10+dfsg1, crun 1.14, podman 4.3.1", change: conf("[engine]\nruntime = \"runc\"\n"),
			want: []string{"failed:podman-runtime"}, evidence: `runtime = "runc"`, fix: `write runtime = "crun", which is there`},
		"runc of before cgroup v2, on v1": {machine: v1, clients: "runc 1.0.0-rc10, podman 2.1.1"},
		"the first runc that knows v2":    {machine: v2, clients: "runc 1.0.0-rc91, podman 2.1.1"},
		"runc of between two releases": {machine: v2, clients: "runc 1.0.0-rc10+dev, podman 2.1.1",
			want: []string{"unknown:podman-runtime"}, says: "it cannot be told whether runc 1.0.0-rc10+dev makes cgroups for users on cgroup v2"},
		"overlay on overlay": {machine: v2, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - overlay "), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"failed:podman-storage"}, says: "its storage driver is overlay, which cannot be on overlay", fix: `write driver = "vfs"`},
		"overlay on zfs, before podman 4.4": {machine: v2, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - zfs "), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"failed:podman-storage"}, says: "its storage driver is overlay, which cannot be on zfs", fix: `write driver = "vfs"`},
		"overlay on zfs, by fuse": {machine: v2, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - zfs "), program("fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n"))},
		"overlay on an unknown zfs": {machine: v2, clients: trixie, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - zfs "), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"unknown:podman-storage"}, says: "whether podman can store images on zfs"},
		"overlay on an old zfs": {machine: v2, clients: trixie, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - zfs "), write("/sys/module/zfs/version", "2.1.11-1\n"), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"unknown:podman-storage"}, says: "and here is 2.1.11-1"},
		"overlay on zfs": {machine: v2, clients: trixie, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - zfs "), write("/sys/module/zfs/version", "2.3.2-2\n"), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n"))},
		"overlay on NFS": {machine: v2, clients: trixie, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - nfs4 "), program("fuse-overlayfs"), lacking("/usr/bin/fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"failed:podman-storage"}, says: "its storage driver is overlay, which cannot be on nfs4"},
		"overlay on overlay, by fuse": {machine: v2, change: all(replace("/proc/self/mountinfo", " - ext4 ", " - overlay "), program("fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n"))},
		"no device for it, in a container": {machine: v2, change: all(lacking("/dev/net/tun"), write("/run/systemd/container", "lxc\n")),
			want: []string{"failed:podman-network"}, says: "there is no /dev/net/tun", fix: "outside, have this container's manager give it the device /dev/net/tun"},
		"no device for it": {machine: v2, change: lacking("/dev/net/tun"),
			want: []string{"failed:podman-network"}, says: "there is no /dev/net/tun, without which", fix: "load the kernel's module tun, for every boot and now"},
		"a device that is root's alone": {machine: v2, change: all(lacking(), stat("/dev/net/tun", machine.Stat{Mode: 0o20600})),
			want: []string{"failed:podman-network"}, says: "alice may not open /dev/net/tun"},

		"a mount_program that is not there": {machine: v2, change: store("[storage]\ndriver = \"overlay\"\n[storage.options.overlay]\nmount_program = \"/usr/bin/fuse-overlayfs\"\n"),
			want: []string{"failed:podman-storage"}, says: "mount_program /usr/bin/fuse-overlayfs is not there", evidence: storageConf, fix: "sudo apt install fuse-overlayfs"},
		"a mount_program without its device": {machine: v2, change: all(program("fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n[storage.options]\nmount_program = \"/usr/bin/fuse-overlayfs\"\n")),
			want: []string{"failed:podman-storage"}, says: "needs /dev/fuse"},
		"overlay before Linux 5.11": {machine: v2, change: all(write("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"), store("[storage]\ndriver = \"overlay\"\n")),
			want: []string{"failed:podman-storage"}, says: "which no user may mount before Linux 5.11", evidence: "/proc/sys/kernel/osrelease: 5.10.0-28-amd64", fix: "sudo apt install fuse-overlayfs"},
		"overlay before Linux 5.11, by fuse":     {machine: v2, change: all(write("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"), program("fuse-overlayfs"), store("[storage]\ndriver = \"overlay\"\n"))},
		"overlay before Linux 5.11, as Debian's": {machine: v2, change: all(write("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"), write("/sys/module/overlay/parameters/permit_mounts_in_userns", "Y\n"), store("[storage]\ndriver = \"overlay\"\n"))},
		"overlay":                                {machine: v2, change: store("[storage]\ndriver = \"overlay\"\n")},
		"overlay by the environment, and no kernel known": {machine: v2, variables: "STORAGE_DRIVER=overlay", change: remove("/proc/sys/kernel/osrelease"),
			want: []string{"unknown:podman-storage"}, says: "it cannot be told whether users may mount overlay"},
		"a driver for root": {machine: v2, change: store("[storage]\ndriver = \"zfs\"\n"),
			want: []string{"failed:podman-storage"}, says: "only root can use the storage driver zfs"},
		"a driver for root, in the system's file": {machine: v2, change: write("/etc/containers/storage.conf", "[storage]\ndriver = \"zfs\"\n")},
		"btrfs on another file system": {machine: v2, change: store("[storage]\ndriver = \"btrfs\"\n"),
			want: []string{"failed:podman-storage"}, says: "its images are on"},
		"a place of root's": {machine: v2, change: all(stat("/var/lib", machine.Stat{Mode: 0o40755}), store("[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/shared/$USER\"\n")),
			want: []string{"failed:podman-storage"}, says: "alice may not write in /var/lib, where its images are to be", evidence: `graphroot = "/var/lib/shared/$USER"`, fix: "editor " + storageConf},
		"a place for every user": {machine: v2, change: all(stat("/srv/alice", machine.Stat{Mode: 0o40700, UID: 1000, GID: 1000}), write("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\nrootless_storage_path = \"/srv/$USER/c\"\n"))},
		"a place for every user, of root's": {machine: v2, change: all(stat("/srv", machine.Stat{Mode: 0o40755}), write("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\nrootless_storage_path = \"/srv/$USER/c\"\n")),
			want: []string{"failed:podman-storage"}, evidence: `rootless_storage_path = "/srv/$USER/c"`, fix: "sudo editor /etc/containers/storage.conf"},
		"a home where root's podman was": {machine: v2, change: all(lacking(), stat("/home/alice/.local", machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000}), stat("/home/alice/.local/share", machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000}), stat("/home/alice/.local/share/containers", machine.Stat{Mode: 0o40700}), stat("/home/alice/.local/share/containers/storage", machine.Stat{Mode: 0o40700})),
			want: []string{"failed:podman-storage"}, says: "alice may not write in /home/alice/.local/share/containers/storage", fix: "sudo chown -R 1000:1000 /home/alice/.local/share/containers"},
		"a home where the user may not write": {machine: v2, change: all(lacking(), stat("/home/alice/.local/share", machine.Stat{Mode: 0o40500, UID: 1000, GID: 1000})),
			want: []string{"failed:podman-storage"}, fix: "chmod u+rwx /home/alice/.local/share"},
		"a runroot of root's": {machine: v2, change: all(without("/home/alice/.local"), stat("/run/user/0", machine.Stat{Mode: 0o40700}), store("[storage]\ndriver = \"overlay\"\nrunroot = \"/run/user/0/containers\"\n")),
			want: []string{"failed:podman-storage"}, says: "alice may not write in /run/user/0, where its runroot is to be", evidence: `runroot = "/run/user/0/containers"`, fix: "remove the line runroot"},
		"a runroot of root's, and a database": {machine: v2, change: all(lacking(), stat("/run/user/0", machine.Stat{Mode: 0o40700}), write("/home/alice/.local/share/containers/storage/db.sql", ""), stat("/home/alice/.local/share/containers/storage", machine.Stat{Mode: 0o40700, UID: 1000}), store("[storage]\ndriver = \"overlay\"\nrunroot = \"/run/user/0/containers\"\n")),
			want: []string{"unknown:podman-storage"}, says: "the runroot that podman had first is in", fix: "remove /home/alice/.local/share/containers/storage/db.sql"},
		"a runroot of the user's":                   {machine: v2, change: all(stat("/run/user/1000", machine.Stat{Mode: 0o40700, UID: 1000, GID: 1000}), store("[storage]\ndriver = \"overlay\"\nrunroot = \"/run/user/$UID/containers\"\n"))},
		"a runroot of root's, in the system's file": {machine: v2, change: all(stat("/run", machine.Stat{Mode: 0o40755}), write("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/containers/storage\"\n"))},
		"a configuration that is root's": {machine: v2, change: all(conf("[engine]\n"), stat(containersConf, machine.Stat{Mode: 0o100600})),
			want: []string{"failed:podman-config"}, says: "podman starts nothing: it may not read " + containersConf, evidence: "owner 0:0, mode 0600", fix: "sudo chown 1000:1000 " + containersConf},
		"a place that is no path": {machine: v2, change: store("[storage]\ndriver = \"vfs\"\ngraphroot = \"~/c\"\n"),
			want: []string{"failed:podman-storage"}, says: "is not absolute"},
		"a place by another variable": {machine: v2, change: store("[storage]\ndriver = \"vfs\"\ngraphroot = \"/srv/$TEAM\"\n"),
			want: []string{"unknown:podman-storage"}, says: "a variable that is not known"},
		"a home on NFS": {machine: v2, change: all(lacking(), appendTo("/proc/self/mountinfo", "99 22 0:99 / /home rw,relatime - nfs4 server:/home rw\n")),
			want: []string{"warning:podman-storage"}, says: "podman's images are on nfs4", evidence: "/home nfs4", fix: "another mount, by graphroot in /home/alice/.config/containers/storage.conf"},
		"a home on NFS, beside LXC": {machine: v2, clients: bookworm + ", lxc 5.0.2", change: all(lacking(), appendTo("/proc/self/mountinfo", "99 22 0:99 / /home rw,relatime - nfs4 server:/home rw\n")),
			want: []string{"note:podman-storage"}, says: "podman's images are on nfs4"},
		"a home on NFS, images elsewhere": {machine: v2, change: all(appendTo("/proc/self/mountinfo", "99 22 0:99 / /home rw,relatime - nfs4 server:/home rw\n"), stat("/srv/alice", machine.Stat{Mode: 0o40700, UID: 1000, GID: 1000}), store("[storage]\ndriver = \"overlay\"\ngraphroot = \"/srv/alice\"\n"))},
		"a home from which nothing is run": {machine: v2, change: all(lacking(), appendTo("/proc/self/mountinfo", "99 22 0:99 / /home/alice/.local rw,noexec - ext4 /dev/vdb rw\n")),
			want: []string{"failed:podman-storage"}, says: "noexec", fix: "sudo mount -o remount,exec /home/alice/.local"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, "podman-", nil)
		})
	}
}
