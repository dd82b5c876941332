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

The columns of -o are ` + strings.Join(columnNames()[:8], ", ") + ",\n" + strings.Join(columnNames()[8:], ", ") + ".",
		Example: `  cgdeleg status -l -u alice
  cgdeleg status -n -o user,session,memory
  cgdeleg status --format prometheus`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return status(cmd, s, f) },
	}
	cmd.Flags().StringVarP(&f.user, "user", "u", "", "only the sessions of `NAME`")
	cmd.Flags().StringVar(&f.format, "format", "", "show `WHAT`: tree, list, json (docs/json.md) or prometheus (docs/monitoring.md)")
	cmd.Flags().BoolVarP(&f.list, "list", "l", false, "short for --format list")
	cmd.Flags().BoolVar(&f.tree, "tree", false, "short for --format tree")
	cmd.Flags().BoolVar(&f.json, "json", false, "short for --format json: all there is to know, for programs")
	cmd.Flags().BoolVarP(&f.noHeading, "no-heading", "n", false, "a list without its heading")
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
	m := s.machine()
	sessions, unusable, err := delegate.Sessions(m)
	if err != nil {
		return err
	}
	for _, u := range unusable {
		complain(cmd.ErrOrStderr(), "left out: %v", u)
	}
	sessions = ofUser(nameUsers(account.All(m), sessions), f.user)
	if _, err := account.ByName(m, f.user); len(sessions) == 0 && f.user != "" && err != nil && !m.IsRecorded() {
		return err
	}
	if len(sessions) == 0 && (format == "tree" || format == "list" && !f.noHeading) {
		complain(cmd.ErrOrStderr(), "there are no sessions%s; cgdeleg check says what a login lacks", ofWhom(f.user))
	}
	switch format {
	case "json":
		return printJSON(out, statusJSON(m, sessions))
	case "prometheus":
		return printPrometheus(out, m, sessions)
	case "tree":
		return printTree(out, m, sessions)
	}
	return printList(out, sessions, columns, !f.noHeading)
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

func printList(out screen, sessions []delegate.Session, columns []column, heading bool) error {
	t := newTable(out, headings(columns, heading)...)
	for i := range sessions {
		var cells []string
		for _, c := range columns {
			cells = append(cells, dash(c.cell(&sessions[i])))
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
