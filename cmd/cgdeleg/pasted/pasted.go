// Package pasted makes a recorded machine of what somebody has pasted into a thread: files
// of /proc and /etc, called as people call them, or all of it in one text, with the prompts
// and the prose between.
//
// It knows what these files look like, and by which commands people show them. It must not
// know what they mean for a container, and it asks nothing of the running machine: what is
// not in the text was not recorded.
package pasted

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// MaxSize is how much is read at most, of a text or of all files of a directory.
const MaxSize = 4 << 20

// TooLargeError says that there is more than MaxSize.
type TooLargeError struct{ Name string } // of the directory, or the text

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: larger than %d MiB", e.Name, MaxSize>>20)
}

// NothingError says that nothing was recognised.
type NothingError struct {
	Name string
	// IsRecording tells that the directory looks like a recorded machine.
	IsRecording bool
}

func (e *NothingError) Error() string { return e.Name + ": nothing in it is recognised" }

// File is one file that was pasted.
type File struct {
	Name string // as people call it: "mountinfo", "pam.d/sshd"
	By   string // by what it was recognised
	Data []byte

	path string // in a recorded machine
}

// Lines returns how many lines it has.
func (f *File) Lines() int { return strings.Count(string(f.Data), "\n") }

// Paste is what was recognised.
type Paste struct {
	Files []*File // in the order in which they came
	// Unknown are the files of a directory that have no name that is known.
	Unknown []string
	// Ignored is how many lines are of none of the files.
	Ignored int

	absent  []string // files that the text says not to be there
	prompts []string // users of the prompts by which /proc/self was shown
	id      string   // the line that id(1) prints
}

// Dir reads a directory that has a file for each that was pasted. Errors are *fs.PathError,
// *TooLargeError and *NothingError. No link is followed out of it.
func Dir(dir string) (*Paste, error) {
	m := machine.Recorded(dir)
	names, err := m.ReadDir("/")
	if err != nil {
		return nil, err
	}
	s := newSplitter()
	size := 0
	if slices.Contains(names, "proc") && !slices.ContainsFunc(names, isProcessFile) {
		return nil, &NothingError{dir, true}
	}
	for _, name := range names {
		k, isKnown := kindOfName(name)
		if !isKnown {
			s.paste.Unknown = append(s.paste.Unknown, name)
			continue
		}
		data, err := m.ReadFile("/" + name)
		var tooLarge *machine.TooLargeError
		if size += len(data); size > MaxSize || errors.As(err, &tooLarge) {
			return nil, &TooLargeError{dir}
		}
		if err != nil {
			return nil, err
		}
		s.label([]kind{k}, "the file "+name)
		s.text(clean(data))
	}
	return s.end(&NothingError{dir, false})
}

// isProcessFile tells whether a name is that of a process's file, which no recorded machine
// has at its top.
func isProcessFile(name string) bool {
	k, isKnown := kindOfName(name)
	return isKnown && strings.HasPrefix(k.path, "/proc/self/")
}

// Text reads one text with all that was pasted. Errors are the reader's, *TooLargeError and
// *NothingError.
func Text(r io.Reader) (*Paste, error) {
	const name = "the text"
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, &TooLargeError{name}
	}
	s := newSplitter()
	s.text(clean(data))
	return s.end(&NothingError{name, false})
}

// Names returns what the files are called.
func (p *Paste) Names() (names []string) {
	for _, f := range p.Files {
		names = append(names, f.Name)
	}
	return names
}

// Has tells whether there is a file of that name.
func (p *Paste) Has(name string) bool { return p.file(name) != nil }

func (p *Paste) file(name string) *File {
	i := slices.IndexFunc(p.Files, func(f *File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return p.Files[i]
}

// ConfigPath is where Record puts the configuration of a container.
const ConfigPath = "config"

// NoPID stands for the process whose files these are where they do not say which one it is:
// no process has it (PID_MAX_LIMIT of the kernel).
const NoPID = 4 << 20

// PID is the process's, NoPID if that is not known.
func (p *Paste) PID() int {
	for line := range p.lines("status") {
		if value, isPID := strings.CutPrefix(line, "Pid:"); isPID {
			if pid, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && pid > 0 && pid < NoPID {
				return pid
			}
		}
	}
	return NoPID
}

// Record lays the files out in an empty directory as a recorded machine has them: those of
// the process both as its own and as /proc/self.
func (p *Paste) Record(dir string) error {
	files := map[string][]byte{}
	own := fmt.Sprintf("/proc/%d/", p.PID())
	for _, f := range p.Files {
		if f.path == "" {
			continue
		}
		if of, isSelf := strings.CutPrefix(f.path, "/proc/self/"); isSelf {
			if _, isThere := files[own+of]; !isThere {
				files[own+of] = f.Data
			}
		}
		files[f.path] = f.Data
	}
	if len(p.absent) > 0 {
		files["/"+machine.AbsentFile] = []byte(strings.Join(p.absent, "\n") + "\n")
	}
	for path, data := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// lines yields the lines of a file, none if there is none.
func (p *Paste) lines(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		f := p.file(name)
		if f == nil {
			return
		}
		for line := range strings.Lines(string(f.Data)) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}
