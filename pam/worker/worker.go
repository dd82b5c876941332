// Package worker is what runs in the module's short-lived child: it turns the
// request of the C entry points into calls of package delegate, and what comes
// of it into log lines, a ticket for the close and a result.
//
// It is the whole Go side of the module, whether the child was forked from the
// application with the Go runtime inside or is a program of its own, and what
// `cgdeleg serve` does in place of such a child (Answer). It must not know how it was
// started, and it never touches the application but through its PID, and by files that it has it
// write into (pam/enter.h).
package worker

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/messages"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// The results, as module.c knows them.
const (
	resultSuccess     = "success"      // PAM_SUCCESS
	resultFailure     = "failure"      // PAM_SESSION_ERR
	resultUnknownUser = "unknown-user" // PAM_USER_UNKNOWN
)

// request is what the C side passes as arguments (ask_worker in module.c).
type request struct {
	verb     string
	pid      int
	uid, gid int // -1: the user is not known to the system
	user     string
	service  string
	ticket   string
	options  []string
	detached bool // nobody waits, or reads a reply

	// what a detached worker has of the application
	application *lock.Held
	hasEnded    func() bool
}

func parseRequest(args []string) (r request, err error) {
	if len(args) < 8 {
		return r, fmt.Errorf("%d arguments, want at least 8", len(args))
	}
	r = request{verb: args[1], uid: -1, gid: -1, user: args[5], service: args[6], ticket: args[7], options: args[8:]}
	if r.pid, err = strconv.Atoi(args[2]); err != nil {
		return r, err
	}
	if args[3] == "" {
		return r, nil
	}
	uid, err := parseID(args[3])
	gid, err2 := parseID(args[4])
	r.uid, r.gid = uid, gid
	return r, errors.Join(err, err2)
}

// parseID parses a user or group ID. The largest number is none: chown(2) takes
// it for "leave as it is".
func parseID(s string) (int, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err == nil && id == math.MaxUint32 {
		err = fmt.Errorf("%s is no ID", s)
	}
	return int(id), err
}

// Run does what the arguments say, says the reply on the descriptor WORKER_REPLY_FD of
// worker.h and returns the process's exit status.
func Run(args []string) (status int) {
	reply := descriptor(replyFD)
	return run(args, reply, surroundings{locks: lock.Default, logSocket: syslogSocket, enter: reply.enter})
}

// enterFunc has the application enter cgroups by itself (delegate.OpenRequest). The error
// is os.ErrDeadlineExceeded where it does not answer in EnterPatience; then it may enter
// later.
type enterFunc func(tasks []int) (entered int, err error)

// surroundings are where a worker works; tests have others.
type surroundings struct {
	machine   machine.Machine
	locks     lock.Locks
	logSocket string    // to which syslog(3) writes
	enter     enterFunc // nil if the application cannot be asked
}

// syslogSocket is to which syslog(3) writes.
const syslogSocket = "/dev/log"

// detachedName is what a detached worker is called in a list of processes
// (WORKER_DETACHED_NAME of worker.h, for where it is no program of its own).
const detachedName = "cgdeleg-close"

// nameProcess gives a detached worker its name.
func (s surroundings) nameProcess() {
	if !s.machine.IsRecorded() {
		_ = os.WriteFile("/proc/self/comm", []byte(detachedName), 0) // proc(5)
	}
}

// liveFor ends the process after that time, by SIGALRM, whatever it hangs in. The C side has
// set the same alarm until the runtime has started (become_detached_worker in child.c). Where
// the worker is a program of its own, its runtime ignores that signal.
func (s surroundings) liveFor(life time.Duration) {
	if !s.machine.IsRecorded() {
		_, _ = unix.Setitimer(unix.ItimerReal, unix.Itimerval{Value: unix.NsecToTimeval(int64(life))})
	}
}

// application returns what a detached worker was given of the application: its lock, and
// whether it has ended.
func (s surroundings) application(pid int) (held *lock.Held, hasEnded func() bool) {
	if s.machine.IsRecorded() {
		return nil, nil
	}
	return s.locks.InheritApplication(pid, lockFD), func() bool { return HasEnded(applicationFD) }
}

// HasEnded tells whether the process of a pidfd has ended, whichever has its PID then: the
// pidfd can be read when it has (pidfd_open(2)). Before Linux 5.3 there is no such
// descriptor: one in its place (child.c), or none (-1), never says so.
func HasEnded(pidfd int) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1 && poll[0].Revents&unix.POLLIN != 0
}

