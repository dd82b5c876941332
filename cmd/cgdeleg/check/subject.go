package check

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Subject is the user whose containers are to start, and if there is one, the
// process from which.
type Subject struct {
	Name   string
	UID    int
	GID    int
	Groups []int
	Home   string
	// PID is the process that a session would be made for: the shell from which
	// the check was started. 0: no process, only the user.
	PID int
	// Proc is the directory of /proc that says where that process is. A process
	// that asks about the shell from which it was started takes its own: in a
	// container the shell may be root's to look at, itself never is.
	Proc string
	// noNewPrivs tells that set-user-ID programs do not work for the process
	// (PR_SET_NO_NEW_PRIVS).
	noNewPrivs bool
}

// Caller returns the subject of the process that asks: on the running machine
// this one, on a recorded one that which recorded it. Its PID is that of the
// shell from which it was started. Errors are those of /proc/self/status.
func Caller(m cgroupfs.Machine) (Subject, error) {
	s, status, err := fromProc(m, "/proc/self")
	s.PID = shellOf(m, status)
	return s, err
}

// wrappers start a program and wait for it: the shell is above them.
var wrappers = []string{"timeout", "nice", "ionice", "env", "time", "xargs", "watch", "strace", "setsid", "stdbuf"}

// shellOf returns the shell from which a process was started: its parent, but
// for programs that only wait for another, and for a part of a shell that ends
// soon, as $(...) makes: that is in its shell's process group.
func shellOf(m cgroupfs.Machine, status procStatus) int {
	pid := status.number("PPid", 0)
	if pid <= 0 { // what lxc-attach started has no parent in its PID namespace
		return status.number("Pid", 0)
	}
	for range maxAncestors {
		parent := Parent(m, pid)
		isWrapper := slices.Contains(wrappers, statusOf(m, pid)["Name"])
		isHis := statusOf(m, parent).number("Uid", 1) == status.number("Uid", 1) // else it is the application
		if parent <= 1 || !isHis || !isWrapper && processGroup(m, pid) != parent {
			return pid
		}
		pid = parent
	}
	return pid
}

// processGroup returns the process group of a process (proc_pid_stat(5), field
// 5); 0 if it is not known.
func processGroup(m cgroupfs.Machine, pid int) int {
	fields := statFields(m, pid)
	if len(fields) < 3 {
		return 0
	}
	group, _ := strconv.Atoi(fields[5-3])
	return group
}

// statFields returns the fields of /proc/PID/stat from the third one on. The
// second, the name, may hold anything, so they count from its end.
func statFields(m cgroupfs.Machine, pid int) []string {
	data, err := m.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// Process returns the subject of a running process. Errors are those of
// /proc/PID/status.
func Process(m cgroupfs.Machine, pid int) (Subject, error) {
	s, _, err := fromProc(m, fmt.Sprintf("/proc/%d", pid))
	s.PID = pid
	return s, err
}

func fromProc(m cgroupfs.Machine, dir string) (s Subject, status procStatus, err error) {
	data, err := m.ReadFile(dir + "/status")
	if err != nil {
		return s, nil, err
	}
	status = parseStatus(string(data))
	s = Subject{
		UID: status.number("Uid", 1), GID: status.number("Gid", 1), // the effective ones
		Proc:       dir,
		noNewPrivs: status.number("NoNewPrivs", 0) == 1,
	}
	if s.UID < 0 || s.GID < 0 {
		return s, status, fmt.Errorf("%s/status has no Uid or Gid line", dir)
	}
	for word := range strings.FieldsSeq(status["Groups"]) {
		if gid, err := strconv.Atoi(word); err == nil {
			s.Groups = append(s.Groups, gid)
		}
	}
	entry, found := account.ByUID(m, s.UID)
	if !found {
		s.Name = strconv.Itoa(s.UID)
		return s, status, nil
	}
	s.Name, s.Home = entry.Name, entry.Home
	return s, status, nil
}

// User returns the subject of a user without a process. The error is an
// *account.UnknownError.
func User(m cgroupfs.Machine, name string) (Subject, error) {
	entry, err := account.ByName(m, name)
	if err != nil {
		return Subject{}, err
	}
	s := Subject{Name: entry.Name, UID: entry.Uid, GID: entry.Gid, Home: entry.Home}
	data, err := m.ReadFile("/etc/group")
	if err != nil {
		return s, nil
	}
	groups, _ := user.ParseGroupFilter(bytes.NewReader(data), func(g user.Group) bool { return slices.Contains(g.List, name) })
	for _, g := range groups {
		s.Groups = append(s.Groups, g.Gid)
	}
	return s, nil
}

// procStatus are the lines of /proc/PID/status.
type procStatus map[string]string

func parseStatus(data string) procStatus {
	all := procStatus{}
	for line := range strings.Lines(data) {
		key, value, _ := strings.Cut(line, ":")
		all[key] = strings.TrimSpace(value)
	}
	return all
}

// number returns the nth number of a line; -1 if there is none.
func (s procStatus) number(key string, n int) int {
	fields := strings.Fields(s[key])
	if n >= len(fields) {
		return -1
	}
	number, err := strconv.Atoi(fields[n])
	if err != nil {
		return -1
	}
	return number
}

// mayWrite tells whether the subject may write a file, by its owner and mode
// (path_resolution(7), "Permissions"): cgroup file systems have no ACLs.
func (f *Facts) mayWrite(st cgroupfs.Stat) bool { return f.may(st, 0o2) }

// maySearch tells whether the subject may go through a directory.
func (f *Facts) maySearch(st cgroupfs.Stat) bool { return f.may(st, 0o1) }

func (f *Facts) may(st cgroupfs.Stat, want uint32) bool { return f.allows(f.Subject, st, want) }

func (f *Facts) allows(s Subject, st cgroupfs.Stat, want uint32) bool {
	switch {
	case s.UID == 0 && !f.overflows(st.UID) && !f.overflows(st.GID):
		return true // CAP_DAC_OVERRIDE holds over what is mapped (user_namespaces(7))
	case s.UID == st.UID && !f.overflows(st.UID):
		return st.Mode>>6&want == want
	case s.GID == st.GID || slices.Contains(s.Groups, st.GID):
		return st.Mode>>3&want == want
	}
	return st.Mode&want == want
}

// overflowID is what an ID without a mapping looks like in a user namespace
// (/proc/sys/kernel/overflowuid).
const overflowID = 65534

// overflows tells whether an ID may be one that this user namespace does not
// map.
func (f *Facts) overflows(id int) bool { return id == overflowID && f.inUserNamespace() }

// inUserNamespace tells whether the machine is looked at from a user namespace
// other than the first.
func (f *Facts) inUserNamespace() bool {
	data, err := f.Machine.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, count uint64
	n, _ := fmt.Sscan(string(data), &inside, &outside, &count)
	return n == 3 && (inside != 0 || outside != 0 || count < math.MaxUint32)
}

// isSetUserIDRoot tells whether a program runs as root, whoever starts it.
func isSetUserIDRoot(st cgroupfs.Stat) bool {
	return st.Mode&unix.S_ISUID != 0 && st.UID == 0 && !st.NoSetUID
}
