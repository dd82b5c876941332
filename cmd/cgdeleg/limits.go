package main

import (
	"github.com/spf13/cobra"
)

func newLimits(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Limits of users and sessions: what /etc/cgdeleg/limits.conf says",
		Long: `Say what is wrong in the files of limits, which limits a user gets, and give
them to live sessions. The files are those of cgdeleg-limits.conf(5).`,
		Example: `  cgdeleg limits check
  cgdeleg limits explain alice`,
		Args: commandArgs,
		RunE: needsCommand,
	}
	cmd.AddCommand(newLimitsCheck(s), newLimitsExplain(s), newLimitsApply(s))
	return cmd
}
