package machine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Each question is noted once, in the order in which it was asked first, and with
// the last answer: what came between two looks is what a report has to show.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, StatFile), []byte("100644 0 0 - /file\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "proc/7"), 0o755))
	var notes Notes
	m := Recorded(dir).Noting(&notes)
	if !m.IsNoting() || m.Plain().IsNoting() || (Machine{}).IsNoting() {
		t.Error("IsNoting is wrong")
	}
	for _, ask := range []func(){
		func() { m.Exists("/file") },
		func() { _, _ = m.ReadFile("/file") },
		func() { _, _ = m.Stat("/file") },
		func() { _, _ = m.ReadDir("/proc") },
		func() { _ = m.Stream("/streamed", func([]byte) error { return nil }) },
		func() { _, _ = m.Process(7) },
		func() { _, _ = m.StatusOf(7) },
		func() { m.Name(7) },
		func() { _, _ = m.Processes() }, // a second time
		func() { _, _ = m.Uptime() },
		func() { m.NoteFile("/sys/fs/cgroup/cgroup.procs", Content, nil) },
		func() { m.NoteFile("/sys/fs/cgroup/none", Existence, unix.ENOENT) },
		func() { m.NoteFile("/sys/fs/cgroup/secret", Content, unix.EACCES) },
		func() { _, _ = m.Plain().ReadFile("/quiet") },
		func() { _, _ = m.Open("/opened", unix.O_RDONLY) }, // whoever opens it notes it
		func() { m.Exists("/late") },
		func() { m.Exists("/file") }, // again
	} {
		ask()
	}
	must(t, os.WriteFile(filepath.Join(dir, "late"), nil, 0o644))
	m.Exists("/late")
	want := []Question{
		{"/file", Existence}, {"/file", Content}, {"/file", Owner}, {"/proc", Names}, {"/streamed", Content},
		{"/proc/7/stat", Content}, {"/proc/7/status", Content}, {"/proc/7/comm", Content}, {"/proc/uptime", Content},
		{"/sys/fs/cgroup/cgroup.procs", Content}, {"/sys/fs/cgroup/none", Existence}, {"/sys/fs/cgroup/secret", Content},
		{"/late", Existence},
	}
	if !slices.Equal(notes.Questions, want) {
		t.Errorf("got  %v\nwant %v", notes.Questions, want)
	}
	for q, want := range map[Question]Answer{
		{"/file", Existence}: Found, {"/file", Content}: Found, {"/file", Owner}: Found, {"/proc", Names}: Found,
		{"/streamed", Content}: Absent, {"/proc/7/stat", Content}: Absent, {"/late", Existence}: Found,
		{"/sys/fs/cgroup/cgroup.procs", Content}: Found, {"/sys/fs/cgroup/none", Existence}: Absent,
		{"/sys/fs/cgroup/secret", Content}: Unknown,
		{"/file", Names}:                   Unknown, // never asked
	} {
		if got := notes.Answer(q); got != want {
			t.Errorf("%v: answer %v, want %v", q, got, want)
		}
	}
	var none Notes
	if got := none.Answer(Question{"/file", Content}); got != Unknown {
		t.Errorf("of the zero Notes: %v", got)
	}
}

// The last answer counts, also where a thing goes.
func TestNotesLastAnswer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	var notes Notes
	m := Machine{}.Noting(&notes)
	for _, want := range []Answer{Absent, Found, Absent} {
		if want == Found {
			must(t, os.WriteFile(path, nil, 0o644))
		} else if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := m.ReadFile(path); (err == nil) != (want == Found) {
			t.Fatal(err)
		}
		if got := notes.Answer(Question{path, Content}); got != want || len(notes.Questions) != 1 {
			t.Errorf("got %v of %v, want %v", got, notes.Questions, want)
		}
	}
}
