package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv marks the process that runs in the private mount namespace.
const insideEnv = "CGDELEG_TESTBED"

// missing says what this machine lacks for tier 2; empty if nothing.
var missing string

// Main is what TestMain returns to os.Exit. Without root or without cgroups the
// tests run in place, and New skips them.
func Main(m *testing.M) int {
	return mainWith(m, lockFile{"/run/cgdeleg-tests.others.lock", syscall.LOCK_SH})
}

func mainWith(m *testing.M, locks ...lockFile) int {
	if missing = lacks(); missing != "" {
		return m.Run()
	}
	if os.Getenv(insideEnv) == "" {
		for _, l := range locks {
			file, err := l.take()
			if err != nil {
				fmt.Fprintln(os.Stderr, "testbed:", err)
				return 1
			}
			defer file.Close()
		}
		return reexec()
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		return 1
	}
	if err := startLog(); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		return 1
	}
	before := rememberHierarchies()
	defer before.restore()
	return m.Run()
}

// lockFile is a lock that packages of tests take, which go test runs side by side.
type lockFile struct {
	path string
	how  int
}

func (l lockFile) take() (*os.File, error) {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return file, syscall.Flock(int(file.Fd()), l.how)
}

// MainAlone is Main for packages that remove every user's dead sessions, as
// cgdeleg cleanup does, or that wait for theirs to be removed: only one of these is to
// run at a time.
func MainAlone(m *testing.M) int {
	return mainWith(m, lockFile{"/run/cgdeleg-tests.lock", syscall.LOCK_EX}, lockFile{"/run/cgdeleg-tests.others.lock", syscall.LOCK_SH})
}

// MainUndisturbing is Main for packages that do so all the time: no other one is to run
// beside them, as it would not find what it has just made.
func MainUndisturbing(m *testing.M) int {
	return mainWith(m, lockFile{"/run/cgdeleg-tests.others.lock", syscall.LOCK_EX})
}

func lacks() string {
	if os.Geteuid() != 0 {
		return "needs root: run `sudo make test`"
	}
	if len(mounted()) == 0 {
		return "needs mounted cgroup hierarchies that root can write"
	}
	return ""
}

func reexec() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, "testbed:", err)
		return 1
	}
	return 0
}

// furnish mounts what is private to the tests over the machine's.
func furnish() error {
	syscall.Umask(0o022) // users of the tests' have to get into what it makes
	stage, err := os.MkdirTemp("", "testbed")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(stage) }()
	if err := unix.Mount("tmpfs", stage, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for _, dir := range []string{"/etc", "/dev", "/run", "/home", "/var/log", "/var/spool/cron", "/var/mail", "/var/lib/lxc"} {
		if err := cover(stage, dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return unix.Unmount(stage, unix.MNT_DETACH)
}

// cover mounts a private directory over dir: a copy of /etc, the usual devices
// for /dev, an empty one for all others.
func cover(stage, dir string) error {
	own := filepath.Join(stage, strings.ReplaceAll(dir, "/", "_"))
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil // the machine lacks what would use it
	}
	switch dir {
	case "/etc":
		if out, err := exec.Command("cp", "-a", "/etc/.", own).CombinedOutput(); err != nil {
			return fmt.Errorf("cp: %w: %s", err, out)
		}
	case "/dev":
		if err := makeDevices(own); err != nil {
			return err
		}
	case "/run":
		for _, sub := range []string{"sshd", "lock", "sudo", "crond"} {
			if err := os.Mkdir(filepath.Join(own, sub), 0o755); err != nil {
				return err
			}
		}
	case "/var/spool/cron":
		if err := os.Mkdir(filepath.Join(own, "crontabs"), 0o1730); err != nil {
			return err
		}
	}
	return unix.Mount(own, dir, "", unix.MS_BIND|unix.MS_REC, "")
}

func makeDevices(own string) error {
	nodes := map[string]int{
		"null": 0x103, "zero": 0x105, "full": 0x107, "random": 0x108, "urandom": 0x109, "tty": 0x500, "ptmx": 0x502,
	}
	for name, number := range nodes {
		path := filepath.Join(own, name)
		dev := unix.Mkdev(uint32(number>>8), uint32(number&0xff))
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(dev)); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	if err := unix.Mknod(filepath.Join(own, "kmsg"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		return err
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join(own, name)); err != nil {
			return err
		}
	}
	for _, sub := range []string{"pts", "shm"} {
		to := filepath.Join(own, sub)
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+sub, to, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}
