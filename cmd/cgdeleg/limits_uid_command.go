package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newLimits is `cgdeleg limits apply --uid UID`.
func newLimits(s *settings) *cobra.Command {
	uid, dryRun := -1, false
	apply := &cobra.Command{
		Use:  "apply --uid UID",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case s.root != "":
				return &usageError{errRecorded}
			case uid < 0:
				return &usageError{errors.New("--uid needs a user ID")}
			}
			return applyToUID(cmd, s.machine(), uid, dryRun)
		},
	}
	apply.Flags().IntVar(&uid, "uid", -1, "to the slice of a `UID` on a machine that systemd runs")
	apply.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only say what would be done")
	cmd := &cobra.Command{Use: "limits", Hidden: true, Args: usageArgs(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error {
		_ = cmd.Usage()
		return &usageError{errors.New("no command given")}
	}}
	cmd.AddCommand(apply)
	return cmd
}
