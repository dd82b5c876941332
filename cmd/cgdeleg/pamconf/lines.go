package pamconf

import "strings"

// numbered is a line and where it starts.
type numbered struct {
	number int
	text   string
}

// assemble joins the lines of a file that end with a backslash to the next
// one, and leaves out comments and what is empty (libpam/pam_line.c of
// Linux-PAM 1.7). A "#" starts a comment anywhere, also in brackets, and ends
// a line that is being continued. If the last line wants another, it is
// unfinished: PAM then reads no file any more.
func assemble(data string) (lines []numbered, unfinished bool) {
	var text strings.Builder
	start, n := 0, 0
	flush := func() {
		if strings.Trim(text.String(), blanks) != "" {
			lines = append(lines, numbered{start, strings.TrimRight(text.String(), blanks)})
		}
		text.Reset()
	}
	for line := range strings.Lines(data) {
		n++
		if !unfinished {
			start = n
		}
		body, _, comment := strings.Cut(line, "#")
		body = strings.Trim(body, blanks)
		body, unfinished = strings.CutSuffix(body, `\`)
		if comment && unfinished { // "\ # no": not at the end
			body, unfinished = body+`\`, false
		}
		text.WriteString(body)
		if unfinished {
			text.WriteByte(' ')
			continue
		}
		flush()
	}
	if unfinished {
		text := strings.TrimRight(text.String(), blanks) + ` \`
		lines = append(lines, numbered{start, strings.TrimLeft(text, blanks)})
	}
	return lines, unfinished
}

const blanks = " \t\n"

// token is a word of a line.
type token struct {
	text    string
	bracket bool // it stood in [brackets]
}

func (t token) String() string {
	if t.bracket {
		return "[" + strings.ReplaceAll(t.text, "]", `\]`) + "]"
	}
	return t.text
}

// tokenize splits a line into words as PAM does (_pam_tokenize): at blanks, but
// a word that starts with "[" goes on to the next "]", or to the end of the
// line. Inside, "\]" stands for "]". A line that is not blank has at least one.
func tokenize(line string) (tokens []token) {
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return tokens
		}
		if line[0] == '[' {
			var t token
			t, line = bracketed(line[1:])
			tokens = append(tokens, t)
			continue
		}
		end := strings.IndexAny(line, blanks)
		if end < 0 {
			end = len(line)
		}
		tokens = append(tokens, token{text: line[:end]})
		line = line[end:]
	}
}

// bracketed takes the rest of a bracketed word off a line.
func bracketed(line string) (t token, rest string) {
	var text strings.Builder
	i := 0
	for ; i < len(line) && line[i] != ']'; i++ {
		if strings.HasPrefix(line[i:], `\]`) {
			i++
		}
		text.WriteByte(line[i])
	}
	return token{text: text.String(), bracket: true}, line[min(i+1, len(line)):]
}

// lower is ASCII's, as PAM's strcasecmp and tolower: the Kelvin sign must not
// pass for a "k".
func lower(s string) string {
	bytes := []byte(s)
	for i, c := range bytes {
		if 'A' <= c && c <= 'Z' {
			bytes[i] = c + 'a' - 'A'
		}
	}
	return string(bytes)
}
