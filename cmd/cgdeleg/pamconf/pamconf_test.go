package pamconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// files are what a machine has.
type files = machinetest.Files

// recorded returns a machine with these files; what it has not was absent.
func recorded(t testing.TB, all ...files) machine.Machine {
	t.Helper()
	return machine.Recorded(machinetest.Make(t, append([]files{{machine.StatFile: ""}}, all...)...))
}

// brief is a line as "sshd:3 optional pam_x.so a|b", its file by base name.
func brief(lines []Line) (all []string) {
	for _, l := range lines {
		s := fmt.Sprintf("%s:%d ", filepath.Base(l.File), l.Number)
		if l.Optional {
			s += "-"
		}
		s += l.Control + " " + l.Module
		if l.Args != nil {
			s += " " + strings.Join(l.Args, "|")
		}
		all = append(all, s)
	}
	return all
}

// Lines of one file, pam.d(5).
func TestSessionLines(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []string
	}{
		{"empty file", "", nil},
		{"only comments and blank lines", "# a\n\n \t\n  # b\n", nil},
		{"one line", "session required pam_unix.so\n", []string{"x:1 required pam_unix.so"}},
		{"no newline at the end", "session required pam_unix.so", []string{"x:1 required pam_unix.so"}},
		{"other types are passed over", "auth required pam_a.so\naccount required pam_b.so\n-password required pam_c.so\nsession required pam_d.so\n",
			[]string{"x:4 required pam_d.so"}},
		{"illegal types are passed over", "sesion required pam_a.so\n--session required pam_b.so\nsession\r required pam_c.so\n\u017fession required pam_d.so\nsession required pam_e.so\n",
			[]string{"x:5 required pam_e.so"}},
		{"arguments", "session\toptional  pam_cgdeleg.so -c freezer,memory \n", []string{"x:1 optional pam_cgdeleg.so -c|freezer,memory"}},
		{"words in any case", "SeSSion Optional pam_X.so A\n", []string{"x:1 Optional pam_X.so A"}},
		{"optional module", "-session optional pam_systemd.so\n", []string{"x:1 -optional pam_systemd.so"}},
		{"control in brackets", "session [success=1 default=ignore] pam_a.so\n", []string{"x:1 [success=1 default=ignore] pam_a.so"}},
		{"control in brackets, spread out", "session [success = ok\\\n  default=bad] pam_a.so\n", []string{"x:1 [success = ok default=bad] pam_a.so"}},
		{"argument in brackets", "session optional pam_a.so [a b] c[d e]\n", []string{"x:1 optional pam_a.so a b|c[d|e]"}},
		{"escaped bracket", `session optional pam_a.so [q='[x\] y'] z` + "\n", []string{"x:1 optional pam_a.so q='[x] y'|z"}},
		{"no space after a bracket", "session [default=ignore]pam_a.so [a]b\n", []string{"x:1 [default=ignore] pam_a.so a|b"}},
		{"bracket without an end", "session optional pam_a.so [a b", []string{"x:1 optional pam_a.so a b"}},
		{"empty brackets", "session optional pam_a.so [] b\n", []string{"x:1 optional pam_a.so |b"}},
		{"bracket around a word", "[session] optional pam_a.so\n", []string{"x:1 optional pam_a.so"}},
		{"comment after a line", "session optional pam_a.so a # b\n", []string{"x:1 optional pam_a.so a"}},
		{"comment within brackets", "session optional pam_a.so [a #b]\n", []string{"x:1 optional pam_a.so a"}},
		{"continued", "session \\\n optional \\\n\tpam_a.so a\nsession optional pam_b.so\n", []string{"x:1 optional pam_a.so a", "x:4 optional pam_b.so"}},
		{"continued with blanks after the backslash", "session optional pam_a.so \\ \t\n b\n", []string{"x:1 optional pam_a.so b"}},
		{"words do not grow together", "session optional pam_a.so a\\\nb\n", []string{"x:1 optional pam_a.so a|b"}},
		{"a comment ends a continued line", "session optional pam_a.so \\\n# x\nsession optional pam_b.so\n", []string{"x:1 optional pam_a.so", "x:3 optional pam_b.so"}},
		{"a comment is not continued", "# a \\\nsession optional pam_a.so\n", []string{"x:2 optional pam_a.so"}},
		{"a backslash before a comment is a word", "session optional pam_a.so \\ # b\n", []string{`x:1 optional pam_a.so \`}},
		{"continued from nothing", "\\\nsession optional pam_a.so\n", []string{"x:1 optional pam_a.so"}},
		{"path with $ISA", "session optional /lib/security/$ISA/pam_a.so\n", []string{"x:1 optional /lib/security/$ISA/pam_a.so"}},
		{"bytes that are no UTF-8", "session optional pam_a.so \xff\xfe\n", []string{"x:1 optional pam_a.so \xff\xfe"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := Session(recorded(t, files{"etc/pam.d/x": test.data}), "x")
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(lines); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestSessionRefusesLines(t *testing.T) {
	for _, test := range []struct{ name, line, reason string }{
		{"illegal type", "sesion required pam_a.so", "illegal module type"},
		{"two dashes", "--session required pam_a.so", "illegal module type"},
		{"carriage return", "session\r required pam_a.so", "illegal module type"},
		{"other alphabets", "\u017fession required pam_a.so", "illegal module type"},
		{"no control", "session", "no control"},
		{"no module", "session required", "no module"},
		{"include of nothing", "session include", "no file to include"},
		{"@include of nothing", "@include", "no file to include"},
		{"backslash at the end", `session required pam_a.so \`, "backslash at the end of the file"},
		{"backslash alone at the end", `\`, "backslash at the end of the file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := Session(recorded(t, files{"etc/pam.d/x": "session include y", "etc/pam.d/y": "session required pam_ok.so\n" + test.line}), "x")
			requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/y", Line: 2, Text: test.line, Reason: test.reason})
			if got, want := brief(lines), []string{"y:1 required pam_ok.so"}; !slices.Equal(got, want) {
				t.Errorf("beside the error: %v, want %v", got, want)
			}
		})
	}
}

func requireParseError(t *testing.T, err error, want confparse.ParseError) {
	t.Helper()
	var parse *confparse.ParseError
	if !errors.As(err, &parse) {
		t.Fatalf("got %v, want a *confparse.ParseError", err)
	}
	got := *parse
	got.Err = nil
	if want.Text == "" {
		got.Text = ""
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Where the lines of a service come from.
func TestSessionFiles(t *testing.T) {
	line := func(module string) string { return "session required " + module + "\n" }
	const ok = "session required pam_ok.so\n"
	for _, test := range []struct {
		name    string
		files   files
		service string
		want    []string
	}{
		{"etc before usr", files{"etc/pam.d/su": line("etc"), "usr/lib/pam.d/su": line("usr")}, "su", []string{"su:1 required etc"}},
		{"usr where etc has none", files{"etc/pam.d/other": line("other"), "usr/lib/pam.d/su": line("usr")}, "su", []string{"su:1 required usr"}},
		{"usr alone", files{"usr/lib/pam.d/su": line("usr")}, "su", []string{"su:1 required usr"}},
		{"service name in lower case", files{"etc/pam.d/su": ok, "etc/pam.d/SU": line("never")}, "SU", []string{"su:1 required pam_ok.so"}},
		{"service name with dots", files{"etc/pam.d/a.b..c": ok}, "a.b..c", []string{"a.b..c:1 required pam_ok.so"}},
		{"other, for a service without a file", files{"etc/pam.d/other": ok}, "su", []string{"other:1 required pam_ok.so"}},
		{"other, for a service without session lines", files{"etc/pam.d/other": ok, "etc/pam.d/su": "auth required pam_a.so\n"}, "su", []string{"other:1 required pam_ok.so"}},
		{"other of usr", files{"etc/pam.d/su": "", "usr/lib/pam.d/other": ok}, "su", []string{"other:1 required pam_ok.so"}},
		{"other alone", files{"etc/pam.d/other": ok}, "other", []string{"other:1 required pam_ok.so"}},
		{"no other where it is not needed", files{"etc/pam.d/other": "broken\n", "etc/pam.d/su": ok}, "su", []string{"su:1 required pam_ok.so"}},
		{"service without session lines, and no other", files{"etc/pam.d/su": "\n"}, "su", nil},

		{"pam.conf", files{"etc/pam.conf": "login session required pam_no.so\nsu auth required pam_no.so\n" +
			"SU Session required pam_ok.so a\n-su session required pam_no.so\nlogin broken\n"}, "su", []string{"pam.conf:3 required pam_ok.so a"}},
		{"pam.conf: other", files{"etc/pam.conf": "other session required pam_ok.so\nlogin session required pam_no.so\n"}, "su", []string{"pam.conf:1 required pam_ok.so"}},
		{"pam.conf: include of a path", files{"etc/pam.conf": "su session include /etc/more\nother session required pam_no.so\n", "etc/more": ok}, "su", []string{"more:1 required pam_ok.so"}},
		{"no pam.conf beside pam.d", files{"etc/pam.conf": "su session required pam_no.so\n", "etc/pam.d/other": ok}, "su", []string{"other:1 required pam_ok.so"}},
		{"pam.d is a file", files{"etc/pam.conf": "su session required pam_ok.so\n", "etc/pam.d": ""}, "su", []string{"pam.conf:1 required pam_ok.so"}},

		{"@include, include and substack in place", files{
			"etc/pam.d/su": line("1") + "@include a\nsession include b\nsession\tSUBSTACK c\n" + line("5"),
			"etc/pam.d/a":  line("a"), "usr/lib/pam.d/b": line("b"), "etc/pam.d/c": line("c"),
		}, "su", []string{"su:1 required 1", "a:1 required a", "b:1 required b", "c:1 required c", "su:5 required 5"}},
		{"Debian's common-session", files{
			"etc/pam.d/su":             "@INCLUDE common-session\n",
			"etc/pam.d/common-session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\nsession required pam_unix.so \n-session optional pam_systemd.so \n",
		}, "su", []string{"common-session:1 [default=1] pam_permit.so", "common-session:2 requisite pam_deny.so", "common-session:3 required pam_permit.so",
			"common-session:4 required pam_unix.so", "common-session:5 -optional pam_systemd.so"}},
		{"include of another type gives no session lines", files{"etc/pam.d/su": "auth include a\n" + ok, "etc/pam.d/a": line("a")}, "su", []string{"su:2 required pam_ok.so"}},
		{"include of another type may be missing", files{"etc/pam.d/su": "auth include nowhere\n" + ok}, "su", []string{"su:2 required pam_ok.so"}},
		{"include twice", files{"etc/pam.d/su": "@include a\n@include a\n", "etc/pam.d/a": ok}, "su", []string{"a:1 required pam_ok.so", "a:1 required pam_ok.so"}},
		{"include of a path", files{"etc/pam.d/su": "session include /opt/a\n", "opt/a": ok}, "su", []string{"a:1 required pam_ok.so"}},
		{"include from beside the directory", files{"etc/pam.d/su": "@include ../a\n", "etc/a": ok}, "su", []string{"a:1 required pam_ok.so"}},
		{"include does not leave the machine", files{"etc/pam.d/su": "@include ../../../../../../a\n", "a": ok}, "su", []string{"a:1 required pam_ok.so"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, err := Session(recorded(t, test.files), test.service)
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(lines); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// Each type has a stack of its own, with what lines of that type include.
func TestStack(t *testing.T) {
	m := recorded(t, files{
		"etc/pam.d/x": "auth required pam_a.so\naccount required pam_b.so\n-account include y\n@include z\nsession include y\nsesion required pam_c.so\n",
		"etc/pam.d/y": "account required pam_d.so\nsession required pam_e.so\n",
		"etc/pam.d/z": "password required pam_f.so\naccount sufficient pam_g.so\n",
	})
	for _, test := range []struct {
		kind string
		want []string
	}{
		{"auth", []string{"x:1 required pam_a.so"}},
		{"account", []string{"x:2 required pam_b.so", "y:1 required pam_d.so", "z:2 sufficient pam_g.so"}},
		{"password", []string{"z:1 required pam_f.so"}},
		{"session", []string{"y:2 required pam_e.so"}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			lines, err := Stack(m, "x", test.kind)
			if got := brief(lines); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestSessionNotFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files files
		path  string
	}{
		{"nothing at all", files{}, "/etc/pam.conf"},
		{"no such service, no other", files{"etc/pam.d/login": ""}, "/etc/pam.d/su"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Session(recorded(t, test.files), "su")
			var path *fs.PathError
			if !errors.As(err, &path) || path.Path != test.path || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSessionRefusesServices(t *testing.T) {
	m := recorded(t, files{"etc/pam.d/other": "session required pam_a.so\n", "etc/passwd": ""})
	for _, service := range []string{"", ".", "..", "/", "../passwd", "a/b", "/etc/passwd", "a\x00b"} {
		_, err := Session(m, service)
		var path *fs.PathError
		if !errors.As(err, &path) || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", service, err)
		}
	}
}

// An include that is missing names the line that wants it, and is no reason to
// look at "other".
func TestMissingInclude(t *testing.T) {
	for _, test := range []struct{ name, line, path string }{
		{"@include", "@include nowhere", "/etc/pam.d/nowhere"},
		{"include", "session include nowhere", "/etc/pam.d/nowhere"},
		{"substack", "session substack /no/where", "/no/where"},
		{"directory", "@include .", "/etc/pam.d"},
		{"NUL in the name", "@include a\x00b", "/etc/pam.d/a\x00b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Session(recorded(t, files{
				"etc/pam.d/su": "@include a\n", "etc/pam.d/a": "# a\n" + test.line + "\n", "etc/pam.d/other": "session required pam_no.so\n",
			}), "su")
			requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/a", Line: 2, Text: test.line, Reason: "file cannot be included"})
			var path *fs.PathError
			if !errors.As(err, &path) || path.Path != test.path {
				t.Errorf("cause %v", err)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	chain := func(n int) files {
		all := files{"etc/pam.d/f0": "@include f1\n"}
		for i := 1; i < n; i++ {
			all[fmt.Sprintf("etc/pam.d/f%d", i)] = fmt.Sprintf("session include f%d\n", i+1)
		}
		all[fmt.Sprintf("etc/pam.d/f%d", n)] = "session required pam_ok.so\n"
		return all
	}
	t.Run("as deep as PAM goes", func(t *testing.T) {
		lines, err := Session(recorded(t, chain(maxDepth-1)), "f0")
		if err != nil || len(lines) != 1 {
			t.Errorf("%v, %v", lines, err)
		}
	})
	t.Run("deeper", func(t *testing.T) {
		_, err := Session(recorded(t, chain(maxDepth)), "f0")
		requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/f15", Line: 1, Reason: "files that include each other too deep"})
	})
	t.Run("a file that includes itself", func(t *testing.T) {
		_, err := Session(recorded(t, files{"etc/pam.d/su": "@include su\n"}), "su")
		requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/su", Line: 1, Reason: "files that include each other too deep"})
	})
	t.Run("many files", func(t *testing.T) {
		_, err := Session(recorded(t, files{"etc/pam.d/su": strings.Repeat("@include a\n", maxFiles+1), "etc/pam.d/a": ""}), "su")
		requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/su", Line: maxFiles + 1, Reason: "too many files in one stack"})
	})
	t.Run("many lines", func(t *testing.T) {
		_, err := Session(recorded(t, files{"etc/pam.d/su": strings.Repeat("session optional pam_a.so\n", maxLines+1)}), "su")
		requireParseError(t, err, confparse.ParseError{File: "/etc/pam.d/su", Line: maxLines + 1, Reason: "too many lines in one stack"})
	})
	t.Run("a line of 3 MiB", func(t *testing.T) {
		lines, err := Session(recorded(t, files{"etc/pam.d/su": "session optional pam_a.so" + strings.Repeat(" a\\\n", 3<<18) + "\n"}), "su")
		if err != nil || len(lines) != 1 || len(lines[0].Args) != 3<<18 {
			t.Errorf("%d lines, %v", len(lines), err)
		}
	})
}

func TestIs(t *testing.T) {
	for _, test := range []struct {
		module string
		want   bool
	}{
		{"pam_systemd.so", true},
		{"/lib/security/pam_systemd.so", true},
		{"/lib/security/$ISA/pam_systemd.so", true},
		{"pam_systemd", false},
		{"pam_systemd.so/x", false},
		{"xpam_systemd.so", false},
		{"PAM_systemd.so", false},
		{"", false},
	} {
		if got := (Line{Module: test.module}).Is("pam_systemd.so"); got != test.want {
			t.Errorf("%q: %v", test.module, got)
		}
	}
}

func TestParseErrorText(t *testing.T) {
	err := &confparse.ParseError{File: "/etc/pam.d/su", Line: 3, Text: "x\n" + strings.Repeat("x", 1000), Reason: "why"}
	if got := err.Error(); !strings.HasPrefix(got, `/etc/pam.d/su:3: why in "x\nxx`) || len(got) > 300 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	err = &confparse.ParseError{File: "f", Line: 1, Text: "@include a", Reason: "file cannot be included", Err: &fs.PathError{Op: "open", Path: "/a", Err: fs.ErrNotExist}}
	if got, want := err.Error(), `f:1: file cannot be included (open /a: file does not exist) in "@include a"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The parser on any bytes, as a service's file and as pam.conf.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"", "session required pam_a.so\n", "-session [success=1 default=ignore] pam_a.so [a\\] b] c # d\n", "x \\\n",
		"su session optional /lib/pam_a.so a\n", "session include /nowhere\n", "@include su\n", "\\\n\\\n", "[",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		for _, service := range []string{"", "su"} {
			s := stack{machine: machine.Recorded("/nonexistent"), kind: "session"}
			err := s.parse("f", []byte(data), service, level{})
			var parse *confparse.ParseError
			if err != nil && (!errors.As(err, &parse) || parse.File != "f" || parse.Line < 1 || parse.Reason == "") {
				t.Fatalf("%T %v", err, err)
			}
			number := 0
			for _, l := range s.lines {
				if l.Number <= number || l.Number > strings.Count(data, "\n")+1 {
					t.Errorf("line %d after line %d", l.Number, number)
				}
				number = l.Number
				requireReadable(t, l)
			}
		}
	})
}

// requireReadable writes a line again, and wants the same from reading that.
func requireReadable(t *testing.T, l Line) {
	text := "session " + l.Control + " " + token{l.Module, true}.String()
	if l.Optional {
		text = "-" + text
	}
	for _, arg := range l.Args {
		text += " " + token{arg, true}.String()
	}
	if strings.Contains(text, `\\]`) || slices.ContainsFunc(append(l.Args, l.Module, l.Control), func(s string) bool { return strings.HasSuffix(s, `\`) }) {
		return // a backslash before the closing bracket cannot be written
	}
	s := stack{kind: "session"}
	if err := s.parse("f", []byte(text), "", level{}); err != nil || len(s.lines) != 1 {
		t.Fatalf("%q: %v, %v", text, s.lines, err)
	}
	again := s.lines[0]
	again.Number, again.File = l.Number, l.File
	if !reflect.DeepEqual(again, l) {
		t.Errorf("%q is\n%+v, not\n%+v", text, again, l)
	}
}
