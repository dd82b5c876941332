package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/limitcheck"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func newLimitsCheck(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong in the files of limits, and the fix",
		Long: `Read /etc/cgdeleg/limits.conf and limits.d/*.conf as a login does, and say of
each line what is wrong with it: errors of syntax, limits that do not exist,
lines that nobody can reach, users and groups that do not exist, limits that do
not go together, limits that this machine cannot set, or that are above what it
has, and files that are not read because of their names. Nothing is changed.

An error is what is ignored, or lets nobody in. A warning is what is most likely
not as it was meant.`,
		Example: `  cgdeleg limits check
  cgdeleg --root /tmp/r limits check --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := screenOn(cmd.OutOrStdout(), s.color); err != nil {
				return err // before the files are looked at
			}
			f := limitcheck.Gather(s.machine())
			defer f.Close()
			findings := limitcheck.Run(f)
			var err error
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), limitsCheckJSON(f, findings))
			} else {
				err = s.paged(cmd, func(out screen) error { return printf(out, "%s", limitsCheckText(out, f, findings)) })
			}
			if err != nil {
				return err
			}
			return limitsVerdict(cmd.ErrOrStderr(), f, findings)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs (docs/json.md)")
	return cmd
}

// limitsCheckText writes each finding as compilers do, with its fix below. On a terminal,
// where lines are broken, the message has lines of its own.
func limitsCheckText(s screen, f *limitcheck.Facts, findings []limitcheck.Finding) markup {
	const indent = 4
	between := " "
	if s.width > 0 {
		between = "\n" + strings.Repeat(" ", indent)
	}
	var out strings.Builder
	for _, finding := range findings {
		how := yellow
		if finding.Severity == limitcheck.Error {
			how = red
		}
		_ = printf(&out, "%s: %s:%s%s\n", s.styled(placeOf(finding), bold), s.styled(string(finding.Severity), how), markup(between), s.wrap(visible(finding.Message), indent))
		if finding.Fix != "" {
			_ = printf(&out, "%*sfix: %s\n", indent, "", s.wrap(visible(finding.Fix), indent+5))
		}
	}
	_ = printf(&out, "%s\n", s.wrap(limitsCheckSummary(f, findings), 0))
	return markup(out.String())
}

// placeOf is FILE:LINE:COLUMN, or the file alone.
func placeOf(f limitcheck.Finding) string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

func limitsCheckSummary(f *limitcheck.Facts, findings []limitcheck.Finding) string {
	if len(f.Config.Files) == 0 && len(findings) == 0 {
		return fmt.Sprintf("There are no limits: neither %s nor %s/*.conf exists.", limitsconf.File, limitsconf.Directory)
	}
	if len(findings) == 0 && f.Lines() == 0 {
		return plural(len(f.Config.Files), "file") + " without a line: there are no limits."
	}
	lines := fmt.Sprintf("%s in %s", plural(f.Lines(), "line"), plural(len(f.Config.Files), "file"))
	if len(findings) == 0 {
		return lines + ": nothing is wrong."
	}
	errs := 0
	for _, finding := range findings {
		if finding.Severity == limitcheck.Error {
			errs++
		}
	}
	return fmt.Sprintf("%s: %s, %s.", lines, plural(errs, "error"), plural(len(findings)-errs, "warning"))
}

// limitsVerdict is what the findings come to, as an exit code. That nobody recorded what a
// machine can set keeps nobody from checking the files of it.
func limitsVerdict(errOut io.Writer, f *limitcheck.Facts, findings []limitcheck.Finding) error {
	if f.SetError != nil {
		complain(errOut, "whether this machine can set the limits is not known: %v", f.SetError)
	}
	isError := func(f limitcheck.Finding) bool { return f.Severity == limitcheck.Error && !f.Unread }
	isUnread := func(f limitcheck.Finding) bool { return f.Unread }
	switch {
	case slices.ContainsFunc(findings, isError):
		return &exit{exitFailed}
	case slices.ContainsFunc(findings, isUnread), f.SetError != nil && !errors.Is(f.SetError, machine.ErrNotRecorded):
		return &exit{exitUnknown}
	}
	return nil
}

// What `cgdeleg limits check --json` writes; docs/json.md describes it.
type (
	jsonLimitsCheck struct {
		Schema   int                 `json:"schema"`
		Files    []string            `json:"files"`
		Lines    int                 `json:"lines"`
		Findings []jsonLimitsFinding `json:"findings"`
	}
	jsonLimitsFinding struct {
		File     string  `json:"file"`
		Line     *int    `json:"line"`
		Column   *int    `json:"column"`
		Severity string  `json:"severity"`
		Message  string  `json:"message"`
		Fix      *string `json:"fix"`
	}
)

func limitsCheckJSON(f *limitcheck.Facts, findings []limitcheck.Finding) jsonLimitsCheck {
	all := jsonLimitsCheck{Schema: schemaVersion, Files: orEmpty(f.Config.Files), Lines: f.Lines(), Findings: []jsonLimitsFinding{}}
	for _, finding := range findings {
		all.Findings = append(all.Findings, jsonLimitsFinding{
			File: finding.File, Line: known(finding.Line, finding.Line > 0), Column: known(finding.Column, finding.Line > 0),
			Severity: string(finding.Severity), Message: finding.Message, Fix: known(finding.Fix, finding.Fix != ""),
		})
	}
	return all
}
