// Package account finds the accounts of a machine's users: in /etc/passwd, and
// on the running machine also where else it knows users from. It knows nothing
// of cgroups.
package account

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// All returns the accounts of the machine's /etc/passwd, none if that cannot be
// read.
func All(m machine.Machine) []user.User {
	data, err := m.ReadFile("/etc/passwd")
	if err != nil {
		return nil
	}
	accounts, _ := user.ParsePasswd(bytes.NewReader(data))
	return accounts
}

// UnknownError says that the machine knows no user of that name.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("user %q is not known to the system", e.Name)
}

// ByName returns the account of that name. The error is an *UnknownError.
func ByName(m machine.Machine, name string) (user.User, error) {
	u, found := find(m, name, func(u user.User) bool { return u.Name == name })
	if !found {
		return u, &UnknownError{Name: name}
	}
	return u, nil
}

// ByUID returns the account with that user ID, if there is one.
func ByUID(m machine.Machine, uid int) (user.User, bool) {
	return find(m, strconv.Itoa(uid), func(u user.User) bool { return u.Uid == uid })
}

// find looks into /etc/passwd first. What that does not know may come from a
// directory service: getent(1) asks those too, for a program that is built
// without the C library.
func find(m machine.Machine, key string, isIt func(user.User) bool) (user.User, bool) {
	accounts := All(m)
	if !slices.ContainsFunc(accounts, isIt) && !m.IsRecorded() && key != "" && !strings.HasPrefix(key, "-") {
		accounts = fromDirectory(key)
	}
	if at := slices.IndexFunc(accounts, isIt); at >= 0 {
		return accounts[at], true
	}
	return user.User{}, false
}

// patience bounds the question to a directory service, which may be far away.
const patience = 5 * time.Second

func fromDirectory(key string) []user.User {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "getent", "passwd", key)
	command.WaitDelay = patience / 10 // for what it may have started
	line, err := command.Output()
	if err != nil {
		return nil
	}
	accounts, _ := user.ParsePasswd(bytes.NewReader(line))
	return accounts
}
