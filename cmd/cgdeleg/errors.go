package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/twin"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

// usageError is a command line that was not understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// failure ends a command whose words have been said already.
type failure struct{ words string }

func (e *failure) Error() string { return e.words }

// privilegeError is what only root can do.
type privilegeError struct{ words string }

func (e *privilegeError) Error() string { return e.words }

func needsRoot(what string) error { return &privilegeError{what + " needs root: run it with sudo"} }

// explain turns an error into a sentence with the fix, and an exit code.
func explain(err error) (words string, code int) { return explainOf("cgdeleg", err) }

// explainOf is explain for a command, whose --help is named.
func explainOf(command string, err error) (words string, code int) {
	var usage *usageError
	var failed *failure
	var privilege *privilegeError
	var name *layout.UserNameError
	var unknown *account.UnknownError
	var unlocked *lock.Error
	var none *delegate.NoWritableCgroupError
	var nowhere *noCgroupError
	var controller *delegate.NoControllerError
	var equivalent *limits.NoEquivalentError
	var limit *limits.SettingError
	var setting *delegate.SettingError
	var refused *apply.HierarchyError
	var path *fs.PathError
	var done *exit
	var config *configError
	switch {
	case errors.As(err, &done):
		return "", done.code
	case errors.Is(err, unix.EPIPE): // who reads has seen enough
		return "", exitFailed
	case errors.As(err, &privilege):
		return err.Error(), exitPrivilege
	case errors.As(err, &config) && errors.Is(err, fs.ErrNotExist):
		return err.Error() + "; is the container's name right? lxc-ls has them all", exitUsage
	case errors.As(err, &config) && errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0:
		return err.Error() + "; it was read as the user, who may not", exitPrivilege
	case errors.As(err, &config) && errors.Is(err, fs.ErrPermission):
		return err.Error() + "; another user's container: run it with sudo", exitPrivilege
	case errors.As(err, &config):
		return err.Error() + "; the container's configuration was not understood, nothing was checked", exitUsage
	case errors.As(err, &nowhere):
		return nowhere.words(), exitFailed
	case errors.As(err, &controller):
		return controllerWords(controller) + "; nothing was run", exitFailed
	case errors.As(err, &equivalent):
		return optionOf[equivalent.Limit.Name] + ": " + equivalent.Error() + "; nothing was run", exitFailed
	case errors.As(err, &limit):
		return fmt.Sprintf("%s: %v; nothing was run", optionOf[limit.Limit.Name], limit.Err), exitFailed
	case errors.As(err, &none):
		return "this shell has no cgroup of its own to make others in: log in again, by a service whose PAM file has pam_cgdeleg.so, or ask cgdeleg check why it has none; it is in" + where(none), exitFailed
	case errors.As(err, &setting):
		return settingWords(setting) + "; nothing was run", exitFailed
	case errors.As(err, &usage), isCobras(err):
		return err.Error() + "; see " + command + " --help", exitUsage
	case errors.As(err, &refused):
		return err.Error(), exitFailed
	case errors.As(err, &name), errors.As(err, &unknown):
		return err.Error(), exitUsage
	case errors.As(err, &failed):
		return err.Error(), exitFailed
	case errors.As(err, &unlocked) && errors.Is(err, fs.ErrPermission):
		return needsRoot("removing sessions").Error(), exitPrivilege
	case errors.As(err, &unlocked):
		return fmt.Sprintf("%v; another cgdeleg or a login holds it, try again", err), exitFailed
	case errors.As(err, &path) && errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%v; /proc may be mounted with hidepid: run it with sudo", err), exitUnknown
	}
	return err.Error(), exitUnknown
}

// settingWords says how a limit is had whose file no delegated hierarchy has: by its name on
// the other version of cgroups, if that sets the same here; else its controller is lacking.
func settingWords(e *delegate.SettingError) string {
	limit := []twin.Setting{{File: e.File, Value: e.Value}}
	for _, twins := range [][]twin.Setting{twin.OnV1(limit), twin.OnV2(limit)} {
		var words []string
		for _, t := range twins {
			controller, _, _ := strings.Cut(t.File, ".")
			if t.File != e.File && slices.Contains(e.Controllers, controller) {
				words = append(words, "-p "+shellWord(t.File+"="+t.Value))
			}
		}
		if len(words) > 0 {
			return fmt.Sprintf("no cgroup here has the file %q: cgroups of this version have %s in its place", e.File, strings.Join(words, " "))
		}
	}
	controller, _, _ := strings.Cut(e.File, ".")
	if slices.Contains(e.Controllers, controller) {
		return e.Error() + "; the controller " + controller + " is delegated, and has no file of that name"
	}
	return e.Error() + "; " + addController("its controller")
}

// addController says how the logins that follow have a controller.
func addController(name string) string {
	return "add " + name + " to -c on the PAM line (where systemd manages cgroup v2: to Delegate= in session-.scope.d/50-cgdeleg.conf)"
}

// controllerWords says which controller a command's limit lacks.
func controllerWords(e *delegate.NoControllerError) string {
	return fmt.Sprintf("%s: no delegated hierarchy has the controller %s; delegated: %s; %s",
		optionOf[e.Limit.Name], e.Controller, strings.Join(e.Delegated, " "), addController(e.Controller))
}

// shellWord is an argument as it is typed into a shell.
func shellWord(word string) string { return check.Command{Args: []string{word}}.String() }

// isCobras tells whether an error is cobra's word on the command line. They have
// no type.
func isCobras(err error) bool {
	return strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "if any flags in the group")
}

// where lists the cgroups of a process that may write none of them.
func where(none *delegate.NoWritableCgroupError) string {
	var out strings.Builder
	for _, m := range none.Cgroups {
		fmt.Fprintf(&out, " %s:%s", m.Hierarchy, m.Path)
	}
	return out.String()
}

// reasonLeft says in a few words why a session is still there.
func reasonLeft(err error) string {
	switch {
	case errors.Is(err, unix.EBUSY):
		return "in use: it has processes"
	case errors.Is(err, cgroupfs.ErrBudget):
		return "its tree is too deep or too large: remove it from below with rmdir, or run cleanup again"
	case errors.Is(err, fs.ErrPermission):
		return "not permitted: " + err.Error()
	}
	return err.Error()
}
