package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// readAccounts returns the accounts of the machine's /etc/passwd, none if that
// cannot be read.
func readAccounts(m cgroupfs.Machine) []user.User {
	data, err := m.ReadFile("/etc/passwd")
	if err != nil {
		return nil
	}
	accounts, _ := user.ParsePasswd(bytes.NewReader(data))
	return accounts
}

// noAccountError says that there is no such user.
type noAccountError struct{ name string }

func (e *noAccountError) Error() string {
	return fmt.Sprintf("user %q is not known to the system", e.name)
}

// findAccount returns the account of that name. What /etc/passwd does not know
// may come from a directory service: getent(1) asks those too. The error is a
// *noAccountError.
func findAccount(name string) (user.User, error) {
	isHis := func(u user.User) bool { return u.Name == name }
	accounts := readAccounts(cgroupfs.Machine{})
	if !slices.ContainsFunc(accounts, isHis) {
		if line, err := exec.Command("getent", "passwd", "--", name).Output(); err == nil {
			accounts, _ = user.ParsePasswd(bytes.NewReader(line))
		}
	}
	if at := slices.IndexFunc(accounts, isHis); at >= 0 {
		return accounts[at], nil
	}
	return user.User{}, &noAccountError{name}
}

// nameUsers fills in the users of sessions that are a scope alone, by name or at
// least by number, and sorts them in.
func nameUsers(accounts []user.User, sessions []delegate.Session) []delegate.Session {
	for i := range sessions {
		s := &sessions[i]
		if s.User != "" {
			continue
		}
		s.User = strconv.Itoa(s.UID)
		if at := slices.IndexFunc(accounts, func(u user.User) bool { return u.Uid == s.UID }); at >= 0 {
			s.User = accounts[at].Name
		}
	}
	slices.SortStableFunc(sessions, func(a, b delegate.Session) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Number, b.Number))
	})
	return sessions
}

// ownerOf returns the real user ID of a process.
func ownerOf(m cgroupfs.Machine, pid int) (int, error) {
	data, err := m.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if ids, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			var real int
			_, err := fmt.Sscan(string(ids), &real)
			return real, err
		}
	}
	return 0, errors.New("no user ID in /proc/PID/status")
}
