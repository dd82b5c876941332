package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Names of cgroups and files, lines of configurations and the errors about them are
// users'. What is here is all that writes to standard output and standard error,
// and the one place where such texts are made harmless: printf and what calls it
// for people, printJSON for programs.

// markup is text that is printed as it stands: the program's own, or escaped
// already.
type markup string

// escape makes any text markup.
func escape(text string) markup { return markup(visible(text)) }

// printf is fmt.Fprintf, but that it escapes what the arguments say, unless they
// are markup. The format is the program's own.
func printf(w io.Writer, format string, args ...any) error {
	for i, arg := range args {
		switch arg.(type) {
		case markup, int, int64:
		default:
			args[i] = visible(fmt.Sprint(arg))
		}
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// complain says a line about trouble.
func complain(w io.Writer, format string, args ...any) {
	_ = printf(w, "cgdeleg: "+format+"\n", args...)
}

// visible escapes what could move the cursor, set a colour or begin a new line.
// What is escaped already stays as it is.
func visible(text string) string {
	if !strings.ContainsFunc(text, isHidden) {
		return text
	}
	var out strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case isHidden(r):
			quoted := strconv.QuoteRune(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		default:
			out.WriteString(text[:size])
		}
		text = text[size:]
	}
	return out.String()
}

// isHidden tells whether a character is not shown as what it is. utf8.RuneError
// stands for what is no character.
func isHidden(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// printable quotes a name that could not be told from the words around it.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || strings.Contains(name, " ") {
		return quoted
	}
	return name
}

// printJSON writes one JSON value for programs to read.
func printJSON(w io.Writer, value any) error { return encodeJSON(w, value, "  ") }

// printJSONLine writes one JSON value on a line.
func printJSONLine(w io.Writer, value any) error { return encodeJSON(w, value, "") }

func encodeJSON(w io.Writer, value any, indent string) error {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, visibleJSON(out.String()))
	return err
}

// visibleJSON escapes what is not shown as what it is in a JSON text. The encoder
// leaves of that only what stands in strings, and the ends of its lines.
func visibleJSON(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return isHidden(r) && r != '\n' }) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == utf8.RuneError || !isHidden(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r) // RFC 8259, section 7
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
