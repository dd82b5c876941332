package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Process is what /proc says of a process.
type Process struct {
	// PID is 0 for no process.
	PID int
	// Name is the program's, or what the process calls itself, as the kernel
	// keeps it: at most 15 bytes, of any kind (/proc/PID/comm).
	Name string
	// Started is when, counted from the machine's start, in steps of a clock
	// tick.
	Started time.Duration
}

// clockTick is USER_HZ of all architectures that Go knows (time(7)).
const clockTick = time.Second / 100

// statOf reads /proc/PID/stat: the name, and the fields from the third on
// (proc_pid_stat(5); the name may have spaces and parentheses).
func statOf(m cgroupfs.Machine, pid int) (name string, fields []string, err error) {
	data, err := m.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", nil, err
	}
	before, after := string(data), ""
	if end := strings.LastIndexByte(before, ')'); end >= 0 {
		before, after = before[:end], before[end+1:]
	}
	_, name, _ = strings.Cut(before, "(")
	return name, strings.Fields(after), nil
}

// processOf returns what /proc says of the process. Errors are *fs.PathError
// and those of numbers that are none.
func processOf(m cgroupfs.Machine, pid int) (Process, error) {
	name, fields, err := statOf(m, pid)
	if err != nil {
		return Process{}, err
	}
	if len(fields) < 20 {
		return Process{}, unix.EINVAL
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	return Process{PID: pid, Name: name, Started: time.Duration(ticks) * clockTick}, err
}

// parentOf returns the PID of the process's parent, 0 if that is not known.
func parentOf(m cgroupfs.Machine, pid int) int {
	_, fields, err := statOf(m, pid)
	if err != nil || len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

// oldest returns the process that was started first, the zero Process if there
// is none, or if one may not be looked at: that could be it.
func oldest(m cgroupfs.Machine, pids []int) Process {
	var first Process
	for _, pid := range pids {
		p, err := processOf(m, pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return Process{} // /proc is mounted with hidepid=1
		case err != nil: // it ended
		case first.PID == 0, p.Started < first.Started, p.Started == first.Started && p.PID < first.PID:
			first = p
		}
	}
	return first
}
