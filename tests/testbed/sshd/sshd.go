// Package sshd runs the real sshd on a free loopback port of this machine,
// with a host key, a configuration and a user key of its own, inside the test
// bed. It uses the PAM service "sshd", which the test writes.
package sshd

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// path is absolute, because sshd executes itself.
const path = "/usr/sbin/sshd"

// Options are what a test wants of its sshd.
type Options struct {
	// Config are lines of sshd_config that go before, and so above, the
	// fixture's own.
	Config []string
}

// Server is a running sshd.
type Server struct {
	Addr string // HOST:PORT
	PID  int    // of the listener

	t      testing.TB
	cmd    *exec.Cmd
	output string // the file with what it says
	user   ssh.Signer
	host   ssh.PublicKey
	dial   sync.Mutex // one login at a time: Login looks for a new child
}

// Start runs sshd for the length of the test. Every user may log in with the
// server's own key, or with what the PAM service takes. The test is skipped
// without sshd.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	testbed.Need(t, path)
	dir := testbed.TempDir(t)
	s := &Server{t: t, output: filepath.Join(dir, "output")}
	hostKey, userKey := newKey(t), newKey(t)
	var err error
	if s.user, err = ssh.NewSignerFromKey(userKey); err != nil {
		t.Fatal(err)
	}
	hostSigner, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	s.host = hostSigner.PublicKey()
	block, err := ssh.MarshalPrivateKey(hostKey, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = freeAddress(t)
	address, port, _ := net.SplitHostPort(s.Addr)
	config := append(slices.Clone(o.Config),
		"ListenAddress "+address, "Port "+port,
		"HostKey "+filepath.Join(dir, "host"),
		"AuthorizedKeysFile "+filepath.Join(dir, "authorized"),
		"StrictModes no", // the folder's parents are anybody's
		"UsePAM yes", "UseDNS no", "PidFile none", "LogLevel VERBOSE", "MaxStartups 100", "PrintMotd no",
	)
	write(t, filepath.Join(dir, "host"), pem.EncodeToMemory(block), 0o600)
	write(t, filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(s.user.PublicKey()), 0o644)
	write(t, filepath.Join(dir, "config"), []byte(strings.Join(config, "\n")+"\n"), 0o644)
	s.start(filepath.Join(dir, "config"))
	return s
}

func (s *Server) start(config string) {
	s.t.Helper()
	out, err := os.Create(s.output)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(path, "-D", "-e", "-f", config)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.PID = s.cmd.Process.Pid
	s.t.Cleanup(s.stop)
	for deadline := time.Now().Add(testbed.Patience); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", s.Addr); err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("sshd does not listen on %s:\n%s", s.Addr, s.Output())
		}
	}
	// the probe's child, so that Login does not take it for its own
	for len(s.children()) > 0 {
		time.Sleep(time.Millisecond)
	}
}

// stop ends the listener and what it started for connections.
func (s *Server) stop() {
	for _, pid := range s.children() {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	for deadline := time.Now().Add(testbed.Patience); len(s.children()) > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	if s.t.Failed() {
		s.t.Logf("sshd:\n%s", s.Output())
	}
}

// Output returns what the server said so far.
func (s *Server) Output() string {
	data, _ := os.ReadFile(s.output)
	return string(data)
}

// children returns the listener's children: a process for each connection,
// which is PAM's application.
func (s *Server) children() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		var pid, parent int
		var state byte
		_, _ = fmt.Sscanf(e.Name(), "%d", &pid)
		_, _ = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent)
		if parent == s.PID {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Client is a login: a connection, and with it one PAM session, in which
// several commands may run, also at once.
type Client struct {
	*ssh.Client
	PID int // of the connection's privileged sshd, PAM's application

	server *Server
	t      testing.TB
}

// Login logs the user in, with the server's key if no method is given. PAM's
// session is open when it returns. The end of the test logs out.
func (s *Server) Login(t testing.TB, user string, methods ...ssh.AuthMethod) *Client {
	t.Helper()
	c, err := s.TryLogin(t, user, methods...)
	if err != nil {
		t.Fatalf("ssh login of %s: %v\n%s", user, err, s.Output())
	}
	return c
}

// TryLogin is Login for a login that may be refused.
func (s *Server) TryLogin(t testing.TB, user string, methods ...ssh.AuthMethod) (*Client, error) {
	t.Helper()
	if len(methods) == 0 {
		methods = []ssh.AuthMethod{ssh.PublicKeys(s.user)}
	}
	s.dial.Lock()
	defer s.dial.Unlock()
	before := s.children()
	connection, err := ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
		User: user, Auth: methods, HostKeyCallback: ssh.FixedHostKey(s.host), Timeout: testbed.Patience,
	})
	if err != nil {
		return nil, err
	}
	c := &Client{Client: connection, server: s, t: t}
	for _, pid := range s.children() {
		if !slices.Contains(before, pid) {
			c.PID = pid
		}
	}
	t.Cleanup(c.Logout)
	// sshd opens PAM's session when the client is already told that it is in,
	// and answers nothing before.
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		return nil, fmt.Errorf("behind the authentication: %w", err)
	}
	return c, nil
}

// Run runs a command line in the user's shell and returns what it wrote to
// either output, without the last newline. An error with the command's exit
// status is an *ssh.ExitError.
func (c *Client) Run(command string) (string, error) {
	session, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	out, err := session.CombinedOutput(command)
	return strings.TrimSuffix(string(out), "\n"), err
}

// Must is Run for a command that has to succeed.
func (c *Client) Must(t *testing.T, command string) string {
	t.Helper()
	out, err := c.Run(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// Logout closes the connection and waits until sshd has closed the session and
// ended. A second one does nothing.
func (c *Client) Logout() {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Logf("logout: %v", err)
	}
	for deadline := time.Now().Add(testbed.Patience); slices.Contains(c.server.children(), c.PID); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Errorf("sshd's process %d outlives its connection", c.PID)
			return
		}
	}
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, file string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, data, mode); err != nil {
		t.Fatal(err)
	}
}

// freeAddress returns a loopback address with a port that is free now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
