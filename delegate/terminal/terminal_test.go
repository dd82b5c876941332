package terminal

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

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// pty opens a pseudo-terminal.
func pty(t *testing.T) (master *os.File, path string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _ = master.Close() })
	return master, fmt.Sprintf("/dev/pts/%d", number)
}

// at starts a process whose controlling terminal it is.
func at(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command("sleep", "60")
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func find(path string) *Terminal {
	for _, terminal := range Find(machine.Machine{}, os.Getuid()) {
		if terminal.Path == path {
			return &terminal
		}
	}
	return nil
}

// A terminal is found while some process has it, and gets what is written, whatever mesg
// says.
func TestTerminal(t *testing.T) {
	master, path := pty(t)
	if found := find(path); found != nil {
		t.Errorf("found without a process: %+v", found)
	}
	cmd := at(t, path)
	found := find(path)
	if found == nil || found.UID != os.Getuid() || found.Newest.PID != cmd.Process.Pid {
		t.Fatalf("found %+v", found)
	}
	for _, other := range Find(machine.Machine{}, 4242) {
		t.Errorf("of another user: %+v", other)
	}
	if err := os.Chmod(path, 0o600); err != nil { // mesg n
		t.Fatal(err)
	}
	if err := found.Write("\r\nhello\r\n"); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 100)
	n, err := master.Read(data)
	if err != nil || !strings.Contains(string(data[:n]), "hello") {
		t.Errorf("the terminal got %q, %v", data[:n], err)
	}
	other := *found
	other.UID++
	if err := other.Write("x"); !errors.Is(err, unix.EPERM) {
		t.Errorf("somebody else's: %v", err)
	}
	other = *found
	other.Number++
	if err := other.Write("x"); !errors.Is(err, unix.EPERM) {
		t.Errorf("another device: %v", err)
	}
}

// Nobody waits for a terminal that is not read.
func TestFullTerminal(t *testing.T) {
	_, path := pty(t)
	at(t, path)
	found := find(path)
	if found == nil {
		t.Fatal("not found")
	}
	done := make(chan error, 1)
	go func() {
		for {
			if err := found.Write(strings.Repeat("x", 4000)); err != nil {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}

// What is no terminal is not written to, whatever is called so.
func TestNoTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := file + ".link"
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{file: unix.EPERM, link: unix.ELOOP, file + ".none": unix.ENOENT, "/dev/null": unix.EPERM} {
		terminal := Terminal{Path: path, UID: os.Getuid(), Number: unix.Mkdev(136, 0)}
		if err := terminal.Write("x"); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || len(data) > 0 {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestPathOf(t *testing.T) {
	dir := t.TempDir()
	for number, uevent := range map[string]string{"229:0": "MAJOR=229\nMINOR=0\nDEVNAME=hvc0\n", "4:64": "DEVNAME=ttyS0\n", "5:9": "DEVNAME=../sda\n", "5:8": "DEVNAME=\n"} {
		at := filepath.Join(dir, "sys/dev/char", number)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "uevent"), []byte(uevent), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := finder{machine: machine.Recorded(dir)}
	for _, test := range []struct {
		major, minor uint32
		want         string
	}{
		{136, 0, "/dev/pts/0"},
		{136, 300, "/dev/pts/300"},
		{137, 1, "/dev/pts/257"},
		{4, 1, "/dev/tty1"},
		{4, 64, "/dev/ttyS0"},
		{229, 0, "/dev/hvc0"},
		{5, 9, ""},
		{5, 8, ""},
		{1, 3, ""},
	} {
		if got := f.pathOf(test.major, test.minor); got != test.want {
			t.Errorf("%d:%d is %q, want %q", test.major, test.minor, got, test.want)
		}
	}
}
