package hierarchy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// Lines of proc_pid_mountinfo(5), as kernels and container engines make them.
func TestMountinfo(t *testing.T) {
	v1 := func(root, point string, options ...string) mount {
		return mount{device: unix.Mkdev(0, 30), root: root, point: point, options: options}
	}
	v2 := func(root, point string, options ...string) mount {
		m := v1(root, point, options...)
		m.unified = true
		return m
	}
	readOnly := func(m mount) mount {
		m.readOnly = true
		return m
	}
	for _, test := range []struct {
		name, data string
		want       []mount
	}{
		{"empty file", "", nil},
		{"other file systems are ignored", "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw - ext4 /dev/vda rw,discard\n", nil},
		{"other file systems may write what they like after the separator",
			"9 8 0:138 / /Docker/host rw,noatime - 9p drvfs rw,path=C:\\Program Files\\Docker,fd=3\n9 8 0:9 / /x rw - cgroupx a b\n", nil},
		{"root of an overlay or an nsfs file is no path", "9 8 0:4 net:[4026531840] /run/netns/a rw - nsfs nsfs rw\n", nil},
		{"one v1 mount", "36 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n",
			[]mount{v1("/", "/sys/fs/cgroup/cpu", "rw", "cpu")}},
		{"last line without a newline", "36 31 0:30 / /c rw - cgroup cgroup rw,cpu", []mount{v1("/", "/c", "rw", "cpu")}},
		{"one optional field", "36 31 0:30 / /c rw shared:16 - cgroup cgroup rw,cpu\n", []mount{v1("/", "/c", "rw", "cpu")}},
		{"three optional fields", "36 31 0:30 / /c rw shared:16 master:2 propagate_from:3 - cgroup cgroup rw,cpu\n",
			[]mount{v1("/", "/c", "rw", "cpu")}},
		{"empty source", "36 31 0:30 / /c rw - cgroup  rw,cpu\n", []mount{v1("/", "/c", "rw", "cpu")}},
		{"source none, as lxc and OpenRC mount it", "36 31 0:30 / /sys/fs/cgroup rw - cgroup2 none rw,nsdelegate,memory_recursiveprot\n",
			[]mount{v2("/", "/sys/fs/cgroup", "rw", "nsdelegate", "memory_recursiveprot")}},
		{"source that looks like another type", "36 31 0:30 / /c rw - cgroup cgroup2 rw,cpu\n", []mount{v1("/", "/c", "rw", "cpu")}},
		{"mount point that looks like another type", "36 31 0:30 / /cgroup2 rw - cgroup cgroup rw,cpu\n", []mount{v1("/", "/cgroup2", "rw", "cpu")}},
		{"space in the mount point", `36 31 0:30 / /mnt/a\040-\040b rw - cgroup cgroup rw,cpu`, []mount{v1("/", "/mnt/a - b", "rw", "cpu")}},
		{"tab, newline, backslash and hash", `36 31 0:30 /a\011b /c\012d\134e\043f rw - cgroup cgroup rw,cpu`,
			[]mount{v1("/a\tb", "/c\nd\\e#f", "rw", "cpu")}},
		{"an escaped backslash does not start another escape", `36 31 0:30 / /c\134040 rw - cgroup cgroup rw,cpu`,
			[]mount{v1("/", `/c\040`, "rw", "cpu")}},
		{"root of a container", "36 31 0:30 /docker/4f0e /c rw - cgroup cgroup rw,cpu\n", []mount{v1("/docker/4f0e", "/c", "rw", "cpu")}},
		{"root above the namespace", "36 31 0:30 /.. /c rw - cgroup cgroup rw,cpu\n", []mount{v1("/..", "/c", "rw", "cpu")}},
		{"root further above", "36 31 0:30 /../.. /c rw - cgroup2 cgroup2 rw\n", []mount{v2("/../..", "/c", "rw")}},
		{"named hierarchy", "36 31 0:30 / /c rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd\n",
			[]mount{v1("/", "/c", "rw", "xattr", "release_agent=/lib/systemd/systemd-cgroups-agent", "name=systemd")}},
		{"comma in a release agent is escaped and makes no controller", // seq_show_option
			`36 31 0:30 / /c rw - cgroup cgroup rw,release_agent=/x\054memory,name=y`,
			[]mount{v1("/", "/c", "rw", "release_agent=/x,memory", "name=y")}},
		{"space in a release agent, as kernels before 4.4 wrote it", "36 31 0:30 / /c rw - cgroup cgroup rw,cpu,release_agent=/a b\n",
			[]mount{v1("/", "/c", "rw", "cpu", "release_agent=/a b")}},
		{"comounted", "36 31 0:30 / /c rw - cgroup cgroup rw,cpuacct,cpu\n", []mount{v1("/", "/c", "rw", "cpuacct", "cpu")}},
		{"read-only mount, as Docker makes it", "36 31 0:30 / /c ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n",
			[]mount{readOnly(v2("/", "/c", "rw", "nsdelegate"))}},
		{"read-only file system", "36 31 0:30 / /c rw - cgroup cgroup ro,cpu\n", []mount{readOnly(v1("/", "/c", "ro", "cpu"))}},
		{"options that only look read-only", "36 31 0:30 /ro /ro rw,xro,ro=1 ro:1 - cgroup ro rw,cpu,ro=x\n", []mount{v1("/ro", "/ro", "rw", "cpu", "ro=x")}},
		{"the kernel's order stays", "1 2 0:30 / /b rw - cgroup c rw,b\n1 2 0:30 / /a rw - cgroup c rw,a\n",
			[]mount{v1("/", "/b", "rw", "b"), v1("/", "/a", "rw", "a")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireMounts(t, test.data, test.want, nil)
		})
	}
}

