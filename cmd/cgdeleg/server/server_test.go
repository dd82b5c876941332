package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serving is a server on a socket of its own, and what it complains of.
func serving(t *testing.T) (path string, complaints chan string, end func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "serve.sock")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	complaints = make(chan string, 100)
	s.Complain = func(err error) { complaints <- err.Error() }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	end = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return path, complaints, end
}

// What is no request gets no answer, and the server says why.
func TestRequests(t *testing.T) {
	path, complaints, end := serving(t)
	defer end()
	pid := os.Getpid()
	for _, test := range []struct{ name, packet, complaint string }{
		{"another protocol", "cgdeleg-1\x00open\x00", fmt.Sprintf(`process %d: protocol "cgdeleg-1" is not known`, pid)},
		{"no end", protocol + "\x00open", fmt.Sprintf("process %d: not a request: 14 bytes", pid)},
		{"too long", protocol + "\x00" + strings.Repeat("x", requestMax) + "\x00", fmt.Sprintf("process %d: not a request: %d bytes", pid, requestMax+1)},
		{"too few words", protocol + "\x00open\x00", fmt.Sprintf("process %d is left to a worker: bad request: 2 arguments, want at least 8", pid)},
		{"another process", protocol + "\x00open\x001\x000\x000\x00root\x00su\x00\x00", fmt.Sprintf("process %d is left to a worker: process %d asks for process 1", pid, pid)},
		{"a verb of workers alone", protocol + fmt.Sprintf("\x00undo\x00%d\x000\x000\x00root\x00su\x00\x00", pid), fmt.Sprintf(`process %d is left to a worker: bad request: verb "undo"`, pid)},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("unixpacket", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(test.packet)); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 100)); n != 0 || err == nil {
				t.Errorf("it answers %d bytes, %v", n, err)
			}
			if got := <-complaints; got != test.complaint {
				t.Errorf("it complains\n%s, want\n%s", got, test.complaint)
			}
		})
	}
}

// Any packet is a request or none: its words are what stands between its zero bytes.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"", "\x00", protocol + "\x00", protocol + "\x00open\x007\x000\x000\x00root\x00su\x00\x00debug\x00", "cgdeleg-1\x00open\x00", protocol + "\x00open", "x" + protocol + "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		args, err := parseRequest(packet)
		switch {
		case err != nil && args != nil:
			t.Errorf("%q, %v of %q", args, err, packet)
		case err == nil && (args[0] != protocol || strings.Join(args, "\x00")+"\x00" != string(packet) || len(packet) > requestMax):
			t.Errorf("%q of %q", args, packet)
		}
	})
}

// There is one server on a socket, which is root's alone and is gone with it. What one
// left behind that was killed is in nobody's way.
func TestListen(t *testing.T) {
	path, _, end := serving(t)
	if _, err := Listen(path); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	end()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left")
	}
	for _, left := range []string{path, path + ".new"} {
		if err := os.WriteFile(left, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := Listen(filepath.Join(path, "x/y")); err == nil {
		t.Error("it listens where there is no directory")
	}
}

// Who has too many to answer hangs up at once.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "serve.sock")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s.answering.Store(requestsMax)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	_ = conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestInherit(t *testing.T) {
	for _, test := range []struct{ name, pid, fds, err string }{
		{"not started by systemd", "", "", ""},
		{"another process was", "1", "1", ""},
		{"two sockets", fmt.Sprint(os.Getpid()), "2", "systemd passed 2 sockets, not one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("LISTEN_PID", test.pid)
			t.Setenv("LISTEN_FDS", test.fds)
			s, err := Inherit()
			if s != nil || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

// A process may come to its end, and another have its PID.
func TestHasEnded(t *testing.T) {
	path, _, end := serving(t)
	defer end()
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	who, err := identify(conn.(*net.UnixConn)) // the server itself, which is this process
	if err != nil {
		t.Fatal(err)
	}
	defer who.close()
	if who.pid != os.Getpid() || who.hasEnded() {
		t.Errorf("%+v, ended %v", who, who.hasEnded())
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if (&peer{pid: ended.Process.Pid, pidfd: -1}).hasEnded() {
		t.Error("without a pidfd it cannot be told")
	}
}

func TestAdmit(t *testing.T) {
	self, err := namespacesOf("self")
	if err != nil {
		t.Fatal(err)
	}
	other := func(change func(*namespaces)) namespaces {
		n := self
		change(&n)
		return n
	}
	for _, test := range []struct {
		name  string
		house house
		pid   int
		err   string
	}{
		{"here", house{self, 0}, os.Getpid(), ""},
		{"a server in a mount namespace of its own", house{other(func(n *namespaces) { n.mount++ }), self.mount}, os.Getpid(), ""},
		{"another mount namespace", house{other(func(n *namespaces) { n.mount++ }), self.mount + 1}, os.Getpid(), "is in another mount namespace"},
		{"another PID namespace", house{other(func(n *namespaces) { n.pid++ }), self.mount}, os.Getpid(), "is in another PID or cgroup namespace"},
		{"another cgroup namespace", house{other(func(n *namespaces) { n.cgroup++ }), self.mount}, os.Getpid(), "is in another PID or cgroup namespace"},
		{"no process", house{self, 0}, 1 << 30, "no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.house.admit(test.pid)
			if (err == nil) != (test.err == "") || err != nil && !strings.HasSuffix(err.Error(), test.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The module asks where the server listens, and in its words.
func TestTheSameInC(t *testing.T) {
	header, err := os.ReadFile("../../../pam/server.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("#define SERVER_SOCKET %q ", Socket),
		fmt.Sprintf("#define SERVER_PROTOCOL %q\n", protocol),
		fmt.Sprintf("#define SERVER_REQUEST_MAX (%d * 1024)\n", requestMax>>10),
	} {
		if !strings.Contains(string(header), line) {
			t.Errorf("server.h has no %q", line)
		}
	}
}
