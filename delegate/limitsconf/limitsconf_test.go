package limitsconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// describe writes what was understood, a line each, as it could stand in a file.
func describe(c *Config) (lines []string) {
	for _, r := range c.Rules {
		line := fmt.Sprintf("%d:%d %s %s", r.Line, r.Column, r.WhoText, r.Scope)
		for i, l := range r.Limits {
			line += fmt.Sprintf(" %s@%d:%d", Quote(l.String()), r.Places[i].Line, r.Places[i].Column)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, text string
		rules      []string
	}{
		{"nothing", "", nil},
		{"no line", " \n\t\n# a comment \\\n\r\n", nil},
		{"one line", "alice user memory.max=1G", []string{"1:1 alice user memory.max=1G@1:12"}},
		{"byte order mark", "\ufeffalice user -\n", []string{"1:1 alice user"}},
		{"the example of the manual page", "" +
			"# who          for      limits\n" +
			"root,uid<1000  user     -\n" +
			"@students      user     memory.high=20% memory.max=25% cpu.max=400% pids.max=1024\n" +
			"@students      session  memory.max=4G\n" +
			"*              user     memory.max=50% pids.max=4096\n",
			[]string{
				"2:1 root,uid<1000 user",
				"3:1 @students user memory.high=20%@3:25 memory.max=25%@3:41 cpu.max=400%@3:56 pids.max=1024@3:69",
				"4:1 @students session memory.max=4G@4:25",
				"5:1 * user memory.max=50%@5:25 pids.max=4096@5:40",
			}},
		{"blanks before and after", "\t alice\tuser  -\t \n", []string{"1:3 alice user"}},
		{"CRLF", "alice user -\r\nbob user \\\r\n  -\r\n", []string{"1:1 alice user", "2:1 bob user"}},
		{"comment behind", "alice user - # and no more\nbob user - #x\n", []string{"1:1 alice user", "2:1 bob user"}},
		{"comment that ends in a backslash", "alice user - # no \\\nbob user -\n", []string{"1:1 alice user", "2:1 bob user"}},
		{"quoted value", `alice user cpu.max="50000 200000"`, []string{`1:1 alice user cpu.max="50000 200000"@1:12`}},
		{"quoted word", `alice user "io.max=/dev/sda rbps=1M" pids.max=90`, []string{`1:1 alice user io.max="/dev/sda rbps=1M"@1:12 pids.max=90@1:38`}},
		{"domains", `alice@corp.example,!"@domain users@corp.example" user -`, []string{`1:1 alice@corp.example,!"@domain users@corp.example" user`}},
		{"quotes in a list", `"@domain users",alice user -`, []string{`1:1 "@domain users",alice user`}},
		{"# in quotes, and within a word", `"#x",a#b user -`, []string{`1:1 "#x",a#b user`}},
		{"backslash within a word", `DOM\alice user -`, []string{`1:1 DOM\alice user`}},
		{"continued", "alice user \\\n  memory.max=1G \\\n  pids.max=90\nbob user -", []string{"1:1 alice user memory.max=1G@2:3 pids.max=90@3:3", "4:1 bob user"}},
		{"continued within a word", "alice,\\\nbob user -\n*  user -", []string{"1:1 alice,\\\nbob user", "3:1 * user"}},
		{"continued within quotes", "alice user cpu.max=\"50000 \\\n100000\"\n", []string{"1:1 alice user cpu.max=50%@1:12"}},
		{"continued into a comment", "alice user - \\\n# no more\nbob user -", []string{"1:1 alice user", "3:1 bob user"}},
		{"continued by nothing", "alice user - \\", []string{"1:1 alice user"}},
		{"continued by an empty line", "alice user - \\\n\nbob user -", []string{"1:1 alice user", "3:1 bob user"}},
		{"rates of one device", `* user io.max="8:0 rbps=1M" IOWriteBandwidthMax="8:0 1K" io.max="8:1 rbps=2M"`,
			[]string{`1:1 * user io.max="8:0 rbps=1M wbps=1000"@1:8 io.max="8:1 rbps=2M"@1:58`}},
		{"weights of devices", `* user io.weight=50 io.weight="8:0 60"`, []string{`1:1 * user io.weight=50@1:8 io.weight="8:0 60"@1:21`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Parse("limits.conf", test.text)
			got := describe(c)
			if len(c.Errors) > 0 || !slices.Equal(got, test.rules) {
				t.Errorf("got  %q, %v\nwant %q", got, c.Errors, test.rules)
			}
			for _, r := range c.Rules {
				if r.File != "limits.conf" {
					t.Errorf("file %q", r.File)
				}
			}
		})
	}
}

// An error costs its line, and no other.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"only whom", "alice", "1:1: the line is cut off"},
		{"no limits", "alice user # -", "1:7: the line is cut off"},
		{"another scope", "alice group -", `1:7: "group" is neither`},
		{"no limit", "alice user 1G", `1:12: "1G": no NAME=VALUE`},
		{"no login works with that", "* user pids.max=100 memory.max=25", `1:21: "memory.max=25": no login works with less than 4M; want more`},
		{"of memory.high too", "* user memory.high=0%", `1:8: "memory.high=0%": no login works with less than 4M`},
		{"nor with that", "* session pids.max=9", `1:11: "pids.max=9": no login works with fewer than 10 processes`},
		{"unknown limit", "alice user pids.max=90 memory.mx=1G", `1:24: there is no limit "memory.mx"; is memory.max meant?`},
		{"value", "alice user memory.max=1X", `1:12: "memory.max=1X": not a number`},
		{"on a continued line", "alice user \\\n pids.max=90 \\\n  memory.max=1X", `3:3: "memory.max=1X": not a number`},
		{"column within a continued word", "alice user pids.max=90 mem\\\nory.max=1X", `1:24: "memory.max=1X": not a number`},
		{"twice", "alice user memory.max=1G MemoryMax=2G", "1:26: memory.max is given twice"},
		{"rate twice", `alice user io.max="8:0 rbps=1" IOReadBandwidthMax="8:0 1"`, "1:32: rbps of 8:0 is given twice"},
		{"weight twice", `alice user io.weight="8:0 1" io.weight="8:0 1"`, "1:30: io.weight 8:0 is given twice"},
		{"none and some", "alice user - pids.max=90", "1:14: a limit after -"},
		{"a comment too late", "alice user -#x", "1:12: \"-#x\": no NAME=VALUE"},
		{"some and none", "alice user pids.max=90 -", "1:24: - after a limit"},
		{"open quote", `alice user cpu.max="1 2`, "1:20: the quote is not closed"},
		{"open quote that is continued", "alice user cpu.max=\"1 \\\n2\n", "1:20: the quote is not closed"},
		{"empty word of a list", "alice,,bob user -", "1:1: an empty word"},
		{"blank before a comma", "alice ,bob user -", `1:1: "alice ,bob": whom a line is for is one word, without blanks; write no blanks in alice,bob`},
		{"blanks in a range", "uid < 1000 user -", `1:1: "uid <": whom a line is for is one word, without blanks; write no blanks in uid<1000`},
		{"blank in a range", "uid< 1000 user -", `1:1: "uid< 1000": whom a line is for is one word, without blanks; write no blanks in uid<1000`},
		{"plural", "alice users -", `1:7: "users" is neither user nor session; write user`},
		{"capital", "alice User -", `1:7: "User" is neither user nor session; write user`},
		{"both", "alice user,session pids.max=100", `1:7: "user,session" is neither user nor session; write two lines`},
		{"no scope", "alice pids.max=100 memory.max=1G", `1:7: "pids.max=100" is neither user nor session; write user or session before the limits: alice user pids.max=100`},
		{"no scope, and one limit", "alice pids.max=100", `1:7: "pids.max=100" is neither`},
		{"no limits but a scope", "alice session", "1:7: the line is cut off: after whom it is for come user or session, and limits or -; write alice session, and limits or -, such as: alice session memory.max=2G"},
		{"pam_limits", "@students hard nproc 100", `1:11: "hard" is neither user nor session; write user, and the limits by the names`},
		{"comment of other files", "; comment", `1:1: ";" is no comment: comments begin with #`},
		{"comment of other languages", "// comment and more", `1:1: "//" is no comment`},
		{"comment without a blank", ";comment", `1:1: ";comment" is no comment`},
		{"section", "[user]", `1:1: "[user]" is no user's name; remove the line`},
		{"blank after the backslash", "alice user pids.max=100 \\ ", `1:25: blanks after the backslash`},
		{"tab after the backslash at a word", "alice user pids.max=100\\\t", `1:24: blanks after the backslash`},
		{"a limit in front", "pids.max=100 memory.max=1G", `1:1: "pids.max=100" is a limit, where a line says for whom it is`},
		{"IDs as pam_limits has them", "1000:2000 user -", `1:1: "1000:2000" is no user's name; write uid=1000-2000`},
		{"and from one on", "1000: user -", `1:1: "1000:" is no user's name; write uid>=1000`},
		{"and up to one", ":2000 user -", `1:1: ":2000" is no user's name; write uid<=2000`},
		{"capital uid", "UID<1000 user -", `1:1: "UID<1000" is no user's name; write uid<1000`},
		{"two equals signs", "uid==0 user -", `1:1: "uid==0" is no user's name; write uid=0`},
		{"unequal", "uid!=0 user -", `1:1: "uid!=0" is no user's name; write !uid=0`},
		{"group by a word", "gid=100 user -", `1:1: "gid=100" is no user's name; write @100`},
		{"pattern", "al* user -", `1:1: "al*" is no user's name; write each name, or a group`},
		{"backslash in a name", "DOM\\a:b user -", `1:1: "DOM\a:b" is no user's name`},
		{"no text", "\x00\x01\x02\x03\x04:\x05\x06\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00 user -", `1:1: "\x00\x01\x02\x03\x04:\x05\x06\a`},
		{"blank in a list", "alice, bob user -", `1:1: "alice, bob": whom a line is for is one word, without blanks; write no blanks in alice,bob`},
		{"nobody", `"" user -`, "1:1: an empty word"},
		{"not nobody", `! user -`, "1:1: an empty word"},
		{"no group", "@ user -", "1:1: no name after @"},
		{"no group but a mark", "@@staff user -", `1:1: "@staff" is no group's name`},
		{"no name of a file", "/alice user -", `1:1: "/alice" is no user's name`},
		{"group as sudo has it", "%wheel user -", `1:1: "%wheel": a group is written @NAME; write @wheel`},
		{"group number", "@4294967296 user -", "1:1: group ID"},
		{"no range", "uid<x user -", "1:1: \"uid<x\" is no range"},
		{"empty range", "uid<= user -", "1:1: \"uid<=\" is no range"},
		{"half of a range", "uid=1- user -", "1:1: \"uid=1-\" is no range"},
		{"range of <", "uid<1-2 user -", "1:1: \"uid<1-2\" is no range"},
		{"reversed", "uid=2-1 user -", "1:1: \"uid=2-1\": the range ends before it begins; write uid=1-2"},
		{"too large", "uid=4294967296 user -", "1:1: \"uid=4294967296\" is no range"},
		{"another id", "gid<5 user -", "1:1: \"gid<5\" is no user's name"},
		{"two exclamation marks", "!!a user -", "1:1: \"!a\" is no user's name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Parse("f", "before user -\n"+test.text+"\nafter user -\n")
			var syntax *SyntaxError
			if len(c.Errors) != 1 || !errors.As(c.Errors[0], &syntax) {
				t.Fatalf("got %v, %v", describe(c), c.Errors)
			}
			syntax.Line-- // the line before
			if !strings.HasPrefix(syntax.Error(), "f:"+test.want) {
				t.Errorf("got %v, want %s", syntax, test.want)
			}
			if len(c.Rules) != 2 || c.Rules[0].WhoText != "before" || c.Rules[1].WhoText != "after" {
				t.Errorf("the other lines are %q", describe(c))
			}
		})
	}
}

