package trial

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ name, said, want string }{
		{"nothing", "", "open - close -"},
		{"all of it", "log 6 a: b\nopen 0 Success\nplaces [{\"hierarchy\":\"freezer\",\"cgroup\":\"/user/a/0\",\"entered\":true}]\nlog 4 c\nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" log 6 "a: b" log 4 "c" place freezer /user/a/0 true`},
		{"PAM refuses", "open 14 Cannot make/remove an entry for the specified session\n", `open 14 "Cannot make/remove an entry for the specified session" close -`},
		{"nothing can be run", "open 0 Success\nerror 13 /x\nclose 0 Success\n", `open 0 "Success" close 0 "Success" error "/x"`},
		{"no places", "places []\n", "open - close - places"},
		{"places that are none", "places {\n", "open - close -"},
		{"words of another program", "hello\nlog\nlog x y\nopen\n  open 0 x\nopening 0 x\n", "open - close -"},
		{"two lines in one", `log 3 a\nb\\n` + "\n", `open - close - log 3 "a\nb\\n"`},
		{"no text", "log 3\nopen 0\n", `open 0 "" close - log 3 ""`},
		{"no newline at the end", "open 0 Success", `open 0 "Success" close -`},
		{"a line without end", "open 0 Success\n" + strings.Repeat("x", 2<<20), `open 0 "Success" close -`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := describe(Parse(strings.NewReader(test.said))); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func describe(o *Outcome) string {
	answer := func(a *Answer) string {
		if a == nil {
			return "-"
		}
		return fmt.Sprintf("%d %q", a.Result, a.Text)
	}
	words := []string{"open", answer(o.Open), "close", answer(o.Close)}
	for _, l := range o.Log {
		words = append(words, fmt.Sprintf("log %d %q", l.Priority, l.Text))
	}
	for _, e := range o.Errors {
		words = append(words, fmt.Sprintf("error %q", e))
	}
	if o.Places != nil && len(o.Places) == 0 {
		words = append(words, "places")
	}
	for _, p := range o.Places {
		words = append(words, "place", p.Hierarchy, p.Cgroup, fmt.Sprint(p.Entered))
	}
	return strings.Join(words, " ")
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"open 0 Success\n", "places [{}]\n", "log 3 \\\\n\n", "error x", "\x00\xff\nclose -1 x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		o := Parse(strings.NewReader(said))
		if lines := strings.Count(said, "\n") + 1; len(o.Log)+len(o.Errors) > lines {
			t.Errorf("%d lines became %+v", lines, o)
		}
	})
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	for _, place := range []string{"build/trylogin", "usr/libexec/cgdeleg/trylogin"} {
		path := filepath.Join(dir, place)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for self, want := range map[string]string{
		"build/cgdeleg": "build/trylogin", "usr/bin/cgdeleg": "usr/libexec/cgdeleg/trylogin",
	} {
		if got, err := FindProgram(filepath.Join(dir, self)); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v", self, got, err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "build/trylogin"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := FindProgram(filepath.Join(dir, "build/cgdeleg")); err == nil && strings.HasPrefix(got, dir) {
		t.Errorf("a file that cannot be executed: %s", got)
	}
}
