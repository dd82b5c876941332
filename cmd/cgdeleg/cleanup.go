package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

// cleanupFlags are what to clean up, and how it is told.
type cleanupFlags struct {
	user   string
	dryRun bool
	json   bool
	watch  bool
}

func newCleanup(s *settings) *cobra.Command {
	var f cleanupFlags
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove dead sessions",
		Long: `Remove the sessions that have no process in any hierarchy, and say of each
session what became of it. Nothing is killed: a session in use is kept. The
scopes that logind or elogind made are not touched.

With --watch it stays, removes sessions when their last process has ended, and
says a line for each. It ends on SIGTERM and SIGINT; run it as a service where
containers outlive logins.
`,
		Example: `  cgdeleg cleanup --dry-run
  sudo cgdeleg cleanup --user alice`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd, s); err != nil {
				return err
			}
			request := delegate.CleanupRequest{Machine: s.machine(), User: f.user, DryRun: f.dryRun, Locks: lock.Default}
			if f.watch {
				return watchForCommand(cmd, request, f.json)
			}
			cleaned, err := delegate.Cleanup(request)
			if err != nil && len(cleaned) == 0 {
				return err
			}
			shown := error(nil)
			if f.json {
				shown = printJSON(cmd.OutOrStdout(), cleanupJSON(cleaned, f.dryRun))
			} else {
				shown = s.paged(cmd, func(out screen) error { return printCleanup(out, cleaned, f.dryRun) })
			}
			return errors.Join(err, shown, notRemoved(cleaned))
		},
	}
	cmd.Flags().StringVarP(&f.user, "user", "u", "", "only the sessions of `NAME`")
	cmd.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "only say what would be removed")
	cmd.Flags().BoolVar(&f.json, "json", false, "for programs (docs/json.md)")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "stay, and remove sessions when they die")
	return cmd
}

// neededToClean are the capabilities of root that are needed; docs/security.md says what each
// is for.
var neededToClean = []int{unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_PTRACE}

func (f *cleanupFlags) check(cmd *cobra.Command, s *settings) error {
	switch {
	case f.watch && f.dryRun:
		return &usageError{errors.New("--watch and --dry-run exclude one another")}
	case s.root != "" && !f.dryRun:
		return &usageError{errors.New("a recorded machine (--root) can only be looked at: add --dry-run")}
	case cmd.Flags().Changed("user") && f.user == "":
		return &usageError{errors.New("--user needs a name")}
	}
	return nil
}

func printCleanup(out screen, cleaned []cleanup.Cleaned, isDry bool) error {
	removed := "removed"
	if isDry {
		removed = "would be removed"
	}
	t := newTable(out, "USER", "SESSION", "RESULT", "REASON")
	for _, s := range cleaned {
		result, reason := removed, "no process in it"
		if s.Left != nil {
			result, reason = "kept", reasonLeft(s.Left)
		}
		t.row(printable(s.User), strconv.Itoa(s.Number), result, reason)
	}
	return t.flush()
}

// What `cgdeleg cleanup --json` writes; docs/json.md describes it.
type (
	jsonCleanup struct {
		Schema   int           `json:"schema"`
		DryRun   bool          `json:"dry_run"`
		Sessions []jsonCleaned `json:"sessions"`
	}
	jsonCleaned struct {
		User    string  `json:"user"`
		Session int     `json:"session"`
		Result  string  `json:"result"`
		Reason  *string `json:"reason"`
	}
)

func cleanupJSON(cleaned []cleanup.Cleaned, dryRun bool) jsonCleanup {
	all := jsonCleanup{Schema: schemaVersion, DryRun: dryRun, Sessions: []jsonCleaned{}}
	for _, s := range cleaned {
		all.Sessions = append(all.Sessions, cleanedJSON(s))
	}
	return all
}

func cleanedJSON(s cleanup.Cleaned) jsonCleaned {
	j := jsonCleaned{User: s.User, Session: s.Number, Result: "removed"}
	switch {
	case isFailure(s.Left):
		j.Result = "failed"
	case s.Left != nil:
		j.Result = "in_use"
	}
	if s.Left != nil {
		reason := reasonLeft(s.Left)
		j.Reason = &reason
	}
	return j
}

// isFailure tells whether a dead session is still there.
func isFailure(left error) bool { return left != nil && !errors.Is(left, unix.EBUSY) }

// notRemoved is the error for dead sessions that are still there.
func notRemoved(cleaned []cleanup.Cleaned) error {
	count := 0
	for _, s := range cleaned {
		if isFailure(s.Left) {
			count++
		}
	}
	if count > 0 {
		return &failure{fmt.Sprintf("%d dead sessions could not be removed", count)}
	}
	return nil
}

func watchForCommand(cmd *cobra.Command, request delegate.CleanupRequest, asJSON bool) error {
	if os.Geteuid() != 0 {
		return needsRoot("removing sessions")
	}
	dropPrivileges(cmd, neededToClean)
	ctx, done := untilSignal()
	defer done()
	return watch(ctx, request, &watchLog{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: asJSON})
}
