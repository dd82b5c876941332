package machine

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func record(t *testing.T, files map[string]string) Machine {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return Recorded(dir)
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "proc/1"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "proc/1/cgroup"), []byte("0::/\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, StatFile), nil, 0o644))
	m := Recorded(dir + "/./") // cleaned
	if got, err := m.ReadFile("/proc/1/cgroup"); err != nil || string(got) != "0::/\n" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := m.ReadFile("/proc/2/cgroup")
	requirePathError(t, err, "/proc/2/cgroup", unix.ENOENT)
	_, err = m.ReadFile("/proc/1")
	requirePathError(t, err, "/proc/1", unix.EISDIR)
	if !m.Exists("/proc/1") || m.Exists("/proc/2") || !m.IsRecorded() {
		t.Error("Exists or IsRecorded is wrong")
	}
	if (Machine{}).IsRecorded() || !(Machine{}).Exists("/proc/self") {
		t.Error("the zero Machine is not the running one")
	}
}

func TestLargeFile(t *testing.T) {
	whole := strings.Repeat("0123456789abcde\n", 1<<13)
	m := record(t, map[string]string{"whole": whole, "large": "", "small": "", "empty": ""})
	must(t, os.Truncate(filepath.Join(m.root, "large"), maxFile+1))
	must(t, os.Truncate(filepath.Join(m.root, "small"), maxFile))
	_, err := m.ReadFile("/large")
	requirePathError(t, err, "/large", unix.EFBIG)
	if data, err := m.ReadFile("/small"); err != nil || len(data) != maxFile {
		t.Errorf("one byte less: %d bytes, %v", len(data), err)
	}
	for path, want := range map[string]string{"/whole": whole, "/empty": ""} {
		var got bytes.Buffer
		err := m.Stream(path, func(piece []byte) error {
			got.Write(piece)
			return nil
		})
		if err != nil || got.String() != want {
			t.Errorf("%s streamed: %d bytes, %v", path, got.Len(), err)
		}
	}
	count := 0
	if err := m.Stream("/large", func(piece []byte) error { count += len(piece); return nil }); err != nil || count != maxFile+1 {
		t.Errorf("large streamed: %d bytes, %v", count, err)
	}
	enough := errors.New("enough")
	pieces := 0
	if err := m.Stream("/large", func([]byte) error { pieces++; return enough }); !errors.Is(err, enough) || pieces != 1 {
		t.Errorf("stopped after %d pieces with %v", pieces, err)
	}
	err = m.Stream("/none", func([]byte) error { t.Error("a piece of nothing"); return nil })
	requirePathError(t, err, "/none", ErrNotRecorded)
}

func TestProcesses(t *testing.T) {
	m := record(t, map[string]string{
		"proc/1/stat": "", "proc/42/stat": "", "proc/self/stat": "", "proc/uptime": "12.34 5.6\n", "proc/4x/stat": "",
	})
	pids, err := m.Processes()
	slices.Sort(pids)
	if err != nil || !slices.Equal(pids, []int{1, 42}) {
		t.Errorf("got %v, %v", pids, err)
	}
	if uptime, err := m.Uptime(); err != nil || uptime.Milliseconds() != 12340 {
		t.Errorf("uptime %v, %v", uptime, err)
	}
	_, err = record(t, nil).Uptime()
	requirePathError(t, err, "/proc/uptime", ErrNotRecorded)
	if pids, err := (Machine{}).Processes(); err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("of this machine: %v, %v", pids, err)
	}
	if uptime, err := (Machine{}).Uptime(); err != nil || uptime <= 0 {
		t.Errorf("of this machine: up for %v, %v", uptime, err)
	}
}

func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.Setfsuid(65534))
	defer func() { must(t, unix.Setfsuid(0)) }()
	f()
}

func TestAnswersOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "closed"), 0))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	must(t, os.Symlink("none", filepath.Join(dir, "dangling")))
	for _, test := range []struct {
		name, path string
		want       Answer
		err        error // of ReadFile
	}{
		{"file", "file", Found, nil},
		{"dangling link", "dangling", Found, unix.ENOENT},
		{"absent", "none", Absent, unix.ENOENT},
		{"below what is absent", "none/x", Absent, unix.ENOENT},
		{"below a file", "file/x", Absent, unix.ENOTDIR},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, test.path)
			if got := (Machine{}).Find(path); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if _, err := (Machine{}).ReadFile(path); !errors.Is(err, test.err) {
				t.Errorf("read: %v, want %v", err, test.err)
			}
		})
	}
	t.Run("behind a closed door", func(t *testing.T) {
		path := filepath.Join(dir, "closed/x")
		asNobody(t, func() {
			if got := (Machine{}).Find(path); got != Unknown {
				t.Errorf("got %v, want Unknown", got)
			}
			_, err := (Machine{}).ReadFile(path)
			requirePathError(t, err, path, unix.EACCES)
		})
	})
}

func TestAnswersOfARecordedMachine(t *testing.T) {
	const lines = "/gone\n/dir/gone\n/proc/7\n/with space\n"
	stat := "100644 0 0 - /file\n100644 0 0 - /owner\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  map[string]Answer
	}{
		{"made by hand", map[string]string{"file": ""}, map[string]Answer{
			"/file": Found, "/gone": Unknown, "/dir/gone": Unknown, "/file/x": Absent, "/": Found,
		}},
		{"an older report", map[string]string{"file": "", StatFile: stat}, map[string]Answer{
			"/file": Found, "/gone": Absent, "/other": Absent, "/dir/gone/x": Absent,
		}},
		{"a report", map[string]string{"file": "", StatFile: stat, AbsentFile: lines}, map[string]Answer{
			"/file": Found, "/gone": Absent, "/other": Unknown, "/dir/gone": Absent, "/dir/gone/x": Absent, "/dir": Unknown,
			"/gon": Unknown, "/gonee": Unknown, "/proc/7/stat": Absent, "/proc/77/stat": Unknown, "/with space": Absent, "/space": Unknown,
			"gone": Absent, "/x/../gone": Absent, "/gone/": Absent,
		}},
		{"a list without its last newline", map[string]string{AbsentFile: "/a\n/gone"}, map[string]Answer{
			"/a": Absent, "/gone": Unknown, // it may have been cut off
		}},
		{"an empty list", map[string]string{StatFile: stat, AbsentFile: ""}, map[string]Answer{"/gone": Unknown}},
		{"the lists themselves", map[string]string{}, map[string]Answer{"/" + AbsentFile: Absent, "/" + StatFile: Absent}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := record(t, test.files)
			for path, want := range test.want {
				if got := m.Find(path); got != want {
					t.Errorf("Find(%s) = %v, want %v", path, got, want)
				}
				if m.Exists(path) != (want == Found) {
					t.Errorf("Exists(%s) is wrong", path)
				}
				if want == Found {
					continue
				}
				cause := map[Answer]error{Absent: unix.ENOENT, Unknown: ErrNotRecorded}[want]
				for ask, answer := range map[string]func(string) error{
					"ReadFile": func(p string) error { _, err := m.ReadFile(p); return err },
					"ReadDir":  func(p string) error { _, err := m.ReadDir(p); return err },
					"Stream":   func(p string) error { return m.Stream(p, func([]byte) error { return nil }) },
					"Open":     func(p string) error { _, err := m.Open(p, unix.O_PATH|unix.O_NOFOLLOW); return err },
				} {
					err := answer(path)
					requirePathError(t, err, path, cause, unix.ENOTDIR)
					if errors.Is(err, fs.ErrNotExist) && want == Unknown {
						t.Errorf("%s(%s): %v says that it is absent", ask, path, err)
					}
				}
			}
		})
	}
}

func TestAbsentKeepsInside(t *testing.T) {
	_, dir := hostile(t)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "outside/lines"), []byte("/x\n"), 0o644))
	must(t, os.Symlink("../outside/lines", filepath.Join(dir, AbsentFile)))
	if got := Recorded(dir).Find("/x"); got != Unknown {
		t.Errorf("got %v from outside", got)
	}
}
