package pasted

import (
	"regexp"
	"slices"
	"strings"
)

// splitter takes a text apart, line by line. A line that names files (a prompt with a
// command that shows them, the heading of head(1), a name with a colon) says what the lines
// after it are, as long as these can be such. All other lines are taken for what they look
// like, if they look like anything.
type splitter struct {
	paste *Paste
	// open are the files of which the lines are that come now; none: nothing said so.
	open []kind
	by   string
	// skips tells that the lines that come now are none of interest: of another command.
	skips bool
	// isPart tells that only some lines of the file are shown.
	isPart bool
	// pattern is what grep shows them by.
	pattern  string
	patterns map[string]string // of the files of subordinate IDs of which a part was shown
	// program has its version shown next.
	program string
	closed  map[string]bool            // files of which no more lines are taken
	keys    map[string]map[string]bool // of the lines of a file
	// junk is, of each file, a line that came after its last one and is none of it.
	junk map[string]string
	// host is the machine of the first prompt that names one. isAway tells that a command
	// has led to another machine, or into a container.
	host   string
	isAway bool
	// isMixed tells that subgid began where an owner of subuid came a second time.
	isMixed bool
	blank   int // lines that count only by their number
}

// maxFiles bounds how many files one text may have: there is no end of PAM's.
const maxFiles = 64

// byLines is by what a file was recognised that nothing names.
const byLines = "its lines"

func newSplitter() *splitter {
	return &splitter{paste: &Paste{}, closed: map[string]bool{}, keys: map[string]map[string]bool{}, junk: map[string]string{}, patterns: map[string]string{}}
}

// end returns what was recognised, or else the error.
func (s *splitter) end(nothing error) (*Paste, error) {
	s.label(nil, "")
	s.dropMixed()
	s.dropOthers()
	if len(s.paste.Files) == 0 {
		return nil, nothing
	}
	return s.paste, nil
}

// dropMixed drops the files of subordinate IDs where nothing but an owner who comes a second
// time said where the one ends and the other begins, and that is not sure: they do not have
// the same owners, each once.
func (s *splitter) dropMixed() {
	if !s.isMixed {
		return
	}
	owners := func(name string) (all []string) {
		for line := range s.paste.lines(name) {
			all = append(all, subIDOwner.FindString(line))
		}
		slices.Sort(all)
		return all
	}
	users, groups := owners("subuid"), owners("subgid")
	if slices.Equal(users, groups) && len(slices.Compact(slices.Clone(users))) == len(users) {
		return
	}
	s.paste.Ignored += len(users) + len(groups)
	s.paste.Files = slices.DeleteFunc(s.paste.Files, func(f *File) bool { return f.Name == "subuid" || f.Name == "subgid" })
}

// dropOthers drops a part of the files of subordinate IDs that is not what grep finds of the
// user: it does not tell how many the user has.
func (s *splitter) dropOthers() {
	users := []string{"$USER", "$LOGNAME", "$(whoami)", "`whoami`", "$(id_-un)", "${USER}"}
	if name := s.paste.User(); name != "" {
		users = append(users, name)
	}
	for name, pattern := range s.patterns {
		pattern = strings.TrimSuffix(strings.TrimPrefix(strings.Trim(pattern, `'"`), "^"), ":")
		f := s.paste.file(name)
		if f == nil || slices.Contains(users, strings.Trim(pattern, `"`)) {
			continue
		}
		s.paste.Ignored += f.Lines()
		s.paste.Files = slices.DeleteFunc(s.paste.Files, func(other *File) bool { return other == f })
	}
}

func (s *splitter) text(text string) {
	for line := range strings.Lines(text) {
		s.line(strings.TrimSuffix(line, "\n"))
	}
}

// label says of which files the next lines are. Of a file that was there already no more is
// taken.
func (s *splitter) label(files []kind, by string) {
	for _, k := range s.open {
		if s.paste.Has(k.name) {
			s.closed[k.name] = true
		}
	}
	s.open, s.by, s.skips, s.isPart, s.pattern, s.program, s.blank = files, by, false, false, "", "", 0
}

