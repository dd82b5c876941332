// Package limitsconf reads the files in which an administrator says which users get which
// limits (cgdeleg-limits.conf(5)), and finds the lines that concern one user.
//
// It must not know what a limit does, nor how it is set (package limits), nor how a
// user's groups are found: who asks it brings that along.
package limitsconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Where the files are. Those of the directory, whose names end in .conf, come after the
// first one, sorted by name.
const (
	dir       = "/etc/cgdeleg"
	File      = dir + "/limits.conf"
	Directory = dir + "/limits.d"
)

// Scope is to what a line's limits belong.
type Scope int

// The scopes.
const (
	User    Scope = iota // all sessions of the user together: user/NAME
	Session              // each session: user/NAME/N
)

// String returns the word that the file has for the scope.
func (s Scope) String() string {
	if s == Session {
		return "session"
	}
	return "user"
}

// Place is where something stands in a file.
type Place struct {
	Line   int // counted from 1
	Column int // counted from 1, in bytes
}

// Rule is a line, or several if they are continued.
type Rule struct {
	File    string
	Line    int // where it begins, counted from 1
	Column  int // of Who, counted from 1 in bytes
	Who     Who
	WhoText string // as it stands in the file
	Scope   Scope
	// Limits are none if the line says "-". Each is given once: of io.max and io.weight,
	// once for a device, and an io.max has all that the line says of its device.
	Limits []limits.Limit
	Places []Place // of the Limits
}

// SyntaxError says why a line is ignored. Err is a *limits.ValueError or *limits.NameError
// if that is it.
type SyntaxError struct {
	File         string
	Line, Column int // counted from 1, the column in bytes
	Reason       string
	Err          error
	// Ignored is how many lines are ignored in all, in the last error that ReadFor returns
	// where it does not return all; else 0.
	Ignored int
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// Config is what the files say.
type Config struct {
	Rules []Rule // in order
	// Errors are *SyntaxError, for each line that is ignored, and *fs.PathError for each
	// file that is.
	Errors []error
	Files  []string // that were read, in order

	isWanted func(*Rule) bool // nil: all are
	mistakes int              // lines that are ignored
	// unsaid is the first of the mistakes that Errors has not: see MostSaid.
	unsaid *SyntaxError
	size   int // bytes that were read
}

const (
	// MostSaid bounds the errors about lines that a login hears of, and for which it
	// looks for what may be meant: the log takes about as many, and a file of 4 MiB can
	// have 200,000, for which the words alone take seconds.
	MostSaid = 15
	// mostBytes bounds all files together, as package machine bounds each.
	mostBytes = 4 << 20
)

// ErrTooMuch is why a file and those after it are ignored.
var ErrTooMuch = fmt.Errorf("the files of limits up to this one have more than %d MiB, and those after it are not read", mostBytes>>20)

// Why a file is ignored, beside the errors of machine.ReadFile: whoever can write it would
// give the limits.
var (
	ErrNotRoots = errors.New("its owner is not root")
	ErrWritable = errors.New("others than root can write it")
)

// Exists tells whether there are files, whatever is in them. What cannot be looked at may be
// there.
func Exists(m machine.Machine) bool {
	return m.Find(File) != machine.Absent || m.Find(Directory) != machine.Absent
}

// Read reads the files of the machine. Without any it returns an empty Config. On the
// running machine, files and directories are read only if root alone can write them.
func Read(m machine.Machine) *Config {
	c := &Config{}
	c.readBelow(m, dir)
	return c
}

// ReadFor reads the files for one user: what Read(m).For(s) returns, and the errors. It is
// what a login asks. Of 5,000 lines it keeps two, which is less than half the work of
// keeping all. Of more than a few lines with mistakes, the errors are about the first ones,
// and a last *SyntaxError says how many there are.
func ReadFor(m machine.Machine, s Subject) (l Limits, errs []error) { return readFor(m, dir, s) }

func readFor(m machine.Machine, dir string, s Subject) (Limits, []error) {
	asking := &subject{Subject: s}
	var isFound [2]bool
	c := &Config{isWanted: func(r *Rule) bool {
		if isFound[r.Scope] || !r.Who.matches(asking) {
			return false
		}
		isFound[r.Scope] = true
		return true
	}}
	c.readBelow(m, dir)
	c.sayRest()
	return c.forSubject(asking), c.Errors
}

// fail keeps why a line is ignored, or only counts it.
func (c *Config) fail(err *SyntaxError) {
	c.mistakes++
	switch {
	case !c.isBrief():
		c.Errors = append(c.Errors, err)
	case c.unsaid == nil:
		c.unsaid = err
	}
}

// isBrief tells whether a login has heard of enough mistakes.
func (c *Config) isBrief() bool { return c.isWanted != nil && c.mistakes > MostSaid }

// sayRest says how many mistakes a login has not heard of.
func (c *Config) sayRest() {
	if err := c.unsaid; err != nil {
		err.Reason, err.Err = fmt.Sprintf("a mistake in this line too, and in %d lines in all (cgdeleg limits check)", c.mistakes), nil
		err.Ignored = c.mistakes
		c.Errors = append(c.Errors, err)
	}
}

func (c *Config) readBelow(m machine.Machine, dir string) {
	if !c.isTrusted(m, dir) {
		return
	}
	c.readFile(m, path.Join(dir, path.Base(File)))
	more := path.Join(dir, path.Base(Directory))
	if !c.isTrusted(m, more) {
		return
	}
	names, err := m.ReadDir(more)
	c.note(err)
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") && c.size <= mostBytes {
			c.readFile(m, path.Join(more, name))
		}
	}
}

