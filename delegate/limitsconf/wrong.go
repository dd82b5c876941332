package limitsconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// WordError says why a word cannot stand where it stands.
type WordError struct {
	Reason string
	Want   string // what to do about it, in the imperative
}

func (e *WordError) Error() string { return e.Reason + "; " + e.Want }

func wrong(want, format string, args ...any) *WordError {
	return &WordError{Reason: fmt.Sprintf(format, args...), Want: want}
}

// failBy is fail with what there is to do about it.
func (w word) failBy(err *WordError) *SyntaxError {
	return &SyntaxError{Line: w.place.Line, Column: w.place.Column, Reason: err.Error(), Err: err}
}

// Show returns a word in quotes as it stands in a file, so that it can be found there: only
// what cannot be printed is escaped. Of a long one the end is left out.
func Show(word string) string {
	const most, mostEscaped = 100, 24
	isPlain := utf8.ValidString(word) && !strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) })
	bound, show := mostEscaped, strconv.Quote
	if isPlain {
		bound, show = most, func(s string) string { return `"` + s + `"` }
	}
	if len(word) <= bound {
		return show(word)
	}
	for bound > 0 && isPlain && !utf8.RuneStart(word[bound]) {
		bound--
	}
	return show(word[:bound]) + "..."
}

const wantUsers = "write names, @GROUP, uid<N or *, with commas and without blanks"

// wrongUser says what is wrong with a word of a list of users.
func (p *parser) wrongUser(text string) *WordError {
	switch {
	case p.isBrief:
		return &WordError{}
	case text == "":
		return wrong(wantUsers, "an empty word in the list of users")
	case strings.HasPrefix(text, ";") || strings.HasPrefix(text, "//"):
		return wrongComment(text)
	case text[0] == '%':
		return wrong("write @"+text[1:], "%s: a group is written @NAME", Show(text))
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		return wrong("remove the line: these files have no sections", "%s is no user's name", Show(text))
	case isLimitWord(text):
		return wrong("end the line before with a backslash, and nothing after it; or write before the limit for whom it is, and user or session",
			"%s is a limit, where a line says for whom it is", Show(text))
	}
	want := wantUsers
	if meant := meantUsers(text); meant != "" {
		want = "write " + meant
	}
	return wrong(want, "%s is no user's name", Show(text))
}

func wrongComment(text string) *WordError {
	return wrong("begin the comment with #", "%s is no comment: comments begin with #", Show(text))
}

// isLimitWord tells whether a word is NAME=VALUE with the name of a limit.
func isLimitWord(text string) bool {
	name, _, isPair := strings.Cut(text, "=")
	return isPair && slices.Contains(limits.Spellings(), name)
}

// meantUsers returns the word that may be meant by one that other files or programs have for
// users; "" if none is known.
func meantUsers(text string) string {
	lower := strings.ToLower(text)
	for _, prefix := range []string{"gid=", "gid:", "group=", "group:"} {
		if name, ok := strings.CutPrefix(lower, prefix); ok && name != "" {
			return "@" + text[len(prefix):]
		}
	}
	switch first, last, isPair := strings.Cut(text, ":"); {
	case isPair && isNumber(first) && isNumber(last): // of pam_limits
		return "uid=" + first + "-" + last
	case isPair && isNumber(first) && last == "":
		return "uid>=" + first
	case isPair && first == "" && isNumber(last):
		return "uid<=" + last
	}
	switch number, found := strings.CutPrefix(lower, "uid:"); {
	case found && isNumber(number):
		return "uid=" + number
	case strings.HasPrefix(lower, "uid!=") && isNumber(lower[5:]):
		return "!uid=" + lower[5:]
	case strings.HasPrefix(lower, "uid=="):
		return "uid=" + lower[5:]
	case strings.HasPrefix(lower, "uid") && !strings.HasPrefix(text, "uid") && len(text) > 3 && strings.IndexByte("<>=", text[3]) >= 0:
		return lower
	case strings.HasSuffix(text, "*") && text != "*":
		return "each name, or a group: there are no patterns"
	}
	return ""
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// wrongEnd says that blanks after a backslash keep a line from being continued; nil if the
// last word of the line is no backslash.
func wrongEnd(words []word) *SyntaxError {
	last := words[len(words)-1]
	if !strings.HasSuffix(last.raw, `\`) || strings.HasSuffix(last.raw, `\\`) {
		return nil
	}
	last.place.Column += len(last.raw) - 1
	return last.failBy(wrong("remove what is after the backslash: it has to be the last character of the line", "blanks after the backslash: the line is not continued"))
}

// wrongLine says what is wrong with a line of fewer words than it has to have.
func wrongLine(words []word) *SyntaxError {
	last := words[len(words)-1]
	scope := User.String()
	if len(words) > 1 {
		scope = words[1].text
		if err := wrongScope(words); err != nil {
			return err
		}
	}
	return last.failBy(wrong(fmt.Sprintf("write %s %s, and limits or -, such as: %s %s memory.max=2G", words[0].raw, scope, words[0].raw, scope),
		"the line is cut off: after whom it is for come user or session, and limits or -"))
}

// wrongScope says what is wrong with a line's second word; nil if it is user or session.
func wrongScope(words []word) *SyntaxError {
	w, who := words[1], words[0].text
	text := strings.ToLower(w.text)
	fail := func(want string) *SyntaxError {
		return w.failBy(wrong(want, "%s is neither user nor session", Show(w.text)))
	}
	switch {
	case isScope(w.text):
		return nil
	case who == ";" || who == "//":
		return words[0].failBy(wrongComment(who))
	case strings.HasPrefix(who, "uid") && strings.ContainsAny(who+w.text[:1], "<>="), strings.HasSuffix(who, ","), strings.HasPrefix(w.text, ","), w.text == "," || w.text == "!":
		return words[0].failBy(wrong("write no blanks in "+joined(words), "%s: whom a line is for is one word, without blanks", Show(who+" "+w.text)))
	case text == "user" || text == "users" || text == "user:" || text == "slice":
		return fail("write user")
	case text == "session" || text == "sessions" || text == "session:" || text == "scope" || text == "login":
		return fail("write session")
	case text == "both" || text == "all" || text == "user,session" || text == "session,user" || text == "*":
		return fail("write two lines, one for user and one for session")
	case text == "hard" || text == "soft" || w.text == "-":
		return fail("write user, and the limits by the names that cgdeleg-limits.conf(5) lists; lines of pam_limits belong into /etc/security/limits.conf")
	case isLimitWord(w.text):
		return fail("write user or session before the limits: " + words[0].raw + " user " + w.raw)
	}
	return fail("write user, for all sessions of a user together, or session, for each")
}

func isScope(text string) bool { return text == User.String() || text == Session.String() }

// joined are the words of a list of users that has blanks, without them.
func joined(words []word) string {
	text := ""
	for _, w := range words {
		if isScope(w.text) {
			break
		}
		text += w.raw
	}
	return text
}

// isBlankWithin tells whether a list of users has blanks in it: what is said of its first
// word alone would not help.
func isBlankWithin(words []word) bool {
	who := words[0].text
	return who == ";" || who == "//" || strings.HasSuffix(who, ",") || strings.HasPrefix(who, "uid") && strings.Trim(who[3:], "<>=") == ""
}
