package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// printUsage shows what one user uses, and each of the user's sessions.
func printUsage(out screen, u *usage.User) error {
	buffered := bufio.NewWriter(out)
	p := &usagePrinter{screen: out, w: buffered}
	p.line("%s, %s", out.styled(printable(u.Name), bold), plural(len(u.Sessions), "session"))
	p.values(&u.Usage, nil)
	for i := range u.Sessions {
		s := &u.Sessions[i]
		name := "session " + sessionName(s.Session)
		if s.Own {
			name += " (you are here)"
		}
		if s.Leader.PID != 0 {
			name += fmt.Sprintf(", %s %d", printable(s.Leader.Name), s.Leader.PID)
		} else {
			name += ", " + stateOf(s.Session)
		}
		p.rows = append(p.rows, usageRow{where: name})
		p.values(&s.Usage, &u.Usage)
	}
	p.flush()
	p.remarks(u)
	return buffered.Flush()
}

type usagePrinter struct {
	screen
	w    io.Writer
	rows []usageRow
}

func (p *usagePrinter) line(format string, args ...any) { _ = printf(p.w, format+"\n", args...) }

// usageRow is what is said of one thing: how much of it is used, and the limit's file.
type usageRow struct {
	label, text string
	how         style
	where       string
}

// leastWhere is the least column in which lines say which file holds their limit.
const leastWhere = 46

// row keeps a line until all of the screen are known: flush aligns them.
func (p *usagePrinter) row(label, text string, how style, l *usage.Limit) {
	r := usageRow{label: label, text: text, how: how}
	if l != nil && l.IsSet {
		r.where = l.File + " of " + cgroupName(*l)
	}
	p.rows = append(p.rows, r)
}

func (r usageRow) width() int { return 13 + utf8.RuneCountInString(r.text) }

// whereColumn is the column in which all lines say where their limit is: behind the longest
// of those that have room for it.
func (p *usagePrinter) whereColumn(width int) int {
	column := leastWhere
	for _, r := range p.rows {
		if r.where != "" && r.width()+2+utf8.RuneCountInString(r.where) <= width {
			column = max(column, r.width()+2)
		}
	}
	return column
}

// flush writes the lines. One that is too long for its file's name gets another one for it,
// in the same column where that has room.
func (p *usagePrinter) flush() {
	width := max(p.width, 80)
	column := p.whereColumn(width)
	for _, r := range p.rows {
		if r.label == "" && r.text == "" { // a heading of a session
			p.line("%s", markup(r.where))
			continue
		}
		head := markup(fmt.Sprintf("%-10s", r.label))
		where := utf8.RuneCountInString(r.where)
		switch {
		case r.where == "":
			p.line("  %s %s", head, p.styled(r.text, r.how))
		case r.width()+2 <= column && column+where <= width:
			p.line("  %s %s%s%s", head, p.styled(r.text, r.how), markup(strings.Repeat(" ", column-r.width())), p.styled(r.where, dim))
		default:
			p.line("  %s %s", head, p.styled(r.text, r.how))
			p.line("%s%s", markup(strings.Repeat(" ", max(13, min(column, width-where)))), p.styled(r.where, dim))
		}
	}
	p.rows = nil
}

// cgroupName is how a limit's cgroup is called: from the base on, without the slash.
func cgroupName(l usage.Limit) string {
	if l.FromBase == "/" {
		return "the container" // the real root has no limits
	}
	return printable(strings.TrimPrefix(l.FromBase, "/"))
}

