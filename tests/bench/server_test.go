package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

const (
	socket = "/run/cgdeleg/serve.sock"
	hidden = socket + ".hidden"
)

// server is a running cgdeleg serve. The module asks it where it finds its socket, so
// that is what is taken away for all but those who are served. Meanwhile it is stopped,
// because it looks at everybody's sessions.
type server struct {
	cmd  *exec.Cmd
	said bytes.Buffer // of logins that it left to a worker, for one
}

// startServer returns nil if there is no such command.
func startServer(b *testing.B) *server {
	b.Helper()
	cgdeleg := testbed.Built(b, "cgdeleg")
	// an unknown command is no error beside --help
	if help, err := exec.Command(cgdeleg, "serve", "--help").CombinedOutput(); err != nil || !strings.Contains(string(help), "cgdeleg serve") {
		fmt.Printf("\nNothing is served: this cgdeleg has no command serve (%v).\n", err)
		return nil
	}
	s := &server{cmd: exec.Command(cgdeleg, "serve")}
	s.cmd.Stderr = &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.answers(true)
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(testbed.Patience, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait()
		kill.Stop()
		if lines := strings.Count(s.said.String(), "\n"); lines > 0 {
			fmt.Printf("\ncgdeleg serve complained %d times, first: %s\n", lines, strings.SplitN(s.said.String(), "\n", 2)[0])
		}
	})
	for deadline := time.Now().Add(testbed.Patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return s
		}
		if time.Now().After(deadline) {
			b.Fatalf("cgdeleg serve makes no %s", socket)
		}
	}
}

// answers says whether whoever logs in now is served. What the server missed while it
// was stopped it does before anything is measured.
func (s *server) answers(served bool) {
	switch {
	case s == nil:
	case served:
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = os.Rename(hidden, socket)
		s.rest()
	default:
		_ = os.Rename(socket, hidden)
		_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	}
}

// used is what it used so far. The kernel counts a whole process in hundredths of a
// second only, but each thread in nanoseconds.
func (s *server) used() (u used) {
	dir := fmt.Sprintf("/proc/%d", s.cmd.Process.Pid)
	threads, _ := filepath.Glob(dir + "/task/*/schedstat")
	for _, thread := range threads {
		var ns int
		data, _ := os.ReadFile(thread)
		_, _ = fmt.Sscan(string(data), &ns)
		u.micros += ns / 1000
	}
	data, _ := os.ReadFile(dir + "/stat")
	_, fields, _ := strings.Cut(string(data), ") ")
	if f := strings.Fields(fields); len(f) > 9 {
		var minor, major int
		_, _ = fmt.Sscan(f[7]+" "+f[9], &minor, &major)
		u.faults = minor + major
	}
	return u
}

// rest waits until it has done what it does after an answer.
func (s *server) rest() {
	if s == nil {
		return
	}
	for before := s.used(); ; {
		time.Sleep(3 * time.Millisecond)
		now := s.used()
		if now == before {
			return
		}
		before = now
	}
}
