package ticket

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

var nothing = layout.ID{Number: -1}

func member(h, path string) hierarchy.Membership {
	return hierarchy.Membership{Hierarchy: h, Path: path}
}

func session(number int, user string) layout.ID { return layout.ID{User: user, Number: number} }

func TestRoundTrip(t *testing.T) {
	type members = []hierarchy.Membership
	for _, test := range []struct {
		name    string
		ticket  Ticket
		text    string
		isEmpty bool
	}{
		{"one hierarchy", Ticket{Session: session(0, "alice"), Former: members{member("freezer", "/")}}, "session 0 alice\nformer freezer:/\n", false},
		{"several", Ticket{Session: session(12, "x"), Former: members{
			member("cpu,cpuacct", "/a b"), member("name=systemd", "/user.slice"), member("unified", "/user/x/1/init.scope"),
		}}, "session 12 x\nformer cpu,cpuacct:/a b\nformer name=systemd:/user.slice\nformer unified:/user/x/1/init.scope\n", false},
		{"colons in the path", Ticket{Session: session(1, "x"), Former: members{member("freezer", "/x0::/:")}}, "session 1 x\nformer freezer:/x0::/:\n", false},
		{"removed cgroup", Ticket{Session: session(1, "x"), Former: members{member("freezer", "/a (deleted)")}}, "session 1 x\nformer freezer:/a (deleted)\n", false},
		{"hierarchy that was not in /proc/PID/cgroup", Ticket{Session: session(1, "x"), Former: members{member("freezer", "")}}, "session 1 x\nformer freezer:\n", false},
		{"from another session", Ticket{
			Session: session(1, "x"), Former: members{member("freezer", "/user/y/0"), member("pids", "/")}, Inodes: []Inode{{"freezer", 1<<64 - 1}},
		}, "session 1 x\nformer freezer:/user/y/0\nformer pids:/\ninode freezer:18446744073709551615\n", false},
		{"known by its inodes", Ticket{
			Session: session(1, "x"), Former: members{member("freezer", "/")}, Made: []Inode{{"freezer", 7}, {"pids", 8}},
		}, "session 1 x\nformer freezer:/\nmade freezer:7\nmade pids:8\n", false},
		{"no hierarchy", Ticket{Session: session(3, "x")}, "session 3 x\n", false},
		{"a scope alone", Ticket{Session: nothing, Adopted: members{member("unified", "/c1")}}, "adopted unified:/c1\n", false},
		{"a scope beside ours", Ticket{
			Session: session(2, "x"), Former: members{member("freezer", "/")}, Adopted: members{member("name=elogind", "/1")},
		}, "session 2 x\nformer freezer:/\nadopted name=elogind:/1\n", false},
		{"user with spaces", Ticket{Session: session(1, " first  last ")}, "session 1  first  last \n", false},
		{"user of a domain", Ticket{Session: session(1, `DOMAIN\u`)}, "session 1 DOMAIN\\u\n", false},
		{"user with an escaped name", Ticket{Session: session(1, "_tasks")}, "session 1 _tasks\n", false},
		{"user who is not in UTF-8", Ticket{Session: session(1, "\xff")}, "session 1 \xff\n", false},
		{"user who is called as a line", Ticket{Session: session(1, "former freezer:x")}, "session 1 former freezer:x\n", false},
		{"nothing", Ticket{Session: nothing}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := test.ticket.MarshalText()
			if err != nil || string(text) != test.text {
				t.Errorf("text %q, %v; want %q", text, err, test.text)
			}
			if test.ticket.IsEmpty() != test.isEmpty {
				t.Errorf("IsEmpty is %v", !test.isEmpty)
			}
			for _, text := range []string{test.text, strings.TrimSuffix(test.text, "\n")} {
				got := Ticket{Session: session(7, "before"), Former: members{member("pids", "/")}} // is written over
				if err := got.UnmarshalText([]byte(text)); err != nil || !reflect.DeepEqual(got, test.ticket) {
					t.Errorf("%q: %+v, %v", text, got, err)
				}
			}
		})
	}
}

// What cannot be used is none: the close goes by the process then.
func TestRefused(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"newline alone", "\n"},
		{"no number", "session x alice\n"},
		{"negative number", "session -1 alice\n"},
		{"number not as we write it", "session 01 alice\n"},
		{"number with a sign", "session +1 alice\n"},
		{"number too large", "session 99999999999999999999 alice\n"},
		{"no user", "session 1\n"},
		{"empty user", "session 1 \n"},
		{"user that leads out", "session 1 ..\n"},
		{"user with a slash", "session 1 a/b\n"},
		{"user with a NUL", "session 1 a\x00b\n"},
		{"user as no directory is called", "session 1 tasks\n"},
		{"two sessions", "session 1 alice\nsession 2 alice\n"},
		{"former before any session", "former freezer:/\nsession 1 alice\n"},
		{"former without a session", "former freezer:/\n"},
		{"former without a colon", "session 1 alice\nformer freezer\n"},
		{"former without a hierarchy", "session 1 alice\nformer :/\n"},
		{"adopted without a colon", "adopted unified\n"},
		{"adopted without a hierarchy", "adopted :/1\n"},
		{"empty line", "session 1 alice\n\nformer freezer:/\n"},
		{"unknown word", "session 1 alice\nlater x\n"},
		{"word alone", "session\n"},
		{"upper case", "SESSION 1 alice\n"},
		{"space before the word", " session 1 alice\n"},
		{"a good line before a bad one", "session 1 alice\nformer freezer:/\nx\n"},
		{"cut off in a word", "session 1 alice\nform"},
		{"of the version before", "1\nfreezer:/\n"},
		{"10 kB without a newline", strings.Repeat("1", 10000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := Ticket{Session: session(7, "before")}
			got := before
			if err := got.UnmarshalText([]byte(test.text)); !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(got, before) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzTicket(f *testing.F) {
	for _, s := range []string{
		"", "session 0 alice\n", "session 12 x\nformer cpu,cpuacct:/a:b\nformer unified:/x (deleted)", "session 1 x\nformer :/\n",
		"session -1 x", "session 007 x\nformer x:", "adopted unified:/c1\n", "session 0 x\nformer x:/\nadopted :\n", "former x:/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got Ticket
		if err := got.UnmarshalText([]byte(text)); err != nil {
			if !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(got, Ticket{}) {
				t.Errorf("%q: %+v, %v", text, got, err)
			}
			return
		}
		if got.Session.Number < -1 || got.Session.Number < 0 && got.Former != nil || got.Session.Number >= 0 && !layout.IsDirName(got.Session.User) {
			t.Errorf("%q: %+v", text, got)
		}
		out, err := got.MarshalText()
		var again Ticket
		if err != nil || again.UnmarshalText(out) != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q: %+v, then %+v, %v", text, got, again, err)
		}
	})
}
