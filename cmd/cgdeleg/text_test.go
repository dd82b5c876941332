package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                       "plain",
		`it's "quoted" \n`:            `it's "quoted" \n`,
		"jürgen ├─ \ufffd":            "jürgen ├─ \ufffd",
		"a\nmend: curl | sudo":        `a\nmend: curl | sudo`,
		"\x1b[2J\x1b]0;x\a":           `\x1b[2J\x1b]0;x\a`,
		"right\u202eleft":             `right\u202eleft`,
		"bad \xff":                    `bad \xff`,
		"one \"and\" a \x7f del":      `one "and" a \x7f del`,
		"an escaped \\x1b and a \x1b": `an escaped \x1b and a \x1b`,
		"C1 \u009b31m":                `C1 \u009b31m`,
	} {
		got := visible(text)
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if again := visible(got); again != got {
			t.Errorf("%q: escaped twice it is %s", text, again)
		}
	}
}

func TestPrintfEscapesArguments(t *testing.T) {
	const hostile = "a\x1b[2J\nb"
	s := screen{color: true}
	for name, arg := range map[string]any{
		"a text": hostile, "an error": errors.New(hostile), "a list": []string{hostile}, "styled": s.styled(hostile, red), "bytes": []byte(hostile), "a struct": struct{ s string }{hostile},
	} {
		var out strings.Builder
		if err := printf(&out, "%v\n", arg); err != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(strings.TrimSuffix(out.String(), "\n"))
		if strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("%s is printed as %q", name, got)
		}
	}
	var out strings.Builder
	if err := printf(&out, "%d %-4s|%s", 7, "x", markup("\x1b[0m")); err != nil || out.String() != "7 x   |\x1b[0m" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestJSONIsVisible(t *testing.T) {
	texts := []string{"\x1b]0;x\a\n", "right\u202eleft", "\u009b31m\x7f", "\U000e0041 beyond", "jürgen <&>", "bad \xff"}
	for name, print := range map[string]func(*strings.Builder) error{
		"lines": func(out *strings.Builder) error { return printJSON(out, texts) },
		"line":  func(out *strings.Builder) error { return printJSONLine(out, texts) },
	} {
		var out strings.Builder
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		requireHarmless(t, name, out.String())
		var got []string
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatal(err)
		}
		for i, want := range texts {
			if want = strings.ToValidUTF8(want, "\ufffd"); got[i] != want {
				t.Errorf("%s: got %q, want %q", name, got[i], want)
			}
		}
		if name == "line" && strings.Count(out.String(), "\n") != 1 {
			t.Errorf("more than a line: %s", out.String())
		}
	}
}

// requireHarmless fails if a text could do anything to a terminal but begin lines.
func requireHarmless(t *testing.T, name, text string) {
	t.Helper()
	at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
	if at >= 0 {
		t.Errorf("%s: %q", name, text[max(0, at-20):min(len(text), at+20)])
	}
}

// The names of what a container's configuration includes are the user's to choose:
// in errors, in findings and in what a report leaves out.
func TestHostileNames(t *testing.T) {
	const hostile = "/home/alice/\x1b]0;pwned\aa\u202eb\u009bm"
	for _, test := range []struct {
		name    string
		include string // what it names
		lay     func(t *testing.T, file string)
	}{
		{"nothing", hostile, func(*testing.T, string) {}},
		{"a directory that is not there", hostile + "/x", func(*testing.T, string) {}},
		{"a bad line", hostile, func(t *testing.T, file string) { must(t, os.WriteFile(file, []byte("lxc.a\x1b\u202e\n"), 0o644)) }},
		{"a good line", hostile, func(t *testing.T, file string) {
			must(t, os.WriteFile(file, []byte("lxc.idmap = u 0 0 65536\nlxc.cgroup2.\x1b[2J\u202e.x = 1\n"), 0o644))
		}},
		{"one larger than is read", hostile, func(t *testing.T, file string) { must(t, os.WriteFile(file, make([]byte, 300<<10), 0o644)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := renamed(t, "no-systemd-v2", "alice")
			put(t, dir, "home/alice/.local/share/lxc/c1/config", "lxc.include = "+test.include+"\n", 0o644)
			test.lay(t, filepath.Join(dir, test.include))
			for _, args := range []string{
				"check --container c1", "check -q --container c1", "check --json --container c1", "check --color always -q mode --container c1",
				"fix config-idmap --container c1", "fix config-limits --container c1",
			} {
				var out, errOut strings.Builder
				run(append([]string{"--root", dir}, strings.Fields(args)...), &out, &errOut)
				requireHarmless(t, args+", output", strings.NewReplacer("\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(out.String()))
				requireHarmless(t, args+", errors", errOut.String())
				if strings.Count(errOut.String(), "\n") > 1 {
					t.Errorf("%s: more than a line of errors: %s", args, errOut.String())
				}
				if strings.Contains(args, "json") && out.Len() > 0 && !json.Valid([]byte(out.String())) {
					t.Errorf("%s: no JSON: %s", args, out.String())
				}
			}
		})
	}
}

// A newline cannot stand in an include, but in the name of a directory's file.
func TestHostileNewline(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	put(t, dir, "home/alice/.local/share/lxc/c1/config", "lxc.include = /home/alice/more\n", 0o644)
	put(t, dir, "home/alice/more/a\nmend: curl | sudo sh\x1b[2J.conf", "lxc.bad\n", 0o644)
	out, errOut, code := runOnDir(dir, "check --container c1")
	if code != exitFailed || errOut != "" || !strings.Contains(out, `a\nmend: curl`) {
		t.Errorf("code %d, said %q and %q", code, out, errOut)
	}
	requireHarmless(t, "what it says", out)
}

func runOnDir(dir, args string) (out, errOut string, code int) {
	var o, e strings.Builder
	code = run(append([]string{"--root", dir}, strings.Fields(args)...), &o, &e)
	return o.String(), e.String(), code
}

// What a report leaves out has names that are the user's.
func TestHostileNamesLeftOut(t *testing.T) {
	r := ownFiles(t)
	const name = "/home/alice/\x1b]0;pwned\a\u202e\n"
	put(t, r.root, name, "secret", 0o600)
	r.leave(name, errSecret)
	var out strings.Builder
	for _, line := range r.leftOut() {
		complain(&out, "left out %s", line)
	}
	requireHarmless(t, "left out", out.String())
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("it says %q", out.String())
	}
}

// Errors that name a user's file are escaped where errors are printed.
func TestErrorsAreVisible(t *testing.T) {
	err := &configError{&fs.PathError{Op: "open", Path: "/home/a\x1b]0;x\a\n\u202e", Err: machine.ErrNotRegular}}
	words, _ := explain(err)
	var out strings.Builder
	complain(&out, "%s", words)
	requireHarmless(t, "the error", out.String())
	if want := `cgdeleg: open /home/a\x1b]0;x\a\n\u202e: not a regular file; `; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q", out.String())
	}
}

// Nothing is written past printf: only text.go writes to what is not its own.
func TestNothingIsPrintedPast(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	writes := regexp.MustCompile(`fmt\.(Fp|P)rint|io\.WriteString|cmd\.Print|json\.NewEncoder|os\.Std(out|err)\.`)
	inMemory := regexp.MustCompile(`fmt\.Fprintf\(&(out|lines), `) // a text that is printed later, or a file of a report
	for _, file := range files {
		if file == "text.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		must(t, err)
		n := 0
		for line := range strings.Lines(string(data)) {
			if n++; writes.MatchString(line) && !inMemory.MatchString(line) {
				t.Errorf("%s:%d writes by itself: %s", file, n, line)
			}
		}
	}
}
