package messages

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// The warnings' own words are tested where they are logged, in pam/worker.
func TestOpenedNothing(t *testing.T) {
	const nothing = "there is no hierarchy in which a session can be made; this session has no cgroups of its own"
	without := func(o delegate.Opened) delegate.Opened {
		o.Ticket.Session.Number = -1
		return o
	}
	for _, test := range []struct {
		name   string
		opened delegate.Opened
		want   bool
	}{
		{"nothing at all", without(delegate.Opened{}), true},
		{"a session", delegate.Opened{Ticket: ticket.Ticket{Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/"}}}}, false},
		{"an adopted scope", without(delegate.Opened{Ticket: ticket.Ticket{Adopted: []hierarchy.Membership{{Hierarchy: "unified", Path: "/s"}}}}), false},
		{"left alone for a reason", without(delegate.Opened{Notes: []error{&manager.LeftAloneError{}}}), false},
		{"elogind's own delegation", without(delegate.Opened{Notes: []error{&manager.DelegatedElsewhereError{}}}), false},
		{"a system account", without(delegate.Opened{Notes: []error{&plan.AccountError{}}}), false},
		{"a scope that is not delegated", without(delegate.Opened{Warnings: []error{&manager.ScopeNotDelegatedError{Scope: "/s"}}}), false},
		{"a login that somebody confines", without(delegate.Opened{Warnings: []error{&plan.ConfinedError{}}}), false},
		{"another warning", without(delegate.Opened{Warnings: []error{&plan.MissingError{Controllers: []string{"x"}}}}), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if texts := Opened(&test.opened); slices.Contains(texts, nothing) != test.want {
				t.Errorf("got %q", texts)
			}
		})
	}
}

// A hierarchy is named once, whatever its error was wrapped in.
func TestHierarchyIsNamedOnce(t *testing.T) {
	denied := &plan.DeniedError{Hierarchy: "memory", Err: unix.EROFS}
	for _, err := range []error{denied, fmt.Errorf("outer: %w", denied)} {
		opened := delegate.Opened{Warnings: []error{err}}
		for _, text := range Opened(&opened) {
			if strings.Count(text, "memory") > 1 {
				t.Errorf("%q names it twice", text)
			}
		}
	}
}

func TestNote(t *testing.T) {
	for _, test := range []struct {
		note error
		want string
	}{
		{&plan.AccountError{UID: 7, Least: 1000, From: "/etc/login.defs"}, "user ID 7 is a system account's: below UID_MIN 1000 of /etc/login.defs, nothing done"},
		{&plan.AccountError{UID: 7, Least: 8}, "user ID 7 is below min_uid=8, nothing done"},
		{&manager.LeftAloneError{Hierarchy: "pids", Cgroup: "/x"}, "hierarchy pids: /x is systemd's or elogind's and no session scope of this user; the login stays there"},
		{&manager.DelegatedElsewhereError{Hierarchy: "unified", Cgroup: "/1/delegated"}, "hierarchy unified: elogind delegates /1/delegated to the user; the login stays where it is"},
	} {
		if got := Note(test.note); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// Processes that stay are no fault, nor is an application that gave up root.
func TestClosed(t *testing.T) {
	for err, fault := range map[error]bool{
		unix.EBUSY: false, unix.EACCES: false, unix.EPERM: false, unix.EIO: true, unix.EROFS: true,
	} {
		left := &apply.HierarchyError{Hierarchy: "freezer", Err: fmt.Errorf("x: %w", err)}
		text, isFault := Closed("3", left)
		if want := fmt.Sprintf("session 3 closed, left for a later cleanup: hierarchy freezer: x: %v", err); text != want || isFault != fault {
			t.Errorf("got %q, %v", text, isFault)
		}
	}
	if text, isFault := Closed("0", nil); text != "session 0 closed and removed" || isFault {
		t.Errorf("got %q, %v", text, isFault)
	}
}

// A limit that does not hold is named with the file that should have it, or with what is in
// the way.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		err  *apply.LimitError
		want string
	}{
		{"nowhere", &apply.LimitError{Of: "login", Err: &plan.NoLimitError{Names: []limits.Name{limits.MemoryMax, limits.PidsMax}}},
			"limits memory.max, pids.max not set: no mounted hierarchy has the controller"},
		{"not by systemd", &apply.LimitError{Of: "login", Err: &plan.NotInUnitError{Name: limits.MemoryMax, File: "/sys/fs/cgroup/user.slice/user-1000.slice/memory.max", Value: "max"}},
			"limit memory.max not set: /sys/fs/cgroup/user.slice/user-1000.slice/memory.max is max"},
		{"not to be read", &apply.LimitError{Of: "login", Err: &plan.NotInUnitError{Name: limits.PidsMax, File: "/sys/fs/cgroup/user.slice/pids.max"}},
			"limit pids.max not set: /sys/fs/cgroup/user.slice/pids.max cannot be read"},
		{"more in use", &apply.LimitError{Of: "user", Err: &limits.InUseError{Limit: limits.Limit{Name: limits.MemoryMax}, InUse: 300, Want: 200, InForce: 400}},
			"limit of the user: memory.max is not 200 bytes yet, because 300 are in use; 400 bytes hold until then; cgdeleg limits apply lowers it as that falls"},
		{"refused by the kernel", &apply.LimitError{Of: "session", Err: unix.EINVAL}, "limit of the session not set: invalid argument"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Opened(&delegate.Opened{Warnings: []error{test.err}}); !slices.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
