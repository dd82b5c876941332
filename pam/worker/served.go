package worker

import (
	"fmt"
	"io"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

// Client is an application that asks a server to do what its worker would.
type Client struct {
	PID      int         // as the kernel vouches for it
	HasEnded func() bool // false also where that cannot be told
	// Reply takes packets of whole lines. It returns an error when the application has
	// given up: then it does not get to know them, and nothing may be done any more.
	Reply io.Writer
	// Enter has the application enter cgroups by itself (delegate.OpenRequest). The error
	// is os.ErrDeadlineExceeded where it does not answer in EnterPatience. Nil if it cannot
	// be asked.
	Enter func(tasks []int) (entered int, err error)
}

// Accepted is the first line of a server's answer (pam/server.h). Without it nothing is
// done.
const Accepted = "accepted\n"

// servedName is what a server is called in the system log.
const servedName = "cgdeleg-serve"

// Answer does what the arguments of a worker say, for an application that asked a server.
// What the application does not get to know has not happened when it returns. Its error
// says what the server could not do; a worker of the application's will do it, or say
// why not.
func Answer(args []string, c Client) error {
	return answer(args, c, surroundings{locks: lock.Default, logSocket: syslogSocket, enter: c.Enter})
}

func answer(args []string, c Client, s surroundings) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	req, err := parseRequest(args)
	switch {
	case err != nil:
		return fmt.Errorf("bad request: %w", err)
	case req.pid != c.PID:
		// also where it has another PID here than where it is
		return fmt.Errorf("process %d asks for process %d", c.PID, req.pid)
	case req.verb == "open", req.verb == "limits":
		return serveOpen(args, c, s)
	case req.verb == "close":
		return serveClose(req, c, s)
	case req.verb == "detached-close":
		return serveDetachedClose(req, c, s)
	}
	return fmt.Errorf("bad request: verb %q", req.verb)
}

// serveOpen opens a session, or says the limits of one. Where that fails, or the application has given up before it
// knew of it, everything is as it was.
func serveOpen(args []string, c Client, s surroundings) error {
	if _, err := io.WriteString(c.Reply, Accepted); err != nil {
		return err
	}
	w := &packets{w: c.Reply}
	status := run(args, w, s)
	if status == 0 && w.result == resultSuccess {
		return nil
	}
	if w.ticket != "" {
		undo := append([]string{}, args...)
		undo[1], undo[7] = "undo", w.ticket
		undone := &packets{w: io.Discard} // its result is nobody's
		run(undo, undone, s)
		w.log += undone.log
	}
	if w.err != nil {
		return fmt.Errorf("the application has given up: %w%s", w.err, w.warnings())
	}
	return fmt.Errorf("no session was opened: %s%s", w.failure, w.warnings())
}

// packets are a reply. A ticket is said at once, the rest in one packet, and
// only if all went well.
type packets struct {
	w       io.Writer
	err     error  // of the first packet that could not be said
	ticket  string // the last one that was said
	log     string
	result  string
	failure string // the last line of the log
}

func (p *packets) Write(data []byte) (int, error) {
	text := string(data)
	if rest, isTicket := strings.CutPrefix(text, "ticket begin\n"); isTicket {
		p.ticket = ""
		for line := range strings.Lines(rest) {
			p.ticket += strings.TrimPrefix(line, "ticket ")
		}
		return len(data), p.say(text)
	}
	if result, isResult := strings.CutPrefix(text, "result "); isResult {
		p.result = strings.TrimSuffix(result, "\n")
		if p.result == resultSuccess {
			return len(data), p.say(p.log + text)
		}
		return len(data), nil
	}
	p.log += text
	p.failure = strings.TrimSpace(strings.TrimPrefix(text, "log error "))
	return len(data), nil
}

// warnings returns what the log has that the application does not get to know, such as that a
// process could not go back to where it was.
func (p *packets) warnings() (all string) {
	for line := range strings.Lines(p.log) {
		if text, isWarning := strings.CutPrefix(line, "log warning "); isWarning {
			all += "; " + strings.TrimSpace(text)
		}
	}
	return all
}

func (p *packets) say(packet string) error {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, packet)
	}
	return p.err
}

// serveClose closes a session for which the application waits. Where it cannot be closed
// nothing was done.
func serveClose(req request, c Client, s surroundings) error {
	if _, err := io.WriteString(c.Reply, Accepted); err != nil {
		return err
	}
	w := &packets{w: c.Reply}
	r := &replier{w: w}
	if err := r.close(req, s, delegate.Close); err != nil {
		return fmt.Errorf("no session was closed: %w", err)
	}
	r.say("result", resultSuccess)
	return nil
}

// serveDetachedClose says at once that the session will be closed, and closes it then.
// The application's lock has what it asks for next wait until it has been moved.
func serveDetachedClose(req request, c Client, s surroundings) error {
	held, err := s.locks.AcquireApplication(c.PID)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c.Reply, Accepted+"result "+resultSuccess+"\n"); err != nil {
		held.Remove()
		held.Release()
		return err
	}
	req.detached, req.application, req.hasEnded = true, held, c.HasEnded
	r := &replier{w: systemLog{socket: s.logSocket, program: servedName, service: req.service}}
	_ = r.close(req, s, delegate.Close) // it is in the log
	return nil
}