// values shows all that is known. Of a session that is without what is its user's.
func (p *usagePrinter) values(u, above *usage.Usage) {
	same := func(of func(*usage.Usage) *usage.Limit) usage.Limit {
		l := *of(u)
		if above != nil && l.IsSet && l.Path == of(above).Path && l.Hierarchy == of(above).Hierarchy {
			return usage.Limit{Answer: machine.Found}
		}
		return l
	}
	p.memory(u.Memory, same(func(u *usage.Usage) *usage.Limit { return &u.Memory.Max }), same(func(u *usage.Usage) *usage.Limit { return &u.Memory.High }))
	p.swap(u.Memory, same(func(u *usage.Usage) *usage.Limit { return &u.Memory.SwapMax }), same(func(u *usage.Usage) *usage.Limit { return &u.Memory.TotalMax }))
	p.cpu(u.CPU, same(func(u *usage.Usage) *usage.Limit { return &u.CPU.Max }))
	p.processes(u.Processes, same(func(u *usage.Usage) *usage.Limit { return &u.Processes.Max }))
	p.io(u.IO)
	p.pressure(u)
	if n, known := u.Memory.OOMKills.Known(); known && (n > 0 || u.Memory.Max.IsSet) {
		text := "0"
		if n > 0 {
			text = "killed " + plural(int(n), "process") + " for want of memory"
		}
		p.row("OOM", text, p.alarm(n > 0), nil)
	}
}

func (p *usagePrinter) alarm(is bool) style {
	if is {
		return red
	}
	return ""
}

// near is how a line is set off whose limit is near.
func near(l usage.Limit) style {
	percent, ok := l.Percent()
	switch {
	case !ok || percent < 80:
		return ""
	case percent < 95:
		return yellow
	}
	return red
}

// ofLimit is "1.9G of 4.0G (48 %)", with the numbers in words of theirs.
func ofLimit(now usage.Count, l usage.Limit, words func(int64) string) string {
	n, known := now.Known()
	text := "unknown"
	if known {
		text = words(n)
	}
	percent, ok := l.Percent()
	switch {
	case !l.IsSet:
		return text
	case !ok:
		return text + " of " + words(l.N)
	case l.IsOwn:
		return fmt.Sprintf("%s of %s (%d%%)", text, words(l.N), percent)
	}
	return fmt.Sprintf("%s; shared: %s of %s (%d%%)", text, words(l.Used.N), words(l.N), percent)
}

func (p *usagePrinter) memory(m usage.Memory, limit, high usage.Limit) {
	if m.Now.Answer == machine.Absent && !limit.IsSet {
		return
	}
	text := ofLimit(m.Now, limit, humanBytes)
	if peak, known := m.Peak.Known(); known {
		text += ", peak " + humanBytes(peak)
	}
	p.row("memory", text, near(limit), &limit)
	if high.IsSet {
		p.row("", "slowed down from "+humanBytes(high.N)+" on", near(high), &high)
	}
}

func (p *usagePrinter) swap(m usage.Memory, limit, total usage.Limit) {
	if n, known := m.Swap.Known(); known && (n > 0 || limit.IsSet) {
		p.row("swap", ofLimit(m.Swap, limit, humanBytes), near(limit), &limit)
	}
	if total.IsSet && total.N != m.Max.N {
		p.row("with swap", ofLimit(total.Used, total, humanBytes), near(total), &total)
	}
}

func (p *usagePrinter) cpu(c usage.CPU, limit usage.Limit) {
	if c.Used.Answer == machine.Absent && !limit.IsSet {
		return
	}
	text := "unknown"
	if n, known := c.Used.Known(); known {
		text = humanCPU(n)
	}
	if limit.IsSet {
		text += fmt.Sprintf(", at most %s%% of a CPU", hundredths(limit.N))
	}
	p.row("cpu", text, "", &limit)
	throttled, known := c.Throttled.Known()
	periods, _ := c.Periods.Known()
	if known && throttled > 0 {
		text := fmt.Sprintf("throttled in %d of %d periods", throttled, periods)
		if n, known := c.ThrottledTime.Known(); known {
			text += ", " + humanCPU(n)
		}
		p.row("", text, yellow, nil)
	}
}

