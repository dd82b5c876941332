package cgroupfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// tree makes files (path to content; a path that ends with a slash is a
// directory) and opens the directory that holds them as if it were a hierarchy
// mounted at /h.
func tree(t *testing.T, files map[string]string) (d *Dir, dir string) {
	t.Helper()
	root := t.TempDir()
	dir = filepath.Join(root, "h")
	must(t, os.Mkdir(dir, 0o755))
	for name, content := range files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(root, machine.StatFile), nil, 0o644)) // what is not here was absent
	d, err := OpenMount(machine.Recorded(root), Mount{Point: "/h"})
	must(t, err)
	t.Cleanup(d.Close)
	return d, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requirePathError(t *testing.T, err error, path string, causes ...error) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) {
		t.Errorf("got %v, want a *fs.PathError", err)
		return
	}
	if p.Path != path {
		t.Errorf("%v: path %q, want %q", err, p.Path, path)
	}
	if !slices.ContainsFunc(causes, func(e error) bool { return errors.Is(err, e) }) {
		t.Errorf("%v: want one of %v", err, causes)
	}
}

// operations are all methods that take a name.
var operations = map[string]func(d *Dir, name string) error{
	"Open":       func(d *Dir, name string) error { _, err := d.Open(name); return err },
	"Mkdir":      func(d *Dir, name string) error { return d.Mkdir(name) },
	"InodeAt":    func(d *Dir, name string) error { _, err := d.InodeAt(name); return err },
	"OwnerAt":    func(d *Dir, name string) error { _, err := d.OwnerAt(name); return err },
	"MkdirAny":   func(d *Dir, name string) error { return d.MkdirAny(name) },
	"AddWatch":   func(d *Dir, name string) error { _, err := d.AddWatch(-1, name, unix.IN_CREATE); return err },
	"Rmdir":      func(d *Dir, name string) error { return d.Rmdir(name) },
	"RemoveTree": func(d *Dir, name string) error { return d.RemoveTree(name, plenty()) },
	"Read":       func(d *Dir, name string) error { _, err := d.Read(name); return err },
	"Write":      func(d *Dir, name string) error { return d.Write(name, "x") },
	"ChownFile":  func(d *Dir, name string) error { return d.ChownFile(name, os.Geteuid(), os.Getegid()) },
}

func plenty() *Budget { return &Budget{Dirs: 1000} }

// takesPaths are the operations that take a path below the directory, too.
var takesPaths = []string{"InodeAt", "Mkdir", "MkdirAny", "OwnerAt", "Rmdir"}

// Whatever a name is made of, it must not lead out of the directory.
func TestNamesRefused(t *testing.T) {
	for operation, call := range operations {
		names := []string{"", ".", "..", "/a", "a/", "../h", "a/../../h", "a//b", "a/./b", "a\x00b", "a/\x00", "\x00"}
		if !slices.Contains(takesPaths, operation) {
			names = append(names, "a/b")
		}
		if operation == "AddWatch" {
			names = names[1:] // the directory itself
		}
		for _, name := range names {
			t.Run(fmt.Sprintf("%s(%q)", operation, name), func(t *testing.T) {
				d, dir := tree(t, map[string]string{"a/b": "content"})
				want := "/h/" + name
				if name == "" {
					want = "/h"
				}
				requirePathError(t, call(d, name), want, unix.EINVAL)
				content, err := os.ReadFile(filepath.Join(dir, "a/b"))
				if err != nil || string(content) != "content" {
					t.Errorf("a/b afterwards: %q, %v", content, err)
				}
			})
		}
	}
}

