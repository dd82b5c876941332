package served

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// serversCapabilities are CHOWN, DAC_OVERRIDE, SYS_PTRACE, SYS_ADMIN, SYS_NICE and SYSLOG, as
// /proc/PID/status has them (docs/security.md).
const serversCapabilities = "0000000400a80003"

// Whoever starts the server, no thread of it has more than what it needs.
func TestServerPrivileges(t *testing.T) {
	s := testbed.Serve(t)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.Cmd.Process.Pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for _, line := range []string{"CapInh:\t0000000000000000", "CapPrm:\t" + serversCapabilities, "CapEff:\t" + serversCapabilities,
			"CapBnd:\t" + serversCapabilities, "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(string(status), line+"\n") {
				t.Errorf("%s has no line %q:\n%s", thread, line, status)
			}
		}
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.Cmd.Process.Pid)); err != nil || string(name) != "cgdeleg\n" {
		t.Errorf("it is called %q, %v", name, err)
	}
	s.End(unix.SIGTERM)
	if said := s.Said(); said != "" {
		t.Errorf("it said\n%s", said)
	}
}

// Each of its capabilities is needed for something, which a server without it cannot do. What
// it cannot is done by a worker, or later.
func TestServersCapabilities(t *testing.T) {
	testbed.Need(t, "setpriv")
	isServed := func(options, words string) func(t *testing.T, u testbed.User) bool {
		return func(t *testing.T, u testbed.User) bool {
			testbed.WriteService(t, u.Name, testbed.SessionLine(t, options))
			a := testbed.RunApplication(t, words+session(u))
			wantSessionIn(t, u, a, strings.Fields(options)[1])
			return a.One(t, "usage") == "0 0"
		}
	}
	for i, test := range []struct {
		capability string
		does       func(t *testing.T, u testbed.User) bool
	}{
		{"chown", isServed("-c freezer", "")},                    // gives the session to the user
		{"sys_ptrace", isServed("-c freezer", "")},               // sees in which namespaces an application is that has more
		{"sys_nice", isServed("-c cpuset", "threads=2 settle ")}, // moves such an application in cpuset
		{"dac_override", removesTheUsers},
	} {
		t.Run(test.capability, func(t *testing.T) {
			u := login(t, fmt.Sprintf("cgcapable%d", i), 21950+i, "")
			for _, under := range [][]string{nil, {"setpriv", "--bounding-set", "-" + test.capability}} {
				s := testbed.Serve(t, under...)
				if does := test.does(t, u); does != (under == nil) {
					t.Errorf("under %q: it does that: %v; it said\n%s", under, does, s.Said())
				}
				s.End(unix.SIGTERM)
				leaveNothing(t, u)
			}
		})
	}
}

// wantSessionIn is wantSession for one hierarchy.
func wantSessionIn(t *testing.T, u testbed.User, a testbed.Answers, hierarchy string) {
	t.Helper()
	a.Want(t, "open", "0")
	a.Want(t, "close", "0")
	name := testbed.HierarchyNamed(t, hierarchy).Name
	if at := testbed.ParsePlacement(a.All("cgroups")[0])[name]; !strings.HasPrefix(at, "/user/"+u.Name+"/") {
		t.Errorf("in %s", at)
	}
}

// removesTheUsers tells whether what the user made in a session is removed with it.
func removesTheUsers(t *testing.T, u testbed.User) bool {
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer close=wait"))
	app := testbed.LaunchApplication(t, "start="+u.Name+":"+u.Name+" open pause close usage end")
	app.Await("open")
	dir := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "user", u.Name, "0", "users")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, u.UID, u.GID)); err != nil {
		t.Fatal(err)
	}
	app.Resume()
	a := app.Finish()
	a.Want(t, "close", "0")
	wantServed(t, a, true)
	_, err := os.Stat(dir)
	return err != nil
}

// What CAP_SYS_ADMIN and CAP_SYSLOG are for needs a systemd that is older than 251, and a
// killed process; the kernel says of both what it refuses without.
func TestCapabilitiesToRead(t *testing.T) {
	dir := filepath.Join(testbed.HierarchyNamed(t, "unified").Point, "cgtest-marked")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := unix.Setxattr(dir, "trusted.delegate", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	isDelegated := func() bool {
		stat, err := machine.Machine{}.Stat(dir)
		if err != nil {
			t.Error(err)
		}
		return stat.Delegated
	}
	wantOnlyWith(t, unix.CAP_SYS_ADMIN, isDelegated)
	if restricted, err := os.ReadFile("/proc/sys/kernel/dmesg_restrict"); err != nil || string(restricted) != "1\n" {
		t.Skipf("kernel.dmesg_restrict is %q, %v: everybody may read the kernel's log", restricted, err)
	}
	device := filepath.Join(t.TempDir(), "kmsg")
	if err := unix.Mknod(device, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		t.Fatal(err)
	}
	wantOnlyWith(t, unix.CAP_SYSLOG, func() bool {
		fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		_ = unix.Close(fd)
		return err == nil
	})
}

// wantOnlyWith fails the test unless something can be done, and not without that capability.
func wantOnlyWith(t *testing.T, capability int, can func() bool) {
	t.Helper()
	if !can() {
		t.Errorf("it cannot be done with capability %d", capability)
	}
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // capabilities are a thread's, which ends with this function
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&header, &sets[0])
		sets[capability/32].Effective &^= 1 << (capability % 32)
		if err = errors.Join(err, unix.Capset(&header, &sets[0])); err != nil {
			t.Error(err)
		}
		done <- can()
	}()
	if <-done {
		t.Errorf("it can be done without capability %d", capability)
	}
}