// A line that cannot be understood costs that line alone. One of another file system
// is not looked at any further: what is in it is its own business.
func TestMountinfoIgnores(t *testing.T) {
	const good = "36 31 0:30 / /c rw - cgroup cgroup rw,cpu\n"
	for _, test := range []struct{ name, line, reason string }{
		{"no separator", "36 31 0:30 / /c rw cgroup cgroup rw,cpu", `no separator " - "`},
		{"separator at the end, without its space", "36 31 0:30 / /c rw -", `no separator " - "`},
		{"five fields before the separator", "36 31 0:30 / /c - cgroup cgroup rw,cpu", "fewer than six fields before the separator"},
		{"nothing before the separator", " - cgroup cgroup rw,cpu", "fewer than six fields before the separator"},
		{"two fields after the separator", "36 31 0:30 / /c rw - cgroup cgroup", "fewer than three fields after the separator"},
		{"cgroup2 cut short", "36 31 0:30 / /c rw - cgroup2", "fewer than three fields after the separator"},
		{"a NUL in place of the separator", "36 31 0:30 / /c rw\x00-\x00cgroup cgroup rw,cpu", `no separator " - "`},
		{"device without a colon", "36 31 30 / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"device without a minor number", "36 31 0: / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"device without a major number", "36 31 :30 / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"negative device", "36 31 0:-1 / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"device number too large", "36 31 0:4294967296 / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"device with three parts", "36 31 0:30:1 / /c rw - cgroup cgroup rw,cpu", "bad device number"},
		{"relative root", "36 31 0:30 root /c rw - cgroup cgroup rw,cpu", "root or mount point without a leading slash"},
		{"empty root", "36 31 0:30  /c rw - cgroup cgroup rw,cpu", "root or mount point without a leading slash"},
		{"relative mount point", "36 31 0:30 / c rw - cgroup cgroup rw,cpu", "root or mount point without a leading slash"},
		{"two spaces shift the fields", "36 31 0:30  / /c rw - cgroup cgroup rw,cpu", "root or mount point without a leading slash"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mounts, odd := parsePieces([]byte(good+test.line+"\n"+good), 1<<20)
			if len(odd) != 1 {
				t.Fatalf("complaints %v", odd)
			}
			requireParseError(t, odd[0], ParseError{File: "mountinfo", Line: 2, Text: test.line, Reason: test.reason})
			if len(mounts) != 2 || !reflect.DeepEqual(mounts[0], mounts[1]) {
				t.Errorf("mounts %+v", mounts)
			}
		})
	}
	for _, test := range []struct{ name, line string }{
		{"empty line", ""},
		{"no file system type", "36 31 0:30 / /c rw - "},
		{"another file system's line cut short", "36 31 0:30 / /c rw - ext4 /dev/vda1"},
		{"another file system's bad device", "36 31 x / /c rw - ext4 /dev/vda1 rw"},
		{"another file system's few fields", " - ext4 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			if mounts, odd := parsePieces([]byte(good+test.line+"\n"+good), 1<<20); len(mounts) != 2 || odd != nil {
				t.Errorf("mounts %+v, complaints %v", mounts, odd)
			}
		})
	}
}

