package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/oom"
	"github.com/cgdeleg/pam_cgdeleg/delegate/terminal"
	"github.com/cgdeleg/pam_cgdeleg/delegate/told"
)

// telling is a teller with a clock of the test's, and what it told whom.
type telling struct {
	*teller
	t      *testing.T
	out    strings.Builder
	clock  time.Time
	at     []terminal.Terminal // the terminals that there are
	wrote  []string
	faults []string
}

func newTelling(t *testing.T) *telling {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"etc/passwd": "alice:x:1000:1000::/:/bin/sh\n", "proc/uptime": "1000.00 1.00\n"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := &telling{t: t, clock: time.Now()}
	g.teller = &teller{
		machine: machine.Recorded(dir), out: &g.out, users: true, notes: told.Notes{Dir: filepath.Join(dir, "told")},
		now:      func() time.Time { return g.clock },
		complain: func(err error) { g.faults = append(g.faults, err.Error()) },
		write:    func(_ terminal.Terminal, text string) { g.wrote = append(g.wrote, text) },
		terminals: func(uids ...int) (some []terminal.Terminal) {
			for _, at := range g.at {
				for _, uid := range uids {
					if at.UID == uid {
						some = append(some, at)
					}
				}
			}
			return some
		},
	}
	return g
}

// lines are those said since the last call.
func (g *telling) lines() string {
	said := g.out.String()
	g.out.Reset()
	return strings.TrimSuffix(said, "\n")
}

func (g *telling) take2(after time.Duration, events ...oom.Event) string {
	g.t.Helper()
	g.clock = g.clock.Add(after)
	if err := g.take(events); err != nil {
		g.t.Fatal(err)
	}
	return g.lines()
}

func (g *telling) note() string {
	data, _ := os.ReadFile(filepath.Join(g.notes.Dir, "1000"))
	return string(data)
}

// killing is an event at a limit.
func killing(user string, session int, limit string, count int64, victims ...oom.Victim) oom.Event {
	return oom.Event{
		Kind: oom.Kill, User: user, UID: -1, Session: session, Cgroup: fmt.Sprintf("/user/%s/%d/x", user, session), Count: count, Victims: victims,
		Limit: oom.Limit{File: "memory.max", Path: limit, Dir: "/sys/fs/cgroup" + limit, Value: 20 << 20, Usage: 1 << 20, Peak: 20 << 20},
	}
}

