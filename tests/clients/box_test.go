// Package clients tests what the module is for: programs that an unprivileged
// user runs in a login of its own, above all LXC, find cgroups that they may
// write.
//
// That a container "started" says nothing: where LXC can write no cgroup it
// starts the container without any. The tests look at the container's processes
// from the host.
package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// initScript is the container's init: it beats until it is asked to end, so
// that a look from outside tells whether the container runs.
const initScript = `#!/bin/busybox sh
trap 'exit 0' PWR TERM
while :; do
	echo >>/tmp/beat
	/bin/busybox sleep 0.02
done
`

// box is a container of an unprivileged user, with a root file system that
// holds busybox and nothing else.
type box struct {
	name    string
	lxcpath string // where its user's LXC looks for its configuration
	rootfs  string // as the host has it
	log     string // of LXC, in the user's home directory, as the host has it
	owner   int    // the user ID of who starts it, as the host has it
	root    int    // that of its root
}

// newBox makes a container, with the usual configuration of unprivileged users
// and the lines beside.
func newBox(t *testing.T, u testbed.User, name string, config ...string) *box {
	t.Helper()
	b := &box{
		name: name, lxcpath: filepath.Join(u.Home, ".local/share/lxc"),
		rootfs: filepath.Join(u.Home, name), log: filepath.Join(u.Home, name+".log"),
		owner: u.UID, root: u.UID << 16,
	}
	config = append(unprivileged(b.rootfs, b.root, 65536), config...)
	writeOwned(t, u, filepath.Join(".local/share/lxc", name, "config"), config...)
	b.furnish(t)
	return b
}

// unprivileged is the usual configuration of an unprivileged user's container,
// whose IDs are those from first on.
func unprivileged(rootfs string, first, count int) []string {
	return []string{
		"lxc.include = /usr/share/lxc/config/common.conf",
		"lxc.include = /usr/share/lxc/config/userns.conf",
		fmt.Sprintf("lxc.idmap = u 0 %d %d", first, count),
		fmt.Sprintf("lxc.idmap = g 0 %d %d", first, count),
		"lxc.net.0.type = empty",
		"lxc.apparmor.profile = unconfined",
		"lxc.rootfs.path = dir:" + rootfs,
	}
}

// furnish makes the root file system.
func (b *box) furnish(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"bin", "sbin", "dev", "proc", "sys", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(b.rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err == nil {
		err = os.WriteFile(filepath.Join(b.rootfs, "bin/busybox"), busybox, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(b.rootfs, "sbin/init"), []byte(initScript), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	chownAll(t, b.rootfs, b.root)
}

// writeOwned writes a file of the user's, with the folders above.
func writeOwned(t *testing.T, u testbed.User, path string, lines ...string) {
	t.Helper()
	top, _, _ := strings.Cut(path, "/")
	file := filepath.Join(u.Home, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	chownAll(t, filepath.Join(u.Home, top), u.UID)
}

func chownAll(t *testing.T, root string, id int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id, id)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// process is one of the user's, or of a container of the user's.
type process struct {
	pid   int
	name  string
	uid   int
	state string
	// inside are its PIDs in the PID namespaces in which it is, from the host's on.
	inside []string
}

// allProcesses returns what runs on this machine.
func allProcesses() (all []process) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err != nil {
			continue
		}
		var p process
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch key {
			case "Name":
				p.name = value
			case "State":
				p.state = value
			case "Pid":
				_, _ = fmt.Sscan(value, &p.pid)
			case "Uid":
				_, _ = fmt.Sscan(value, &p.uid)
			case "NSpid":
				p.inside = strings.Fields(value)
			}
		}
		if !strings.HasPrefix(p.state, "Z") {
			all = append(all, p)
		}
	}
	return all
}

// processes returns what runs under the user's ID or its subordinate IDs. They
// are this test's alone.
func processes(u testbed.User) []process {
	return slices.DeleteFunc(allProcesses(), func(p process) bool { return p.uid != u.UID && p.uid>>16 != u.UID })
}

// killAll ends what a test left running. A test that passes leaves nothing.
func killAll(t *testing.T, u testbed.User) {
	t.Helper()
	var killed []process
	for deadline := time.Now().Add(testbed.Patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		left := processes(u)
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
			if !slices.ContainsFunc(killed, func(k process) bool { return k.pid == p.pid }) {
				killed = append(killed, p)
			}
		}
		thaw(u.Name)
	}
	if len(killed) > 0 && !t.Failed() {
		t.Errorf("left running: %v", killed)
	}
}

