package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// statusFlags are how the sessions are to be shown.
type statusFlags struct {
	user      string
	format    string
	list      bool
	tree      bool
	json      bool
	noHeading bool
	columns   string
	watch     string
	perUser   bool
}

// formats are those that --format knows.
var formats = []string{"tree", "list", "json", "prometheus"}

func newStatus(s *settings) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:     "status",
		Aliases: []string{"ls"},
		Short:   "Show the sessions, who leads them and what is in them",
		Long: `Show the sessions that there are: on a terminal as a tree of users, their
sessions and the cgroups below, elsewhere as a list with a line for each.

A session is user/NAME/N, or the scope that logind or elogind made for a login
and that was given to the user, or both where they have the same leader. The
leader is the process that was started first (sshd, su, login), the service its
program, the age the leader's. Processes and memory count what is in the cgroups
below too. In controllers, name=X is a named v1 hierarchy, unified a v2 without
controllers.

A dead session is what a logout left because processes were still running; the
user's next login removes it, or cgdeleg cleanup. It is at least as old as its
age says.

The columns of -o are ` + strings.Join(columnNames()[:8], ", ") + ",\n" + strings.Join(columnNames()[8:], ", ") + `. Limit is the memory
limit that applies, peak the most memory that there was, oom how many processes
the kernel killed for want of memory; cgdeleg usage has the rest.`,
		Example: `  cgdeleg status -l -u alice
  cgdeleg status -n -o user,session,memory
  cgdeleg status --watch 5
  cgdeleg status --format prometheus`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("watch") && len(args) == 1 {
				return nil // --watch 5
			}
			return usageArgs(cobra.NoArgs)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.watch = args[0]
			}
			return status(cmd, s, f)
		},
	}
	cmd.Flags().StringVarP(&f.user, "user", "u", "", "only the sessions of `NAME`")
	cmd.Flags().StringVar(&f.format, "format", "", "show `WHAT`: tree, list, json (docs/json.md) or prometheus (docs/monitoring.md)")
	cmd.Flags().BoolVarP(&f.list, "list", "l", false, "short for --format list")
	cmd.Flags().BoolVar(&f.tree, "tree", false, "short for --format tree")
	cmd.Flags().BoolVar(&f.json, "json", false, "short for --format json: all there is to know, for programs")
	cmd.Flags().BoolVarP(&f.noHeading, "no-heading", "n", false, "a list without its heading")
	cmd.Flags().StringVarP(&f.watch, "watch", "w", "", "look again every `TIME`, until a key is pressed: seconds, or with ms, s or min")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	cmd.Flags().BoolVar(&f.perUser, "per-user", false, "with --format prometheus: also what each user uses, with the user's name")
	cmd.Flags().StringVarP(&f.columns, "output", "o", "", "a list with these `COLUMNS`, separated by commas")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// choose returns one of formats: what the flags ask for, of which the shorter ones
// stand for --format. A terminal is shown a tree, and all else a list.
func (f *statusFlags) choose(isTerminal bool) (string, error) {
	isAsked := map[string]bool{
		"tree": f.tree, "list": f.list || f.noHeading || f.columns != "", "json": f.json,
	}
	if f.format != "" {
		if !slices.Contains(formats, f.format) {
			return "", &usageError{fmt.Errorf("unknown format %q; known are %s", f.format, strings.Join(formats, ", "))}
		}
		isAsked[f.format] = true
	}
	chosen := ""
	for _, format := range formats {
		switch {
		case !isAsked[format]:
		case chosen != "":
			return "", &usageError{errors.New("a tree, a list (-l, -n, -o), json and prometheus exclude one another")}
		default:
			chosen = format
		}
	}
	if chosen == "" && isTerminal {
		chosen = "tree"
	}
	return cmp.Or(chosen, "list"), nil
}

func status(cmd *cobra.Command, s *settings, f statusFlags) error {
	columns, err := chooseColumns(f.columns)
	if err != nil {
		return err
	}
	out, err := screenOn(cmd.OutOrStdout(), s.color)
	if err != nil {
		return err
	}
	format, err := f.choose(out.isTerminal)
	if err != nil {
		return err
	}
	if f.perUser && format != "prometheus" {
		return &usageError{errors.New("--per-user is for --format prometheus")}
	}
	show := func(out screen) error { return showStatus(cmd, s.machine(), f, format, columns, out) }
	if f.watch == "" {
		return show(out)
	}
	if format != "tree" && format != "list" {
		return &usageError{errors.New("--watch shows a tree or a list")}
	}
	return watchStatus(out, f.watch, show)
}

