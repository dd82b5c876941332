// Package pamconf reads PAM's configuration (pam.conf(5), pam.d(5)) as
// Linux-PAM itself reads it: which modules run, with which arguments and in
// which order, when a service opens a session.
//
// It only reads. It must not know any module, nor judge what a stack does:
// that is the caller's business.
package pamconf

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Line is one line of a stack (pam.d(5)), as PAM runs it.
type Line struct {
	// File and Number say where it stands; a continued line, where it starts.
	File   string
	Number int
	// Optional is the dash of "-session": that the module is missing is no
	// error and not logged.
	Optional bool
	// Control is as written: "optional", "[success=1 default=ignore]".
	Control string
	// Module is as written: "pam_systemd.so", "/lib/security/$ISA/pam_x.so".
	Module string
	// Substacks are the numbers of the substacks in which the line is, the outermost
	// first: what ends a substack ends no more than that.
	Substacks []int
	// Positions are its places, from 0, among the lines of the stack, and of each of these
	// substacks: what a jump counts. A substack is one line of what it stands in.
	Positions []int
	// Args are without the brackets that may hold one together: "[a b]" is "a b".
	Args []string
}

// String returns the line as a file of a service has it, with the type session.
func (l Line) String() string {
	kind := "session"
	if l.Optional {
		kind = "-session"
	}
	words := []string{kind, l.Control, l.Module}
	for _, arg := range l.Args {
		words = append(words, token{arg, arg == "" || strings.ContainsAny(arg, blanks+"[]#\\")}.String())
	}
	return strings.Join(words, " ")
}

// Is tells whether the line runs the module, say "pam_systemd.so", wherever
// that lies.
func (l Line) Is(module string) bool { return path.Base(l.Module) == module }

const (
	// maxDepth is PAM's own bound on files that include each other
	// (PAM_SUBSTACK_MAX_LEVEL). PAM 1.5 counted only substacks, and included
	// until it crashed.
	maxDepth = 16
	// maxFiles and maxLines bound a stack whose files include each other many
	// times over.
	maxFiles = 256
	maxLines = 10000
)

// Dirs are the directories of one file per service, in PAM's order: a file of the
// administrator's takes the place of the vendor's of that name (pam.d(5)). The last two
// are where PAM looks if it was built so (--enable-vendordir), as openSUSE's is.
var Dirs = [...]string{"/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d", "/usr/share/pam.d"}

// Session is Stack for lines of the type session.
func Session(m machine.Machine, service string) ([]Line, error) { return Stack(m, service, "session") }

// types are those that a line can have (pam.d(5)).
var types = []string{"auth", "account", "password", "session"}

// Stack returns the lines of a service that have this type, such as session, in the
// order in which PAM runs them: those of /etc/pam.d/SERVICE or /usr/lib/pam.d/SERVICE, of /etc/pam.conf
// where there is neither directory, and of the service "other" if the service
// has none. The files that @include (Debian's), include and substack name are
// read in place.
//
// Beside an error are the lines that come before what is wrong. Errors are
// *fs.PathError (with fs.ErrInvalid for a service that cannot be a
// file name) and *confparse.ParseError, also for an included file that cannot
// be read.
func Stack(m machine.Machine, service, kind string) ([]Line, error) {
	service = lower(service) // as pam_start does
	if service == "" || service == "." || service == ".." || strings.ContainsAny(service, "/\x00") {
		return nil, &fs.PathError{Op: "open", Path: service, Err: fs.ErrInvalid}
	}
	lines, err := ownStack(m, service, kind)
	if len(lines) > 0 || service == "other" || err != nil && !missing(err) {
		return lines, err
	}
	others, otherErr := ownStack(m, "other", kind)
	if missing(otherErr) {
		return nil, err
	}
	return others, otherErr
}

// Exists tells whether the service has a file of its own.
func Exists(m machine.Machine, service string) bool {
	return slices.ContainsFunc(Dirs[:], func(dir string) bool { return m.Exists(dir + "/" + service) })
}

// missing tells whether err is about a service that has no file, not about one
// that was included.
func missing(err error) bool {
	var parse *confparse.ParseError
	return errors.Is(err, fs.ErrNotExist) && !errors.As(err, &parse)
}

// ownStack is Stack without the "other".
func ownStack(m machine.Machine, service, kind string) ([]Line, error) {
	s := stack{machine: m, kind: kind}
	name := service
	if hasDirectory(m) {
		service = ""
	} else {
		name = "/etc/pam.conf"
	}
	file, data, err := s.open(name)
	if err != nil {
		return nil, err
	}
	err = s.parse(file, data, service, level{counters: []*int{new(int)}})
	return s.lines, err
}

