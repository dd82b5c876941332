package told

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func notes(t *testing.T) Notes {
	t.Helper()
	return Notes{Dir: filepath.Join(t.TempDir(), "told")}
}

func (n Notes) want(t *testing.T, uid int, want string) {
	t.Helper()
	text, err := os.ReadFile(n.path(uid))
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || want != "") || string(text) != want {
		t.Errorf("the note is %q, %v; want %q", text, err, want)
	}
}

func add(t *testing.T, n Notes, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := n.Add(1000, line); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAdd(t *testing.T) {
	n := notes(t)
	add(t, n, "one")
	n.want(t, 1000, "one\n")
	add(t, n, "two", "three")
	n.want(t, 1000, "one\ntwo\nthree\n")
	add(t, n, "four")
	n.want(t, 1000, "two\nthree\nfour\nNot shown here: 1 more.\n")
	add(t, n, "five", "six")
	n.want(t, 1000, "four\nfive\nsix\nNot shown here: 3 more.\n")
	n.want(t, 1001, "")
	for name, want := range map[string]os.FileMode{n.Dir: 0o700, n.path(1000): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(n.Dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// What matters less goes first, be it older or newer.
func TestMinor(t *testing.T) {
	n := notes(t)
	n.IsMinor = func(line string) bool { return strings.HasPrefix(line, "fork") }
	add(t, n, "kill 1", "fork 1", "fork 2", "fork 3")
	n.want(t, 1000, "kill 1\nfork 2\nfork 3\nNot shown here: 1 more.\n")
	add(t, n, "kill 2", "kill 3", "fork 4")
	n.want(t, 1000, "kill 1\nkill 2\nkill 3\nNot shown here: 4 more.\n")
	add(t, n, "kill 4")
	n.want(t, 1000, "kill 2\nkill 3\nkill 4\nNot shown here: 5 more.\n")
}

// A note that a login has shown and removed is neither removed nor said again.
func TestShownMeanwhile(t *testing.T) {
	n := notes(t)
	for _, do := range []func(Said) error{n.Remove, n.Restore} {
		if err := do(Said{UID: 1000}); err != nil {
			t.Error(err)
		}
	}
	n.want(t, 1000, "")
}

// However much there is to say, the module can read it.
func TestSize(t *testing.T) {
	n := notes(t)
	for range 100 {
		add(t, n, strings.Repeat("x", 2*maxLine))
	}
	if info, err := os.Stat(n.path(1000)); err != nil || info.Size() >= MaxSize {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

// A note that was said is gone, if somebody saw it, or comes again, before newer ones.
func TestSaid(t *testing.T) {
	n := notes(t)
	if len(n.Said()) > 0 {
		t.Error("there is no note")
	}
	say := func() Said {
		if err := os.Rename(n.path(1000), n.path(1000)+said); err != nil { // as the module does
			t.Fatal(err)
		}
		all := n.Said()
		if len(all) != 1 || all[0].UID != 1000 || time.Since(all[0].When) > time.Minute {
			t.Fatalf("got %+v", all)
		}
		return all[0]
	}
	add(t, n, "one")
	if err := n.Remove(say()); err != nil || len(n.Said()) > 0 {
		t.Errorf("%v, %v", err, n.Said())
	}
	add(t, n, "one")
	if err := n.Restore(say()); err != nil || len(n.Said()) > 0 {
		t.Errorf("%v, %v", err, n.Said())
	}
	n.want(t, 1000, "one\n")
	s := say()
	add(t, n, "two")
	if err := n.Restore(s); err != nil {
		t.Error(err)
	}
	n.want(t, 1000, "one\ntwo\n")
}

// What was interrupted is not lost.
func TestInterrupted(t *testing.T) {
	n := notes(t)
	add(t, n, "one")
	if err := os.Rename(n.path(1000), n.path(1000)+adding); err != nil {
		t.Fatal(err)
	}
	add(t, n, "two")
	n.want(t, 1000, "one\ntwo\n")
}

// The module looks where the notes are, and reads all of one.
func TestTheSameInC(t *testing.T) {
	header, err := os.ReadFile("../../pam/told.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("#define TOLD_DIRECTORY %q\n", Default.Dir),
		fmt.Sprintf("#define TOLD_SAID %q\n", said),
		fmt.Sprintf("#define TOLD_MAX %d\n", MaxSize),
	} {
		if !strings.Contains(string(header), line) {
			t.Errorf("told.h has no %q", line)
		}
	}
}
