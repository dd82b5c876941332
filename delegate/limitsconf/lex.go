package limitsconf

import "strings"

// word is a word of the file, without its quotes.
type word struct {
	text  string
	raw   string // as it stands in the file
	place Place
}

// lexer takes a file's text apart. A word without quotes shares the text's memory: most
// have none, and a login reads all lines.
type lexer struct {
	text   string
	at     int // the next byte
	line   int // counted from 1
	begins int // where the line begins
}

// byteOrderMark is what some editors write before a text.
const byteOrderMark = "\ufeff"

func newLexer(text string) *lexer {
	return &lexer{text: strings.TrimPrefix(text, byteOrderMark), line: 1}
}

func (l *lexer) place() Place { return Place{Line: l.line, Column: l.at - l.begins + 1} }

func (l *lexer) isAtEnd() bool { return l.at >= len(l.text) }

// newline returns how many bytes the end of a line has here: 0 if there is none.
func (l *lexer) newline(at int) int {
	switch {
	case at < len(l.text) && l.text[at] == '\n':
		return 1
	case at+1 < len(l.text) && l.text[at] == '\r' && l.text[at+1] == '\n':
		return 2
	}
	return 0
}

// next goes on to the next line, after n bytes.
func (l *lexer) next(n int) {
	l.at += n
	l.line++
	l.begins = l.at
}

// skipContinuation goes on to the next line if a backslash stands at the end of this one.
func (l *lexer) skipContinuation() bool {
	if l.text[l.at] != '\\' {
		return false
	}
	n := l.newline(l.at + 1)
	switch {
	case n > 0:
		l.next(1 + n)
	case l.at+1 == len(l.text):
		l.at++
	default:
		return false
	}
	return true
}

// skipLine goes on after the end of the line.
func (l *lexer) skipLine() {
	if n := strings.IndexByte(l.text[l.at:], '\n'); n >= 0 {
		l.next(n + 1)
	} else {
		l.at = len(l.text)
	}
}

// words returns the words of the next line, and of those that continue it, in the given
// slice. The error has no file.
func (l *lexer) words(words []word) ([]word, *SyntaxError) {
	for !l.isAtEnd() {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t':
			l.at++
		case l.newline(l.at) > 0:
			l.next(l.newline(l.at))
			return words, nil
		case c == '#':
			l.skipLine()
			return words, nil
		case l.skipContinuation():
		default:
			w, err := l.word()
			if err != nil {
				return nil, err
			}
			words = append(words, w)
		}
	}
	return words, nil
}

// skipOrdinary goes on to the next byte that may mean something within a word.
func (l *lexer) skipOrdinary() {
	for at := l.at; ; at++ {
		if at < len(l.text) {
			switch l.text[at] {
			default:
				continue
			case ' ', '\t', '\r', '\n', '"', '\\':
			}
		}
		l.at = at
		return
	}
}

// word returns the word that begins here.
func (l *lexer) word() (w word, err *SyntaxError) {
	w.place = l.place()
	begin, from := l.at, l.at
	var joined []byte // what is before from, if it is not the text as it stands
	var quote *Place  // the open one
	isPlain := true
	for l.skipOrdinary(); !l.isAtEnd(); l.skipOrdinary() {
		c := l.text[l.at]
		if quote == nil && (c == ' ' || c == '\t') || l.newline(l.at) > 0 {
			break
		}
		if c != '"' && c != '\\' {
			l.at++
			continue
		}
		upTo := l.at
		switch {
		case c == '\\' && l.skipContinuation():
		case c == '\\':
			l.at++
			continue
		case quote == nil:
			here := l.place()
			quote = &here
			l.at++
		default:
			quote = nil
			l.at++
		}
		joined, from, isPlain = append(joined, l.text[from:upTo]...), l.at, false
	}
	if quote != nil {
		l.skipLine()
		return w, &SyntaxError{Line: quote.Line, Column: quote.Column, Reason: "the quote is not closed on this line"}
	}
	w.text = l.text[from:l.at]
	if !isPlain {
		w.text = string(append(joined, w.text...))
	}
	w.raw = l.text[begin:l.at]
	return w, nil
}

// Quote returns the word as it has to stand in the file: with quotes around it, or around
// what follows its equals sign, if it has blanks. A word with quotes in it cannot be written.
func Quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t") && word[0] != '#' && !strings.HasSuffix(word, `\`) {
		return word
	}
	name, value, isPair := strings.Cut(word, "=")
	if isPair && name != "" && Quote(name) == name {
		return name + `="` + value + `"`
	}
	return `"` + word + `"`
}
