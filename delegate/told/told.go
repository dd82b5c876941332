// Package told keeps what a user is to be told at the next login: a note for each, in a
// file that the module reads (pam/told.c) and `cgdeleg serve` writes.
//
//	UID       the note: text that can be shown as it is
//	UID.said  one that a login has said; whether at a terminal, only what comes shows
//
// Whoever changes a note renames it first, so that nobody else says it meanwhile. The
// package must not know what is told, nor who is at a terminal.
package told

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Notes are the notes in a directory that only root can enter.
type Notes struct {
	Dir string
	// IsMinor tells whether a line is left out before others, where there are too many; nil:
	// the oldest are.
	IsMinor func(line string) bool
}

// Default is where the module looks (TOLD_DIRECTORY of pam/told.h).
var Default = Notes{Dir: "/run/cgdeleg/told"}

// MaxSize is more than a note has, in bytes (TOLD_MAX of pam/told.h).
const MaxSize = 1024

// maxLines bounds how many lines of a note are kept, and maxLine how long each is.
const (
	maxLines = 3
	maxLine  = 300
)

// earlier is the last line of a note that has more to say than it can.
const earlier = "Not shown here: %d more."

const (
	said   = ".said"
	adding = ".adding"
)

func (n Notes) path(uid int) string { return filepath.Join(n.Dir, strconv.Itoa(uid)) }

// Add adds a line to the note of a user. It has to be printable ASCII. Only some are kept,
// the last ones if all are alike (IsMinor). Errors are those of the file system.
func (n Notes) Add(uid int, line string) error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	at := n.path(uid)
	err := os.Rename(at, at+adding)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// one is left also if this was interrupted before
	text, err := os.ReadFile(at + adding)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.put(uid, n.join(string(text), line))
}

// put writes the note in one step.
func (n Notes) put(uid int, text string) error {
	at := n.path(uid)
	if err := os.WriteFile(at+".new", []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(at+".new", at); err != nil {
		return err
	}
	if err := os.Remove(at + adding); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// join adds lines to a note.
func (n Notes) join(note, added string) string {
	var lines []string
	left := 0
	for line := range strings.Lines(note + "\n" + added) {
		var more int
		line = strings.TrimSuffix(line, "\n")
		if _, err := fmt.Sscanf(line, earlier, &more); err == nil {
			left += max(0, more)
		} else if line != "" {
			lines = append(lines, line[:min(len(line), maxLine)])
		}
	}
	for ; len(lines) > maxLines; left++ {
		at := 0
		if n.IsMinor != nil {
			at = max(0, slices.IndexFunc(lines, n.IsMinor))
		}
		lines = slices.Delete(lines, at, at+1)
	}
	text := strings.Join(lines, "\n") + "\n"
	if left > 0 {
		text += fmt.Sprintf(earlier, left) + "\n"
	}
	return text
}

// Said is a note that a login has said.
type Said struct {
	UID  int
	When time.Time
}

// Said returns the notes of which it is not known yet whether anybody saw them. Errors do
// not matter: they stay where they are.
func (n Notes) Said() (all []Said) {
	entries, _ := os.ReadDir(n.Dir)
	for _, entry := range entries {
		digits, isSaid := strings.CutSuffix(entry.Name(), said)
		uid, err := strconv.Atoi(digits)
		info, err2 := entry.Info()
		if isSaid && err == nil && err2 == nil {
			all = append(all, Said{UID: uid, When: changed(info)})
		}
	}
	return all
}

// Remove removes a note that somebody saw; a login may have done so.
func (n Notes) Remove(s Said) error {
	if err := os.Remove(n.path(s.UID) + said); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Restore has a note said again that nobody saw, before what has come meanwhile.
func (n Notes) Restore(s Said) error {
	at := n.path(s.UID)
	text, err := os.ReadFile(at + said)
	if errors.Is(err, fs.ErrNotExist) { // a login has shown it meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Rename(at, at+adding); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	newer, err := os.ReadFile(at + adding)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := n.put(s.UID, n.join(string(text), string(newer))); err != nil {
		return err
	}
	return n.Remove(s)
}
