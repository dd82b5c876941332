package clients

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// nestedInit is initScript of a container in which containers are started: it
// mounts, inside of its cgroup namespace, the hierarchies that it is told.
const nestedInit = `#!/bin/busybox sh
%s
trap 'exit 0' PWR TERM
while :; do
	echo >>/tmp/beat
	/bin/busybox sleep 0.02
done
`

// mountCgroups is what inits do where LXC leaves the mounts to them.
func mountCgroups(hierarchies ...string) string {
	script := "mount -t tmpfs cgroup /sys/fs/cgroup\n"
	for _, h := range hierarchies {
		dir := "/sys/fs/cgroup/" + strings.TrimPrefix(h, "name=")
		script += fmt.Sprintf("mkdir %[1]s && mount -t cgroup -o %[2]s cgroup %[1]s\n", dir, h)
	}
	return script
}

// parent is a container of an unprivileged user's, in which the unprivileged
// user ubuntu (1000) can start containers: the host's /usr with an /etc of its
// own.
type parent struct {
	*box
	ubuntu testbed.User // as the container has it
}

// newParent makes the container user-parent. The user gets 131,072 subordinate
// IDs; the second half is for the containers inside.
func newParent(t *testing.T, u testbed.User, init string, config ...string) *parent {
	t.Helper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		replaceIn(t, file, fmt.Sprintf("%s:%d:65536\n", u.Name, u.UID<<16), fmt.Sprintf("%s:%d:131072\n", u.Name, u.UID<<16))
	}
	t.Cleanup(func() { killAll(t, testbed.User{Name: u.Name, UID: u.UID + 1}) })
	b := &box{
		name: "user-parent", lxcpath: filepath.Join(u.Home, ".local/share/lxc"),
		rootfs: "/run/user-parent", log: filepath.Join(u.Home, "user-parent.log"),
		owner: u.UID, root: u.UID << 16,
	}
	config = append(append(unprivileged(b.rootfs, b.root, 131072),
		"lxc.include = /usr/share/lxc/config/nesting.conf", "lxc.apparmor.profile = unconfined", "lxc.init.cmd = /etc/init"), config...)
	writeOwned(t, u, ".local/share/lxc/user-parent/config", config...)
	p := &parent{b, testbed.User{Name: "ubuntu", UID: 1000, GID: 1000, Home: "/home/ubuntu"}}
	p.furnish(t, init)
	return p
}

