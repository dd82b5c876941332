package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// hostile is a recorded machine that somebody else made: its links lead out of
// its directory, beside which there is a secret.
func hostile(t *testing.T) (m Machine, dir string) {
	t.Helper()
	base := t.TempDir()
	dir = filepath.Join(base, "r")
	must(t, os.MkdirAll(filepath.Join(base, "outside/proc/7"), 0o755))
	must(t, os.WriteFile(filepath.Join(base, "outside/secret"), []byte("1\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "h/real"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "proc/1"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "proc/1/status"), []byte("Name:\tinit\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "h/cgroup.procs"), []byte("1\n"), 0o644))
	for link, target := range map[string]string{
		"absolute":      filepath.Join(base, "outside/secret"),
		"relative":      "../outside/secret",
		"up":            "..",
		"toabsolute":    filepath.Join(base, "outside"),
		"todir":         "../outside",
		"h/linked":      "../../outside",
		"proc/self":     "1",
		"within":        "proc/../h/cgroup.procs",
		"toup":          "up/outside/secret",
		"loop":          "loop",
		"withinhmount":  "h",
		"proc/dangling": "nothing",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	return Recorded(dir), dir
}

func TestRecordedKeepsInside(t *testing.T) {
	m, _ := hostile(t)
	for _, path := range []string{"/absolute", "/relative", "/todir/secret", "/toabsolute/secret", "/up/outside/secret", "/toup", "/h/linked/secret"} {
		if data, err := m.ReadFile(path); err == nil {
			t.Errorf("%s: read %q from outside", path, data)
		}
	}
	for _, path := range []string{"/../outside/secret", "../outside/secret", "/h/../../outside/secret"} {
		_, err := m.ReadFile(path)
		requirePathError(t, err, path, ErrNotRecorded)
		if m.Exists(path) {
			t.Errorf("%s exists", path)
		}
	}
	for _, path := range []string{"/todir/secret", "/up/outside", "/todir/.", "/toabsolute/"} {
		if m.Exists(path) {
			t.Errorf("%s exists", path)
		}
	}
	for _, path := range []string{"/todir", "/toabsolute", "/up", "/up/outside", "/h/linked"} {
		if names, err := m.ReadDir(path); err == nil {
			t.Errorf("%s: names %q from outside", path, names)
		}
		if fd, err := openDirectory(m, path); err == nil {
			unix.Close(fd)
			t.Errorf("%s: opened", path)
		}
	}
	if fd, err := openDirectory(m, "/todir/proc"); err == nil {
		unix.Close(fd)
		t.Error("a directory outside was opened")
	}
}

func TestRecordedProcessesKeepInside(t *testing.T) {
	_, dir := hostile(t)
	must(t, os.RemoveAll(filepath.Join(dir, "proc")))
	must(t, os.Symlink("../outside/proc", filepath.Join(dir, "proc")))
	if pids, err := Recorded(dir).Processes(); err == nil {
		t.Errorf("processes %v from outside", pids)
	}
}

func TestRecordedStatKeepsInside(t *testing.T) {
	_, dir := hostile(t)
	lines := filepath.Join(filepath.Dir(dir), "outside/lines")
	must(t, os.WriteFile(lines, []byte("100644 0 0 - /x\n"), 0o644))
	must(t, os.Symlink("../outside/lines", filepath.Join(dir, StatFile)))
	if st, err := Recorded(dir).Stat("/x"); err == nil {
		t.Errorf("got %+v from outside", st)
	}
}

// What stays inside is read: people copy /proc with its links.
func TestRecordedFollowsInside(t *testing.T) {
	m, _ := hostile(t)
	for path, want := range map[string]string{"/within": "1\n", "/proc/self/status": "Name:\tinit\n", "/withinhmount/cgroup.procs": "1\n"} {
		if data, err := m.ReadFile(path); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	for _, path := range []string{"/", "/h", "/h/", "/h/.", "/proc/self/.", "/proc/dangling", "/absolute", "/fifo"} {
		if !m.Exists(path) {
			t.Errorf("%s does not exist", path)
		}
	}
	for _, path := range []string{"/fifo/", "/fifo/.", "/proc/dangling/."} {
		if m.Exists(path) {
			t.Errorf("%s exists, though it is no directory", path)
		}
	}
	_, err := m.ReadFile("/loop")
	requirePathError(t, err, "/loop", unix.ELOOP)
	_, err = openDirectory(m, "/withinhmount")
	requirePathError(t, err, "/withinhmount", unix.ENOTDIR, unix.ELOOP)
	fd, err := openDirectory(m, "/")
	must(t, err)
	unix.Close(fd)
}

// openDirectory opens one as the root of a hierarchy is opened.
func openDirectory(m Machine, path string) (fd int, err error) {
	return m.Open(path, unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

// A named pipe in a recorded machine keeps nobody waiting, nor does one with a
// writer that says nothing.
func TestRecordedPipe(t *testing.T) {
	m, dir := hostile(t)
	for _, name := range []string{"h/status", StatFile, AbsentFile, PresentFile} {
		must(t, unix.Mkfifo(filepath.Join(dir, name), 0o644))
	}
	held, err := os.OpenFile(filepath.Join(dir, "fifo"), os.O_RDWR, 0)
	must(t, err)
	defer held.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = m.ReadFile("/fifo")
		_, _ = m.ReadDir("/fifo")
		_, _ = openDirectory(m, "/fifo")
		_ = m.Stream("/fifo", func([]byte) error { return nil })
		_, _ = m.Stat("/fifo")
		_, _ = m.Status("/h")
		m.Exists("/fifo")
		m.Exists("/none")
		_, _ = m.As(Credentials{UID: 1}).ReadFile("/fifo")
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a pipe")
	}
}

func TestRecordedWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	m := Recorded(dir)
	_, err := m.ReadFile("/proc/self/status")
	requirePathError(t, err, dir+"/proc/self/status", unix.ENOENT)
	_, err = m.ReadDir("/proc")
	requirePathError(t, err, dir+"/proc", unix.ENOENT)
	_, err = m.Processes()
	requirePathError(t, err, dir+"/proc", unix.ENOENT)
	_, err = openDirectory(m, "/h")
	requirePathError(t, err, dir+"/h", unix.ENOENT)
	err = m.Stream("/proc/self/mountinfo", func([]byte) error { return nil })
	requirePathError(t, err, dir+"/proc/self/mountinfo", unix.ENOENT)
	if m.Exists("/") {
		t.Error("it exists")
	}
}

func TestRecordedLeavesNoDescriptors(t *testing.T) {
	m, _ := hostile(t)
	before := machinetest.Descriptors(t)
	for _, path := range []string{"/within", "/absolute", "/h", "/fifo", "/none"} {
		_, _ = m.ReadFile(path)
		_, _ = m.ReadDir(path)
		m.Exists(path)
		_, _ = m.As(Credentials{UID: 1}).ReadFile(path)
		_, _ = m.Stat(path)
		_ = m.Stream(path, func([]byte) error { return nil })
		if fd, err := openDirectory(m, path); err == nil {
			unix.Close(fd)
		}
	}
	if after := machinetest.Descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Of what is not in the recording it is known whether it was there only if its
// maker saw that.
func TestRecordedAnswers(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etc/here": "x\n", "etc/conf.d/" + DirectoryMark: "",
		AbsentFile:  "/etc/gone\n/var/gone\n/lib/link\n",
		PresentFile: "/lib/seen.so\n/lib/link\n/etc/conf.d/a.conf\n",
	} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	m := Recorded(dir)
	for _, test := range []struct {
		name, path string
		answer     Answer // of Find
		err        error  // of ReadFile
	}{
		{"a file", "/etc/here", Found, nil},
		{"a file, asked for as a directory", "/etc/here/.", Absent, unix.ENOTDIR},
		{"absent", "/etc/gone", Absent, fs.ErrNotExist},
		{"below what was absent", "/var/gone/a/b", Absent, fs.ErrNotExist},
		{"the beginning of what was absent", "/var/go", Unknown, ErrNotRecorded},
		{"not recorded", "/etc/other", Unknown, ErrNotRecorded},
		{"only seen", "/lib/seen.so", Found, ErrNotRecorded},
		{"only seen, asked for as a directory", "/lib/seen.so/.", Absent, ErrNotRecorded},
		{"a link that led nowhere", "/lib/link", Found, fs.ErrNotExist},
		{"a directory", "/etc/conf.d/.", Found, unix.EISDIR},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := m.Find(test.path); got != test.answer {
				t.Errorf("it answers %d, want %d", got, test.answer)
			}
			if test.path[len(test.path)-1] == '.' && test.answer == Absent {
				return // no path to read
			}
			if _, err := m.ReadFile(test.path); !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
		})
	}
	names, err := m.ReadDir("/etc/conf.d")
	if want := []string{"a.conf"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("names %q, %v; want %q", names, err, want)
	}
	if _, err = m.ReadDir("/lib"); !errors.Is(err, ErrNotRecorded) {
		t.Errorf("names in a directory that nobody asked for: %v", err)
	}
	if _, err = m.ReadDir("/var/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("names in a directory that was absent: %v", err)
	}
}

