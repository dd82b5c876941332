package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// column is one of the list of sessions. An empty cell becomes a dash.
type column struct {
	name string
	cell func(*delegate.Session) string
	// used is the cell of a column that needs what the session uses.
	used func(*usage.Usage) string
}

// allColumns are those that -o can choose, in the order in which they are named.
var allColumns = []column{
	{name: "USER", cell: func(s *delegate.Session) string { return printable(s.User) }},
	{name: "SESSION", cell: sessionName},
	{name: "SCOPE", cell: func(s *delegate.Session) string { return printable(s.Scope) }},
	{name: "OWN", cell: func(s *delegate.Session) string { return onlyIf(s.Own, "*") }},
	{name: "STATE", cell: stateOf},
	{name: "LEADER", cell: func(s *delegate.Session) string { return onlyIf(s.Leader.PID != 0, strconv.Itoa(s.Leader.PID)) }},
	{name: "SERVICE", cell: func(s *delegate.Session) string { return printable(s.Leader.Name) }},
	{name: "AGE", cell: func(s *delegate.Session) string { return humanAge(s.Age) }},
	{name: "PROCESSES", cell: func(s *delegate.Session) string { return strconv.Itoa(s.Processes()) }},
	{name: "MEMORY", cell: func(s *delegate.Session) string { return humanBytes(s.Memory()) }},
	{name: "LIMIT", used: func(u *usage.Usage) string { return limitText(u.Memory.Max, humanBytes) }},
	{name: "PEAK", used: func(u *usage.Usage) string { return countText(u.Memory.Peak, humanBytes) }},
	{name: "OOM", used: func(u *usage.Usage) string { return countText(u.Memory.OOMKills, decimal) }},
	{name: "CONTROLLERS", cell: func(s *delegate.Session) string { return strings.Join(controllersOf(s), " ") }},
	{name: "HIERARCHIES", cell: func(s *delegate.Session) string { return strings.Join(hierarchiesOf(s), " ") }},
}

func headings(columns []column, wanted bool) (names []string) {
	if wanted {
		for _, c := range columns {
			names = append(names, c.name)
		}
	}
	return names
}

func onlyIf(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// sessionName is N, or the scope's name where there is no user/NAME/N.
func sessionName(s *delegate.Session) string {
	if s.Number >= 0 {
		return strconv.Itoa(s.Number)
	}
	return scopeName(s)
}

func scopeName(s *delegate.Session) string { return printable(delegate.ScopeName(s.Scope)) }

func stateOf(s *delegate.Session) string {
	if s.Processes() > 0 {
		return "alive"
	}
	return "dead"
}

func hierarchiesOf(s *delegate.Session) []string {
	names := []string{}
	for _, p := range s.Parts {
		names = append(names, p.Hierarchy)
	}
	return names
}

// controllersOf returns them by the names that -c has for them.
func controllersOf(s *delegate.Session) []string {
	names := []string{}
	for _, p := range s.Parts {
		some := p.Controllers
		if len(some) == 0 {
			some = []string{p.Hierarchy} // v2 freezes without any
		}
		for _, name := range some {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// humanBytes gives a number of bytes in binary units, as systemd-cgtop does;
// "" for a negative one, which is not known.
func humanBytes(bytes int64) string {
	if bytes < 0 {
		return ""
	}
	if bytes < 1024 {
		return fmt.Sprintf("%dB", bytes)
	}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < 5 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f%c", value, "BKMGTP"[unit])
}

// humanAge gives the two largest units; "" for a negative one, which is not
// known.
func humanAge(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age < 0:
		return ""
	case age < time.Minute:
		return fmt.Sprintf("%ds", age/time.Second)
	case age < time.Hour:
		return fmt.Sprintf("%dm%02ds", age/time.Minute, age%time.Minute/time.Second)
	case age < day:
		return fmt.Sprintf("%dh%02dm", age/time.Hour, age%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", age/day, age%day/time.Hour)
}

// table is columns of text with a heading. On a terminal the last column, and if need be the
// widest, is broken into lines.
type table struct {
	w    io.Writer
	rows [][]string // escaped
}

// newTable begins a table; without a heading it has none.
func newTable(w io.Writer, heading ...string) *table {
	t := &table{w: w}
	if len(heading) > 0 {
		t.row(heading...)
	}
	return t
}

// row adds a line.
func (t *table) row(cells ...string) {
	var visibles []string
	for _, cell := range cells {
		visibles = append(visibles, visible(cell))
	}
	t.rows = append(t.rows, visibles)
}

// columnGap is between two columns.
const columnGap = 2

func (t *table) flush() error {
	widths := t.widths()
	var out strings.Builder
	for _, row := range t.rows {
		var folded [][]string
		height := 1
		for i, cell := range row {
			lines := []string{cell}
			if widths[i].isNarrowed {
				lines = fold(cell, widths[i].columns)
			}
			folded, height = append(folded, lines), max(height, len(lines))
		}
		for n := range height {
			var line strings.Builder
			for i, lines := range folded {
				cell := ""
				if n < len(lines) {
					cell = lines[n]
				}
				line.WriteString(cell)
				if i < len(folded)-1 {
					line.WriteString(strings.Repeat(" ", widths[i].columns+columnGap-utf8.RuneCountInString(cell)))
				}
			}
			out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	return printf(t.w, "%s", markup(out.String()))
}

type columnWidth struct {
	columns    int
	isNarrowed bool
}

// widths are those of the columns: of the longest cells, unless that is too much for the
// terminal.
func (t *table) widths() (widths []columnWidth) {
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, columnWidth{})
			}
			widths[i].columns = max(widths[i].columns, utf8.RuneCountInString(cell))
		}
	}
	s, isScreen := t.w.(screen)
	if !isScreen || s.width == 0 || len(widths) == 0 {
		return widths
	}
	last, widest := len(widths)-1, 0
	for i := range widths {
		if widths[i].columns > widths[widest].columns {
			widest = i
		}
	}
	const narrow = 16 // narrower, a column is one of single words
	fit(widths, last, s.width, narrow)
	fit(widths, widest, s.width, narrow)
	fit(widths, last, s.width, utf8.RuneCountInString(t.rows[0][len(t.rows[0])-1]))
	return widths
}

// fit narrows a column as far as the terminal's width wants it, and not below the least.
func fit(widths []columnWidth, i, width, least int) {
	over := columnGap*(len(widths)-1) - width
	for _, w := range widths {
		over += w.columns
	}
	if most := max(widths[i].columns-over, least); over > 0 && most < widths[i].columns {
		widths[i] = columnWidth{most, true}
	}
}

// fold breaks a text into lines at its blanks, a word that is too long behind a slash, or
// where the line ends.
func fold(text string, width int) (lines []string) {
	for line := range strings.SplitSeq(wrapped(text, width), "\n") {
		for utf8.RuneCountInString(line) > width {
			runes := []rune(line)
			at := width
			if slash := strings.LastIndex(string(runes[:width]), "/"); slash > 0 {
				at = utf8.RuneCountInString(string(runes[:width])[:slash+1])
			}
			lines, line = append(lines, string(runes[:at])), string(runes[at:])
		}
		lines = append(lines, line)
	}
	return lines
}