// Why a limit is none is kept.
func TestSyntaxErrorUnwraps(t *testing.T) {
	var value *limits.ValueError
	if err := Parse("f", "a user memory.max=x").Errors[0]; !errors.As(err, &value) || value.Word != "memory.max=x" {
		t.Errorf("got %v", err)
	}
	var name *limits.NameError
	if err := Parse("f", "a user memory.mx=x").Errors[0]; !errors.As(err, &name) || name.Nearest != "memory.max" {
		t.Errorf("got %v", err)
	}
}

func TestWho(t *testing.T) {
	alice := Subject{Name: "alice", UID: 1000, Groups: func() (names, gids []string, err error) {
		return []string{"alice", "students", "domain users", "domain users@corp.example"}, []string{"1000", "2000", "2001"}, nil
	}}
	for _, test := range []struct {
		who  string
		want bool
	}{
		{"alice", true}, {"bob", false}, {"bob,alice", true}, {"Alice", false},
		{"*", true}, {"!*", false}, {"*,!alice", false}, {"!alice,*", false}, {"*,!bob", true},
		{"!bob", true}, {"!alice", false}, {"!bob,carol", false}, {"!bob,!carol", true},
		{"@students", true}, {"@staff", false}, {"@domain users", true}, {"@2000", true}, {"@02000", true}, {"@2002", false}, {"@1000", true},
		{"!@students", false}, {"!@staff", true}, {"@students,!@staff", true}, {"@students,!alice", false}, {"alice,!@students", false}, {"@staff,alice", true}, {"@staff,@students", true},
		{"uid<1000", false}, {"uid<1001", true}, {"uid<=1000", true}, {"uid<=999", false}, {"uid<0", false},
		{"uid>1000", false}, {"uid>999", true}, {"uid>=1000", true}, {"uid>=1001", false}, {"uid>4294967295", false},
		{"uid=1000", true}, {"uid=999", false}, {"uid=1000-1999", true}, {"uid=0-999", false}, {"!uid<1000", true}, {"!uid=500-1000", false}, {"uid>=1000,!uid=1000", false},
	} {
		who, reason := new(parser).parseWho(test.who)
		if reason != nil {
			t.Errorf("%s: %s", test.who, reason)
			continue
		}
		if got := who.matches(&subject{Subject: alice}); got != test.want {
			t.Errorf("%s: got %v", test.who, got)
		}
	}
	qualified := Subject{Name: "alice@corp.example", UID: 1000, Groups: alice.Groups}
	for who, want := range map[string]bool{
		"alice@corp.example": true, "alice": false, "alice@other.example": false, "!alice@corp.example": false, "*,!bob@corp.example": true,
		"@domain users@corp.example": true, "@domain users@other.example": false, "!@domain users@corp.example": false,
	} {
		if who, reason := new(parser).parseWho(who); reason != nil || who.matches(&subject{Subject: qualified}) != want {
			t.Errorf("%v: %s, want %v", who, reason, want)
		}
	}
	nobody, _ := new(parser).parseWho("uid<0")
	if nobody.matches(&subject{Subject: Subject{Name: "root"}}) {
		t.Error("root's user ID is below 0")
	}
}

