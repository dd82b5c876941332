package check

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
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
	// Nameless tells that the user's name is not known, and Name is a word for it.
	Nameless bool
}

// Credentials are those by which its files are read.
func (s Subject) Credentials() machine.Credentials {
	return machine.Credentials{UID: s.UID, GID: s.GID, Groups: s.Groups}
}

// Caller returns the subject of the process that asks: on the running machine
// this one, on a recorded one that which recorded it. Its PID is that of the
// shell from which it was started. Errors are those of /proc/self/status.
func Caller(m machine.Machine) (Subject, error) {
	s, status, err := fromProc(m, "/proc/self")
	s.PID = shellOf(m, status)
	return s, err
}

// CallerBehind returns the subject of the nearest ancestor of the process that asks that is
// of this user: who asks by sudo or su. ok is false if there is none, as where /proc does
// not show it.
func CallerBehind(m machine.Machine, uid int) (s Subject, ok bool) {
	self, err := m.Status("/proc/self")
	if err != nil {
		return s, false
	}
	pid := self.Parent
	for range maxAncestors {
		status, err := m.StatusOf(pid)
		if err != nil || pid <= 1 {
			return s, false
		}
		if status.UID == uid {
			s, err = Process(m, pid)
			return s, err == nil
		}
		pid = status.Parent
	}
	return s, false
}

// wrappers start a program and wait for it: the shell is above them.
var wrappers = []string{"timeout", "nice", "ionice", "env", "time", "xargs", "watch", "strace", "setsid", "stdbuf"}

// shellOf returns the shell from which a process was started: its parent, but
// for programs that only wait for another, and for a part of a shell that ends
// soon, as $(...) makes: that is in its shell's process group.
func shellOf(m machine.Machine, self machine.Status) int {
	pid := self.Parent
	if pid <= 0 { // what lxc-attach started has no parent in its PID namespace
		return self.PID
	}
	for range maxAncestors {
		status, _ := m.StatusOf(pid)
		parent, err := m.StatusOf(status.Parent)
		process, _ := m.Process(pid)
		isWrapper := slices.Contains(wrappers, status.Name)
		isHis := err == nil && parent.UID == self.UID // else it is the application
		if status.Parent <= 1 || !isHis || !isWrapper && process.Group != status.Parent {
			return pid
		}
		pid = status.Parent
	}
	return pid
}

// Process returns the subject of a running process. Errors are those of
// /proc/PID/status.
func Process(m machine.Machine, pid int) (Subject, error) {
	s, _, err := fromProc(m, fmt.Sprintf("/proc/%d", pid))
	s.PID = pid
	return s, err
}

func fromProc(m machine.Machine, dir string) (s Subject, status machine.Status, err error) {
	if status, err = m.Status(dir); err != nil {
		return s, status, err
	}
	s = Subject{
		UID: status.UID, GID: status.GID, Groups: status.Groups,
		Proc: dir, noNewPrivs: status.NoNewPrivs,
	}
	if s.UID < 0 || s.GID < 0 {
		return s, status, fmt.Errorf("%s/status has no Uid or Gid line", dir)
	}
	entry, found := account.ByUID(m, s.UID)
	if !found {
		s.Name = strconv.Itoa(s.UID)
		return s, status, nil
	}
	s.Name, s.Home = entry.Name, entry.Home
	return s, status, nil
}

// Called is how the subject is called in a sentence: one without an account has a number alone.
func (s Subject) Called() string {
	if s.Name == strconv.Itoa(s.UID) {
		return "user " + s.Name
	}
	return s.Name
}

// Part returns the subject of a process of which only some files were recorded, as
// /proc/self; its PID is that of its status, or the given one if that has none. Its user is
// called name, or as /etc/passwd says, if that was recorded; "" if nobody knows.
func Part(m machine.Machine, pid int, name string) Subject {
	s := Subject{Name: name, UID: -1, GID: -1, PID: pid, Proc: "/proc/self"}
	if status, err := m.Status(s.Proc); err == nil {
		s.UID, s.GID, s.Groups, s.noNewPrivs = status.UID, status.GID, status.Groups, status.NoNewPrivs
		if status.PID > 0 {
			s.PID = status.PID
		}
	}
	if entry, found := account.ByUID(m, s.UID); found {
		s.Name, s.Home = entry.Name, entry.Home
	}
	s.Nameless = s.Name == ""
	switch {
	case s.Nameless && s.UID >= 0:
		s.Name = strconv.Itoa(s.UID)
	case s.Nameless:
		s.Name = "the user"
	}
	return s
}

// User returns the subject of a user without a process. The error is an
// *account.UnknownError.
func User(m machine.Machine, name string) (Subject, error) {
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

// mayWrite tells whether the subject may write a file, by its owner and mode
// (path_resolution(7), "Permissions"): cgroup file systems have no ACLs.
func (f *Facts) mayWrite(st machine.Stat) bool { return f.may(st, 0o2) }

// maySearch tells whether the subject may go through a directory.
func (f *Facts) maySearch(st machine.Stat) bool { return f.may(st, 0o1) }

func (f *Facts) may(st machine.Stat, want uint32) bool { return f.allows(f.Subject, st, want) }

func (f *Facts) allows(s Subject, st machine.Stat, want uint32) bool {
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
func (f *Facts) inUserNamespace() bool { return plan.InUserNamespace(f.Machine) }

// isSetUserIDRoot tells whether a program runs as root, whoever starts it.
func isSetUserIDRoot(st machine.Stat) bool {
	return st.Mode&unix.S_ISUID != 0 && st.UID == 0 && !st.NoSetUID
}
