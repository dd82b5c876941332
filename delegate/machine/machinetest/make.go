package machinetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files are what a machine has: the path, with or without a slash before it, to the content.
// A path that ends with a slash is a directory.
type Files map[string]string

// Make makes a directory of these files, of which later ones take the place of earlier ones, for
// machine.Recorded. It is gone with the test.
func Make(t testing.TB, all ...Files) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, files := range all {
		for name, content := range files {
			Write(t, dir, name, content)
		}
	}
	return dir
}

// Write writes a file below a directory, and makes the directories above it.
func Write(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Descriptors returns how many this process has open, but for those with which the Go
// runtime waits for others: it opens them when it first needs them.
func Descriptors(t testing.TB) (count int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "anon_inode:") {
			count++
		}
	}
	return count
}
