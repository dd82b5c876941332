package messages

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// The warnings' own words are tested where they are logged, in pam/worker.
func TestOpenedNothing(t *testing.T) {
	const nothing = "nothing to make a session in; this session has no cgroups of its own"
	for _, test := range []struct {
		name   string
		opened delegate.Opened
		want   bool
	}{
		{"nothing at all", delegate.Opened{}, true},
		{"a session", delegate.Opened{Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/"}}}, false},
		{"an adopted scope", delegate.Opened{Adopted: []string{"unified"}}, false},
		{"left alone for a reason", delegate.Opened{Notes: []error{&delegate.LeftAloneError{}}}, false},
		{"a scope that is not delegated", delegate.Opened{Warnings: []error{&delegate.NotDelegatedError{Scope: "/s"}}}, false},
		{"another warning", delegate.Opened{Warnings: []error{&delegate.MissingError{Controllers: []string{"x"}}}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if texts := Opened(&test.opened); slices.Contains(texts, nothing) != test.want {
				t.Errorf("got %q", texts)
			}
		})
	}
}

// Processes that stay are no fault, nor is an application that gave up root.
func TestClosed(t *testing.T) {
	for err, fault := range map[error]bool{
		unix.EBUSY: false, unix.EACCES: false, unix.EPERM: false, unix.EIO: true, unix.EROFS: true,
	} {
		left := &delegate.HierarchyError{Hierarchy: "freezer", Err: fmt.Errorf("x: %w", err)}
		text, isFault := Closed("3", left)
		if want := fmt.Sprintf("session 3 closed, left for a later sweep: hierarchy freezer: x: %v", err); text != want || isFault != fault {
			t.Errorf("got %q, %v", text, isFault)
		}
	}
	if text, isFault := Closed("0", nil); text != "session 0 closed and removed" || isFault {
		t.Errorf("got %q, %v", text, isFault)
	}
}
