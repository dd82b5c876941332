package storms

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// way is where the application is when it closes the session.
type way int

const (
	inside  way = iota // in it
	outside            // back where it was before
)

// login is one login and logout, by a program of its own.
type login struct {
	open, close string
	took        time.Duration
	in          []string // the hierarchies in which it was in a session of the user, sorted
	isOne       bool     // all of one number
	isBack      bool
	err         error
}

// patience bounds a login: three times what it may take on a slow machine.
const patience = time.Minute

// login logs a user in and out. Before the open it calls ready, if that is not nil.
func (f *Field) login(user string, closes way, ready func()) (l login) {
	words := []string{"start=" + f.service + ":" + user, "cgroups", "pause", "clock", "open", "clock", "cgroups", "pause", "close", "settle", "cgroups", "end"}
	cmd := exec.Command(f.Application, words...)
	cmd.Env = append(os.Environ(), "CONFDIR="+f.ConfDir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return login{err: err}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return login{err: err}
	}
	if err := cmd.Start(); err != nil {
		return login{err: err}
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	l = f.talk(out, in, user, ready, func(before map[string]string) {
		if closes == outside {
			moveBack(cmd.Process.Pid, before)
		}
	})
	if err := cmd.Wait(); err != nil && l.err == nil {
		l.err = err
	}
	return l
}

// talk reads what the application says, and lets it go on.
func (f *Field) talk(out io.Reader, in io.Writer, user string, ready func(), opened func(map[string]string)) (l login) {
	var at []map[string]string
	var clock []int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, value, _ := strings.Cut(lines.Text(), ": ")
		switch word {
		case "open":
			l.open = value
		case "close":
			l.close = value
		case "clock":
			ns, _ := strconv.Atoi(value)
			clock = append(clock, ns)
		case "cgroups":
			at = append(at, testbed.ParsePlacement(value))
			switch len(at) {
			case 1:
				if ready != nil {
					ready()
				}
				_, _ = fmt.Fprintln(in)
			case 2:
				opened(at[0])
				_, _ = fmt.Fprintln(in)
			}
		}
	}
	if len(at) != 3 || len(clock) != 2 {
		l.err = fmt.Errorf("application ended after %v", at)
		return l
	}
	l.took = time.Duration(clock[1] - clock[0])
	l.in, l.isOne = sessionOf(at[1], user)
	l.isBack = maps.Equal(at[0], at[2])
	return l
}

var session = regexp.MustCompile(`/user/([^/]+)/(\d+)(/|$)`)

// sessionOf returns the hierarchies in which somebody is in a session of the user, and
// whether that is one.
func sessionOf(at map[string]string, user string) (in []string, isOne bool) {
	numbers := map[string]bool{}
	for name, path := range at {
		if match := session.FindStringSubmatch(path); match != nil && match[1] == user {
			in = append(in, name)
			numbers[match[2]] = true
		}
	}
	slices.Sort(in)
	return in, len(numbers) == 1
}

// moveBack moves a process to where it was.
func moveBack(pid int, before map[string]string) {
	for _, h := range testbed.Hierarchies() {
		file := filepath.Join(h.Point, before[h.Name], "cgroup.procs")
		_ = os.WriteFile(file, []byte(strconv.Itoa(pid)), 0)
	}
}
