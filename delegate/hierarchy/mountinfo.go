package hierarchy

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
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

// mountinfo gathers the cgroup mounts out of /proc/PID/mountinfo, of which it
// never holds more than a line. The other lines are other people's: whoever has
// fusermount can add any number of them, of any length and with any text in them.
type mountinfo struct {
	mounts []mount // in the kernel's order
	odd    []error // *ParseError: lines that cost a mount, maxOdd at most
	line   []byte  // what there is of the one that is being read
	number int     // its number, from 1
	isLong bool    // it is longer than maxLine, and what there was is dropped
}

const (
	// maxLine bounds a line: a path has at most 4,096 bytes, which are written as
	// four each, and there are two.
	maxLine = 64 << 10
	// maxOdd bounds how many lines are told of.
	maxOdd = 5
)

// readMountinfo reads /proc/self/mountinfo. Errors are those of machine.ReadFile.
func readMountinfo(m machine.Machine) (mounts []mount, odd []error, err error) {
	r := &mountinfo{number: 1}
	err = m.Stream("/proc/self/mountinfo", func(piece []byte) error {
		r.add(piece)
		return nil
	})
	r.end()
	return r.mounts, r.odd, err
}

// add takes the next piece of the file.
func (r *mountinfo) add(piece []byte) {
	for {
		line, rest, whole := bytes.Cut(piece, []byte("\n"))
		if len(r.line)+len(line) > maxLine {
			r.isLong = true
		}
		switch {
		case r.isLong:
		case whole && len(r.line) == 0:
			r.take(line) // as it lies in the piece
		default:
			r.line = append(r.line, line...)
		}
		if !whole {
			return
		}
		r.end()
		r.number++
		piece = rest
	}
}

// end takes what was gathered of a line.
func (r *mountinfo) end() {
	if r.isLong {
		r.complain("longer than "+strconv.Itoa(maxLine)+" bytes", r.line)
	} else if len(r.line) > 0 {
		r.take(r.line)
	}
	r.line, r.isLong = r.line[:0], false
}

// take takes a whole line.
func (r *mountinfo) take(line []byte) {
	if len(line) == 0 {
		return
	}
	m, isCgroup, reason := parseMount(line)
	switch {
	case reason != "":
		r.complain(reason, line)
	case isCgroup:
		r.mounts = append(r.mounts, m)
	}
}

func (r *mountinfo) complain(reason string, line []byte) {
	if len(r.odd) < maxOdd {
		text := string(line[:min(len(line), 200)])
		r.odd = append(r.odd, &ParseError{File: "mountinfo", Line: r.number, Text: text, Reason: reason})
	}
}

// parseMount takes a line apart:
//
//	36 35 98:0 /root /point rw,noatime [optional fields] - fstype source superoptions
//
// Fields are separated by exactly one space; a source may be empty, and some
// file systems write spaces into their options as they are. Of lines that are not
// of a cgroup file system no more is looked at than what tells that.
func parseMount(line []byte) (m mount, isCgroup bool, reason string) {
	before, after, found := bytes.Cut(line, []byte(" - "))
	if !found {
		return m, false, "no separator \" - \""
	}
	fsType, rest, _ := bytes.Cut(after, []byte(" "))
	switch string(fsType) {
	case "cgroup":
	case "cgroup2":
		m.unified = true
	default:
		return m, false, ""
	}
	_, super, found := strings.Cut(string(rest), " ")
	if !found {
		return m, false, "fewer than three fields after the separator"
	}
	fields := strings.Split(string(before), " ")
	if len(fields) < 6 {
		return m, false, "fewer than six fields before the separator"
	}
	var err error
	if m.device, err = parseDevice(fields[2]); err != nil {
		return m, false, "bad device number"
	}
	m.root, m.point = Unescape(fields[3]), Unescape(fields[4])
	if !strings.HasPrefix(m.root, "/") || !strings.HasPrefix(m.point, "/") {
		return m, false, "root or mount point without a leading slash"
	}
	for option := range strings.SplitSeq(super, ",") {
		// Not before the split: a comma inside of a release_agent is escaped.
		m.options = append(m.options, Unescape(option))
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

// Unescape undoes the kernel's mangling (seq_escape, mangle_path): space, tab,
// newline, backslash and hash, in options also comma and equals sign, are
// written as a backslash and three octal digits. Anything else after a
// backslash stays as it is.
func Unescape(s string) string {
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