func (p *usagePrinter) processes(c usage.Processes, limit usage.Limit) {
	if c.Now.Answer == machine.Absent && !limit.IsSet {
		return
	}
	text := ofLimit(c.Now, limit, func(n int64) string { return strconv.FormatInt(n, 10) })
	if peak, known := c.Peak.Known(); known {
		text += fmt.Sprintf(", peak %d", peak)
	}
	p.row("tasks", text, near(limit), &limit)
	if n, known := c.Refused.Known(); known && n > 0 {
		p.row("", "refused "+plural(int(n), "fork")+" at the limit of processes and threads", red, nil)
	}
}

func (p *usagePrinter) io(c usage.IO) {
	read, known := c.Read.Known()
	written, _ := c.Written.Known()
	if known {
		p.row("io", fmt.Sprintf("%s read, %s written", humanBytes(read), humanBytes(written)), "", nil)
	}
}

func (p *usagePrinter) pressure(u *usage.Usage) {
	var words []string
	for _, each := range []struct {
		name string
		usage.Pressure
	}{{"memory", u.Memory.Pressure}, {"cpu", u.CPU.Pressure}, {"io", u.IO.Pressure}} {
		if each.Answer == machine.Found {
			words = append(words, fmt.Sprintf("%s %s%%", each.name, hundredths(each.Some)))
		}
	}
	if len(words) > 0 {
		p.row("pressure", strings.Join(words, ", "), "", nil)
	}
}

// remarks are what is not counted, not known, and whether anything is limited.
func (p *usagePrinter) remarks(u *usage.User) {
	if names, all := namesOf(u, machine.Absent); len(names) > 0 {
		p.wrap("Not counted" + onlyIf(!all, " everywhere") + ": " + strings.Join(names, ", ") +
			". For that a login needs cgroups with their controllers: " + whyAbsent(u) + "; cgdeleg check says which there are.")
	}
	if names, _ := namesOf(u, machine.Unknown); len(names) > 0 {
		p.wrap("Not known: " + strings.Join(names, ", ") + ". The files could not be read, or were not recorded.")
	}
	isLimited, isSure := false, true
	for _, each := range usagesOf(u) {
		for _, l := range limitsOf(each) {
			isLimited = isLimited || l.IsSet
			isSure = isSure && l.Answer != machine.Unknown
		}
	}
	switch {
	case isLimited:
	case isSure:
		p.wrap("No limit is set for " + u.Name + " or a session. A container can have its own.")
	default:
		p.line("No limit was seen; not all files that may hold one could be read.")
	}
}

// namesOf are the values of which there is such an answer; all tells that these are so
// for the user and for every session.
func namesOf(u *usage.User, answer machine.Answer) (names []string, all bool) {
	all = true
	for _, v := range shownValues {
		count, of := 0, usagesOf(u)
		for _, each := range of {
			if v.of(each).Answer == answer {
				count++
			}
		}
		if count > 0 {
			names = append(names, v.name)
			all = all && count == len(of)
		}
	}
	return names, all
}

func (p *usagePrinter) wrap(text string) { p.line("%s", markup(wrapped(visible(text), 79))) }

// whyAbsent is where the controllers of a login are chosen.
func whyAbsent(u *usage.User) string {
	for _, s := range u.Sessions {
		for _, part := range s.Parts {
			if part.Adopted {
				return "systemd counts what Delegate= and the Accounting= settings name"
			}
		}
	}
	return "-c on the PAM line chooses them"
}

// usagesOf are those of the user, if there is a cgroup for it, and of the sessions.
func usagesOf(u *usage.User) (all []*usage.Usage) {
	if u.IsGrouped {
		all = append(all, &u.Usage)
	}
	for i := range u.Sessions {
		all = append(all, &u.Sessions[i].Usage)
	}
	return all
}

func limitsOf(u *usage.Usage) []usage.Limit {
	return []usage.Limit{u.Memory.Max, u.Memory.High, u.Memory.SwapMax, u.Memory.TotalMax, u.CPU.Max, u.Processes.Max}
}

// shownValues are what the screen says is not counted.
var shownValues = []sortKey{
	{"memory", func(u *usage.Usage) usage.Count { return u.Memory.Now }},
	{"cpu", func(u *usage.Usage) usage.Count { return u.CPU.Used }},
	{"tasks", func(u *usage.Usage) usage.Count { return u.Processes.Now }},
	{"io", func(u *usage.Usage) usage.Count { return u.IO.Read }},
}