func run(args []string, w io.Writer, s surroundings) (status int) {
	r := &replier{w: w}
	defer func() {
		// without a result the module takes the worker for dead, and has another
		// one undo what this one did
		if p := recover(); p != nil {
			r.log("error", "internal error: %v", p)
			status = 1
		}
	}()
	req, err := parseRequest(args)
	result := resultFailure
	switch {
	case err != nil:
		r.log("error", "bad request from the module: %v", err)
	case req.verb == "open":
		result = r.open(req, s)
	case req.verb == "limits":
		result = r.prepareLimits(req, s)
	case req.verb == "close":
		_ = r.close(req, s, delegate.Close)
		result = resultSuccess // a session ends, whatever is left of it
	case req.verb == "detached-close":
		s.nameProcess()
		s.liveFor(detachedLife)
		r.w = systemLog{socket: s.logSocket, program: detachedName, service: req.service}
		req.detached = true
		req.application, req.hasEnded = s.application(req.pid)
		_ = r.close(req, s, delegate.Close)
		return 0
	case req.verb == "undo":
		isLeft := false
		err := r.close(req, s, func(c delegate.CloseRequest) (*delegate.Closed, error) {
			closed, err := delegate.Undo(c)
			isLeft = err == nil && closed.Left != nil
			return closed, err
		})
		if err == nil && !isLeft { // else the close tries once more
			result = resultSuccess
		}
	default:
		r.log("error", "bad request from the module: verb %q", req.verb)
	}
	// else another undoes it: also where one line could not be said, whichever that was
	if !r.failed && !r.unheard && (!r.isLate || result == resultSuccess) {
		r.say("result", result)
	} else {
		r.failed = true
	}
	if r.failed {
		return 1
	}
	return 0
}

// replier writes the reply, line by line.
type replier struct {
	w       io.Writer
	failed  bool // a line could not be written
	unheard bool // the application did not say whether it has entered, and listens no more
	isLate  bool // it has not said so yet, and may still enter
	debug   bool
}

func (r *replier) say(verb, text string) {
	if _, err := io.WriteString(r.w, verb+" "+text+"\n"); err != nil {
		r.failed = true
	}
}

func (r *replier) log(level, format string, args ...any) {
	if level == "debug" && !r.debug {
		return
	}
	r.say("log", level+" "+oneLine(fmt.Sprintf(format, args...)))
}

