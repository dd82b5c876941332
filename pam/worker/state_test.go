package worker

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

func TestStateRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name   string
		opened delegate.Opened
		lines  []string
	}{
		{"one hierarchy", delegate.Opened{Number: 0, Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/"}}}, []string{"0", "freezer:/"}},
		{"several", delegate.Opened{Number: 12, Former: []hierarchy.Membership{
			{Hierarchy: "cpu,cpuacct", Path: "/a b"}, {Hierarchy: "name=systemd", Path: "/user.slice"}, {Hierarchy: "unified", Path: "/user/x/1/init.scope"},
		}}, []string{"12", "cpu,cpuacct:/a b", "name=systemd:/user.slice", "unified:/user/x/1/init.scope"}},
		{"colons in the path", delegate.Opened{Number: 1, Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/x0::/:"}}}, []string{"1", "freezer:/x0::/:"}},
		{"removed cgroup", delegate.Opened{Number: 1, Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/a (deleted)"}}}, []string{"1", "freezer:/a (deleted)"}},
		{"hierarchy that was not in /proc/PID/cgroup", delegate.Opened{Number: 1, Former: []hierarchy.Membership{{Hierarchy: "freezer"}}}, []string{"1", "freezer:"}},
		{"no hierarchy", delegate.Opened{Number: 3}, []string{"3"}},
		{"elogind's alone", delegate.Opened{Number: -1, Elogind: []hierarchy.Membership{{Hierarchy: "unified", Path: "/c1"}}}, []string{"-1", "+unified:/c1"}},
		{"elogind's beside ours", delegate.Opened{
			Number: 2, Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/"}}, Elogind: []hierarchy.Membership{{Hierarchy: "name=elogind", Path: "/1"}},
		}, []string{"2", "freezer:/", "+name=elogind:/1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := formatState(&test.opened)
			if !reflect.DeepEqual(lines, test.lines) {
				t.Errorf("lines %q, want %q", lines, test.lines)
			}
			for _, end := range []string{"", "\n"} {
				if got := parseState(strings.Join(lines, "\n") + end); !reflect.DeepEqual(got, &test.opened) {
					t.Errorf("with %q at its end: %+v", end, got)
				}
			}
		})
	}
}

// A state that cannot be used is none: the close goes by the process then.
func TestParseStateRefuses(t *testing.T) {
	for _, test := range []struct{ name, state string }{
		{"empty", ""},
		{"newline alone", "\n"},
		{"no number", "x\nfreezer:/"},
		{"no session, and a cgroup from before it", "-1\nfreezer:/"},
		{"negative number", "-2\n+unified:/1"},
		{"elogind's before any number", "+unified:/1"},
		{"plus without a hierarchy", "1\n+:/"},
		{"number too large", "99999999999999999999\n"},
		{"number not alone", "1 \nfreezer:/"},
		{"line without a colon", "1\nfreezer"},
		{"line without a hierarchy", "1\n:/"},
		{"empty line", "1\n\nfreezer:/"},
		{"a good line before a bad one", "1\nfreezer:/\nx"},
		{"10 kB without a newline", strings.Repeat("1", 10000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parseState(test.state); got != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func FuzzParseState(f *testing.F) {
	for _, s := range []string{"", "0", "0\nfreezer:/\n", "12\ncpu,cpuacct:/a:b\nunified:/x (deleted)", "1\n:/", "-1", "007\nx:", "-1\n+unified:/c1\n", "0\nx:/\n+:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, state string) {
		opened := parseState(state)
		if opened == nil {
			return
		}
		if opened.Number < -1 || opened.Number < 0 && opened.Former != nil {
			t.Errorf("%q: %+v", state, opened)
		}
		if again := parseState(strings.Join(formatState(opened), "\n")); !reflect.DeepEqual(again, opened) {
			t.Errorf("%q: %+v, then %+v", state, opened, again)
		}
	})
}
