package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// topFlags are systemd-cgtop(1)'s, as far as they make sense here.
type topFlags struct {
	sortBy     string
	by         map[string]*bool
	delay      string
	iterations int
	once       bool
	batch      bool
	raw        bool
	cpu        string
	depth      int
}

// topLetters are the keys, and options, that choose what is sorted by.
var topLetters = []struct{ letter, key string }{{"p", "user"}, {"t", "tasks"}, {"c", "cpu"}, {"m", "memory"}, {"i", "io"}, {"o", "oom"}}

func newTop(s *settings) *cobra.Command {
	f := topFlags{by: map[string]*bool{}}
	cmd := &cobra.Command{
		Use:   "top [USER]",
		Short: "Show what users and their sessions use, again and again",
		Long: `Show what users and their sessions use, those that use the most first, again
every second: keys and options are those of systemd-cgtop(1). Where the output
or the input is no terminal, and with -b, each look is written below the last,
without headings if the output is no terminal, and one look is all unless -n
says otherwise.

CPU and IO are what was used between two looks, so that the first look has
none. 100 % is one CPU. LIMIT is the memory limit that applies, USED how much of
it is used. A dash is what is not counted, or not known.

Keys:
  p t c m i o  sort by user, tasks, CPU, memory, IO, OOM kills
  r            reverse the order
  %            CPU as a percentage, or as the time that was used in all
  + -          look less often, more often
  space        look now
  h ?          these keys
  q            end`,
		Example: `  cgdeleg top -o cpu
  cgdeleg top -b -n 5 -d 10 >use.txt`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return runTop(cmd, s, f, args) },
	}
	cmd.Flags().StringVarP(&f.sortBy, "sort", "o", "memory", "sort by `KEY`: "+strings.Join(sortKeyNames(), ", "))
	for _, l := range topLetters[:5] {
		f.by[l.key] = cmd.Flags().BoolP("by-"+l.key, l.letter, false, "short for --sort "+l.key)
	}
	cmd.Flags().StringVarP(&f.delay, "delay", "d", "1s", "look every `TIME`: seconds, or with us, ms, s or min")
	cmd.Flags().IntVarP(&f.iterations, "iterations", "n", 0, "end after `N` looks; 0: do not end")
	cmd.Flags().BoolVarP(&f.once, "once", "1", false, "short for --iterations 1")
	cmd.Flags().BoolVarP(&f.batch, "batch", "b", false, "read no keys, and write each look below the last")
	cmd.Flags().BoolVarP(&f.raw, "raw", "r", false, "bytes, and nanoseconds of CPU time, as plain numbers")
	cmd.Flags().StringVar(&f.cpu, "cpu", "percentage", "show CPU as `WHAT`: percentage or time")
	cmd.Flags().IntVar(&f.depth, "depth", 2, "`N` is 1 for users alone, 2 for their sessions too")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "order" { // as systemd-cgtop calls it
			name = "sort"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(sortKeyNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("cpu", cobra.FixedCompletions(cpuForms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// cpuForms are the values of --cpu.
var cpuForms = []string{"percentage", "time"}

// check returns the key that the flags choose, and how long a pause is.
func (f *topFlags) check() (key sortKey, pause time.Duration, err error) {
	for _, l := range topLetters[:5] {
		if *f.by[l.key] {
			f.sortBy = l.key
		}
	}
	if f.sortBy == "path" { // as systemd-cgtop calls it
		f.sortBy = "user"
	}
	if key, err = sortKeyNamed(f.sortBy); err != nil {
		return key, 0, err
	}
	if pause, err = parsePause(f.delay); err != nil {
		return key, 0, err
	}
	if f.once {
		f.iterations = 1
	}
	switch {
	case !slices.Contains(cpuForms, f.cpu):
		err = noneOf("--cpu", f.cpu, cpuForms)
	case f.depth != 1 && f.depth != 2:
		err = &usageError{fmt.Errorf("--depth %d: want 1 or 2", f.depth)}
	case f.iterations < 0:
		err = &usageError{fmt.Errorf("--iterations %d: want 0 or more", f.iterations)}
	}
	return key, pause, err
}

func runTop(cmd *cobra.Command, s *settings, f topFlags, args []string) error {
	key, pause, err := f.check()
	if err != nil {
		return err
	}
	out, err := screenOn(cmd.OutOrStdout(), s.color)
	if err != nil {
		return err
	}
	t := &top{screen: out, machine: s.machine(), key: key, raw: f.raw, asTime: f.cpu == "time", depth: f.depth, heading: out.isTerminal}
	if len(args) == 1 {
		t.user = args[0]
		if _, err := account.ByName(t.machine, t.user); err != nil {
			return err
		}
	}
	if !out.isTerminal && !cmd.Flags().Changed("iterations") {
		f.iterations = 1
	}
	ctx, cancel := untilSignal()
	defer cancel()
	loop := &frames{pause: pause, count: f.iterations, look: t.look, draw: t.draw}
	loop.key = func(key byte) then { return t.press(key, loop) }
	t.pause = &loop.pause
	t.isLive = out.isTerminal && !f.batch
	return loop.run(ctx, out, f.batch)
}

// top is what cgdeleg top shows.
type top struct {
	screen
	machine machine.Machine
	user    string // the only one; "": all
	key     sortKey
	raw     bool
	asTime  bool // CPU
	depth   int
	heading bool

	isLive     bool
	isReversed bool
	isHelp     bool
	pause      *time.Duration

	users    []usage.User
	unusable int
	at       time.Time
	rates    map[string]rates // by topName
	counts   map[string]counts
}

// counts are those of a user or a session of which two looks make rates.
type counts struct{ cpu, read, written usage.Count }

// rates are per second: CPU in nanoseconds, IO in bytes.
type rates struct{ cpu, read, written usage.Count }

// topName tells the rows of two looks that are the same user's, or session's.
func topName(u *usage.User, s *usage.Session) string {
	if s == nil {
		return u.Name
	}
	return u.Name + "/" + sessionName(s.Session)
}

func (t *top) look() error {
	sessions, unusable, err := delegate.Sessions(t.machine)
	if err != nil {
		return err
	}
	users, err := usage.Of(t.machine, ofUser(nameUsers(account.All(t.machine), sessions), t.user))
	if err != nil {
		return err
	}
	t.unusable = len(unusable)
	t.take(users, time.Now())
	return nil
}

// take takes what was seen at a moment.
func (t *top) take(users []usage.User, now time.Time) {
	before, elapsed := t.counts, now.Sub(t.at)
	t.users, t.at = users, now
	t.rates, t.counts = map[string]rates{}, map[string]counts{}
	for i := range users {
		u := &users[i]
		t.measure(topName(u, nil), &u.Usage, before, elapsed)
		for j := range u.Sessions {
			t.measure(topName(u, &u.Sessions[j]), &u.Sessions[j].Usage, before, elapsed)
		}
	}
}

// measure makes rates of what was counted before, and now.
func (t *top) measure(name string, u *usage.Usage, before map[string]counts, elapsed time.Duration) {
	now := counts{u.CPU.Used, u.IO.Read, u.IO.Written}
	t.counts[name] = now
	if was, isKnown := before[name]; isKnown && elapsed > 0 {
		t.rates[name] = rates{perSecond(was.cpu, now.cpu, elapsed), perSecond(was.read, now.read, elapsed), perSecond(was.written, now.written, elapsed)}
	}
}

// perSecond is not known where less was counted than before: another session has the
// number by now.
func perSecond(before, now usage.Count, elapsed time.Duration) usage.Count {
	was, isKnown := before.Known()
	is, isKnownNow := now.Known()
	if !isKnown || !isKnownNow || is < was {
		return usage.Count{}
	}
	return usage.Count{Answer: machine.Found, N: int64(float64(is-was) / elapsed.Seconds())}
}

// press does what a key is for (systemd-cgtop(1), KEYS).
func (t *top) press(key byte, loop *frames) then {
	if t.isHelp {
		t.isHelp = false
		return drawAgain
	}
	for _, l := range topLetters {
		if l.letter == string(key) {
			t.key, _ = sortKeyNamed(l.key)
			return drawAgain
		}
	}
	switch key {
	case 'q':
		return end
	case ' ':
		return lookAgain
	case 'r':
		t.isReversed = !t.isReversed
	case '%':
		t.asTime = !t.asTime
	case 'h', '?':
		t.isHelp = true
	case '+':
		loop.pause += pauseStep(loop.pause)
	case '-':
		loop.pause = max(shortestPause, loop.pause-pauseStep(loop.pause-1))
	default:
		return nothing
	}
	return drawAgain
}

// pauseStep is by how much a pause changes, as systemd-cgtop has it: a quarter of a second
// below one, a second above.
func pauseStep(pause time.Duration) time.Duration {
	if pause < time.Second {
		return time.Second / 4
	}
	return time.Second
}

// topRow is a user or a session.
type topRow struct {
	name  string
	usage *usage.Usage
	rates rates
}

// rows are sorted: users, and the sessions of each.
func (t *top) rows() (rows []topRow) {
	users := t.sorted(len(t.users), func(i int) topRow {
		u := &t.users[i]
		return topRow{printable(u.Name), &u.Usage, t.rates[topName(u, nil)]}
	})
	for _, at := range users {
		u := &t.users[at.index]
		rows = append(rows, at.topRow)
		if t.depth == 1 {
			continue
		}
		for _, s := range t.sorted(len(u.Sessions), func(j int) topRow {
			s := &u.Sessions[j]
			return topRow{"  " + sessionName(s.Session), &s.Usage, t.rates[topName(u, s)]}
		}) {
			rows = append(rows, s.topRow)
		}
	}
	return rows
}

// indexedRow is a row and which one it was.
type indexedRow struct {
	topRow
	index int
}

// sorted sorts n rows that are sorted by name.
func (t *top) sorted(n int, row func(int) topRow) (rows []indexedRow) {
	for i := range n {
		rows = append(rows, indexedRow{row(i), i})
	}
	slices.SortStableFunc(rows, func(a, b indexedRow) int { return compareCounts(t.sortCount(a.topRow), t.sortCount(b.topRow)) })
	if t.isReversed {
		slices.Reverse(rows)
	}
	return rows
}

// sortCount is what a row is sorted by: for CPU and IO what was used since the last look.
func (t *top) sortCount(r topRow) usage.Count {
	switch {
	case t.key.of == nil:
		return usage.Count{} // they stay sorted by name
	case t.key.name == "cpu" && !t.asTime && len(t.rates) > 0:
		return r.rates.cpu
	case t.key.name == "io" && len(t.rates) > 0:
		return ioOf(&usage.Usage{IO: usage.IO{Read: r.rates.read, Written: r.rates.written}})
	}
	return t.key.of(r.usage)
}
