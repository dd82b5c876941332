// Package nss finds in which groups a user is. The running machine's groups come from where
// its name service has them (nsswitch.conf(5)), which only the C library can ask; id(1) is a
// program that does. A directory service may be slow or gone, so there is a deadline.
//
// It must not know what the groups are for.
package nss

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Error says why a user's groups are not known.
type Error struct {
	User    string
	Program string // the id(1) that was asked; "" if none was
	Err     error  // one of those below, an errno, *machine.TooLargeError or *fs.PathError
}

func (e *Error) Error() string {
	program := ""
	if e.Program != "" {
		program = e.Program + ": "
	}
	return fmt.Sprintf("groups of user %.100q: %s%v", e.User, program, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Why groups are not known.
var (
	ErrNoProgram   = errors.New("there is no id(1) where it usually is")
	ErrUnknownUser = errors.New("not known to the system")
	ErrTimeout     = errors.New("no answer by the deadline")
	ErrMalformed   = errors.New("the answer is no list of groups")
)

// Groups returns the names and the numbers of the groups in which the user is, primary and
// supplementary ones. A group without a name has only a number. On the running machine
// id(1) is run, and ended at the deadline; a recorded one has them in /etc/passwd and
// /etc/group. The error is an *Error, and then nothing is known.
func Groups(m machine.Machine, user string, deadline time.Time) (names, gids []string, err error) {
	if m.IsRecorded() {
		return fromFiles(m, user)
	}
	return program{places: places}.groups(user, deadline)
}

// places are where id(1) is: the usual ones, and those of NixOS and Guix. PATH may be a
// user's, and is not asked.
var places = []string{"/usr/bin/id", "/bin/id", "/run/current-system/sw/bin/id", "/run/current-system/profile/bin/id"}

// fromFiles reads passwd(5) and group(5).
func fromFiles(m machine.Machine, user string) (names, gids []string, err error) {
	passwd, err := m.ReadFile("/etc/passwd")
	if err != nil {
		return nil, nil, &Error{User: user, Err: err}
	}
	primary := ""
	for line := range strings.Lines(string(passwd)) {
		if fields := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(fields) >= 4 && fields[0] == user && user != "" {
			primary = fields[3]
			break
		}
	}
	if primary == "" {
		return nil, nil, &Error{User: user, Err: ErrUnknownUser}
	}
	group, err := m.ReadFile("/etc/group")
	if err != nil {
		return nil, nil, &Error{User: user, Err: err}
	}
	gids = []string{primary}
	for line := range strings.Lines(string(group)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < 4 || fields[2] != primary && !slices.Contains(strings.Split(fields[3], ","), user) {
			continue
		}
		names = append(names, fields[0])
		if !slices.Contains(gids, fields[2]) {
			gids = append(gids, fields[2])
		}
	}
	return names, gids, nil
}

// groups asks the program. Numbers and names are asked for at the same time: with a
// directory service each may take long. GNU's program ends a name with a zero byte when it
// is asked to (-z), so that names may have blanks. Busybox's has no such option.
func (p program) groups(user string, deadline time.Time) (names, gids []string, err error) {
	fail := func(err error) ([]string, []string, error) {
		return nil, nil, &Error{User: user, Program: p.path, Err: err}
	}
	if p.path = p.find(); p.path == "" {
		return fail(ErrNoProgram)
	}
	numbers, zeroed := p.start(deadline, "-G", "--", user), p.start(deadline, "-Gnz", "--", user)
	byNumber, byName := <-numbers, <-zeroed
	if byNumber.err != nil {
		return fail(byNumber.err)
	}
	gids = strings.Fields(byNumber.out)
	if slices.ContainsFunc(gids, isNoID) {
		return fail(ErrMalformed)
	}
	if len(gids) == 0 {
		return fail(ErrUnknownUser)
	}
	names, err = p.names(byName, deadline, user)
	if err == nil && slices.ContainsFunc(names, isIn(gids)) {
		// it has none, or the name service failed for a moment: once more
		if again, err := p.names(<-p.start(deadline, "-Gnz", "--", user), deadline, user); err == nil && len(again) == len(gids) {
			names = again
		}
	}
	switch {
	case err != nil:
		return fail(err)
	case len(names) != len(gids): // a name with a blank among them, or no names at all
		return fail(ErrMalformed)
	}
	// A group without a name has its number in its place, which is no name.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || slices.Contains(gids, name) })
	return names, gids, nil
}

// names takes an answer to -Gnz apart. An empty one asks again without z.
func (p program) names(zeroed answer, deadline time.Time, user string) ([]string, error) {
	if zeroed.err == nil && zeroed.out == "" {
		all := <-p.start(deadline, "-Gn", "--", user)
		return strings.Fields(all.out), all.err
	}
	return strings.Split(strings.TrimSuffix(zeroed.out, "\x00"), "\x00"), zeroed.err
}

func isIn(all []string) func(string) bool {
	return func(s string) bool { return slices.Contains(all, s) }
}

func isNoID(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err != nil
}
