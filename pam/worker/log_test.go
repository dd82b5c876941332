package worker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listen stands for the system log.
func listen(t *testing.T) (socket string, read func() string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return socket, func() string {
		buffer := make([]byte, 1000)
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := conn.Read(buffer)
		return string(buffer[:n])
	}
}

// What a worker that nobody waits for has to say is in the log, as libpam would have
// written it.
func TestSystemLog(t *testing.T) {
	socket, read := listen(t)
	l := systemLog{socket: socket, program: detachedName, service: "ss\nhd"}
	for name, test := range map[string]struct{ line, want string }{
		"debug":                  {"log debug a b\n", `<87>\w{3} [ \d]\d \d\d:\d\d:\d\d cgdeleg-close\[` + fmt.Sprint(os.Getpid()) + `\]: pam_cgdeleg\(ss\\nhd:session\): a b`},
		"warning":                {"log warning a\n", `<84>.*: a`},
		"error":                  {"log error a\n", `<83>.*: a`},
		"a result is for nobody": {"result success\n", ``},
		"nor is a ticket":        {"ticket log\n", ``},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := l.Write([]byte(test.line))
			if got := read(); !regexp.MustCompile("^"+test.want+"$").MatchString(got) || n != len(test.line) || err != nil {
				t.Errorf("got %q, want %s; %d, %v", got, test.want, n, err)
			}
		})
	}
	(systemLog{socket: filepath.Join(t.TempDir(), "nosuch")}).send(1, "lost") // without harm
}

// It answers nothing, and says in the log what is left.
func TestDetachedClose(t *testing.T) {
	s, _ := aMachine(t, map[string]string{"f/user/alice/0/cgroup.procs": ""})
	var read func() string
	s.logSocket, read = listen(t)
	for name, pid := range map[string]string{"the application is there": "7", "it has ended": "4711"} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			status := run(arguments("detached-close", pid, "", "", "alice", "session 0 alice\nformer freezer:/\n", "debug"), &out, s)
			if status != 0 || out.String() != "" {
				t.Errorf("status %d, reply %q", status, out.String())
			}
			const text = `: user "alice": session 0 closed, left for a later cleanup: hierarchy freezer: `
			if got := read(); !strings.Contains(got, text) || !strings.HasSuffix(got, ": directory not empty") {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// The C side says where the application's lock is.
func TestLockIsTheSameInC(t *testing.T) {
	header, err := os.ReadFile("../worker.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("#define WORKER_LOCK_FD %d\n", lockFD),
		fmt.Sprintf("#define WORKER_APPLICATION_FD %d ", applicationFD),
		fmt.Sprintf("#define WORKER_REPLY_FD %d\n", replyFD),
		`#define WORKER_LOCKS "/run/cgdeleg/applications"` + "\n",
		fmt.Sprintf("#define WORKER_DETACHED_NAME %q\n", detachedName),
	} {
		if !strings.Contains(string(header), line) {
			t.Errorf("worker.h has no %q", line)
		}
	}
}
