package machine

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type Process struct {
	// PID is 0 for no process.
	PID int
	// Name is the program's, or what the process calls itself, as the kernel
	// keeps it: at most 15 bytes, of any kind.
	Name string
	// Parent is the PID of its parent; 0 if that is not in this PID namespace.
	Parent int
	// Group is its process group.
	Group int
	// Terminal is the device number of its controlling terminal, as the kernel writes
	// it (TerminalNumbers); 0: it has none.
	Terminal uint32
	// Started is when, counted from the machine's start, in steps of a clock
	// tick.
	Started time.Duration
	// Policy is its scheduling policy (sched(7)); -1 where the kernel does not say.
	Policy int
}

// IsRealtime tells whether the process has a realtime or deadline policy:
// SCHED_FIFO, SCHED_RR, SCHED_DEADLINE.
func (p Process) IsRealtime() bool { return p.Policy == 1 || p.Policy == 2 || p.Policy == 6 }

// clockTick is USER_HZ of all architectures that Go knows (time(7)).
const clockTick = time.Second / 100

// The fields of /proc/PID/stat, counted from the third one on: the second, the
// name, may have spaces and parentheses.
const (
	statParent  = 4 - 3
	statGroup   = 5 - 3
	statTTY     = 7 - 3
	statStarted = 22 - 3
	statPolicy  = 41 - 3
)

// TerminalNumbers takes Process.Terminal apart (new_encode_dev in the kernel): the major
// and the minor device number.
func TerminalNumbers(terminal uint32) (major, minor uint32) {
	return terminal >> 8 & 0xfff, terminal&0xff | terminal>>12&0xfff00
}

// Process reads /proc/PID/stat. Errors are those of ReadFile, and an *fs.PathError
// with EINVAL for one that is cut off or malformed.
func (m Machine) Process(pid int) (Process, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := m.ReadFile(path)
	if err != nil {
		return Process{}, err
	}
	p, ok := parseStatFile(data)
	if !ok {
		return Process{}, &fs.PathError{Op: "parse", Path: path, Err: unix.EINVAL}
	}
	p.PID = pid
	return p, nil
}

// parseStatFile parses the content of /proc/PID/stat. The PID is not taken from
// it: it is that of another PID namespace where /proc is.
func parseStatFile(data []byte) (p Process, ok bool) {
	end := bytes.LastIndexByte(data, ')')
	begin := bytes.IndexByte(data, '(')
	if begin < 0 || end < begin {
		return p, false
	}
	p.Name, p.Policy = string(data[begin+1:end]), -1
	for i, field := range bytes.Fields(data[end+1:]) {
		n, err := strconv.ParseInt(string(field), 10, 64)
		switch i {
		case statParent:
			p.Parent = int(n)
		case statGroup:
			p.Group = int(n)
		case statTTY:
			p.Terminal = uint32(n)
		case statStarted:
			p.Started, ok = time.Duration(n)*clockTick, true
		case statPolicy:
			p.Policy = int(n)
		default:
			continue
		}
		if err != nil {
			return p, false
		}
	}
	return p, ok
}

// FormatProcess returns a content of /proc/PID/stat that says no more than p does.
func FormatProcess(p Process) string {
	fields := []string{"S"}
	for i := 1; i <= statPolicy; i++ {
		fields = append(fields, "0")
	}
	fields[statParent], fields[statGroup] = strconv.Itoa(p.Parent), strconv.Itoa(p.Group)
	fields[statTTY] = strconv.FormatInt(int64(int32(p.Terminal)), 10)
	fields[statStarted] = strconv.FormatInt(int64(p.Started/clockTick), 10)
	fields[statPolicy] = strconv.Itoa(p.Policy)
	if p.Policy < 0 {
		fields = fields[:statPolicy]
	}
	return fmt.Sprintf("%d (%s) %s\n", p.PID, p.Name, strings.Join(fields, " "))
}

// Status is what /proc/PID/status says of a process (proc_pid_status(5)).
type Status struct {
	Name string // as Process.Name, with what is not printable escaped by the kernel
	// PID and Parent are -1 where there is no such line, 0 for a process outside of
	// this PID namespace.
	PID, Parent int
	// UID and GID are the effective ones, RealUID the real one; -1 where there is no
	// such line.
	UID, GID, RealUID int
	Groups            []int
	NoNewPrivs        bool // set-user-ID programs do not work for it
}

// Status reads the file status of a process's directory, such as /proc/self.
// Errors are those of ReadFile.
func (m Machine) Status(dir string) (Status, error) {
	data, err := m.ReadFile(dir + "/status")
	if err != nil {
		return Status{}, err
	}
	return parseStatusFile(string(data)), nil
}

// StatusOf is Status for a PID.
func (m Machine) StatusOf(pid int) (Status, error) { return m.Status(fmt.Sprintf("/proc/%d", pid)) }

func parseStatusFile(data string) Status {
	s := Status{PID: -1, Parent: -1, UID: -1, GID: -1, RealUID: -1}
	for line := range strings.Lines(data) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			s.Name = strings.TrimSpace(value)
		case "Pid":
			s.PID = nthNumber(value, 0)
		case "PPid":
			s.Parent = nthNumber(value, 0)
		case "Uid": // real, effective, saved, file system
			s.RealUID, s.UID = nthNumber(value, 0), nthNumber(value, 1)
		case "Gid":
			s.GID = nthNumber(value, 1)
		case "Groups":
			for word := range strings.FieldsSeq(value) {
				if gid, err := strconv.Atoi(word); err == nil {
					s.Groups = append(s.Groups, gid)
				}
			}
		case "NoNewPrivs":
			s.NoNewPrivs = nthNumber(value, 0) == 1
		}
	}
	return s
}

// nthNumber returns the nth word of a line if it is a number; -1 if not.
func nthNumber(line string, n int) int {
	fields := strings.Fields(line)
	if n >= len(fields) {
		return -1
	}
	number, err := strconv.Atoi(fields[n])
	if err != nil {
		return -1
	}
	return number
}

// Name returns what a process is called, from /proc/PID/comm; "" if that cannot
// be told.
func (m Machine) Name(pid int) string {
	data, err := m.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}