// parsePieces gives the data to a parser in pieces of a size.
func parsePieces(data []byte, size int) (mounts []mount, odd []error) {
	r := &mountinfo{number: 1}
	for len(data) > 0 {
		piece := slices.Clone(data[:min(size, len(data))]) // whose memory is written over, as a buffer's is
		r.add(piece)
		for i := range piece {
			piece[i] = '#'
		}
		data = data[min(size, len(data)):]
	}
	r.end()
	return r.mounts, r.odd
}

// requireMounts wants the same of the data in one piece and cut in two at every byte.
func requireMounts(t *testing.T, data string, want []mount, wantOdd []error) {
	t.Helper()
	for at := 0; at <= len(data); at++ {
		r := &mountinfo{number: 1}
		for _, piece := range []string{data[:at], data[at:]} {
			r.add([]byte(piece))
		}
		r.end()
		if !reflect.DeepEqual(r.mounts, want) || !reflect.DeepEqual(r.odd, wantOdd) {
			t.Errorf("cut at %d: got  %+v, %v\nwant %+v, %v", at, r.mounts, r.odd, want, wantOdd)
			return
		}
	}
}

// Anybody who has fusermount can mount something on a path of any name.
func TestMountinfoOfOthers(t *testing.T) {
	const cgroup = "36 31 0:30 / /c rw - cgroup cgroup rw,freezer\n"
	fuse := func(point string) string {
		return "40 31 0:40 / " + point + " rw,nosuid,nodev - fuse.x x rw,user_id=1000\n"
	}
	backslashes := "/home/u/" + strings.Repeat(`\134`, 3750)
	many := strings.Repeat(fuse(backslashes), 290)
	if len(many) < 4<<20 {
		t.Fatalf("only %d bytes", len(many))
	}
	tooLong := "40 31 0:40 / /" + strings.Repeat("x", maxLine) + " rw - cgroup x rw,freezer\n"
	longest := "36 31 0:30 / /" + strings.Repeat("x", maxLine-100) + " rw - cgroup cgroup rw,freezer\n"
	for _, test := range []struct {
		name, before string
		odd          []ParseError // without their texts
		others       int          // mounts beside that one
	}{
		{"5,000 mounts", strings.Repeat(fuse("/home/u/mnt"), 5000), nil, 0},
		{"4.5 MB of backslashes", many, nil, 0},
		{"NUL in a line", fuse("/home/u/a\x00b"), nil, 0},
		{"NUL instead of a line", "\x00\n", []ParseError{{Line: 1, Reason: `no separator " - "`}}, 0},
		{"unfinished escape", fuse(`/home/u/\13`), nil, 0},
		{"unfinished escape at the end of the line", "40 31 0:40 / /x rw - fuse x rw,a=\\\n", nil, 0},
		{"separator in a mount point", fuse(`/home/u/a\040-\040cgroup\040cgroup\040rw,freezer`), nil, 0},
		{"64 kB in one field", tooLong, []ParseError{{Line: 1, Reason: "longer than 65536 bytes"}}, 0},
		{"a megabyte in one field", "1 1 0:1 / /" + strings.Repeat("x", 1<<20) + "\n", []ParseError{{Line: 1, Reason: "longer than 65536 bytes"}}, 0},
		{"the longest line", longest, nil, 1},
		{"no separator", "40 31 0:40 / /x rw cgroup cgroup rw,freezer\n", []ParseError{{Line: 1, Reason: `no separator " - "`}}, 0},
		{"empty lines", "\n\n\n", nil, 0},
		{"not UTF-8", fuse("/home/u/\xff\xfe"), nil, 0},
		{"many odd lines, of which some are told", strings.Repeat("x\n", 1000), []ParseError{
			{Line: 1, Reason: `no separator " - "`}, {Line: 2, Reason: `no separator " - "`}, {Line: 3, Reason: `no separator " - "`},
			{Line: 4, Reason: `no separator " - "`}, {Line: 5, Reason: `no separator " - "`},
		}, 0},
		{"an odd line behind many", strings.Repeat(fuse("/x"), 300) + "x\n", []ParseError{{Line: 301, Reason: `no separator " - "`}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.before + cgroup)
			for _, size := range []int{1 << 30, 16 << 10, 4096, 1000, 7} {
				if size < 100 && len(data) > 1<<20 {
					continue
				}
				mounts, odd := parsePieces(data, size)
				if len(mounts) != 1+test.others || mounts[test.others].point != "/c" || !slices.Contains(mounts[test.others].options, "freezer") {
					t.Errorf("in pieces of %d: %d mounts", size, len(mounts))
				}
				if len(odd) != len(test.odd) {
					t.Fatalf("in pieces of %d: complaints %v", size, odd)
				}
				for i, want := range test.odd {
					var got *ParseError
					if !errors.As(odd[i], &got) || got.File != "mountinfo" || got.Line != want.Line || got.Reason != want.Reason || len(got.Text) > 200 {
						t.Errorf("in pieces of %d: got %v, want %v", size, odd[i], &want)
					}
				}
			}
			set := find(t, record(t, map[string]string{
				"proc/self/mountinfo": string(data), "proc/1/cgroup": "2:freezer:/\n", "c/cgroup.procs": "",
			}))
			if len(set.All) != 1 || set.All[0].Mount.Point != "/c" || len(set.Unusable) != len(test.odd) {
				t.Errorf("found %v, unusable %v", set.All, set.Unusable)
			}
		})
	}
}

