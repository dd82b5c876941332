package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// Callers choose their words by errors.As and errors.Is, however deep the
// error was wrapped.
func TestErrorsThroughWrapping(t *testing.T) {
	kernel := &fs.PathError{Op: "mkdir", Path: "/sys/fs/cgroup/user", Err: unix.EROFS}
	for _, test := range []struct {
		name  string
		err   error
		found func(error) bool
		is    error // nil: no cause
		text  string
	}{
		{"UserNameError", &layout.UserNameError{Name: "a\nb", Reason: "has a control character"}, as[*layout.UserNameError],
			nil, `user name "a\nb": has a control character`},
		{"MissingError", &plan.MissingError{Controllers: []string{"a", "b"}}, as[*plan.MissingError], nil, `no mounted hierarchy has "a,b"`},
		{"EnableError", &apply.EnableError{Controller: "memory", Err: unix.EBUSY}, as[*apply.EnableError],
			unix.EBUSY, "controller memory: device or resource busy"},
		{"HierarchyError", &apply.HierarchyError{Hierarchy: "freezer", Err: kernel}, as[*apply.HierarchyError],
			unix.EROFS, "hierarchy freezer: mkdir /sys/fs/cgroup/user: read-only file system"},
		{"HierarchyError and its path", &apply.HierarchyError{Hierarchy: "freezer", Err: kernel}, as[*fs.PathError],
			unix.EROFS, "hierarchy freezer: mkdir /sys/fs/cgroup/user: read-only file system"},
		{"lock.Error", &lock.Error{Path: "/run/cgdeleg/users/u", Err: unix.EWOULDBLOCK}, as[*lock.Error],
			unix.EWOULDBLOCK, "lock /run/cgdeleg/users/u: resource temporarily unavailable"},
		{"DeniedError", &plan.DeniedError{Hierarchy: "pids", Err: kernel}, as[*plan.DeniedError],
			unix.EROFS, "hierarchy pids: mkdir /sys/fs/cgroup/user: read-only file system"},
		{"ConfinedError", &plan.ConfinedError{Hierarchy: "memory", File: "/m/job/memory.max", Value: "1"}, as[*plan.ConfinedError],
			nil, "confined by /m/job/memory.max (1)"},
		{"AccountError", &plan.AccountError{UID: 1, Least: 1000, From: "/etc/login.defs"}, as[*plan.AccountError],
			nil, "user ID 1 is a system account's: below UID_MIN 1000 of /etc/login.defs"},
		{"AccountError of the line", &plan.AccountError{UID: 1, Least: 2}, as[*plan.AccountError], nil, "user ID 1 is below min_uid=2"},
		{"LeftAloneError", &manager.LeftAloneError{Hierarchy: "pids", Cgroup: "/c"}, as[*manager.LeftAloneError],
			nil, "hierarchy pids: /c is systemd's or elogind's and no session scope of this user; the login stays there"},
		{"NoWritableCgroupError", &NoWritableCgroupError{}, as[*NoWritableCgroupError], nil, "no hierarchy is delegated to this process"},
		{"SettingError", &SettingError{File: "a", Delegated: []string{"b", "c"}}, as[*SettingError],
			nil, `no delegated hierarchy has the file "a"; delegated: b c`},
	} {
		t.Run(test.name, func(t *testing.T) {
			wrapped := fmt.Errorf("outer: %w", errors.Join(errors.New("other"), test.err))
			if !test.found(wrapped) {
				t.Error("errors.As does not find it")
			}
			if test.is != nil && !errors.Is(wrapped, test.is) {
				t.Errorf("errors.Is does not find %v", test.is)
			}
			if got := test.err.Error(); got != test.text {
				t.Errorf("text %q, want %q", got, test.text)
			}
		})
	}
}

func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// What came from outside is quoted and bounded before it gets into the log.
func TestErrorTextsAreBounded(t *testing.T) {
	long := "\n\x1b" + strings.Repeat("x", 100000)
	for _, err := range []error{&layout.UserNameError{Name: long}, &plan.MissingError{Controllers: []string{long}}} {
		if text := err.Error(); len(text) > 500 || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%T: %d bytes: %.60q", err, len(text), text)
		}
	}
}

// Open, Plan, Close and Undo refuse a bad name and an unreadable /proc before they
// touch anything.
func TestRequestsRefused(t *testing.T) {
	m := recorded("nosuch")
	for name, call := range map[string]func(user string) error{
		"Open": func(user string) error {
			_, err := Open(OpenRequest{Machine: m, Login: Login{User: user, Controllers: hierarchy.Everything}})
			return err
		},
		"Plan": func(user string) error {
			_, err := Plan(m, Login{User: user, Controllers: hierarchy.Everything})
			return err
		},
		"Close": func(user string) error {
			_, err := Close(CloseRequest{Machine: m, User: user})
			return err
		},
		"Undo": func(user string) error {
			_, err := Undo(CloseRequest{Machine: m, User: user})
			return err
		},
	} {
		for _, user := range []string{"", "..", "a/b", "a\n"} {
			if err := call(user); !as[*layout.UserNameError](err) {
				t.Errorf("%s for %q: %v", name, user, err)
			}
		}
		if err := call("alice"); !errors.Is(err, unix.ENOENT) || !as[*fs.PathError](err) {
			t.Errorf("%s without /proc: %v", name, err)
		}
	}
}
