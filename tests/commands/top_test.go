package commands

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// onPty is a program on a terminal of its own.
type onPty struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	before unix.Termios

	mu  sync.Mutex
	out strings.Builder
}

func startOnPty(t *testing.T, cmd *exec.Cmd) *onPty {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &onPty{t: t, cmd: cmd, master: master}
	p.before = p.termios()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Pdeathsig = true, true, syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(p, master) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = tty.Close() // until here: the terminal must outlive the program, to be looked at
		_ = master.Close()
	})
	return p
}

// Write takes what the program writes.
func (p *onPty) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(data)
}

func (p *onPty) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *onPty) termios() unix.Termios {
	p.t.Helper()
	termios, err := unix.IoctlGetTermios(int(p.master.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *termios
}

func (p *onPty) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until the program has written this after the first so many bytes.
func (p *onPty) await(after int, text string) {
	p.t.Helper()
	for deadline := time.Now().Add(testbed.Patience); !strings.Contains(p.said()[after:], text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			said := p.said()[after:]
			p.t.Fatalf("never %q, at last %q", text, said[max(0, len(said)-2000):])
		}
	}
}

// wait waits for the end, and wants the terminal as it was.
func (p *onPty) wait() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%v: %q", err, p.said())
	}
	p.await(0, "\x1b[?25h\x1b[?1049l") // the cursor, and the first screen
	if p.termios() != p.before {
		p.t.Errorf("the terminal is %+v, was %+v", p.termios(), p.before)
	}
}

