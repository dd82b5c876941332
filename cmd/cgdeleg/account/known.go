package account

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Database is one of those of getent(1).
type Database string

// The databases, in which names and numbers are looked up.
const (
	Users  Database = "passwd"
	Groups Database = "group"
)

// Known tells of each name whether the machine knows it. A group can be named by its
// number. What a directory service does not answer within some seconds for all of them is
// machine.Unknown, and so is, on a recorded machine, what may have come from there.
func Known(m machine.Machine, db Database, names []string) map[string]machine.Answer {
	known := map[string]machine.Answer{}
	isLocal := map[string]bool{}
	data, err := m.ReadFile("/etc/" + string(db))
	for name := range namesIn(string(data), db) {
		isLocal[name] = true
	}
	var others []string
	for _, name := range names {
		switch {
		case isLocal[name]:
			known[name] = machine.Found
		case name == "" || name[0] == '-': // which getent would take for an option
			known[name] = machine.Unknown
		case m.IsRecorded() && err == nil && onlyFiles(m, db):
			known[name] = machine.Absent
		default:
			known[name] = machine.Unknown
			others = append(others, name)
		}
	}
	if !m.IsRecorded() {
		askDirectory(db, others, known, patience)
	}
	return known
}

// namesIn calls yield with the names, and for groups the numbers, of passwd(5) or group(5).
func namesIn(text string, db Database) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
			if len(fields) < 3 {
				continue
			}
			if !yield(fields[0]) || db == Groups && !yield(fields[2]) {
				return
			}
		}
	}
}

// onlyFiles tells whether a machine looks a database up in files alone, as
// nsswitch.conf(5) says; "systemd" knows users that services bring along.
func onlyFiles(m machine.Machine, db Database) bool {
	data, err := m.ReadFile("/etc/nsswitch.conf")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		name, services, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == string(db) {
			return !slices.ContainsFunc(strings.Fields(services), func(s string) bool { return s != "files" })
		}
	}
	return false
}

// atOnce is how many names one getent is asked for.
const atOnce = 500

// askDirectory asks getent(1) for what no file has. What is not answered by then stays
// unknown.
func askDirectory(db Database, names []string, known map[string]machine.Answer, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for some := range slices.Chunk(names, atOnce) {
		command := exec.CommandContext(ctx, "getent", append([]string{string(db)}, some...)...)
		command.WaitDelay = patience / 10
		out, err := command.Output()
		found := map[string]bool{}
		for name := range namesIn(string(out), db) {
			found[name] = true
		}
		for _, name := range some {
			switch {
			case found[name]:
				known[name] = machine.Found
			case saysNotFound(err):
				known[name] = machine.Absent
			}
		}
	}
}

// saysNotFound tells whether getent has answered: with 2 that it did not find one or more of
// the keys.
func saysNotFound(err error) bool {
	var ended *exec.ExitError
	return err == nil || errors.As(err, &ended) && ended.ExitCode() == 2
}
