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
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// The recorded machines, by cgdeleg report in logins of alice (testdata/README).
const (
	v1     = "no-systemd-hybrid" // a container is configured with a memory limit
	v2     = "no-systemd-v2"
	stock  = "systemd-v2-no-dropin"
	v2sd   = "systemd-v2"
	hybrid = "systemd-hybrid"
	config = "/home/alice/.local/share/lxc/c1/config"
	rootfs = "/home/alice/.local/share/lxc/c1/rootfs"

	// scopeOf is that of alice's login on v2sd.
	scopeOf = "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope"
)

// A group of the user's, and a container that has it as itself.
var (
	audio  = replace("/proc/self/status", "Groups:\t1000 ", "Groups:\t29 1000 ")
	passed = replace(config, "lxc.idmap = g 0 100000 65536", "lxc.idmap = g 0 100000 29\nlxc.idmap = g 29 29 1\nlxc.idmap = g 30 100030 65506")
)

// veth gives the container a network device, as LXC's usual configuration does.
var veth = replace(config, "lxc.net.0.type = empty", "lxc.net.0.type = veth\nlxc.net.0.link = lxcbr0")

// secondDevice gives the container another one on the same bridge.
var secondDevice = appendTo(config, "lxc.net.1.type = veth\nlxc.net.1.link = lxcbr0\n")

// userNIC makes the devices.
var userNIC = stat("/usr/libexec/lxc/lxc-user-nic", machine.Stat{Mode: 0o104755})

// manyRanges are more than anybody would compare with each other.
var manyRanges = func() string {
	var out strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&out, "alice:%d:2\n", 100_000+4*i)
	}
	return out.String()
}()

// noMemory keeps the controller memory from sessions.
var noMemory change = func(t *testing.T, dir string) {
	t.Helper()
	write("/sys/fs/cgroup/user.slice/user-1000.slice/cgroup.subtree_control", "cpu pids\n")(t, dir)
	write("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope/cgroup.controllers", "cpu pids\n")(t, dir)
}

// notedAs has logind note of the login of stock by which service it came, and whose it is.
func notedAs(service string, uid int) change {
	return write("/run/systemd/sessions/1", fmt.Sprintf("# private\nUID=%d\nSERVICE=%s\nLEADER=268\n", uid, service))
}

// orphaned has the shell of stock be a child of systemd.
var orphaned = replace("/proc/291/status", "PPid:\t268", "PPid:\t1")

// delegateConf is the drop-in.
var delegateConf = write("/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "[Scope]\nDelegate=cpu memory pids\n")

// system answers as a test wants.
type system struct {
	lxc, systemd     string
	clients          string // their versions: "crun 1.8.1, podman 4.3.1"
	variables        string // of the environment: "XDG_CONFIG_HOME=/x, STORAGE_DRIVER=vfs"
	failure          string // "podman: what it said instead of its version"
	delegated, known bool
	userNamespace    error // of making one
	isAsked          bool  // the kernel was asked for one
	isUnread         bool  // the environment cannot be read
}

func (s system) Version(program string) string {
	if !slices.Contains(check.Programs, program) {
		panic(program + " is none of those that are asked for their version")
	}
	for client := range strings.SplitSeq(s.clients, ", ") {
		if name, version, _ := strings.Cut(client, " "); name == program {
			return version
		}
	}
	return map[string]string{"lxc": s.lxc, "systemd": s.systemd}[program]
}

func (s system) IsDelegated(string) (bool, bool) { return s.delegated, s.known }
func (s system) Variable(_ check.Subject, name string) string {
	if !slices.Contains(check.Variables, name) {
		panic(name + " is none of those that are asked for")
	}
	for variable := range strings.SplitSeq(s.variables, ", ") {
		if of, value, _ := strings.Cut(variable, "="); of == name {
			return value
		}
	}
	return ""
}

func (s system) KnowsVariables(check.Subject) bool { return !s.isUnread }

func (s system) SudoUser() string { return "" }
func (s system) Failure(program string) string {
	failure, _ := strings.CutPrefix(s.failure, program+": ")
	if failure == s.failure {
		return ""
	}
	return failure
}
func (s system) SearchPath() []string { return nil }
func (s system) Probe() error         { return os.ErrPermission }

func (s system) UserNamespace() (err error, isAsked bool) { return s.userNamespace, s.isAsked }

// toVendor moves a service's file to where distributions without one in /etc have it.
func toVendor(service string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "etc/pam.d", service))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "etc/pam.d", service)); err != nil {
			t.Fatal(err)
		}
		write("/usr/lib/pam.d/"+service, string(data))(t, dir)
	}
}

// change is something else about a machine.
type change func(t *testing.T, dir string)

func write(path, content string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// oldFiles have a line of pam_cgfs, and names under which no service looks.
func oldFiles(names ...string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, name := range names {
			write("/etc/pam.d/"+name, "session optional pam_cgfs.so\n")(t, dir)
		}
	}
}

func remove(path string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		if _, err := os.Lstat(filepath.Join(dir, path)); err != nil {
			t.Fatal(err) // nothing would be changed
		}
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
		removeStat(t, dir, path)
	}
}

// emptied leaves a directory without anything in it.
func emptied(path string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, err := range []error{os.RemoveAll(filepath.Join(dir, path)), os.MkdirAll(filepath.Join(dir, path), 0o755)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func appendTo(path, text string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		write(path, read(t, filepath.Join(dir, path))+text)(t, dir)
	}
}

func removeStat(t *testing.T, dir, path string) {
	t.Helper()
	file := filepath.Join(dir, machine.StatFile)
	var kept []string
	for line := range strings.Lines(read(t, file)) {
		if !strings.HasSuffix(line, " "+path+"\n") {
			kept = append(kept, line)
		}
	}
	write(machine.StatFile, strings.Join(kept, ""))(t, dir)
}

// replace replaces all of old in a file, which has to have it.
func replace(path, old, with string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		text := read(t, filepath.Join(dir, path))
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q:\n%s", path, old, text)
		}
		write(path, strings.ReplaceAll(text, old, with))(t, dir)
	}
}

// stat sets whose a file is.
func stat(path string, st machine.Stat) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		removeStat(t, dir, path)
		file := filepath.Join(dir, machine.StatFile)
		write(machine.StatFile, read(t, file)+machine.FormatStat(path, st)+"\n")(t, dir)
	}
}