// note keeps an error, but for that of a file that is absent.
func (c *Config) note(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Errors = append(c.Errors, err)
	}
}

// isTrusted tells whether a directory is there and root's alone. Of a recorded machine
// nobody need trust it.
func (c *Config) isTrusted(m machine.Machine, dir string) bool {
	if m.IsRecorded() {
		return true
	}
	fd, err := m.Open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		defer unix.Close(fd)
		err = inPath(dir, isRoots(fd))
	}
	c.note(err)
	return err == nil
}

// isRoots returns why a file or directory is not root's alone; nil if it is.
func isRoots(fd int) error {
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return err
	case st.Uid != 0:
		return ErrNotRoots
	case st.Mode&0o022 != 0:
		return ErrWritable
	}
	return nil
}

func (c *Config) readFile(m machine.Machine, name string) {
	data, err := read(m, name)
	if c.size += len(data); err == nil && c.size > mostBytes {
		err = inPath(name, ErrTooMuch)
	}
	if c.note(err); err != nil {
		return
	}
	c.Files = append(c.Files, name)
	c.parse(name, string(data))
}

// read returns the content of a file that is root's alone.
func read(m machine.Machine, name string) (data []byte, err error) {
	if m.IsRecorded() {
		return m.ReadFile(name)
	}
	defer func() { m.NoteFile(name, machine.Content, err) }()
	fd, err := m.Open(name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := isRoots(fd); err != nil {
		return nil, inPath(name, err)
	}
	data, err = machine.ReadAll(fd)
	return data, inPath(name, err)
}

// inPath makes a *fs.PathError of an error; nil stays nil.
func inPath(name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "read", Path: name, Err: err}
}

// Parse understands a file's text. Name is what Rules and Errors have as their File.
func Parse(name, text string) *Config {
	c := &Config{}
	c.parse(name, text)
	return c
}

func (c *Config) parse(name, text string) {
	if c.isWanted == nil {
		c.Rules = slices.Grow(c.Rules, strings.Count(text, "\n")+1)
	}
	l := newLexer(text)
	var words []word
	var p parser
	var r Rule
	for !l.isAtEnd() {
		var err *SyntaxError
		before := p
		words, err = l.words(words[:0])
		if err == nil && len(words) > 0 {
			r = Rule{File: name}
			p.isBrief = c.isBrief()
			err = p.parse(&r, words)
			switch {
			case err == nil && (c.isWanted == nil || c.isWanted(&r)):
				c.Rules = append(c.Rules, r)
			case len(before.limits) >= len(p.limits) && len(before.words) >= len(p.words):
				p = before // its memory is for the next one
			}
		}
		if err != nil {
			err.File = name
			c.fail(err)
		}
	}
}

// parser has what is left of the memory that rules share: thousands of small pieces would
// take most of the time that a login needs for a large file.
type parser struct {
	words  []Word
	limits []limits.Limit
	places []Place
	// isBrief tells that nobody hears why a line is ignored.
	isBrief bool
	names   []string // by which a limit can be written; nil: not asked for yet
}

// isName tells whether a limit can be written so.
func (p *parser) isName(name string) bool {
	if p.names == nil {
		p.names = limits.Spellings()
	}
	return slices.Contains(p.names, name)
}

// take returns an empty slice for n values out of what is left of a larger one.
func take[T any](left *[]T, n int) []T {
	const some = 256
	if n > len(*left) {
		*left = make([]T, max(n, some))
	}
	taken := (*left)[:0:n]
	*left = (*left)[n:]
	return taken
}

// parse understands a line. The error has no file.
func (p *parser) parse(r *Rule, words []word) *SyntaxError {
	who := words[0]
	r.Line, r.Column, r.WhoText = who.place.Line, who.place.Column, who.raw
	if !p.isBrief {
		if err := wrongEnd(words); err != nil {
			return err
		}
	}
	var wrong *WordError
	if r.Who, wrong = p.parseWho(who.text); wrong != nil {
		if len(words) > 1 && !p.isBrief && who.text != "" {
			if err := wrongScope(words); err != nil && isBlankWithin(words) {
				return err
			}
		}
		return who.failBy(wrong)
	}
	switch {
	case p.isBrief && (len(words) < 3 || !isScope(words[1].text)):
		return words[min(1, len(words)-1)].fail("") // as below
	case len(words) < 3:
		return wrongLine(words)
	case !isScope(words[1].text):
		return wrongScope(words)
	}
	if words[1].text == Session.String() {
		r.Scope = Session
	}
	if words[2].text == "-" {
		if len(words) > 3 {
			return words[3].fail("a limit after -, which means that there are none")
		}
		return nil
	}
	r.Limits, r.Places = take(&p.limits, len(words)-2), take(&p.places, len(words)-2)
	for _, w := range words[2:] {
		if name, _, _ := strings.Cut(w.text, "="); p.isBrief && !p.isName(name) {
			return w.fail("") // package limits would look for the name that is meant
		}
		if err := r.add(w); err != nil {
			return err
		}
	}
	return nil
}

