package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newLimits(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Limits of users and sessions: what /etc/cgdeleg/limits.conf says",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Usage()
			return &usageError{errors.New("no command given")}
		},
	}
	cmd.AddCommand(newLimitsCheck(s), newLimitsExplain(s), newLimitsApply(s))
	return cmd
}
