package check

import (
	"errors"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// rlimitRows are how /proc/PID/limits calls the limits of setrlimit(2)
// (proc_pid_limits(5)), by the names that podman's configuration has for them.
var rlimitRows = map[string]string{
	"core": "Max core file size", "cpu": "Max cpu time", "data": "Max data size", "fsize": "Max file size", "locks": "Max file locks",
	"memlock": "Max locked memory", "msgqueue": "Max msgqueue size", "nice": "Max nice priority", "nofile": "Max open files",
	"nproc": "Max processes", "rss": "Max resident set", "rtprio": "Max realtime priority", "rttime": "Max realtime timeout",
	"sigpending": "Max pending signals", "stack": "Max stack size",
}

// parseUlimit parses NAME=SOFT or NAME=SOFT:HARD, with -1 for no limit, as podman does
// (docker/go-units, ParseUlimit).
func parseUlimit(text string) (name string, hard uint64, ok bool) {
	name, value, hasValue := strings.Cut(text, "=")
	softText, hardText, hasHard := strings.Cut(value, ":")
	soft, err := strconv.ParseInt(softText, 10, 64)
	if rlimitRows[name] == "" || !hasValue || err != nil {
		return name, 0, false
	}
	largest := soft
	if hasHard {
		if largest, err = strconv.ParseInt(hardText, 10, 64); err != nil || largest != -1 && (soft > largest || soft == -1) {
			return name, 0, false
		}
	}
	if largest < 0 {
		return name, math.MaxUint64, true
	}
	return name, uint64(largest), true
}

// checkHardLimit looks whether a container may be given a limit: none above the shell's own
// hard limit, which only root raises (setrlimit(2)). Refusal says what becomes of it else.
func (f *Facts) checkHardLimit(refusal, name string, want uint64, said Evidence, edit Command) Result {
	file := f.Subject.Proc + "/limits"
	data, err := f.Machine.ReadFile(file)
	switch row, hard, found := hardLimit(string(data), rlimitRows[name]); {
	case errors.Is(err, fs.ErrNotExist) && f.Subject.Proc == "":
		return ok("") // there is no process
	case err != nil:
		return unknown("it cannot be told whether the shell may set the limit "+name, err)
	case found && want > hard:
		return failed("the limit "+name+" in the configuration is above the shell's own hard limit: "+refusal,
			said, Evidence{file, row}).
			fixed("write at most the shell's hard limit, or raise the hard limit (limits.conf(5)) and log in again", edit)
	}
	return ok("")
}

var blanks = regexp.MustCompile(` {2,}`)

// hardLimit returns a row of /proc/PID/limits and the hard limit in it.
func hardLimit(text, name string) (row string, hard uint64, found bool) {
	for line := range strings.Lines(text) {
		columns := blanks.Split(strings.TrimSpace(line), -1)
		if len(columns) < 3 || columns[0] != name {
			continue
		}
		if columns[2] == "unlimited" {
			return strings.Join(columns, " "), math.MaxUint64, true
		}
		hard, err := strconv.ParseUint(columns[2], 10, 64)
		return strings.Join(columns, " "), hard, err == nil
	}
	return "", 0, false
}
