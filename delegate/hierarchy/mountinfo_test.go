package hierarchy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Lines of proc_pid_mountinfo(5), as kernels and container engines make them.
func TestParseMountinfo(t *testing.T) {
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
		{"other file systems are passed over", "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw - ext4 /dev/vda rw,discard\n", nil},
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
			got, err := parseMountinfo([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseMountinfoRefuses(t *testing.T) {
	const good = "36 31 0:30 / /c rw - cgroup cgroup rw,cpu\n"
	for _, test := range []struct{ name, line, reason string }{
		{"empty line", "", `no separator " - "`},
		{"no separator", "36 31 0:30 / /c rw cgroup cgroup rw,cpu", `no separator " - "`},
		{"separator at the end, without its space", "36 31 0:30 / /c rw -", `no separator " - "`},
		{"five fields before the separator", "36 31 0:30 / /c - cgroup cgroup rw,cpu", "fewer than six fields before the separator"},
		{"nothing before the separator", " - cgroup cgroup rw,cpu", "fewer than six fields before the separator"},
		{"two fields after the separator", "36 31 0:30 / /c rw - cgroup cgroup", "fewer than three fields after the separator"},
		{"no file system type", "36 31 0:30 / /c rw - ", "fewer than three fields after the separator"},
		{"another file system's line cut short", "36 31 0:30 / /c rw - ext4 /dev/vda1", "fewer than three fields after the separator"},
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
			_, err := parseMountinfo([]byte(good + test.line + "\n" + good))
			want := ParseError{File: "mountinfo", Line: 2, Text: test.line, Reason: test.reason}
			requireParseError(t, err, want)
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
			if got := unescape(test.in); got != test.want {
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
			if got := unescape(mangle(s, escaped)); got != s {
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
		mounts, err := parseMountinfo(data)
		if err != nil {
			var parse *ParseError
			if !errors.As(err, &parse) || mounts != nil {
				t.Fatalf("%v with %v", mounts, err)
			}
			return
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
