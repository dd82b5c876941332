package oom

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelLogPath is where the kernel's messages are read, by root, or where
// kernel.dmesg_restrict is 1 with CAP_SYSLOG (Documentation/ABI/testing/dev-kmsg).
const kernelLogPath = "/dev/kmsg"

// errNamespace says why the kernel's log is of no use in a container.
var errNamespace = errors.New("it tells only of the initial PID and cgroup namespaces, and this process is in others")

// kernelLog is the kernel's log from the moment on at which it was opened; nil is none.
type kernelLog struct {
	fd     int
	parser parser
}

// openKernelLog opens the log at its end.
func openKernelLog() (*kernelLog, error) {
	fail := func(err error) (*kernelLog, error) {
		return nil, &os.PathError{Op: "read", Path: kernelLogPath, Err: err}
	}
	if !inInitialNamespaces() {
		return fail(errNamespace)
	}
	fd, err := unix.Open(kernelLogPath, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return fail(err)
	}
	return &kernelLog{fd: fd}, nil
}

func (l *kernelLog) close() {
	if l != nil {
		unix.Close(l.fd)
	}
}

// maxMessages bounds how many messages are read at a look. The kernel keeps fewer, in
// its default size.
const maxMessages = 1 << 14

// maxRecords bounds how many killed processes are remembered of one look.
const maxRecords = 1 << 10

// read returns the processes that were killed since the last read.
func (l *kernelLog) read() (records []record) {
	message := make([]byte, 16<<10) // more than the kernel gives of one
	for range maxMessages {
		n, err := unix.Read(l.fd, message)
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // some were overwritten before they were read
			continue
		case errors.Is(err, unix.EINVAL): // this one is too large
			continue
		case err != nil || n <= 0:
			return records
		}
		if r, ok := l.parser.add(string(message[:n])); ok && len(records) < maxRecords {
			records = append(records, r)
		}
	}
	return records
}

// record is what the log says of a killed process.
type record struct {
	Victim
	task   string // the path of its cgroup, as the kernel calls it
	limit  string // of the cgroup whose limit was reached; "": the machine's memory
	passed bool   // a look has not found it counted
}

// parser joins the messages that speak of one kill.
type parser struct{ location record }

// add takes one record of /dev/kmsg, "PRIORITY,SEQUENCE,TIME,FLAGS;MESSAGE\n ...". It
// returns a killed process if the message is the last that speaks of it.
func (p *parser) add(text string) (r record, ok bool) {
	prefix, rest, found := strings.Cut(text, ";")
	priority, _, _ := strings.Cut(prefix, ",")
	facility, err := strconv.ParseUint(priority, 10, 32)
	if !found || err != nil || facility>>3 != 0 {
		return r, false // not the kernel's: who writes to the file gets another facility
	}
	message, _, _ := strings.Cut(rest, "\n")
	if location, ok := parseLocation(message); ok {
		p.location = location
		return r, false
	}
	victim, ok := parseVictim(message)
	if !ok || p.location.task == "" || p.location.PID != 0 && p.location.PID != victim.PID {
		return r, false
	}
	r, p.location = p.location, record{}
	r.Victim = victim
	return r, true
}

// parseLocation parses the message that says in which cgroup a process is about to be
// killed, and because of which cgroup's limit:
//
//	oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=NAME,mems_allowed=0,
//	    oom_memcg=PATH,task_memcg=PATH,task=NAME,pid=N,uid=N   (dump_oom_victim)
//	Task in PATH killed as a result of limit of PATH           (before Linux 5.0)
//
// Names of cgroups and processes are users', and commas are not escaped. So a
// message in which one of the words stands twice is not believed.
func parseLocation(message string) (r record, ok bool) {
	if rest, found := strings.CutPrefix(message, "oom-kill:constraint="); found {
		return parseOomKill(rest)
	}
	rest, found := strings.CutPrefix(message, "Task in ")
	task, limit, ok := cutOnce(rest, " killed as a result of limit of ")
	if !found || !ok {
		return r, false
	}
	return record{task: unescape(task), limit: unescape(limit)}, true
}

func parseOomKill(rest string) (r record, ok bool) {
	head, tail, ok := cutOnce(rest, ",task_memcg=")
	if !ok {
		return r, false
	}
	task, tail, ok := cutOnce(tail, ",task=")
	at := strings.LastIndex(tail, ",pid=")
	if !ok || at < 0 {
		return r, false
	}
	pid, _, _ := strings.Cut(tail[at+len(",pid="):], ",uid=")
	r.PID, ok = parsePID(pid)
	isGlobal := strings.HasSuffix(head, ",global_oom")
	_, limit, isLimited := cutOnce(head, ",oom_memcg=")
	if !ok || isGlobal == isLimited || !strings.HasPrefix(task, "/") || strings.Contains(head, ",task=") {
		return r, false
	}
	r.task, r.limit = unescape(task), unescape(limit)
	return r, true
}

// cutOnce is strings.Cut, but not where the separator stands more than once.
func cutOnce(text, separator string) (before, after string, ok bool) {
	before, after, ok = strings.Cut(text, separator)
	return before, after, ok && !strings.Contains(after, separator)
}

// parseVictim parses the message that says that a process was killed (__oom_kill_process):
//
//	[Memory cgroup o|O]ut of memory: Killed process PID (NAME) total-vm:1kB, anon-rss:1kB,
//	    file-rss:1kB, shmem-rss:1kB, ...
//	Killed process PID (NAME) total-vm:1kB, ...                (before Linux 5.1)
func parseVictim(message string) (v Victim, ok bool) {
	for _, prefix := range []string{"Memory cgroup out of memory: ", "Out of memory: ", "Out of memory (oom_kill_allocating_task): "} {
		message = strings.TrimPrefix(message, prefix)
	}
	rest, ok := strings.CutPrefix(message, "Killed process ")
	pid, rest, ok2 := strings.Cut(rest, " (")
	end := max(strings.LastIndex(rest, ") total-vm:"), strings.LastIndex(rest, "), UID")) // a name may have either
	if !ok || !ok2 || end < 0 {
		return v, false
	}
	v.PID, ok = parsePID(pid)
	v.Name, v.RSS = unescape(rest[:end]), residentIn(rest[end:])
	return v, ok
}

// residentIn adds up what a killed process had in memory; -1 if that is not said.
func residentIn(text string) (bytes int64) {
	for _, key := range []string{"anon-rss:", "file-rss:", "shmem-rss:"} {
		_, rest, found := strings.Cut(text, key)
		digits, _, _ := strings.Cut(rest, "kB")
		kilobytes, err := strconv.ParseInt(digits, 10, 52)
		switch {
		case found && err == nil && kilobytes >= 0:
			bytes += kilobytes << 10
		case key == "anon-rss:":
			return -1
		}
	}
	return bytes
}

func parsePID(text string) (pid int, ok bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil && n > 0
}

// unescape undoes how the kernel's log writes bytes that are not printable ASCII, and
// the backslash: \xNN.
func unescape(text string) string {
	if !strings.Contains(text, `\x`) {
		return text
	}
	var out strings.Builder
	for text != "" {
		if strings.HasPrefix(text, `\x`) && len(text) >= 4 {
			if c, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
				out.WriteByte(byte(c))
				text = text[4:]
				continue
			}
		}
		out.WriteByte(text[0])
		text = text[1:]
	}
	return out.String()
}
