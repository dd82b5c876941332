package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/messages/catalogue"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// emptyMachine is one with a freezer hierarchy in which nothing can be made, and the
// login's process in its root. No lock is to be had.
func emptyMachine(t *testing.T) surroundings {
	t.Helper()
	s, _ := aMachine(t, nil)
	s.locks.Dir = "/proc/nosuch/lock"
	return s
}

// aMachine is one with a freezer hierarchy, in which the processes 7 and 8 are in
// the root, with these files beside (path to content; one that ends with a slash is
// a directory). In the root the file of its processes is an ordinary one.
func aMachine(t *testing.T, files map[string]string) (s surroundings, dir string) {
	t.Helper()
	dir = t.TempDir()
	all := map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n", "proc/1/cgroup": "1:freezer:/\n",
		"proc/7/cgroup": "1:freezer:/\n", "proc/8/cgroup": "1:freezer:/user/alice/0\n",
		fmt.Sprintf("proc/%d/cgroup", os.Getpid()): "1:freezer:/\n", "f/cgroup.procs": "", machine.StatFile: "",
	}
	for path, content := range files {
		all[path] = content
	}
	for path, content := range all {
		full := filepath.Join(dir, path)
		var err error
		if strings.HasSuffix(path, "/") {
			err = os.MkdirAll(full, 0o755)
		} else {
			err = errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return surroundings{machine: machine.Recorded(dir), locks: lock.Locks{Dir: filepath.Join(t.TempDir(), "cgdeleg")}}, dir
}

// arguments are a request as module.c makes it.
func arguments(verb, pid, uid, gid, user, ticket string, options ...string) []string {
	return append([]string{"cgdeleg", verb, pid, uid, gid, user, "sshd", ticket}, options...)
}

// Requests that are answered before any cgroup is looked at. The reply's text
// is what module.c reads and what administrators find in their logs.
func TestRun(t *testing.T) {
	const nothing = "ticket begin\nresult success\n" // a ticket of nothing
	const without = "; this session has no cgroups of its own\n"
	bad := func(what string) string {
		return "log error bad request from the module: " + what + "\nresult failure\n"
	}
	const pid = "7"
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
		{"close for a bad user name has nothing to do", arguments("close", pid, "1", "1", "..", "session 0 x\nformer freezer:/\n"), "result success\n"},
		{"close says nothing of options", arguments("close", pid, "1", "1", "..", "", "nosuch", "-c", "all,x"), "result success\n"},

		{"unknown user", arguments("open", pid, "", "", "ghost", ""),
			"log error user \"ghost\" is not known to the system" + without + "result unknown-user\n"},
		{"bad name before unknown user", arguments("open", pid, "", "", "..", ""), "log error user name \"..\": means a directory" + without + "result failure\n"},

		{"below min_uid, silently", arguments("open", pid, "999", "999", "daemon", "", "min_uid=1000"), nothing},
		{"below min_uid, with debug", arguments("open", pid, "0", "0", "root", "", "min_uid=1", "debug"),
			"ticket begin\nlog debug user \"root\": user ID 0 is below min_uid=1, nothing done\nresult success\n"},
		{"system account, silently", arguments("open", pid, "999", "999", "daemon", ""), nothing},
		{"system account, with debug", arguments("open", pid, "999", "999", "daemon", "", "debug"),
			"ticket begin\nlog debug user \"daemon\": user ID 999 is a system account's: below UID_MIN, which is 1000 by default, nothing done\nresult success\n"},
		{"close for a bad user name with debug", arguments("close", pid, "1", "1", "..", "", "debug"), "result success\n"},
		{"undo for a bad user name", arguments("undo", pid, "1", "1", "..", ""), "result success\n"},
		{"close of nothing", arguments("close", pid, "", "", "alice", "", "debug"), "log debug user \"alice\": process 7 is in no session\nresult success\n"},
		{"close for a process that is gone", arguments("close", "9", "", "", "alice", ""),
			"log warning user \"alice\": session not closed: open /proc/9/cgroup: no such file or directory\nresult success\n"},
		{"open for a process that is gone", arguments("open", "9", "1000", "1000", "alice", ""),
			"log error user \"alice\": open /proc/9/cgroup: no such file or directory" + without + "result failure\n"},

		{"complaints come first", arguments("open", pid, "0", "0", "root", "", "nosuch", "min_uid=1", "timeout=0"),
			"log warning unknown option \"nosuch\" ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N\n" +
				"log warning option \"timeout=0\": want timeout=N with 1 to 60 seconds; option ignored\n" + nothing},
		{"option that forges a reply", arguments("open", pid, "0", "0", "root", "", "x\nresult failure", "min_uid=1"),
			`log warning unknown option "x\nresult failure" ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N` + "\n" + nothing},
		{"bad list", arguments("open", pid, "0", "0", "root", "", "-c", "all,x", "min_uid=1"),
			"log error controller list \"all,x\": \"all\" cannot stand beside other controllers" + without + "result failure\n"},
		{"no list", arguments("open", pid, "0", "0", "root", "", "min_uid=1", "-c"),
			"log error controller list \"\": names no controller" + without + "result failure\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			status := run(test.args, &out, emptyMachine(t))
			requireKnown(t, out.String())
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
	got, err := parseRequest(arguments("open", "42", "1000", "4294967294", `DOMAIN\u`, "session 0 x\n", "-c", "all"))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", request{
		verb: "open", pid: 42, uid: 1000, gid: 4294967294, user: `DOMAIN\u`, service: "sshd", ticket: "session 0 x\n", options: []string{"-c", "all"},
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

// requireKnown wants that the manual page says what each of a reply's lines for the log
// means.
func requireKnown(t *testing.T, reply string) {
	t.Helper()
	for line := range strings.Lines(reply) {
		rest, isLog := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "log ")
		level, text, _ := strings.Cut(rest, " ")
		if isLog && catalogue.Find(level, text) == nil {
			t.Errorf("package catalogue has no entry for %s %q", level, text)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, unix.EPIPE }

// An application that does not read any more must not be told success by the
// status.
func TestRunWithoutReader(t *testing.T) {
	if status := run(nil, brokenPipe{}, emptyMachine(t)); status != 1 {
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

// A ticket is a whole one each time, so that the last one counts.
func TestSayTicket(t *testing.T) {
	var out strings.Builder
	r := &replier{w: &out}
	for number := range 2 {
		announced := &ticket.Ticket{
			Session: layout.ID{User: "a b", Number: number}, Former: []hierarchy.Membership{{Hierarchy: "freezer", Path: "/x:y"}},
			Adopted: []hierarchy.Membership{{Hierarchy: "unified", Path: "/s"}},
		}
		if err := r.sayTicket(announced); err != nil {
			t.Error(err)
		}
	}
	want := "ticket begin\nticket session 0 a b\nticket former freezer:/x:y\nticket adopted unified:/s\n"
	want += strings.Replace(want, "session 0", "session 1", 1)
	if out.String() != want {
		t.Errorf("reply\n%swant\n%s", out.String(), want)
	}
	if r := (&replier{w: brokenPipe{}}); !errors.Is(r.sayTicket(&ticket.Ticket{}), errUnheard) || !r.failed {
		t.Error("nobody hears it, and it says nothing of that")
	}
}

// requireNothing wants that a login was left where it was and that nothing was made.
func requireNothing(t *testing.T, dir string) {
	t.Helper()
	procs, err := os.ReadFile(filepath.Join(dir, "f/cgroup.procs"))
	if err != nil || len(procs) > 0 {
		t.Errorf("the process was moved: %q, %v", procs, err)
	}
	if names, err := os.ReadDir(filepath.Join(dir, "f/user")); len(names) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in user/: %v, %v", names, err)
	}
}

// unheard is an application that reads no more once it has read so many lines.
type unheard struct {
	heard string
	lines int
	saw   func() // called for each
}

func (w *unheard) Write(data []byte) (int, error) {
	w.saw()
	if strings.Count(w.heard, "\n") >= w.lines {
		return 0, unix.EPIPE
	}
	w.heard += string(data)
	return len(data), nil
}

// What the application does not hear must not happen: nobody could take it back.
// At that moment the session is there, and can be entered.
func TestUnheardTicket(t *testing.T) {
	s, dir := aMachine(t, nil)
	session, seen := filepath.Join(dir, "f/user/alice/0"), false
	w := &unheard{lines: 1, saw: func() {
		if _, err := os.Stat(session); err == nil {
			seen = true
		}
	}}
	args := arguments("open", "7", fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid()), "alice", "", "nosuch", "min_uid=0")
	if status := run(args, w, s); status != 1 {
		t.Errorf("status %d", status)
	}
	if strings.Contains(w.heard, "result") || strings.Contains(w.heard, "ticket") {
		t.Errorf("it heard %q", w.heard)
	}
	if !seen {
		t.Error("the session was not there when its ticket was said")
	}
	requireNothing(t, dir)
}

// deaf is an application that misses the first line.
type deaf struct{ heard string }

func (w *deaf) Write(data []byte) (int, error) {
	if w.heard == "" {
		w.heard = "-"
		return 0, unix.ENOMEM
	}
	w.heard += string(data)
	return len(data), nil
}

// Whichever line could not be said, there is no result, so that all is taken back.
func TestUnheardLine(t *testing.T) {
	s, _ := aMachine(t, nil)
	w := &deaf{}
	args := arguments("open", "7", "", "", "alice", "", "nosuch", "alsonot")
	if status := run(args, w, s); status != 1 || !strings.HasPrefix(w.heard, "-log warning ") || strings.Contains(w.heard, "result") {
		t.Errorf("status %d, it heard %q", status, w.heard)
	}
}

// withoutInodes leaves out of a reply which directories a session is.
func withoutInodes(reply string) string { return madeLine.ReplaceAllString(reply, "") }

var madeLine = regexp.MustCompile(`(?m)^ticket made freezer:[1-9][0-9]*\n`)

// An open that fails leaves the process where it was and nothing behind. (In an
// ordinary directory there is no file in which a process could be moved.)
func TestOpenFails(t *testing.T) {
	s, dir := aMachine(t, nil)
	var out strings.Builder
	status := run(arguments("open", "7", fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid()), "alice", "", "min_uid=0"), &out, s)
	const said = "ticket begin\nticket session 0 alice\nticket former freezer:/\n"
	want := strings.Repeat(said, strings.Count(withoutInodes(out.String()), said)) + // as often as it was tried
		"log error user \"alice\": hierarchy freezer: open /f/user/alice/0/cgroup.procs: no such file or directory; this session has no cgroups of its own\nresult failure\n"
	if status != 0 || withoutInodes(out.String()) != want || !strings.HasPrefix(want, said) {
		t.Errorf("status %d, reply\n%swant\n%s", status, out.String(), want)
	}
	requireNothing(t, dir)
}

// A close by its ticket, or by the process; what cannot be used is no ticket.
func TestCloseAndUndo(t *testing.T) {
	for _, test := range []struct {
		name, verb, pid, ticket string
		files                   map[string]string
		want                    string
		moved                   string // what the root's file says
		left                    []string
	}{
		{"by the ticket, dead already", "close", "7", "session 0 alice\nformer freezer:/\n", map[string]string{"f/user/alice/0/x/": ""},
			"log debug user \"alice\": session 0 closed and removed\n", "", nil},
		{"by the process", "close", "8", "", map[string]string{"f/user/alice/0/x/": ""}, "log debug user \"alice\": session 0 closed and removed\n", "8", nil},
		{"a ticket that cannot be used", "close", "8", "session x\n", map[string]string{"f/user/alice/0/": ""},
			"log debug user \"alice\": session 0 closed and removed\n", "8", nil},
		{"others are in it", "close", "7", "session 0 alice\nformer freezer:/\n", map[string]string{"f/user/alice/0/cgroup.procs": "9\n"},
			"log debug user \"alice\": session 0 closed, left for a later cleanup: hierarchy freezer: /user/alice/0 has processes: device or resource busy\n", "", []string{"0"}},
		{"a scope that is gone", "close", "8", "adopted freezer:/gone\n", map[string]string{"f/user/alice/0/": ""},
			"log debug user \"alice\": session /gone closed and removed\n", "", []string{"0"}},
		{"another user's process", "close", "8", "", map[string]string{"f/user/bob/0/": "", "proc/8/cgroup": "1:freezer:/user/bob/0\n"},
			"log debug user \"alice\": process 8 is in no session\n", "", nil},
		{"undo by the ticket", "undo", "8", "session 0 alice\nformer freezer:/\n", map[string]string{"f/user/alice/0/": ""},
			"log debug user \"alice\": session 0 closed and removed\n", "8", nil},
		{"undo without a ticket takes what is dead", "undo", "7", "", map[string]string{"f/user/alice/3/": "", "f/user/alice/4/": ""},
			"log debug user \"alice\": process 7 is in no session\n", "", nil},
		{"undo while others are in it, which the close tries again", "undo", "7", "session 0 alice\nformer freezer:/\n", map[string]string{"f/user/alice/0/cgroup.procs": "9\n"},
			"log warning user \"alice\": session 0 closed, left for a later cleanup: hierarchy freezer: /user/alice/0 has processes: device or resource busy\n", "", []string{"0"}},
		{"undo of a directory alone", "undo", "7", "", map[string]string{"f/user/alice/": ""}, "log debug user \"alice\": process 7 is in no session\n", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := aMachine(t, test.files)
			var out strings.Builder
			status := run(arguments(test.verb, test.pid, "", "", "alice", test.ticket, "debug"), &out, s)
			requireKnown(t, out.String())
			result := resultSuccess // a session ends, but what is undone is as if it had not been
			if test.verb == "undo" && test.left != nil {
				result = resultFailure
			}
			if status != 0 || out.String() != test.want+"result "+result+"\n" {
				t.Errorf("status %d, reply\n%swant\n%s", status, out.String(), test.want)
			}
			if procs, err := os.ReadFile(filepath.Join(dir, "f/cgroup.procs")); err != nil || string(procs) != test.moved {
				t.Errorf("moved to the root: %q, %v; want %q", procs, err, test.moved)
			}
			var left []string
			names, _ := os.ReadDir(filepath.Join(dir, "f/user/alice"))
			for _, name := range names {
				left = append(left, name.Name())
			}
			if !slices.Equal(left, test.left) {
				t.Errorf("left are %q, want %q", left, test.left)
			}
		})
	}
}

// What goes wrong inside is told, and no result: then what was done is undone.
func TestRunPanics(t *testing.T) {
	s := emptyMachine(t)
	w := &unheard{lines: 1000, saw: func() {}}
	first := true
	w.saw = func() {
		if first {
			first = false
			panic("a\nb")
		}
	}
	if status := run(arguments("open", "7", "0", "0", "root", "", "min_uid=1"), w, s); status != 1 || w.heard != "log error internal error: a\\nb\n" {
		t.Errorf("status %d, reply %q", status, w.heard)
	}
}

func TestReport(t *testing.T) {
	nothing := ticket.Ticket{Session: layout.ID{Number: -1}}
	opened := func(number int, hierarchies ...string) (t ticket.Ticket) {
		t.Session = layout.ID{User: "u", Number: number}
		for _, h := range hierarchies {
			t.Former = append(t.Former, hierarchy.Membership{Hierarchy: h, Path: "/"})
		}
		return t
	}
	for _, test := range []struct {
		name   string
		debug  bool
		opened delegate.Opened
		want   string
	}{
		{"nothing to say", false, delegate.Opened{Ticket: opened(2, "freezer", "unified")}, ""},
		{"debug", true, delegate.Opened{Ticket: opened(2, "freezer", "unified")},
			"log debug user \"u\": session 2 opened by \"sshd\" in freezer unified\n"},
		{"a scope, with debug", true, delegate.Opened{Ticket: nothing, Plan: &plan.Plan{Steps: []plan.Step{{
			Selection: hierarchy.Selection{Hierarchy: &hierarchy.Hierarchy{Name: "unified"}}, Action: plan.Adopt, Scope: "/s",
		}}}}, "log debug user \"u\": session scope delegated in unified\n"},
		{"left alone", true, delegate.Opened{Ticket: nothing, Notes: []error{&manager.LeftAloneError{Hierarchy: "pids", Cgroup: "/x\n"}}},
			"log debug user \"u\": hierarchy pids: /x\\n is systemd's or elogind's and no session scope of this user; the login stays there\n"},
		{"confined", false, delegate.Opened{Ticket: nothing, Warnings: []error{&plan.ConfinedError{Hierarchy: "memory", File: "/m/job/memory.max", Value: "1"}}},
			"log warning user \"u\": confined by /m/job/memory.max (1): the login stays there, without cgroups of its own, because its session would not be under that limit (confined=move on the PAM line moves it all the same)\n"},
		{"nothing to make it in", false, delegate.Opened{Ticket: nothing, Warnings: []error{&plan.MissingError{Controllers: []string{"a", "b"}}}},
			"log warning user \"u\": no mounted hierarchy has \"a,b\"; ignored\n" +
				"log warning user \"u\": there is no hierarchy in which a session can be made; this session has no cgroups of its own\n"},
		{"warnings, each in its words", false, delegate.Opened{Ticket: opened(0, "freezer"), Warnings: []error{
			&apply.EnableError{Controller: "memory", Err: unix.EBUSY},
			&apply.EnableError{Controller: "cpu", Err: unix.EINVAL},
			&apply.EnableError{Controller: "pids", Err: unix.EBUSY},
			&apply.EnableError{Controller: "cpuset", Err: unix.ENOENT},
			&lock.Error{Path: "/run/cgdeleg/users/u", Err: unix.EROFS},
			&hierarchy.UnusableError{Hierarchy: "pids", Reason: "why"},
			&plan.DeniedError{Hierarchy: "blkio", Err: unix.EROFS},
			errors.New("two\nlines"),
		}}, "log warning user \"u\": lock /run/cgdeleg/users/u: read-only file system; session made without the lock, dead sessions were not removed\n" +
			"log warning user \"u\": hierarchy pids: why\n" +
			"log warning user \"u\": session without blkio: root may not make a cgroup there: read-only file system\n" +
			`log warning user "u": two\nlines` + "\n" +
			"log warning user \"u\": session without memory,pids: there are processes in the cgroup that holds user/\n" +
			"log warning user \"u\": session without cpu: invalid argument\n" +
			"log warning user \"u\": session without cpuset: not in Delegate= of session scopes (50-cgdeleg.conf)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			r := &replier{w: &out, debug: test.debug}
			r.report(request{user: "u", service: "sshd"}, &test.opened)
			if out.String() != test.want {
				t.Errorf("reply\n%swant\n%s", out.String(), test.want)
			}
		})
	}
}
