package cgroupfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStatOfARecordedMachine(t *testing.T) {
	dir := t.TempDir()
	lines := "104755 0 0 cap /usr/bin/newuidmap\n040755 1000 1001 - /sys/fs/cgroup/user/with space/0\n040755 0 0 - /0\nnonsense /bad\n"
	if err := os.WriteFile(filepath.Join(dir, StatFile), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path string
		want Stat
		err  error
	}{
		"set-user-ID, capable":     {path: "/usr/bin/newuidmap", want: Stat{Mode: unix.S_IFREG | 0o4755, Capable: true}},
		"directory, a space in it": {path: "/sys/fs/cgroup/user/with space/0", want: Stat{Mode: unix.S_IFDIR | 0o755, UID: 1000, GID: 1001}},
		"end of another's path":    {path: "/0", want: Stat{Mode: unix.S_IFDIR | 0o755}},
		"not recorded":             {path: "/space/0", err: unix.ENOENT},
		"malformed line":           {path: "/bad", err: unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Recorded(dir).Stat(test.path)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
			var pathErr *fs.PathError
			if err != nil && (!errors.As(err, &pathErr) || pathErr.Path != test.path) {
				t.Errorf("the error %v does not name the path", err)
			}
		})
	}
	if _, err := Recorded(t.TempDir()).Stat("/etc"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without %s: got %v, want ENOENT", StatFile, err)
	}
}

func TestStatOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	want := Stat{Mode: unix.S_IFDIR | 0o711, UID: os.Getuid(), GID: os.Getgid()}
	if got, err := (Machine{}).Stat(dir); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := (Machine{}).Stat(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ENOENT", err)
	}
}