// thaw lets frozen processes see that they are killed.
func thaw(name string) {
	for _, h := range testbed.Hierarchies() {
		states, _ := filepath.Glob(filepath.Join(h.Point, "user", name, "*/lxc.payload.*/freezer.state"))
		for _, state := range states {
			_ = os.WriteFile(state, []byte("THAWED"), 0)
		}
	}
}

// tryStart runs lxc-start in the login and returns what it said, with the
// errors of its log. A container that it refuses has ended on return.
func (b *box) tryStart(t *testing.T, c terminal) (string, error) {
	t.Helper()
	_ = os.Remove(b.log)
	out, err := c.Run(fmt.Sprintf("lxc-start -n %s -l INFO -o ~/%s", b.name, filepath.Base(b.log)))
	logged, _ := os.ReadFile(b.log)
	for line := range strings.Lines(string(logged)) {
		if strings.Contains(line, " ERROR ") {
			out += "\n" + strings.TrimSpace(line)
		}
	}
	if err != nil {
		b.awaitEnd(t)
	}
	return out, err
}

// start starts the container and returns the PID of its init. It waits until
// the init knows the signal to end: before, lxc-stop would wait for a minute.
func (b *box) start(t *testing.T, c terminal) int {
	t.Helper()
	if out, err := b.tryStart(t, c); err != nil {
		t.Fatalf("lxc-start: %v\n%s", err, out)
	}
	if !b.hasMonitor() {
		t.Fatalf("no process is called %q", b.monitor()) // awaitEnd would not wait
	}
	b.wantBeating(t)
	return b.init(t, c)
}

// init returns the PID of the running container's init, as the host has it.
// lxc-info says what it is called where LXC runs, which may be a container too.
func (b *box) init(t *testing.T, c terminal) int {
	t.Helper()
	pid := c.Must(t, "lxc-info -n "+b.name+" -pH")
	for _, p := range allProcesses() {
		if n := len(p.inside); p.uid == b.root && n > 1 && p.inside[n-1] == "1" && p.inside[n-2] == pid {
			return p.pid
		}
	}
	t.Fatalf("no init of container %s is process %q", b.name, pid)
	return 0
}

// stop stops the container and waits until its monitor has ended too, which
// lxc-stop does not wait for.
func (b *box) stop(t *testing.T, c terminal) {
	t.Helper()
	c.Must(t, "lxc-stop -n "+b.name)
	b.awaitEnd(t)
}

// monitor is what LXC calls the process that stays with the container.
func (b *box) monitor() string { return "[lxc monitor] " + b.lxcpath + " " + b.name }

func commandLine(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimRight(string(data), "\x00 ")
}

func (b *box) hasMonitor() bool {
	return slices.ContainsFunc(allProcesses(), func(p process) bool { return commandLine(p.pid) == b.monitor() })
}

// awaitEnd waits until the container's monitor has ended, the last of its
// processes. One that is just ending has no command line any more.
func (b *box) awaitEnd(t *testing.T) {
	t.Helper()
	testbed.Eventually(t, b.monitor()+" has ended", func() bool {
		return !slices.ContainsFunc(allProcesses(), func(p process) bool {
			line := commandLine(p.pid)
			return line == b.monitor() || line == "" && p.uid == b.owner
		})
	})
}

// attach returns the command line that runs a busybox command in the container.
func (b *box) attach(command string) string {
	return "lxc-attach -n " + b.name + " -- /bin/busybox " + command
}

// beats tells how often the container's init has beaten.
func (b *box) beats() int64 {
	info, err := os.Stat(filepath.Join(b.rootfs, "tmp/beat"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// wantBeating fails the test if the container's init does not go on.
func (b *box) wantBeating(t *testing.T) {
	t.Helper()
	before := b.beats()
	testbed.Eventually(t, "container "+b.name+" goes on", func() bool { return b.beats() > before })
}

// wantPlaced fails the test unless the process is in this cgroup in all of the
// hierarchies.
func wantPlaced(t *testing.T, pid int, cgroup string, hierarchies ...string) {
	t.Helper()
	at := testbed.Placement(t, pid)
	for _, name := range hierarchies {
		if got := at[testbed.HierarchyNamed(t, name).Name]; got != cgroup {
			t.Errorf("hierarchy %s has process %d in %s, want %s", name, pid, got, cgroup)
		}
	}
}

// readCgroup reads a file of the cgroup in which the process is.
func readCgroup(t *testing.T, pid int, hierarchy, file string) string {
	t.Helper()
	h := testbed.HierarchyNamed(t, hierarchy)
	data, err := os.ReadFile(filepath.Join(h.Point, testbed.Placement(t, pid)[h.Name], file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
