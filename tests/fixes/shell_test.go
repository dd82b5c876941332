package fixes

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// shell is one of the user's on a machine, which runs one command after the other.
type shell struct {
	m   *machine
	pid int // in the machine
	in  *os.File
	out *bufio.Reader
	raw *os.File
}

// Ways to a shell, as root's first shell starts them. outside is no line of its: the test
// enters the machine.
const (
	bySu       = "su $name -c 'exec sh'"
	bySSH      = "ssh -T -F $dir/ssh/client $name@localhost exec sh"
	withoutPAM = "setpriv --reuid $uid --regid $uid --clear-groups sh"
	outside    = "outside"
)

// statusMark stands before the exit status, after a command's output.
const statusMark = "==exit status=="

// login starts a shell by one of the ways.
func (m *machine) login(way string) *shell {
	m.t.Helper()
	m.shells++
	in, out := fmt.Sprintf("in%d", m.shells), fmt.Sprintf("out%d", m.shells)
	for _, name := range []string{in, out} {
		if err := unix.Mkfifo(m.inside(name), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	s := &shell{m: m, in: m.open(in), raw: m.open(out)}
	s.out = bufio.NewReader(s.raw)
	streams := fmt.Sprintf("<$dir/%s >$dir/%s 2>&1 &", in, out)
	if way == outside {
		if text, err := m.run("(" + withoutPAM + ") " + streams); err != nil {
			m.t.Fatalf("%v: %s", err, text)
		}
	} else if _, err := fmt.Fprintln(m.lines, way, streams); err != nil {
		m.t.Fatal(err)
	}
	var err error
	if s.pid, err = strconv.Atoi(s.must("echo $$")); err != nil {
		m.t.Fatalf("no shell by %q: %v", way, err)
	}
	return s
}

// open opens a FIFO of the machine's, of which the other end may not be open yet.
func (m *machine) open(name string) *os.File {
	m.t.Helper()
	file, err := os.OpenFile(m.inside(name), os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = file.Close() })
	return file
}

// run types a command and returns what it said, with an error for an exit status that is
// not 0. The command reads what is typed next, as one that starts another shell does.
func (s *shell) run(command string) (string, error) {
	if _, err := fmt.Fprintf(s.in, "{ %s\n} 2>&1\n", command); err != nil {
		return "", err
	}
	if strings.HasPrefix(command, "ssh ") {
		s.awaitSSH() // or the shell reads what is for the other one
	}
	if _, err := fmt.Fprintf(s.in, "printf '\\n%s %%d\\n' $?\n", statusMark); err != nil {
		return "", err
	}
	_ = s.raw.SetReadDeadline(time.Now().Add(testbed.Patience))
	var said strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return said.String(), fmt.Errorf("the shell says nothing more: %w", err)
		}
		status, isEnd := strings.CutPrefix(line, statusMark+" ")
		if !isEnd {
			said.WriteString(line)
			continue
		}
		out := strings.TrimSpace(said.String())
		if status = strings.TrimSpace(status); status != "0" {
			return out, fmt.Errorf("exit status %s", status)
		}
		return out, nil
	}
}

// awaitSSH waits until the shell waits for ssh.
func (s *shell) awaitSSH() {
	s.m.t.Helper()
	testbed.Eventually(s.m.t, "ssh runs", func() bool {
		out, err := s.m.run("pgrep -x ssh && sleep 0.1")
		return err == nil && out != ""
	})
}

// must is run for a command that has to succeed.
func (s *shell) must(command string) string {
	s.m.t.Helper()
	out, err := s.run(command)
	if err != nil {
		s.m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// logout ends the shell, and waits for the end of the program that started it.
func (s *shell) logout() {
	s.m.t.Helper()
	_, _ = fmt.Fprintln(s.in, "exit; exit")
	file := fmt.Sprintf("/proc/%d/root/proc/%d", s.m.first(), s.pid)
	testbed.Eventually(s.m.t, "the shell has ended", func() bool {
		status, err := os.ReadFile(file + "/stat")
		return err != nil || strings.Contains(string(status), ") Z ")
	})
}
