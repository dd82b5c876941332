package clients

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// terminal is where a person types commands: a login in which sshd starts a
// process for each, or one shell.
type terminal interface {
	// Run returns what the command wrote to either output. The error of one that
	// did not succeed has its exit status.
	Run(command string) (string, error)
	Must(t *testing.T, command string) string
}

// shell is one process that runs one command after the other. What moves it
// moves all that it starts later.
type shell struct {
	pid int // in its own PID namespace
	in  io.WriteCloser
	out *bufio.Reader
	// session tells when the process has ended.
	session *ssh.Session
}

// shellError is the exit status of a shell's command.
type shellError struct{ status int }

func (e *shellError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// startShell starts, in a login, a command that reads commands from its standard
// input.
func startShell(t *testing.T, c *sshd.Client, command string) *shell {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("exec " + command + " 2>&1"); err != nil {
		t.Fatal(err)
	}
	return newShell(t, session, in, bufio.NewReader(out))
}

// newShell returns the shell that reads commands from in, and says nothing else.
func newShell(t *testing.T, session *ssh.Session, in io.WriteCloser, out *bufio.Reader) *shell {
	t.Helper()
	s := &shell{in: in, out: out, session: session}
	if _, err := fmt.Sscan(s.Must(t, "echo $$"), &s.pid); err != nil {
		t.Fatal(err)
	}
	return s
}

// statusMark stands before the exit status, after a command's output.
const statusMark = "==exit status=="

// Run runs a command in the shell itself.
func (s *shell) Run(command string) (string, error) {
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null 2>&1; printf '\\n%s %%d\\n' $?\n", command, statusMark); err != nil {
		return "", err
	}
	var said strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			return said.String(), fmt.Errorf("the shell has ended: %w", err)
		}
		at := strings.LastIndex(said.String(), "\n"+statusMark)
		if at < 0 {
			continue
		}
		_, number, _ := strings.Cut(said.String()[at:], statusMark)
		var status int
		if _, err := fmt.Sscan(number, &status); err != nil {
			return said.String(), err
		}
		out := strings.TrimSuffix(said.String()[:at], "\n")
		if status != 0 {
			return out, &shellError{status}
		}
		return out, nil
	}
}

// Must is Run for a command that has to succeed.
func (s *shell) Must(t *testing.T, command string) string {
	t.Helper()
	out, err := s.Run(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// end lets the shell end, and waits for it.
func (s *shell) end(t *testing.T) {
	t.Helper()
	_ = s.in.Close()
	if out, err := io.ReadAll(s.out); err != nil {
		t.Errorf("the shell's end: %v\n%s", err, out)
	}
	_ = s.session.Wait() // its status is its last command's
}