// hasDirectory tells whether PAM looks at files per service at all.
func hasDirectory(m machine.Machine) bool {
	for _, dir := range Dirs {
		if m.Exists(dir + "/.") { // only a directory has one
			return true
		}
	}
	return false
}

// stack is a stack that is being read.
type stack struct {
	machine machine.Machine
	kind    string // the type of its lines
	lines   []Line
	files   int // read so far
	seen    int // lines read so far, of any type
}

// open reads the file of that name: a path, or what PAM's directories have.
func (s *stack) open(name string) (file string, data []byte, err error) {
	if strings.HasPrefix(name, "/") {
		file = path.Clean(name)
		data, err = s.machine.ReadFile(file)
		return file, data, err
	}
	for _, dir := range Dirs {
		candidate := path.Clean(dir + "/" + name)
		data, failed := s.machine.ReadFile(candidate)
		if failed == nil || !errors.Is(failed, fs.ErrNotExist) {
			return candidate, data, failed
		}
		if err == nil {
			err = failed
		}
	}
	return "", nil, err
}

// level is how a file came to be read.
type level struct {
	depth int
	// isTyped tells that a line of the stack's type includes it: then every line of
	// it is of that type if of any.
	isTyped bool
	// substacks are the numbers of those in which it is.
	substacks []int
	// counters have how many lines there were, of the stack and each substack; included
	// files count as where they are included.
	counters []*int
}

// next returns the positions of the next line.
func (l level) next() (positions []int) {
	last := len(l.counters) - 1
	for i, counter := range l.counters {
		if i == last {
			*counter++
		}
		positions = append(positions, *counter-1)
	}
	return positions
}

// parse adds the lines of a file. If service is not empty, every line
// starts with the service that it is for, and others are ignored. Errors
// are *confparse.ParseError.
func (s *stack) parse(file string, data []byte, service string, at level) error {
	lines, unfinished := assemble(string(data))
	for i, l := range lines {
		failed := &confparse.ParseError{File: file, Line: l.number, Text: l.text}
		if s.seen++; s.seen > maxLines {
			failed.Reason = "too many lines in one stack"
			return failed
		}
		if unfinished && i == len(lines)-1 {
			failed.Reason = "backslash at the end of the file"
			return failed
		}
		words := tokenize(l.text)
		if service != "" {
			if lower(words[0].text) != service {
				continue
			}
			words = words[1:]
		}
		reason, err := s.add(Line{File: file, Number: l.number, Substacks: at.substacks}, words, at)
		var included *confparse.ParseError
		if errors.As(err, &included) {
			return err
		}
		if reason != "" {
			failed.Reason, failed.Err = reason, err
			return failed
		}
	}
	return nil
}

// add takes one line. It returns what is wrong with it, with the cause if there
// is one, or alone the *confparse.ParseError of a file that it includes.
func (s *stack) add(l Line, words []token, at level) (reason string, err error) {
	if len(words) == 0 {
		return "no module type", nil
	}
	kind, optional := strings.CutPrefix(lower(words[0].text), "-")
	l.Optional = optional
	words = words[1:]
	switch {
	case kind == "@include":
		return s.include(words, at)
	case kind == s.kind:
	case slices.Contains(types, kind):
		return "", nil // and what they include is of the same type
	default:
		if !at.isTyped {
			return "", nil // PAM logs it, and takes it for a line of auth that fails
		}
		return "illegal module type", nil
	}
	if len(words) == 0 {
		return "no control", nil
	}
	if control := lower(words[0].text); control == "include" || control == "substack" {
		at.isTyped = true
		if control == "substack" {
			at.next()
			at.counters = append(slices.Clone(at.counters), new(int))
			at.substacks = append(slices.Clone(at.substacks), s.files)
		}
		return s.include(words[1:], at)
	}
	if len(words) == 1 {
		return "no module", nil
	}
	l.Control, l.Module = words[0].String(), words[1].text
	for _, arg := range words[2:] {
		l.Args = append(l.Args, arg.text)
	}
	l.Positions = at.next()
	s.lines = append(s.lines, l)
	return "", nil
}

func (s *stack) include(words []token, at level) (reason string, err error) {
	switch s.files++; {
	case len(words) == 0:
		return "no file to include", nil
	case at.depth+1 >= maxDepth:
		return "files that include each other too deep", nil
	case s.files > maxFiles:
		return "too many files in one stack", nil
	}
	file, data, err := s.open(words[0].text)
	if err != nil {
		return "file cannot be included", err
	}
	at.depth++
	return "", s.parse(file, data, "", at)
}
