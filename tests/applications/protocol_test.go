package applications

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// standIn is a module whose worker is a shell script of the test's, so that what
// the C side makes of a worker's words and of its end is seen without Go: it is
// built as for musl, where the worker is a program.
type standIn struct{ module, dir string }

func buildStandIn(t *testing.T) standIn {
	t.Helper()
	if testbed.Musl() {
		t.Skip("needs a compiler; the same C files are tested outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc")
	dir := "/run/standin" // private to the tests
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pam := filepath.Join(testbed.Root(t), "pam")
	built := testbed.CompileC(t, filepath.Join(pam, "module.c"), filepath.Join(pam, "child.c"), filepath.Join(pam, "spawn_exec.c"),
		filepath.Join(pam, "enter.c"), filepath.Join(pam, "server.c"), filepath.Join(pam, "supervise.c"), filepath.Join(pam, "systemd.c"), filepath.Join(pam, "told.c"), "-shared", "-fPIC", `-DCGDELEG_WORKER="`+dir+`/worker"`, "-lpam")
	module := filepath.Join(filepath.Dir(built), "pam_cgdeleg.so") // libpam logs with the file's name
	if err := os.Rename(built, module); err != nil {
		t.Fatal(err)
	}
	return standIn{module, dir}
}

// prepare says what the worker does, as shell code for each verb; for others it
// reports success. say writes lines of the reply.
func (s standIn) prepare(t *testing.T, verbs map[string]string) {
	t.Helper()
	script := "#!/bin/sh\nprintf '%s|' \"$@\" | tr '\\n' ';' >>" + s.dir + "/calls\necho >>" + s.dir + "/calls\n" +
		"say() { printf '%s\\n' \"$@\" >&3; }\ncase $1 in\n"
	for verb, code := range verbs {
		script += verb + ")\n" + code + "\n;;\n"
	}
	script += "*) say 'result success';;\nesac\n"
	if err := os.WriteFile(filepath.Join(s.dir, "worker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "worker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "calls")); err != nil {
		t.Fatal(err)
	}
}

// calls returns the arguments of each worker that was run, newlines as ";".
func (s standIn) calls(t *testing.T) [][]string {
	t.Helper()
	var calls [][]string
	for line := range strings.Lines(readFile(filepath.Join(s.dir, "calls"))) {
		calls = append(calls, strings.Split(strings.TrimSuffix(line, "|\n"), "|"))
	}
	return calls
}

// What becomes of the words of an open's worker, by the workers that follow:
// each is VERB:TICKET. The application opens a session and closes it; for a close that
// has nothing to do there is none.
func TestWorkersWords(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cgwords", 20801)
	testbed.WriteService(t, "cgwords", "session optional "+s.module+" close=wait timeout=1")
	const hang = "\nexec sleep 60"
	tests := []struct{ name, open, then, log string }{
		{"no ticket", "say 'result success'", "", ""},
		{"ticket", "say 'ticket begin' 'ticket 0' 'ticket freezer:/a b' 'result success'", "close:0;freezer:/a b", ""},
		{"ticket that is not begun", "say 'ticket 0' 'ticket freezer:/' 'result success'", "close:0;freezer:/", ""},
		{"ticket said bit by bit", "say 'ticket begin' 'ticket 0' 'log debug x' 'ticket freezer:/'; sleep 0.1; say 'ticket +c1:/' 'result success'",
			"close:0;freezer:/;+c1:/", "x"},
		{"an attempt lost a race", "say 'ticket begin' 'ticket 0' 'ticket a:/' 'ticket begin' 'ticket 1' 'ticket b:/' 'result success'", "close:1;b:/", ""},
		{"the last attempt has no line", "say 'ticket begin' 'ticket 0' 'ticket begin' 'result success'", "", ""},
		{"line that begins as begin", "say 'ticket begin' 'ticket beginning' 'ticket  begin' 'result success'", "close:beginning; begin", ""},
		{"empty line", "say 'ticket begin' 'ticket 0' 'ticket ' 'ticket a:/' 'result success'", "close:0;;a:/", ""},

		{"failure", "say 'ticket begin' 'ticket 0' 'log error y' 'result failure'", "", "y"},
		{"unknown user", "say 'ticket 0' 'result unknown-user'", "", ""},
		{"failure, then killed", "say 'ticket 0' 'result failure'; kill -KILL $$", "", ""},
		{"undo fails, too", "say 'ticket 0'; kill -KILL $$", "undo:0 close:0",
			"worker was killed by signal 9; this session has no cgroups of its own\nworker ended early with status 4; what was begun is left for a later cleanup"},
		{"undo cannot take all of it back", "say 'ticket 0'; kill -KILL $$", "undo:0 close:0",
			"worker was killed by signal 9; this session has no cgroups of its own\nz"},
		{"success, then killed", "say 'ticket 0' 'result success'; kill -KILL $$", "close:0", ""},

		{"ended early", "exit 3", "undo:", "worker ended early with status 3; this session has no cgroups of its own"},
		{"ended early, with a ticket", "say 'ticket begin' 'ticket 0' 'ticket a:/'", "undo:0;a:/",
			"worker ended early with status 0; this session has no cgroups of its own"},
		{"killed", "kill -KILL $$", "undo:", "worker was killed by signal 9; this session has no cgroups of its own"},
		{"killed, with a ticket", "say 'ticket 0'; kill -KILL $$", "undo:0", "worker was killed by signal 9; this session has no cgroups of its own"},
		{"killed when the next attempt had begun", "say 'ticket 0' 'ticket begin'; kill -KILL $$", "undo:",
			"worker was killed by signal 9; this session has no cgroups of its own"},
		{"hangs", hang, "undo:", "worker did not finish in 1 s (timeout=); this session has no cgroups of its own"},
		{"hangs, with a ticket", "say 'ticket 0'" + hang, "undo:0", "worker did not finish in 1 s (timeout=); this session has no cgroups of its own"},

		{"a stopped application hears the ticket when its time is over",
			"kill -STOP $PPID; say 'ticket begin' 'ticket 0'; sleep 1.3; kill -CONT $PPID" + hang, "undo:0",
			"worker did not finish in 1 s (timeout=); this session has no cgroups of its own"},
		{"a stopped application hears the result when its time is over",
			"kill -STOP $PPID; say 'ticket 0' 'result success'; sleep 1.3; kill -CONT $PPID", "close:0", ""},
		{"a request to enter without files", "say 'ticket 0' 'enter' 'result success'", "close:0", ""},

		{"words of a dying runtime", "say 'fatal error: x' 'goroutine 1' 'ticket 0'; exit 2", "undo:0",
			"worker said: fatal error: x\nworker ended early with status 2; this session has no cgroups of its own"},
		{"words that begin as a line does", "say 'ticket' 'tic' 'log' 'log error' 'result' 'result success'", "", "worker said: ticket"},
		{"level that nobody knows", "say 'log fatal x' 'log error' 'log ' 'log errors x' 'result success'", "", ""},
		{"25 warnings and an error", "for i in 1 2 3 4 5; do say 'log debug d' 'log debug d' 'log debug d' 'log debug d' 'log debug d'; done; say 'log error e' 'result success'",
			"", strings.Repeat("d\n", 20) + "e"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			verbs := map[string]string{"open": test.open}
			switch test.name {
			case "undo fails, too":
				verbs["undo"] = "exit 4"
			case "undo cannot take all of it back":
				verbs["undo"] = "say 'log warning z' 'result failure'"
			}
			s.prepare(t, verbs)
			log := testbed.LogFromNow(t)
			a := run(t, "syslog state start=cgwords:cgwords open close end state")
			a.WantSameState(t)
			var then []string
			for _, call := range s.calls(t) {
				then = append(then, call[0]+":"+call[6])
			}
			if got, want := strings.Join(then, " "), strings.TrimSpace("open: "+test.then); got != want {
				t.Errorf("workers %q, want %q", got, want)
			}
			testbed.LogFromNow(t) // all is read that was logged
			if got := strings.Join(log.Ours(), "\n"); got != test.log {
				t.Errorf("log\n%s\nwant\n%s", got, test.log)
			}
		})
	}
}