// watchStatus shows the status again and again.
func watchStatus(out screen, every string, show func(screen) error) error {
	pause, err := parsePause(every)
	if err != nil {
		return err
	}
	var text strings.Builder
	ctx, cancel := untilSignal()
	defer cancel()
	loop := &frames{
		pause: pause,
		look: func() error {
			text.Reset()
			shown := out
			shown.Writer = &text
			return show(shown)
		},
		draw: func() (markup, error) { return markup(text.String()), nil },
		key:  func(byte) then { return end },
	}
	return loop.run(ctx, out, false)
}

// showStatus looks, and shows it in one of formats.
func showStatus(cmd *cobra.Command, m machine.Machine, f statusFlags, format string, columns []column, out screen) error {
	sessions, unusable, err := delegate.Sessions(m)
	if err != nil {
		return err
	}
	say := func(words string, args ...any) { complain(cmd.ErrOrStderr(), words, args...) }
	if f.watch != "" { // where it stays on the screen
		say = func(words string, args ...any) { complain(out, words, args...) }
	}
	for _, u := range unusable {
		say("left out: %v", u)
	}
	sessions = ofUser(nameUsers(account.All(m), sessions), f.user)
	if _, err := account.ByName(m, f.user); len(sessions) == 0 && f.user != "" && err != nil && !m.IsRecorded() {
		return err
	}
	if len(sessions) == 0 && (format == "tree" || format == "list" && !f.noHeading) {
		say("there are no sessions%s; cgdeleg check says what a login lacks", ofWhom(f.user))
	}
	switch format {
	case "json":
		used, err := usageBySession(m, sessions)
		if err != nil {
			return err
		}
		return printJSON(out, statusJSON(m, sessions, used))
	case "prometheus":
		return printPrometheus(out, m, sessions, f.perUser)
	case "tree":
		return printTree(out, m, sessions)
	}
	return printList(out, m, sessions, columns, !f.noHeading)
}

// usageBySession returns what each of the sessions uses.
func usageBySession(m machine.Machine, sessions []delegate.Session) (map[*delegate.Session]*usage.Usage, error) {
	users, err := usage.Of(m, sessions)
	used := map[*delegate.Session]*usage.Usage{}
	for i := range users {
		for j := range users[i].Sessions {
			s := &users[i].Sessions[j]
			used[s.Session] = &s.Usage
		}
	}
	return used, err
}

func ofWhom(user string) string {
	if user == "" {
		return ""
	}
	return " of " + printable(user)
}

func ofUser(sessions []delegate.Session, user string) []delegate.Session {
	if user == "" {
		return sessions
	}
	var his []delegate.Session
	for _, s := range sessions {
		if s.User == user {
			his = append(his, s)
		}
	}
	return his
}

// columnNames are those that -o knows, in small letters.
func columnNames() []string {
	var names []string
	for _, c := range allColumns {
		names = append(names, strings.ToLower(c.name))
	}
	return names
}

// defaultColumns are those of a list without -o.
const defaultColumns = "user,session,own,state,leader,service,age,processes,memory,controllers"

func chooseColumns(list string) ([]column, error) {
	if list == "" {
		list = defaultColumns
	}
	var chosen []column
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, c := range allColumns {
			if strings.EqualFold(c.name, name) {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, &usageError{fmt.Errorf("unknown column %q; known are %s", name, strings.Join(columnNames(), ", "))}
		}
	}
	return chosen, nil
}

func printList(out screen, m machine.Machine, sessions []delegate.Session, columns []column, heading bool) error {
	var used map[*delegate.Session]*usage.Usage
	if slices.ContainsFunc(columns, func(c column) bool { return c.used != nil }) {
		var err error
		if used, err = usageBySession(m, sessions); err != nil {
			return err
		}
	}
	t := newTable(out, headings(columns, heading)...)
	for i := range sessions {
		var cells []string
		for _, c := range columns {
			if c.used != nil {
				cells = append(cells, dash(c.used(used[&sessions[i]])))
			} else {
				cells = append(cells, dash(c.cell(&sessions[i])))
			}
		}
		t.row(cells...)
	}
	return t.flush()
}

// nameUsers fills in the users of sessions that are a scope alone, by name or at
// least by number, and sorts them in.
func nameUsers(accounts []user.User, sessions []delegate.Session) []delegate.Session {
	for i := range sessions {
		s := &sessions[i]
		if s.User != "" {
			continue
		}
		s.User = strconv.Itoa(s.UID)
		if at := slices.IndexFunc(accounts, func(u user.User) bool { return u.Uid == s.UID }); at >= 0 {
			s.User = accounts[at].Name
		}
	}
	slices.SortStableFunc(sessions, func(a, b delegate.Session) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Number, b.Number))
	})
	return sessions
}
