// Package lxcconf reads LXC's configuration files (lxc.container.conf(5),
// lxc.system.conf(5)) as LXC itself does: keys and values in their order,
// included files in place, and of those what concerns IDs and cgroups.
//
// It only reads. It must not know what a key does to a container, which LXC
// version knows it, nor whether the cgroups or IDs are to be had.
package lxcconf

import (
	"errors"
	"io/fs"
	"iter"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Item is a key with its value, unquoted, and where it stands.
type Item struct {
	Key, Value string
	File       string
	Line       int // counted from 1
	// Returned tells that a carriage return ends the line, which LXC before 4.0 takes for a
	// part of the value.
	Returned bool
}

// Config is a configuration file with all that it includes.
type Config struct {
	File string // the configuration's own
	// Items are in the order in which LXC takes them. Those of an included file
	// stand in the place of its lxc.include, which is no item itself.
	Items []Item
	// Unread are the lxc.include of which nobody knows what they name (ReadPart).
	Unread []Item
}

// Bounds on files that include each other. LXC has none: it reads on until it
// crashes.
const (
	maxDepth = 16
	maxFiles = 256
	maxItems = 10000
)

// Read reads a file and what it includes with lxc.include: a file, or
// the *.conf of a directory. LXC takes those in the directory's own order; here
// they are sorted. Errors are *fs.PathError for the file itself and
// *confparse.ParseError for a line of it or of an included file, also if that
// cannot be read.
func Read(m machine.Machine, file string) (*Config, error) {
	data, err := m.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := reader{machine: m}
	if err := r.parse(file, data, 0); err != nil {
		return nil, err
	}
	return &Config{File: file, Items: r.items}, nil
}

// ReadPart is Read for a recorded machine that may lack what the file includes: such a
// lxc.include is one of Unread.
func ReadPart(m machine.Machine, file string) (*Config, error) {
	data, err := m.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := reader{machine: m, isPart: true}
	if err := r.parse(file, data, 0); err != nil {
		return nil, err
	}
	return &Config{File: file, Items: r.items, Unread: r.unread}, nil
}

// Last returns the last item with that key, which is the one that counts for
// keys that are no lists.
func (c *Config) Last(key string) (Item, bool) {
	for i := len(c.Items) - 1; i >= 0; i-- {
		if c.Items[i].Key == key {
			return c.Items[i], true
		}
	}
	return Item{}, false
}

// reader is a configuration that is being read.
type reader struct {
	machine machine.Machine
	items   []Item
	files   int  // included so far
	isPart  bool // what was not recorded is no error
	unread  []Item
}

// parse adds the items of a file. Errors are *confparse.ParseError.
func (r *reader) parse(file string, data []byte, depth int) error {
	for n, text := range linesOf(data) {
		item, isItem, reason := parseLine(text)
		item.File, item.Line, item.Returned = file, n, strings.HasSuffix(text, "\r")
		var err error
		switch {
		case !isItem && reason == "":
			continue
		case len(r.items) >= maxItems:
			reason = "too many items"
		case isItem && item.Key == "lxc.include":
			reason, err = r.include(item.Value, depth)
			if r.isPart && errors.Is(err, machine.ErrNotRecorded) {
				r.unread = append(r.unread, item)
				continue
			}
		case isItem:
			r.items = append(r.items, item)
		}
		var included *confparse.ParseError
		if errors.As(err, &included) {
			return err
		}
		if reason != "" {
			return &confparse.ParseError{File: file, Line: n, Text: strings.TrimRight(text, "\r\n"), Reason: reason, Err: err}
		}
	}
	return nil
}

// linesOf returns the lines with their numbers, as editors count them. Since 4.0 LXC ends a line
// at a carriage return as well, as files from Windows have them (parse.c,
// lxc_file_for_each_line_mmap; github.com/lxc/lxc/issues/2838).
func linesOf(data []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(string(data)) {
			n++
			for part := range strings.SplitAfterSeq(strings.TrimSuffix(line, "\n"), "\r") {
				if !yield(n, part) {
					return
				}
			}
		}
	}
}

