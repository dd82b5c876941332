package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// userManager is the caller's own systemd (user@.service(5)), which makes scopes for
// commands.
type userManager struct {
	systemdRun string // the file of systemd-run(1)
}

// Why there is no user manager that could help.
var (
	errNoSystemd   = errors.New("systemd does not run this machine")
	errIsRoot      = errors.New("root has no user manager")
	errNotV2       = errors.New("a user manager limits nothing on cgroup v1")
	errNoManager   = errors.New("there is no user manager")
	errNoDirectory = errors.New("XDG_RUNTIME_DIR is not set")
	errNoProgram   = errors.New("there is no program systemd-run")
)

// findUserManager returns the caller's user manager, or why there is none that can help.
func findUserManager() (userManager, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return userManager{}, errNoSystemd
	}
	if os.Geteuid() == 0 {
		return userManager{}, errIsRoot
	}
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return userManager{}, err
	}
	defer set.Close()
	if !set.IsUnified() {
		return userManager{}, errNotV2
	}
	// the socket of systemd-run --user and systemctl --user
	const socket = "/systemd/private"
	if _, err := os.Stat(os.Getenv("XDG_RUNTIME_DIR") + socket); os.Getenv("XDG_RUNTIME_DIR") == "" || err != nil {
		if _, err := os.Stat("/run/user/" + strconv.Itoa(os.Geteuid()) + socket); err == nil {
			return userManager{}, errNoDirectory
		}
		return userManager{}, errNoManager
	}
	program, err := exec.LookPath("systemd-run")
	if err != nil {
		return userManager{}, errNoProgram
	}
	return userManager{program}, nil
}

// inNewScope has the user manager make a scope of which the caller is given the cgroups
// (Delegate=yes), and replaces this process by a cgdeleg in there that does the same
// again. It so has the same limits and the same report as in a session.
func (r *runRequest) inNewScope(manager userManager) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return notExecuted(manager.systemdRun, syscall.Exec(manager.systemdRun, r.scopeCommand(self), os.Environ()))
}

// scopeCommand is what makes the scope. A scope that failed is not kept (--collect): the
// kernel may kill something in it.
func (r *runRequest) scopeCommand(self string) []string {
	command := []string{"systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--", self, "run", "--" + inScopeFlag}
	return append(append(append(command, r.given...), "--"), r.args...)
}

// noCgroupError says that a command cannot be run in a cgroup of its own, neither here nor
// by a user manager.
type noCgroupError struct {
	none    *delegate.NoWritableCgroupError
	manager error // why not by that
	limits  []limits.Limit
}

func (e *noCgroupError) Error() string { return e.none.Error() }
func (e *noCgroupError) Unwrap() error { return e.none }

// words say what can be done.
func (e *noCgroupError) words() string {
	uid := strconv.Itoa(os.Geteuid())
	fix := "log in again, by a service whose PAM file has pam_cgdeleg.so, or ask cgdeleg check why it has none"
	switch {
	case errors.Is(e.manager, errIsRoot):
		fix = "as root give the limits to systemd: systemd-run --scope" + systemdWords(e.limits) + " -- COMMAND"
	case errors.Is(e.manager, errNoDirectory):
		fix = "your user manager can make one, once this shell knows of it: export XDG_RUNTIME_DIR=/run/user/" + uid
	case errors.Is(e.manager, errNoManager):
		fix += "; a user manager could make one as well, after: sudo loginctl enable-linger " + uid
	case errors.Is(e.manager, errNoProgram):
		fix += "; your user manager could make one as well, by systemd-run, which is not installed"
	}
	return "this shell has no cgroup of its own to make others in: " + fix + "; it is in" + where(e.none)
}

// systemdWords are limits as options of systemd-run(1).
func systemdWords(list []limits.Limit) string {
	names := map[limits.Name]string{limits.MemoryMax: "MemoryMax", limits.MemorySwapMax: "MemorySwapMax", limits.CPUMax: "CPUQuota", limits.PidsMax: "TasksMax"}
	rates := map[string]string{"rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax", "wiops": "IOWriteIOPSMax"}
	var words []string
	for _, l := range list {
		for _, r := range l.Value.Rates {
			value := "infinity"
			if !r.IsUnlimited {
				value = strconv.FormatUint(r.Number, 10) // systemd's units are others
			}
			words = append(words, shellWord(fmt.Sprintf("%s=%s %s", rates[r.Key], l.Value.Device, value)))
		}
		if name := names[l.Name]; name != "" {
			value := strings.Replace(l.Text(), "max", "infinity", 1)
			if l.Name == limits.CPUMax && value == "infinity" {
				value = "" // as systemd.resource-control(5) has it
			}
			words = append(words, shellWord(name+"="+value))
		}
	}
	var text strings.Builder
	for _, word := range words {
		text.WriteString(" -p " + word)
	}
	return text.String()
}