func TestForTakesTheFirstLine(t *testing.T) {
	c := Parse("f", "bob user -\n* session pids.max=10\nalice session pids.max=20\nalice user pids.max=30\n* user pids.max=40\n")
	for name, want := range map[string][2]int{"alice": {4, 2}, "bob": {1, 2}, "carol": {5, 2}} {
		l := c.For(Subject{Name: name})
		if l.User == nil || l.Session == nil || l.User.Line != want[0] || l.Session.Line != want[1] || l.Unknown != nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if l := Parse("f", "bob user -").For(Subject{Name: "alice"}); !reflect.DeepEqual(l, Limits{}) {
		t.Errorf("nobody's line: %+v", l)
	}
}

// The groups are asked for once, and only if it takes them.
func TestForAsksForGroups(t *testing.T) {
	for _, test := range []struct {
		name, text string
		asked      int
	}{
		{"no groups", "alice user -\n* session -", 0},
		{"another line before", "alice user -\n* session -\n@students user -", 0},
		{"only one scope was found", "alice user -\n@students session -", 1},
		{"a word before it", "alice,@students user -\n* session -", 0},
		{"a word after it", "@students,alice user -\n* session -", 0},
		{"excluded before", "@students,!alice user -\n* session -", 0},
		{"a word that is excluded by a group", "alice,!@students user -\n* session -", 1},
		{"nobody but by name, unless in a group", "bob,!@students user -\n", 0},
		{"several", "@a user -\n@b,@c session -\n@5 user -", 1},
		{"an exclusion alone", "!@a user -", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			Parse("f", test.text).For(Subject{Name: "alice", UID: 1000, Groups: func() (names, gids []string, err error) {
				asked++
				return []string{"students"}, []string{"5"}, nil
			}})
			if asked != test.asked {
				t.Errorf("asked %d times, want %d", asked, test.asked)
			}
		})
	}
}

