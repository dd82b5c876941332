package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
)

func newCleanup(s *settings) *cobra.Command {
	var user string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove dead sessions",
		Long: `Remove the sessions that have no process in any hierarchy, and say of each
session what became of it. Nothing is killed: a session in use is kept.

The exit code is 1 if a dead session could not be removed.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.root != "" && !dryRun {
				return &usageError{errors.New("a recorded machine (--root) can only be looked at: add --dry-run")}
			}
			if cmd.Flags().Changed("user") && user == "" {
				return &usageError{errors.New("--user needs a name")}
			}
			swept, err := delegate.Sweep(delegate.SweepRequest{
				Machine: s.machine(), User: user, DryRun: dryRun, Lock: delegate.DefaultLock,
			})
			if err != nil && len(swept) == 0 {
				return err
			}
			return errors.Join(err, printCleanup(cmd.OutOrStdout(), swept, dryRun), notRemoved(swept))
		},
	}
	cmd.Flags().StringVarP(&user, "user", "u", "", "only the sessions of `NAME`")
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only say what would be removed")
	return cmd
}

func printCleanup(w io.Writer, swept []delegate.Swept, dryRun bool) error {
	removed := "removed"
	if dryRun {
		removed = "would be removed"
	}
	t := newTable(w, "USER", "SESSION", "RESULT", "REASON")
	for _, s := range swept {
		result, reason := removed, "no process in it"
		if s.Left != nil {
			result, reason = "kept", reasonLeft(s.Left)
		}
		t.row(printable(s.User), strconv.Itoa(s.Number), result, reason)
	}
	return t.flush()
}

// notRemoved is the error for dead sessions that are still there.
func notRemoved(swept []delegate.Swept) error {
	count := 0
	for _, s := range swept {
		if s.Left != nil && !errors.Is(s.Left, unix.EBUSY) {
			count++
		}
	}
	if count > 0 {
		return &failure{fmt.Sprintf("%d dead sessions could not be removed", count)}
	}
	return nil
}