func (w word) fail(reason string) *SyntaxError {
	return &SyntaxError{Line: w.place.Line, Column: w.place.Column, Reason: reason}
}

// add adds the limit that a word gives.
func (r *Rule) add(w word) *SyntaxError {
	if w.text == "-" {
		return w.fail("- after a limit; it means that there are none")
	}
	l, err := limits.Parse(w.text)
	if err == nil {
		err = tooLittle(l, w.text)
	}
	if err != nil {
		e := w.fail(err.Error())
		e.Err = err
		return e
	}
	at := slices.IndexFunc(r.Limits, func(o limits.Limit) bool { return o.Name == l.Name && o.Value.Device == l.Value.Device })
	if at < 0 {
		r.Limits, r.Places = append(r.Limits, l), append(r.Places, w.place)
		return nil
	}
	same := &r.Limits[at].Value
	for _, rate := range l.Value.Rates {
		if slices.ContainsFunc(same.Rates, func(o limits.Rate) bool { return o.Key == rate.Key }) {
			return w.fail(fmt.Sprintf("%s of %.100s is given twice", rate.Key, l.Value.Device))
		}
		same.Rates = append(same.Rates, rate)
	}
	if l.Name != limits.IOMax {
		return w.fail(strings.TrimSuffix(fmt.Sprintf("%s %.100s", l.Name, l.Value.Device), " ") + " is given twice")
	}
	return nil
}

// What a login needs at the least. A shell that ssh starts takes some 4 MB and, with sshd's
// own process, five processes or so while its files of configuration run. In a cgroup with
// less memory the kernel makes no cgroup either.
const (
	leastMemory    = 4 << 20
	leastProcesses = 10
)

// tooLittle returns a *limits.ValueError if a limit would let nobody in, as one does whose
// unit is missing.
func tooLittle(l limits.Limit, text string) error {
	isBelow := func(least uint64) bool {
		return l.Value.Kind == limits.Number && l.Value.Number < least || l.Value.Kind == limits.Percent && l.Value.Percent == 0
	}
	switch {
	case (l.Name == limits.MemoryMax || l.Name == limits.MemoryHigh) && isBelow(leastMemory):
		return &limits.ValueError{Word: text, Reason: "no login works with less than 4M", Want: "more; a unit may be missing: 512M, 2G"}
	case l.Name == limits.PidsMax && isBelow(leastProcesses):
		return &limits.ValueError{Word: text, Reason: fmt.Sprintf("no login works with fewer than %d processes", leastProcesses), Want: "more: some hundred, for a person"}
	}
	return nil
}

// Subject is a user who logs in.
type Subject struct {
	Name string
	UID  int
	// Groups returns the names and the numbers of the user's groups, primary and
	// supplementary. It is called once at most, and only if a line is reached that it
	// takes to decide about. It may be nil if no user's groups are known.
	Groups func() (names, gids []string, err error)
}

// ErrNoGroups is why the groups of a Subject without Groups are not known.
var ErrNoGroups = errors.New("nobody can tell the user's groups")

// subject is a Subject whose groups are asked for once.
type subject struct {
	Subject
	asked *groups
}

type groups struct {
	names, gids []string
	err         error
}

func (s *subject) groups() *groups {
	switch {
	case s.asked != nil:
	case s.Groups == nil:
		s.asked = &groups{err: ErrNoGroups}
	default:
		s.asked = &groups{}
		s.asked.names, s.asked.gids, s.asked.err = s.Groups()
	}
	if s.asked.err != nil {
		return &groups{} // of which half would be as bad as none
	}
	return s.asked
}

// Limits are the lines that concern a user.
type Limits struct {
	User, Session *Rule // nil: no line does
	// Unknown is why the user's groups are not known, if a line asked for them: words
	// about groups then matched nobody, also after a !.
	Unknown error
}

// For returns the first line of each scope that concerns the user.
func (c *Config) For(s Subject) Limits { return c.forSubject(&subject{Subject: s}) }

func (c *Config) forSubject(asking *subject) (l Limits) {
	for i := range c.Rules {
		r := &c.Rules[i]
		first := &l.User
		if r.Scope == Session {
			first = &l.Session
		}
		if *first == nil && r.Who.matches(asking) {
			*first = r
		}
		if l.User != nil && l.Session != nil {
			break
		}
	}
	if asking.asked != nil {
		l.Unknown = asking.asked.err
	}
	return l
}
