package main

import (
	"os"
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
	t.Setenv("SUDO_UID", "")
	if isSecure() { // less would wait for keys
		t.Skip("root who logged in as another user has no PAGER")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("PAGER", command)
}

// The exit code is that of the command, whatever the pager ends with.
func TestPagerExitCode(t *testing.T) {
	setPager(t, "cat >/dev/null; exit 7")
	_, _, code := runOnTerminal(t, terminalSize{80, 5}, "--root", "check/testdata/systemd-v2-no-dropin", "check", "-v")
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}

// Root who logged in as another user gets less alone, as which nobody starts a shell.
func TestSecurePager(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("PAGER", "/bin/sh")
	t.Setenv("SUDO_UID", "1000")
	s := settings{}
	if pager := s.pager(screen{isTerminal: true, width: 80, height: 24}); len(pager) > 1 || len(pager) == 1 && !strings.HasSuffix(pager[0], "/less") {
		t.Errorf("the pager is %q", pager)
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
