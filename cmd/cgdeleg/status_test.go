package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestHumanBytes(t *testing.T) {
	for bytes, want := range map[int64]string{
		-1: "", 0: "0B", 1023: "1023B", 1024: "1.0K", 1536: "1.5K", 1 << 20: "1.0M", 3 << 30: "3.0G", 1 << 50: "1.0P", 1 << 61: "2048.0P",
	} {
		if got := humanBytes(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}

func TestHumanAge(t *testing.T) {
	const day = 24 * time.Hour
	for age, want := range map[time.Duration]string{
		-1: "", 0: "0s", 59*time.Second + 999*time.Millisecond: "59s", time.Minute: "1m00s", time.Hour - time.Second: "59m59s",
		time.Hour + 5*time.Minute: "1h05m", day - time.Second: "23h59m", day: "1d00h", 400*day + 7*time.Hour: "400d07h",
	} {
		if got := humanAge(age); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
}

// Outside of UTF-8 the tree is made of ASCII.
func TestTreeInASCII(t *testing.T) {
	m := machine.Recorded("../../delegate/testdata/debian12-v1-hybrid")
	sessions, _, err := delegate.Sessions(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printTree(screen{Writer: &out}, m, sessions); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n|-0: sshd 4712, ", "\n| |-init.scope: ", "\n| `-lxc: ", "\n|   `-c1: ", "\n`-2: dead, "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for _, c := range out.String() {
		if c > '~' {
			t.Errorf("%q in\n%s", c, &out)
			break
		}
	}
}

// A user who makes cgroups without end fills no screens with them.
func TestTreeIsBounded(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/self/mountinfo", "1 1 0:1 / /f rw - cgroup c rw,freezer\n")
	write("proc/1/cgroup", "1:freezer:/\n")
	for i := range 200 {
		write(fmt.Sprintf("f/user/u/0/c%03d/cgroup.procs", i), "")
	}
	write("f/user/u/0/c000/1/2/3/cgroup.procs", "")
	write("f/user/u/0/cgroup.procs", "")
	m := machine.Recorded(root)
	sessions, _, err := delegate.Sessions(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printTree(screen{Writer: &out, utf8: true}, m, sessions); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 54 { // user, session, 50 and one below, the rest
		t.Errorf("%d lines:\n%s", lines, &out)
	}
	if !strings.HasSuffix(out.String(), "  └─…\n") {
		t.Errorf("nothing says that there are others:\n%s", &out)
	}
}

// Of a lasting trouble the log has one line, and one more when it comes back.
func TestWatchLogComplainsOnce(t *testing.T) {
	var out, errOut bytes.Buffer
	l := watchLog{out: &out, errOut: &errOut}
	broken := cleanup.Cleaned{User: "u", Number: 1, Left: unix.EIO}
	for _, s := range []cleanup.Cleaned{broken, broken, {User: "u", Number: 2, Left: unix.EBUSY}, {User: "u", Number: 1}, broken} {
		l.tell(s)
	}
	held := &lock.Error{Path: "/lock", Err: unix.EWOULDBLOCK}
	for _, err := range []error{held, held, nil, held} {
		l.complain("", err)
	}
	if out.String() != "removed session 1 of u\n" {
		t.Errorf("standard output %q", &out)
	}
	const failed = "cgdeleg: session 1 of u could not be removed: input/output error\n"
	const locked = "cgdeleg: lock /lock: resource temporarily unavailable; another cgdeleg or a login holds it, try again\n"
	if errOut.String() != failed+failed+locked+locked {
		t.Errorf("standard error\n%s", &errOut)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, unix.ENOSPC }

func TestWatchLogBroken(t *testing.T) {
	l := watchLog{out: fullDisk{}}
	if l.tell(cleanup.Cleaned{User: "u"}); !errors.Is(l.broken, unix.ENOSPC) {
		t.Errorf("got %v", l.broken)
	}
}
