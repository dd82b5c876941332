package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
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
		{"NameError", &NameError{Name: "a\nb", Reason: "has a control character"}, as[*NameError],
			nil, `user name "a\nb": has a control character`},
		{"MissingError", &MissingError{Controllers: []string{"a", "b"}}, as[*MissingError], nil, `no mounted hierarchy has "a,b"`},
		{"EnableError", &EnableError{Controller: "memory", Err: unix.EBUSY}, as[*EnableError],
			unix.EBUSY, "controller memory: device or resource busy"},
		{"HierarchyError", &HierarchyError{Hierarchy: "freezer", Err: kernel}, as[*HierarchyError],
			unix.EROFS, "hierarchy freezer: mkdir /sys/fs/cgroup/user: read-only file system"},
		{"HierarchyError and its path", &HierarchyError{Hierarchy: "freezer", Err: kernel}, as[*fs.PathError],
			unix.EROFS, "hierarchy freezer: mkdir /sys/fs/cgroup/user: read-only file system"},
		{"LockError", &LockError{Path: "/run/cgdeleg/lock", Err: unix.EWOULDBLOCK}, as[*LockError],
			unix.EWOULDBLOCK, "lock /run/cgdeleg/lock: resource temporarily unavailable"},
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
	for _, err := range []error{&NameError{Name: long}, &MissingError{Controllers: []string{long}}} {
		if text := err.Error(); len(text) > 500 || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%T: %d bytes: %.60q", err, len(text), text)
		}
	}
}

// Open and Close refuse a bad name and an unreadable /proc before they touch
// anything.
func TestRequestsRefused(t *testing.T) {
	m := recorded("nosuch")
	for _, user := range []string{"", "..", "a/b", "a\n"} {
		if _, err := Open(OpenRequest{Machine: m, User: user, Controllers: hierarchy.Everything}); !as[*NameError](err) {
			t.Errorf("Open for %q: %v", user, err)
		}
		if _, err := Close(CloseRequest{Machine: m, User: user}); !as[*NameError](err) {
			t.Errorf("Close for %q: %v", user, err)
		}
	}
	if _, err := Open(OpenRequest{Machine: m, User: "alice", Controllers: hierarchy.Everything}); !errors.Is(err, unix.ENOENT) || !as[*fs.PathError](err) {
		t.Errorf("Open without /proc: %v", err)
	}
	if _, err := Close(CloseRequest{Machine: m, User: "alice"}); !errors.Is(err, unix.ENOENT) || !as[*fs.PathError](err) {
		t.Errorf("Close without /proc: %v", err)
	}
}