// hundredths writes a number of hundredths without more decimals than it has.
func hundredths(n int64) string { return strconv.FormatFloat(float64(n)/100, 'f', -1, 64) }

// humanCPU is for CPU time in nanoseconds.
func humanCPU(nanoseconds int64) string {
	if d := time.Duration(nanoseconds); d >= time.Minute {
		return humanAge(d)
	}
	return fmt.Sprintf("%.1fs", time.Duration(nanoseconds).Seconds())
}

// usageColumns are those that -o of usage can choose, in the order in which they are named.
var usageColumns = []column[*usage.User]{
	{name: "USER", isText: true, about: "the user's name", cell: func(u *usage.User, _ form) string { return printable(u.Name) }},
	{name: "SESSIONS", about: "how many sessions there are", cell: func(u *usage.User, _ form) string { return strconv.Itoa(len(u.Sessions)) }},
	{name: "TASKS", about: "tasks: processes and threads", cell: func(u *usage.User, _ form) string { return countText(u.Usage.Processes.Now, decimal) }},
	{name: "TASKSLIMIT", about: "the limit of tasks that applies", cell: func(u *usage.User, _ form) string { return limitText(u.Usage.Processes.Max, decimal) }},
	{name: "REFUSED", about: "forks that the kernel refused because of that limit", cell: func(u *usage.User, _ form) string { return countText(u.Usage.Processes.Refused, decimal) }},
	{name: "MEMORY", about: "memory in use", cell: func(u *usage.User, f form) string { return countText(u.Usage.Memory.Now, f.bytes) }},
	{name: "LIMIT", about: "the memory limit that applies", cell: func(u *usage.User, f form) string { return limitText(u.Usage.Memory.Max, f.bytes) }},
	{name: "USED", about: "how much of that limit is used, in percent", cell: func(u *usage.User, f form) string { return f.percent(u.Usage.Memory.Max) }},
	{name: "PEAK", about: "the most memory that was in use", cell: func(u *usage.User, f form) string { return countText(u.Usage.Memory.Peak, f.bytes) }},
	{name: "SWAP", about: "swap in use", cell: func(u *usage.User, f form) string { return countText(u.Usage.Memory.Swap, f.bytes) }},
	{name: "OOM", about: "processes that the kernel killed for want of memory", cell: func(u *usage.User, _ form) string { return countText(u.Usage.Memory.OOMKills, decimal) }},
	{name: "CPU", about: "CPU time; raw in nanoseconds", cell: func(u *usage.User, f form) string { return countText(u.Usage.CPU.Used, f.cpu) }},
	{name: "THROTTLED", about: "for how long tasks had to wait because of cpu.max", cell: func(u *usage.User, f form) string { return countText(u.Usage.CPU.ThrottledTime, f.cpu) }},
	{name: "IO", about: "bytes that were read and written", cell: func(u *usage.User, f form) string { return countText(ioOf(&u.Usage), f.bytes) }},
	{name: "READ", about: "bytes that were read", cell: func(u *usage.User, f form) string { return countText(u.Usage.IO.Read, f.bytes) }},
	{name: "WRITTEN", about: "bytes that were written", cell: func(u *usage.User, f form) string { return countText(u.Usage.IO.Written, f.bytes) }},
}

// usualUsageColumns are those of a list without -o.
const usualUsageColumns = "user,sessions,tasks,memory,limit,used,peak,oom,cpu,throttled,io"

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// countText is "" for what is not known.
func countText(c usage.Count, words func(int64) string) string {
	n, known := c.Known()
	if !known {
		return ""
	}
	return words(n)
}

// limitText is "" for what is not known, and "none".
func limitText(l usage.Limit, words func(int64) string) string {
	switch {
	case l.IsSet:
		return words(l.N)
	case l.Answer == machine.Found:
		return "none"
	}
	return ""
}
