package logins

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// terminal is an application on a pseudo-terminal of its own, with the test at
// the keyboard.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	ctx    context.Context
	master *os.File
	ended  chan struct{} // closed when the application has ended and all is read

	mu     sync.Mutex
	output strings.Builder
	seen   int // what awaited texts have consumed
}

// onTerminal starts an application as the leader of a session with a controlling
// terminal.
func onTerminal(t *testing.T, by testbed.User, args ...string) *terminal {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	c := &terminal{t: t, ctx: ctx, cmd: command(ctx, by, args...), ended: make(chan struct{})}
	var err error
	if c.master, err = pty.Start(c.cmd); err != nil {
		cancel()
		t.Fatalf("%q: %v", args, err)
	}
	waited := make(chan struct{})
	go func() {
		_ = c.cmd.Wait()
		close(waited)
	}()
	go c.read(waited)
	t.Cleanup(func() {
		cancel()
		<-c.ended
	})
	return c
}

// read gathers the output until the application has ended. EIO says that nobody
// has the terminal open just now: login hangs it up and opens it again.
func (c *terminal) read(waited <-chan struct{}) {
	defer close(c.ended)
	defer c.master.Close()
	buf := make([]byte, 4096)
	for over := false; ; {
		_ = c.master.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := c.master.Read(buf)
		c.mu.Lock()
		c.output.Write(buf[:n])
		c.mu.Unlock()
		if err == nil {
			continue
		}
		if over {
			return
		}
		select {
		case <-waited:
			over = true // once more, for what was written meanwhile
		case <-time.After(time.Millisecond):
		}
	}
}

// text returns what was written and not yet awaited.
func (c *terminal) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()[c.seen:]
}

// await waits until the output matches the expression, and returns it up to
// there.
func (c *terminal) await(expression string) string {
	c.t.Helper()
	re := regexp.MustCompile(expression)
	for {
		text := c.text()
		if at := re.FindStringIndex(text); at != nil {
			c.mu.Lock()
			c.seen += at[1]
			c.mu.Unlock()
			return text[:at[1]]
		}
		select {
		case <-c.ended:
			if re.FindStringIndex(c.text()) == nil {
				c.t.Fatalf("%q ended (%s) before it wrote %q:\n%s", c.cmd.Args, c.cmd.ProcessState, expression, text)
			}
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// enter types a line.
func (c *terminal) enter(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, line+"\n"); err != nil {
		c.t.Fatalf("typing %q: %v", line, err)
	}
}

// finish waits for the application's end and returns the rest of its output.
func (c *terminal) finish() string {
	c.t.Helper()
	if err := c.outcome(); err != nil {
		c.t.Fatalf("%q: %v", c.cmd.Args, err)
	}
	return c.text()
}

// outcome waits for the application's end and says what was wrong with it.
func (c *terminal) outcome() error {
	<-c.ended
	if c.ctx.Err() != nil {
		return fmt.Errorf("hung, and was killed after %v; it wrote:\n%s", testbed.Patience, c.text())
	}
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("%s; it wrote:\n%s", c.cmd.ProcessState, c.text())
	}
	return nil
}