// What is held of a file does not grow with it.
func TestMountinfoMemory(t *testing.T) {
	r := &mountinfo{number: 1}
	piece := []byte(strings.Repeat("x", 16<<10))
	for range 1000 {
		r.add(piece)
	}
	if cap(r.line) > 2*maxLine {
		t.Errorf("it holds %d bytes of a line", cap(r.line))
	}
	r.add([]byte("\n36 31 0:30 / /c rw - cgroup cgroup rw,cpu\n"))
	r.end()
	if len(r.mounts) != 1 || len(r.odd) != 1 {
		t.Errorf("mounts %v, complaints %v", r.mounts, r.odd)
	}
}

// Of several mounts of one hierarchy the one is taken in which a session can be made.
func TestSeveralMounts(t *testing.T) {
	line := func(root, point, options string) string {
		return "30 1 0:30 " + root + " " + point + " " + options + " - cgroup c rw,freezer\n"
	}
	for _, test := range []struct {
		name, mountinfo string
		point           string // "": none
		readOnly        bool
		unusable        int
	}{
		{"one", line("/", "/a", "rw"), "/a", false, 0},
		{"the writable one, behind", line("/", "/a", "ro") + line("/", "/b", "rw"), "/b", false, 0},
		{"the writable one, before", line("/", "/a", "rw") + line("/", "/b", "ro"), "/a", false, 0},
		{"the first of two writable ones", line("/", "/a", "rw") + line("/", "/b", "rw"), "/a", false, 0},
		{"the first of two read-only ones", line("/", "/a", "ro") + line("/", "/b", "ro"), "/a", true, 0},
		{"a file system that is read-only", strings.Replace(line("/", "/a", "rw"), "c rw", "c ro", 1) + line("/", "/b", "rw"), "/b", false, 0},
		{"writable, but the base is not in it", line("/elsewhere", "/a", "rw") + line("/", "/b", "ro"), "/b", true, 0},
		{"read-only, and writable without the base", line("/", "/b", "ro") + line("/elsewhere", "/a", "rw"), "/b", true, 0},
		{"none that has the base", line("/elsewhere", "/a", "rw") + line("/..", "/b", "rw"), "", false, 1},
		{"the last mount at a point is seen", line("/", "/a", "rw") + line("/", "/b", "rw") + line("/", "/a", "ro"), "/b", false, 0},
		{"mount point that is gone", line("/", "/gone", "rw") + line("/", "/a", "rw"), "/a", false, 0},
		{"a part of it is mounted over it", line("/", "/a", "rw") + line("/elsewhere", "/a", "rw"), "", false, 1},
		{"of three", line("/", "/a", "ro") + line("/elsewhere", "/a", "ro") + line("/", "/b", "rw"), "/b", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := record(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": "2:freezer:/\n", "a/cgroup.procs": "", "b/cgroup.procs": "", machine.StatFile: "",
			})
			before := machinetest.Descriptors(t)
			set, err := Find(m)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case len(set.Unusable) != test.unusable:
				t.Errorf("unusable: %v", set.Unusable)
			case test.point == "" && len(set.All) > 0, test.point != "" && len(set.All) != 1:
				t.Errorf("found %v", set.All)
			case test.point != "" && (set.All[0].Mount.Point != test.point || set.All[0].Mount.ReadOnly != test.readOnly):
				t.Errorf("found %+v", set.All[0].Mount)
			}
			set.Close()
			if after := machinetest.Descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
}

