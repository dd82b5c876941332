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
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requirePathError(t *testing.T, err error, path string, wanted ...error) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) {
		t.Errorf("got %v, want a *fs.PathError", err)
		return
	}
	if p.Path != path {
		t.Errorf("%v: path %q, want %q", err, p.Path, path)
	}
	if !slices.ContainsFunc(wanted, func(want error) bool { return errors.Is(err, want) }) {
		t.Errorf("%v: want one of %v", err, wanted)
	}
}

func TestReadDir(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "d/b"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "d/a"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "d/.c"), nil, 0o644))
	must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	m := Recorded(root)

	names, err := m.ReadDir("/d")
	if want := []string{".c", "a", "b"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v; want %q", names, err, want)
	}
	names, err = m.ReadDir("/d/b")
	if err != nil || len(names) != 0 {
		t.Errorf("empty directory: %q, %v", names, err)
	}
	_, err = m.ReadDir("/gone")
	requirePathError(t, err, "/gone", ErrNotRecorded)
	_, err = m.ReadDir("/d/a")
	requirePathError(t, err, "/d/a", unix.ENOTDIR)
	_, err = m.ReadDir("/fifo") // without waiting for its writer
	requirePathError(t, err, "/fifo", unix.ENOTDIR)
}

// A user can put a named pipe where root reads a file.
func TestReadFileOfPipe(t *testing.T) {
	root := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	data, err := Recorded(root).ReadFile("/fifo")
	if err != nil || len(data) != 0 {
		t.Errorf("without a writer: %q, %v", data, err)
	}
	held, err := os.OpenFile(filepath.Join(root, "fifo"), os.O_RDWR, 0)
	must(t, err)
	defer held.Close()
	_, err = Recorded(root).ReadFile("/fifo")
	requirePathError(t, err, "/fifo", unix.EAGAIN)
}

func TestFormatProcess(t *testing.T) {
	for name, p := range map[string]Process{
		"all":                {PID: 7, Name: "a b", Parent: 1, Group: 7, Started: 90*time.Minute + 10*time.Millisecond, Policy: 6},
		"a name with a line": {PID: 8, Name: "x) S 1\n9 (y", Policy: 1},
		"no policy":          {PID: 9, Name: "", Started: time.Second, Policy: -1},
	} {
		got, ok := parseStatFile([]byte(FormatProcess(p)))
		if got.PID = p.PID; !ok || got != p {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, ok, p)
		}
	}
}
