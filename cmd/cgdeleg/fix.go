package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

func newFix(s *settings) *cobra.Command {
	var t target
	var yes bool
	cmd := &cobra.Command{
		Use:   "fix [NAME]",
		Short: "Print the commands that fix what a check found, or run them",
		Long: `Print the commands that fix what the check NAME found. Where there are more ways
than one, "# or:" stands between them. With --yes the commands of the first way
are run, until one fails, but for those that only a person should run: commands
that are examples, or that touch an administrator's files (/etc/pam.d).

Without NAME, list what can be fixed.`,
		Example: `  cgdeleg fix
  cgdeleg fix subid
  sudo cgdeleg fix pam-line --pid $$ --yes`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				if yes {
					return &usageError{errors.New("--yes needs the name of what is to be fixed; cgdeleg fix lists what can be")}
				}
				return t.listFixes(cmd, s)
			}
			c, err := checkNamed(names[0])
			if err != nil {
				return err
			}
			if yes && s.root != "" {
				return &usageError{errRecorded}
			}
			t.probe = c.Name == "probe"
			f, err := t.facts(s.machine())
			if err != nil {
				return err
			}
			defer f.Close()
			findings := check.Run(f, []*check.Check{c}, nil)
			finding := findings[len(findings)-1] // behind what blocks it
			if f.IsRoot() && finding.Status == check.Skipped {
				return &usageError{errors.New("nothing was looked at: root needs no delegation; say whose login is meant with --user NAME, or --pid $$ for this shell")}
			}
			if finding.BlockedBy != "" {
				return &failure{fmt.Sprintf("fix another check first: cgdeleg fix %s", finding.BlockedBy)}
			}
			if finding.Status == check.Note && len(finding.Usage) > 0 {
				return printNote(cmd.OutOrStdout(), finding, yes)
			}
			if !finding.Status.IsTrouble() {
				return printf(cmd.OutOrStdout(), "# %s: nothing to fix: %s\n", c.Name, finding.Says)
			}
			if finding.Fix == nil {
				return &failure{fmt.Sprintf("%s: %s; no command fixes that", c.Name, finding.Says)}
			}
			out, err := screenOn(cmd.OutOrStdout(), s.color)
			if err == nil {
				err = printf(out, "%s%s", out.comment(c.Name+": "+finding.Says), out.comment(finding.Fix.Text))
			}
			if err != nil {
				return err
			}
			if !yes {
				for _, command := range finding.Fix.Commands {
					if command.Or {
						_ = printf(cmd.OutOrStdout(), "%s\n", orMark)
					}
					if err := printf(cmd.OutOrStdout(), "%s\n", command); err != nil {
						return err
					}
				}
				return nil
			}
			return runFix(cmd, f.Subject, finding.Fix)
		},
	}
	t.addFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "run the commands")
	return cmd
}

// comment is a text for people between commands for the shell.
func (s screen) comment(text string) markup {
	const mark = "# "
	return markup(mark+strings.ReplaceAll(string(s.wrap(text, len(mark))), "\n"+strings.Repeat(" ", len(mark)), "\n"+mark)) + "\n"
}

// listFixes lists what is wrong and has a fix.
func (t *target) listFixes(cmd *cobra.Command, s *settings) error {
	f, err := t.facts(s.machine())
	if err != nil {
		return err
	}
	defer f.Close()
	findings := check.Run(f, check.All(), nil)
	fixable := slices.DeleteFunc(problemsOf(f, findings), func(p check.Finding) bool { return p.Fix == nil })
	return s.paged(cmd, func(out screen) error { return printFixes(out, f, fixable) })
}

// printFixes shows what can be fixed, and how that is done.
func printFixes(out screen, f *check.Facts, fixable []check.Finding) error {
	if len(fixable) == 0 && f.IsRoot() {
		return printf(out, "There is nothing to fix for root, who needs no delegation; --user NAME says whose login is meant, --pid $$ this shell.\n")
	}
	if len(fixable) == 0 {
		return printf(out, "There is nothing to fix.\n")
	}
	t := newTable(out, "NAME", "RESULT", "WHAT IS WRONG")
	for _, p := range fixable {
		t.row(p.Name, strings.ToLower(statusWords[p.Status].word), p.Says)
	}
	return errors.Join(t.flush(), printf(out, "\n%s\n", out.wrap("cgdeleg fix NAME prints the commands, with the same options; with --yes it runs them.", 0)))
}

// printNote prints the lines of a note: what a program that is no problem's cause needs as
// well. They are for a person.
func printNote(w io.Writer, finding check.Finding, yes bool) error {
	if err := printf(w, "# %s: %s\n%s\n", finding.Name, finding.Says, strings.Join(finding.Usage, "\n")); err != nil {
		return err
	}
	if yes {
		return &failure{"nothing was run: this is for a person to do"}
	}
	return nil
}

// runFix runs the commands of a fix's first way, but for those that are a person's to run.
func runFix(cmd *cobra.Command, subject check.Subject, fix *check.Fix) error {
	ran := 0
	for _, c := range fix.Commands {
		if c.Or {
			break
		}
		if c.ByHand {
			_ = printf(cmd.OutOrStdout(), "# by hand: %s\n", c)
			continue
		}
		if c.Root && os.Geteuid() != 0 {
			return &privilegeError{fmt.Sprintf("%v needs root: run cgdeleg fix with sudo, with --pid $$ to mean this shell", c)}
		}
		_ = printf(cmd.OutOrStdout(), "%s\n", c)
		if err := runCommand(cmd, subject, c); err != nil {
			return &failure{fmt.Sprintf("%v: %v; the fix is not complete", c, err)}
		}
		ran++
	}
	if ran == 0 {
		return &failure{"nothing was run: this is for a person to do"}
	}
	return nil
}

// runCommand runs one command: as root what root has to run, and anything else
// as the user, whose files it may be about.
func runCommand(cmd *cobra.Command, subject check.Subject, c check.Command) error {
	program := c.Args[0]
	if program == "cgdeleg" { // which may not be in the path
		self, err := os.Executable()
		if err != nil {
			return err
		}
		program = self
	}
	command := exec.Command(program, c.Args[1:]...)
	command.Stdout, command.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if !c.Root && os.Geteuid() == 0 && subject.UID != 0 {
		who := &syscall.Credential{Uid: uint32(subject.UID), Gid: uint32(subject.GID)}
		for _, gid := range subject.Groups {
			who.Groups = append(who.Groups, uint32(gid))
		}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	}
	err := command.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return fmt.Errorf("it ended with %w", ended)
	}
	return err
}