// oneLine escapes what could break or forge a line of the log.
func oneLine(s string) string {
	var out strings.Builder
	for _, c := range s {
		if unicode.IsPrint(c) {
			out.WriteRune(c)
		} else {
			quoted := strconv.QuoteRune(c)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return out.String()
}

// removalInOpen bounds how long a login waits while dead sessions are removed. The next
// one goes on with it.
const removalInOpen = 250 * time.Millisecond

func (r *replier) open(req request, s surroundings) (result string) {
	o, complaints, err := options.Parse(req.options)
	r.debug = o.Debug
	for _, c := range complaints {
		r.log("warning", "%s", c)
	}
	if err != nil {
		r.log("error", "%v; this session has no cgroups of its own", err)
		return resultFailure
	}
	if _, err := layout.DirName(req.user); err != nil {
		r.log("error", "%v; this session has no cgroups of its own", err)
		return resultFailure
	}
	if req.uid < 0 {
		r.log("error", "user %q is not known to the system; this session has no cgroups of its own", req.user)
		return resultUnknownUser
	}
	s.locks.Patience = min(s.locks.Patience, o.Timeout/4)
	opened, err := delegate.Open(delegate.OpenRequest{
		Login: delegate.Login{
			PID: req.pid, User: req.user, UID: req.uid, GID: req.gid, Controllers: o.Controllers, Policy: o.Policy,
		},
		FindLimits:    r.findingLimits(req, s, o),
		RequireLimits: o.RequireLimits,
		Machine:       s.machine, Locks: s.locks, Deadline: time.Now().Add(min(o.Timeout/2, removalInOpen)), Announce: r.sayTicket, Enter: r.entering(s.enter),
	})
	var rollback *delegate.RollbackError
	if errors.As(err, &rollback) {
		r.reportStrayed(req, rollback.Strayed)
		r.failed = r.failed || rollback.Left != nil // there is no result then, and another one undoes the rest
	}
	switch {
	case err != nil && o.RequireLimits:
		r.log("error", "user %q: %v; this session is refused", req.user, err)
		return resultFailure
	case err != nil:
		r.log("error", "user %q: %v; this session has no cgroups of its own", req.user, err)
		return resultFailure
	}
	if opened.LeftNothing() {
		r.say("ticket", "begin") // and nothing in it
	}
	if name := opened.Name(); name != "" {
		r.say("session", oneLine(name))
	}
	r.report(req, opened)
	return resultSuccess
}

func (r *replier) report(req request, opened *delegate.Opened) {
	for _, text := range messages.Opened(opened) {
		r.log("warning", "user %q: %s", req.user, text)
	}
	for _, note := range opened.Notes {
		r.log("debug", "user %q: %s", req.user, messages.Note(note))
	}
	if names := opened.AdoptedNames(); len(names) > 0 {
		r.log("debug", "user %q: session scope delegated in %s", req.user, strings.Join(names, " "))
	}
	if names := opened.HierarchyNames(); len(names) > 0 {
		r.log("debug", "user %q: session %d opened by %q in %s", req.user, opened.Ticket.Session.Number, req.service, strings.Join(names, " "))
	}
}

// reportStrayed says why the process is not back in the cgroups from which it came, if it is not.
func (r *replier) reportStrayed(req request, strayed error) {
	if strayed != nil {
		r.log("warning", "user %q: process %d left its session, and its limits: %v", req.user, req.pid, strayed)
	}
}

// errUnheard says that the module does not hear the worker any more.
var errUnheard = errors.New("the application does not read the reply")

// sayTicket tells the module how to undo what is about to happen. What it does not
// hear must not happen.
func (r *replier) sayTicket(t *ticket.Ticket) error {
	text, err := t.MarshalText()
	if err != nil {
		return err
	}
	// at once: the less is half said when a worker is killed
	reply := "ticket begin\n"
	for line := range strings.Lines(string(text)) {
		reply += "ticket " + line
	}
	if _, err := io.WriteString(r.w, reply); err != nil {
		r.failed = true
		return errUnheard
	}
	return nil
}

// entering is enter, nil if that is. An application that does not answer in time, because
// it is stopped, keeps nobody waiting: it is moved, and what it writes later moves it to
// where it is. But if the move fails, it may enter after all was taken back, and nothing
// must be said of the open: it is undone when the application has given up.
func (r *replier) entering(enter enterFunc) func([]int) (int, error) {
	if enter == nil {
		return nil
	}
	return func(tasks []int) (int, error) {
		if r.isLate { // its answer would be to what it was asked before
			return 0, nil
		}
		entered, err := enter(tasks)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.isLate, err = true, nil
		case err != nil:
			r.unheard = true
		}
		return entered, err
	}
}

// Where a detached worker has the application's lock, and what can be read when the
// application has ended (WORKER_LOCK_FD and WORKER_APPLICATION_FD of worker.h).
const (
	lockFD        = 4
	applicationFD = 5
)

// detachedTimeout bounds how long a detached worker removes what the user made.
const detachedTimeout = time.Minute

// detachedLife is how long a detached worker can live: longer than it can have to do.
const detachedLife = detachedTimeout + 15*time.Second

// close ends a session in the given way: it is closed, or undone. Its error, of which the
// log tells, says why nothing was done; what is left of a session is none.
func (r *replier) close(req request, s surroundings, end func(delegate.CloseRequest) (*delegate.Closed, error)) error {
	o, _, _ := options.Parse(req.options) // the open complained
	r.debug = o.Debug
	if _, err := layout.DirName(req.user); err != nil {
		return nil // so there was nothing opened
	}
	s.locks.Patience = min(s.locks.Patience, o.Timeout/4)
	request := delegate.CloseRequest{
		Machine: s.machine, PID: req.pid, User: req.user, Ticket: parseTicket(req.ticket), Locks: s.locks,
		Deadline: time.Now().Add(o.Timeout / 2),
	}
	if req.detached {
		request.Detached, request.Deadline = true, time.Now().Add(detachedTimeout)
		request.Application, request.HasEnded = req.application, req.hasEnded
	}
	closed, err := end(request)
	if err != nil {
		r.log("warning", "user %q: session not closed: %v", req.user, err)
		return err
	}
	r.reportStrayed(req, closed.Strayed)
	if closed.Session == "" && closed.Left == nil {
		r.log("debug", "user %q: process %d is in no session", req.user, req.pid)
		return nil
	}
	if closed.Session == "" {
		r.log("warning", "user %q: what was begun is left for a later cleanup: %v", req.user, closed.Left)
		return nil
	}
	level := "debug"
	text, isFault := messages.Closed(closed.Session, closed.Left)
	if isFault || req.verb == "undo" && closed.Left != nil { // nobody is to be in what is undone, nor to lack a right
		level = "warning"
	}
	r.log(level, "user %q: %s", req.user, text)
	return nil
}

// parseTicket returns nil where there is no ticket, or none that can be used: the
// close then goes by the process alone.
func parseTicket(text string) *ticket.Ticket {
	var t ticket.Ticket
	if text == "" || t.UnmarshalText([]byte(text)) != nil {
		return nil
	}
	return &t
}