// parseLine parses a line as LXC does (parse_line of confile.c). Lines that do
// not start with "lxc." are no items; LXC ignores them.
func parseLine(line string) (item Item, isItem bool, reason string) {
	line = strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(line, "lxc.") {
		return item, false, ""
	}
	key, value, found := strings.Cut(line, "=")
	if !found {
		return item, false, "no equals sign"
	}
	item.Key = strings.TrimRight(key, blanks)
	item.Value = unquote(strings.TrimRight(strings.TrimLeft(value, " \t"), blanks))
	return item, true, ""
}

const blanks = " \t\r\n\x00"

// unquote takes one pair of quotes off, single or double. There is no escaping.
func unquote(s string) string {
	if len(s) > 1 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// Reasons of a *confparse.ParseError for a line lxc.include, which LXC understands.
const (
	Relative   = "relative path, which LXC looks for in the directory from which it is started"
	Unreadable = "file cannot be included"
)

// include reads what an lxc.include names. It returns what is wrong with that
// line, with the cause if there is one, or alone the *confparse.ParseError of
// an included file. An empty value includes nothing, nor does a directory that
// is missing, if a slash at the end says that it is one: userns.conf has such a
// line.
func (r *reader) include(name string, depth int) (reason string, err error) {
	isDir := strings.HasSuffix(name, "/")
	switch {
	case name == "":
		return "", nil
	case !path.IsAbs(name):
		return Relative, nil
	case depth+1 >= maxDepth:
		return "files that include each other too deep", nil
	}
	files := []string{path.Clean(name)}
	switch names, err := r.machine.ReadDir(path.Clean(name)); {
	case err == nil:
		files = configs(path.Clean(name), names)
	case isDir && errors.Is(err, fs.ErrNotExist):
		return "", nil
	case isDir || !errors.Is(err, unix.ENOTDIR):
		return Unreadable, err
	}
	for _, file := range files {
		if r.files++; r.files > maxFiles {
			return "too many files", nil
		}
		data, err := r.machine.ReadFile(file)
		if err != nil {
			return Unreadable, err
		}
		if err := r.parse(file, data, depth+1); err != nil {
			return "", err
		}
	}
	return "", nil
}

// configs are the files of a directory that LXC includes.
func configs(dir string, names []string) (files []string) {
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") && name != ".conf" {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// ContainerPath returns where a user's container has its configuration:
// LXCPATH/NAME/config. The path is what lxc.lxcpath (once lxcpath) says in
// HOME/.config/lxc/lxc.conf (lxc.system.conf(5)), or HOME/.local/share/lxc.
// Errors are *fs.PathError, for a name that is none with fs.ErrInvalid, and
// *confparse.ParseError.
func ContainerPath(m machine.Machine, home, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !path.IsAbs(home) {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	file := path.Join(home, ".config/lxc/lxc.conf")
	data, err := m.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, option := range []string{"lxc.lxcpath", "lxcpath"} {
		value, line, found := systemValue(string(data), option)
		if !found {
			continue
		}
		if !path.IsAbs(value) {
			return "", &confparse.ParseError{File: file, Line: line, Text: value, Reason: option + " that is no absolute path"}
		}
		return path.Join(value, name, "config"), nil
	}
	return path.Join(home, ".local/share/lxc", name, "config"), nil
}

// systemValue returns the value of an option in lxc.conf, where LXC takes the
// first, and the rest of the line as it is (lxc_global_config_value of
// initutils.c).
func systemValue(data, option string) (value string, line int, found bool) {
	for text := range strings.Lines(data) {
		line++
		rest, found := strings.CutPrefix(strings.TrimLeft(text, " \t"), option)
		if !found {
			continue
		}
		value, found := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "=")
		if value = strings.TrimLeft(value, " \t"); !found || value == "" {
			continue
		}
		return strings.TrimSuffix(value, "\n"), line, true
	}
	return "", 0, false
}

// CgroupUse returns the names in lxc.cgroup.use of an lxc.conf, and where that stands; ok is
// false if it does not, or the file cannot be read. LXC cuts it at commas and nowhere else,
// so that a blank is a part of a name (initialize_cgroups of cgfsng.c).
func CgroupUse(m machine.Machine, file string) (names []string, at Item, ok bool) {
	const option = "lxc.cgroup.use"
	data, err := m.ReadFile(file)
	if err != nil {
		return nil, at, false
	}
	value, line, found := systemValue(string(data), option)
	for name := range strings.SplitSeq(value, ",") {
		if name != "" {
			names = append(names, name)
		}
	}
	return names, Item{Key: option, Value: value, File: file, Line: line}, found
}
