package worker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// noLock cannot be had: a case that got as far as cgroups would say so.
var noLock = delegate.Lock{Dir: "/proc/nosuch/lock"}

// arguments are a request as module.c makes it.
func arguments(verb, pid, uid, gid, user, state string, options ...string) []string {
	return append([]string{"cgdeleg", verb, pid, uid, gid, user, "sshd", state}, options...)
}

// Requests that are answered before any cgroup is looked at. The reply's text
// is what module.c reads and what administrators find in their logs.
func TestRun(t *testing.T) {
	const without = "; this session has no cgroups of its own\n"
	bad := func(what string) string {
		return "log error bad request from the module: " + what + "\nresult failure\n"
	}
	pid := fmt.Sprint(os.Getpid())
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no arguments", nil, bad("0 arguments, want at least 8")},
		{"seven arguments", arguments("open", pid, "1", "1", "u", "")[:7], bad("7 arguments, want at least 8")},
		{"unknown verb", arguments("steal", pid, "1", "1", "u", ""), bad(`verb "steal"`)},
		{"empty verb", arguments("", pid, "1", "1", "u", ""), bad(`verb ""`)},
		{"verb with a newline", arguments("a\nresult success", pid, "1", "1", "u", ""), bad(`verb "a\nresult success"`)},
		{"PID that is no number", arguments("open", "x", "1", "1", "u", ""), bad(`strconv.Atoi: parsing "x": invalid syntax`)},
		{"no PID", arguments("open", "", "1", "1", "u", ""), bad(`strconv.Atoi: parsing "": invalid syntax`)},
		{"negative user ID", arguments("open", pid, "-1", "1", "u", ""), bad(`strconv.ParseUint: parsing "-1": invalid syntax`)},
		{"user ID without group ID", arguments("open", pid, "1", "", "u", ""), bad(`strconv.ParseUint: parsing "": invalid syntax`)},
		{"group ID that chown takes for no change", arguments("open", pid, "1", "4294967295", "u", ""), bad("4294967295 is no ID")},
		{"both IDs bad", arguments("open", pid, "x", "y", "u", ""),
			bad(`strconv.ParseUint: parsing "x": invalid syntax\nstrconv.ParseUint: parsing "y": invalid syntax`)},

		{"empty user name", arguments("open", pid, "1", "1", "", ""), "log error user name \"\": empty" + without + "result failure\n"},
		{"user name that leads out", arguments("open", pid, "1", "1", "..", ""), "log error user name \"..\": means a directory" + without + "result failure\n"},
		{"user name with a slash", arguments("open", pid, "1", "1", "a/b", ""), "log error user name \"a/b\": has a slash" + without + "result failure\n"},
		{"user name that forges a reply", arguments("open", pid, "1", "1", "a\nresult success", ""),
			`log error user name "a\nresult success": has a control character` + without + "result failure\n"},
		{"user name beyond 255 bytes", arguments("open", pid, "1", "1", strings.Repeat("x", 300), ""),
			`log error user name "` + strings.Repeat("x", 300) + `": longer than 255 bytes` + without + "result failure\n"},
		{"close for a bad user name has nothing to do", arguments("close", pid, "1", "1", "..", "0\nfreezer:/\n"), "result success\n"},
		{"close says nothing of options", arguments("close", pid, "1", "1", "..", "", "nosuch", "-c", "all,x"), "result success\n"},

		{"unknown user", arguments("open", pid, "", "", "ghost", ""),
			"log error user \"ghost\" is not known to the system" + without + "result unknown-user\n"},
		{"bad name before unknown user", arguments("open", pid, "", "", "..", ""), "log error user name \"..\": means a directory" + without + "result failure\n"},

		{"below min_uid, silently", arguments("open", pid, "999", "999", "daemon", "", "min_uid=1000"), "result success\n"},
		{"below min_uid, with debug", arguments("open", pid, "0", "0", "root", "", "min_uid=1", "debug"),
			"log debug user \"root\": user ID 0 is below min_uid=1, nothing done\nresult success\n"},
		{"complaints come first", arguments("open", pid, "0", "0", "root", "", "nosuch", "min_uid=1", "timeout=0"),
			"log warning unknown option \"nosuch\" ignored; known are -c LIST, debug, min_uid=N, timeout=N\n" +
				"log warning option \"timeout=0\": want timeout=N with 1 to 60 seconds; option ignored\nresult success\n"},
		{"option that forges a reply", arguments("open", pid, "0", "0", "root", "", "x\nresult failure", "min_uid=1"),
			`log warning unknown option "x\nresult failure" ignored; known are -c LIST, debug, min_uid=N, timeout=N` + "\nresult success\n"},
		{"bad list", arguments("open", pid, "0", "0", "root", "", "-c", "all,x", "min_uid=1"),
			"log error controller list \"all,x\": \"all\" cannot stand beside other controllers" + without + "result failure\n"},
		{"no list", arguments("open", pid, "0", "0", "root", "", "min_uid=1", "-c"),
			"log error controller list \"\": names no controller" + without + "result failure\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			status := run(test.args, &out, noLock)
			if out.String() != test.want {
				t.Errorf("reply\n%swant\n%s", out.String(), test.want)
			}
			if status != 0 {
				t.Errorf("status %d", status)
			}
		})
	}
}

