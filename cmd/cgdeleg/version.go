package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  cgdeleg version
  cgdeleg version --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Schema       int    `json:"schema"`
					Version      string `json:"version"`
					Go           string `json:"go"`
					Architecture string `json:"architecture"`
				}{schemaVersion, version, runtime.Version(), runtime.GOARCH})
			}
			return printf(cmd.OutOrStdout(), "cgdeleg %s\n", version)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