// Where the groups are not known, words about them match nobody, and the next line is looked at.
func TestForWithoutGroups(t *testing.T) {
	c := Parse("f", "@students user -\nalice,!@staff session -\n* user -\n")
	hangs := errors.New("the directory does not answer")
	l := c.For(Subject{Name: "alice", Groups: func() (names, gids []string, err error) { return []string{"students", "staff"}, nil, hangs }})
	if l.User == nil || l.User.Line != 3 || l.Session == nil || l.Session.Line != 2 || !errors.Is(l.Unknown, hangs) {
		t.Errorf("got %+v", l)
	}
	if l := c.For(Subject{Name: "alice"}); l.User.Line != 3 || !errors.Is(l.Unknown, ErrNoGroups) {
		t.Errorf("without Groups: %+v", l)
	}
}

// write writes files below dir; a name that ends in a slash is a directory's.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string // FILE:LINE
	}{
		{"nothing", map[string]string{"etc/": ""}, nil},
		{"an empty directory", map[string]string{"etc/cgdeleg/": ""}, nil},
		{"one file", map[string]string{"etc/cgdeleg/limits.conf": "* user -\n"}, []string{"/etc/cgdeleg/limits.conf:1"}},
		{"in order", map[string]string{
			"etc/cgdeleg/limits.conf": "\n* user -\n", "etc/cgdeleg/limits.d/20.conf": "* user -\n", "etc/cgdeleg/limits.d/10.conf": "* user -\nx\n* user -\n",
			"etc/cgdeleg/limits.d/30.conf~": "* user -\n", "etc/cgdeleg/limits.d/.40.conf": "* user -\n", "etc/cgdeleg/limits.d/README": "* user -\n",
		}, []string{"/etc/cgdeleg/limits.conf:2", "/etc/cgdeleg/limits.d/10.conf:1", "/etc/cgdeleg/limits.d/10.conf:3", "/etc/cgdeleg/limits.d/20.conf:1"}},
		{"only the directory", map[string]string{"etc/cgdeleg/limits.d/a.conf": "* user -"}, []string{"/etc/cgdeleg/limits.d/a.conf:1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, test.files)
			write(t, dir, map[string]string{machine.AbsentFile: "/etc/cgdeleg/limits.conf\n/etc/cgdeleg/limits.d\n"})
			c := Read(machine.Recorded(dir))
			var got []string
			for _, r := range c.Rules {
				got = append(got, fmt.Sprintf("%s:%d", r.File, r.Line))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, c.Errors, test.want)
			}
			for _, err := range c.Errors {
				var syntax *SyntaxError
				if !errors.As(err, &syntax) || syntax.File != "/etc/cgdeleg/limits.d/10.conf" || syntax.Line != 2 {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// On the running machine a file counts only if nobody but root can have written it.
func TestReadTrustsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, whose the files are")
	}
	for _, test := range []struct {
		name   string
		change func(dir string) error
		rules  int
		path   string
		want   error
	}{
		{"root's", func(string) error { return nil }, 2, "", nil},
		{"the file is another's", func(d string) error { return os.Chown(d+"/limits.conf", 1000, 0) }, 1, "/limits.conf", ErrNotRoots},
		{"a group can write it", func(d string) error { return os.Chmod(d+"/limits.conf", 0o664) }, 1, "/limits.conf", ErrWritable},
		{"others can write it", func(d string) error { return os.Chmod(d+"/limits.d/a.conf", 0o646) }, 1, "/limits.d/a.conf", ErrWritable},
		{"others can put files there", func(d string) error { return os.Chmod(d+"/limits.d", 0o757) }, 1, "/limits.d", ErrWritable},
		{"the directory is another's", func(d string) error { return os.Chown(d+"/limits.d", 1000, 0) }, 1, "/limits.d", ErrNotRoots},
		{"others can replace all of it", func(d string) error { return os.Chmod(d, 0o777) }, 0, "", ErrWritable},
		{"a link to another's file", func(d string) error {
			return errors.Join(os.Chown(d+"/limits.conf", 1000, 0), os.Symlink("../limits.conf", d+"/limits.d/b.conf"), os.Rename(d+"/limits.conf", d+"/limits.txt"),
				os.Remove(d+"/limits.d/b.conf"), os.Symlink("../limits.txt", d+"/limits.d/b.conf"))
		}, 1, "/limits.d/b.conf", ErrNotRoots},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"limits.conf": "* user -\n", "limits.d/a.conf": "* user -\n"})
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			var c Config
			c.readBelow(machine.Machine{}, dir)
			if len(c.Rules) != test.rules {
				t.Errorf("rules %q, want %d", describe(&c), test.rules)
			}
			if test.want == nil {
				if len(c.Errors) > 0 {
					t.Errorf("got %v", c.Errors)
				}
				return
			}
			var path *fs.PathError
			if len(c.Errors) != 1 || !errors.As(c.Errors[0], &path) || path.Path != dir+test.path || !errors.Is(path, test.want) {
				t.Errorf("got %v, want %v of %s", c.Errors, test.want, test.path)
			}
		})
	}
}

