package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// nestedInit is initScript of a container in which containers are started: it
// mounts, inside of its cgroup namespace, the hierarchies that it is told.
const nestedInit = `#!/bin/sh
%s
trap 'exit 0' PWR TERM
while :; do
	echo >>/tmp/beat
	sleep 0.02
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
		rootfs: "/run/user-parent", log: filepath.Join(u.Home, "user-parent.log"), root: u.UID << 16,
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
		rootfs: filepath.Join(home, "user-child"), log: filepath.Join(home, "user-child.log"), root: p.root + 65536,
	}
	asOnHost := testbed.User{Name: "ubuntu", UID: p.root + 1000, Home: home}
	config = append(unprivileged(filepath.Join(p.ubuntu.Home, "user-child"), 65536, 65536), config...)
	writeOwned(t, asOnHost, ".local/share/lxc/user-child/config", config...)
	b.furnish(t)
	return b
}

// mend runs a line of check's as the container's root.
func (p *parent) mend(t *testing.T, c *sshd.Client, mend string) {
	t.Helper()
	c.Must(t, fmt.Sprintf("lxc-attach -n user-parent -- sh -c '%s'", strings.ReplaceAll(asRoot(mend), "'", `'\''`)))
}

// The shell of lxc-attach and su in an unprivileged container came past the
// module, so that containers in the container have no cgroups.
func TestCheckMendsTheNestedStart(t *testing.T) {
	u, host := sshHost(t, "cgclinest", 22020, threeHierarchies...)
	p := newParent(t, u, mountCgroups(threeHierarchies...))
	login := host.Login(t, u.Name)
	wantPlaced(t, p.start(t, login), "/user/cgclinest/0/lxc.payload.user-parent", threeHierarchies...)
	child := p.newChild(t, limit)
	s := startShell(t, login, "lxc-attach -n user-parent -- su - ubuntu")

	out, err := child.tryStart(t, s)
	t.Logf("start: %v\n%s", err, out)
	t.Log(s.Run("cat /proc/self/cgroup /proc/self/mountinfo; id; ls -la /sys/fs/cgroup /sys/fs/cgroup/*"))
	mend := diagnosis(t, s, "cgdeleg", "--container user-child", "CGD-011 module")
	p.mend(t, login, mend)
	t.Log(s.Run("cgdeleg check"))

	wantAlive(t, child, s, child.start(t, s), "/user/cgclinest/0/lxc.payload.user-parent/user/ubuntu/0")
	child.stop(t, s)
	s.end(t)
	p.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}