var (
	fence       = regexp.MustCompile("^\\s*(?:```|~~~)")
	tailMark    = regexp.MustCompile(`^==> (.+) <==\s*$`)
	decoration  = regexp.MustCompile("^[#*`=\\s-]+|[*`=\\s-]+$")
	pathAtEnd   = regexp.MustCompile("(?:^|[\\s*`(])((?:~|/)[^\\s*`:]*|[\\w.-]+)[*`)]*:[*`]*\\s*$")
	fileAndLine = regexp.MustCompile(`^(/etc/[^\s:]+):(.+)$`)
	elision     = regexp.MustCompile(`^\W*(?:\.\.\.|…|snip|cut|truncated)\W*$`)
	isMissing   = regexp.MustCompile(`^(?:cat|head|tail|less|more|grep): (?:cannot open )?['"‘]?(/[^'"’:]+)['"’]?:? (?:for reading: )?No such file or directory`)
)

func (s *splitter) line(line string) {
	switch {
	case fence.MatchString(line):
		if s.hasAny() {
			s.label(nil, "")
		}
	case s.prompt(line), s.heading(line), s.missing(line), s.found(line):
	case s.version(line):
	default:
		s.content(line)
	}
}

// hasAny tells whether a line of the files that come now was there.
func (s *splitter) hasAny() bool {
	return slices.ContainsFunc(s.open, func(k kind) bool { return s.paste.Has(k.name) }) || s.skips
}

// heading tells whether a line names a file whose lines follow.
func (s *splitter) heading(line string) bool {
	if m := tailMark.FindStringSubmatch(line); m != nil {
		k, isKnown := kindOfName(m[1])
		s.label(nil, "")
		if s.skips = !isKnown; isKnown {
			s.label([]kind{k}, "the line "+line)
		}
		return true
	}
	name := decoration.ReplaceAllString(line, "")
	if m := pathAtEnd.FindStringSubmatch(line); m != nil {
		if isWord := !strings.Contains(m[1], "/"); isWord && name != m[1]+":" {
			return false
		}
		name = m[1]
	} else if !strings.HasPrefix(name, "/") || strings.ContainsAny(name, " \t") {
		return false
	}
	k, isKnown := kindOfName(name)
	if !isKnown || slices.ContainsFunc(s.open, func(open kind) bool { return open.name == k.name }) {
		return false // or a comment in that very file
	}
	s.label([]kind{k}, "the line "+line)
	return true
}

// missing tells whether a line says that a file is not there.
func (s *splitter) missing(line string) bool {
	m := isMissing.FindStringSubmatch(line)
	if m == nil || s.skips {
		return false
	}
	k, isKnown := kindOfPath(m[1])
	if isKnown && !strings.HasPrefix(k.path, "/proc/self/") && k.path != "" && k.name != "config" && !s.paste.Has(k.name) {
		s.paste.absent = append(s.paste.absent, k.path)
		s.closed[k.name] = true
	}
	return true
}

// found takes a line with the name of its file before it, as grep(1) prints them of many.
func (s *splitter) found(line string) bool {
	m := fileAndLine.FindStringSubmatch(line)
	if m == nil || s.skips {
		return false
	}
	k, isKnown := kindOfPath(m[1])
	if !isKnown || k.isWholeOnly || !k.fits.MatchString(m[2]) {
		return false
	}
	s.add(k, m[2], "the names before its lines")
	return true
}

// content takes a line of a file.
func (s *splitter) content(line string) {
	if s.skips {
		s.ignore(line)
		return
	}
	line = strings.ReplaceAll(line, "\x00", "")
	if strings.TrimSpace(line) == "" {
		s.blank++
		return
	}
	if !s.labelled(line) && !s.alike(line) {
		s.ignore(line)
	}
}

