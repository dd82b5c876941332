package trial

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Request is a login that is to be tried.
type Request struct {
	Program string // trylogin
	Service string // of PAM
	User    string
	// ConfDir has the service's PAM file; "": the machine's own.
	ConfDir string
	Self    string // cgdeleg, to be run in the session
	// Outside has systemd start the login, as it starts sshd. In the caller's own
	// session pam_systemd would open no other.
	Outside bool
	Timeout time.Duration
}

// Answer is what libpam said: a return value (pam(3)), and what it means.
type Answer struct {
	Result int    `json:"result"`
	Text   string `json:"text"`
}

// Line is one that a module wrote to the system log.
type Line struct {
	Priority int    `json:"priority"` // syslog(3): 3 is an error, 4 a warning
	Text     string `json:"text"`
}

// Outcome is what came of a login.
type Outcome struct {
	Open, Close *Answer // nil: libpam was not asked, or did not come back
	Log         []Line
	// Places are where the login was in the session, nil if that is not known. HasTried
	// tells that the user's part of them was heard.
	Places   []Place
	HasTried bool
	Errors   []string
	Left     []string // the cgroups of the session that are still there
}

// What cgdeleg is called with in the session: InsideCommand, and for a process that only
// waits Wait after it.
const (
	InsideCommand = "try-inside"
	Wait          = "wait"
)

// ErrTimeout says that the login did not come to its end in time: it was killed, and the
// session may not have been closed.
var ErrTimeout = errors.New("the login did not end in time")

// Login opens a session by the program trylogin, tries it and closes it. When the context
// ends, the session is closed at once. Errors are those of starting the program, and
// ErrTimeout beside what came until then.
func Login(ctx context.Context, r Request) (*Outcome, error) {
	bounded, cancel := context.WithTimeout(context.Background(), r.Timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, r.Program, r.arguments()...)
	if r.Outside {
		words := []string{"--quiet", "--pipe", "--wait", "--collect", fmt.Sprintf("--property=RuntimeMaxSec=%d", int(r.Timeout.Seconds())), "--", r.Program}
		cmd = exec.CommandContext(bounded, "systemd-run", append(words, r.arguments()...)...)
	}
	// nothing of the caller's, whose secrets they may be
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	before := numbersOf(r.User)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = orders.Close() })
	defer stop()
	outcome := listen(answers, orders, func(pid int) []Place {
		places, _ := Where(machine.Machine{}, pid) // nil: that is not known
		return places
	})
	_ = orders.Close()
	err = cmd.Wait()
	outcome.Left = awaitRemoval(outcome, r.User, before)
	var ended *exec.ExitError
	switch {
	case bounded.Err() != nil:
		return outcome, ErrTimeout
	case errors.As(err, &ended):
		if outcome.Close == nil && len(outcome.Errors) == 0 {
			outcome.Errors = append(outcome.Errors, fmt.Sprintf("%s ended early: %v", program, ended))
		}
		err = nil
	}
	return outcome, err
}

func (r Request) arguments() []string {
	return []string{r.Service, r.User, r.ConfDir, r.Self, InsideCommand}
}

// Inside is the command in the session: it tries what the user may do, or with Wait waits
// until its input ends.
func Inside(in io.Reader, out io.Writer, m machine.Machine, words []string) error {
	if slices.Equal(words, []string{Wait}) {
		_, err := io.Copy(io.Discard, in)
		return err
	}
	all, err := Here(m)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(all)
}

// conversation is what was heard of trylogin.
type conversation struct {
	*Outcome
	pid    int
	before []Place
	tried  map[string]Subgroup
}

// listen reads what trylogin says, and looks where it is when it waits for that.
func listen(answers io.Reader, orders io.Writer, where func(pid int) []Place) *Outcome {
	c := &conversation{Outcome: &Outcome{}}
	lines := bufio.NewScanner(answers)
	lines.Buffer(nil, 1<<20) // it says no longer ones
	for lines.Scan() {
		kind := c.take(lines.Text())
		switch kind {
		case "ready":
			c.before = where(c.pid)
		case "open":
			c.Places = where(c.pid)
			c.markNew()
		}
		if kind == "ready" || kind == "open" {
			_, _ = orders.Write([]byte("\n"))
		}
	}
	c.merge()
	return c.Outcome
}

// markNew marks the places in which the login was not before.
func (c *conversation) markNew() {
	for i := range c.Places {
		p := &c.Places[i]
		p.IsNew = !slices.ContainsFunc(c.before, func(b Place) bool { return b.Hierarchy == p.Hierarchy && b.Cgroup == p.Cgroup })
	}
}

