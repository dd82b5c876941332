package fixes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// machine is a mount, network and PID namespace that a fix may change as it likes: what
// is written below its directories is its own, and everything in it ends with it. Only
// the cgroups are this machine's.
type machine struct {
	t    *testing.T
	user testbed.User
	dir  string // its own, the same inside and outside
	init *exec.Cmd
	// lines are typed into its first process, a shell of root's.
	lines  *os.File
	shells int
}

// furnish makes a machine on which nothing is wrong. It becomes root's first shell.
const furnish = `
set -e
mount -t tmpfs -o mode=755 tmpfs $dir
over() {
	mkdir -p $dir/up/$1 $dir/work/$1
	mount -t overlay -o lowerdir=/$2,upperdir=$dir/up/$1,workdir=$dir/work/$1 overlay $dir/root/$2
}
mkdir $dir/root $dir/bin
over root
for d in proc sys dev var/log var/spool/cron var/mail var/lib/lxc; do
	[ ! -d /$d ] || mount --rbind /$d $dir/root/$d
done
mount --bind /run $dir/root/run # not what is mounted in it: this machine's file system would be in itself
mount --bind $dir $dir/root$dir
over etc etc
over home home
cd $dir/root
pivot_root . mnt
umount -l /mnt
cd /
# Where a file of /proc is covered, as some kinds do, the kernel lets user namespaces mount one
# only if another is whole.
mkdir $dir/proc && mount -t proc proc $dir/proc
rm -f /.dockerenv
ip link set lo up
ln -s $dir/bin/cgdeleg /usr/local/bin/cgdeleg
cp $built/cgdeleg $dir/bin
mkdir -p $dir/libexec/cgdeleg
cp $built/trylogin $dir/libexec/cgdeleg
cp $built/pam_cgdeleg.so $dir/bin
ln -s $dir/bin/pam_cgdeleg.so $security/pam_cgdeleg.so
rm -f /etc/pam.d/su-l
for service in su sshd; do
	printf '%s\n' 'auth sufficient pam_rootok.so' 'auth required pam_unix.so' 'account required pam_permit.so' \
		'session required pam_permit.so' 'session optional pam_cgdeleg.so' >/etc/pam.d/$service
done
mkfifo $dir/lines
printf '%s\n' '#!/bin/sh' 'exec "$@"' >$dir/bin/sudo; chmod 755 $dir/bin/sudo # whose name the commands are to have
set +e
touch $dir/ready
while :; do
	while read -r line; do eval "$line"; done <$dir/lines
done
`

// inNamespace has the first process go on in a cgroup of its own, in a cgroup namespace of
// which that is the root, beside mounts that were made before.
const inNamespace = `for h in /sys/fs/cgroup/*/; do mkdir -p $h/cgfixes-other; echo 0 >$h/cgfixes-other/cgroup.procs; done; ` +
	`exec unshare --cgroup sh -c 'leaf=/sys/fs/cgroup/unified/cgfixes-other/init.scope; mkdir $leaf; echo 0 >$leaf/cgroup.procs; while :; do while read -r line; do eval "$line"; done <$dir/lines; done'`

// words are what a script of root's may say on the machine.
const words = `
cg=/sys/fs/cgroup
su=/etc/pam.d/su
ids=$((uid << 16))
config=$home/.local/share/lxc/c1/config
sudo() { "$@"; }
# move HIERARCHY CGROUP: puts the user's shell there.
move() { mkdir -p $cg/$1/$2 && echo $pid >$cg/$1/$2/cgroup.procs; }
# own FILE...: the user's, with the folders above.
own() { chown -R $uid:$uid $home/.local $home/.config "$@" 2>/dev/null || true; }
# box [LINE]...: the user's container c1, with these lines in its configuration.
box() {
	mkdir -p $home/.local/share/lxc/c1 $home/c1
	printf '%s\n' "lxc.include = /usr/share/lxc/config/common.conf" "lxc.include = /usr/share/lxc/config/userns.conf" \
		"lxc.idmap = u 0 $ids 65536" "lxc.idmap = g 0 $ids 65536" "lxc.net.0.type = empty" \
		"lxc.apparmor.profile = unconfined" "lxc.rootfs.path = dir:$home/c1" "$@" >$config
	own $home/.local
	chown $ids:$ids $home/c1
}
# json FILTER FILE: changes it by a filter of jq, which knows the user's own ID and the first subordinate one.
json() { changed=$(jq --argjson uid $uid --argjson ids $ids "$1" "$2") && printf '%s\n' "$changed" >"$2"; }
# as_user COMMAND: runs it as the user, past PAM.
as_user() { setpriv --reuid $uid --regid $uid --clear-groups "$@"; }
# own_sysfs: /sys of this network namespace, with the cgroups in it.
own_sysfs() {
	mkdir -p $dir/cgroups && mount --rbind /sys/fs/cgroup $dir/cgroups && mount -t sysfs sysfs /sys && mount --move $dir/cgroups /sys/fs/cgroup
}
# start_sshd starts it; await_sshd waits until it listens, and has written that file.
await_sshd() { until [ -s /run/sshd.pid ]; do sleep 0.02; done; }
start_sshd() { rm -f /run/sshd.pid; /usr/sbin/sshd; await_sshd; }
# profile: what our package gives to pam-auth-update, and a service that includes what that writes.
profile() {
	cp $project/packaging/debian/pam-configs/cgdeleg /usr/share/pam-configs/cgdeleg
	printf '%s\n' 'auth sufficient pam_rootok.so' 'account required pam_permit.so' '@include common-session' >$su
}
`

