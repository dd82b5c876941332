package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
)

func newStatus(s *settings) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:     "status",
		Aliases: []string{"ls"},
		Short:   "Show the sessions, who owns them and whether they are alive",
		Long: `Show the sessions that there are, a line each: whose it is, its number N (the
cgroups are user/NAME/N), whether a process is in it, how many there are, and
the hierarchies in which it has a cgroup, by the names of /proc/PID/cgroup.

A dead session is what a logout left because processes were still running; the
user's next login removes it, or cgdeleg cleanup.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sessions, unusable, err := delegate.Sessions(s.machine())
			if err != nil {
				return err
			}
			for _, u := range unusable {
				fmt.Fprintln(cmd.ErrOrStderr(), "cgdeleg: left out:", u)
			}
			return printStatus(cmd.OutOrStdout(), ofUser(sessions, user))
		},
	}
	cmd.Flags().StringVarP(&user, "user", "u", "", "only the sessions of `NAME`")
	return cmd
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

func printStatus(w io.Writer, sessions []delegate.Session) error {
	t := newTable(w, "USER", "SESSION", "STATE", "PROCESSES", "HIERARCHIES")
	for _, s := range sessions {
		state := "dead"
		if s.Processes() > 0 {
			state = "alive"
		}
		var names []string
		for _, p := range s.Parts {
			names = append(names, p.Hierarchy)
		}
		t.row(printable(s.User), strconv.Itoa(s.Number), state, strconv.Itoa(s.Processes()), strings.Join(names, " "))
	}
	return t.flush()
}

// table is columns of text with a heading.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, heading ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(heading...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t *table) flush() error { return t.w.Flush() }

// printable quotes a name that could not be told from the words around it.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || strings.Contains(name, " ") {
		return quoted
	}
	return name
}