// ReadFor finds what For does, and complains of the same.
func TestReadForIsReadAndFor(t *testing.T) {
	dir := t.TempDir()
	text := "bob user -\nx\n@students session io.max=\"8:0 rbps=1\" IOWriteIOPSMax=\"8:0 2\"\n@staff,!carol user pids.max=20 cpu.max=5%\nuid=7 user -\n* session memory.mx=1\n"
	for i := range 300 {
		text += fmt.Sprintf("a%d,b%d,@c%d user memory.max=%dM io.max=\"8:%d rbps=1\" cpuset.cpus=%d\n", i, i, i, i, i, i)
	}
	write(t, dir, map[string]string{
		"etc/cgdeleg/limits.conf": text, "etc/cgdeleg/limits.d/a.conf": "* session memory.max=1G memory.high=10%\n!bob user pids.max=90 memory.max=max\n* user -\n",
	})
	m := machine.Recorded(dir)
	for _, name := range []string{"alice", "bob", "carol", "a0", "b299", "nobody"} {
		for _, groups := range [][]string{nil, {"students"}, {"staff", "students"}, {"c7"}} {
			asked := 0
			s := Subject{Name: name, UID: 7 * len(groups), Groups: func() (names, gids []string, err error) { asked++; return groups, nil, nil }}
			all := Read(m)
			want := all.For(s)
			often := asked
			got, errs := ReadFor(m, s)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(errs, all.Errors) || asked != 2*often {
				t.Errorf("%s in %q: got %+v %+v, %v, asked %d; want %+v %+v, %v", name, groups, got.User, got.Session, errs, asked, want.User, want.Session, all.Errors)
			}
		}
	}
}