// inUserNamespace has the first process go on in a user namespace that has only the first
// 200,000 IDs, as they are outside.
const inUserNamespace = `exec unshare --user --map-users 0,0,200000 --map-groups 0,0,200000 sh -c 'while :; do while read -r line; do eval "$line"; done <$dir/lines; done'`

// newMachine starts one for the length of the test.
func newMachine(t *testing.T, u testbed.User) *machine {
	t.Helper()
	m := &machine{t: t, user: u, dir: testbed.TempDir(t)}
	m.init = exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", furnish)
	m.init.Env = m.environment()
	m.init.Stderr = os.Stderr
	m.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.init.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	testbed.Eventually(t, "the machine is furnished", func() bool {
		_, err := os.Stat(m.inside("ready"))
		return err == nil
	})
	m.settle()
	var err error
	if m.lines, err = os.OpenFile(m.inside("lines"), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	return m
}

// settle moves the machine's first process to where this machine's is, wherever the test
// itself was started: below that sessions are made.
func (m *machine) settle() {
	m.t.Helper()
	at := testbed.Placement(m.t, 1)
	for _, h := range testbed.Hierarchies() {
		file := filepath.Join(h.Point, at[h.Name], "cgroup.procs")
		if err := os.WriteFile(file, []byte(fmt.Sprint(m.first())), 0); err != nil {
			m.t.Fatal(err)
		}
	}
}

// first returns the PID of the machine's first process, as the test has it; 0 if there is
// none yet.
func (m *machine) first() (pid int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", m.init.Process.Pid))
	_, _ = fmt.Sscan(string(data), &pid)
	return pid
}

// inside is a file of the machine's own directory, as the test reaches it.
func (m *machine) inside(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/%s", m.first(), m.dir, name)
}

func (m *machine) environment() []string {
	root := testbed.Root(m.t)
	return []string{
		"PATH=" + m.dir + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root",
		"DEBIAN_FRONTEND=noninteractive", // for pam-auth-update, which has no terminal to ask on
		"dir=" + m.dir, "project=" + root, "built=" + filepath.Join(root, "build"), "security=" + securityDir(m.t),
		"name=" + m.user.Name, fmt.Sprintf("uid=%d", m.user.UID), "home=" + m.user.Home,
	}
}

// securityDir is where this machine has PAM's modules.
func securityDir(t *testing.T) string {
	t.Helper()
	files, _ := filepath.Glob("/usr/lib/*/security/pam_unix.so")
	if len(files) != 1 {
		t.Skipf("pam_unix.so is found %d times, want once", len(files))
	}
	return filepath.Dir(files[0])
}

// end ends all of the machine's processes, and removes what sessions they had.
func (m *machine) end() {
	_ = syscall.Kill(m.first(), syscall.SIGKILL)
	_ = m.init.Process.Kill()
	_ = m.init.Wait()
	if m.lines != nil {
		_ = m.lines.Close()
	}
	for range 100 { // what was killed is still there for a moment
		if out, err := exec.Command(testbed.Built(m.t, "cgdeleg"), "cleanup", "--user", m.user.Name).CombinedOutput(); err != nil {
			m.t.Errorf("cleanup: %v\n%s", err, out)
		}
		if len(testbed.Tree(m.user.Name)) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, h := range testbed.Hierarchies() {
		removeTree(filepath.Join(h.Point, ownCgroup))
	}
}

// ownCgroup is what a test calls a cgroup that it makes beside user/.
const ownCgroup = "cgfixes-other"

// removeTree removes a cgroup with those in it.
func removeTree(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeTree(filepath.Join(dir, e.Name()))
		}
	}
	for range 100 { // a process that has just ended is still there for a moment
		if err := unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// run runs a script of root's on the machine; variables are further ones that it has.
func (m *machine) run(script string, variables ...string) (string, error) {
	m.t.Helper()
	cmd := exec.Command("timeout", "60", "nsenter", "--target", fmt.Sprint(m.first()), "--mount", "--cgroup", "--net", "--pid", "sh", "-c", words+"\n"+script)
	cmd.Env = append(m.environment(), variables...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

// must is run for a script that has to succeed.
func (m *machine) must(script string, variables ...string) string {
	m.t.Helper()
	out, err := m.run("set -e\n"+script, variables...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}