// furnish makes the root file system. It lies in the /run of the tests, and not
// in the user's home directory, which is removed with all that is in it.
func (p *parent) furnish(t *testing.T, init string) {
	t.Helper()
	t.Cleanup(func() { p.unfurnish(t) })
	for _, dir := range []string{"usr", "dev", "proc", "sys", "tmp", "run", "root", "var/lib", "local/bin", "etc/pam.d", "etc/lxc", "home/ubuntu"} {
		if err := os.MkdirAll(filepath.Join(p.rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(p.rootfs, dir)); err != nil {
			t.Fatal(err)
		}
	}
	const pam = "auth sufficient pam_rootok.so\naccount required pam_unix.so\nsession required pam_permit.so\n"
	for name, content := range map[string]string{
		"passwd":           "root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n",
		"group":            "root:x:0:\nubuntu:x:1000:\n",
		"shadow":           "root:*:19000:0:99999:7:::\nubuntu:*:19000:0:99999:7:::\n",
		"subuid":           "ubuntu:65536:65536\n",
		"subgid":           "ubuntu:65536:65536\n",
		"pam.d/su":         pam,
		"pam.d/su-l":       pam,
		"pam.d/sudo":       pam,
		"pam.d/sudo-i":     pam,
		"sudoers":          "root ALL=(ALL) ALL\n",
		"nsswitch.conf":    "passwd: files\ngroup: files\nshadow: files\n",
		"lxc/default.conf": "",
		"init":             fmt.Sprintf(nestedInit, init),
	} {
		if err := os.WriteFile(filepath.Join(p.rootfs, "etc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"cp", "/etc/ld.so.cache", "/etc/login.defs", p.rootfs + "/etc"},
		{"cp", "/usr/bin/newuidmap", "/usr/bin/newgidmap", testbed.Built(t, "cgdeleg"), p.rootfs + "/local/bin"},
		{"chown", "-Rh", fmt.Sprintf("%[1]d:%[1]d", p.root), p.rootfs},
		{"chown", "-R", fmt.Sprintf("%[1]d:%[1]d", p.root+1000), p.rootfs + "/home/ubuntu"},
		{"chmod", "4755", p.rootfs + "/local/bin/newuidmap", p.rootfs + "/local/bin/newgidmap"},
		{"chmod", "755", p.rootfs + "/etc/init"},
		{"chmod", "440", p.rootfs + "/etc/sudoers"},
		{"chmod", "1777", p.rootfs + "/tmp"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	// read-only: nothing that goes wrong here may touch the machine's programs
	bind(t, "/usr", p.rootfs+"/usr", unix.MS_RDONLY)
	bind(t, p.rootfs+"/local/bin", p.rootfs+"/usr/local/bin")
}

func (p *parent) unfurnish(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("rm", "-r", "--one-file-system", p.rootfs).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// newChild makes the container user-child of ubuntu.
func (p *parent) newChild(t *testing.T, config ...string) *box {
	t.Helper()
	home := filepath.Join(p.rootfs, p.ubuntu.Home)
	b := &box{
		name: "user-child", lxcpath: filepath.Join(p.ubuntu.Home, ".local/share/lxc"),
		rootfs: filepath.Join(home, "user-child"), log: filepath.Join(home, "user-child.log"),
		owner: p.root + 1000, root: p.root + 65536,
	}
	asOnHost := testbed.User{Name: "ubuntu", UID: p.root + 1000, Home: home}
	config = append(unprivileged(filepath.Join(p.ubuntu.Home, "user-child"), 65536, 65536), config...)
	writeOwned(t, asOnHost, ".local/share/lxc/user-child/config", config...)
	b.furnish(t)
	return b
}

// fix runs a line of check's as the container's root.
func (p *parent) fix(t *testing.T, c *sshd.Client, fix string) {
	t.Helper()
	c.Must(t, fmt.Sprintf("lxc-attach -n user-parent -- sh -c '%s'", strings.ReplaceAll(asRoot(fix), "'", `'\''`)))
}

const (
	attach   = "lxc-attach -n user-parent -- "
	attachSu = attach + "su - ubuntu"
	openFix  = "sudo cgdeleg open --user ubuntu --pid %d"
)

// step is a line that check says, and the beginning of the fix in it; %d is the
// shell's PID.
type step struct{ check, fix string }

// The shell of lxc-attach and su in an unprivileged container came past the
// module: containers in the container would have no cgroups. What check says one
// line at a time makes the start work from that shell, whatever way it came and
// however the container has its cgroups.
func TestCheckFixesTheNestedStart(t *testing.T) {
	three := mountCgroups(threeHierarchies...)
	opened := []step{{"CGD-011 module", openFix}}
	for name, test := range map[string]struct {
		init    string   // how the container's init mounts cgroups
		config  []string // of the container
		shell   string
		before  string // run by the container's root
		steps   []step
		session string
	}{
		"su -": {init: three, shell: attachSu, steps: opened},
		"su":   {init: three, shell: attach + "su ubuntu", steps: opened},
		"sudo": {init: three, shell: "sh -c 'exec " + attach + "sudo -u ubuntu -i 2>/dev/null'", steps: opened}, // it knows no host name
		"lxc-attach alone": {init: three, shell: attach + "setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/ubuntu sh",
			steps: []step{{"CGD-010 login", openFix}}},
		"the init mounts what is not the container's too": {init: mountCgroups(v1Hierarchies()...), shell: attachSu,
			steps: []step{{"CGD-011 module", openFix + " -c "}}},
		"the shell is in a session without memory": {init: three, shell: attachSu,
			before: "cgdeleg open --user ubuntu --pid %d -c freezer,name=systemd",
			steps:  []step{{"CGD-011 module", openFix + " -c "}}, session: "1"},
		"LXC mounts them": {config: []string{"lxc.mount.auto =", "lxc.mount.auto = cgroup:mixed:force proc:mixed sys:rw"}, shell: attachSu,
			steps: opened},
		"LXC mounts them read-only": {config: []string{"lxc.mount.auto =", "lxc.mount.auto = cgroup:ro:force proc:mixed sys:rw"}, shell: attachSu,
			steps: append([]step{{"CGD-003 mounts", "sudo mount -o remount,bind,rw /sys/fs/cgroup/"}}, opened...)},
		"nobody mounts them": {shell: attachSu,
			steps: []step{{"CGD-002 mode", "sudo sh -c 'mount -t tmpfs cgroup /sys/fs/cgroup && "}, {"CGD-011 module", openFix}}},
	} {
		t.Run(name, func(t *testing.T) {
			u, server := sshServer(t, "cgclinest", 22020, threeHierarchies...)
			testbed.Need(t, "sudo", "setpriv")
			p := newParent(t, u, test.init, test.config...)
			login := server.Login(t, u.Name)
			wantPlaced(t, p.start(t, login), "/user/cgclinest/0/lxc.payload.user-parent", threeHierarchies...)
			child := p.newChild(t, limit)
			s := startShell(t, login, test.shell)
			if test.before != "" {
				p.fix(t, login, fmt.Sprintf(test.before, s.pid))
			}

			for _, step := range test.steps {
				wantRefused(t, child, s, noLimits)
				fix := diagnosis(t, s, "cgdeleg", "--container user-child", step.check)
				if want := strings.ReplaceAll(step.fix, "%d", fmt.Sprint(s.pid)); !strings.HasPrefix(fix, want) {
					t.Errorf("the fix is %q, want %q", fix, want)
				}
				p.fix(t, login, fix)
			}
			s.Must(t, "cgdeleg check --container user-child") // warnings are for later logins

			wantAlive(t, child, s, child.start(t, s), "/user/cgclinest/0/lxc.payload.user-parent/user/ubuntu/"+cmp.Or(test.session, "0"))
			child.stop(t, s)
			s.end(t)
			p.stop(t, login)
			login.Logout()
			wantNothingNow(t, u)
		})
	}
}

// v1Hierarchies are all of this machine's.
func v1Hierarchies() (names []string) {
	for _, h := range testbed.Hierarchies() {
		if h.Name != "unified" {
			names = append(names, h.Name)
		}
	}
	return names
}

// What the login outside did not have, nobody in the container can fix, and
// check says so.
func TestCheckOfContainerWithoutMemory(t *testing.T) {
	for name, test := range map[string]struct {
		controllers []string // of the login outside
		says        string
	}{
		"no memory":  {[]string{"freezer", "name=systemd"}, "started without a cgroup of its own for the controller memory"},
		"no cgroups": {nil, "started without cgroups of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			u, server := sshServer(t, "cgclinest", 22020, test.controllers...)
			p := newParent(t, u, mountCgroups(threeHierarchies...))
			login := server.Login(t, u.Name)
			p.start(t, login)
			child := p.newChild(t, limit)
			s := startShell(t, login, attachSu)
			wantRefused(t, child, s, noLimits)
			out, err := s.Run("cgdeleg check -q --container user-child")
			if exitStatus(t, err) != 1 || strings.Contains(out, "\n") || !strings.HasPrefix(out, "CGD-007 container: ") || !strings.Contains(out, test.says) {
				t.Errorf("want one line of CGD-007 container with %q, got:\n%s", test.says, out)
			}
			s.end(t)
			p.stop(t, login)
			login.Logout()
			wantNothingNow(t, u)
		})
	}
}

// With the module in the container's own PAM files, su makes the session, and
// there is nothing to fix.
func TestNestedStartWithTheModule(t *testing.T) {
	u, server := sshServer(t, "cgclinest", 22020, threeHierarchies...)
	p := newParent(t, u, mountCgroups(threeHierarchies...))
	install(t, p.rootfs)
	const last = "session required pam_permit.so\n"
	replaceIn(t, p.rootfs+"/etc/pam.d/su-l", last, last+"session optional pam_cgdeleg.so\n")
	login := server.Login(t, u.Name)
	p.start(t, login)
	child := p.newChild(t, limit)
	s := startShell(t, login, attachSu)
	if out := s.Must(t, "cgdeleg check -q --strict --container user-child"); out != "" {
		t.Errorf("check says:\n%s", out)
	}
	wantAlive(t, child, s, child.start(t, s), "/user/cgclinest/0/lxc.payload.user-parent/user/ubuntu/0")
	child.stop(t, s)
	s.end(t)
	testbed.Eventually(t, "su's session has gone", func() bool {
		return !slices.ContainsFunc(testbed.Tree(u.Name), func(line string) bool { return strings.Contains(line, "/user/ubuntu") })
	})
	p.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}

// The container's root may not move the user's processes on cgroup v1, as the
// host's may. cgdeleg open and close do it nevertheless.
func TestOpenAndCloseInAContainer(t *testing.T) {
	u, server := sshServer(t, "cgclinest", 22020, threeHierarchies...)
	p := newParent(t, u, mountCgroups(threeHierarchies...))
	login := server.Login(t, u.Name)
	p.start(t, login)
	s := startShell(t, login, attachSu)
	wantIn := func(cgroup string) {
		t.Helper()
		at := testbed.ParsePlacement(s.Must(t, "cat /proc/self/cgroup"))
		for _, name := range threeHierarchies {
			if at[name] != cgroup {
				t.Errorf("%s: in %s, want %s", name, at[name], cgroup)
			}
		}
	}
	run := func(command string) (string, error) {
		return login.Run(attach + fmt.Sprintf("cgdeleg %s --user ubuntu --pid %d", command, s.pid))
	}
	for range 2 {
		if out, err := run("open"); err != nil {
			t.Fatalf("open: %v\n%s", err, out)
		}
		wantIn("/user/ubuntu/0")
		if out, err := run("close"); err != nil {
			t.Fatalf("close: %v\n%s", err, out)
		}
		wantIn("/")
	}
	if left := slices.DeleteFunc(testbed.Tree(u.Name), func(line string) bool { return !strings.Contains(line, "/user/ubuntu") }); len(left) > 0 {
		t.Errorf("close left:\n%s", strings.Join(left, "\n"))
	}
	s.end(t)
	p.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}
