package testbed

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ServeSocket is where the module asks `cgdeleg serve`.
const ServeSocket = "/run/cgdeleg/serve.sock"

// Server is a running `cgdeleg serve`. It removes every user's dead sessions, so its
// tests are in a package with MainUndisturbing.
type Server struct {
	t      testing.TB
	Cmd    *exec.Cmd
	said   saying
	waited sync.Once
}

// saying is what a program has said so far.
type saying struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *saying) Write(data []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(data)
}

func (s *saying) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

// Serve starts the server, by another program if need be, and waits until it can be
// asked.
func Serve(t testing.TB, under ...string) *Server {
	t.Helper()
	return ServeWith(t, nil, under...)
}

// ServeWith is Serve with options.
func ServeWith(t testing.TB, options []string, under ...string) *Server {
	t.Helper()
	args := slices.Concat(under, []string{Built(t, "cgdeleg"), "serve"}, options)
	s := &Server{t: t, Cmd: exec.Command(args[0], args[1:]...)}
	s.Cmd.Stdout, s.Cmd.Stderr = &s.said, &s.said
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.End(unix.SIGCONT, unix.SIGTERM) })
	for range 1000 {
		if conn, err := net.Dial("unixpacket", ServeSocket); err == nil {
			_ = conn.Close()
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("cgdeleg serve cannot be asked; it said\n%s", s.Said())
	return nil
}

// Said returns what it wrote.
func (s *Server) Said() string { return strings.TrimSpace(s.said.String()) }

// End sends it signals and waits for its end, once. Where they did not remove the socket
// it is removed.
func (s *Server) End(signals ...syscall.Signal) {
	s.t.Helper()
	s.waited.Do(func() {
		for _, signal := range signals {
			_ = s.Cmd.Process.Signal(signal)
		}
		kill := time.AfterFunc(5*time.Second, func() { _ = s.Cmd.Process.Kill() }) // unshare, say, waits
		_ = s.Cmd.Wait()
		kill.Stop()
		_ = os.Remove(ServeSocket)
	})
}
