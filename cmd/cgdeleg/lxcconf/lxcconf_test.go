package lxcconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

// brief is an item as "config:3 lxc.uts.name=c1", its file by base name.
func brief(items []Item) (all []string) {
	for _, i := range items {
		all = append(all, fmt.Sprintf("%s:%d %s=%s", filepath.Base(i.File), i.Line, i.Key, i.Value))
	}
	return all
}

// config parses one file that includes nothing.
func config(t *testing.T, data string) *Config {
	t.Helper()
	c, err := Read(recorded(t, files{"config": data}), "/config")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Lines of lxc.container.conf(5).
func TestReadLines(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []string
	}{
		{"empty file", "", nil},
		{"comments and blank lines", "# lxc.a = b\n\n \t\n \t# lxc.a = b\n", nil},
		{"plain", "lxc.uts.name = c1\n", []string{"config:1 lxc.uts.name=c1"}},
		{"no blanks, no newline", "lxc.uts.name=c1", []string{"config:1 lxc.uts.name=c1"}},
		{"blanks", " \tlxc.uts.name \t= \tc1 \t\n", []string{"config:1 lxc.uts.name=c1"}},
		{"lines are counted", "\n#\nlxc.a = 1\n\nlxc.b = 2\n", []string{"config:3 lxc.a=1", "config:5 lxc.b=2"}},
		{"other keys are passed over", "snap.a = b\nwords\nlxc\nLXC.a = b\nlxc.a = 1\n", []string{"config:5 lxc.a=1"}},
		{"no value", "lxc.a =\nlxc.b = \t\n", []string{"config:1 lxc.a=", "config:2 lxc.b="}},
		{"equals sign in the value", "lxc.environment = A=b\n", []string{"config:1 lxc.environment=A=b"}},
		{"no comment behind a value", "lxc.a = b # c\n", []string{"config:1 lxc.a=b # c"}},
		{"no continued lines", "lxc.a = b \\\nlxc.c = d\n", []string{`config:1 lxc.a=b \`, "config:2 lxc.c=d"}},
		{"double quotes", `lxc.a = "b c "` + "\n", []string{"config:1 lxc.a=b c "}},
		{"single quotes", `lxc.a = 'b c '` + "\n", []string{"config:1 lxc.a=b c "}},
		{"only one pair", `lxc.a = "'b'"` + "\n", []string{"config:1 lxc.a='b'"}},
		{"quotes that do not match", `lxc.a = "b'` + "\n", []string{`config:1 lxc.a="b'`}},
		{"one quote", `lxc.a = "` + "\n", []string{`config:1 lxc.a="`}},
		{"quotes around nothing", `lxc.a = ""` + "\n", []string{"config:1 lxc.a="}},
		{"carriage return ends a line", "lxc.a = b \r\n\r\nlxc.c = \"d\"\rlxc.e = f\n", []string{"config:1 lxc.a=b", "config:3 lxc.c=d", "config:3 lxc.e=f"}},
		{"blanks within a key", "lxc.a b = c\n", []string{"config:1 lxc.a b=c"}},
		{"include of nothing", "lxc.include =\nlxc.include = \"\"\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := brief(config(t, test.data).Items); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestReadIncludes(t *testing.T) {
	for _, test := range []struct {
		name  string
		files files
		want  []string
	}{
		{"file in place", files{"config": "lxc.a = 1\nlxc.include = /x/more\nlxc.a = 3\n", "x/more": "\nlxc.a = 2"},
			[]string{"config:1 lxc.a=1", "more:2 lxc.a=2", "config:3 lxc.a=3"}},
		{"quoted", files{"config": "lxc.include = \"/x/more\"\n", "x/more": "lxc.a = 2"}, []string{"more:1 lxc.a=2"}},
		{"twice", files{"config": "lxc.include = /m\nlxc.include = /m\n", "m": "lxc.a = 2"}, []string{"m:1 lxc.a=2", "m:1 lxc.a=2"}},
		{"directory, sorted", files{"config": "lxc.include = /x/d/\n", "x/d/b.conf": "lxc.a = b", "x/d/a.conf": "lxc.a = a", "x/d/.c.conf": "lxc.a = c"},
			[]string{".c.conf:1 lxc.a=c", "a.conf:1 lxc.a=a", "b.conf:1 lxc.a=b"}},
		{"directory, only *.conf", files{"config": "lxc.include = /d\n", "d/.conf": "lxc.a = 1", "d/README": "lxc.a = 2", "d/x.conf~": "lxc.a = 3"}, nil},
		{"empty directory", files{"config": "lxc.include = /d\nlxc.a = 1\n", "d/": ""}, []string{"config:2 lxc.a=1"}},
		{"missing directory", files{"config": "lxc.include = /d/\nlxc.a = 1\n"}, []string{"config:2 lxc.a=1"}},
		{"include does not leave the machine", files{"config": "lxc.include = /../../../../m\n", "m": "lxc.a = 1"}, []string{"m:1 lxc.a=1"}},
		{"common.conf as LXC has it", files{"config": "lxc.include = /usr/share/lxc/config/userns.conf\nlxc.idmap = u 0 100000 65536\n",
			"usr/share/lxc/config/userns.conf":                 "lxc.cgroup.devices.deny =\nlxc.include = /usr/share/lxc/config/common.conf.d\n",
			"usr/share/lxc/config/common.conf.d/00-lxcfs.conf": "lxc.hook.mount = /x\n"},
			[]string{"userns.conf:1 lxc.cgroup.devices.deny=", "00-lxcfs.conf:1 lxc.hook.mount=/x", "config:2 lxc.idmap=u 0 100000 65536"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Read(recorded(t, test.files), "/config")
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(c.Items); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	chain := files{"config": "lxc.include = /f1\n"}
	for i := range maxDepth {
		chain[fmt.Sprintf("f%d", i+1)] = fmt.Sprintf("lxc.include = /f%d\n", i+2)
	}
	const unreadable = "file cannot be included"
	for _, test := range []struct {
		name  string
		files files
		want  confparse.ParseError
		cause error
	}{
		{"no equals sign", files{"config": "lxc.a = 1\n lxc.b\n"}, confparse.ParseError{File: "/config", Line: 2, Text: " lxc.b", Reason: "no equals sign"}, nil},
		{"in an included file", files{"config": "lxc.include = /d", "d/a.conf": "\nlxc.b"}, confparse.ParseError{File: "/d/a.conf", Line: 2, Text: "lxc.b", Reason: "no equals sign"}, nil},
		{"missing file", files{"config": "lxc.include = /m"}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /m", Reason: unreadable}, unix.ENOENT},
		{"missing file of an included one", files{"config": "lxc.include = /m", "m": "lxc.include = /n"},
			confparse.ParseError{File: "/m", Line: 1, Text: "lxc.include = /n", Reason: unreadable}, unix.ENOENT},
		{"directory called x.conf", files{"config": "lxc.include = /d", "d/x.conf/": ""}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /d", Reason: unreadable}, unix.EISDIR},
		{"file that the line calls a directory", files{"config": "lxc.include = /m/", "m": ""}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /m/", Reason: unreadable}, unix.ENOTDIR},
		{"missing directory that may be a file", files{"config": "lxc.include = /d.d"}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /d.d", Reason: unreadable}, unix.ENOENT},
		{"NUL in the name", files{"config": "lxc.include = /a\x00b"}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /a\x00b", Reason: unreadable}, unix.EINVAL},
		{"relative path", files{"config": "lxc.include = more", "more": ""},
			confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = more", Reason: "relative path, which LXC looks for in the directory from which it is started"}, nil},
		{"too deep", chain, confparse.ParseError{File: "/f15", Line: 1, Text: "lxc.include = /f16", Reason: "files that include each other too deep"}, nil},
		{"itself", files{"config": "lxc.include = /config"}, confparse.ParseError{File: "/config", Line: 1, Text: "lxc.include = /config", Reason: "files that include each other too deep"}, nil},
		{"itself, many times", files{"config": "lxc.include = /d", "d/a.conf": strings.Repeat("lxc.include = /e\n", maxFiles), "e": ""},
			confparse.ParseError{File: "/d/a.conf", Line: maxFiles, Text: "lxc.include = /e", Reason: "too many files"}, nil},
		{"too many items", files{"config": strings.Repeat("lxc.a=\n", maxItems+1)}, confparse.ParseError{File: "/config", Line: maxItems + 1, Text: "lxc.a=", Reason: "too many items"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Read(recorded(t, test.files), "/config")
			var parse *confparse.ParseError
			if !errors.As(err, &parse) || c != nil {
				t.Fatalf("got %v, %v", c, err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) || (test.cause == nil) != (parse.Err == nil) {
				t.Errorf("cause %v, want %v", parse.Err, test.cause)
			}
			got := *parse
			got.Err = nil
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// Whose file it is can put a named pipe there: nobody waits for its writer.
func TestReadIncludesPipe(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte("lxc.include = /pipe\nlxc.a = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Read(machine.Recorded(dir), "/config")
	if err != nil || len(c.Items) != 1 {
		t.Errorf("%v, %v", c, err)
	}
}

func TestReadMissing(t *testing.T) {
	c, err := Read(recorded(t, files{}), "/config")
	var path *fs.PathError
	if !errors.As(err, &path) || path.Path != "/config" || !errors.Is(err, fs.ErrNotExist) || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}

func TestParseErrorText(t *testing.T) {
	err := &confparse.ParseError{File: "/config", Line: 3, Text: "\x1b" + strings.Repeat("x", 1000), Reason: "why"}
	if got := err.Error(); !strings.HasPrefix(got, `/config:3: why in "\x1bxx`) || len(got) > 300 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	err = &confparse.ParseError{File: "f", Line: 1, Text: "x", Reason: "why", Err: fs.ErrNotExist}
	if got, want := err.Error(), `f:1: why (file does not exist) in "x"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLast(t *testing.T) {
	c := config(t, "lxc.a = 1\nlxc.b = 2\nlxc.a = 3\nlxc.b =\n")
	for key, want := range map[string]string{"lxc.a": "3", "lxc.b": "", "lxc.c": "none", "lxc": "none", "": "none"} {
		got, found := c.Last(key)
		if found != (want != "none") || found && got.Value != want {
			t.Errorf("%q: %v, %v; want %s", key, got, found, want)
		}
	}
}

func TestContainerPath(t *testing.T) {
	const conf = "home/a/.config/lxc/lxc.conf"
	for _, test := range []struct{ name, conf, want string }{
		{"no file", "", "/home/a/.local/share/lxc/c1/config"},
		{"other options", "lxc.default_config = /x\nlxc.cgroup.use = freezer\n", "/home/a/.local/share/lxc/c1/config"},
		{"lxc.lxcpath", "lxc.lxcpath = /srv/lxc\n", "/srv/lxc/c1/config"},
		{"no newline at the end", "lxc.lxcpath=/srv/lxc", "/srv/lxc/c1/config"},
		{"trailing slashes", "lxc.lxcpath = /srv/lxc//\n", "/srv/lxc/c1/config"},
		{"blanks before it", " \tlxc.lxcpath\t=\t/srv/lxc\n", "/srv/lxc/c1/config"},
		{"blanks behind it belong to it", "lxc.lxcpath = /srv/lxc \n", "/srv/lxc /c1/config"},
		{"the first counts", "lxc.lxcpath = /1\nlxc.lxcpath = /2\n", "/1/c1/config"},
		{"the old option", "lxcpath = /old\n", "/old/c1/config"},
		{"the new option first", "lxcpath = /old\nlxc.lxcpath = /new\n", "/new/c1/config"},
		{"comment", "#lxc.lxcpath = /no\n # lxc.lxcpath = /no\n", "/home/a/.local/share/lxc/c1/config"},
		{"other option that starts so", "lxc.lxcpathx = /no\n", "/home/a/.local/share/lxc/c1/config"},
		{"option without a value", "lxc.lxcpath\nlxc.lxcpath =", "/home/a/.local/share/lxc/c1/config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := files{"etc/": ""}
			if test.conf != "" {
				all[conf] = test.conf
			}
			got, err := ContainerPath(recorded(t, all), "/home/a", "c1")
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestCgroupUse(t *testing.T) {
	for _, test := range []struct {
		name, conf string
		want       []string
		line       int // 0: there is none
	}{
		{"none", "lxc.lxcpath = /x\n", nil, 0},
		{"names", "\nlxc.cgroup.use = cpu,name=systemd\n", []string{"cpu", "name=systemd"}, 2},
		{"the first line counts", "lxc.cgroup.use=a\nlxc.cgroup.use=b\n", []string{"a"}, 1},
		{"a blank is a part of the name", "lxc.cgroup.use = cpu, pids \n", []string{"cpu", " pids "}, 1},
		{"commas without a name", "lxc.cgroup.use = ,cpu,,\n", []string{"cpu"}, 1},
		{"an empty line has the last word too", "lxc.cgroup.use =\nlxc.cgroup.use = cpu\n", nil, 1},
		{"comment", "#lxc.cgroup.use = a\n", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, at, ok := CgroupUse(recorded(t, files{"lxc.conf": test.conf}), "/lxc.conf")
			if !slices.Equal(got, test.want) || ok != (test.line != 0) || at.Line != test.line {
				t.Errorf("got %q in line %d, %v; want %q in line %d", got, at.Line, ok, test.want, test.line)
			}
		})
	}
	if _, _, ok := CgroupUse(recorded(t, files{}), "/lxc.conf"); ok {
		t.Error("a file that is not there says something")
	}
}

func TestContainerPathRefuses(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "../c1", "a/b", "a\x00b"} {
		_, err := ContainerPath(recorded(t, files{}), "/home/a", name)
		var path *fs.PathError
		if !errors.As(err, &path) || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, value := range []string{"lxc", "", `"/srv"`} {
		m := recorded(t, files{"home/a/.config/lxc/lxc.conf": "\nlxc.lxcpath = " + value + "\n"})
		_, err := ContainerPath(m, "/home/a", "c1")
		var parse *confparse.ParseError
		if !errors.As(err, &parse) || *parse != (confparse.ParseError{File: "/home/a/.config/lxc/lxc.conf", Line: 2, Text: value, Reason: "lxc.lxcpath that is no absolute path"}) {
			t.Errorf("%q: %v", value, err)
		}
	}
	_, err := ContainerPath(recorded(t, files{"home/a/.config/lxc/lxc.conf/": ""}), "/home/a", "c1")
	if !errors.Is(err, unix.EISDIR) {
		t.Errorf("file that cannot be read: %v", err)
	}
}

// The parser on any bytes, with all that is made of its items.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "lxc.a = \"b\"\n", "lxc.include = /nowhere\n", "lxc.include = \n", "lxc.idmap = u 0 100000 65536\nlxc.id_map=\nlxc.idmap = g 0 0x10 010",
		"lxc.cgroup2.memory.max = 1G\nlxc.cgroup.dir = x\nlxc.cgroup =\nlxc.cgroup2.=1\n", "lxc.lxcpath = /x\n", "lxc.x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		r := reader{machine: machine.Recorded("/nonexistent")}
		err := r.parse("f", []byte(data), 0)
		var parse *confparse.ParseError
		if err != nil && (!errors.As(err, &parse) || parse.File != "f" || parse.Line < 1 || parse.Reason == "") {
			t.Fatalf("%T %v", err, err)
		}
		number := 0
		for _, i := range r.items {
			if i.Line < number || i.Line > strings.Count(data, "\n")+1 || !strings.HasPrefix(i.Key, "lxc.") || strings.ContainsAny(i.Key+i.Value, "\r\n") {
				t.Errorf("%+v after line %d", i, number)
			}
			number = i.Line
		}
		c := &Config{Items: r.items}
		maps, err := c.IDMaps()
		if err != nil && (!errors.As(err, &parse) || maps != nil) {
			t.Errorf("%v, %v", maps, err)
		}
		for _, m := range maps {
			if m.Kind != 'u' && m.Kind != 'g' || m.Item.Value == "" {
				t.Errorf("%+v", m)
			}
		}
		for _, l := range c.Limits() {
			if l.File == "" || l.Value == "" || !strings.HasSuffix(l.Item.Key, "."+l.File) {
				t.Errorf("%+v", l)
			}
		}
		systemValue(data, "lxc.lxcpath")
	})
}

// A mapping that LXC takes is the same when it is written anew, in plain numbers.
func FuzzIDMap(f *testing.F) {
	for _, s := range []string{"u 0 100000 65536", "g 0 0x10 010", "b 0 1 2", "u\t+0  1\r2", "u -1 0 1", "u 0 100000", "u 0 100000 65536 x", "u 18446744073709551615 1 18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, reason := parseIDMap(value)
		if reason != "" {
			if m != (IDMap{}) {
				t.Errorf("%q: %s, and %+v", value, reason, m)
			}
			return
		}
		if again, reason := parseIDMap(fmt.Sprintf("%c %d %d %d", m.Kind, m.Inside, m.Outside, m.Count)); again != m || reason != "" {
			t.Errorf("%q is %+v, and then %+v, %s", value, m, again, reason)
		}
	})
}

// Keys of limits: each names a file, none of the keys that say where cgroups are is one, and
// an empty value clears what it names.
func FuzzLimits(f *testing.F) {
	for _, s := range [][2]string{{"lxc.cgroup2.memory.max", "1G"}, {"lxc.cgroup.dir.container", "x"}, {"lxc.cgroup", ""}, {"lxc.cgroup2.", "1"}, {"lxc.cgroup2x.a", "1"}, {"lxc.cgroup.devices.allow", ""}, {"lxc.cgroup.dirx", "y"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		before := []Item{{Key: "lxc.cgroup2.pids.max", Value: "5"}, {Key: "lxc.cgroup.pids.max", Value: "6"}}
		limits := (&Config{Items: append(before, Item{Key: key, Value: value})}).Limits()
		if len(limits) > 3 {
			t.Fatalf("%q = %q: %+v", key, value, limits)
		}
		for _, l := range limits {
			prefix := "lxc.cgroup."
			if l.Unified {
				prefix = "lxc.cgroup2."
			}
			if l.File == "" || l.Value == "" || l.Item.Key != prefix+l.File || !l.Unified && (l.File == "dir" || strings.HasPrefix(l.File, "dir.")) {
				t.Errorf("%q = %q: %+v", key, value, l)
			}
		}
		if isClearing := len(limits) < 2; isClearing && (value != "" || !strings.HasPrefix(key, "lxc.cgroup")) {
			t.Errorf("%q = %q left %+v", key, value, limits)
		}
	})
}

// What was not recorded is no error of a part, and stands beside what is known.
func TestReadPart(t *testing.T) {
	dir := t.TempDir()
	for name, content := range (files{"config": "lxc.include = /usr/share/c.conf\nlxc.a = 1\nlxc.include = /more\n", "more": "lxc.b = 2\nlxc.include = /d/\n"}) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := machine.Recorded(dir)
	if _, err := Read(m, "config"); !errors.Is(err, machine.ErrNotRecorded) {
		t.Errorf("Read: %v", err)
	}
	c, err := ReadPart(m, "config")
	if err != nil {
		t.Fatal(err)
	}
	if got := brief(c.Items); !slices.Equal(got, []string{"config:2 lxc.a=1", "more:1 lxc.b=2"}) {
		t.Errorf("items %q", got)
	}
	if got := brief(c.Unread); !slices.Equal(got, []string{"config:1 lxc.include=/usr/share/c.conf", "more:2 lxc.include=/d/"}) {
		t.Errorf("unread %q", got)
	}
	if _, err := ReadPart(recorded(t, files{"config": "lxc.include = /m"}), "/config"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is known to be missing: %v", err)
	}
}
