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

	"golang.org/x/sys/unix"
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
	d, err := Recorded(root).OpenMount(Mount{Point: "/h"})
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

func requirePathError(t *testing.T, err error, path string, errnos ...unix.Errno) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) {
		t.Errorf("got %v, want a *fs.PathError", err)
		return
	}
	if p.Path != path {
		t.Errorf("%v: path %q, want %q", err, p.Path, path)
	}
	if !slices.ContainsFunc(errnos, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		t.Errorf("%v: want one of %v", err, errnos)
	}
}

// operations are all methods that take a name.
var operations = map[string]func(d *Dir, name string) error{
	"Open":       func(d *Dir, name string) error { _, err := d.Open(name); return err },
	"Mkdir":      func(d *Dir, name string) error { return d.Mkdir(name) },
	"Rmdir":      func(d *Dir, name string) error { return d.Rmdir(name) },
	"RemoveTree": func(d *Dir, name string) error { return d.RemoveTree(name, plenty()) },
	"Read":       func(d *Dir, name string) error { _, err := d.Read(name); return err },
	"Write":      func(d *Dir, name string) error { return d.Write(name, "x") },
	"ChownFile":  func(d *Dir, name string) error { return d.ChownFile(name, os.Geteuid(), os.Getegid()) },
}

func plenty() *Budget { return &Budget{Dirs: 1000, Depth: 100} }

// Whatever a name is made of, it must not lead out of the directory.
func TestNamesRefused(t *testing.T) {
	for operation, call := range operations {
		for _, name := range []string{"", ".", "..", "a/b", "/a", "a/", "../h", "a\x00b", "\x00"} {
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
		if operation == "Mkdir" || operation == "RemoveTree" { // for these a name that is not there is fine
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

func TestIsGone(t *testing.T) {
	for err, want := range map[error]bool{
		unix.ENOENT: true, unix.ENODEV: true, unix.EBUSY: false, unix.EACCES: false, ErrBudget: false,
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
	_, err = Recorded(filepath.Dir(dir)).OpenMount(Mount{Point: "/h/todir"})
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
		{"/", "/h"}, {"", "/h"}, {"/a", "/h/a"}, {"/a/b/c", "/h/a/b/c"}, {"a//b/", "/h/a/b"},
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
		path, at string
		errno    unix.Errno
	}{
		{"/a/nosuch/c", "/h/a/nosuch", unix.ENOENT},
		{"/a/../a", "/h/a/..", unix.EINVAL},
		{"/./a", "/h/.", unix.EINVAL},
		{"/file/x", "/h/file", unix.ENOTDIR},
	} {
		_, err := d.OpenPath(test.path)
		requirePathError(t, err, test.at, test.errno)
	}
	if _, err := d.Open("a"); err != nil { // still open
		t.Error(err)
	}
}

// Failed opens must not leave descriptors behind: the walks open thousands.
func TestNoDescriptorLeaks(t *testing.T) {
	d, dir := tree(t, map[string]string{"a/cgroup.procs": "1\n", "a/b/cgroup.procs": "x\n"})
	must(t, os.Symlink("a", filepath.Join(dir, "link")))
	before := descriptors(t)
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
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
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
	must(t, d.Enter(4711))
	if got, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || string(got) != "4711" {
		t.Errorf("entered with %q, %v", got, err)
	}
	must(t, os.Truncate(filepath.Join(dir, "large"), maxFile))
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
	gotUID, gotGID, err := d.Owner()
	if err != nil || gotUID != uid || gotGID != gid {
		t.Errorf("owner %d:%d, %v", gotUID, gotGID, err)
	}
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
