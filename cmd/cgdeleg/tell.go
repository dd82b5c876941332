package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/oom"
	"github.com/cgdeleg/pam_cgdeleg/delegate/terminal"
	"github.com/cgdeleg/pam_cgdeleg/delegate/told"
)

// Whom to tell of processes that the kernel killed for want of memory, and of refused
// forks: the values of --oom.
const (
	tellAll   = "tell"  // the log, the user's terminals, and the user at the next login
	tellLog   = "log"   // the log
	tellQuiet = "quiet" // nobody
)

var tells = []string{tellAll, tellLog, tellQuiet}

func checkTell(value string) error {
	if !slices.Contains(tells, value) {
		return noneOf("--oom", value, tells)
	}
	return nil
}

// tellPause is how long nothing more is said of a user and a limit. What happens
// meanwhile is counted.
const tellPause = 10 * time.Second

// teller tells of events.
type teller struct {
	machine   machine.Machine
	out       io.Writer
	json      bool
	users     bool // tell them too
	notes     told.Notes
	terminals func(uids ...int) []terminal.Terminal
	write     func(t terminal.Terminal, text string)
	complain  func(error)
	now       func() time.Time
	names     map[int]string // by user ID
	logError  error          // why it is not known who was killed; nil: it is
	recent    map[limitKey]*recent
}

// limitKey is what is said no more than once in tellPause: a user and a limit. All limits
// that a user set below a session are one, as there may be any number.
type limitKey struct {
	user  string
	uid   int
	kind  oom.Kind
	limit string
}

// recent is what happened since something was said of a limit.
type recent struct {
	until time.Time
	more  int64
	last  oom.Event
}

func newTeller(l *watchLog, users bool) *teller {
	var m machine.Machine
	slots := make(chan struct{}, 16)
	return &teller{
		machine: m, out: l.out, json: l.json, users: users, notes: told.Notes{Dir: told.Default.Dir, IsMinor: isOfForks}, now: time.Now, complain: l.once(),
		terminals: func(uids ...int) []terminal.Terminal { return terminal.Find(m, uids...) },
		write: func(t terminal.Terminal, text string) {
			select {
			case slots <- struct{}{}: // the last close of a serial line may wait for it
				go func() {
					defer func() { <-slots }()
					_ = t.Write(text) // nobody is there, or the terminal is stopped
				}()
			default:
			}
		},
	}
}