// container makes the machine an unprivileged container, whose root may make
// cgroups in these hierarchies alone.
func container(own ...string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		write("/proc/self/uid_map", "0 100000 200000\n")(t, dir)
		hierarchies, err := filepath.Glob(filepath.Join(dir, "sys/fs/cgroup/*"))
		if err != nil || len(hierarchies) == 0 {
			t.Fatalf("no hierarchies: %v", err)
		}
		for _, h := range hierarchies {
			point := "/sys/fs/cgroup/" + filepath.Base(h)
			if slices.Contains(own, filepath.Base(h)) { // LXC's chown and chmod
				stat(point, machine.Stat{Mode: 0o40775, UID: 65534})(t, dir)
				continue
			}
			removeStat(t, dir, point+"/user")
			stat(point, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534})(t, dir)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// recorded returns a recorded machine, or a copy of it that is changed.
func recorded(t *testing.T, name string, changes ...change) machine.Machine {
	t.Helper()
	if len(changes) == 0 {
		return machine.Recorded(filepath.Join("testdata", name))
	}
	dir := machinetest.Copy(t, filepath.Join("testdata", name))
	for _, c := range changes {
		c(t, dir)
	}
	return machine.Recorded(dir)
}

// run runs all checks.
func run(t *testing.T, f *check.Facts) []check.Finding {
	t.Helper()
	if f.System == nil {
		f.System = system{lxc: "5.0.2"}
	}
	check.Gather(f)
	t.Cleanup(f.Close)
	return check.Run(f, check.All(), nil)
}

// troubles returns the names of the findings that are no good, as STATUS:NAME, but for
// those that could not be told for another's sake.
func troubles(findings []check.Finding) (names []string) {
	for _, f := range findings {
		if isTrouble(f) && f.BlockedBy == "" {
			names = append(names, string(f.Status)+":"+f.Name)
		}
	}
	return names
}

func isTrouble(f check.Finding) bool { return f.Status.IsTrouble() }

// Every trouble that a check knows, made on a machine where all is well: the
// check finds it, and no other says anything. The fix is what a person is told
// to run first.
func TestTroubles(t *testing.T) {
	const common, session = "/etc/pam.d/common-session", "/sys/fs/cgroup/user/alice/0"
	for name, test := range map[string]struct {
		machine string
		changes []change
		system  system
		user    string // --user
		config  string // --lxc-config
		nested  int
		want    []string // troubles
		says    string   // the first of them, or a part of it
		fix     string   // its first command, or a part of it
		text    string   // its fix's text, or a part of it
		seen    string   // its evidence, or a part of it
	}{
		"nothing, v1":                {machine: v1},
		"nothing, v1, its container": {machine: v1, config: config},
		"nothing, v2":                {machine: v2},
		"nothing, v2, its container": {machine: v2, config: config},
		"nothing, v2, --user":        {machine: v2, user: "alice"},
		"nothing, systemd on v2":     {machine: v2sd},
		"nothing, systemd on v1":     {machine: hybrid},
		"unknown user without a process": {machine: v2, user: "alice", changes: []change{replace("/etc/subuid", "alice", "bob"), replace("/etc/subgid", "alice", "bob")},
			want: []string{"failed:subid"}, says: "fewer subordinate IDs than the 65536", fix: "usermod --add-subuids"},

		"no cgroups": {machine: v2, changes: []change{emptied("/sys/fs/cgroup"), write("/proc/self/mountinfo", "22 1 0:21 / / rw - ext4 /dev/vda rw\n")},
			want: []string{"failed:mode"}, says: "no cgroup file system is mounted", fix: "mount -t cgroup2"},
		"stale mount": {machine: v2, changes: []change{replace("/proc/self/mountinfo", " / /sys/fs/cgroup ", " /../.. /sys/fs/cgroup ")},
			want: []string{"failed:mounts"}, says: "mounted before this cgroup namespace", fix: "sudo umount /sys/fs/cgroup"},
		"a line that cannot be understood": {machine: v2sd, changes: []change{appendTo("/proc/self/mountinfo", "37 25 0:31 / no-separator\n")},
			want: []string{"warning:mounts"}, says: "a line of mountinfo cannot be understood"},
		"a line that cannot be understood, and no cgroups": {machine: v2, changes: []change{write("/proc/self/mountinfo", "37 25 0:31 / no-separator\n")},
			want: []string{"unknown:mode"}, says: "it cannot be told which cgroups are mounted"},
		"cgroups that were not recorded": {machine: v2, changes: []change{remove("/sys/fs/cgroup"), write(machine.AbsentFile, "")},
			want: []string{"unknown:mounts", "unknown:apparmor"}, says: "it cannot be told whether the mounts can be used"},
		"modules that were not recorded": {machine: v2, changes: []change{removeModule, write(machine.AbsentFile, "")},
			want: []string{"unknown:module", "unknown:apparmor"}, says: "whether the module is there"},
		"outside of the cgroup namespace": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/../../user/alice/0\n")},
			want: []string{"failed:namespace"}, says: "outside of its cgroup namespace"},
		"a controller that is nowhere": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c memory,nosuch")},
			want: []string{"warning:hierarchies"}, says: "asks for nosuch, which no mounted hierarchy has; this kernel has no controller nosuch"},
		"a controller that the kernel's command line turned off": {machine: v1,
			changes: []change{replace(common, "freezer", "freezer,debug"), write("/proc/cgroups", "#\ndebug\t0\t1\t0\n"), write("/etc/default/grub", "")},
			want:    []string{"warning:hierarchies"}, says: "debug", fix: "/etc/default/grub"},
		"a list that cannot be meant": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c all,memory")},
			want: []string{"failed:hierarchies"}, says: `"all" cannot stand beside`},
		"pam_cgfs's list on v2": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c freezer,memory,cpu,pids,name=systemd")}},
		"processes in the base of a container": {machine: v2,
			changes: []change{write("/sys/fs/cgroup/cgroup.type", "domain\n"), write("/sys/fs/cgroup/cgroup.procs", "1\n23\n"), write("/sys/fs/cgroup/cgroup.subtree_control", "cpu\n")},
			want:    []string{"warning:base"}, says: "there are processes in /sys/fs/cgroup itself", fix: "mkdir -p /sys/fs/cgroup/init.scope"},
		"processes in the machine's root": {machine: v2,
			changes: []change{write("/sys/fs/cgroup/cgroup.procs", "1\n23\n")}},

		"no line of the module": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: `the login came through sshd, whose PAM service "sshd" has no line`, fix: `session optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/common-session`},
		"no line of the module any more": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so")},
			want: []string{"warning:pam-line"}},
		"no line of the module, --user": {machine: v2, user: "alice", changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so")},
			want: []string{"failed:pam-line"}, fix: "sudo sh -c 'printf"},
		"a misspelt line": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdelegg.so"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: "a line of pam_cgdelegg.so, and the module is called pam_cgdeleg.so", fix: `s/pam_cgdelegg\.so/pam_cgdeleg.so/`},
		"a line with a path where nothing is": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "/usr/local/lib/security/pam_cgdeleg.so"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: `the PAM service "sshd" has a line with the path /usr/local/lib/security/pam_cgdeleg.so, and there is no such file`, fix: `sudo sed -i '26s|/usr/local/lib/security/pam_cgdeleg\.so|pam_cgdeleg.so|' /etc/pam.d/common-session`},
		"a line with a path where nothing is, beside a good one": {machine: v2, changes: []change{appendTo(common, "session optional /usr/local/lib/security/pam_cgdeleg.so\n")}},
		"a misspelt line under a session": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdelg.so")},
			want: []string{"warning:pam-line"}, fix: `s/pam_cgdelg\.so/pam_cgdeleg.so/`},
		"a misspelt line that lets nobody in, --user": {machine: v2, user: "alice", changes: []change{
			replace(common, "optional\tpam_cgdeleg.so", "required\tpam_cgdeleg")},
			want: []string{"failed:pam-line"}, fix: `sudo sed -i 26s/pam_cgdeleg/pam_cgdeleg.so/ /etc/pam.d/common-session`},
		"another module of a like name, --user": {machine: v2, user: "alice", changes: []change{
			replace(common, "pam_cgdeleg.so", "pam_cgdelay.so"), write("/usr/lib/x86_64-linux-gnu/security/pam_cgdelay.so", "")},
			want: []string{"failed:pam-line"}, says: "has no line of the module"},
		"a line of pam_cgroup, --user": {machine: v2, user: "alice", changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgroup.so")},
			want: []string{"failed:pam-line"}, says: "has no line of the module"},
		"the profile is switched off, --user": {machine: v2, user: "alice", changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so"), write("/usr/share/pam-configs/cgdeleg", "")},
			want: []string{"failed:pam-line"}, fix: "sudo pam-auth-update --enable cgdeleg"},
		"no line in the vendor's file, --user": {machine: v2, user: "alice", changes: []change{toVendor("sshd"), write(common, "")},
			want: []string{"failed:pam-line"}, fix: `sudo sh -c 'cp /usr/lib/pam.d/sshd /etc/pam.d/sshd && printf '\''\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/sshd'`},
		"no line in a file of /etc that includes the vendor's, --user": {machine: v2, user: "alice", changes: []change{
			toVendor("common-session"), replace("/usr/lib/pam.d/common-session", "pam_cgdeleg.so", "pam_permit.so"), write(common, "session include /usr/lib/pam.d/common-session")},
			want: []string{"failed:pam-line"}, fix: `sudo sh -c 'printf '\''\nsession optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/common-session'`},
		"pam_cgfs in what a file of /etc includes, --user": {machine: v2, user: "alice", changes: []change{
			toVendor("common-session"), replace("/usr/lib/pam.d/common-session", "pam_cgdeleg.so", "pam_cgfs.so"), write(common, "session include /usr/lib/pam.d/common-session")},
			want: []string{"failed:pam-line"}, fix: `sudo sh -c 'sed -i "s/pam_cgfs\.so/pam_cgdeleg.so/" "$(readlink -f /usr/lib/pam.d/common-session)"'`},
		"pam_cgfs where the profile is switched off, --user": {machine: v2, user: "alice", changes: []change{
			replace(common, "pam_cgdeleg.so", "pam_cgfs.so"), write("/usr/share/pam-configs/cgdeleg", "")},
			want: []string{"failed:pam-line"}, fix: `sudo sh -c 'sed -i "/pam_cgfs\.so/d" "$(readlink -f /etc/pam.d/common-session)" && pam-auth-update --enable cgdeleg'`},
		"a file whose name is a command, --user": {machine: v2, user: "alice", changes: []change{
			write("/etc/pam.d/sshd", "session include [common-session; touch x]\n"), write("/etc/pam.d/common-session; touch x", "session required pam_permit.so\n")},
			want: []string{"failed:pam-line"}, fix: `>>'\''/etc/pam.d/common-session; touch x'\'''`},
		"pam_cgfs before a line that cannot be read": {machine: v2, changes: []change{write("/etc/pam.d/kiosk", "session optional pam_cgfs.so\nsession include nowhere\n")},
			want: []string{"warning:pam-cgfs"}},
		"pam_cgfs in the vendor's file, --user": {machine: v2, user: "alice", changes: []change{toVendor("sshd"), write(common, ""), write("/usr/lib/pam.d/sshd", "session optional pam_cgfs.so\n")},
			want: []string{"failed:pam-line"}, fix: `/usr/lib/pam.d/sshd >/etc/pam.d/sshd'`},
		"a line of no type": {machine: v2, changes: []change{replace("/etc/pam.d/sshd", "@include common-session", "sesion required pam_x.so\n@include common-session")}},
		"min_uid": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so min_uid=2000"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: "min_uid=2000"},
		"module not installed": {machine: v2, changes: []change{removeModule, write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:module"}, fix: "sudo cgdeleg open --user alice --pid"},
		"module taken away under a session": {machine: v2, changes: []change{removeModule}, want: []string{"warning:module"}},
		"before pam_systemd": {machine: v2sd, changes: []change{moveFirst(common, "pam_cgdeleg.so")},
			want: []string{"failed:pam-order"}, says: "the line of pam_systemd.so comes after that of pam_cgdeleg.so"},
		"a line that may end the stack, --user": {machine: v2, user: "alice", changes: []change{write(common, "session sufficient pam_ldap.so\nsession optional pam_cgdeleg.so\n")},
			want: []string{"warning:pam-reached"}, says: "a line before that of pam_cgdeleg.so may skip it", fix: "sudo cgdeleg try alice --service sshd"},
		"a line that always skips it, --user": {machine: v2, user: "alice", changes: []change{write(common, "session [success=1 default=ignore] pam_permit.so\nsession optional pam_cgdeleg.so\n")},
			want: []string{"failed:pam-reached"}, says: "line 1 of /etc/pam.d/common-session always skips the line of pam_cgdeleg.so", fix: "sudo editor /etc/pam.d/common-session"},
		"a line that always skips it": {machine: v2, changes: []change{write(common, "session [default=1] pam_x.so\nsession optional pam_cgdeleg.so\n"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-reached"}, says: "always skips the line of pam_cgdeleg.so"},
		"a line that may skip it, and did not": {machine: v2, changes: []change{write(common, "session sufficient pam_ldap.so\nsession optional pam_cgdeleg.so\n")}},
		"sshd without PAM, under systemd": {machine: stock, changes: []change{write("/etc/ssh/sshd_config", "UsePAM no\n"), write("/proc/self/cgroup", "0::/system.slice/ssh.service\n")},
			want: []string{"failed:session"}, says: "sshd did not call PAM for this shell", fix: "sudo editor /etc/ssh/sshd_config"},
		"sshd without PAM, under systemd on v1": {machine: hybrid, changes: []change{write("/etc/ssh/sshd_config", "UsePAM no\n"),
			write("/proc/self/cgroup", "8:pids:/\n7:memory:/\n6:freezer:/\n1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service\n")},
			want: []string{"failed:session"}, says: "sshd did not call PAM for this shell", fix: "sudo editor /etc/ssh/sshd_config"},
		"pam_cgfs as well": {machine: v2, changes: []change{replace(common, "session\toptional\tpam_cgdeleg.so", "session optional pam_cgfs.so -c memory\nsession optional pam_cgdeleg.so")},
			want: []string{"warning:pam-cgfs"}, fix: "sudo editor /etc/pam.d/common-session"},
		"pam_cgfs of another service": {machine: v2, changes: []change{write("/etc/pam.d/kiosk", "session optional pam_cgfs.so -c memory\n"), write("/etc/pam.d/kiosk.dpkg-old", "session optional pam_cgfs.so\n")},
			want: []string{"warning:pam-cgfs"}, fix: "sudo editor /etc/pam.d/kiosk"},
		"pam_cgfs of a vendor's service": {machine: v2, changes: []change{write("/usr/lib/pam.d/kiosk", "session optional pam_cgfs.so -c memory\n")},
			want: []string{"warning:pam-cgfs"}, fix: "sudo editor /usr/lib/pam.d/kiosk"},
		"a vendor's service that /etc has anew": {machine: v2, changes: []change{write("/usr/lib/pam.d/su", "session optional pam_cgfs.so\n")}},
		"old files with pam_cgfs": {machine: v2, changes: []change{
			oldFiles("common-session.pam-old", "sshd.dpkg-old", "sshd.ucf-dist", "sshd.rpmsave", "sshd.pacnew", "sshd.pacsave", "sshd.apk-new", "sshd.new-1.2_3",
				"._cfg0000_sshd", ".sshd.swp", "#sshd#", "sshd~", "sshd.bak", "sshd.old", "sshd.save", "sshd.orig")}},
		"an old file that a service includes": {machine: v2, changes: []change{oldFiles("kiosk.old"), write("/etc/pam.d/kiosk", "session include kiosk.old\n")},
			want: []string{"warning:pam-cgfs"}, fix: "sudo editor /etc/pam.d/kiosk.old"},
		"pam_cgfs's package, --user": {machine: v2, user: "alice", changes: []change{replace(common, "session\toptional\tpam_cgdeleg.so", "session optional pam_cgfs.so -c memory\nsession optional pam_cgdeleg.so"), write("/usr/share/pam-configs/cgfs", "")},
			want: []string{"warning:pam-cgfs"}, fix: "sudo apt-get remove libpam-cgfs"},
		"pam_cgfs in the module's place": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgfs.so -c memory"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, fix: `s/pam_cgfs\.so/pam_cgdeleg.so/`},
		"pam_cgfs in the module's place, --user": {machine: v2, user: "alice", changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgfs.so -c memory")},
			want: []string{"failed:pam-line"}, fix: `sudo sh -c 'sed -i "s/pam_cgfs\.so/pam_cgdeleg.so/" "$(readlink -f /etc/pam.d/common-session)"'`},

		"no drop-in":         {machine: stock, want: []string{"failed:delegation"}, says: "the drop-in session-.scope.d/50-cgdeleg.conf is missing", fix: "sudo mkdir -p /etc/systemd/system/session-.scope.d"},
		"no drop-in, --user": {machine: stock, user: "alice", want: []string{"failed:delegation"}},
		"drop-in not loaded": {machine: stock, changes: []change{delegateConf}, system: system{known: true},
			want: []string{"failed:delegation"}, says: "though a drop-in for it has Delegate=", fix: "sudo systemctl daemon-reload"},
		"drop-in newer than the login": {machine: stock, changes: []change{delegateConf}, system: system{known: true, delegated: true},
			want: []string{"failed:session"}, says: "no cgroup of its own in unified"},
		"in the user manager's service": {machine: stock,
			changes: []change{delegateConf, write("/proc/self/cgroup", "0::/user.slice/user-1000.slice/user@1000.service\n")},
			want:    []string{"failed:session"}, says: "the shell is in user@1000.service; only the scope", fix: "systemd-run --user --scope"},
		"by su in another's login": {machine: stock,
			changes: []change{delegateConf, write("/proc/self/cgroup", "0::/user.slice/user-1001.slice/session-7.scope/init.scope\n")},
			want:    []string{"failed:session"}, says: "session-7.scope, which belongs to a login of user 1001 (su and sudo leave a shell there); only the scope of alice's own login"},
		"LXC 6 asks the user manager": {machine: stock, system: system{lxc: "6.0.4", known: true, delegated: true},
			changes: []change{delegateConf, write("/run/user/1000/bus", "")},
		},
		"LXC 6 asks the user manager, and there is no module": {machine: stock, system: system{lxc: "6.0.4"},
			changes: []change{removeModule, replace(common, "pam_cgdeleg.so", "pam_permit.so"), write("/run/user/1000/bus", "")}},
		"podman asks the user manager, and there is no module": {machine: stock, system: system{clients: "podman 5.4.2"},
			changes: []change{removeModule, replace(common, "pam_cgdeleg.so", "pam_permit.so"), write("/run/user/1000/bus", "")}},
		"LXC 5 does not": {machine: stock, system: system{lxc: "5.0.2", clients: "podman 5.4.2"},
			changes: []change{removeModule, write("/run/user/1000/bus", "")},
			want:    []string{"failed:module"}, fix: "systemd-run --user --scope --property Delegate=yes -- lxc-start --name NAME"},
		"systemd too new for v1": {machine: hybrid, system: system{lxc: "5.0.2", systemd: "257.1-1"}, want: []string{"warning:systemd-v1"}, says: "systemd 257 starts on cgroup v1 only with SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"},

		"sshd's configuration includes itself": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), write("/etc/ssh/sshd_config", strings.Repeat("Include sshd_config sshd_config sshd_config\n", 3))},
			want: []string{"failed:session"}, says: "though the login's PAM service has a line of the module"},
		"a rule of cgrules.conf for another program": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), write("/etc/cgrules.conf", "*:ftpd * x\nbob * y\nalice cpu z\n")},
			want: []string{"failed:session"}, says: "though the login's PAM service has a line of the module"},
		"many ranges": {machine: v2, changes: []change{write("/etc/subuid", manyRanges), write("/etc/subgid", manyRanges)}},
		"a newuidmap of one's own": {machine: v2, changes: []change{write("/usr/local/sbin/newuidmap", ""), stat("/usr/local/sbin/newuidmap", machine.Stat{Mode: 0o100755, UID: 1000})},
			want: []string{"failed:idmap-tools"}, says: "not the system's own"},
		"moved out of the session": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:session"}, says: "no cgroup of its own in unified", fix: "sudo cgdeleg open --user alice --pid"},
		"session of another": {machine: v2, changes: []change{stat(session, machine.Stat{Mode: 0o40755, UID: 1001, GID: 1001})},
			want: []string{"failed:session"}},
		"a file that is not the user's": {machine: v2, changes: []change{stat(session+"/cgroup.subtree_control", machine.Stat{Mode: 0o100644})},
			want: []string{"failed:writable"}, says: "not every file of the session"},
		"the group is another's": {machine: v2, changes: []change{stat(session, machine.Stat{Mode: 0o40755, UID: 1000, GID: 0})},
			want: []string{"warning:writable"}, says: "the session is the user's, but its group is not: containers start in it, and lxc-attach fails"},
		"user/ closed": {machine: v2, changes: []change{stat("/sys/fs/cgroup/user", machine.Stat{Mode: 0o40700})},
			want: []string{"failed:parents"}, says: "may not go through directories above the session's cgroup", fix: "sudo chmod o+x /sys/fs/cgroup/user"},
		"a parent that is closed, behind which nothing is seen": {machine: v2, changes: []change{remove("/sys/fs/cgroup/user/alice"), stat("/sys/fs/cgroup/user", machine.Stat{Mode: 0o40700})},
			want: []string{"failed:parents"}, says: "may not go through directories above the session's cgroup", fix: "sudo chmod o+x /sys/fs/cgroup/user"},
		"shell in the session itself": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/user/alice/0\n"), write(session+"/cgroup.procs", "4711\n")},
			want: []string{"failed:leaf"}, fix: "sh -c 'mkdir -p /sys/fs/cgroup/user/alice/0/init.scope"},
		"no memory on v2": {machine: v2, changes: []change{write(session+"/cgroup.controllers", "cpu pids\n")},
			want: []string{"warning:controllers"}, says: "the session lacks the controller memory"},
		"a realtime process": {machine: v2,
			changes: []change{write(session+"/cgroup.controllers", "memory pids\n"), write("/proc/77/stat", "77 (a ) b) S"+strings.Repeat(" 0", 37)+" 2 0 0\n")},
			want:    []string{"warning:realtime"}},
		"a realtime process, and no memory": {machine: v2,
			changes: []change{write(session+"/cgroup.controllers", "pids\n"), write("/proc/77/stat", "77 (a ) b) S"+strings.Repeat(" 0", 37)+" 2 0 0\n")},
			want:    []string{"warning:controllers", "warning:realtime"}, says: "the session lacks the controller memory, because"},
		"a controller that user/ does not give on": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/cgroup.subtree_control", "cpu pids\n"), write("/sys/fs/cgroup/user/cgroup.procs", ""), write("/sys/fs/cgroup/user/alice/cgroup.procs", ""), write(session+"/cgroup.controllers", "cpu pids\n")},
			want: []string{"warning:controllers"}, says: "because /sys/fs/cgroup/user does not enable it", text: "enable it there, and log in again: the module enables it for the new session (the older", fix: "sudo sh -c 'echo +memory >/sys/fs/cgroup/user/cgroup.subtree_control'"},
		"a controller that user/NAME does not give on": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/cgroup.subtree_control", "cpu pids\n"), write("/sys/fs/cgroup/user/cgroup.procs", ""), write("/sys/fs/cgroup/user/alice/cgroup.procs", ""), write(session+"/cgroup.controllers", "cpu pids\n")},
			want: []string{"warning:controllers"}, says: "because /sys/fs/cgroup/user/alice does not enable it", text: "log in again: the module enables it for the new session"},
		"a controller that user/ cannot give on": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/cgroup.subtree_control", "cpu pids\n"), write("/sys/fs/cgroup/user/cgroup.procs", "31\n"), write("/sys/fs/cgroup/user/alice/cgroup.procs", ""), write(session+"/cgroup.controllers", "cpu pids\n")},
			want: []string{"warning:controllers"}, says: "because /sys/fs/cgroup/user does not enable it", text: "move the processes that are in /sys/fs/cgroup/user itself"},
		"pids.max above": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "20\n"), write("/sys/fs/cgroup/user/alice/pids.current", "3\n")},
			want: []string{"warning:limits"}},
		"room under pids.max": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "2000\n"), write("/sys/fs/cgroup/user/alice/pids.current", "3\n")}},
		"memory.max above":    {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "1048576\n")}, want: []string{"warning:limits"}},
		"memory.max above, used by a cache": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "134217728\n"),
			write("/sys/fs/cgroup/user/memory.current", "120000000\n"), write("/sys/fs/cgroup/user/memory.stat", "anon 1000\ninactive_file 100000000\n")}},
		"memory.max above, used": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "134217728\n"),
			write("/sys/fs/cgroup/user/memory.current", "120000000\n"), write("/sys/fs/cgroup/user/memory.stat", "anon 100000000\ninactive_file 1000\n")}, want: []string{"warning:limits"}},
		"no deep cgroups": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/cgroup.max.depth", "3\n")},
			want: []string{"warning:limits"}, says: "leave little room", fix: "echo max >/sys/fs/cgroup/user/alice/cgroup.max.depth"},
		"cgroups deep enough": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/cgroup.max.depth", "4\n")}},
		"no more cgroups": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/cgroup.max.descendants", "10\n"), write("/sys/fs/cgroup/user/cgroup.stat", "nr_descendants 9\nnr_dying_descendants 0\n")},
			want: []string{"warning:limits"}},
		"v1 memory limit above": {machine: v1, changes: []change{write("/sys/fs/cgroup/memory/user/alice/memory.limit_in_bytes", "1048576\n")},
			want: []string{"warning:limits"}},

		"no network namespaces, and podman alone": {machine: v2, system: system{clients: "podman 5.4.2", known: true, delegated: true}, changes: []change{write("/proc/sys/user/max_net_namespaces", "0\n")},
			want: []string{"warning:userns"}, says: "podman starts containers only with --network=host", fix: "user.max_net_namespaces=15000 >/etc/sysctl.d/99-max_net_namespaces.conf"},
		"no cgroup namespaces, and podman alone": {machine: v2, system: system{clients: "podman 5.4.2", known: true, delegated: true}, changes: []change{write("/proc/sys/user/max_cgroup_namespaces", "0\n")},
			want: []string{"warning:userns"}, says: "user.max_cgroup_namespaces is 0, so that no cgroup namespace can be made: podman starts containers only with --cgroupns=host"},
		"no network and no cgroup namespaces, and podman alone": {machine: v2, system: system{clients: "podman 5.4.2", known: true, delegated: true},
			changes: []change{write("/proc/sys/user/max_net_namespaces", "0\n"), write("/proc/sys/user/max_cgroup_namespaces", "0\n")},
			want:    []string{"warning:userns"}, says: "podman starts containers only with --network=host --cgroupns=host", text: "allow network namespaces, for every boot and now; allow cgroup namespaces"},
		"two causes for three controllers": {machine: v2sd, system: system{known: true, delegated: true}, changes: []change{
			write("/etc/systemd/system/session-.scope.d/90-site.conf", "[Scope]\nDelegate=\nDelegate=memory io\n"),
			write("/proc/cmdline", "root=/dev/vda cgroup_disable=memory\n"), replace("/sys/fs/cgroup/cgroup.controllers", "memory", ""),
			write(scopeOf+"/cgroup.controllers", "io\n"), write("/sys/fs/cgroup/user.slice/cgroup.subtree_control", "io\n")},
			want: []string{"warning:controllers"},
			says: "lacks the controllers cpu, memory and pids: cpu and pids, because /etc/systemd/system/session-.scope.d/90-site.conf does not name them in Delegate=; memory, because the kernel's command line has cgroup_disable=memory",
			text: "cpu and pids: add cpu pids to Delegate= in /etc/systemd/system/session-.scope.d/90-site.conf and log in again; memory: remove cgroup_disable=memory from the kernel's command line"},
		"no network namespaces, and none wanted": {machine: v2, config: config, changes: []change{appendTo(config, "\nlxc.net.0.type = none\nlxc.mount.auto =\n"), write("/proc/sys/user/max_net_namespaces", "0\n")}},
		"no IPC namespaces, and one kept":        {machine: v2, config: config, changes: []change{appendTo(config, "\nlxc.net.0.type = none\nlxc.namespace.keep = ipc\n"), write("/proc/sys/user/max_ipc_namespaces", "0\n")}},
		"a root file system on a volume": {machine: v2, config: config, changes: []change{appendTo(config, "\nlxc.rootfs.path = lvm:/dev/vg/c1\n")},
			want: []string{"failed:config-rootfs"}, says: "which is of the kind lvm", fix: "editor " + config},
		"a root file system that is an image": {machine: v2, config: config, changes: []change{write("/home/alice/c1.img", ""), stat("/home/alice/c1.img", machine.Stat{Mode: 0o100644, UID: 1000}), appendTo(config, "\nlxc.rootfs.path = /home/alice/c1.img\n")},
			want: []string{"failed:config-rootfs"}, says: "which is a file"},
		"a root file system of ZFS": {machine: v2, config: config, changes: []change{appendTo(config, "\nlxc.rootfs.path = zfs:tank/c1\n")},
			want: []string{"unknown:config-rootfs"}, says: "it is of the kind zfs"},
		"no user namespaces": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n")},
			want: []string{"failed:userns"}, fix: "echo user.max_user_namespaces=15000 >/etc/sysctl.d/99-max_user_namespaces.conf"},
		"Debian's switch": {machine: v2, changes: []change{write("/proc/sys/kernel/unprivileged_userns_clone", "0\n")},
			want: []string{"failed:userns"}, fix: "echo kernel.unprivileged_userns_clone=1 >/etc/sysctl.d/99-unprivileged_userns_clone.conf"},
		"one user namespace, for LXC": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "1\n")},
			want: []string{"failed:userns"}, says: "user.max_user_namespaces is 1: LXC makes a second user namespace", fix: "echo user.max_user_namespaces=15000 >/etc/sysctl.d/99-max_user_namespaces.conf"},
		"one user namespace, and no mount namespace": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "1\n"), write("/proc/sys/user/max_mnt_namespaces", "0\n")},
			want: []string{"failed:userns"}, says: "user.max_mnt_namespaces is 0"},
		"two user namespaces, for LXC": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "2\n")}},
		"a /proc with processes alone": {machine: v2, changes: []change{remove("/proc/sys"), replace("/proc/self/mountinfo", "- proc proc rw", "- proc proc rw,subset=pid")},
			want: []string{"unknown:userns"}, says: "/proc is mounted with subset=pid, and shows no /proc/sys", text: "run cgdeleg check where /proc is mounted without subset=pid"},
		"no user namespaces, by a file that is read last": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.d/zz-hard.conf", "-user/max_user_namespaces = 0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces in /etc/sysctl.d/zz-hard.conf, for", fix: `sudo sed -i 's|^[[:blank:]]*-*user[./]max_user_namespaces[[:blank:]]*=.*|user.max_user_namespaces=15000|' /etc/sysctl.d/zz-hard.conf`},
		"no user namespaces, by a file that is read before": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.d/10-hard.conf", "user.max_user_namespaces = 0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces, for", fix: "echo user.max_user_namespaces=15000 >/etc/sysctl.d/99-max_user_namespaces.conf"},
		"no user namespaces, by a package's file that is read last": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/usr/lib/sysctl.d/zz-hard.conf", "user.max_user_namespaces=0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces, for", fix: "echo user.max_user_namespaces=15000 >/etc/sysctl.d/zz-hard_max_user_namespaces.conf"},
		"no user namespaces, by a package's file that the administrator's replaces": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/usr/lib/sysctl.d/zz-hard.conf", "user.max_user_namespaces=0\n"), write("/etc/sysctl.d/zz-hard.conf", "")},
			want: []string{"failed:userns"}, text: "allow user namespaces, for", fix: "/etc/sysctl.d/99-max_user_namespaces.conf"},
		"no user namespaces, by sysctl.conf": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.conf", "user.max_user_namespaces=0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces in /etc/sysctl.conf, for", fix: "/etc/sysctl.conf"},
		"no user namespaces, by sysctl.conf and a copy of it": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.conf", "user.max_user_namespaces=0\n"), write("/etc/sysctl.d/zz.conf", "user.max_user_namespaces=0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces in /etc/sysctl.d/zz.conf and /etc/sysctl.conf, for", fix: "/etc/sysctl.d/zz.conf"},
		"no user namespaces, by a link to sysctl.conf": {machine: v2sd, system: system{known: true, delegated: true}, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n"), write("/etc/sysctl.conf", "user.max_user_namespaces=0\n"), write("/etc/sysctl.d/99-sysctl.conf", "user.max_user_namespaces=0\n")},
			want: []string{"failed:userns"}, text: "allow user namespaces in /etc/sysctl.conf, for", fix: "/etc/sysctl.conf"},
		"Ubuntu 24.04's AppArmor": {machine: v2, changes: []change{write("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")},
			want: []string{"failed:apparmor"}, says: "from LXC, which has no profile that allows user namespaces", fix: "sudo editor /etc/apparmor.d/usr.bin.lxc-start"},
		"Ubuntu 24.04's AppArmor, with a profile": {machine: v2, changes: []change{write("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"), write("/etc/apparmor.d/usr.bin.lxc-start", "profile x { userns, }\n")}},
		"no newuidmap": {machine: v2, changes: []change{remove("/usr/bin/newuidmap"), remove("/bin/newuidmap")},
			want: []string{"failed:idmap-tools"}, says: "newuidmap is neither in PATH", fix: "apt install --reinstall uidmap"},
		"newuidmap is missing from its package": {machine: v2, changes: []change{remove("/usr/bin/newuidmap"), remove("/bin/newuidmap"), write("/var/lib/dpkg/info/uidmap.list", "")},
			want: []string{"failed:idmap-tools"}, fix: "sudo apt install --reinstall uidmap"},
		"newgidmap without privileges": {machine: v2, changes: []change{stat("/usr/bin/newgidmap", machine.Stat{Mode: 0o100755})},
			want: []string{"failed:idmap-tools"}, fix: "chown root:root /usr/bin/newgidmap"},
		"newgidmap with capabilities": {machine: v2, changes: []change{stat("/usr/bin/newgidmap", machine.Stat{Mode: 0o100755, Capable: true, Capabilities: 1 << 6})}},
		"newgidmap with the capability of the other": {machine: v2, changes: []change{stat("/usr/bin/newgidmap", machine.Stat{Mode: 0o100755, Capable: true, Capabilities: 1 << 7})},
			want: []string{"failed:idmap-tools"}, fix: "chown root:root /usr/bin/newgidmap"},
		"nosuid": {machine: v2, changes: []change{stat("/usr/bin/newuidmap", machine.Stat{Mode: 0o104755, NoSetUID: true})},
			want: []string{"failed:idmap-tools"}, says: "nosuid"},
		"closed home, with an ACL for the containers": {machine: v2, changes: []change{stat("/home/alice", machine.Stat{Mode: 0o40770, UID: 1000, GID: 1000, Searchers: []int{100000}})}},
		"closed home, with an ACL for another": {machine: v2, changes: []change{stat("/home/alice", machine.Stat{Mode: 0o40770, UID: 1000, GID: 1000, Searchers: []int{1001}})},
			want: []string{"failed:paths"}},
		"no_new_privs": {machine: v2, changes: []change{replace("/proc/self/status", "NoNewPrivs:\t0", "NoNewPrivs:\t1")},
			want: []string{"failed:idmap-tools"}, says: "no_new_privs"},
		"few subordinate IDs": {machine: v2, changes: []change{replace("/etc/subuid", "alice:100000:65536", "alice:100000:1000")},
			want: []string{"failed:subid"}, fix: "sudo usermod --add-subuids 101000-165535 alice"},
		"two levels of containers": {machine: v2, nested: 2, want: []string{"failed:subid"}, says: "2 levels of containers need"},
		"memory turned on, and then off": {machine: "tried/rpi-enable-already", changes: []change{write("/proc/cmdline", "cgroup_enable=memory cgroup_disable=memory root=/dev/mmcblk0p2\n")},
			want: []string{"warning:controllers"}, says: "because the kernel's command line has cgroup_disable=memory", text: "or move it in front of cgroup_enable=memory"},
		"memory turned off, and on by a kernel that cannot": {machine: "tried/rpi-enable-already", changes: []change{write("/proc/cmdline", "cgroup_disable=memory cgroup_enable=memory,pids root=/dev/mmcblk0p2\n")},
			want: []string{"warning:controllers"}, says: "because the kernel's command line has cgroup_disable=memory", text: "or take a kernel that knows cgroup_enable="},
		"others have the same IDs": {machine: v2, changes: []change{replace("/etc/subuid", "bob:165536:65536", "bob:165535:65536")},
			want: []string{"warning:subid-overlap"}},
		"closed home": {machine: v2, changes: []change{stat("/home/alice", machine.Stat{Mode: 0o40700, UID: 1000, GID: 1000})},
			want: []string{"failed:paths"}, fix: "chmod o+x /home/alice"},

		"membership that cannot be read": {machine: v2, changes: []change{write("/proc/self/cgroup", "garbage\n")},
			want: []string{"unknown:namespace", "unknown:session"}, says: "it cannot be told in which cgroups this process is"},
		"ancestors that cannot be read": {machine: v2, changes: []change{remove("/proc/161"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"unknown:login"}, says: "hidepid"},
		"an application that is not root's": {machine: v2, changes: []change{replace("/proc/146/status", "Uid:\t0\t0", "Uid:\t1000\t1000"), replace("/proc/122/status", "Uid:\t0\t0", "Uid:\t1000\t1000"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:login"}, says: "the sshd among its ancestors (process 161) runs as alice, not as root"},
		"the login has ended": {machine: v1, changes: []change{replace("/proc/190/status", "PPid:\t176", "PPid:\t1")}},
		"the login has ended, and so the shell": {machine: v1, changes: []change{replace("/proc/self/status", "PPid:\t190", "PPid:\t1"), write("/proc/self/cgroup", "9:name=openrc:/\n7:memory:/\n6:freezer:/\n0::/\n")},
			want: []string{"failed:login"}, fix: "sudo cgdeleg open --user alice --pid PID"},
		"root of a user namespace": {machine: v2, changes: []change{replace("/proc/self/status", "Uid:\t1000\t1000", "Uid:\t1000\t0"), write("/proc/self/uid_map", "0 1000 1\n"), stat(session, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534})},
			want: []string{"failed:session", "unknown:paths"}},
		"a range with an account's own ID": {machine: v2, changes: []change{replace("/etc/passwd", "alice:", "carol:x:100001:100001::/home/carol:/bin/sh\nalice:")},
			want: []string{"warning:subid-overlap"}, says: "IDs of other accounts are among alice's subordinate IDs: alice can become them", text: "give alice another range, without their IDs (231072:65536 is free)"},
		"an account among IDs that nobody else has": {machine: v2, changes: []change{replace("/etc/passwd", "alice:", "carol:x:150000:150000::/home/carol:/bin/sh\nalice:"), write("/etc/subuid", ""), write("/etc/subgid", "")},
			want: []string{"failed:subid"}, says: "alice has fewer subordinate IDs", fix: "sudo usermod --add-subuids 150001-215536 --add-subgids 150001-215536 alice"},
		"no IDs that nobody else has": {machine: v2, changes: []change{write("/etc/subuid", "bob:100000:4294867000\n")},
			want: []string{"failed:subid"}, says: "alice has fewer subordinate IDs", text: "take a range from another user, and give it to alice: no 65536 IDs in one piece are free here"},
		"a range as usermod takes it": {machine: v2, changes: []change{replace("/etc/subuid", "100000:65536", "100000-165535")},
			want: []string{"failed:subid"}, says: "newuidmap does not take /etc/subuid:1 for alice's", text: "correct /etc/subuid:1: a line is NAME:FIRST:COUNT, here alice:100000:65536"},
		"a range as usermod takes it, of another user's IDs": {machine: v2, changes: []change{write("/etc/subuid", "alice:100000-165535\nbob:100000:65536\n")},
			want: []string{"failed:subid"}, says: "newuidmap does not take /etc/subuid:1 for alice's", text: "correct /etc/subuid:1: a line is NAME:FIRST:COUNT, such as alice:231072:65536"},
		"the container wants one user ID more than there is": {machine: v2, config: config, changes: []change{write("/etc/subuid", "alice:100000:65536\n"), write("/etc/subgid", "alice:100000:65536\n"), replace(config, "u 0 100000 65536", "u 0 100000 65537")},
			want: []string{"failed:config-idmap"}, says: "are not among alice's subordinate IDs", fix: "sudo usermod --add-subuids 165536-165536 alice", text: "give alice these IDs in /etc/subuid; or write those that alice has into lxc.idmap: u 0 100000 65536, and g 0 100000 65536"},
		"the container wants root's ID": {machine: v2, config: config, changes: []change{replace(config, "100000 65536", "0 65536")},
			want: []string{"failed:config-idmap"}, says: "are not among alice's subordinate IDs", fix: "sed -i -e '3s/=.*/= u 0 100000 65536/' -e '4s/=.*/= g 0 100000 65536/'"},
		"the container has a group of the user's": {machine: v2, config: config, changes: []change{audio, passed},
			want: []string{"failed:config-idmap"}, says: "are not among alice's subordinate IDs", text: "alice is in the group 29, and with this line the container's root is in it as well", fix: "sudo usermod --add-subgids 29-29 alice"},
		"the container has a group of others'": {machine: v2, config: config, changes: []change{passed},
			want: []string{"failed:config-idmap"}, says: "are not among alice's subordinate IDs", text: "these IDs may be those of other users: write alice's own into"},
		"the container has a group that the user was given": {machine: v2, config: config, changes: []change{audio, passed, appendTo("/etc/subgid", "alice:29:1\n")}},
		"two lines of subordinate IDs in one": {machine: v2, changes: []change{write("/etc/subuid", "bob:100000:65536alice:165536:65536\n")},
			want: []string{"failed:subid"}, says: "because a line was written behind another without a newline between them", fix: `sudo sed -i 's/^\(bob:100000:65536\)\(alice:165536:65536\)$/\1\n\2/' /etc/subuid`},
		"two lines in one, of which shadow makes a count of many digits": {machine: v2, changes: []change{write("/etc/subuid", "bob:100000:655361000:165536:65536\n")},
			want: []string{"failed:subid"}, says: "because a line was written behind another", fix: `\(1000:165536:65536\)$/\1\n\2/' /etc/subuid`},
		"two lines in one that are not enough": {machine: v2, changes: []change{write("/etc/subuid", "alice:100000:1000bob:165536:65536\n")},
			want: []string{"failed:subid"}, says: "because a line was written behind another", fix: "editor /etc/subuid"},
		"two lines of others in one": {machine: v2, changes: []change{write("/etc/subuid", "bob:100000:65536carol:165536:65536\n"), write("/etc/subgid", "")},
			want: []string{"failed:subid"}, fix: "sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 alice"},
		"no subuid file": {machine: v2, changes: []change{remove("/etc/subuid")},
			want: []string{"failed:subid"}, fix: "sudo touch /etc/subuid"},
		"a user of a directory service": {machine: v2, changes: []change{replace("/etc/passwd", ":1000:", ":4000:"), replace("/etc/subuid", "alice", "al")},
			want: []string{"failed:subid", "unknown:paths"}, fix: `1000:231072:65536\n'\'' >>/etc/subuid'`},
		"a v2 limit where v1 is mounted": {machine: v1, config: config, changes: []change{replace(config, "lxc.cgroup.memory.limit_in_bytes = 64M", "lxc.cgroup2.memory.max = 64M")},
			want: []string{"warning:config-limits"}, says: "limits of the container are for the other version", text: "write, for cgroup v1: lxc.cgroup.memory.limit_in_bytes = 64M"},
		"a v2 limit on v1 that is set for v1 as well": {machine: v1, config: config, changes: []change{appendTo(config, "lxc.cgroup2.memory.max = 64M\n")}},
		"words that the module ignores": {machine: v1, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so close=wiat timeout=99")},
			want: []string{"warning:pam-line"}, says: "the module ignores words of its line in /etc/pam.d/common-session:", text: "correct these words of the module's line, and log in again"},
		"a key that LXC has not": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.foo = 1\n")},
			want: []string{"failed:config"}, says: "does not know the key lxc.foo", text: "remove the line of lxc.foo, or write"},
		"a key that is misspelt": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.uts.nam = 1\n")},
			want: []string{"failed:config"}, says: "does not know the key lxc.uts.nam", text: "write lxc.uts.name in place of lxc.uts.nam"},
		"a key of before LXC 2.1": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.utsname = x\n")},
			want: []string{"failed:config"}, says: "no longer knows lxc.utsname, a key of LXC before 2.1"},
		"several keys of before LXC 2.1": {machine: v2, config: config, changes: []change{replace(config, "lxc.idmap = u", "lxc.id_map = u"), replace(config, "lxc.idmap = g", "lxc.id_map = g"), appendTo(config, "lxc.utsname = x\nlxc.kmsg = 0\n")},
			want: []string{"failed:config"}, says: "no longer knows keys of LXC before 2.1, such as lxc.id_map,", text: "write lxc.idmap for lxc.id_map, lxc.uts.name for lxc.utsname; remove lxc.kmsg, which nothing has replaced; lxc-update-config(1) does that, where LXC brings it"},
		"a key of before LXC 2.1, with that": {machine: v1, config: config, system: system{lxc: "2.1.1"}, changes: []change{appendTo(config, "lxc.utsname = x\n")}},
		"keys of LXC 2.1 with the one before": {machine: v1, config: config, system: system{lxc: "2.0.7"},
			want: []string{"failed:config"}, says: "LXC 2.0.7 does not know keys of later versions yet, such as lxc.idmap,", text: "install a later LXC: 2.1 knows all of them"},
		"an LXC that does not know cgroup v2": {machine: v2, system: system{lxc: "2.0.9"},
			want: []string{"failed:lxc-v1"}, says: "LXC 2.0.9 does not know cgroup v2, and starts no container on it", text: "install LXC 3.0 or later"},
		"overlay as a root file system before Linux 5.11": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.rootfs.path = overlay:/a:/b\n"), write("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n")},
			want: []string{"failed:config-rootfs"}, says: "the container's root file system is overlay, which no user may mount before Linux 5.11", text: "make the container again in a directory"},
		"a limit of swap that the kernel does not count": {machine: v1, config: config, changes: []change{appendTo(config, "lxc.cgroup.memory.memsw.limit_in_bytes = 64M\n"), write("/usr/share/lxc/config/userns.conf.d/.recorded", ""), write(machine.AbsentFile, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n/sys/fs/cgroup/memory/user/alice/0/memory.memsw.limit_in_bytes\n")},
			want: []string{"failed:config-limits"}, says: "has no file memory.memsw.limit_in_bytes", text: "add swapaccount=1 to the kernel's command line"},
		"a limit of swap that is not counted all the same": {machine: v1, config: config, changes: []change{appendTo(config, "lxc.cgroup.memory.memsw.limit_in_bytes = 64M\n"), write("/usr/share/lxc/config/userns.conf.d/.recorded", ""), write("/proc/cmdline", "quiet swapaccount=1\n"), write(machine.AbsentFile, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n/sys/fs/cgroup/memory/user/alice/0/memory.memsw.limit_in_bytes\n")},
			want: []string{"failed:config-limits"}, says: "has no file memory.memsw.limit_in_bytes", text: "remove that line: this kernel does not count swap"},
		"a key of a later LXC": {machine: v2, config: config, system: system{lxc: "3.0.3"}, changes: []change{appendTo(config, "lxc.time.offset.boot = 5s\n")},
			want: []string{"failed:config"}, says: "LXC 3.0.3 does not know the key lxc.time.offset.boot yet, and refuses to start the container", text: "remove that line, or install a later LXC: 5.0 knows it"},
		"a device's key of a later LXC": {machine: v2, config: config, system: system{lxc: "3.0.3"}, changes: []change{appendTo(config, "lxc.net.0.veth.mode = router\n")},
			want: []string{"failed:config"}, says: "LXC 3.0.3 does not know the key lxc.net.0.veth.mode yet"},
		"two keys of a later LXC": {machine: v2, config: config, system: system{lxc: "3.0.3"}, changes: []change{appendTo(config, "lxc.net.0.veth.mode = router\nlxc.time.offset.boot = 5s\n")},
			want: []string{"failed:config"}, says: "LXC 3.0.3 does not know keys of later versions yet, such as lxc.net.0.veth.mode, and refuses to start the container", text: "remove those lines, or install a later LXC: 5.0 knows all of them"},
		"one key of a later LXC twice": {machine: v2, config: config, system: system{lxc: "3.0.3"}, changes: []change{appendTo(config, "lxc.time.offset.boot = 5s\nlxc.time.offset.boot = 6s\n")},
			want: []string{"failed:config"}, says: "LXC 3.0.3 does not know the key lxc.time.offset.boot yet", text: "remove those lines, or install a later LXC: 5.0 knows it"},
		"the last LXC without a key": {machine: v2, config: config, system: system{lxc: "4.0.10"}, changes: []change{appendTo(config, "lxc.sched.core = 1\n")},
			want: []string{"failed:config"}, says: "LXC 4.0.10 does not know the key lxc.sched.core yet", text: "4.0.11 knows it"},
		"the first LXC with a key":             {machine: v2, config: config, system: system{lxc: "4.0.11"}, changes: []change{appendTo(config, "lxc.sched.core = 1\n")}},
		"a key of a device that all LXC knows": {machine: v2, config: config, system: system{lxc: "3.0.3"}, changes: []change{appendTo(config, "lxc.net.0.veth.pair = v0\n")}},
		"a key between two versions of LXC": {machine: v2, config: config, system: system{lxc: "4.0.8"}, changes: []change{appendTo(config, "lxc.time.offset.boot = 5s\n")},
			want: []string{"unknown:config"}, says: "it cannot be told whether LXC 4.0.8 knows the key lxc.time.offset.boot: later versions do"},
		"a key that an older LXC takes for another": {machine: v2, config: config, system: system{lxc: "4.0.6"}, changes: []change{appendTo(config, "lxc.cgroup.dir.container = x\n")},
			want: []string{"unknown:config"}, says: "it cannot be told whether LXC 4.0.6 knows the key lxc.cgroup.dir.container"},
		"a key that a newer LXC may have": {machine: v2, config: config, system: system{lxc: "7.0.0"}, changes: []change{appendTo(config, "lxc.foo = 1\n")},
			want: []string{"unknown:config"}, says: "it cannot be told whether LXC 7.0.0 knows the key lxc.foo"},
		"a seccomp profile that is not there": {machine: v2, config: config, changes: []change{withSeccomp("0"), appendTo(config, "lxc.seccomp.profile = /srv/box.seccomp\n"), absentFiles("/srv")},
			want: []string{"failed:config"}, says: "LXC does not start the container: its seccomp profile /srv/box.seccomp is not there", text: "make it, or correct the line"},
		"a seccomp profile that is not there, under a filter": {machine: v2, config: config, changes: []change{withSeccomp("2"), appendTo(config, "lxc.seccomp.profile = /srv/box.seccomp\n"), absentFiles("/srv")}},
		"a seccomp profile of which nothing is known": {machine: v2, config: config, changes: []change{withSeccomp("0"), appendTo(config, "lxc.seccomp.profile = /srv/box.seccomp\n"), absentFiles()},
			want: []string{"unknown:config"}, says: "it cannot be told whether LXC finds its seccomp profile /srv/box.seccomp"},
		"a mount of what is not there": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.mount.entry = /srv/a\\040b mnt none bind,create=dir 0 0\n"), absentFiles("/srv")},
			want: []string{"failed:config"}, says: "LXC does not start the container: what it mounts from /srv/a b is not there", text: "a mount with the option optional is left out", fix: "editor " + config},
		"mounts that need nothing":        {machine: v2, config: config, changes: []change{appendTo(config, "lxc.mount.entry = /srv/a mnt none bind,optional 0 0\nlxc.mount.entry = tmpfs tmp tmpfs size=1M 0 0\nlxc.mount.entry = srv mnt none bind,relative 0 0\n"), absentFiles("/srv")}},
		"a mount that is taken back":      {machine: v2, config: config, changes: []change{appendTo(config, "lxc.mount.entry = /srv/a mnt none bind 0 0\nlxc.mount.entry =\n"), absentFiles("/srv")}},
		"a mount of what a hook may make": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.mount.entry = /srv/a mnt none bind 0 0\nlxc.hook.pre-start = /usr/bin/true\n"), write("/usr/bin/true", ""), absentFiles("/srv")}},
		"a hook and a list of mounts that are not there": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.mount.fstab = /srv/fstab\nlxc.hook.pre-start = /srv/hook -v\n"), absentFiles("/srv")},
			want: []string{"failed:config"}, says: "its list of mounts /srv/fstab and its hook /srv/hook are not there", text: "make them, or correct the lines"},
		"the machine's network, and sysfs": {machine: v2, config: config, changes: []change{replace(config, "type = empty", "type = none")},
			want: []string{"failed:config"}, says: "LXC does not start the container: it would mount sysfs, and may not, because the container has no network namespace of its own", text: "set lxc.net.0.type to empty", fix: "editor " + config},
		"the machine's network, and sysfs by a line of mounts": {machine: v2, config: config, changes: []change{replace(config, "type = empty", "type = none\nlxc.mount.auto =\nlxc.mount.entry = sysfs sys sysfs defaults 0 0")},
			want: []string{"failed:config"}, says: "it would mount sysfs"},
		"the machine's network, and no sysfs":   {machine: v2, config: config, changes: []change{replace(config, "type = empty", "type = none\nlxc.mount.auto =\nlxc.mount.auto = proc:mixed\nlxc.mount.entry = sysfs sys sysfs optional 0 0\nlxc.mount.entry = /sys sys none rbind 0 0"), absentFiles()}},
		"the machine's network beside a device": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.net.1.type = none\n")}},
		"the network is kept": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.keep = net ipc\n")},
			want: []string{"failed:config"}, says: "it would mount sysfs", text: "remove net from lxc.namespace.keep"},
		"no PID namespace is made": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.clone = user mnt net ipc uts cgroup\n")},
			want: []string{"failed:config"}, says: "it would mount proc, and may not, because the container has no PID namespace of its own", text: "add pid to lxc.namespace.clone"},
		"the user namespace is kept": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.keep = user\n")},
			want: []string{"failed:config"}, says: "it is told not to make a user namespace", text: "remove the line lxc.namespace.keep"},
		"the network of another container": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.share.net = c2\n")},
			want: []string{"failed:config"}, says: "it may not join the network namespace of c2", text: "share the user namespace as well, by lxc.namespace.share.user = c2"},
		"the network of another container, and its user namespace": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.share.net = c2\nlxc.namespace.share.user = c2\n")}},
		"the cgroup namespace is kept":                             {machine: v2, config: config, changes: []change{appendTo(config, "lxc.namespace.keep = cgroup\n")}},
		"carriage returns":                                         {machine: v2, config: config, changes: []change{replace(config, "\n", "\r\n")}},
		"carriage returns before LXC 4.0": {machine: v2, config: config, system: system{lxc: "3.1.0"}, changes: []change{replace(config, "rootfs\n", "rootfs\r\n")},
			want: []string{"failed:config"}, says: "LXC 3.1.0 takes the carriage return at the end of a line for a part of the value", fix: `sed -i 's/\r$//' ` + config},
		"no network devices for the user": {machine: v2, config: config, changes: []change{veth},
			want: []string{"failed:config-network"}, says: "alice may have no network device on lxcbr0", fix: `'\''alice veth lxcbr0 10'\'' >>/etc/lxc/lxc-usernet'`},
		"no network devices any more": {machine: v2, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 0\nbob veth lxcbr0 10\nalice veth other 10\n")},
			want: []string{"failed:config-network"}, says: "alice may have no network device on lxcbr0"},
		"the bridge is not there": {machine: v2sd, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/lib/systemd/system/lxc-net.service", "")},
			want: []string{"failed:config-network"}, says: "the bridge lxcbr0 is not there", fix: "sudo systemctl enable --now lxc-net.service"},
		"the bridge is not there, and a script that nothing here starts": {machine: v2, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/etc/init.d/lxc-net", "")},
			want: []string{"failed:config-network"}, says: "the bridge lxcbr0 is not there", text: "make the bridge, or name one that is there"},
		"the bridge is not to be made": {machine: v2sd, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/lib/systemd/system/lxc-net.service", ""), write("/etc/default/lxc", "USE_LXC_BRIDGE=\"true\"\n"), write("/etc/default/lxc-net", "# x\nUSE_LXC_BRIDGE=\"false\" # none\n")},
			want: []string{"failed:config-network"}, says: "the bridge lxcbr0 is not there", fix: `sudo sed -i 's/^[[:blank:]]*USE_LXC_BRIDGE=.*/USE_LXC_BRIDGE="true"/' /etc/default/lxc-net`},
		"the bridge is to be made after all": {machine: v2sd, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/lib/systemd/system/lxc-net.service", ""), write("/etc/default/lxc", "USE_LXC_BRIDGE=\"false\"  # overridden in lxc-net\n"), write("/etc/default/lxc-net", "USE_LXC_BRIDGE=\"true\"\n")},
			want: []string{"failed:config-network"}, fix: "sudo systemctl enable --now lxc-net.service"},
		"no bridge, and nothing known of devices": {machine: "tried/usernet-blank", config: config, changes: []change{replace(config, "lxc.net.0.link = lxcbr0", "lxc.net.0.flags = up"), remove("/etc/lxc/lxc-usernet"), write(machine.AbsentFile, "/sys/fs/cgroup/cgroup.type\n/usr/local/bin/newuidmap\n/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n")},
			want: []string{"unknown:config-network"}, says: "it cannot be told whether alice may have network devices"},
		"a network device of a key that LXC does not know": {machine: v2, config: config, system: system{lxc: "5.0.2", known: true, delegated: true}, changes: []change{replace(config, "lxc.net.0.type = empty", "lxc.network.type = veth")},
			want: []string{"failed:config"}, says: "LXC 5.0.2 no longer knows lxc.network.type"},
		"a bridge of another name is made": {machine: v2sd, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/lib/systemd/system/lxc-net.service", ""), write("/etc/default/lxc-net", "LXC_BRIDGE=lxcbr1\n")},
			want: []string{"failed:config-network"}, text: "name in its place lxcbr1, which lxc-net makes", fix: "editor " + config},
		"another bridge is not there": {machine: v2, config: config, changes: []change{replace(config, "lxc.net.0.type = empty", "lxc.net.0.type = veth\nlxc.net.0.link = br0"), write("/etc/lxc/lxc-usernet", "alice veth br0 10\n"), write("/etc/init.d/lxc-net", ""), stat("/usr/sbin/update-rc.d", machine.Stat{Mode: 0o100755})},
			want: []string{"failed:config-network"}, says: "the bridge br0 is not there", text: "make the bridge, or name one that is there"},
		"network devices by a group": {machine: v2, config: config, changes: []change{veth, write("/etc/group", "people:x:1000:\n"), write("/etc/lxc/lxc-usernet", "@people veth lxcbr0 2\n"), write("/sys/class/net/lxcbr0/.recorded", ""), userNIC}},
		"network devices, and nothing known of lxc-user-nic": {machine: v2, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 2\n"), write("/sys/class/net/lxcbr0/.recorded", "")},
			want: []string{"unknown:config-network"}, says: "it cannot be told whether LXC has lxc-user-nic"},
		"as many network devices as lxc-usernet gives": {machine: v2, config: config, changes: []change{veth, secondDevice, write("/etc/group", "people:x:1000:\n"), write("/etc/lxc/lxc-usernet", "@people veth lxcbr0 1\nalice veth lxcbr0 1\n"), write("/sys/class/net/lxcbr0/.recorded", ""), userNIC}},
		"more network devices than lxc-usernet gives": {machine: v2, config: config, changes: []change{veth, secondDevice, write("/etc/lxc/lxc-usernet", "# x\nalice veth lxcbr0 1\nalice veth lxcbr0 1\n"), write("/sys/class/net/lxcbr0/.recorded", ""), userNIC},
			want: []string{"failed:config-network"}, says: "the container asks for 2 network devices on lxcbr0, of which alice may have 1", fix: `sudo sed -i '2s/[0-9]\{1,\}[^0-9]*$/10/' /etc/lxc/lxc-usernet`},
		"more network devices than a group is given": {machine: v2, config: config, changes: []change{veth, secondDevice, write("/etc/group", "people:x:1000:\n"), write("/etc/lxc/lxc-usernet", "@people veth lxcbr0 1\n"), write("/sys/class/net/lxcbr0/.recorded", ""), userNIC},
			want: []string{"failed:config-network"}, says: "of which alice may have 1", fix: `'\''alice veth lxcbr0 10'\'' >>/etc/lxc/lxc-usernet'`},
		"a device for root's containers": {machine: v2, config: config, changes: []change{replace(config, "lxc.net.0.type = empty", "lxc.net.0.type = phys\nlxc.net.0.link = eth0")},
			want: []string{"failed:config-network"}, says: "of type phys"},
		"a generated profile without AppArmor": {machine: v2, config: config, changes: []change{replace(config, "unconfined", "generated"), write("/sys/module/apparmor/parameters/enabled", "N\n")}},
		"a generated profile": {machine: v2, config: config, changes: []change{replace(config, "unconfined", "generated"), write("/sys/module/apparmor/parameters/enabled", "Y\n")},
			want: []string{"failed:config-apparmor"}, says: "AppArmor takes none from alice", fix: "sed -i '6s/=.*/= unconfined/' " + config},
		"a root file system that root made": {machine: v2, config: config, changes: []change{stat(rootfs, machine.Stat{Mode: 0o40755})},
			want: []string{"failed:config-rootfs"}, says: "belongs to user ID 0, which is none of the container's IDs"},
		"a root file system that nobody looked at": {machine: v2, config: config, changes: []change{remove(rootfs)},
			want: []string{"unknown:config-rootfs"}, says: "not recorded"},
		"lxc.cgroup.relative": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.cgroup.relative = 1\n")},
			want: []string{"failed:lxc-view"}, says: "in the leaf"},
		"an empty drop-in": {machine: stock, changes: []change{write("/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "")},
			want: []string{"failed:delegation"}, says: "is missing"},
		"a login by a service that logind noted": {machine: stock, changes: []change{delegateConf, notedAs("ly", 1000), replace("/proc/268/status", "sshd", "ly-dm"), write("/etc/pam.d/ly", "session required pam_unix.so\n")}, system: system{known: true, delegated: true},
			want: []string{"failed:pam-line"}, says: `the login came through ly-dm, whose PAM service "ly" has no line of the module`},
		"a login of another user's that logind noted": {machine: stock, changes: []change{delegateConf, notedAs("ly", 1001)}, system: system{known: true, delegated: true},
			want: []string{"failed:session"}, says: "though the login's PAM service has a line of the module"},
		"an automatic login by sddm": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), replace("/proc/146/status", "sshd", "sddm-helper"), write("/proc/146/cmdline", "sddm-helper\x00--id\x001\x00--autologin\x00"), write("/etc/pam.d/sddm-autologin", "session required pam_unix.so\n"), write("/etc/pam.d/sddm", "session optional pam_cgdeleg.so\n")},
			want: []string{"failed:pam-line"}, says: `the login came through sddm-helper, whose PAM service "sddm-autologin" has no line`},
		"an automatic login by gdm": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), replace("/proc/146/status", "sshd", "gdm-session-wor"), write("/proc/146/cmdline", "gdm-session-worker [pam/gdm-autologin]\x00"), write("/etc/pam.d/gdm-autologin", "session required pam_unix.so\n"), write("/etc/pam.d/gdm-password", "session optional pam_cgdeleg.so\n")},
			want: []string{"failed:pam-line"}, says: `the login came through gdm-session-worker, whose PAM service "gdm-autologin" has no line`},
		"a login whose program is no ancestor any more": {machine: stock, changes: []change{delegateConf, notedAs("sshd", 1000), orphaned}, system: system{known: true, delegated: true},
			want: []string{"failed:login"}, says: `"sshd" has a line of the module, and the login may be older than that line`, text: "log in again (screen"},
		"a login whose program is no ancestor any more, and no line": {machine: stock, changes: []change{delegateConf, notedAs("sshd", 1000), orphaned, replace(common, "pam_cgdeleg.so", "pam_permit.so")}, system: system{known: true, delegated: true},
			want: []string{"failed:login"}, says: `by the PAM service "sshd", got no cgroups`, fix: "/etc/pam.d/common-session"},
		"a login whose program is no ancestor any more, and no module": {machine: stock, changes: []change{delegateConf, notedAs("sshd", 1000), orphaned, replace(common, "pam_cgdeleg.so", "pam_permit.so"), removeModule}, system: system{known: true, delegated: true},
			want: []string{"failed:login"}, says: `by the PAM service "sshd", got no cgroups`, text: "install pam_cgdeleg"},
		"a login whose program is no ancestor any more, by a service that is not known": {machine: stock, changes: []change{delegateConf, orphaned}, system: system{known: true, delegated: true},
			want: []string{"failed:login"}, says: "its PAM service cannot be told"},
		"a drop-in without a section": {machine: stock, changes: []change{write("/etc/systemd/system/session-.scope.d/50-cgdeleg.conf", "# own\nDelegate = cpu memory pids\n")},
			want: []string{"failed:delegation"}, says: "because it is in no section", fix: "sudo sed -i '2i [Scope]' /etc/systemd/system/session-.scope.d/50-cgdeleg.conf"},
		"a drop-in with the section of a service": {machine: stock, changes: []change{write("/etc/systemd/system/session-.scope.d/50-cgdeleg.conf", "[Service]\nDelegate=cpu memory pids\n")},
			want: []string{"failed:delegation"}, says: "because it is in the section [Service], and not in [Scope]", fix: "sudo sed -i '2i [Scope]' /etc/systemd/system/session-.scope.d/50-cgdeleg.conf"},
		"a drop-in with more in the wrong section": {machine: stock, changes: []change{write("/etc/systemd/system/session-.scope.d/50-cgdeleg.conf", "[Unit]\nDelegate=yes\nDescription=x\n")},
			want: []string{"failed:delegation"}, says: "because it is in the section [Unit]", fix: "sudo editor /etc/systemd/system/session-.scope.d/50-cgdeleg.conf"},
		"a drop-in without a section before a good one": {machine: stock, changes: []change{delegateConf, write("/etc/systemd/system/session-.scope.d/60-site.conf", "Delegate=no\n")}, system: system{known: true, delegated: true},
			want: []string{"failed:session"}},
		"a controller that a slice turns off": {machine: v2sd, changes: []change{noMemory, write("/etc/systemd/system/user-.slice.d/10-off.conf", "[Slice]\nDisableControllers = io memory\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "the session lacks the controller memory, because /etc/systemd/system/user-.slice.d/10-off.conf names it in DisableControllers=", fix: "sudo editor /etc/systemd/system/user-.slice.d/10-off.conf"},
		"a controller that the root slice turns off": {machine: v2sd, changes: []change{noMemory, write("/etc/systemd/system/-.slice.d/off.conf", "[Slice]\nDisableControllers=memory\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "because /etc/systemd/system/-.slice.d/off.conf names it"},
		"a controller that the scope turns off": {machine: v2sd, changes: []change{noMemory, write("/run/systemd/system/session-.scope.d/60-off.conf", "[Scope]\nDisableControllers=memory\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "because /run/systemd/system/session-.scope.d/60-off.conf names it"},
		"a controller that a slice turns off and on again": {machine: v2sd, changes: []change{noMemory, write("/etc/systemd/system/user.slice.d/10-off.conf", "[Slice]\nDisableControllers=memory\n"), write("/etc/systemd/system/user.slice.d/20-on.conf", "[Slice]\nDisableControllers=\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "does not enable it in cgroup.subtree_control"},
		"a controller turned off in the wrong section": {machine: v2sd, changes: []change{noMemory, write("/etc/systemd/system/user.slice.d/10-off.conf", "[Unit]\nDisableControllers=memory\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "does not enable it in cgroup.subtree_control"},
		"a controller that the user manager turns off": {machine: "tried/desktop-lxc6", changes: []change{
			write("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "cpu pids\n"), write("/etc/systemd/system/user@.service.d/10-off.conf", "[Service]\nDisableControllers=memory\n")}, system: system{lxc: "6.0.4", systemd: "257"},
			want: []string{"warning:controllers"}, says: "because /etc/systemd/system/user@.service.d/10-off.conf names it"},
		"a list of Delegate= that adds to another": {machine: v2sd, changes: []change{noMemory, write("/etc/systemd/system/session-.scope.d/90-site.conf", "[Scope]\nDelegate=io\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:controllers"}, says: "does not enable it in cgroup.subtree_control"},
		"a drop-in for all scopes": {machine: stock, changes: []change{write("/etc/systemd/system/scope.d/10-all.conf", "[Scope]\nDelegate=yes\n")}, system: system{known: true},
			want: []string{"failed:delegation"}, says: "though a drop-in for it has Delegate=", fix: "sudo systemctl daemon-reload"},
		"a user manager from which a later drop-in takes controllers": {machine: "tried/desktop-lxc6", changes: []change{
			write("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "cpu pids\n"), write("/sys/fs/cgroup/user.slice/user-1000.slice/cgroup.subtree_control", "cpu pids\n"),
			write("/etc/systemd/system/user@.service.d/override.conf", "[Service]\nDelegate=\nDelegate=cpu pids\n")}, system: system{lxc: "6.0.4", systemd: "257"},
			want: []string{"warning:controllers"}, says: "because /etc/systemd/system/user@.service.d/override.conf does not name it in Delegate=", seen: ">/etc/systemd/system/user@.service.d/zz-cgdeleg.conf"},
		"a user manager from which a drop-in takes controllers that no name comes after": {machine: "tried/desktop-lxc6", changes: []change{
			write("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", "cpu pids\n"), write("/sys/fs/cgroup/user.slice/user-1000.slice/cgroup.subtree_control", "cpu pids\n"),
			write("/etc/systemd/system/user@.service.d/zzz.conf", "[Service]\nDelegate=\nDelegate=cpu pids\n")}, system: system{lxc: "6.0.4", systemd: "257"},
			want: []string{"warning:controllers"}, text: "write Delegate=cpu memory pids in /etc/systemd/system/user@.service.d/zzz.conf", fix: "sudo vi /etc/systemd/system/user@.service.d/zzz.conf"},
		"a rule for devices that the session has not": {machine: v1, config: config, changes: []change{appendTo(config, "\nlxc.cgroup.devices.allow = c 10:229 rwm\n")},
			want: []string{"failed:config-limits"}, says: "the session lacks the controller devices"},
		"a limit of the files of limits": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "12\n"), write("/etc/cgdeleg/limits.conf", "# few\nbob user pids.max=9\n* user pids.max=12\n")},
			want: []string{"warning:limits"}, seen: "/etc/cgdeleg/limits.conf:3: * user pids.max=12", fix: "sudo editor /etc/cgdeleg/limits.conf", text: "raise the limits where they are set"},
		"a limit of the files of limits, for each session": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/0/pids.max", "12\n"), write("/etc/cgdeleg/limits.conf", "* user pids.max=12\n* session pids.max=12\n")},
			want: []string{"warning:limits"}, seen: "/etc/cgdeleg/limits.conf:2: * session pids.max=12"},
		"a slice's limit of the files of limits": {machine: v2sd, changes: []change{write("/sys/fs/cgroup/user.slice/user-1000.slice/pids.max", "12\n"), write("/etc/cgdeleg/limits.conf", "* user pids.max=12\n"),
			write("/run/systemd/system.control/user-1000.slice.d/50-TasksMax.conf", "[Slice]\nTasksMax=12\n")}, system: system{known: true, delegated: true},
			want: []string{"warning:limits"}, seen: "/etc/cgdeleg/limits.conf:1: * user pids.max=12", fix: "sudo editor /etc/cgdeleg/limits.conf", text: "raise the limits where they are set"},
		"a limit that the files of limits give to another": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "12\n"), write("/etc/cgdeleg/limits.conf", "bob user pids.max=12\n")},
			want: []string{"warning:limits"}, fix: "sudo sh -c 'echo max >/sys/fs/cgroup/user/alice/pids.max'"},
		"a module for another architecture": {machine: stock, changes: []change{
			remove("/lib/x86_64-linux-gnu/security/pam_cgdeleg.so"), remove("/usr/lib/x86_64-linux-gnu/security/pam_cgdeleg.so"), write("/usr/lib/i386-linux-gnu/security/pam_cgdeleg.so", ""), write("/usr/lib/x86_64-linux-gnu/security/pam_unix.so", "")}, system: system{},
			want: []string{"failed:module"}, says: "pam_cgdeleg.so is where PAM does not look for it", seen: "PAM's own modules are in /usr/lib/x86_64-linux-gnu/security"},
		"a drop-in that is switched off": {machine: stock, changes: []change{delegateConf, write("/etc/systemd/system/session-.scope.d/90-off.conf", "[Scope]\nDelegate=no\n")},
			want: []string{"failed:delegation"}, says: "a drop-in says so", fix: "sudo editor /etc/systemd/system/session-.scope.d/90-off.conf"},
		"a drop-in that is switched off before the last one": {machine: stock, changes: []change{delegateConf, write("/etc/systemd/system/session-.scope.d/10-off.conf", "[Scope]\nDelegate=no\n")},
			want: []string{"failed:session"}},
		"a drop-in that takes the place of the package's": {machine: stock, changes: []change{delegateConf, write("/etc/systemd/system/session-.scope.d/50-cgdeleg.conf", "[Scope]\n")},
			want: []string{"failed:delegation"}, says: "is missing"},
		"a drop-in of another name, newer than the login": {machine: stock, changes: []change{write("/etc/systemd/system/session-.scope.d/x.conf", "[Scope]\nDelegate=yes\n")}, system: system{known: true, delegated: true},
			want: []string{"failed:session"}},
		"a parent's directory of another's": {machine: v2, changes: []change{stat("/home", machine.Stat{Mode: 0o40700})},
			want: []string{"failed:paths"}, fix: "sudo chmod o+x /home"},
		"LXC too new for v1": {machine: v1, system: system{lxc: "7.0.0"}, want: []string{"failed:lxc-v1"}, says: "LXC 7.0.0 does not know cgroup v1"},
		"LXC 6.0 on v1":      {machine: v1, system: system{lxc: "6.0.6"}},
		"lxc.cgroup.use wants more": {machine: v1, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer,pids\n")},
			want: []string{"failed:lxc-view"}, says: "names pids, which is not delegated", fix: `freezer,memory,name=openrc/\1freezer,memory,name=openrc,pids/`},
		"lxc.cgroup.use with a blank, on v2": {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = memory, pids\n")},
			want: []string{"failed:lxc-view"}, says: `finds no controller " pids"`, fix: "editor /home/alice/.config/lxc/lxc.conf"},
		"lxc.cgroup.use with a blank, on v1": {machine: v1, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer ,memory\n")},
			want: []string{"failed:lxc-view"}, says: `finds no controller "freezer "`, fix: "editor /home/alice/.config/lxc/lxc.conf"},
		"lxc.cgroup.use of what v2 has not": {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "4.0.12"},
			want: []string{"failed:lxc-view"}, says: "names freezer, which is not delegated"},
		"an LXC that does not look at it on v2":         {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "4.0.6"}},
		"lxc.cgroup.use, and an LXC that skips nothing": {machine: v1, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "3.0.1"}},
		"no freezer, for LXC 3.0": {machine: v1, changes: []change{replace(common, "freezer,memory", "memory"), replace("/proc/self/cgroup", "freezer:/user/alice/0", "freezer:/")}, system: system{lxc: "3.0.3"},
			want: []string{"failed:lxc-view"}, says: "where the controller freezer is not delegated", fix: `memory,name=openrc/\1memory,name=openrc,freezer/`},
		"no freezer, for LXC 3.1": {machine: v1, changes: []change{replace(common, "freezer,memory", "memory"), replace("/proc/self/cgroup", "freezer:/user/alice/0", "freezer:/")}, system: system{lxc: "3.1.0"}},
		"subordinate IDs of another name, for podman": {machine: v2, system: system{clients: "podman 4.3.1, crun 1.8.1"}, changes: []change{
			replace("/etc/subuid", "alice", "alicia"), appendTo("/etc/passwd", "alicia:x:1000:1000::/home/alice:/bin/sh\n")},
			want: []string{"failed:subid"}, says: "under another name of the same user ID", fix: "editor /etc/subuid"},
		"subordinate IDs of another name, for LXC": {machine: v2, system: system{lxc: "5.0.2", clients: "podman 4.3.1, crun 1.8.1"}, changes: []change{
			replace("/etc/subuid", "alice", "alicia"), appendTo("/etc/passwd", "alicia:x:1000:1000::/home/alice:/bin/sh\n")}},
		"max_user_namespaces on a /proc/sys that nobody may write": {machine: v2, changes: []change{
			write("/proc/sys/user/max_user_namespaces", "0\n"), appendTo("/proc/self/mountinfo", "90 25 0:22 /sys /proc/sys ro - proc proc rw\n")},
			want: []string{"failed:userns"}, says: "user.max_user_namespaces forbids"},
		"LXC too new for v1, with OpenRC": {machine: v1, system: system{lxc: "7.1.0"}, changes: []change{write("/etc/rc.conf", "#rc_cgroup_mode=\"hybrid\"\n")},
			want: []string{"failed:lxc-v1"}, fix: "editor /etc/rc.conf"},
		"the container's IDs are not the user's": {machine: v2, config: config, changes: []change{replace("/etc/subgid", "alice:100000:65536", "alice:100000:1000")},
			want: []string{"failed:config-idmap"}, fix: "sudo usermod --add-subgids 101000-165535 alice"},
		"the container's IDs, and no files of them": {machine: v2, config: config, changes: []change{remove("/etc/subuid"), remove("/etc/subgid")},
			want: []string{"failed:config-idmap"}, fix: "sudo touch /etc/subgid"},
		"the container's IDs, and no file of one kind": {machine: v2, config: config, changes: []change{remove("/etc/subuid")},
			want: []string{"failed:config-idmap"}, fix: "sudo touch /etc/subuid"},
		"the container's IDs are another's": {machine: v2, config: config, changes: []change{replace(config, "100000", "165536")},
			want: []string{"failed:config-idmap"}, fix: "sed -i -e '3s/=.*/= u 0 100000 65536/' -e '4s/=.*/= g 0 100000 65536/'"},
		"no idmap": {machine: v2, config: config, changes: []change{replace(config, "lxc.idmap", "lxc.environment")},
			want: []string{"failed:config-idmap"}, says: "has no lxc.idmap", fix: `\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n`},
		"a limit whose controller is not in -c": {machine: v1, config: config, changes: []change{write("/proc/self/cgroup", "9:name=openrc:/user/alice/0\n8:pids:/\n7:memory:/\n6:freezer:/user/alice/0\n0::/\n"), replace(common, "freezer,memory", "freezer")},
			want: []string{"failed:config-limits"}, says: "lacks the controller memory", fix: `freezer,name=openrc/\1freezer,name=openrc,memory/`},
		"the container's group IDs are not there at all": {machine: v2, config: config, changes: []change{replace("/etc/subgid", "alice:100000:65536\n", "")},
			want: []string{"failed:config-idmap"}, fix: "sudo usermod --add-subgids 100000-165535 alice"},
		"no idmap, and no subordinate IDs": {machine: v2, config: config, changes: []change{replace(config, "lxc.idmap", "lxc.environment"), replace("/etc/subuid", "alice", "carol")},
			want: []string{"failed:subid"}, says: "than the 65536"},
		"lxc.cgroup.use and a limit want the same": {machine: v1, config: config,
			changes: []change{replace("/proc/self/cgroup", "memory:/user/alice/0", "memory:/"), replace(common, "freezer,memory", "freezer"), write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer,memory,pids\n")},
			want:    []string{"failed:lxc-view"}, says: "names memory,pids, which are not delegated", fix: `freezer,name=openrc/\1freezer,name=openrc,memory,pids/`},
		"a limit whose controller is not mounted": {machine: v1, config: config,
			changes: []change{replace("/proc/self/mountinfo", "/sys/fs/cgroup/memory rw", "/sys/fs/elsewhere rw"), replace("/proc/self/mountinfo", "cgroup memory rw,memory", "tmpfs memory rw"), replace(common, "freezer,memory", "freezer")},
			want:    []string{"failed:config-limits"}, says: "no mounted hierarchy has the controller memory", fix: "sudo mkdir -p /sys/fs/cgroup/memory"},
		"a part of all that was asked for": {machine: v1, changes: []change{replace(common, " -c freezer,memory,name=openrc", ""), replace("/proc/self/cgroup", "memory:/user/alice/0", "memory:/")},
			want: []string{"failed:session"}, fix: "-c misc,rdma,pids,hugetlb,net_prio,perf_event,net_cls,freezer,devices,memory,blkio,cpuacct,cpu,cpuset,name=openrc"},
		"no line of the module, and a limit": {machine: v1, config: config, changes: []change{replace(common, "pam_cgdeleg.so -c freezer,memory", "pam_cgfs.so -c freezer"), replace("/proc/self/cgroup", "/user/alice/0", "/")},
			want: []string{"failed:pam-line"}, fix: `s/pam_cgfs\.so/pam_cgdeleg.so/`},

		"a container on v1 without mounts": {machine: v1, changes: []change{container(), emptied("/sys/fs/cgroup"), write("/proc/self/mountinfo", "22 1 0:21 / / rw - ext4 /dev/vda rw\n")},
			want: []string{"failed:mode"}, fix: "mount -t tmpfs cgroup /sys/fs/cgroup && cd /sys/fs/cgroup && for h in misc rdma pids"},
		"a container without cgroups of its own": {machine: v1, changes: []change{container(), replace("/proc/self/cgroup", "/user/alice/0", "/")},
			want: []string{"failed:container"}, says: "its root may make none", fix: "cgdeleg check"},
		"a container without the memory that is needed in it": {machine: v1, config: config,
			changes: []change{container("freezer", "openrc"), replace("/proc/self/cgroup", "/user/alice/0", "/")},
			want:    []string{"failed:container"}, says: "without a cgroup of its own for the controller memory"},
		"a container with hierarchies that are not its own": {machine: v1, config: config,
			changes: []change{container("freezer", "memory", "openrc"), replace("/proc/self/cgroup", "/user/alice/0", "/"), replace(common, "pam_cgdeleg.so", "pam_permit.so")},
			want:    []string{"failed:pam-line"}, fix: "session optional pam_cgdeleg.so"},
		"the same, with a line that asks for all": {machine: v1,
			changes: []change{container("freezer", "memory", "openrc"), replace("/proc/self/cgroup", "/user/alice/0", "/"), replace(common, " -c freezer,memory,name=openrc", "")},
			want:    []string{"failed:session"}, fix: "-c freezer,memory,name=openrc"},
		"the same, in a session": {machine: v1,
			changes: []change{container("freezer", "memory", "openrc"), replace(common, " -c freezer,memory,name=openrc", "")}},
		"newuidmap of somebody outside": {machine: v1,
			changes: []change{container("freezer", "memory", "openrc"), stat("/usr/bin/newuidmap", machine.Stat{Mode: 0o104755, UID: 65534, GID: 65534})},
			want:    []string{"failed:idmap-tools"}, fix: "sudo install -o root -m 4755 -t /usr/local/bin /usr/bin/newuidmap"},
		"another newuidmap comes first in the path": {machine: v1,
			changes: []change{container("freezer", "memory", "openrc"), stat("/usr/bin/newuidmap", machine.Stat{Mode: 0o104755, UID: 65534, GID: 65534}),
				write("/usr/local/bin/newuidmap", ""), stat("/usr/local/bin/newuidmap", machine.Stat{Mode: 0o104755})}},
		"a limit for the other version": {machine: v2, config: config, changes: []change{replace(config, "lxc.cgroup2.memory.max = 64M", "lxc.cgroup.memory.limit_in_bytes = 64M")},
			want: []string{"warning:config-limits"}, says: "limits of the container are for the other version"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, test.machine, test.changes...), Nested: test.nested, System: test.system}
			if test.system == (system{}) {
				f.System = nil
			}
			var err error
			if test.user != "" {
				f.Subject, err = check.User(f.Machine, test.user)
			} else {
				f.Subject, err = check.Caller(f.Machine)
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.config != "" {
				if f.Config, err = lxcconf.Read(f.Machine, test.config); err != nil {
					t.Fatal(err)
				}
			}
			findings := run(t, f)
			if got := troubles(findings); !slices.Equal(got, test.want) {
				for _, finding := range findings {
					t.Logf("%s %s: %s %v", finding.Status, finding.Name, finding.Says, finding.Evidence)
				}
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if len(test.want) > 0 {
				wantFirst(t, findings, test.says, test.fix)
				if i := slices.IndexFunc(findings, isTrouble); test.text != "" && !strings.Contains(findings[i].Fix.Text, test.text) {
					t.Errorf("its fix says %q, want %q", findings[i].Fix.Text, test.text)
				} else if !strings.Contains(allOf(findings[i]), test.seen) {
					t.Errorf("%q is not in\n%s", test.seen, allOf(findings[i]))
				}
			}
		})
	}
}

// Only what is installed is a way to a login's scope.
func TestWaysToScope(t *testing.T) {
	const scope = "env DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus systemd-run --user --scope --property Delegate=yes -- lxc-start --name NAME"
	machinectl := []change{write("/usr/bin/machinectl", ""), stat("/usr/bin/machinectl", machine.Stat{Mode: 0o100755})}
	for name, test := range map[string]struct {
		changes []change
		want    string
	}{
		"no machinectl": {nil, scope},
		"machinectl":    {machinectl, scope + "\nsudo machinectl shell alice@"},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, stock, append(test.changes, write("/proc/self/cgroup", "0::/system.slice/cron.service\n"))...)
			who, err := check.Caller(m)
			if err != nil {
				t.Fatal(err)
			}
			findings := run(t, &check.Facts{Machine: m, Subject: who})
			first := findings[slices.IndexFunc(findings, isTrouble)]
			var commands []string
			for _, c := range first.Fix.Commands {
				commands = append(commands, c.String())
			}
			if got := strings.Join(commands, "\n"); first.Name != "session" || got != test.want {
				t.Errorf("%s is fixed by %q, want %q", first.Name, got, test.want)
			}
		})
	}
}

// What only a later login will see is said to need one.
func TestLogInAgain(t *testing.T) {
	const common = "/etc/pam.d/common-session"
	for name, words := range map[string]string{
		"hierarchies": "-c all,memory",
		"pam-line":    "min_uid=2000",
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, v2, replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so "+words), write("/proc/self/cgroup", "0::/\n"))
			who, err := check.Caller(m)
			if err != nil {
				t.Fatal(err)
			}
			findings := run(t, &check.Facts{Machine: m, Subject: who})
			first := findings[slices.IndexFunc(findings, isTrouble)]
			if first.Name != name || first.Fix == nil || !strings.HasSuffix(first.Fix.Text, "and log in again") {
				t.Errorf("%s is fixed by %+v", first.Name, first.Fix)
			}
		})
	}
}

// wantFirst looks at the first trouble's words and first command.
func wantFirst(t *testing.T, findings []check.Finding, says, fix string) {
	t.Helper()
	i := slices.IndexFunc(findings, isTrouble)
	first := findings[i]
	if !strings.Contains(first.Says, says) {
		t.Errorf("it says %q, want %q", first.Says, says)
	}
	command := ""
	if first.Fix != nil && len(first.Fix.Commands) > 0 {
		command = first.Fix.Commands[0].String()
	}
	if !strings.Contains(command, fix) {
		t.Errorf("its fix is %q, want %q", command, fix)
	}
}

// absentFiles lists what was absent, beside what every recording of these lists.
func absentFiles(files ...string) change {
	return write(machine.AbsentFile, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns\n/usr/share/lxc/config/userns.conf.d\n"+strings.Join(files, "\n")+"\n")
}

// withSeccomp sets the mode of the shell's filter of system calls.
func withSeccomp(mode string) change {
	return replace("/proc/self/status", "Seccomp:\t0\n", "Seccomp:\t"+mode+"\n")
}

func removeModule(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*lib*", "*", "security", "pam_cgdeleg.so"))
	more, _ := filepath.Glob(filepath.Join(dir, "usr/lib", "*", "security", "pam_cgdeleg.so"))
	if files = append(files, more...); err != nil || len(files) == 0 {
		t.Fatalf("no module to remove: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// moveFirst moves a module's line to the beginning of a PAM file.
func moveFirst(path, module string) change {
	return func(t *testing.T, dir string) {
		t.Helper()
		var moved, others []string
		for line := range strings.Lines(read(t, filepath.Join(dir, path))) {
			if strings.Contains(line, module) {
				moved = append(moved, line)
			} else {
				others = append(others, line)
			}
		}
		if len(moved) == 0 {
			t.Fatalf("%s has no %s", path, module)
		}
		write(path, strings.Join(append(moved, others...), ""))(t, dir)
	}
}

// A named check that is blocked is no good, and the blocker is shown; an ignored
// check blocks nothing.
func TestNamedAndIgnored(t *testing.T) {
	outside := recorded(t, v2, replace("/etc/pam.d/common-session", "pam_cgdeleg.so", "pam_permit.so"), write("/proc/self/cgroup", "0::/\n"))
	facts := func() *check.Facts {
		f := &check.Facts{Machine: outside, System: system{}}
		var err error
		if f.Subject, err = check.Caller(outside); err != nil {
			t.Fatal(err)
		}
		check.Gather(f)
		t.Cleanup(f.Close)
		return f
	}
	names := func(findings []check.Finding) (all []string) {
		for _, f := range findings {
			all = append(all, string(f.Status)+":"+f.Name)
		}
		return all
	}
	for _, test := range []struct {
		name           string
		named, ignored string
		want           []string
	}{
		{"blocked", "session", "", []string{"failed:pam-line", "skipped:session"}},
		{"blocked at second hand", "leaf", "", []string{"failed:pam-line", "skipped:leaf"}},
		{"the blocker is ignored", "session", "pam-line", []string{"failed:session"}},
		{"another is ignored", "session", "mode", []string{"failed:pam-line", "skipped:session"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ignored []*check.Check
			if test.ignored != "" {
				ignored = append(ignored, check.ByName(test.ignored))
			}
			got := names(check.Run(facts(), []*check.Check{check.ByName(test.named)}, ignored))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestChecksAreWellFormed(t *testing.T) {
	codes, names := map[string]bool{}, map[string]bool{}
	for _, c := range check.All() {
		if codes[c.Code] || names[c.Name] {
			t.Errorf("%s %s: its code or name is given to another too", c.Code, c.Name)
		}
		for _, other := range c.DependsOn {
			if !names[other] {
				t.Errorf("%s depends on %q, which does not stand before it", c.Name, other)
			}
		}
		codes[c.Code], names[c.Name] = true, true
		if c.Title == "" || c.Explain == "" || check.ByName(c.Code) == nil || check.ByName(c.Name).Code != c.Code {
			t.Errorf("%s: title, explanation or lookup is missing", c.Name)
		}
	}
}

func TestCommandsAreQuoted(t *testing.T) {
	for want, command := range map[string]check.Command{
		"cgdeleg check":           {Args: []string{"cgdeleg", "check"}},
		"sudo sh -c 'echo $pid'":  {Args: []string{"sh", "-c", "echo $pid"}, Root: true},
		`echo 'it'\''s' '' "a"`:   {},
		`chmod o+x '/home/a b'`:   {Args: []string{"chmod", "o+x", "/home/a b"}},
		`x $'a\nb\'c\x1b[0m"'`:    {Args: []string{"x", "a\nb'c\x1b[0m\""}},
		`x 'it'\''s' '' 'jürgen'`: {Args: []string{"x", "it's", "", "jürgen"}},
	} {
		if len(command.Args) == 0 {
			continue
		}
		if got := command.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// That no directory of the user's is to be opened has a reason, which is another for podman
// than for a container without a directory.
func TestPathsSkipped(t *testing.T) {
	for name, test := range map[string]struct {
		system  system
		config  string
		changes []change
		want    string
	}{
		"podman alone":         {system: system{clients: "podman 5.4.2"}, want: "there is no LXC: the root of podman's containers is the user itself"},
		"a container of parts": {system: system{lxc: "5.0.2"}, config: config, changes: []change{appendTo(config, "\nlxc.rootfs.path = overlay:/a:/b\n")}, want: "the container's root file system is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, v2, test.changes...), System: test.system}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			if test.config != "" {
				if f.Config, err = lxcconf.Read(f.Machine, test.config); err != nil {
					t.Fatal(err)
				}
			}
			check.Gather(f)
			t.Cleanup(f.Close)
			if finding := check.Run(f, []*check.Check{check.ByName("paths")}, nil)[0]; finding.Status != check.Skipped || finding.Says != test.want {
				t.Errorf("%s: %s, want %s", finding.Status, finding.Says, test.want)
			}
		})
	}
}

// A line that LXC stops at is said with what LXC does not do: it understands lxc.include, and
// looks for a relative path elsewhere.
func TestLinesOfConfigurations(t *testing.T) {
	for line, test := range map[string]struct{ says, text string }{
		"lxc.include":                {"does not understand a line of the configuration, and refuses to start the container: no equals sign", "correct line 1 of " + config},
		"lxc.include = more.conf":    {"lxc.include names a relative path", "write the absolute path of more.conf in " + config},
		"lxc.include = /nosuch.conf": {"LXC cannot read /nosuch.conf, which the configuration includes", "or install the package that has /nosuch.conf"},
	} {
		t.Run(line, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, v2, write(config, line+"\n"))}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			_, f.ConfigError = lxcconf.Read(f.Machine, config)
			check.Gather(f)
			t.Cleanup(f.Close)
			finding := check.Run(f, []*check.Check{check.ByName("config")}, nil)[0]
			if finding.Status != check.Failed || !strings.Contains(finding.Says, test.says) || !strings.Contains(fixText(finding.Fix), test.text) {
				t.Errorf("%s: %s, fixed by %s", finding.Status, finding.Says, fixText(finding.Fix))
			}
		})
	}
}