// An error names the full path below the mount point, and keeps the errno.
func TestErrorsNameThePath(t *testing.T) {
	for operation, call := range operations {
		switch operation {
		case "Mkdir", "MkdirAny", "RemoveTree": // for these a name that is not there is fine
			continue
		case "AddWatch": // it has another descriptor to do without
			continue
		}
		t.Run(operation, func(t *testing.T) {
			d, _ := tree(t, map[string]string{"a/b/": ""})
			b, err := d.OpenPath("/a/b")
			must(t, err)
			defer b.Close()
			requirePathError(t, call(b, "gone"), "/h/a/b/gone", unix.ENOENT)
			if err := call(b, "gone"); !IsGone(err) {
				t.Errorf("%v: not IsGone", err)
			}
		})
	}
	t.Run("Mkdir", func(t *testing.T) {
		d, _ := tree(t, map[string]string{"a/b/": ""})
		requirePathError(t, d.Mkdir("a"), "/h/a", unix.EEXIST)
	})
	t.Run("directory removed under its descriptor", func(t *testing.T) {
		d, _ := tree(t, map[string]string{"a/": ""})
		a, err := d.Open("a")
		must(t, err)
		defer a.Close()
		must(t, d.Rmdir("a"))
		err = a.Mkdir("x")
		requirePathError(t, err, "/h/a/x", unix.ENOENT)
		if !IsGone(err) {
			t.Errorf("%v: not IsGone", err)
		}
	})
}

// A path leads down only, and what is in the middle has to be there.
func TestPathsOfNames(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/b/": "", "file": ""})
	must(t, d.Mkdir("a/b/c"))
	requirePathError(t, d.Mkdir("a/b/c"), "/h/a/b/c", unix.EEXIST)
	must(t, d.MkdirAny("a/b/c"))
	requirePathError(t, d.Mkdir("a/x/c"), "/h/a/x/c", unix.ENOENT)
	requirePathError(t, d.MkdirAny("file/c"), "/h/file/c", unix.ENOTDIR)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(dir, "a/b/c"), &st))
	if inode, err := d.InodeAt("a/b/c"); err != nil || inode != st.Ino {
		t.Errorf("inode %d, %v; want %d", inode, err, st.Ino)
	}
	must(t, d.Rmdir("a/b/c"))
	requirePathError(t, d.Rmdir("a/b/c"), "/h/a/b/c", unix.ENOENT)
	_, err := d.InodeAt("a/b/c")
	requirePathError(t, err, "/h/a/b/c", unix.ENOENT)
}

func TestAddWatch(t *testing.T) {
	d, _ := tree(t, map[string]string{"a/": "", "file": ""})
	inotify, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	must(t, err)
	defer unix.Close(inotify)
	self, err := d.AddWatch(inotify, "", unix.IN_CREATE)
	must(t, err)
	file, err := d.AddWatch(inotify, "file", unix.IN_MODIFY)
	must(t, err)
	again, err := d.AddWatch(inotify, "file", unix.IN_MODIFY)
	if err != nil || again != file || self == file {
		t.Errorf("watches %d, %d and %d, %v", self, file, again, err)
	}
	_, err = d.AddWatch(inotify, "gone", unix.IN_MODIFY)
	requirePathError(t, err, "/h/gone", unix.ENOENT)
	_, err = d.AddWatch(-1, "file", unix.IN_MODIFY)
	requirePathError(t, err, "/h/file", unix.EBADF)
}

func TestFiles(t *testing.T) {
	d, _ := tree(t, map[string]string{"hugetlb.2MB.max": "", "hugetlb.1GB.max": "", "hugetlb.2MB.current": "", "memory.max": "", "hugetlb.x.max/": ""})
	names, err := d.Files("hugetlb.", ".max")
	if want := []string{"hugetlb.1GB.max", "hugetlb.2MB.max", "hugetlb.x.max"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v; want %q", names, err, want)
	}
}

