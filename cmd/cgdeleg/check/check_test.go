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
)

// veth gives the container a network device, as LXC's usual configuration does.
var veth = replace(config, "lxc.net.0.type = empty", "lxc.net.0.type = veth\nlxc.net.0.link = lxcbr0")

// manyRanges are more than anybody would compare with each other.
var manyRanges = func() string {
	var out strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&out, "alice:%d:2\n", 100_000+4*i)
	}
	return out.String()
}()

// delegateConf is the drop-in.
var delegateConf = write("/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "[Scope]\nDelegate=cpu memory pids\n")

// system answers as a test wants.
type system struct {
	lxc, systemd     string
	clients          string // their versions: "crun 1.8.1, podman 4.3.1"
	variables        string // of the environment: "XDG_CONFIG_HOME=/x, STORAGE_DRIVER=vfs"
	failure          string // "podman: what it said instead of its version"
	delegated, known bool
	isUnread         bool // the environment cannot be read
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
			want: []string{"warning:mounts"}, says: "a line that cannot be understood"},
		"a line that cannot be understood, and no cgroups": {machine: v2, changes: []change{write("/proc/self/mountinfo", "37 25 0:31 / no-separator\n")},
			want: []string{"unknown:mode"}, says: "the cgroup mounts cannot be told"},
		"cgroups that were not recorded": {machine: v2, changes: []change{remove("/sys/fs/cgroup"), write(machine.AbsentFile, "")},
			want: []string{"unknown:mounts", "unknown:apparmor"}, says: "it cannot be told whether the mounts can be used"},
		"modules that were not recorded": {machine: v2, changes: []change{removeModule, write(machine.AbsentFile, "")},
			want: []string{"unknown:module", "unknown:apparmor"}, says: "whether the module is there"},
		"outside of the cgroup namespace": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/../../user/alice/0\n")},
			want: []string{"failed:namespace"}, says: "outside of its cgroup namespace"},
		"a controller that is nowhere": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c memory,nosuch")},
			want: []string{"warning:hierarchies"}, says: "no mounted hierarchy has nosuch"},
		"a controller that the kernel's command line turned off": {machine: v1,
			changes: []change{replace(common, "freezer", "freezer,debug"), write("/proc/cgroups", "#\ndebug\t0\t1\t0\n"), write("/etc/default/grub", "")},
			want:    []string{"warning:hierarchies"}, says: "debug", fix: "/etc/default/grub"},
		"a list that cannot be meant": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c all,memory")},
			want: []string{"failed:hierarchies"}, says: `"all" cannot stand beside`},
		"pam_cgfs's list on v2": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so -c freezer,memory,cpu,pids,name=systemd")}},
		"processes in the base of a container": {machine: v2,
			changes: []change{write("/sys/fs/cgroup/cgroup.type", "domain\n"), write("/sys/fs/cgroup/cgroup.procs", "1\n23\n"), write("/sys/fs/cgroup/cgroup.subtree_control", "cpu\n")},
			want:    []string{"warning:base"}, says: "there are processes in the cgroup itself", fix: "mkdir -p /sys/fs/cgroup/init.scope"},
		"processes in the machine's root": {machine: v2,
			changes: []change{write("/sys/fs/cgroup/cgroup.procs", "1\n23\n")}},

		"no line of the module": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: `it came by sshd, whose PAM service "sshd" has no line`, fix: `session optional pam_cgdeleg.so\n'\'' >>/etc/pam.d/common-session`},
		"no line of the module any more": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so")},
			want: []string{"warning:pam-line"}},
		"no line of the module, --user": {machine: v2, user: "alice", changes: []change{replace(common, "pam_cgdeleg.so", "pam_permit.so")},
			want: []string{"failed:pam-line"}, fix: "sudo sh -c 'printf"},
		"a misspelt line": {machine: v2, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdelegg.so"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:pam-line"}, says: "a line of pam_cgdelegg.so, and the module is called pam_cgdeleg.so", fix: `s/pam_cgdelegg\.so/pam_cgdeleg.so/`},
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
			want: []string{"failed:pam-order"}, says: "pam_systemd.so comes after it"},
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
			want: []string{"failed:delegation"}, says: "though the drop-in is there", fix: "sudo systemctl daemon-reload"},
		"drop-in newer than the login": {machine: stock, changes: []change{delegateConf}, system: system{known: true, delegated: true},
			want: []string{"failed:session"}, says: "no cgroup of its own in unified"},
		"in the user manager's service": {machine: stock,
			changes: []change{delegateConf, write("/proc/self/cgroup", "0::/user.slice/user-1000.slice/user@1000.service\n")},
			want:    []string{"failed:session"}, says: "systemd's user@1000.service", fix: "systemd-run --user --scope"},
		"by su in another's login": {machine: stock,
			changes: []change{delegateConf, write("/proc/self/cgroup", "0::/user.slice/user-1001.slice/session-7.scope/init.scope\n")},
			want:    []string{"failed:session"}, says: "systemd's session-7.scope, of a login of user 1001's, and only the scope of a login of alice's own"},
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
		"systemd too new for v1": {machine: hybrid, system: system{lxc: "5.0.2", systemd: "257.1-1"}, want: []string{"warning:systemd-v1"}, says: "systemd 257 drops cgroup v1"},

		"sshd's configuration includes itself": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), write("/etc/ssh/sshd_config", strings.Repeat("Include sshd_config sshd_config sshd_config\n", 3))},
			want: []string{"failed:session"}, says: "though its login has a line of the module"},
		"a rule of cgrules.conf for another program": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n"), write("/etc/cgrules.conf", "*:ftpd * x\nbob * y\nalice cpu z\n")},
			want: []string{"failed:session"}, says: "though its login has a line of the module"},
		"many ranges": {machine: v2, changes: []change{write("/etc/subuid", manyRanges), write("/etc/subgid", manyRanges)}},
		"a newuidmap of one's own": {machine: v2, changes: []change{write("/usr/local/sbin/newuidmap", ""), stat("/usr/local/sbin/newuidmap", machine.Stat{Mode: 0o100755, UID: 1000})},
			want: []string{"failed:idmap-tools"}, says: "no part of the system"},
		"moved out of the session": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:session"}, says: "no cgroup of its own in unified", fix: "sudo cgdeleg open --user alice --pid"},
		"session of another": {machine: v2, changes: []change{stat(session, machine.Stat{Mode: 0o40755, UID: 1001, GID: 1001})},
			want: []string{"failed:session"}},
		"a file that is not the user's": {machine: v2, changes: []change{stat(session+"/cgroup.subtree_control", machine.Stat{Mode: 0o100644})},
			want: []string{"failed:writable"}, says: "not every file of the session"},
		"the group is another's": {machine: v2, changes: []change{stat(session, machine.Stat{Mode: 0o40755, UID: 1000, GID: 0})},
			want: []string{"failed:writable"}},
		"user/ closed": {machine: v2, changes: []change{stat("/sys/fs/cgroup/user", machine.Stat{Mode: 0o40700})},
			want: []string{"failed:parents"}, says: "cannot be searched", fix: "sudo chmod o+x /sys/fs/cgroup/user"},
		"a parent that is closed, behind which nothing is seen": {machine: v2, changes: []change{remove("/sys/fs/cgroup/user/alice"), stat("/sys/fs/cgroup/user", machine.Stat{Mode: 0o40700})},
			want: []string{"failed:parents"}, says: "cannot be searched", fix: "sudo chmod o+x /sys/fs/cgroup/user"},
		"shell in the session itself": {machine: v2, changes: []change{write("/proc/self/cgroup", "0::/user/alice/0\n"), write(session+"/cgroup.procs", "4711\n")},
			want: []string{"failed:leaf"}, fix: "sh -c 'mkdir -p /sys/fs/cgroup/user/alice/0/init.scope"},
		"no memory on v2": {machine: v2, changes: []change{write(session+"/cgroup.controllers", "cpu pids\n")},
			want: []string{"warning:controllers"}, says: "the session lacks memory"},
		"a realtime process": {machine: v2,
			changes: []change{write(session+"/cgroup.controllers", "memory pids\n"), write("/proc/77/stat", "77 (a ) b) S"+strings.Repeat(" 0", 37)+" 2 0 0\n")},
			want:    []string{"warning:controllers", "warning:realtime"}},
		"pids.max above": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "20\n"), write("/sys/fs/cgroup/user/alice/pids.current", "3\n")},
			want: []string{"warning:limits"}},
		"room under pids.max": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/alice/pids.max", "2000\n"), write("/sys/fs/cgroup/user/alice/pids.current", "3\n")}},
		"memory.max above":    {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "1048576\n")}, want: []string{"warning:limits"}},
		"memory.max above, used by a cache": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "134217728\n"),
			write("/sys/fs/cgroup/user/memory.current", "120000000\n"), write("/sys/fs/cgroup/user/memory.stat", "anon 1000\ninactive_file 100000000\n")}},
		"memory.max above, used": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/memory.max", "134217728\n"),
			write("/sys/fs/cgroup/user/memory.current", "120000000\n"), write("/sys/fs/cgroup/user/memory.stat", "anon 100000000\ninactive_file 1000\n")}, want: []string{"warning:limits"}},
		"no more cgroups": {machine: v2, changes: []change{write("/sys/fs/cgroup/user/cgroup.max.descendants", "10\n"), write("/sys/fs/cgroup/user/cgroup.stat", "nr_descendants 9\nnr_dying_descendants 0\n")},
			want: []string{"warning:limits"}},
		"v1 memory limit above": {machine: v1, changes: []change{write("/sys/fs/cgroup/memory/user/alice/memory.limit_in_bytes", "1048576\n")},
			want: []string{"warning:limits"}},

		"no user namespaces": {machine: v2, changes: []change{write("/proc/sys/user/max_user_namespaces", "0\n")},
			want: []string{"failed:userns"}, fix: "echo user.max_user_namespaces=15000 >/etc/sysctl.d/99-userns.conf"},
		"Debian's switch": {machine: v2, changes: []change{write("/proc/sys/kernel/unprivileged_userns_clone", "0\n")},
			want: []string{"failed:userns"}, fix: "echo kernel.unprivileged_userns_clone=1 >/etc/sysctl.d/99-userns.conf"},
		"Ubuntu 24.04's AppArmor": {machine: v2, changes: []change{write("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")},
			want: []string{"failed:apparmor"}, says: "from LXC, which has no profile that allows them", fix: "sudo editor /etc/apparmor.d/usr.bin.lxc-start"},
		"Ubuntu 24.04's AppArmor, with a profile": {machine: v2, changes: []change{write("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"), write("/etc/apparmor.d/usr.bin.lxc-start", "profile x { userns, }\n")}},
		"no newuidmap": {machine: v2, changes: []change{remove("/usr/bin/newuidmap"), remove("/bin/newuidmap")},
			want: []string{"failed:idmap-tools"}, says: "newuidmap is neither in PATH", fix: "apt install uidmap"},
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
		"others have the same IDs": {machine: v2, changes: []change{replace("/etc/subuid", "bob:165536:65536", "bob:165535:65536")},
			want: []string{"warning:subid-overlap"}},
		"closed home": {machine: v2, changes: []change{stat("/home/alice", machine.Stat{Mode: 0o40700, UID: 1000, GID: 1000})},
			want: []string{"failed:paths"}, fix: "chmod o+x /home/alice"},

		"membership that cannot be read": {machine: v2, changes: []change{write("/proc/self/cgroup", "garbage\n")},
			want: []string{"unknown:namespace", "unknown:session"}, says: "this process's cgroups cannot be told"},
		"ancestors that cannot be read": {machine: v2, changes: []change{remove("/proc/161"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"unknown:login"}, says: "hidepid"},
		"an application that is not root's": {machine: v2, changes: []change{replace("/proc/146/status", "Uid:\t0\t0", "Uid:\t1000\t1000"), replace("/proc/122/status", "Uid:\t0\t0", "Uid:\t1000\t1000"), write("/proc/self/cgroup", "0::/\n")},
			want: []string{"failed:login"}, says: "no program that calls it is among its ancestors"},
		"the login has ended": {machine: v1, changes: []change{replace("/proc/190/status", "PPid:\t176", "PPid:\t1")}},
		"the login has ended, and so the shell": {machine: v1, changes: []change{replace("/proc/self/status", "PPid:\t190", "PPid:\t1"), write("/proc/self/cgroup", "9:name=openrc:/\n7:memory:/\n6:freezer:/\n0::/\n")},
			want: []string{"failed:login"}, fix: "sudo cgdeleg open --user alice --pid PID"},
		"root of a user namespace": {machine: v2, changes: []change{replace("/proc/self/status", "Uid:\t1000\t1000", "Uid:\t1000\t0"), write("/proc/self/uid_map", "0 1000 1\n"), stat(session, machine.Stat{Mode: 0o40755, UID: 65534, GID: 65534})},
			want: []string{"failed:session", "unknown:paths"}},
		"a range with an account's own ID": {machine: v2, changes: []change{replace("/etc/passwd", "alice:", "carol:x:100001:100001::/home/carol:/bin/sh\nalice:")},
			want: []string{"warning:subid-overlap"}, says: "another user has some of the same IDs"},
		"the container wants root's ID": {machine: v2, config: config, changes: []change{replace(config, "100000 65536", "0 65536")},
			want: []string{"failed:config-idmap"}, says: "are not alice's", fix: "sed -i -e '3s/=.*/= u 0 100000 65536/' -e '4s/=.*/= g 0 100000 65536/'"},
		"no subuid file": {machine: v2, changes: []change{remove("/etc/subuid")},
			want: []string{"failed:subid"}, fix: "sudo touch /etc/subuid"},
		"a user of a directory service": {machine: v2, changes: []change{replace("/etc/passwd", ":1000:", ":4000:"), replace("/etc/subuid", "alice", "al")},
			want: []string{"failed:subid", "unknown:paths"}, fix: `1000:231072:65536\n'\'' >>/etc/subuid'`},
		"a v2 limit where v1 is mounted": {machine: v1, config: config, changes: []change{replace(config, "lxc.cgroup.memory.limit_in_bytes = 64M", "lxc.cgroup2.memory.max = 64M")},
			want: []string{"warning:config-limits"}, says: "limits are for the other version", text: "write for cgroup v1: lxc.cgroup.memory.limit_in_bytes = 64M"},
		"a v2 limit on v1 that is set for v1 as well": {machine: v1, config: config, changes: []change{appendTo(config, "lxc.cgroup2.memory.max = 64M\n")}},
		"words that the module ignores": {machine: v1, changes: []change{replace(common, "pam_cgdeleg.so", "pam_cgdeleg.so close=wiat timeout=99")},
			want: []string{"warning:pam-line"}, says: "the module ignores words of its line in /etc/pam.d/common-session:", text: "correct them, and log in again"},
		"a key that LXC has not": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.foo = 1\n")},
			want: []string{"failed:config"}, says: "does not know the key lxc.foo", text: "take that line out"},
		"a key that is misspelt": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.uts.nam = 1\n")},
			want: []string{"failed:config"}, says: "does not know the key lxc.uts.nam", text: "write lxc.uts.name in its place"},
		"a key of before LXC 2.1": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.utsname = x\n")},
			want: []string{"failed:config"}, says: "does not know the key lxc.utsname of before LXC 2.1 any more"},
		"a key of before LXC 2.1, with that": {machine: v2, config: config, system: system{lxc: "2.0.7"}, changes: []change{appendTo(config, "lxc.utsname = x\n")}},
		"a key that a newer LXC may have": {machine: v2, config: config, system: system{lxc: "7.0.0"}, changes: []change{appendTo(config, "lxc.foo = 1\n")},
			want: []string{"unknown:config"}, says: "it cannot be told whether LXC 7.0.0 knows the key lxc.foo"},
		"no network devices for the user": {machine: v2, config: config, changes: []change{veth},
			want: []string{"failed:config-network"}, says: "alice may have no network device on lxcbr0", fix: `'\''alice veth lxcbr0 10'\'' >>/etc/lxc/lxc-usernet'`},
		"no network devices any more": {machine: v2, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 0\nbob veth lxcbr0 10\nalice veth other 10\n")},
			want: []string{"failed:config-network"}, says: "alice may have no network device on lxcbr0"},
		"the bridge is not there": {machine: v2sd, config: config, changes: []change{veth, write("/etc/lxc/lxc-usernet", "alice veth lxcbr0 10\n"), write("/lib/systemd/system/lxc-net.service", "")},
			want: []string{"failed:config-network"}, says: "the bridge lxcbr0 is not there", fix: "sudo systemctl enable --now lxc-net.service"},
		"network devices by a group": {machine: v2, config: config, changes: []change{veth, write("/etc/group", "people:x:1000:\n"), write("/etc/lxc/lxc-usernet", "@people veth lxcbr0 2\n"), write("/sys/class/net/lxcbr0/.recorded", "")}},
		"a device for root's containers": {machine: v2, config: config, changes: []change{replace(config, "lxc.net.0.type = empty", "lxc.net.0.type = phys\nlxc.net.0.link = eth0")},
			want: []string{"failed:config-network"}, says: "of type phys"},
		"a generated profile without the parser": {machine: v2, config: config, changes: []change{replace(config, "unconfined", "generated"), write("/sys/module/apparmor/parameters/enabled", "Y\n")},
			want: []string{"failed:config-apparmor"}, says: "LXC finds no apparmor_parser"},
		"a generated profile without AppArmor": {machine: v2, config: config, changes: []change{replace(config, "unconfined", "generated"), write("/sys/module/apparmor/parameters/enabled", "N\n")}},
		"a generated profile": {machine: v2, config: config, changes: []change{replace(config, "unconfined", "generated"),
			write("/sys/module/apparmor/parameters/enabled", "Y\n"), write("/usr/sbin/apparmor_parser", ""), stat("/usr/sbin/apparmor_parser", machine.Stat{Mode: 0o100755})}},
		"a root file system that root made": {machine: v2, config: config, changes: []change{stat(rootfs, machine.Stat{Mode: 0o40755})},
			want: []string{"failed:config-rootfs"}, says: "belongs to 0, which is none of the container's IDs"},
		"a root file system that is not there": {machine: v2, config: config, changes: []change{remove(rootfs)},
			want: []string{"failed:config-rootfs"}, says: "is not there"},
		"lxc.cgroup.relative": {machine: v2, config: config, changes: []change{appendTo(config, "lxc.cgroup.relative = 1\n")},
			want: []string{"failed:lxc-view"}, says: "in the leaf"},
		"an empty drop-in": {machine: stock, changes: []change{write("/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "")},
			want: []string{"failed:delegation"}, says: "is missing"},
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
			want: []string{"failed:lxc-view"}, says: "wants pids", fix: `freezer,memory,name=openrc/\1freezer,memory,name=openrc,pids/`},
		"lxc.cgroup.use with a blank, on v2": {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = memory, pids\n")},
			want: []string{"failed:lxc-view"}, says: `finds no controller " pids"`, fix: "editor /home/alice/.config/lxc/lxc.conf"},
		"lxc.cgroup.use with a blank, on v1": {machine: v1, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer ,memory\n")},
			want: []string{"failed:lxc-view"}, says: `finds no controller "freezer "`, fix: "editor /home/alice/.config/lxc/lxc.conf"},
		"lxc.cgroup.use of what v2 has not": {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "4.0.12"},
			want: []string{"failed:lxc-view"}, says: "wants freezer"},
		"an LXC that does not look at it on v2":         {machine: v2, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "4.0.6"}},
		"lxc.cgroup.use, and an LXC that skips nothing": {machine: v1, changes: []change{write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n")}, system: system{lxc: "3.0.1"}},
		"no freezer, for LXC 3.0": {machine: v1, changes: []change{replace(common, "freezer,memory", "memory"), replace("/proc/self/cgroup", "freezer:/user/alice/0", "freezer:/")}, system: system{lxc: "3.0.3"},
			want: []string{"failed:lxc-view"}, says: "where the controller freezer is not delegated", fix: `memory,name=openrc/\1memory,name=openrc,freezer/`},
		"no freezer, for LXC 3.1": {machine: v1, changes: []change{replace(common, "freezer,memory", "memory"), replace("/proc/self/cgroup", "freezer:/user/alice/0", "freezer:/")}, system: system{lxc: "3.1.0"}},
		"subordinate IDs of another name, for podman": {machine: v2, system: system{clients: "podman 4.3.1, crun 1.8.1"}, changes: []change{
			replace("/etc/subuid", "alice", "alicia"), appendTo("/etc/passwd", "alicia:x:1000:1000::/home/alice:/bin/sh\n")},
			want: []string{"failed:subid"}, says: "lines of another name with alice's number", fix: "editor /etc/subuid"},
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
			want: []string{"failed:config-limits"}, says: "lacks memory", fix: `freezer,name=openrc/\1freezer,name=openrc,memory/`},
		"the container's group IDs are not there at all": {machine: v2, config: config, changes: []change{replace("/etc/subgid", "alice:100000:65536\n", "")},
			want: []string{"failed:config-idmap"}, fix: "sudo usermod --add-subgids 100000-165535 alice"},
		"no idmap, and no subordinate IDs": {machine: v2, config: config, changes: []change{replace(config, "lxc.idmap", "lxc.environment"), replace("/etc/subuid", "alice", "carol")},
			want: []string{"failed:subid"}, says: "than the 65536"},
		"lxc.cgroup.use and a limit want the same": {machine: v1, config: config,
			changes: []change{replace("/proc/self/cgroup", "memory:/user/alice/0", "memory:/"), replace(common, "freezer,memory", "freezer"), write("/home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer,memory,pids\n")},
			want:    []string{"failed:lxc-view"}, says: "wants memory,pids", fix: `freezer,name=openrc/\1freezer,name=openrc,memory,pids/`},
		"a limit whose controller is not mounted": {machine: v1, config: config,
			changes: []change{replace("/proc/self/mountinfo", "/sys/fs/cgroup/memory rw", "/sys/fs/elsewhere rw"), replace("/proc/self/mountinfo", "cgroup memory rw,memory", "tmpfs memory rw"), replace(common, "freezer,memory", "freezer")},
			want:    []string{"failed:config-limits"}, says: "no mounted hierarchy has that controller", fix: "sudo mkdir -p /sys/fs/cgroup/memory"},
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
			want:    []string{"failed:container"}, says: "without a cgroup of its own in memory"},
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
			want: []string{"warning:config-limits"}, says: "limits are for the other version"},
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