// A login hears of the first mistakes, and how many there are.
func TestReadForIsBrief(t *testing.T) {
	for _, test := range []struct{ lines, want int }{{15, 15}, {16, 16}, {17, 16}, {5000, 16}} {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"etc/cgdeleg/limits.conf":     "# 1\n" + strings.Repeat("* user memory.mx=1\n", test.lines-1),
			"etc/cgdeleg/limits.d/a.conf": "* user\n* user pids.max=90\n",
		})
		l, errs := ReadFor(machine.Recorded(dir), Subject{Name: "alice"})
		if len(errs) != test.want || l.User == nil || l.User.Line != 2 {
			t.Errorf("%d: %d errors, %+v", test.lines, len(errs), l.User)
			continue
		}
		want := File + ":2:8: there is no limit \"memory.mx\"; is memory.max meant?"
		if got := errs[0].Error(); got != want {
			t.Errorf("%d: got %s, want %s", test.lines, got, want)
		}
		want = fmt.Sprintf("%s:17:8: a mistake in this line too, and in %d lines in all (cgdeleg limits check)", File, test.lines)
		switch test.lines {
		case 15:
			want = Directory + "/a.conf:1:3: the line is cut off: after whom it is for come user or session, and limits or -; write * user, and limits or -, such as: * user memory.max=2G"
		case 16:
			want = Directory + "/a.conf:1:3: a mistake in this line too, and in 16 lines in all (cgdeleg limits check)"
		}
		var syntax *SyntaxError
		if got := errs[len(errs)-1]; got.Error() != want || !errors.As(got, &syntax) {
			t.Errorf("%d: got %v, want %s", test.lines, got, want)
		}
		if all := Read(machine.Recorded(dir)); len(all.Errors) != test.lines {
			t.Errorf("%d: Read has %d errors", test.lines, len(all.Errors))
		}
	}
}

