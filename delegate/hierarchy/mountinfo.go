package hierarchy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseError says which line of a kernel file could not be understood.
type ParseError struct {
	File   string
	Line   int // counted from 1
	Text   string
	Reason string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d: %s in %.200q", e.File, e.Line, e.Reason, e.Text)
}

// mount is one cgroup mount of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	device  uint64
	root    string // which cgroup is mounted, relative to the cgroup namespace
	point   string
	unified bool
	// readOnly tells that the mount's options or the superblock's have "ro".
	readOnly bool
	options  []string // per superblock: for v1 they name the controllers
}

// parseMountinfo returns the cgroup mounts in the kernel's order.
func parseMountinfo(data []byte) ([]mount, error) {
	var mounts []mount
	for n, line := range lines(data) {
		m, isCgroup, reason := parseMount(line)
		if reason != "" {
			return nil, &ParseError{File: "mountinfo", Line: n, Text: line, Reason: reason}
		}
		if isCgroup {
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}

// parseMount takes a line apart:
//
//	36 35 98:0 /root /point rw,noatime [optional fields] - fstype source superoptions
//
// Fields are separated by exactly one space; a source may be empty, and some
// file systems write spaces into their options as they are.
func parseMount(line string) (m mount, isCgroup bool, reason string) {
	before, after, found := strings.Cut(line, " - ")
	if !found {
		return m, false, "no separator \" - \""
	}
	fields, super := strings.Split(before, " "), strings.SplitN(after, " ", 3)
	if len(fields) < 6 {
		return m, false, "fewer than six fields before the separator"
	}
	if len(super) < 3 {
		return m, false, "fewer than three fields after the separator"
	}
	switch super[0] {
	case "cgroup":
	case "cgroup2":
		m.unified = true
	default:
		return m, false, ""
	}
	var err error
	if m.device, err = parseDevice(fields[2]); err != nil {
		return m, false, "bad device number"
	}
	m.root, m.point = unescape(fields[3]), unescape(fields[4])
	if !strings.HasPrefix(m.root, "/") || !strings.HasPrefix(m.point, "/") {
		return m, false, "root or mount point without a leading slash"
	}
	for option := range strings.SplitSeq(super[2], ",") {
		// Not before the split: a comma inside of a release_agent is escaped.
		m.options = append(m.options, unescape(option))
	}
	m.readOnly = slices.Contains(strings.Split(fields[5], ","), "ro") || slices.Contains(m.options, "ro")
	return m, true, ""
}

func parseDevice(s string) (uint64, error) {
	major, minor, _ := strings.Cut(s, ":")
	a, err := strconv.ParseUint(major, 10, 32)
	if err != nil {
		return 0, err
	}
	b, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return 0, err
	}
	return unix.Mkdev(uint32(a), uint32(b)), nil
}

// unescape undoes the kernel's mangling (seq_escape, mangle_path): space, tab,
// newline, backslash and hash, in options also comma and equals sign, are
// written as a backslash and three octal digits. Anything else after a
// backslash stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// lines yields the lines of a kernel file with their numbers, from 1. The last
// may lack its newline.
func lines(data []byte) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(string(data)) {
			n++
			if !yield(n, strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}
