package trial

import (
	"bufio"
	"bytes"
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

	isLate bool
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

// What is left for the close when the time is over, and for the end after it.
const (
	closePatience = 15 * time.Second
	endPatience   = 2 * time.Second
)

// Login opens a session by the program trylogin, tries it and closes it. When the context
// or the time ends, the session is closed at once. Errors are those of starting the
// program, and ErrTimeout beside what came until then.
func Login(ctx context.Context, r Request) (*Outcome, error) {
	cmd := r.command()
	// nothing of the caller's, whose secrets they may be
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	var complaint bytes.Buffer // systemd-run's: trylogin itself says nothing there
	cmd.Stderr = &complaint
	cmd.WaitDelay = endPatience
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Close() }()
	cmd.Stdout = writer
	before := numbersOf(r.User)
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = orders.Close() })()
	defer time.AfterFunc(r.Timeout, func() { _ = orders.Close() }).Stop()
	_ = answers.SetReadDeadline(time.Now().Add(r.Timeout + closePatience))
	outcome, isWhole := listen(answers, orders, func(pid int) ([]Place, error) { return Where(machine.Machine{}, pid) })
	_ = orders.Close()
	kill := time.AfterFunc(endPatience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	kill.Stop()
	outcome.Left = awaitRemoval(outcome, r.User, before)
	if !isWhole && len(outcome.Errors) == 0 {
		outcome.Errors = append(outcome.Errors, strings.TrimSpace(fmt.Sprintf("%s ended early: %v %.200s", program, err, complaint.String())))
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) || errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the outcome says it
	}
	if outcome.isLate {
		err = ErrTimeout
	}
	return outcome, err
}

// command is what runs trylogin.
func (r Request) command() *exec.Cmd {
	if !r.Outside {
		return exec.Command(r.Program, r.arguments()...)
	}
	words := []string{
		"--quiet", "--pipe", "--wait", "--collect",
		// as sshd's: what a module leaves is not the unit's to end
		"--property=KillMode=process", "--property=TimeoutStopSec=5",
		fmt.Sprintf("--property=RuntimeMaxSec=%d", int((r.Timeout + closePatience).Seconds())),
		"--", r.Program,
	}
	return exec.Command("systemd-run", append(words, r.arguments()...)...)
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
	isLost bool // where the login was is not known
}

// listen reads what trylogin says until the close, and looks where it is when it waits for
// that. It tells whether there was a close, or all was said.
func listen(answers io.Reader, orders io.Writer, where func(pid int) ([]Place, error)) (o *Outcome, isWhole bool) {
	c := &conversation{Outcome: &Outcome{}}
	lines := bufio.NewScanner(answers)
	lines.Buffer(nil, 1<<20) // it says no longer ones
	for c.Close == nil && lines.Scan() {
		switch kind := c.take(lines.Text()); kind {
		case "ready", "open":
			places, err := where(c.pid)
			c.isLost = c.isLost || err != nil
			if kind == "ready" {
				c.before = places
			} else {
				c.Places = places
			}
			_, _ = orders.Write([]byte("\n"))
		}
	}
	c.isLate = errors.Is(lines.Err(), os.ErrDeadlineExceeded)
	if c.isLost {
		c.Places, c.tried = nil, nil
		c.Errors = append(c.Errors, "it cannot be told in which cgroups the login was")
	}
	c.markNew()
	c.merge()
	return c.Outcome, c.Close != nil
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
	case int32(status) == -1:
		c.Errors = append(c.Errors, "the trial in the session does not end, even killed: is it frozen?")
	case status.Signaled():
		c.Errors = append(c.Errors, "the trial in the session was killed: "+status.Signal().String())
	case status.ExitStatus() != 0:
		c.Errors = append(c.Errors, fmt.Sprintf("the trial in the session failed: exit status %d %.200s", status.ExitStatus(), text))
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
	isMeant := func(hierarchy string, inode uint64, number int) bool {
		return slices.ContainsFunc(o.Places, func(p Place) bool {
			return p.IsNew && p.Session != "" && p.Hierarchy == hierarchy && p.inode == inode
		}) || o.Places == nil && !slices.Contains(before, number)
	}
	for end := time.Now().Add(removal); ; time.Sleep(5 * time.Millisecond) {
		left = sessionsLeft(name, isMeant)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// sessionsLeft returns the directories of those of a user's sessions.
func sessionsLeft(name string, isMeant func(hierarchy string, inode uint64, number int) bool) (dirs []string) {
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return nil
	}
	defer set.Close()
	for _, h := range set.All {
		numbers, _ := layout.NumbersIn(h, name)
		for _, n := range numbers {
			dir, err := (layout.ID{User: name, Number: n}).Open(h)
			if err != nil {
				continue
			}
			if info, err := dir.Info(); err == nil && isMeant(h.Name, info.Inode, n) {
				dirs = append(dirs, dir.Path())
			}
			dir.Close()
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
