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

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Request is a login that is to be tried.
type Request struct {
	Program string // trylogin
	Service string // of PAM
	User    string
	// ConfDir has the service's PAM file; "": the machine's own.
	ConfDir string
	// Self is cgdeleg, to be run in the session, and open as Descriptor.
	Self       string
	Descriptor *os.File
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
	Places      []Place // nil: nothing could be tried in the session
	Errors      []string
	Left        []string // the cgroups of the session that are still there
}

// inside is the line in which the command in the session says where it is.
const inside = "places "

// InsideCommand is what cgdeleg is called with in the session.
const InsideCommand = "try-inside"

// ErrTimeout says that the login did not come to its end in time.
var ErrTimeout = errors.New("the login did not end in time")

// Login opens a session by the program trylogin, tries it and closes it. Errors are those
// of starting the program, and ErrTimeout beside what came until then.
func Login(r Request) (*Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Program, r.arguments()...)
	if r.Outside {
		words := []string{"--quiet", "--pipe", "--wait", "--collect", fmt.Sprintf("--property=RuntimeMaxSec=%d", int(r.Timeout.Seconds())), "--", r.Program}
		cmd = exec.CommandContext(ctx, "systemd-run", append(words, r.arguments()...)...)
	} else {
		cmd.ExtraFiles = []*os.File{r.Descriptor}
	}
	cmd.WaitDelay = time.Second // what the session left may hold the pipe
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	err := cmd.Run()
	outcome := Parse(&out)
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return outcome, ErrTimeout
	case errors.Is(err, exec.ErrWaitDelay), errors.As(err, &ended):
		err = nil // the outcome says it
	}
	outcome.Left = awaitRemoval(outcome.Places)
	return outcome, err
}

// descriptor is the number that the first of the extra files has in the child.
const descriptor = 3

func (r Request) arguments() []string {
	self := r.Self
	if !r.Outside { // also where the user may not look for it
		self = fmt.Sprintf("/proc/self/fd/%d", descriptor)
	}
	return []string{r.Service, r.User, r.ConfDir, self, InsideCommand}
}

// PrintInside writes what Here found for Parse.
func PrintInside(w io.Writer, m machine.Machine) error {
	places, err := Here(m)
	if err != nil {
		return err
	}
	data, err := json.Marshal(places)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", inside, data)
	}
	return err
}

// Parse reads what trylogin says. What is none of its lines is dropped: programs that
// modules run may write there, too.
func Parse(r io.Reader) *Outcome {
	o := &Outcome{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		o.take(lines.Text())
	}
	return o
}

func (o *Outcome) take(line string) {
	if data, is := strings.CutPrefix(line, inside); is {
		var places []Place
		if json.Unmarshal([]byte(data), &places) == nil {
			o.Places = places
		}
		return
	}
	kind, rest, _ := strings.Cut(line, " ")
	number, text, _ := strings.Cut(rest, " ")
	result, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	text = unescaped.Replace(text)
	switch kind {
	case "log":
		o.Log = append(o.Log, Line{result, text})
	case "open":
		o.Open = &Answer{result, text}
	case "close":
		o.Close = &Answer{result, text}
	case "error":
		o.Errors = append(o.Errors, text)
	}
}

var unescaped = strings.NewReplacer(`\\`, `\`, `\n`, "\n")

// removal bounds how long a session may take to be removed, by a worker that nobody
// waits for.
const removal = 3 * time.Second

// awaitRemoval returns which sessions of pam_cgdeleg's do not go. A manager's scopes are
// its own to remove.
func awaitRemoval(places []Place) (left []string) {
	for _, p := range places {
		if p.Session != "" && p.Directory != "" {
			left = append(left, p.Directory)
		}
	}
	for end := time.Now().Add(removal); len(left) > 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		left = slices.DeleteFunc(left, func(dir string) bool {
			_, err := os.Stat(dir)
			return errors.Is(err, os.ErrNotExist)
		})
	}
	return left
}

// program is what trylogin is called.
const program = "trylogin"

// FindProgram returns where trylogin is: beside cgdeleg, where it was built, or where it
// is installed beside bin. Errors are *os.PathError.
func FindProgram(self string) (string, error) {
	places := []string{
		filepath.Join(filepath.Dir(self), program),
		filepath.Join(filepath.Dir(self), "../libexec/cgdeleg", program),
		filepath.Join(filepath.Dir(self), "../lib/cgdeleg", program), // Arch's
		filepath.Join("/usr/libexec/cgdeleg", program),
	}
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", &os.PathError{Op: "exec", Path: places[1], Err: os.ErrNotExist}
}