// ignore leaves out a line. If more lines of the same file come it was one of it, perhaps
// broken by who pasted it.
func (s *splitter) ignore(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	s.paste.Ignored++
	s.blank++
	for i, f := range s.paste.Files {
		if _, has := s.junk[f.Name]; !has {
			s.junk[f.Name] = line
		}
		if i == len(s.paste.Files)-1 && elision.MatchString(line) {
			s.breakFile(f)
		}
	}
}

// breakFile puts the line that is none of a file's into it, where what the others say counts
// only if they are all of them: nobody who reads the file takes it for whole then.
func (s *splitter) breakFile(f *File) {
	junk, has := s.junk[f.Name]
	delete(s.junk, f.Name)
	if has && slices.Contains([]string{"mountinfo", "cgroup", "1-cgroup"}, f.Name) {
		f.Data = append(append(f.Data, junk...), '\n')
	}
}

// labelled takes a line for one of a file that was named; of several files in their order.
func (s *splitter) labelled(line string) bool {
	for i, k := range s.open {
		isOther := k.keepsBlank && slices.ContainsFunc(kinds, func(other kind) bool {
			return other.name != k.name && slices.Contains([]string{"mountinfo", "cgroup", "status"}, other.name) && other.isLike(line)
		})
		isNext := k.oneLine && s.paste.Has(k.name) || len(s.open) > 1 && s.isRepeated(k, line)
		if isOther || isNext || !k.fits.MatchString(line) {
			continue
		}
		if s.isRepeated(k, line) && k.name != "subuid" && k.name != "subgid" {
			s.closed[k.name] = true // another one begins
		}
		s.isMixed = s.isMixed || i > 0 && k.name == "subgid" && s.open[i-1].name == "subuid"
		s.open = s.open[i:]
		s.add(k, line, s.by)
		return true
	}
	return false
}

// alike takes a line for what it looks like.
func (s *splitter) alike(line string) bool {
	if s.paste.id == "" && idLine.MatchString(line) {
		s.paste.id = line
		return true
	}
	plain := strings.TrimLeft(line, " \t") // of a code block
	for _, k := range kinds {
		if !k.isLike(plain) {
			continue
		}
		if k.key != nil && s.isRepeated(k, plain) {
			s.closed[k.name] = true
			// the owner once more: the other file of the two, if nothing said which one is which
			s.isMixed = s.isMixed || k.name == "subuid" && s.paste.file(k.name).By == byLines
		}
		if k.name == "subuid" && s.closed[k.name] && s.isMixed {
			k, _ = kindCalled("subgid")
		}
		s.blank = 0
		s.add(k, plain, byLines)
		return true
	}
	return false
}

func (s *splitter) isRepeated(k kind, line string) bool {
	return k.key != nil && s.keys[k.name][k.key.FindString(line)]
}

// add adds a line to a file.
func (s *splitter) add(k kind, line, by string) {
	isPartOf := s.isPart && slices.ContainsFunc(s.open, func(open kind) bool { return open.name == k.name })
	switch {
	case s.closed[k.name], isPartOf && k.isWholeOnly:
		s.ignore(line)
		return
	case isPartOf && k.name == "mountinfo" && !strings.Contains(line, " - cgroup"):
		return // or a part without any cgroups would be taken for a whole
	}
	f := s.paste.file(k.name)
	if f == nil && len(s.paste.Files) >= maxFiles {
		s.ignore(line)
		return
	}
	if s.isPart && (k.name == "subuid" || k.name == "subgid") {
		s.patterns[k.name] = s.pattern
	}
	if f == nil {
		f = &File{Name: k.name, By: by, path: k.path}
		s.paste.Files = append(s.paste.Files, f)
	}
	s.breakFile(f)
	if k.name == "versions" {
		line = plainVersion(line)
	}
	if k.keepsBlank && len(s.open) > 0 {
		f.Data = append(f.Data, strings.Repeat("\n", s.blank)...)
	}
	s.blank = 0
	f.Data = append(append(f.Data, line...), '\n')
	if k.key != nil {
		if s.keys[k.name] == nil {
			s.keys[k.name] = map[string]bool{}
		}
		s.keys[k.name][k.key.FindString(line)] = true
	}
}
