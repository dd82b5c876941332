package inotify

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// watches counts what the kernel watches for the queue (proc_pid_fdinfo(5)).
func watches(t *testing.T, q *Queue) int {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", q.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(info), "inotify wd:")
}

func newQueue(t *testing.T) *Queue {
	t.Helper()
	q, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// Marks are those of the last look.
func TestMark(t *testing.T) {
	one, other := t.TempDir(), t.TempDir()
	q := newQueue(t)
	for _, look := range []struct {
		name string
		dirs []string
		want int
	}{
		{"two folders", []string{one, other}, 2},
		{"the same again", []string{other, one}, 2},
		{"one twice", []string{one, one}, 1},
		{"another", []string{other}, 1},
		{"what is not there", []string{one, filepath.Join(one, "none")}, 1},
		{"nothing", nil, 0},
	} {
		err := q.Mark(func(m Marker) {
			for _, dir := range look.dirs {
				_, err := os.Stat(dir)
				if got, want := m.Files(dir), err == nil; got != want {
					t.Errorf("%s: Files(%s) is %v, want %v", look.name, dir, got, want)
				}
			}
		})
		if got := watches(t, q); err != nil || got != look.want {
			t.Errorf("%s: %d watches, %v; want %d", look.name, got, err, look.want)
		}
	}
}

// What changes a file ends a Wait, and is not told again.
func TestWait(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"a new file", func() error { return os.WriteFile(file, nil, 0o600) }},
		{"other words", func() error { return os.WriteFile(file, []byte("other\n"), 0o600) }},
		{"another mode", func() error { return os.Chmod(file, 0o640) }},
		{"another name", func() error { return os.Rename(file, file+".old") }},
		{"no file", func() error { return os.Remove(file + ".old") }},
	} {
		t.Run(change.name, func(t *testing.T) {
			q := newQueue(t)
			if err := q.Mark(func(m Marker) { m.Files(dir) }); err != nil {
				t.Fatal(err)
			}
			if err := change.make(); err != nil {
				t.Fatal(err)
			}
			if err := q.Wait(math.MaxInt64, 0); err != nil {
				t.Error(err)
			}
			if err := q.Wait(time.Millisecond, 0); err != nil {
				t.Error("patience that is over is no error:", err)
			}
			if n, err := q.file.Read(make([]byte, 4096)); n > 0 || !os.IsTimeout(err) {
				t.Errorf("%d bytes of events are left, %v", n, err)
			}
		})
	}
}

func TestClose(t *testing.T) {
	q := newQueue(t)
	ended := make(chan error)
	go func() { ended <- q.Wait(math.MaxInt64, 0) }()
	time.Sleep(10 * time.Millisecond)
	q.Close()
	if err := <-ended; err == nil {
		t.Error("Close ends a Wait without an error")
	}
	if q.Wait(math.MaxInt64, 0) == nil || q.Mark(func(Marker) {}) == nil {
		t.Error("no error after Close")
	}
}