// A login does not pay for thousands of mistakes.
func TestReadForIsSoonDone(t *testing.T) {
	dir := t.TempDir()
	const line = "* user memory.maxx=1G\n"
	write(t, dir, map[string]string{"etc/cgdeleg/limits.conf": strings.Repeat(line, 4<<20/len(line))})
	began := cpuTime()
	ReadFor(machine.Recorded(dir), Subject{Name: "alice"})
	if took := cpuTime() - began; took > 1_500_000_000 { // 0.1 s; it was 6 s
		t.Errorf("it took %d ns", took)
	}
}

// All files together are bounded.
func TestReadIsBounded(t *testing.T) {
	dir := t.TempDir()
	half := "* user pids.max=10\n" + strings.Repeat("#\n", 1<<20)
	write(t, dir, map[string]string{
		"etc/cgdeleg/limits.conf": "alice user pids.max=10\n", "etc/cgdeleg/limits.d/a.conf": half, "etc/cgdeleg/limits.d/b.conf": half, "etc/cgdeleg/limits.d/c.conf": "* session pids.max=10\n",
	})
	c := Read(machine.Recorded(dir))
	var file *fs.PathError
	if len(c.Rules) != 2 || len(c.Errors) != 1 || !errors.As(c.Errors[0], &file) || file.Path != Directory+"/b.conf" || !errors.Is(file, ErrTooMuch) {
		t.Errorf("%d rules, %v", len(c.Rules), c.Errors)
	}
}

// What was not recorded is not absent.
func TestReadSaysWhatWasNotRecorded(t *testing.T) {
	c := Read(machine.Recorded(t.TempDir()))
	for i, name := range []string{File, Directory} {
		var path *fs.PathError
		if len(c.Errors) != 2 || !errors.As(c.Errors[i], &path) || path.Path != name || !errors.Is(path, machine.ErrNotRecorded) {
			t.Errorf("got %v", c.Errors)
		}
	}
}

