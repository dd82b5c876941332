package trial

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What trylogin says becomes, with where it was before and after the open.
func TestListen(t *testing.T) {
	const tried = `command 0 {"freezer":{"entered":true,"limited":[],"unlimited":[]},"memory":{"entered":true,"limited":["memory"],"unlimited":["pids"]}}` + "\n"
	for _, test := range []struct{ name, said, want string }{
		{"nothing", "", "open - close -"},
		{"all of it", "ready 7 \nlog 6 a: b\nopen 0 Success\n" + tried + "log 4 c\nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" log 6 "a: b" log 4 "c" memory /user/alice/0 new true [memory] [pids] freezer /job old true [] [] tried`},
		{"PAM refuses", "ready 7 \nopen 14 Cannot\nclose 0 Success\n", `open 14 "Cannot" close 0 "Success" memory /user/alice/0 new false [] [] freezer /job old false [] []`},
		{"killed in the session", "open 0 Success\ncommand 9 \nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" error "the trial in the session was killed: killed" memory /user/alice/0 new false [] [] freezer /job new false [] []`},
		{"it fails in the session", "open 0 Success\ncommand 256 no /proc\nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" error "the trial in the session failed: exit status 1 no /proc" memory /user/alice/0 new false [] [] freezer /job new false [] []`},
		{"nonsense of the user's", "open 0 Success\ncommand 0 [1]\nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" error "the trial in the session said nothing that can be understood" memory /user/alice/0 new false [] [] freezer /job new false [] []`},
		{"other hierarchies and controllers of the user's", `open 0 Success` + "\n" + `command 0 {"x":{"entered":true},"memory":{"entered":true,"limited":["memory","memory","evil"],"unlimited":null}}` + "\n",
			`open 0 "Success" close - memory /user/alice/0 new true [memory] [] freezer /job new false [] [] tried`},
		{"it does not end", "open 0 Success\ncommand -1 \nclose 0 Success\n",
			`open 0 "Success" close 0 "Success" error "the trial in the session does not end, even killed: is it frozen?" memory /user/alice/0 new false [] [] freezer /job new false [] []`},
		{"it is not known where it was", "ready 7 \nopen 0 Success\n" + tried + "close 0 Success\n",
			`open 0 "Success" close 0 "Success" error "it cannot be told in which cgroups the login was"`},
		{"after the close", "close 0 Success\nlog 3 late\n", `open - close 0 "Success"`},
		{"words for the user", "told 4 hello\n", `open - close - log 6 "for the user: hello"`},
		{"an error", "error 2 x: No such file or directory\n", `open - close - error "x: No such file or directory"`},
		{"other lines", "hello\nlog\nlog x y\nopen\n  open 0 x\nopening 0 x\n", "open - close -"},
		{"two lines in one", `log 3 a\nb\\n` + "\n", `open - close - log 3 "a\nb\\n"`},
		{"no text", "log 3\nclose 0\n", `open - close 0 "" log 3 ""`},
		{"no newline at the end", "close 0 Success", `open - close 0 "Success"`},
		{"a line without end", "close 0 Success\n" + strings.Repeat("x", 2<<20), `open - close 0 "Success"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			where := func(int) ([]Place, error) {
				calls++
				places := []Place{{Hierarchy: "memory", Cgroup: "/job"}, {Hierarchy: "freezer", Cgroup: "/job"}}
				if calls == 2 || !strings.HasPrefix(test.said, "ready") {
					places[0].Cgroup = "/user/alice/0"
				}
				if strings.HasPrefix(test.name, "it is not known") {
					return nil, errors.New("no /proc")
				}
				return places, nil
			}
			outcome, isWhole := listen(strings.NewReader(test.said), io.Discard, where)
			if isWhole != (outcome.Close != nil) {
				t.Errorf("whole: %v", isWhole)
			}
			if got := describe(outcome); got != test.want {
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
	for _, p := range o.Places {
		words = append(words, p.Hierarchy, p.Cgroup, map[bool]string{true: "new", false: "old"}[p.IsNew], fmt.Sprint(p.Entered, " ", p.Limited, " ", p.Unlimited))
	}
	if o.HasTried {
		words = append(words, "tried")
	}
	return strings.Join(words, " ")
}

func FuzzListen(f *testing.F) {
	for _, s := range []string{"open 0 Success\n", "command 0 {}\n", "log 3 \\\\n\n", "error x", "\x00\xff\nclose -1 x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		o, _ := listen(strings.NewReader(said), io.Discard, func(int) ([]Place, error) { return nil, nil })
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
	var unsafe *UnsafeError
	for _, path := range []string{"build", "build/trylogin"} {
		if err := os.Chmod(filepath.Join(dir, path), 0o777); err != nil {
			t.Fatal(err)
		}
		if got, err := FindProgram(filepath.Join(dir, "build/cgdeleg")); !errors.As(err, &unsafe) {
			t.Errorf("others may write %s: %s, %v", path, got, err)
		}
		if err := os.Chmod(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "build/trylogin"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := FindProgram(filepath.Join(dir, "build/cgdeleg")); err == nil && strings.HasPrefix(got, dir) {
		t.Errorf("a file that cannot be executed: %s", got)
	}
}