func requireParseError(t *testing.T, err error, want ParseError) {
	t.Helper()
	var got *ParseError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want a *ParseError", err)
	}
	if *got != want {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// The log gets a bounded text, whatever the kernel file held.
func TestParseErrorText(t *testing.T) {
	err := &ParseError{File: "mountinfo", Line: 7, Text: "a\n" + strings.Repeat("x", 10000), Reason: "bad"}
	if got := err.Error(); !strings.HasPrefix(got, `mountinfo:7: bad in "a\nxxx`) || len(got) > 300 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestUnescape(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"nothing to do", "/sys/fs/cgroup", "/sys/fs/cgroup"},
		{"space", `a\040b`, "a b"},
		{"at both ends", `\040\011`, " \t"},
		{"highest byte", `\377`, "\xff"},
		{"above a byte", `\400`, `\400`},
		{"not octal", `\089`, `\089`},
		{"sign is no digit", `\+40`, `\+40`},
		{"cut short", `a\04`, `a\04`},
		{"lone backslash", `\`, `\`},
		{"undone once only", `\134040`, `\040`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Unescape(test.in); got != test.want {
				t.Errorf("unescape(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// mangle is the kernel's seq_escape (fs/seq_file.c).
func mangle(s, escaped string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(escaped, c) >= 0 {
			out.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "/a b", "a\t\n\\#b", `\040`, `\\134`, "\xff\x00", `\`, "a,b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, escaped := range []string{" \t\n\\", " \t\n\\#", ",= \t\n\\"} { // cgroups' roots, mount points, options
			if got := Unescape(mangle(s, escaped)); got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
	})
}

func FuzzParseMountinfo(f *testing.F) {
	for _, s := range []string{
		"",
		"36 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n",
		"36 31 0:30 /../.. /sys/fs/cgroup rw - cgroup2  rw\n27 1 254:0 / / rw - ext4 /dev/vda rw",
		"36 31 0:30 /a\\040b /c\\134 rw - cgroup none rw,name=a\\054b\n",
		"36 31 0: / /c rw - cgroup cgroup rw", " - ", "\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		mounts, odd := parsePieces(data, 1<<20)
		if len(odd) > maxOdd || len(mounts)+len(odd) > strings.Count(string(data), "\n")+1 {
			t.Errorf("%d mounts, %d complaints of %q", len(mounts), len(odd), data)
		}
		for _, err := range odd {
			var parse *ParseError
			if !errors.As(err, &parse) || parse.Line < 1 || parse.Reason == "" {
				t.Errorf("complaint %#v", err)
			}
		}
		for _, m := range mounts {
			if m.root[0] != '/' || m.point[0] != '/' || len(m.options) == 0 {
				t.Errorf("accepted %+v", m)
			}
			h := Hierarchy{Root: m.root}
			for _, path := range []string{"/", m.root, m.root + "/a", "/../a", m.point} {
				if below, err := h.Below(path); err == nil && slices.Contains(strings.Split(below, "/"), "..") {
					t.Errorf("%q of root %q is %q", path, m.root, below)
				}
			}
		}
	})
}

// However a file comes in pieces, it says the same.
func FuzzMountinfoPieces(f *testing.F) {
	f.Add([]byte("36 31 0:30 / /c rw - cgroup cgroup rw,cpu\n27 1 254:0 / / rw - ext4 /dev/vda rw\n"), uint16(5), uint16(60))
	f.Add([]byte("x\n\n36 31 0:30 / /c rw - cgroup2 none rw"), uint16(1), uint16(2))
	f.Add([]byte(strings.Repeat("x", maxLine)+"y\n - \n"), uint16(40000), uint16(25537))
	f.Fuzz(func(t *testing.T, data []byte, first, second uint16) {
		r := &mountinfo{number: 1}
		rest := data
		for _, size := range []uint16{first, second} {
			piece := rest[:min(int(size), len(rest))]
			r.add(piece)
			rest = rest[len(piece):]
		}
		r.add(rest)
		r.end()
		mounts, odd := parsePieces(data, 1<<30)
		if !reflect.DeepEqual(r.mounts, mounts) || len(r.odd) != len(odd) {
			t.Fatalf("%d and %d of %q: %+v, %v in pieces; %+v, %v as a whole", first, second, data, r.mounts, r.odd, mounts, odd)
		}
		for i := range odd {
			if got := r.odd[i].Error(); odd[i].Error() != got && !strings.Contains(got, "longer than") {
				t.Errorf("%v in pieces, %v as a whole", got, odd[i])
			}
		}
	})
}
