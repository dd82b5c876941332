package main

import (
	"cmp"
	"errors"
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
	listFlags
	user    string
	format  string
	list    bool
	tree    bool
	json    bool
	watch   string
	perUser bool
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

A list is cut to the width of the terminal; with -r, or where the output is no
terminal, it is whole. --list-columns names the columns of -o; cgdeleg usage has
more of what is used.`,
		Example: `  cgdeleg status -l -u alice
  cgdeleg status -o +limit,oom
  cgdeleg status -n -r -o user,session,memory
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
	cmd.Flags().StringVarP(&f.watch, "watch", "w", "", "look again every `TIME`, until a key is pressed: seconds, or with ms, s or min")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	cmd.Flags().BoolVar(&f.perUser, "per-user", false, "with --format prometheus: also what each user uses, with the user's name")
	f.add(cmd, namesOfColumns(sessionColumns))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// choose returns one of formats: what the flags ask for, of which the shorter ones
// stand for --format. A terminal is shown a tree, and all else a list.
func (f *statusFlags) choose(isTerminal bool) (string, error) {
	isAsked := map[string]bool{
		"tree": f.tree, "list": f.list || f.isAsked(), "json": f.json,
	}
	if f.format != "" {
		if !slices.Contains(formats, f.format) {
			return "", noneOf("--format", f.format, formats)
		}
		isAsked[f.format] = true
	}
	chosen := ""
	for _, format := range formats {
		switch {
		case !isAsked[format]:
		case chosen != "":
			return "", &usageError{errors.New("a tree, a list (-l, -n, -o, -r), json and prometheus exclude one another")}
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
	columns, err := chooseColumns(sessionColumns, usualSessionColumns, f.columns)
	if err != nil {
		return err
	}
	out, err := screenOn(cmd.OutOrStdout(), s.color)
	if err != nil {
		return err
	}
	if f.listColumns {
		return s.paged(cmd, func(out screen) error { return printColumns(out, sessionColumns) })
	}
	format, err := f.choose(out.isTerminal)
	if err != nil {
		return err
	}
	if f.perUser && format != "prometheus" {
		return &usageError{errors.New("--per-user is for --format prometheus")}
	}
	if f.watch == "" && (format == "tree" || format == "list") {
		return s.paged(cmd, func(out screen) error { return showStatus(cmd, s.machine(), f, format, columns, out) })
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
func showStatus(cmd *cobra.Command, m machine.Machine, f statusFlags, format string, columns []column[sessionRow], out screen) error {
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
	return printSessions(out, m, sessions, columns, f.listFlags)
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

// usualSessionColumns are those of a list without -o.
const usualSessionColumns = "user,session,own,state,leader,service,age,processes,memory,controllers"

func printSessions(out screen, m machine.Machine, sessions []delegate.Session, columns []column[sessionRow], f listFlags) error {
	used := map[*delegate.Session]*usage.Usage{}
	if slices.ContainsFunc(columns, func(c column[sessionRow]) bool { return c.isUsage }) {
		var err error
		if used, err = usageBySession(m, sessions); err != nil {
			return err
		}
	}
	var rows []sessionRow
	for i := range sessions {
		rows = append(rows, sessionRow{&sessions[i], used[&sessions[i]]})
	}
	return printRows(out, columns, f, rows)
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