// What a worker is told: the user's IDs only if it opens, or undoes that.
func TestWorkersArguments(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cgargs", 20802)
	testbed.WriteService(t, "cgargs", "session optional "+s.module+" close=wait t timeout timeout= -c a,b")
	for _, test := range []struct{ name, open, then, ids, ticket string }{
		{"an open that is lost", "say 'ticket 0'; exit 1", "undo", "20802|20802", "0"},
		{"an open that succeeds", "say 'ticket 1' 'result success'", "close", "|", "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.prepare(t, map[string]string{"open": test.open})
			h := launch(t, "start=cgargs:cgargs open close end")
			h.Finish()
			const words = "|cgargs|cgargs|%s|close=wait|t|timeout|timeout=|-c|a,b"
			var got []string
			for _, call := range s.calls(t) {
				got = append(got, strings.Join(call, "|"))
			}
			pid := fmt.Sprint(h.Cmd.Process.Pid)
			want := []string{
				"open|" + pid + "|20802|20802" + fmt.Sprintf(words, ""),
				test.then + "|" + pid + "|" + test.ids + fmt.Sprintf(words, test.ticket),
			}
			if !slices.Equal(got, want) {
				t.Errorf("workers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// anySpelling is a directory service that finds an account whose name is in small
// letters by every spelling, as SSSD does with Active Directory: a library to be loaded
// before libc.
func anySpelling(t *testing.T) string {
	t.Helper()
	const code = `
#include <ctype.h>
#include <dlfcn.h>
#include <pwd.h>
#include <stdio.h>

int getpwnam_r(const char *name, struct passwd *pwd, char *buffer, size_t size, struct passwd **result)
{
	int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **);
	char small[64];
	size_t i;

	*(void **)&real = dlsym(RTLD_NEXT, "getpwnam_r");
	snprintf(small, sizeof(small), "%s", name);
	for (i = 0; small[i] != '\0'; i++)
		small[i] = (char)tolower((unsigned char)small[i]);
	return real(small, pwd, buffer, size, result);
}
`
	source := filepath.Join(testbed.TempDir(t), "anyspelling.c")
	if err := os.WriteFile(source, []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	return testbed.CompileC(t, source, "-shared", "-fPIC", "-ldl")
}

// Whatever spelling PAM has of a user's name, the account's own is what workers are
// told, so that all sessions of the user have the same cgroups and limits.
func TestWorkersUserIsTheAccounts(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cgspelling", 20805)
	under := []string{"env", "LD_PRELOAD=" + anySpelling(t)}
	testbed.WriteService(t, "cgspelling", "session optional "+s.module+" close=wait")
	testbed.WriteService(t, "cglimited", "session optional "+s.module+" limits debug")
	for _, test := range []struct{ name, start, open, do, want string }{
		{"the account's spelling", "cgspelling:cgspelling", "say 'ticket 1' 'result success'", "open close", "open:cgspelling close:cgspelling"},
		{"another", "cgspelling:CGSpelling", "say 'ticket 1' 'result success'", "open close", "open:cgspelling close:CGSpelling"}, // whose ticket names the session
		{"an open that is lost", "cgspelling:CGSpelling", "exit 1", "open", "open:cgspelling undo:cgspelling"},
		{"a close without an open", "cgspelling:CGSpelling", "", "close", "close:cgspelling"},
		{"a line for limits", "cglimited:CGSpelling", "", "open", "limits:cgspelling"},
		{"no account", "cgspelling:CGNobody", "say 'result unknown-user'", "open", "open:CGNobody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.prepare(t, map[string]string{"open": test.open})
			words := append([]string{"start=" + test.start}, strings.Fields(test.do+" end")...)
			testbed.LaunchUnder(t, under, words...).Finish()
			var got []string
			for _, call := range s.calls(t) {
				got = append(got, call[0]+":"+call[4])
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("workers %q, want %q", got, test.want)
			}
		})
	}
}

// A session that was opened under another spelling is closed.
func TestOtherSpelling(t *testing.T) {
	if testbed.Musl() {
		t.Skip("needs a compiler")
	}
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgspelled", 20806)
	testbed.WriteService(t, "cgspelled", testbed.SessionLine(t, "close=wait"))
	app := testbed.LaunchUnder(t, []string{"env", "LD_PRELOAD=" + anySpelling(t)}, "start=cgspelled:CGspelled", "open", "pause", "close", "end")
	if result := app.Await("open"); result != "0" {
		t.Errorf("open: %s", result)
	}
	for _, at := range testbed.Placement(t, app.Cmd.Process.Pid) {
		if strings.Contains(at, "CGspelled") {
			t.Errorf("the application is in %s", at)
		}
	}
	if len(testbed.Tree(u.Name)) == 0 {
		t.Error("there is no session")
	}
	app.Resume()
	app.Finish()
	testbed.WantNothingLeft(t, u.Name)
}

// However a worker and the one that is to undo it behave, a login is late by
// twice the timeout at most.
func TestLoginIsLateByTwiceTheTimeout(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cglate", 20803)
	testbed.WriteService(t, "cglate", "session optional "+s.module+" close=wait timeout=1")
	for name, code := range map[string]string{
		"hang":                "exec sleep 60",
		"hang, say the words": "say 'ticket 0'\nexec sleep 60",
		"write without end":   "exec yes >&3",
	} {
		t.Run(name, func(t *testing.T) {
			s.prepare(t, map[string]string{"open": code, "undo": code})
			log := testbed.LogFromNow(t)
			h := launch(t, "syslog state start=cglate:cglate pause open state end")
			h.Await("start")
			began := time.Now()
			h.Resume()
			h.Await("open")
			// the second is for a slow machine; in vain it would be 60
			if late := time.Since(began); late < 2*time.Second || late > 10*time.Second {
				t.Errorf("late by %v, with a timeout of 1 s", late)
			}
			h.Finish().WantSameState(t)
			log.Want(`^worker did not finish in 1 s \(timeout=\); this session has no cgroups of its own$`)
			log.Want(`^worker did not finish in 1 s \(timeout=\); what was begun is left for a later cleanup$`)
		})
	}
}

// Where no worker was started there is nothing to undo.
func TestNoWorkerIsNotUndone(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cgnone", 20804)
	testbed.WriteService(t, "cgnone", "session optional "+s.module+" close=wait")
	s.prepare(t, nil)
	log := testbed.LogFromNow(t)
	run(t, "syslog start=cgnone:cgnone softlimit=nofile:5 open end")
	testbed.LogFromNow(t)
	if got, want := strings.Join(log.Ours(), "\n"), "worker could not be run: Too many open files; this session has no cgroups of its own"; got != want {
		t.Errorf("log\n%s\nwant\n%s", got, want)
	}
	if calls := s.calls(t); len(calls) != 0 {
		t.Errorf("workers %v", calls)
	}
}

// The name of a session that was opened is in the PAM environment, and no other.
func TestSessionVariable(t *testing.T) {
	s := buildStandIn(t)
	testbed.AddUser(t, "cgnamed", 20805)
	testbed.WriteService(t, "cgnamed", "session optional "+s.module+" close=wait timeout=1")
	for _, test := range []struct{ name, open, want string }{
		{"a number", "say 'session 0' 'result success'", "0"},
		{"a scope", "say 'ticket begin' 'session session-3.scope' 'result success'", "session-3.scope"},
		{"none", "say 'result success'", "none"},
		{"it failed", "say 'session 0' 'result failure'", "none"},
		{"it was killed", "say 'session 0'; kill -KILL $$", "none"},
		{"said again", "say 'session 0' 'session 1' 'result success'", "1"},
		{"too long for a cgroup's name", "say \"session $(printf %0256d 0)\" 'result success'", "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.prepare(t, map[string]string{"open": test.open})
			a := run(t, "start=cgnamed:cgnamed session open session close end")
			if got, want := a.All("session"), []string{"none", test.want}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