// merge adds what the user's command found. It is the user who says that, so that only
// what can be meant is taken over.
func (c *conversation) merge() {
	for i := range c.Places {
		p := &c.Places[i]
		s, ok := c.tried[p.Hierarchy]
		if !ok {
			continue
		}
		isLimit := func(name string) bool { _, is := limits[name]; return is }
		keep := func(names []string) []string {
			kept := []string{}
			for _, name := range names {
				if isLimit(name) && !slices.Contains(kept, name) {
					kept = append(kept, name)
				}
			}
			return kept
		}
		p.Subgroup = Subgroup{s.Entered, keep(s.Limited), keep(s.Unlimited), s.Error}
	}
	c.HasTried = c.tried != nil
}

// take takes over one line, and returns its first word. What is none of trylogin's lines
// is dropped.
func (c *conversation) take(line string) (kind string) {
	kind, rest, _ := strings.Cut(line, " ")
	number, text, _ := strings.Cut(rest, " ")
	result, err := strconv.Atoi(number)
	if err != nil {
		return ""
	}
	text = unescaped.Replace(text)
	switch kind {
	case "ready":
		c.pid = result
	case "log":
		c.Log = append(c.Log, Line{result, text})
	case "told":
		c.Log = append(c.Log, Line{logInfo, "for the user: " + text})
	case "open":
		c.Open = &Answer{result, text}
	case "close":
		c.Close = &Answer{result, text}
	case "error":
		c.Errors = append(c.Errors, text)
	case "command":
		c.takeCommand(unix.WaitStatus(result), text)
	}
	return kind
}

// takeCommand takes over what the command in the session said, and how it ended.
func (c *conversation) takeCommand(status unix.WaitStatus, text string) {
	var tried map[string]Subgroup
	switch err := json.Unmarshal([]byte(text), &tried); {
	case status.Signaled():
		c.Errors = append(c.Errors, "the trial in the session was killed: "+status.Signal().String())
	case status.ExitStatus() != 0:
		c.Errors = append(c.Errors, fmt.Sprintf("the trial in the session failed: exit status %d %s", status.ExitStatus(), text))
	case err != nil:
		c.Errors = append(c.Errors, "the trial in the session said nothing that can be understood")
	default:
		c.tried = tried
	}
}

// logInfo is LOG_INFO of syslog(3).
const logInfo = 6

var unescaped = strings.NewReplacer(`\\`, `\`, `\n`, "\n")

// numbersOf returns the numbers of a user's sessions.
func numbersOf(user string) []int {
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return nil
	}
	defer set.Close()
	name, err := layout.DirName(user)
	if err != nil {
		return nil
	}
	return layout.Numbers(set, name)
}

// removal bounds how long a session may take to be removed, by a worker that nobody
// waits for.
const removal = 3 * time.Second

// awaitRemoval returns the cgroups of the session that do not go. A manager's scopes are
// its own to remove. Where it is not known which session it was, all are meant that the
// user had not before.
func awaitRemoval(o *Outcome, user string, before []int) (left []string) {
	name, err := layout.DirName(user)
	if err != nil {
		return nil
	}
	var numbers []int
	for _, p := range o.Places {
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(p.Session, "user/"+name+"/"), "%d", &n); err == nil && p.IsNew && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	for end := time.Now().Add(removal); ; time.Sleep(5 * time.Millisecond) {
		left = sessionsLeft(name, func(n int) bool {
			return slices.Contains(numbers, n) || o.Places == nil && !slices.Contains(before, n)
		})
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// sessionsLeft returns the directories of those of a user's sessions.
func sessionsLeft(name string, isMeant func(number int) bool) (dirs []string) {
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return nil
	}
	defer set.Close()
	for _, h := range set.All {
		numbers, _ := layout.NumbersIn(h, name)
		for _, n := range numbers {
			if !isMeant(n) {
				continue
			}
			if dir, err := (layout.ID{User: name, Number: n}).Open(h); err == nil {
				dirs = append(dirs, dir.Path())
				dir.Close()
			}
		}
	}
	return dirs
}

// program is what trylogin is called.
const program = "trylogin"

// UnsafeError says that somebody else than root could have put a program in its place.
type UnsafeError struct{ Path string }

func (e *UnsafeError) Error() string { return e.Path + " can be written by others than root" }

// FindProgram returns where trylogin is: beside cgdeleg, where it was built, or where it is
// installed beside bin. It is run as root, so nobody else may own or write it, or its directory.
// Errors are *os.PathError, and *UnsafeError.
func FindProgram(self string) (string, error) {
	dir := filepath.Dir(self)
	places := []string{
		filepath.Join(dir, program),
		filepath.Join(dir, "../libexec/cgdeleg", program),
		filepath.Join(dir, "../lib/cgdeleg", program), // Arch's
		filepath.Join("/usr/libexec/cgdeleg", program),
	}
	for _, p := range places {
		info, err := os.Stat(p)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		for _, path := range []string{p, filepath.Dir(p)} {
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
				return "", &UnsafeError{path}
			}
		}
		return p, nil
	}
	return "", &os.PathError{Op: "exec", Path: places[1], Err: os.ErrNotExist}
}
