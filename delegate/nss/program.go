package nss

import (
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// program is id(1).
type program struct {
	places []string // where it may be
	path   string   // where it is
}

// find returns the first place where there is a program.
func (p program) find() string {
	for _, place := range p.places {
		if unix.Access(place, unix.X_OK) == nil {
			return place
		}
	}
	return ""
}

// answer is what a program printed before it ended. How it ended is not told: id(1) fails
// where a group has no name, and has printed all by then.
type answer struct {
	out string
	err error
}

// most bounds an answer: some thousand groups with long names (NGROUPS_MAX is 65536).
const most = 4 << 20

// grace is how long a program may take to end when it was killed. One that waits for a
// dead file server in the kernel does not end; nobody waits for it.
const grace = 100 * time.Millisecond

// start runs the program and promises its answer, at the deadline at the latest, but for the
// grace.
func (p program) start(deadline time.Time, args ...string) <-chan answer {
	promised := make(chan answer, 1)
	go func() { promised <- p.run(deadline, args) }()
	return promised
}

func (p program) run(deadline time.Time, args []string) answer {
	if !time.Now().Before(deadline) {
		return answer{err: ErrTimeout}
	}
	from, to, err := os.Pipe()
	if err != nil {
		return answer{err: err}
	}
	defer from.Close()
	child := &child{started: make(chan error, 1), ended: make(chan struct{})}
	go child.live(p.path, args, to)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case err := <-child.started:
		if err != nil {
			return answer{err: err}
		}
	case <-timer.C: // an exec can wait for a file server, too
		return answer{err: ErrTimeout}
	}
	out, err := readUntil(from, deadline)
	if err == nil {
		select {
		case <-child.ended:
			return answer{out: out}
		case <-timer.C: // it has closed the pipe, and goes on
			err = ErrTimeout
		}
	}
	child.kill()
	return answer{err: err}
}

// readUntil returns what comes out of a pipe until it ends.
func readUntil(pipe *os.File, deadline time.Time) (string, error) {
	if err := pipe.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(pipe, most+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", ErrTimeout
	case err == nil && len(data) > most:
		return "", &machine.TooLargeError{Most: most - 1}
	}
	return string(data), err
}

// child is a program that runs.
type child struct {
	process *os.Process
	started chan error
	ended   chan struct{}
}

// live starts the program and waits for its end, both on one thread: the kernel kills the
// child when the thread ends that made it (PR_SET_PDEATHSIG, prctl(2)), and Go ends threads.
func (c *child) live(path string, args []string, to *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.ended)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		c.process, err = os.StartProcess(path, append([]string{"id"}, args...), &os.ProcAttr{
			Dir:   "/",
			Env:   []string{"PATH=/usr/bin:/bin", "LC_ALL=C"},
			Files: []*os.File{null, to, null},
			Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		})
		null.Close()
	}
	to.Close()
	c.started <- err
	if err == nil {
		_, _ = c.process.Wait()
	}
}

// kill ends the child, and waits for that, but not for long.
func (c *child) kill() {
	_ = c.process.Kill() // it has ended, if that fails
	select {
	case <-c.ended:
	case <-time.After(grace):
	}
}