// Where there is no openat2(2), the same is opened by steps, and the same is not.
func TestOpenInSteps(t *testing.T) {
	m, _ := hostile(t)
	before := machinetest.Descriptors(t)
	for _, path := range []string{
		"/", "/h", "/h/cgroup.procs", "/proc/self/status", "/within", "/withinhmount", "/withinhmount/cgroup.procs", "/h/../h/real", "/fifo",
		"/absolute", "/relative", "/todir", "/todir/secret", "/toabsolute/secret", "/up", "/up/outside/secret", "/toup", "/h/linked/secret",
		"/loop", "/proc/dangling", "/none", "/none/x", "/h/cgroup.procs/x", "/../outside/secret",
	} {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDONLY | unix.O_DIRECTORY, unix.O_PATH | unix.O_NOFOLLOW, directoryFlags} {
			fd, err := m.openRecorded(path, flags)
			steps, stepsErr := m.openInSteps(path, flags)
			if (err == nil) != (stepsErr == nil) || isAbsent(m, path, err) != isAbsent(m, path, stepsErr) {
				t.Errorf("%s with %#x: %v; by steps: %v", path, flags, err, stepsErr)
			}
			if err == nil && stepsErr == nil {
				var a, b unix.Stat_t
				if must(t, unix.Fstat(fd, &a)); unix.Fstat(steps, &b) != nil || a.Ino != b.Ino {
					t.Errorf("%s with %#x: these are two", path, flags)
				}
			}
			for _, fd := range []int{fd, steps} {
				if fd >= 0 {
					unix.Close(fd)
				}
			}
		}
	}
	if after := machinetest.Descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// isAbsent tells whether an error means that nothing was recorded there.
func isAbsent(m Machine, path string, err error) bool {
	return errors.Is(err, ErrNotRecorded) || errors.Is(m.failRecorded("open", path, err), ErrNotRecorded)
}

const directoryFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
