// Package catalogue has the lines that the module writes to the system log: what each
// means, and what to do. The section LOG MESSAGES of pam_cgdeleg(8) is made of it.
//
// It is data and knows nothing of how a line comes about. Its tests hold it against the
// sources: a line in the code that is not here, or one here that is not in the code, makes
// them fail. The module does not import it.
package catalogue

import (
	"regexp"
	"slices"
	"strings"
)

// The levels of lines, as the module's worker names them.
const (
	Error   = "error"
	Warning = "warning"
	Debug   = "debug" // written only with the option debug
)

// Entry is a line of the log, or several that differ in what stands for one thing.
type Entry struct {
	// Levels at which the line is written; the first is the most frequent.
	Levels []string
	// Text is the line, without the user in front. What varies is in angle brackets.
	Text string
	// Meaning says what has happened.
	Meaning string
	// Action says what to do; "" if there is nothing.
	Action string
	// Sources are the words in the code of which the line is made: formats of fmt and of
	// pam_syslog(3), and texts of errors.
	Sources []string
}

// Consequence is what ends a line about a worker, and what that means.
type Consequence struct{ Text, Meaning string }

// Consequences returns those that the module names.
func Consequences() []Consequence { return slices.Clone(consequences) }

var consequences = []Consequence{
	{"this session has no cgroups of its own", "The user is logged in, in the cgroup of the application, unless the control of the PAM line is required. Containers have no limits, or do not start."},
	{"this session has no limits of its own", "Of the PAM line with the option limits: pam_systemd was told no limits. The user's slice may have some."},
	{"this session is refused", "With limits=required: the module returns PAM_SESSION_ERR. Whether the user is kept out depends on the control of the line."},
	{"the session is left for a later cleanup", "At a logout. The user's next login or cgdeleg cleanup removes the session."},
	{"what was begun is left for a later cleanup", "At a login that failed. The next login of the user or cgdeleg cleanup removes what there is."},
}

// All returns the entries: errors, then warnings, then what is written with debug.
func All() []Entry { return slices.Clone(entries) }

// placeholder is what stands in Text for what varies.
var placeholder = regexp.MustCompile(`<[A-Z ]+>`)

// Plain returns the text with what varies as f writes it.
func (e Entry) Plain(f func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(e.Text, func(name string) string { return f(strings.Trim(name, "<>")) })
}

// matches tells whether a line, without the user in front, is the entry's.
func (e Entry) matches(line string) bool {
	var pattern strings.Builder
	rest := e.Text
	for _, at := range placeholder.FindAllString(e.Text, -1) {
		before, after, _ := strings.Cut(rest, at)
		pattern.WriteString(regexp.QuoteMeta(before) + "(.+)")
		rest = after
	}
	return regexp.MustCompile("^" + pattern.String() + regexp.QuoteMeta(rest) + "$").MatchString(line)
}

// user is what stands in front of lines about a user.
var user = regexp.MustCompile(`^user "(?:[^"\\]|\\.)*": `)

// Find returns the entry that says most of a line of the log: the one with the longest
// text of its own. It is nil if there is none.
func Find(level, line string) *Entry {
	line = user.ReplaceAllString(line, "")
	var found *Entry
	for i := range entries {
		e := &entries[i]
		if slices.Contains(e.Levels, level) && e.matches(line) && (found == nil || e.fixed() > found.fixed()) {
			found = e
		}
	}
	return found
}

// fixed returns how much of the text does not vary.
func (e Entry) fixed() int { return len(placeholder.ReplaceAllString(e.Text, "")) }