// A file that cannot be read does not keep the others.
func TestReadGoesOn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"etc/cgdeleg/limits.conf/": "", "etc/cgdeleg/limits.d/a.conf": "* user -"})
	c := Read(machine.Recorded(dir))
	var path *fs.PathError
	if len(c.Rules) != 1 || len(c.Errors) != 1 || !errors.As(c.Errors[0], &path) || path.Path != File {
		t.Errorf("got %q, %v", describe(c), c.Errors)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "": `""`, "cpu.max=1 2": `cpu.max="1 2"`, "@domain users": `"@domain users"`, "#x": `"#x"`, `x\`: `"x\"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// FuzzParse wants that any text is read to its end, that each of its lines gives a rule or
// an error or nothing, in their place, and that a rule can be written so that it says the
// same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"root,uid<1000 user -\n@students session memory.max=4G\n", "a user cpu.max=\"1000 1000\" # x\n", "a,\\\nb user \\\n -\n", "\"@a b\",!c user -\r\n",
		"a user io.max=\"8:0 rbps=1\" IOWriteIOPSMax=\"8:0 2\"", "a \"user\" -", "\\\\\n\"", "a user - \\", "uid=1-2,uid>=3,@5,!* session -", "\ufeff#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := Parse("f", text)
		last := strings.Count(text, "\n") + 1
		for _, err := range c.Errors {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.File != "f" || syntax.Line < 1 || syntax.Line > last || syntax.Column < 1 || syntax.Reason == "" {
				t.Fatalf("%q: %v", text, err)
			}
		}
		line := 0
		for _, r := range c.Rules {
			if r.Line <= line || r.Line > last || r.Column < 1 || len(r.Limits) != len(r.Places) {
				t.Fatalf("%q: %+v", text, r)
			}
			line = r.Line
			if strings.Contains(r.WhoText, "\n") {
				continue // the word alone would end before its next line
			}
			words := []string{r.WhoText, r.Scope.String()}
			for _, l := range r.Limits {
				words = append(words, Quote(l.String()))
			}
			if len(r.Limits) == 0 {
				words = append(words, "-")
			}
			again := Parse("f", strings.Join(words, " "))
			if len(again.Errors) > 0 || len(again.Rules) != 1 || !reflect.DeepEqual(again.Rules[0].Who, r.Who) || !reflect.DeepEqual(again.Rules[0].Limits, r.Limits) {
				t.Fatalf("%q: %q gives %+v, want %+v", text, words, again, r)
			}
		}
		c.For(Subject{Name: "a", UID: 5, Groups: func() (names, gids []string, err error) { return []string{"a b"}, []string{"5"}, nil }})
	})
}

// A login reads 5,000 lines, of which the last one concerns it.
func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	for i := range 4999 {
		fmt.Fprintf(&text, "user%d,@group%d  user  memory.high=1.5G memory.max=2G cpu.max=200%% pids.max=%d  # of department %d\n", i, i, 100+i, i%7)
	}
	text.WriteString("* user pids.max=90\n")
	dir := b.TempDir()
	write(b, dir, map[string]string{"etc/cgdeleg/limits.conf": text.String()})
	var names, gids []string
	for i := range 200 {
		names, gids = append(names, fmt.Sprintf("of%d", i)), append(gids, fmt.Sprint(70000+i))
	}
	m, alice := machine.Recorded(dir), Subject{Name: "alice", UID: 1000, Groups: func() ([]string, []string, error) { return names, gids, nil }}
	for name, read := range map[string]func() Limits{
		"all":  func() Limits { return Read(m).For(alice) },
		"hers": func() Limits { l, _ := ReadFor(m, alice); return l },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				if l := read(); l.User == nil || l.User.Line != 5000 {
					b.Fatalf("got %+v", l)
				}
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op") // which other load on the machine does not change
		})
	}
}

// cpuTime returns how much CPU time, in nanoseconds, this process had in user space.
func cpuTime() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return usage.Utime.Nano()
}
