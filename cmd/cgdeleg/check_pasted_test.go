package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pastedCases are the directories of testdata/pasted: each has the files that somebody
// pasted, or all of it in the file text, and a file EXPECTED.
func pastedCases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/pasted/*/EXPECTED")
	if err != nil || len(dirs) < 20 {
		t.Fatalf("only %d cases: %v", len(dirs), err)
	}
	for i, file := range dirs {
		dirs[i] = filepath.Dir(file)
	}
	return dirs
}

// runPasted runs check on a case. What belongs to the test is not in its directory.
func runPasted(t *testing.T, dir, args string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	root := newRoot()
	root.SetOut(&o)
	root.SetErr(&e)
	words := []string{"check", "--pasted"}
	if text, err := os.Open(filepath.Join(dir, "text")); err == nil {
		defer text.Close()
		root.SetIn(text)
		words = append(words, "-")
	} else {
		words = append(words, withoutExpected(t, dir))
	}
	root.SetArgs(append(words, strings.Fields(args)...))
	if err := root.Execute(); err != nil {
		var text string
		text, code = explain(err)
		e.WriteString(text)
	}
	return o.String(), e.String(), code
}

func withoutExpected(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(from)
	must(t, err)
	for _, entry := range entries {
		if slices.Contains([]string{"EXPECTED", "screen"}, entry.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, entry.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, entry.Name()), data, 0o644))
	}
	return dir
}

// Of what was pasted check says what EXPECTED has: lines of a status, a check, and a part of
// what that says. No other check fails or warns.
func TestPasted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, dir := range pastedCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			out, errOut, code := runPasted(t, dir, "--json")
			var got struct {
				Checks []struct{ Name, Status, Message string }
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s%s", err, out, errOut)
			}
			expected, err := os.ReadFile(filepath.Join(dir, "EXPECTED"))
			must(t, err)
			want := map[string][2]string{}
			for line := range strings.Lines(string(expected)) {
				words := strings.SplitN(strings.TrimSpace(line), " ", 3)
				want[words[1]] = [2]string{words[0], strings.Join(words[2:], "")}
			}
			for _, check := range got.Checks {
				w, isSaid := want[check.Name]
				delete(want, check.Name)
				switch {
				case isSaid && (check.Status != w[0] || !strings.Contains(check.Message, w[1])):
					t.Errorf("%s is %s: %s; want %s: %s", check.Name, check.Status, check.Message, w[0], w[1])
				case !isSaid && (check.Status == "failed" || check.Status == "warning"):
					t.Errorf("%s is %s: %s", check.Name, check.Status, check.Message)
				}
			}
			wantCode := exitUnknown // there is always something that was not pasted
			if strings.Contains(string(expected), "failed ") {
				wantCode = exitFailed
			}
			if code != wantCode {
				t.Errorf("code %d, want %d", code, wantCode)
			}
			if len(want) > 0 {
				t.Errorf("there are no checks %v", want)
			}
			wantScreen(t, dir)
		})
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v, %v", left, err)
	}
}

// wantScreen compares what a person sees with the file screen.
func wantScreen(t *testing.T, dir string) {
	t.Helper()
	out, _, _ := runPasted(t, dir, "")
	_, recognised, _ := runPasted(t, dir, "-v")
	screen := out + "\n-v, on standard error:\n" + recognised
	if strings.ContainsAny(screen, "\x1b\a\u202e") {
		t.Errorf("control characters on the screen: %q", screen)
	}
	file := filepath.Join(dir, "screen")
	if *update {
		must(t, os.WriteFile(file, []byte(screen), 0o644))
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != screen {
		t.Errorf("it shows (-update writes it)\n%s\nwant\n%s", screen, want)
	}
}

// The screen in docs/pasted.md is what check says of a thread.
func TestPastedPage(t *testing.T) {
	_, screen, found := strings.Cut(readDoc(t, "docs/pasted.md"), "    $ cgdeleg check --pasted - <thread\n")
	if !found {
		t.Fatal("docs/pasted.md has no screen")
	}
	rest, _, _ := runPasted(t, "testdata/pasted/thread", "")
	lines := 0
	for line := range strings.Lines(screen) {
		line, isScreen := strings.CutPrefix(line, "    ")
		if !isScreen {
			break
		}
		if line == "[...]\n" {
			continue
		}
		var before bool
		if _, rest, before = strings.Cut(rest, line); !before {
			t.Errorf("check does not say, at this place: %s", line)
		}
		lines++
	}
	if lines < 5 {
		t.Errorf("the screen has only %d lines", lines)
	}
}

// What is no paste, or names another machine as well, is an error of usage that says what
// was expected.
func TestPastedUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args, in, want string
	}{
		"nothing in a text":       {"--pasted -", "hello\n", "want files such as /proc/self/mountinfo"},
		"nothing at all":          {"--pasted -", "", "nothing in it is recognised"},
		"an empty directory":      {"--pasted " + t.TempDir(), "", "want files that are called mountinfo, cgroup, status, config"},
		"no directory":            {"--pasted nosuch", "", "nosuch: no such file or directory"},
		"no name":                 {"--pasted=", "", "--pasted needs a directory"},
		"a recorded machine":      {"--pasted check/testdata/systemd-v2", "", "cgdeleg --root check/testdata/systemd-v2 check"},
		"another user":            {"--pasted - --user alice", "0::/\n", "--pasted excludes --user"},
		"another process":         {"--pasted - --pid 1", "0::/\n", "--pasted excludes --pid"},
		"another machine":         {"--pasted - --root x", "0::/\n", "--pasted excludes --root"},
		"something done":          {"--pasted - --probe", "0::/\n", "--pasted excludes --probe"},
		"another container":       {"--pasted - --container c1", "0::/\n", "--pasted excludes --container"},
		"another configuration":   {"--pasted - --lxc-config x", "0::/\n", "--pasted excludes --lxc-config"},
		"a text that is too long": {"--pasted -", strings.Repeat("0::/\n", 1<<20), "larger than 4 MiB"},
		"a level that is none":    {"--pasted - --nested 0", "0::/\n", "want at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			root := newRoot()
			root.SetIn(strings.NewReader(test.in))
			root.SetOut(&out)
			root.SetArgs(append([]string{"check"}, strings.Fields(test.args)...))
			words, code := explain(root.Execute())
			if code != exitUsage || !strings.Contains(words, test.want) || out.Len() > 0 {
				t.Errorf("code %d: %s; want %q", code, words, test.want)
			}
		})
	}
}

// What was pasted says the same to everybody, on any machine: nothing of this one is in it.
func TestPastedIsAlone(t *testing.T) {
	for _, dir := range []string{"testdata/pasted/thread", "testdata/pasted/pam"} {
		want, _, _ := runPasted(t, dir, "-v")
		t.Setenv("PATH", t.TempDir())
		t.Setenv("HOME", t.TempDir())
		t.Setenv("SUDO_UID", "4711")
		t.Setenv("SUDO_USER", "mallory")
		if got, _, _ := runPasted(t, dir, "-v"); got != want {
			t.Errorf("%s: it shows\n%s\nwant\n%s", dir, got, want)
		}
	}
}

// FuzzPasted runs all checks over any text: they end, say nothing to the terminal and print
// no command.
func FuzzPasted(f *testing.F) {
	texts, err := filepath.Glob("testdata/pasted/*/text")
	if err != nil || len(texts) == 0 {
		f.Fatal("no texts: ", err)
	}
	for _, name := range texts {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		root := newRoot()
		root.SetIn(bytes.NewReader(data))
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs([]string{"check", "--pasted", "-", "-v"})
		words, code := explain(root.Execute())
		if code < 0 || code > exitUnknown {
			t.Errorf("code %d: %s", code, words)
		}
		if i := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return isHidden(r) && r != '\n' && r != utf8.RuneError }); i >= 0 || !utf8.Valid(out.Bytes()) {
			t.Errorf("control character at %d of %q", i, &out)
		}
		if strings.Contains(out.String(), "\n           sudo ") {
			t.Errorf("a command for another machine:\n%s", &out)
		}
	})
}