// tell tells of what happens until the context ends. Where the kernel cannot be watched it
// complains, and nobody is told. Its error is that standard output cannot be written.
func (t *teller) tell(ctx context.Context) error {
	w, err := oom.NewWatch(t.machine)
	if err != nil {
		t.complain(fmt.Errorf("users are not told why their processes are killed: %w", err))
		return nil
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	t.logError = w.LogError
	for {
		events, mustPoll, err := w.Look()
		if ctx.Err() != nil {
			return nil
		}
		pause := idlePause
		if err != nil {
			t.complain(err)
		}
		if mustPoll || err != nil {
			pause = pollPause
		}
		if err := t.take(events); err != nil {
			return err
		}
		if t.users && t.settle() {
			pause = min(pause, pollPause/2)
		}
		if err := w.Wait(min(pause, t.untilMore())); err != nil && ctx.Err() == nil {
			t.complain(err)
			return nil
		}
	}
}

// take says what happened, or counts it where something was said of that limit just now;
// and it says what was counted before.
func (t *teller) take(events []oom.Event) error {
	for _, e := range events {
		t.name(&e)
		key := keyOf(&e)
		if r := t.recent[key]; r != nil && t.now().Before(r.until) {
			r.more += e.Count
			r.last = e
			continue
		}
		if t.recent[key] == nil {
			if t.recent == nil {
				t.recent = map[limitKey]*recent{}
			}
			t.recent[key] = &recent{}
		}
		r := t.recent[key]
		e.Count += r.more
		r.more, r.until = 0, t.now().Add(tellPause)
		if err := t.say(&e, false); err != nil {
			return err
		}
	}
	return t.sayMore()
}

// sayMore says what was counted, where the time for that has come.
func (t *teller) sayMore() error {
	for key, r := range t.recent {
		if t.now().Before(r.until) {
			continue
		}
		if r.more == 0 {
			delete(t.recent, key)
			continue
		}
		e := r.last
		e.Count, e.Victims = r.more, nil
		r.more, r.until = 0, t.now().Add(tellPause)
		if err := t.say(&e, true); err != nil {
			return err
		}
	}
	return nil
}

// untilMore is how long it takes until sayMore has something to say.
func (t *teller) untilMore() time.Duration {
	wait := time.Hour
	for _, r := range t.recent {
		if r.more > 0 {
			wait = min(wait, max(0, r.until.Sub(t.now())))
		}
	}
	return wait
}

func keyOf(e *oom.Event) limitKey {
	limit := e.Limit.File + " " + e.Limit.Path
	if e.Session >= 0 && strings.Count(e.Limit.Path, "/") > strings.Count(e.Cgroup[:sessionEnd(e.Cgroup, e.Session)], "/") {
		limit = "below " + strconv.Itoa(e.Session)
	}
	return limitKey{e.User, e.UID, e.Kind, limit}
}

// sessionEnd is where the path of the session ends in that of a cgroup in it.
func sessionEnd(cgroup string, session int) int {
	number := "/" + strconv.Itoa(session)
	if at := strings.Index(cgroup+"/", number+"/"); at >= 0 {
		return at + len(number)
	}
	return len(cgroup)
}

// name adds the user's name, or ID, where an event has only the other.
func (t *teller) name(e *oom.Event) {
	switch {
	case e.User == "" && e.UID >= 0:
		e.User = t.nameOf(e.UID)
	case e.UID < 0 && e.User != "":
		if a, err := account.ByName(t.machine, e.User); err == nil {
			e.UID = a.Uid
		}
	}
}

// maxNames bounds how many names are remembered.
const maxNames = 1 << 12

// nameOf asks for each name once: a directory service may be far away.
func (t *teller) nameOf(uid int) string {
	if name, ok := t.names[uid]; ok {
		return name
	}
	name := strconv.Itoa(uid)
	if a, ok := account.ByUID(t.machine, uid); ok {
		name = a.Name
	}
	if t.names == nil || len(t.names) >= maxNames {
		t.names = map[int]string{}
	}
	t.names[uid] = name
	return name
}

// say tells everybody who is to be told.
func (t *teller) say(e *oom.Event, isMore bool) error {
	text := sentence(e, isMore)
	var err error
	if t.json {
		err = printJSONLine(t.out, eventJSON(e, isMore))
	} else {
		err = printf(t.out, "%s: %s\n", markup(printable(e.User)), text)
	}
	if t.logError != nil && e.Kind == oom.Kill {
		t.complain(fmt.Errorf("it is not known which processes the kernel kills: %w", t.logError))
	}
	if t.users && e.UID >= 0 {
		for _, at := range t.terminals(e.UID) {
			t.write(at, onTerminal("cgdeleg: "+text))
		}
		if err := t.notes.Add(e.UID, t.now().Format("2 Jan 15:04: ")+ascii(text)); err != nil {
			t.complain(err)
		}
	}
	return err
}

// seenAfter is how long a login may take from the moment at which its session is opened
// until its terminal has a process. sshd opens the session before it knows of a terminal. For
// somewhat longer each login says the note again (AGAIN in pam/told.c): the first may have
// been one that shows nothing, and the next the one that somebody sees.
const seenAfter = time.Minute

// settle removes the notes that users saw at a terminal, and has those said again that
// nobody saw. Waits tells that there are some of which that is not known yet.
func (t *teller) settle() (waits bool) {
	said := t.notes.Said()
	if len(said) == 0 {
		return false
	}
	uids := make([]int, 0, len(said))
	for _, s := range said {
		uids = append(uids, s.UID)
	}
	terminals := t.terminals(uids...)
	uptime, err := t.machine.Uptime()
	for _, s := range said {
		age := t.now().Sub(s.When)
		isSeen := false
		for _, at := range terminals {
			// a process that began after it was said; ticks and clocks differ. A login that
			// came later than a minute does not say it again (pam/told.c).
			began := uptime - at.Newest.Started
			isSeen = isSeen || at.UID == s.UID && err == nil && began < age+time.Second && began > age-seenAfter
		}
		switch {
		case isSeen:
			err = errors.Join(err, t.notes.Remove(s))
		case age > seenAfter:
			err = errors.Join(err, t.notes.Restore(s))
		default:
			waits = true
		}
	}
	if err != nil {
		t.complain(err)
	}
	return waits
}