func TestIsGone(t *testing.T) {
	for err, want := range map[error]bool{
		unix.ENOENT: true, unix.ENODEV: true, unix.EBUSY: false, unix.EACCES: false, ErrBudget: false, machine.ErrNotRecorded: false,
		&fs.PathError{Op: "open", Path: "/h", Err: unix.ENODEV}: true,
	} {
		if got := IsGone(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	if IsGone(nil) {
		t.Error("nil is gone")
	}
}

// Cgroup file systems have no symbolic links; one that turns up is not ours.
func TestSymlinksRefused(t *testing.T) {
	d, dir := tree(t, map[string]string{"real/cgroup.procs": "1\n", "file": "content"})
	must(t, os.Symlink("real", filepath.Join(dir, "todir")))
	must(t, os.Symlink("file", filepath.Join(dir, "tofile")))
	_, err := d.Open("todir")
	requirePathError(t, err, "/h/todir", unix.ENOTDIR, unix.ELOOP)
	_, err = d.OpenPath("/todir")
	requirePathError(t, err, "/h/todir", unix.ENOTDIR, unix.ELOOP)
	_, err = d.Read("tofile")
	requirePathError(t, err, "/h/tofile", unix.ELOOP)
	requirePathError(t, d.Write("tofile", "x"), "/h/tofile", unix.ELOOP)
	requirePathError(t, d.Rmdir("todir"), "/h/todir", unix.ENOTDIR)
	requirePathError(t, d.Mkdir("todir"), "/h/todir", unix.EEXIST)
	_, err = OpenMount(machine.Recorded(filepath.Dir(dir)), Mount{Point: "/h/todir"})
	requirePathError(t, err, "/h/todir", unix.ENOTDIR, unix.ELOOP)
	names, _, err := d.Children(10)
	if err != nil || !slices.Equal(names, []string{"real"}) {
		t.Errorf("children %q, %v", names, err)
	}
	pids, err := d.ProcsBelow(plenty())
	if err != nil && !IsGone(err) || len(pids) > 1 {
		t.Errorf("processes %v, %v", pids, err)
	}
}

func TestOpenPath(t *testing.T) {
	d, _ := tree(t, map[string]string{"a/b/c/": "", "file": ""})
	for _, test := range []struct{ path, want string }{
		{"/", "/h"}, {"", "/h"}, {"/a", "/h/a"}, {"/a/b/c", "/h/a/b/c"}, {"a/b/", "/h/a/b"},
	} {
		at, err := d.OpenPath(test.path)
		if err != nil {
			t.Errorf("%q: %v", test.path, err)
			continue
		}
		if at.Path() != test.want {
			t.Errorf("%q: path %q, want %q", test.path, at.Path(), test.want)
		}
		at.Close()
	}
	for _, test := range []struct {
		path  string
		errno unix.Errno
	}{
		{"/a/nosuch/c", unix.ENOENT},
		{"/a/../a", unix.EINVAL},
		{"/./a", unix.EINVAL},
		{"a//b", unix.EINVAL},
		{"a\x00b", unix.EINVAL},
		{"/file/x", unix.ENOTDIR},
	} {
		_, err := d.OpenPath(test.path)
		requirePathError(t, err, "/h/"+strings.TrimPrefix(test.path, "/"), test.errno)
	}
	if _, err := d.Open("a"); err != nil { // still open
		t.Error(err)
	}
}

// Where there is no openat2(2), the same is done by steps: what opens, and what is
// refused.
func TestOpenSteps(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/b/c/": "", "file": ""})
	must(t, os.Symlink("a", filepath.Join(dir, "link")))
	must(t, os.Symlink("../..", filepath.Join(dir, "a/up")))
	for _, test := range []struct {
		path, at string // at: which of the steps fails; "": none
		errnos   []error
	}{
		{"a", "", nil},
		{"a/b/c", "", nil},
		{"a/nosuch/c", "/h/a/nosuch", []error{unix.ENOENT}},
		{"file/x", "/h/file", []error{unix.ENOTDIR}},
		{"a/b/c/x", "/h/a/b/c/x", []error{unix.ENOENT}},
		{"link/b", "/h/link", []error{unix.ENOTDIR, unix.ELOOP}},
		{"a/up/h", "/h/a/up", []error{unix.ENOTDIR, unix.ELOOP}},
	} {
		before := machinetest.Descriptors(t)
		for how, open := range map[string]func(string) (*Dir, error){"openat2": d.openPath, "steps": d.openSteps} {
			at, err := open(test.path)
			switch {
			case test.at != "" && how == "steps":
				requirePathError(t, err, test.at, test.errnos...)
			case test.at != "":
				requirePathError(t, err, "/h/"+test.path, test.errnos...)
			case err != nil:
				t.Errorf("%s by %s: %v", test.path, how, err)
			default:
				if at.Path() != "/h/"+test.path {
					t.Errorf("%s by %s: path %s", test.path, how, at.Path())
				}
				at.Close()
			}
		}
		if after := machinetest.Descriptors(t); after != before {
			t.Errorf("%s: %d descriptors, %d before", test.path, after, before)
		}
	}
	// Another file system that is mounted in there is not ours.
	proc, err := machine.OpenAt(unix.AT_FDCWD, "/", unix.O_RDONLY|unix.O_DIRECTORY)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Fstat(proc, &st))
	root := &Dir{fd: proc, device: st.Dev, path: "/"}
	defer root.Close()
	_, err = root.openPath("proc")
	requirePathError(t, err, "/proc", unix.EXDEV)
	_, err = root.openSteps("proc")
	requirePathError(t, err, "/proc", unix.EXDEV)
}

// Failed opens must not leave descriptors behind: the walks open thousands.
func TestNoDescriptorLeaks(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/cgroup.procs": "1\n", "a/b/cgroup.procs": "x\n"})
	must(t, os.Symlink("a", filepath.Join(dir, "link")))
	before := machinetest.Descriptors(t)
	for range 10 {
		for _, path := range []string{"/a/b/nosuch", "/link/b", "/a/.."} {
			if _, err := d.OpenPath(path); err == nil {
				t.Fatalf("%s opened", path)
			}
		}
		_, _ = d.ProcsBelow(plenty())
		_, _ = d.Populated(plenty())
		_ = d.RemoveTree("a", plenty())
		_, _, _ = d.Children(0)
	}
	if after := machinetest.Descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Mode 0755 whatever the host's umask: the module runs inside of sshd and su.
func TestMkdirAndUmask(t *testing.T) {
	d, dir := tree(t, nil)
	old := unix.Umask(0o777)
	err := d.Mkdir("a")
	unix.Umask(old)
	must(t, err)
	st, err := os.Stat(filepath.Join(dir, "a"))
	must(t, err)
	if st.Mode() != fs.ModeDir|0o755 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestReadWrite(t *testing.T) {
	large := strings.Repeat("0123456789\n", 10000)
	d, dir := tree(t, map[string]string{"empty": "", "large": large, "cgroup.procs": "", "dir/": ""})
	must(t, os.Truncate(filepath.Join(dir, "empty"), 0))
	for name, want := range map[string]string{"empty": "", "large": large} {
		got, err := d.Read(name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	_, err := d.Read("dir")
	requirePathError(t, err, "/h/dir", unix.EISDIR)
	must(t, d.Attach(4711))
	if got, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || string(got) != "4711" {
		t.Errorf("entered with %q, %v", got, err)
	}
	must(t, os.Truncate(filepath.Join(dir, "large"), 4<<20))
	_, err = d.Read("large")
	requirePathError(t, err, "/h/large", unix.EFBIG)
}

func TestProcs(t *testing.T) {
	for _, test := range []struct {
		name, content string
		want          []int
		errno         unix.Errno
	}{
		{"none", "", nil, 0},
		{"one", "1\n", []int{1}, 0},
		{"the kernel's order, zeros for other namespaces", "20\n3\n0\n0\n", []int{20, 3, 0, 0}, 0},
		{"last line without a newline", "1\n22", []int{1, 22}, 0},
		{"no number", "1\nx\n", nil, unix.EINVAL},
		{"too large for a number", "99999999999999999999\n", nil, unix.EINVAL},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := tree(t, map[string]string{"cgroup.procs": test.content})
			got, err := d.Procs()
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if test.errno != 0 {
				requirePathError(t, err, "/h/cgroup.procs", test.errno)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	d, _ := tree(t, map[string]string{"file": ""})
	uid, gid := os.Geteuid(), os.Getegid()
	must(t, d.Chown(uid, gid))
	must(t, d.ChownFile("file", uid, gid))
	d.machine = nil // as on the running machine
	got, err := d.Info()
	if err != nil || got.UID != uid || got.GID != gid {
		t.Errorf("owner %d:%d, %v", got.UID, got.GID, err)
	}
}

// Ordinary files cannot have the owners of cgroups, so a recorded machine has them
// from its list; where that says nothing nobody knows.
func TestInfo(t *testing.T) {
	for _, test := range []struct {
		name, lines string
		uid, gid    int
	}{
		{"its line", "040755 1000 1001 - /h/user/alice/0\n", 1000, 1001},
		{"root's", "040755 0 0 - /h/user/alice/0\n", 0, 0},
		{"no line", "040755 1000 1001 - /h/user/alice\n", -1, -1},
		{"a line that cannot be read", "x 1000 1001 - /h/user/alice/0\n", -1, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, dir := tree(t, map[string]string{"user/alice/0/": ""})
			must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), machine.StatFile), []byte(test.lines), 0o644))
			session, err := d.OpenPath("user/alice/0")
			must(t, err)
			defer session.Close()
			info, err := session.Info()
			var st unix.Stat_t
			must(t, unix.Stat(filepath.Join(dir, "user/alice/0"), &st))
			if err != nil || info.UID != test.uid || info.GID != test.gid || info.Inode != st.Ino || !info.Changed.Equal(time.Unix(st.Ctim.Unix())) {
				t.Errorf("got %+v, %v", info, err)
			}
			inode, err := d.InodeAt("user/alice/0")
			if err != nil || inode != st.Ino {
				t.Errorf("inode %d, %v; want %d", inode, err, st.Ino)
			}
		})
	}
}

func TestIsDelegated(t *testing.T) {
	for _, test := range []struct {
		name, lines      string
		delegated, known bool
	}{
		{"marked", "040755 0 0 delegate /h/s\n", true, true},
		{"not marked, or from before that was recorded", "040755 0 0 - /h/s\n", false, false},
		{"no line", "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, dir := tree(t, map[string]string{"s/": ""})
			must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), machine.StatFile), []byte(test.lines), 0o644))
			s, err := d.Open("s")
			must(t, err)
			defer s.Close()
			if delegated, known := s.IsDelegated(); delegated != test.delegated || known != test.known {
				t.Errorf("got %v, %v", delegated, known)
			}
		})
	}
	t.Run("of this machine", func(t *testing.T) {
		d, _ := tree(t, nil)
		d.machine = nil
		if delegated, known := d.IsDelegated(); delegated || !known {
			t.Errorf("got %v, %v", delegated, known)
		}
	})
}

// ChownFile on a link must not give away what the link points to.
func TestChownFileDoesNotFollow(t *testing.T) {
	d, dir := tree(t, nil)
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, d.ChownFile("dangling", os.Geteuid(), os.Getegid())) // following it would be ENOENT
}

func TestChildren(t *testing.T) {
	files := map[string]string{"cgroup.procs": "", "tasks": ""}
	var all []string
	for i := range 300 { // more than one getdents buffer
		name := fmt.Sprintf("child-with-a-long-name-to-fill-the-buffer-%03d", i)
		files[name+"/"] = ""
		all = append(all, name)
	}
	d, _ := tree(t, files)
	for range 2 { // reading must not depend on where the last one stopped
		names, more, err := d.Children(300)
		if err != nil || more || !slices.Equal(names, all) {
			t.Errorf("%d names, more %v, %v", len(names), more, err)
		}
	}
	for _, limit := range []int{299, 1, 0} {
		names, more, err := d.Children(limit)
		if err != nil || !more || len(names) != limit {
			t.Errorf("limit %d: %d names, more %v, %v", limit, len(names), more, err)
		}
	}
}