func TestSentence(t *testing.T) {
	hog := oom.Victim{PID: 12, Name: "hog", RSS: 21 << 20}
	odd := oom.Victim{PID: 13, Name: "a b\x1b[2J\n\xff", RSS: -1}
	with := func(e oom.Event, change func(*oom.Event)) oom.Event {
		change(&e)
		return e
	}
	one := killing("alice", 0, "/user/alice/0", 1, hog)
	forks := with(one, func(e *oom.Event) {
		e.Kind, e.Victims = oom.Fork, nil
		e.Limit = oom.Limit{File: "pids.max", Path: "/user/alice", Value: 100, Usage: 90, Peak: 100}
	})
	for _, test := range []struct {
		name  string
		event oom.Event
		more  bool
		want  string
	}{
		{"one", one, false, "hog (process 12, 21.0M) was killed in session 0: memory.max of /user/alice/0 is 20.0M, and at most 20.0M was in use"},
		{"names", killing("alice", 0, "/user/alice/0", 4, hog, odd), false, `hog (process 12, 21.0M), "a b\x1b[2J\n\xff" (process 13) and 2 more were killed in session 0: memory.max of /user/alice/0 is 20.0M, and at most 20.0M was in use`},
		{"nobody knows who", killing("alice", 1, "/user/alice", 1), false, "1 process was killed in session 1, it is not known which: memory.max of /user/alice is 20.0M, and at most 20.0M was in use"},
		{"more", killing("alice", 1, "/user/alice", 7), true, "and 7 more processes were killed in session 1: memory.max of /user/alice is 20.0M, and at most 20.0M was in use"},
		{"in no session", killing("alice", -1, "/user/alice", 1, hog), false, "hog (process 12, 21.0M) was killed: memory.max of /user/alice is 20.0M, and at most 20.0M was in use"},
		{"the machine", with(one, func(e *oom.Event) { e.Limit = oom.Limit{Machine: true, Value: -1} }), false, "hog (process 12, 21.0M) was killed in session 0: the machine was out of memory"},
		{"limit not known", with(one, func(e *oom.Event) { e.Limit = oom.Limit{Value: -1} }), false, "hog (process 12, 21.0M) was killed in session 0: it is not known which limit was reached"},
		{"limit gone", with(one, func(e *oom.Event) { e.Limit = oom.Limit{File: "memory.max", Path: "/user/al\nice", Value: -1} }), false, `hog (process 12, 21.0M) was killed in session 0: memory.max of "/user/al\nice" was reached`},
		{"no peak", with(one, func(e *oom.Event) { e.Limit.Peak = -1 }), false, "hog (process 12, 21.0M) was killed in session 0: memory.max of /user/alice/0 is 20.0M, and 1.0M is in use"},
		{"fork", forks, false, "a new process was refused in session 0: pids.max of /user/alice is 100, and at most 100 processes and threads were in use"},
		{"forks", with(forks, func(e *oom.Event) { e.Count = 3 }), true, "and 3 more new processes were refused in session 0: pids.max of /user/alice is 100, and at most 100 processes and threads were in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := sentence(&test.event, test.more); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Of a user and a limit there is one line in ten seconds, and then how many there were
// more; other users and limits do not wait for that.
func TestTellRate(t *testing.T) {
	g := newTelling(t)
	limits := ": memory.max of /user/alice/0 is 20.0M, and at most 20.0M was in use"
	e := killing("alice", 0, "/user/alice/0", 1)
	if got, want := g.take2(0, e), "alice: 1 process was killed in session 0, it is not known which"+limits; got != want {
		t.Errorf("got %s", got)
	}
	for range 9 {
		if got := g.take2(time.Second, e, e); got != "" {
			t.Errorf("said too early: %s", got)
		}
	}
	if wait := g.untilMore(); wait != time.Second {
		t.Errorf("it wants to wait %v", wait)
	}
	if got := g.take2(0, killing("bob", 0, "/user/bob/0", 1), killing("alice", 0, "/user/alice", 1)); strings.Count(got, "\n") != 1 {
		t.Errorf("others: %s", got)
	}
	if got, want := g.take2(time.Second), "alice: and 18 more processes were killed in session 0"+limits; got != want {
		t.Errorf("got %s", got)
	}
	if got := g.take2(9 * time.Second); got != "" {
		t.Errorf("nothing happened: %s", got)
	}
	g.take2(20 * time.Second)
	if len(g.recent) != 0 || g.untilMore() < time.Minute {
		t.Errorf("it remembers %v, and waits %v", g.recent, g.untilMore())
	}
}

// A user who sets limits without number below a session is told of one at a time.
func TestTellOwnLimits(t *testing.T) {
	g := newTelling(t)
	said := 0
	for i := range 50 {
		if g.take2(0, killing("alice", 0, fmt.Sprintf("/user/alice/0/x/%d", i), 1)) != "" {
			said++
		}
	}
	if said != 1 || len(g.recent) != 1 {
		t.Errorf("%d lines, %d remembered", said, len(g.recent))
	}
}

// The terminals get lines of ASCII that fit, and the note is kept.
func TestTellUser(t *testing.T) {
	g := newTelling(t)
	g.at = []terminal.Terminal{{UID: 1000}, {UID: 1001}, {UID: 1000}}
	g.take2(0, killing("alice", 0, "/user/alice/ä", 1, oom.Victim{PID: 1, Name: "é\x1b", RSS: -1}))
	if len(g.wrote) != 2 {
		t.Fatalf("wrote %q", g.wrote)
	}
	for line := range strings.SplitSeq(strings.Trim(g.wrote[0], "\r\n"), "\r\n") {
		if len(line) > terminalWidth || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("a line is %q", line)
		}
	}
	if want := "\r\ncgdeleg: \"\\u00e9\\x1b\" (process 1) was killed in session 0:"; !strings.HasPrefix(g.wrote[0], want) {
		t.Errorf("wrote %q", g.wrote[0])
	}
	if !strings.Contains(g.note(), `"\u00e9\x1b" (process 1) was killed`) {
		t.Errorf("the note is %q", g.note())
	}
	g.users = false
	g.take2(time.Minute, killing("alice", 0, "/user/alice", 1))
	if len(g.wrote) != 2 {
		t.Error("users are told who are not to be")
	}
}

// A name, or an ID, that an event does not have is asked of the machine.
func TestTellName(t *testing.T) {
	g := newTelling(t)
	e := killing("", -1, "/user.slice/user-1000.slice", 1)
	e.UID = 1000
	if got := g.take2(0, e); !strings.HasPrefix(got, "alice: ") {
		t.Errorf("got %s", got)
	}
	e.UID = 1001
	if got := g.take2(0, e); !strings.HasPrefix(got, "1001: ") {
		t.Errorf("got %s", got)
	}
}

// What could not be read of the kernel's log is said, but not without need.
func TestTellWithoutLog(t *testing.T) {
	g := newTelling(t)
	g.logError = &os.PathError{Op: "read", Path: "/dev/kmsg", Err: errors.New("no")}
	if g.take2(0); len(g.faults) != 0 {
		t.Errorf("it complains %q", g.faults)
	}
	g.take2(0, killing("alice", 0, "/user/alice", 1))
	if len(g.faults) != 1 || g.faults[0] != "it is not known which processes the kernel kills: read /dev/kmsg: no" {
		t.Errorf("it complains %q", g.faults)
	}
}

// A note that a login said is removed when its user is seen at a terminal after it, and
// comes again if that does not happen within a minute.
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name    string
		uid     int
		started time.Duration // of the process at the terminal, since the machine's start
		age     time.Duration
		waits   bool
		left    string // what is left
	}{
		{"seen", 1000, 998 * time.Second, 3 * time.Second, false, ""},
		{"an older process", 1000, 900 * time.Second, 3 * time.Second, true, "1000.said"},
		{"somebody else", 1001, 998 * time.Second, 3 * time.Second, true, "1000.said"},
		{"nobody", 0, 0, 3 * time.Second, true, "1000.said"},
		{"nobody within a minute", 0, 0, 2 * time.Minute, false, "1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newTelling(t)
			if g.settle() {
				t.Error("it waits for no note")
			}
			at := filepath.Join(g.notes.Dir, "1000")
			if err := g.notes.Add(1000, "x"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(at, at+".said"); err != nil {
				t.Fatal(err)
			}
			g.clock = time.Now().Add(test.age)
			g.at = []terminal.Terminal{{UID: test.uid, Newest: machine.Process{PID: 1, Started: test.started}}}
			if waits := g.settle(); waits != test.waits {
				t.Errorf("it waits: %v", waits)
			}
			entries, err := os.ReadDir(g.notes.Dir)
			var left []string
			for _, entry := range entries {
				left = append(left, entry.Name())
			}
			if err != nil || strings.Join(left, " ") != test.left {
				t.Errorf("left are %q, %v", left, err)
			}
			if len(g.faults) > 0 {
				t.Errorf("it complains %q", g.faults)
			}
		})
	}
}

func TestCheckTell(t *testing.T) {
	for value, ok := range map[string]bool{"tell": true, "log": true, "quiet": true, "": false, "Quiet": false} {
		if err := checkTell(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}
