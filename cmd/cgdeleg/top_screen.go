package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// topColumn is one of top's, of a fixed width: a column must not jump from look to look.
type topColumn struct {
	name  string
	width int
	cell  func(t *top, r topRow) string
}

var topColumns = []topColumn{
	{"TASKS", 7, func(_ *top, r topRow) string { return countText(r.usage.Processes.Now, decimal) }},
	{"%CPU", 8, (*top).cpuCell},
	{"MEMORY", 9, func(t *top, r topRow) string { return countText(r.usage.Memory.Now, t.bytes) }},
	{"LIMIT", 8, func(t *top, r topRow) string { return limitText(r.usage.Memory.Max, t.bytes) }},
	{"USED", 6, func(_ *top, r topRow) string { return form{}.percent(r.usage.Memory.Max) }},
	{"INPUT/s", 9, func(t *top, r topRow) string { return countText(r.rates.read, t.bytes) }},
	{"OUTPUT/s", 10, func(t *top, r topRow) string { return countText(r.rates.written, t.bytes) }},
	{"OOM", 4, func(_ *top, r topRow) string { return countText(r.usage.Memory.OOMKills, decimal) }},
}

// topNameWidth leaves 80 columns for all.
const topNameWidth = 19

func (t *top) bytes(n int64) string { return form{t.raw}.bytes(n) }

func (t *top) cpuCell(r topRow) string {
	if t.asTime {
		return countText(r.usage.CPU.Used, form{t.raw}.cpu)
	}
	return countText(r.rates.cpu, func(nanoseconds int64) string { return fmt.Sprintf("%.1f", float64(nanoseconds)/1e7) })
}

// draw returns the whole screen.
func (t *top) draw() (markup, error) {
	var out strings.Builder
	if t.isHelp {
		_ = printf(&out, "%s", markup(topHelp))
		return markup(out.String()), nil
	}
	if t.isLive {
		_ = printf(&out, "%s\n", t.summary())
	}
	if t.heading {
		line := fmt.Sprintf("%-*s", topNameWidth, "USER/SESSION")
		for _, c := range topColumns {
			name := c.name
			if c.name == "%CPU" && t.asTime {
				name = "CPU"
			}
			line += fmt.Sprintf("%*s", c.width, name)
		}
		_ = printf(&out, "%s\n", t.styled(line, bold))
	}
	for _, r := range t.rows() {
		line := t.padded(r.name, topNameWidth)
		for _, c := range topColumns {
			cell := dash(c.cell(t, r))
			line += " " + fmt.Sprintf("%*s", c.width-1, cell) // a blank, even if the cell is too wide
		}
		_ = printf(&out, "%s\n", t.styled(line, near(r.usage.Memory.Max)))
	}
	return markup(out.String()), nil
}

// summary is the first line of a live screen.
func (t *top) summary() markup {
	sessions := 0
	for i := range t.users {
		sessions += len(t.users[i].Sessions)
	}
	line := fmt.Sprintf("%s, %s, every %v, by %s%s; h: keys, q: end",
		plural(len(t.users), "user"), plural(sessions, "session"), *t.pause, t.key.name, onlyIf(t.isReversed, ", reversed"))
	if t.unusable > 0 {
		line += "; not all could be looked at, see cgdeleg status"
	}
	return t.styled(line, dim)
}

const topHelp = `p t c m i o  sort by user, tasks, CPU, memory, IO, OOM kills
r            reverse the order
%            CPU as a percentage, or as the time that was used in all
+ -          look less often, more often
space        look now
q            end

LIMIT is the memory limit that applies, USED how much of it is used.
Any key goes back.
`

// padded fills a name up, or cuts it.
func (s screen) padded(name string, width int) string {
	name = s.cut(name, width)
	return name + strings.Repeat(" ", width-utf8.RuneCountInString(name))
}
