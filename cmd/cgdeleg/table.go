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

// sessionRow is a session in the list, with what it uses if a column needs that.
type sessionRow struct {
	*delegate.Session
	used *usage.Usage
}

// sessionColumns are those that -o of status can choose, in the order in which they are
// named.
var sessionColumns = []column[sessionRow]{
	{name: "USER", isText: true, about: "whose session it is", cell: func(r sessionRow, _ form) string { return printable(r.User) }},
	{name: "SESSION", isText: true, about: "its number, or the scope's name", cell: func(r sessionRow, _ form) string { return sessionName(r.Session) }},
	{name: "SCOPE", isText: true, about: "the scope that logind or elogind made for it", cell: func(r sessionRow, _ form) string { return printable(r.Scope) }},
	{name: "OWN", about: "* for that from which cgdeleg was started", cell: func(r sessionRow, _ form) string { return onlyIf(r.Own, "*") }},
	{name: "STATE", about: "alive, or dead: without processes", cell: func(r sessionRow, _ form) string { return stateOf(r.Session) }},
	{name: "LEADER", about: "the PID of the process that was started first", cell: func(r sessionRow, _ form) string { return onlyIf(r.Leader.PID != 0, strconv.Itoa(r.Leader.PID)) }},
	{name: "SERVICE", isText: true, about: "the leader's program", cell: func(r sessionRow, _ form) string { return printable(r.Leader.Name) }},
	{name: "AGE", about: "the leader's age; raw in seconds", cell: func(r sessionRow, f form) string { return f.age(r.Age) }},
	{name: "PROCESSES", about: "how many there are, also in the cgroups below", cell: func(r sessionRow, _ form) string { return strconv.Itoa(r.Processes()) }},
	{name: "MEMORY", about: "memory in use, also in the cgroups below", cell: func(r sessionRow, f form) string { return f.bytes(r.Memory()) }},
	{name: "LIMIT", isUsage: true, about: "the memory limit that applies", cell: func(r sessionRow, f form) string { return limitText(r.used.Memory.Max, f.bytes) }},
	{name: "PEAK", isUsage: true, about: "the most memory that was in use", cell: func(r sessionRow, f form) string { return countText(r.used.Memory.Peak, f.bytes) }},
	{name: "OOM", isUsage: true, about: "processes that the kernel killed for want of memory", cell: func(r sessionRow, _ form) string { return countText(r.used.Memory.OOMKills, decimal) }},
	{name: "CONTROLLERS", isText: true, about: "what can be limited there, or a hierarchy without controllers", cell: func(r sessionRow, _ form) string { return strings.Join(controllersOf(r.Session), " ") }},
	{name: "HIERARCHIES", isText: true, about: "in which hierarchies it has a cgroup", cell: func(r sessionRow, _ form) string { return strings.Join(hierarchiesOf(r.Session), " ") }},
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
// widest, is broken into lines. In a list, where a line is a row, texts are cut instead.
type table struct {
	w      io.Writer
	rows   [][]string // escaped
	isList bool
	isText []bool // of a list: which columns may be cut
	isRaw  bool   // for programs
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
	switch {
	case t.isRaw:
		return t.flushRaw()
	case t.isList:
		return t.flushList()
	}
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

// rawBlanks are written as lsns(8) and its like write them with --raw, so that the columns of
// a line can be told by the blanks between them.
var rawBlanks = strings.NewReplacer(" ", `\x20`)

// flushRaw writes the cells of a row with one blank between them.
func (t *table) flushRaw() error {
	var out strings.Builder
	for _, row := range t.rows {
		for i, cell := range row {
			out.WriteString(onlyIf(i > 0, " ") + rawBlanks.Replace(cell))
		}
		out.WriteByte('\n')
	}
	return printf(t.w, "%s", markup(out.String()))
}

// flushList writes a line for each row. On a terminal that is too narrow texts are cut, and
// end with an ellipsis; where that is not enough, a row has more lines, so that no column is
// lost that was asked for.
func (t *table) flushList() error {
	s, _ := t.w.(screen)
	widths := t.longest()
	lines := [][]int{columnsFrom(0, len(widths))}
	if s.width > 0 && !t.cutTexts(widths, s.width) {
		lines = linesThatFit(widths, s.width)
	}
	var out strings.Builder
	for _, row := range t.rows {
		for n, columns := range lines {
			var line strings.Builder
			line.WriteString(onlyIf(n > 0, rowIndent))
			for _, i := range columns {
				cell := s.cut(row[i], widths[i].columns)
				line.WriteString(cell + strings.Repeat(" ", widths[i].columns+columnGap-utf8.RuneCountInString(cell)))
			}
			out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	return printf(t.w, "%s", markup(out.String()))
}

// rowIndent begins the further lines of a row.
const rowIndent = "    "

// columnsFrom are the numbers of columns from one on, before another.
func columnsFrom(first, end int) (columns []int) {
	for i := first; i < end; i++ {
		columns = append(columns, i)
	}
	return columns
}

// linesThatFit distributes columns among lines that are not wider than the terminal. A column
// that is wider by itself is narrowed.
func linesThatFit(widths []columnWidth, width int) (lines [][]int) {
	first, used := 0, 0
	for i := range widths {
		widths[i].columns = max(1, min(widths[i].columns, width-len(rowIndent)))
		if i > first && used+widths[i].columns > width {
			lines = append(lines, columnsFrom(first, i))
			first, used = i, len(rowIndent)
		}
		used += widths[i].columns + columnGap
	}
	return append(lines, columnsFrom(first, len(widths)))
}

// cutTexts narrows the columns of texts, always the widest, until the lines fit. If they do
// not, even if each has not much more than a word's beginning, nothing is narrowed.
func (t *table) cutTexts(widths []columnWidth, width int) (fits bool) {
	const least = 8
	narrowed := slices.Clone(widths)
	over := columnGap*(len(widths)-1) - width
	for _, w := range widths {
		over += w.columns
	}
	for ; over > 0; over-- {
		widest := -1
		for i, isText := range t.isText {
			if i < len(narrowed) && isText && narrowed[i].columns > least && (widest < 0 || narrowed[i].columns >= narrowed[widest].columns) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		narrowed[widest].columns--
	}
	copy(widths, narrowed)
	return true
}

// cut cuts a text that is too wide, and ends it with an ellipsis.
func (s screen) cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	dots := s.pick("…", "...")
	room := width - utf8.RuneCountInString(dots)
	if room < 1 {
		return string([]rune(text)[:max(width, 0)])
	}
	return string([]rune(text)[:room]) + dots
}

type columnWidth struct {
	columns    int
	isNarrowed bool
}

// longest are the widths of the columns' longest cells.
func (t *table) longest() (widths []columnWidth) {
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, columnWidth{})
			}
			widths[i].columns = max(widths[i].columns, utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// widths are those of the columns: of the longest cells, unless that is too much for the
// terminal.
func (t *table) widths() (widths []columnWidth) {
	widths = t.longest()
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
