// Package terminal is a terminal on which a program draws again and again, and which it
// gives back as it was, whatever ends or stops the program. It knows nothing of what is
// drawn.
package terminal

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Event is what a terminal waited for.
type Event int

// The events.
const (
	Timeout Event = iota // nothing happened
	Key                  // a key was pressed
	Redraw               // the window has another size, or the program went on after a stop
	End                  // a signal wants the program to end, or the terminal is gone
)

// Terminal is one from which keys are read one by one, without echo.
type Terminal struct {
	in, out *os.File
	before  unix.Termios
	keys    chan byte
	signals chan os.Signal
	ended   context.CancelFunc
}

// The sequences of ECMA-48 and xterm(1) that draw on a second screen, without a cursor and
// without wrapping lines, and that go back to the first.
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Open takes a terminal. Close gives it back. Errors are ENOTTY if one of the files is none,
// and those of tcsetattr(3).
func Open(in, out *os.File) (*Terminal, error) {
	t := &Terminal{in: in, out: out, keys: make(chan byte), signals: make(chan os.Signal, 8)}
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err == nil {
		_, err = unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	}
	if err != nil {
		return nil, err
	}
	t.before = *before
	// before the first change: a signal must not find the terminal half taken
	signal.Notify(t.signals, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	if err := t.take(); err != nil {
		t.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.ended = cancel
	go t.readKeys(ctx)
	return t, nil
}

// take sets the terminal. ^C and ^Z stay signals.
func (t *Terminal) take() error {
	raw := t.before
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &raw); err != nil {
		return err
	}
	_, err := io.WriteString(t.out, enter)
	return err
}

func (t *Terminal) giveBack() {
	_, _ = io.WriteString(t.out, leave)
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &t.before)
}

// Close gives the terminal back.
func (t *Terminal) Close() {
	t.giveBack()
	signal.Stop(t.signals)
	if t.ended != nil {
		t.ended()
	}
}

// readKeys hands on keys until there are none any more.
func (t *Terminal) readKeys(ctx context.Context) {
	defer close(t.keys)
	buffer := make([]byte, 1)
	for {
		if n, err := t.in.Read(buffer); n == 0 || err != nil {
			return
		}
		select {
		case t.keys <- buffer[0]:
		case <-ctx.Done():
			return
		}
	}
}

// Wait waits for what comes first, no longer than until the moment.
func (t *Terminal) Wait(until time.Time) (event Event, key byte) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return Timeout, 0
	case key, ok := <-t.keys:
		if !ok {
			return End, 0
		}
		return Key, key
	case s := <-t.signals:
		switch s {
		case unix.SIGWINCH:
			return Redraw, 0
		case unix.SIGTSTP:
			return t.stop(), 0
		case unix.SIGCONT: // who stopped us by SIGSTOP may have set the terminal
			_ = t.take()
			return Redraw, 0
		}
		return End, 0
	}
}

// stop gives the terminal back, stops the process as SIGTSTP does where nobody catches it,
// and takes the terminal when the process goes on. It is stopped by SIGSTOP: Go keeps its
// handler of a signal that was caught once (golang/go#24467).
func (t *Terminal) stop() Event {
	if isOrphaned() {
		return Redraw
	}
	t.giveBack()
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	// a signal for the process itself may reach it on another thread, a moment later; it
	// has been stopped when SIGCONT comes
	for s := range t.signals {
		switch s {
		case unix.SIGWINCH, unix.SIGTSTP:
			continue
		case unix.SIGCONT:
			_ = t.take()
			return Redraw
		}
		return End // the terminal is as it was
	}
	return End
}

// maxParents bounds the way to the shell: sudo(8) and the like are in the program's group.
const maxParents = 16

// isOrphaned tells whether no shell could go on with a stopped process: then the kernel
// ignores SIGTSTP (setpgid(2)). A group has a shell if the parent of one of its processes
// is in another group of the same session.
func isOrphaned() bool {
	group := unix.Getpgrp()
	session, err := unix.Getsid(0)
	pid := unix.Getppid()
	for range maxParents {
		if pid == 0 || err != nil { // 0: in another PID namespace
			return true
		}
		var itsGroup, itsSession int
		if itsGroup, err = unix.Getpgid(pid); err != nil {
			return true
		}
		if itsGroup != group {
			itsSession, err = unix.Getsid(pid)
			return err != nil || itsSession != session
		}
		var parent machine.Process
		parent, err = machine.Machine{}.Process(pid)
		pid = parent.Parent
	}
	return true
}

// Size returns how many columns and lines the terminal has; 80 and 24 if it does not tell.
func (t *Terminal) Size() (columns, lines int) {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// Draw shows a text from the first line on, as far as there are lines.
func (t *Terminal) Draw(text string) error {
	_, height := t.Size()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > height {
		lines = lines[:height]
	}
	// each line's rest is cleared, not the screen before: that would flicker
	_, err := fmt.Fprintf(t.out, "\x1b[H%s\x1b[K\x1b[J", strings.Join(lines, "\x1b[K\r\n"))
	return err
}
