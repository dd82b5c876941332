package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// schemaVersion is that of all JSON output (docs/json.md). It goes up when a
// member goes away or changes its meaning, not when one is added.
const schemaVersion = 2

// screen is where a command's data go, and what can be shown there.
type screen struct {
	io.Writer
	isTerminal bool
	color      bool
	utf8       bool
	width      int // of a terminal in columns; 0: it is none
	height     int // in lines
}

// colors are the values of --color.
var colors = []string{"auto", "always", "never"}

// screenOn looks at what w is. Colour has the values of --color.
func screenOn(w io.Writer, color string) (screen, error) {
	s := screen{Writer: w, utf8: isUTF8(os.Getenv)}
	if f, ok := w.(*os.File); ok {
		if s.isTerminal = isTerminal(f); s.isTerminal {
			s.width, s.height = sizeOf(f)
		}
	}
	switch color {
	case "always":
		s.color = true
	case "auto":
		// no-color.org: set to anything but nothing
		s.color = s.isTerminal && os.Getenv("NO_COLOR") == "" && !isDumb()
	case "never":
	default:
		return s, noneOf("--color", color, colors)
	}
	return s, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// isUTF8 tells whether the locale has UTF-8 (locale(7): the first of these that
// is set counts).
func isUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToUpper(getenv(name)); value != "" {
			return strings.HasSuffix(value, "UTF-8") || strings.HasSuffix(value, "UTF8")
		}
	}
	return false
}

// style is how a word is set off, beside what it says: nothing is told by
// colour alone.
type style string

// The styles, as SGR parameters of ECMA-48.
const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// styled sets a text off, with "" not at all.
func (s screen) styled(text string, how style) markup {
	if !s.color || text == "" || how == "" {
		return escape(text)
	}
	return "\x1b[" + markup(how) + "m" + escape(text) + "\x1b[0m"
}

// pick returns the first text where UTF-8 can be shown, else the second.
func (s screen) pick(utf8, ascii string) string {
	if s.utf8 {
		return utf8
	}
	return ascii
}

// errRecorded is for commands that change something.
var errRecorded = errors.New("a recorded machine (--root) can only be looked at")
