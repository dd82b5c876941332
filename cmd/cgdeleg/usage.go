package main

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

func newUsage(s *settings) *cobra.Command {
	var f listFlags
	var sortBy string
	var json bool
	cmd := &cobra.Command{
		Use:   "usage [USER]",
		Short: "Show what a user uses, and how much that user may use",
		Long: `Show what a user's sessions use, all together and each: memory, CPU time,
processes and IO, the limits that apply, and what came of them: throttled CPU
time, refused forks, processes that were killed for want of memory. Without USER
that is yourself; root is shown all users who have sessions, a line each.

A limit is shown with the file that holds it. Where several apply, of a session,
of its user or above, it is the lowest: the one that is reached first. Tasks are
processes and threads, which pids.max counts; cgdeleg status counts processes.
Pressure is how much of the last ten seconds something had to wait.

What the kernel does not count is said in the last lines, and is a dash in a
list. --sort takes ` + strings.Join(sortKeyNames(), ", ") + `. -o and -r
show a line for a user as well.`,
		Example: `  cgdeleg usage
  sudo cgdeleg usage --sort cpu
  cgdeleg usage --json alice`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := sortKeyNamed(sortBy)
			if err != nil {
				return err
			}
			out, err := screenOn(cmd.OutOrStdout(), s.color)
			if err != nil {
				return err
			}
			columns, err := chooseColumns(usageColumns, usualUsageColumns, f.columns)
			switch {
			case err != nil:
				return err
			case f.listColumns:
				return s.paged(cmd, func(out screen) error { return printColumns(out, usageColumns) })
			case json && (f.columns != "" || f.raw):
				return &usageError{errors.New("--json and a list (-o, -r) exclude one another")}
			}
			m := s.machine()
			who, isOne := whoseUsage(m, args)
			users, err := lookUsage(m, cmd, who, isOne)
			if err != nil {
				return err
			}
			key.sort(users)
			switch {
			case json:
				return printJSON(out, usageJSON(users))
			case len(users) == 0:
				complain(cmd.ErrOrStderr(), "there are no sessions%s; cgdeleg check says what a login lacks", ofWhom(who.Name))
				return nil
			case isOne && f.columns == "" && !f.raw:
				return s.paged(cmd, func(out screen) error { return printUsage(out, &users[0]) })
			}
			var rows []*usage.User
			for i := range users {
				rows = append(rows, &users[i])
			}
			return s.paged(cmd, func(out screen) error { return printRows(out, columns, f, rows) })
		},
	}
	cmd.Flags().StringVar(&sortBy, "sort", "memory", "sort the users by `KEY`")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON (docs/json.md)")
	f.add(cmd, namesOfColumns(usageColumns))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(sortKeyNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// whoseUsage returns the user who is asked about; isOne is false if all are.
func whoseUsage(m machine.Machine, args []string) (who usage.Account, isOne bool) {
	switch uid := os.Geteuid(); {
	case len(args) == 1:
		who = usage.Account{Name: args[0], UID: -1}
		if a, err := accountNamed(m, args[0]); err == nil { // else somebody who was removed may have sessions
			who.Name = a.Name
		}
		return who, true
	case m.IsRecorded() || uid == 0:
		return who, false
	default:
		who = usage.Account{Name: strconv.Itoa(uid), UID: uid}
		if a, known := account.ByUID(m, uid); known {
			who.Name = a.Name
		}
		return who, true
	}
}

// lookUsage returns the users who have sessions, or the one who is asked about.
func lookUsage(m machine.Machine, cmd *cobra.Command, who usage.Account, isOne bool) ([]usage.User, error) {
	sessions, unusable, err := delegate.Sessions(m)
	if err != nil {
		return nil, err
	}
	for _, u := range unusable {
		complain(cmd.ErrOrStderr(), "left out: %v", u)
	}
	sessions = nameUsers(account.All(m), sessions)
	if !isOne {
		return usage.Of(m, sessions)
	}
	sessions = ofUser(sessions, who.Name)
	if who.UID < 0 && len(sessions) == 0 {
		a, err := account.ByName(m, who.Name)
		if err != nil {
			return nil, err
		}
		who.UID = a.Uid
	}
	if who.UID < 0 {
		return usage.Of(m, sessions)
	}
	return usage.Of(m, sessions, who)
}

// sortKey is what users can be sorted by: by how much there is of it, the most first, and
// those of whom it is not known at the end.
type sortKey struct {
	name string
	of   func(*usage.Usage) usage.Count // nil: by name
}

var sortKeys = []sortKey{
	{"memory", func(u *usage.Usage) usage.Count { return u.Memory.Now }},
	{"cpu", func(u *usage.Usage) usage.Count { return u.CPU.Used }},
	{"tasks", func(u *usage.Usage) usage.Count { return u.Processes.Now }},
	{"io", ioOf},
	{"oom", func(u *usage.Usage) usage.Count { return u.Memory.OOMKills }},
	{"user", nil},
}

func ioOf(u *usage.Usage) usage.Count {
	if u.IO.Read.Answer != machine.Found {
		return u.IO.Read
	}
	return usage.Count{Answer: u.IO.Written.Answer, N: u.IO.Read.N + u.IO.Written.N}
}

func sortKeyNames() (names []string) {
	for _, k := range sortKeys {
		names = append(names, k.name)
	}
	return names
}

func sortKeyNamed(name string) (sortKey, error) {
	for _, k := range sortKeys {
		if k.name == name {
			return k, nil
		}
	}
	return sortKey{}, noneOf("--sort", name, sortKeyNames())
}

// sort sorts users who are sorted by name.
func (k sortKey) sort(users []usage.User) {
	if k.of != nil {
		slices.SortStableFunc(users, func(a, b usage.User) int { return compareCounts(k.of(&a.Usage), k.of(&b.Usage)) })
	}
}

// compareCounts puts the larger one first, and what is not known at the end.
func compareCounts(a, b usage.Count) int {
	n, isKnown := a.Known()
	other, isOtherKnown := b.Known()
	switch {
	case isKnown != isOtherKnown:
		if isKnown {
			return -1
		}
		return 1
	case !isKnown || n == other:
		return 0
	case n > other:
		return -1
	}
	return 1
}