func top(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(testbed.Built(t, "cgdeleg"), append([]string{"top"}, args...)...)
	cmd.Env = []string{"TERM=xterm", "LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	return cmd
}

func aSession(t *testing.T, name string, uid int) testbed.User {
	t.Helper()
	testbed.Need(t)
	u := testbed.AddUser(t, name, uid)
	pid, end := process(t, u.UID)
	cgdeleg(t, nil, "open", "-u", name, "-p", fmt.Sprint(pid)).want(t, 0, "")
	t.Cleanup(func() {
		end()
		cgdeleg(t, nil, "cleanup", "-u", name).want(t, 0, "")
	})
	return u
}

// Whatever ends it, the terminal is as it was before.
func TestTopGivesTerminalBack(t *testing.T) {
	u := aSession(t, "cgtopback", 24091)
	for name, finish := range map[string]func(p *onPty) error{
		"q":       func(p *onPty) error { p.press("q"); return nil },
		"^C":      func(p *onPty) error { p.press("\x03"); return nil },
		"SIGTERM": func(p *onPty) error { return p.cmd.Process.Signal(syscall.SIGTERM) },
		"SIGHUP":  func(p *onPty) error { return p.cmd.Process.Signal(syscall.SIGHUP) },
		"SIGQUIT": func(p *onPty) error { return p.cmd.Process.Signal(syscall.SIGQUIT) },
	} {
		t.Run(name, func(t *testing.T) {
			p := startOnPty(t, top(t, "-d", "0.2", u.Name))
			p.await(0, "cgtopback")
			if now := p.termios(); now.Lflag&(unix.ICANON|unix.ECHO) != 0 {
				t.Errorf("keys are not read one by one: %x", now.Lflag)
			}
			if err := finish(p); err != nil {
				t.Fatal(err)
			}
			p.wait()
		})
	}
	t.Run("count", func(t *testing.T) {
		p := startOnPty(t, top(t, "-d", "0.2", "-n", "2", u.Name))
		p.wait()
		testbed.Eventually(t, "the last look stays on the screen", func() bool {
			_, last, _ := strings.Cut(p.said(), "\x1b[?1049l")
			return strings.Contains(last, "cgtopback")
		})
	})
}

// Keys sort, and a smaller window has fewer lines.
func TestTopKeys(t *testing.T) {
	u := aSession(t, "cgtopkeys", 24092)
	p := startOnPty(t, top(t, "-d", "60", "--color", "never", u.Name))
	p.await(0, ", by memory;")
	for _, key := range []struct{ press, want string }{
		{"c", ", by cpu;"}, {"i", ", by io;"}, {"t", ", by tasks;"}, {"r", ", by tasks, reversed;"}, {"r", ", by tasks;"}, {"p", ", by user;"},
		{"o", ", by oom;"}, {"%", "   CPU "}, {"h", "space        look now"}, {" ", ", by oom;"}, {"+", "every 1m1s,"}, {"-", "every 1m0s,"},
	} {
		after := len(p.said())
		p.press(key.press)
		p.await(after, key.want)
	}
	after := len(p.said())
	p.press(" ") // only now are there rates
	p.press("%")
	p.await(after, " 0.0 ")
	after = len(p.said())
	if err := pty.Setsize(p.master, &pty.Winsize{Rows: 2, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p.await(after, "\x1b[J")
	if frame := p.said()[after:]; strings.Count(frame, "\n") != 1 || strings.Contains(frame, "cgtopkeys") || !strings.Contains(frame, "USER/SESSION") {
		t.Errorf("in two lines: %q", frame)
	}
	p.press("q")
	p.wait()
}

// A shell can stop it and go on with it.
func TestTopStops(t *testing.T) {
	u := aSession(t, "cgtopstop", 24093)
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	cmd := exec.Command("bash", "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = []string{"TERM=xterm", "PS1=ready> ", "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	p := startOnPty(t, cmd)
	p.await(0, "ready> ")
	p.press(testbed.Built(t, "cgdeleg") + " top -d 0.2 " + u.Name + "\n")
	p.await(0, "USER/SESSION")
	for range 2 {
		after := len(p.said())
		p.press("\x1a")
		p.await(after, "ready> ")
		if stopped := p.said()[after:]; !strings.Contains(stopped, "\x1b[?25h\x1b[?1049l") {
			t.Errorf("a stop left the screen: %q", stopped)
		}
		after = len(p.said())
		time.Sleep(300 * time.Millisecond) // longer than a pause
		if drawn := p.said()[after:]; drawn != "" {
			t.Errorf("it draws while it is stopped: %q", drawn)
		}
		p.press("fg\n")
		p.await(after, "\x1b[?1049h")
		p.await(after, "USER/SESSION")
	}
	after := len(p.said())
	p.press("q")
	p.await(after, "ready> ")
	p.press("exit\n")
	_ = p.cmd.Wait()
}

// No colour where it is not wanted, and nothing of a terminal in a pipe.
func TestTopPlain(t *testing.T) {
	u := aSession(t, "cgtopplain", 24094)
	r := cgdeleg(t, nil, "top", "-n", "2", "-d", "0.2", u.Name)
	r.want(t, 0, "")
	frames := strings.Split(r.out, "\n\n")
	if len(frames) != 2 || strings.Contains(r.out, "\x1b") || !strings.HasPrefix(frames[1], u.Name) || !strings.Contains(frames[1], " 0.0 ") {
		t.Errorf("got %q", r.out)
	}
	if once := cgdeleg(t, nil, "top").out; strings.Contains(once, "USER/SESSION") || !strings.Contains(once, u.Name) {
		t.Errorf("a pipe is written %q", once)
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		cmd := top(t, "-n", "1", u.Name)
		cmd.Env = append(cmd.Env, env)
		p := startOnPty(t, cmd)
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
		p.await(0, u.Name)
		if said := p.said(); strings.Contains(said, "\x1b[1m") || env == "TERM=dumb" && strings.Contains(said, "\x1b") {
			t.Errorf("%s: %q", env, said)
		}
	}
}

// status --watch draws again what changes, and ends with any key.
func TestStatusWatch(t *testing.T) {
	u := aSession(t, "cgstatuswatch", 24095)
	cmd := top(t)
	cmd.Args = append(cmd.Args[:1], "status", "--watch", "0.2", "-u", u.Name)
	p := startOnPty(t, cmd)
	p.await(0, "0: sleep")
	pid, end := process(t, u.UID)
	cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid)).want(t, 0, "")
	p.await(0, "1: sleep")
	end()
	cgdeleg(t, nil, "cleanup", "-u", u.Name).want(t, 0, "")
	p.press("x")
	p.wait()
}
