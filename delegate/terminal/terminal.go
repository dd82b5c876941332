// Package terminal finds the terminals at which users are, and writes to them as wall(1)
// does when root runs it.
//
// It does not ask utmp(5), which not every machine has (musl's functions do nothing,
// Debian 13 has left it): a user's terminal is the controlling one of some process, and
// its device is the user's. It must not know why somebody is told something.
package terminal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Terminal is a terminal of a user.
type Terminal struct {
	Path   string // of its device
	UID    int    // whose it is
	Number uint64 // the device's, as unix.Mkdev makes it
	// Newest is the process that was started last of those whose controlling terminal
	// it is.
	Newest machine.Process
}

// maxProcesses bounds how many processes are looked at, and maxTerminals how many
// terminals each user has.
const (
	maxProcesses = 1 << 15
	maxTerminals = 16
)

// Find returns the terminals of users, by their IDs. Terminals of processes in another
// mount namespace are left out, except in that of process 1: their device numbers mean
// something else there (each mount of devpts counts from 0).
func Find(m machine.Machine, uids ...int) []Terminal {
	pids, err := m.Processes()
	if err != nil {
		return nil
	}
	f := finder{machine: m, wanted: map[int]int{}, known: map[uint32]*Terminal{}}
	for _, uid := range uids {
		f.wanted[uid] = maxTerminals
	}
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		if p, err := m.Process(pid); err == nil && p.Terminal != 0 {
			f.add(p)
		}
	}
	var all []Terminal
	for _, t := range f.known {
		if t != nil && t.Newest.PID != 0 {
			all = append(all, *t)
		}
	}
	return all
}

type finder struct {
	machine machine.Machine
	wanted  map[int]int          // how many terminals may still be found of a user
	known   map[uint32]*Terminal // nil: it is nobody's who is wanted
}

func (f *finder) add(p machine.Process) {
	t, isKnown := f.known[p.Terminal]
	if !isKnown {
		t = f.terminal(p.Terminal)
		f.known[p.Terminal] = t
	}
	if t != nil && (t.Newest.PID == 0 || p.Started > t.Newest.Started) && f.isNear(p.PID) {
		t.Newest = p
	}
}

// isNear tells whether a process is in this mount namespace, or in that of process 1:
// systemd gives services namespaces of their own.
func (f *finder) isNear(pid int) bool {
	theirs, ok := mountNamespace(fmt.Sprint(pid))
	own, ok2 := mountNamespace("self")
	first, ok3 := mountNamespace("1")
	return ok && (ok2 && theirs == own || ok3 && theirs == first)
}

func mountNamespace(process string) (inode uint64, ok bool) {
	var st unix.Stat_t
	err := unix.Stat("/proc/"+process+"/ns/mnt", &st)
	return st.Ino, err == nil
}

// terminal returns a device by its number; nil if it is nobody's who is wanted.
func (f *finder) terminal(encoded uint32) *Terminal {
	major, minor := machine.TerminalNumbers(encoded)
	t := &Terminal{Path: f.pathOf(major, minor), Number: unix.Mkdev(major, minor)}
	if t.Path == "" {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Lstat(t.Path, &st); err != nil || !t.isDevice(&st) {
		return nil
	}
	t.UID = int(st.Uid)
	if f.wanted[t.UID] <= 0 {
		return nil
	}
	f.wanted[t.UID]--
	return t
}

func (t *Terminal) isDevice(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == t.Number
}

// The majors of terminals with a fixed number (Documentation/admin-guide/devices.txt).
const (
	majorTTY  = 4   // virtual consoles, and serial lines from 64 on
	majorPTS  = 136 // Unix98 pseudo-terminals
	majorsPTS = 8
)

// pathOf returns the device of a terminal, "" if it is not known.
func (f *finder) pathOf(major, minor uint32) string {
	switch {
	case major >= majorPTS && major < majorPTS+majorsPTS:
		return fmt.Sprintf("/dev/pts/%d", (major-majorPTS)<<8+minor)
	case major == majorTTY && minor < 64:
		return fmt.Sprintf("/dev/tty%d", minor)
	}
	data, err := f.machine.ReadFile(fmt.Sprintf("/sys/dev/char/%d:%d/uevent", major, minor))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok && isName(name) {
			return "/dev/" + name
		}
	}
	return ""
}

func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// Write writes a text, which has to be harmless, with one write(2). It does not wait for
// a terminal that is stopped, or that nobody reads: then the error is EAGAIN. As root's
// wall(1) it writes whatever mesg(1) says: that is for other users. Errors are
// *fs.PathError: EPERM if the device is another one or somebody else's by now.
func (t *Terminal) Write(text string) error {
	fail := func(op string, err error) error { return &fs.PathError{Op: op, Path: t.Path, Err: err} }
	fd, err := unix.Open(t.Path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail("fstat", err)
	}
	if !t.isDevice(&st) || int(st.Uid) != t.UID {
		return fail("write to", unix.EPERM)
	}
	n, err := unix.Write(fd, []byte(text))
	if errors.Is(err, unix.EINTR) {
		n, err = unix.Write(fd, []byte(text))
	}
	switch {
	case err != nil:
		return fail("write", err)
	case n < len(text):
		return fail("write", unix.EAGAIN)
	}
	return nil
}
