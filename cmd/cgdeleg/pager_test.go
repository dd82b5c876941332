package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Long output goes through the pager, on a terminal and nowhere else.
func TestPager(t *testing.T) {
	const paging = "sed s/^/paged:/"
	dir := "check/testdata/systemd-v2-no-dropin"
	v2 := v2Machine(t)
	for name, test := range map[string]struct {
		args    string
		lines   int // of the terminal
		env     map[string]string
		isPaged bool
	}{
		"long":             {"--root " + dir + " check -v", 24, nil, true},
		"long help":        {"check --help", 24, nil, true},
		"help of a word":   {"help status", 24, nil, true},
		"a list":           {"check --list", 24, nil, true},
		"columns":          {"status --list-columns", 10, nil, true},
		"usage":            {"--root " + v2 + " usage alice", 10, nil, true},
		"all of it fits":   {"--root " + dir + " check -v", 200, nil, false},
		"--no-pager":       {"--root " + dir + " --no-pager check -v", 24, nil, false},
		"JSON":             {"--root " + dir + " check --json", 24, nil, false},
		"JSON of status":   {"--root " + v2 + " status --json", 10, nil, false},
		"metrics":          {"--root " + v2 + " status --format prometheus", 10, nil, false},
		"again and again":  {"--root " + v2 + " top -b -n 1", 3, nil, false},
		"an empty pager":   {"check --list", 24, map[string]string{"PAGER": ""}, false},
		"cat":              {"check --list", 24, map[string]string{"PAGER": " cat "}, false},
		"a dumb terminal":  {"check --list", 24, map[string]string{"TERM": "dumb"}, false},
		"no TERM":          {"check --list", 24, map[string]string{"TERM": ""}, false},
		"no such pager":    {"check --list", 24, map[string]string{"PAGER": "/nonexistent/pager 2>/dev/null"}, false},
		"one that fails":   {"check --list", 24, map[string]string{"PAGER": paging + "; exit 3"}, true},
		"one that is full": {"check --list", 24, map[string]string{"PAGER": "head -n 3 | " + paging}, true},
	} {
		t.Run(name, func(t *testing.T) {
			setPager(t, paging)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			shown, said, _ := runOnTerminal(t, terminalSize{80, test.lines}, strings.Fields(test.args)...)
			if isPaged := strings.HasPrefix(shown, "paged:"); isPaged != test.isPaged || shown == "" || said != "" {
				t.Errorf("shown:\n%s\nsaid: %s", shown, said)
			}
		})
	}
}

// setPager has the tests use a pager that reads no keys.
func setPager(t *testing.T, command string) {
	t.Helper()
	setAskers(t, nil)
	if isSecure() { // less would wait for keys
		t.Skip("who logged in as another user has no PAGER")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("PAGER", command)
}

// setAskers says who asks.
func setAskers(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{"SUDO_UID", "PKEXEC_UID", "DOAS_USER"} {
		t.Setenv(name, env[name])
	}
}

// The exit code is that of the command, whatever the pager ends with.
func TestPagerExitCode(t *testing.T) {
	setPager(t, "cat >/dev/null; exit 7")
	_, _, code := runOnTerminal(t, terminalSize{80, 5}, "--root", "check/testdata/systemd-v2-no-dropin", "check", "-v")
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}

// Who asks as another user gets no pager of theirs.
func TestSecurePager(t *testing.T) {
	setAskers(t, nil)
	if isSecure() {
		t.Skip("this login is another user's, which cannot be taken back")
	}
	own := strconv.Itoa(os.Geteuid())
	for name, test := range map[string]struct {
		env      map[string]string
		isSecure bool
	}{
		"nobody":           {nil, false},
		"sudo":             {map[string]string{"SUDO_UID": "4242"}, true},
		"sudo to oneself":  {map[string]string{"SUDO_UID": own}, false},
		"sudo by root":     {map[string]string{"SUDO_UID": "0"}, false},
		"pkexec":           {map[string]string{"PKEXEC_UID": "4242"}, true},
		"pkexec in a sudo": {map[string]string{"SUDO_UID": own, "PKEXEC_UID": "4242"}, true},
		"doas":             {map[string]string{"DOAS_USER": "alice"}, true},
		"doas by root":     {map[string]string{"DOAS_USER": "root"}, false},
		"no user ID":       {map[string]string{"SUDO_UID": "alice"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", "xterm")
			t.Setenv("PAGER", "/bin/sh")
			setAskers(t, test.env)
			pager := (&settings{}).pager(screen{isTerminal: true, width: 80, height: 24})
			if isTheirs := slices.Contains(pager, "/bin/sh"); isTheirs == test.isSecure {
				t.Errorf("the pager is %q", pager)
			}
		})
	}
}

// What takes less's security back does not get through.
func TestSecureEnvironment(t *testing.T) {
	for _, name := range []string{"LESSOPEN", "LESSSECURE_ALLOW", "LESSKEYIN", "HOME", "LESSSECURE", "LC_ALL"} {
		t.Setenv(name, "theirs")
	}
	t.Setenv("TERM", "xterm")
	env := secureEnvironment()
	for name, want := range map[string]bool{
		"LESSSECURE=1": true, "TERM=xterm": true, "LC_ALL=theirs": true,
		"LESSSECURE=theirs": false, "LESSOPEN=theirs": false, "LESSSECURE_ALLOW=theirs": false, "LESSKEYIN=theirs": false, "HOME=theirs": false,
	} {
		if slices.Contains(env, name) != want {
			t.Errorf("%s is in the environment: %v, want %v", name, !want, want)
		}
	}
}

func TestLinesOf(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "a": 1, "a\n": 1, "a\n\nb\n": 3, "1234567890\n": 1, "12345678901\n": 2, "\x1b[31m1234567890\x1b[0m\n": 1, "äöüäöüäöüä\n": 1,
	} {
		if got := (screen{width: 10}).linesOf(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