func TestParseRequest(t *testing.T) {
	got, err := parseRequest(arguments("open", "42", "1000", "4294967294", `DOMAIN\u`, "0\n", "-c", "all"))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", request{
		verb: "open", pid: 42, uid: 1000, gid: 4294967294, user: `DOMAIN\u`, service: "sshd", state: "0\n", options: []string{"-c", "all"},
	})
	if fmt.Sprintf("%+v", got) != want {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
	if unknown, err := parseRequest(arguments("close", "42", "", "", "u", "")); err != nil || unknown.uid != -1 || unknown.gid != -1 || len(unknown.options) != 0 {
		t.Errorf("unknown user: %+v, %v", unknown, err)
	}
	if _, err := parseRequest(arguments("open", "42", "4294967296", "0", "u", "")); err == nil {
		t.Error("a user ID of more than 32 bits passes")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, unix.EPIPE }

// An application that does not read any more must not be told success by the
// status.
func TestRunWithoutReader(t *testing.T) {
	if status := run(nil, brokenPipe{}, noLock); status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestOneLine(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"ordinary", `user "a": x/y`, `user "a": x/y`},
		{"newlines", "a\r\nlog error forged\n", `a\r\nlog error forged\n`},
		{"terminal escapes", "\x1b[2J\a", `\x1b[2J\a`},
		{"NUL", "\x00", `\x00`},
		{"C1 control", "\u0085\u009b", `\u0085\u009b`},
		{"line and paragraph separators", "\u2028\u2029", `\u2028\u2029`},
		{"text that turns direction", "a\u202eb", `a\u202eb`},
		{"letters stay", "žofie 日本", "žofie 日本"},
		{"quotes and backslashes stay", `'"\`, `'"\`},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := oneLine(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzOneLine(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\x1b\x00\xff", "\u2028\u0085", "'\"\\", "\U000e0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := oneLine(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 }) {
			t.Errorf("%q became %q", s, got)
		}
		if again := oneLine(got); again != got {
			t.Errorf("%q became %q, then %q", s, got, again)
		}
	})
}

func TestReport(t *testing.T) {
	member := func(h, path string) hierarchy.Membership { return hierarchy.Membership{Hierarchy: h, Path: path} }
	for _, test := range []struct {
		name   string
		debug  bool
		opened delegate.Opened
		want   string
	}{
		{"state for the close", false, delegate.Opened{Number: 2, Former: []hierarchy.Membership{member("freezer", "/"), member("unified", "/a b")}},
			"state 2\nstate freezer:/\nstate unified:/a b\n"},
		{"debug", true, delegate.Opened{Number: 2, Former: []hierarchy.Membership{member("freezer", "/"), member("unified", "/")}},
			"log debug user \"u\": session 2 opened by \"sshd\" in freezer unified\nstate 2\nstate freezer:/\nstate unified:/\n"},
		{"nothing to make it in", false, delegate.Opened{Warnings: []error{&delegate.MissingError{Controllers: []string{"a", "b"}}}},
			"log warning user \"u\": no mounted hierarchy has \"a,b\"; the session is without\n" +
				"log warning user \"u\": nothing to make a session in; this session has no cgroups of its own\n"},
		{"warnings, each in its words", false, delegate.Opened{Former: []hierarchy.Membership{member("freezer", "/")}, Warnings: []error{
			&delegate.EnableError{Controller: "memory", Err: unix.EBUSY},
			&delegate.EnableError{Controller: "cpu", Err: unix.EINVAL},
			&delegate.EnableError{Controller: "pids", Err: unix.EBUSY},
			&delegate.EnableError{Controller: "cpuset", Err: unix.ENOENT},
			&delegate.LockError{Path: "/run/cgdeleg/lock", Err: unix.EROFS},
			&hierarchy.UnusableError{Hierarchy: "pids", Reason: "why"},
			&delegate.DeniedError{Hierarchy: "blkio", Err: unix.EROFS},
			errors.New("two\nlines"),
		}}, "log warning user \"u\": lock /run/cgdeleg/lock: read-only file system; went on without, dead sessions were not swept\n" +
			"log warning user \"u\": hierarchy pids: why\n" +
			"log warning user \"u\": left out blkio: root may make no cgroup there: read-only file system\n" +
			`log warning user "u": two\nlines` + "\n" +
			"log warning user \"u\": left out memory,pids: there are processes in the cgroup that holds user/\n" +
			"log warning user \"u\": left out cpu: invalid argument\n" +
			"log warning user \"u\": left out cpuset: systemd does not give it to session scopes (Delegate= in 50-cgdeleg.conf)\nstate 0\nstate freezer:/\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			r := &replier{w: &out, debug: test.debug}
			r.report(request{user: "u", service: "sshd"}, &test.opened)
			if len(test.opened.Former) > 0 {
				r.sayState(&test.opened)
			}
			if out.String() != test.want {
				t.Errorf("reply\n%swant\n%s", out.String(), test.want)
			}
		})
	}
}
