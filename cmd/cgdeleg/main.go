// Package main is cgdeleg, the command-line tool beside pam_cgdeleg.so: it
// shows the sessions that the module made, removes those that are dead, opens
// and closes some for processes that did not come through PAM, and runs commands
// in cgroups of their own.
//
// Words for people, hints and exit codes live here; what is true of cgroups
// lives in package delegate. Data goes to standard output, words about trouble
// to standard error.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// version is set by the Makefile.
var version = "unknown"

// The exit codes.
const (
	exitFailed    = 1 // something is wrong or could not be done
	exitUsage     = 2 // the command line was not understood
	exitUnknown   = 3 // could not tell: /proc or /sys could not be read
	exitPrivilege = 4 // needs root
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings passed in. It returns the exit code.
func run(args []string, out, errOut io.Writer) int {
	root := newRoot()
	if len(args) > 0 && args[0] == cobra.ShellCompRequestCmd {
		describePlainly(root)
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	words, code := explainOf(cmd.CommandPath(), err)
	if words != "" {
		complain(errOut, "%s", words)
	}
	return code
}

// settings are the flags that all commands share.
type settings struct {
	root    string // of a recorded machine; empty: this one
	color   string // when to use colour
	noPager bool
}

// machine returns the machine that the commands look at.
func (s *settings) machine() machine.Machine {
	if s.root == "" {
		return machine.Machine{}
	}
	return machine.Recorded(s.root)
}

func newRoot() *cobra.Command {
	var s settings
	root := &cobra.Command{
		Use:   "cgdeleg",
		Short: "Cgroups for users: check, see and clean up what pam_cgdeleg makes at login",
		Example: `  cgdeleg check
  cgdeleg status
  cgdeleg usage`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          commandArgs,
		RunE:          needsCommand,
	}
	// which subcommands inherit
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{flagWords(cmd, err)} })
	root.PersistentFlags().StringVar(&s.root, "root", "", "look at the /proc and /sys recorded in `DIR` instead of this machine's")
	root.PersistentFlags().StringVar(&s.color, "color", "auto", "use colour: `WHEN` is auto, always or never")
	root.PersistentFlags().BoolVar(&s.noPager, "no-pager", false, "show long output without a pager")
	root.AddCommand(
		newCheck(&s), newFix(&s), newReport(&s),
		newTry(&s), newTryInside(), newStatus(&s), newUsage(&s), newTop(&s), newCleanup(&s), newLimits(&s), newServe(&s),
		newRun(&s), newRunInside(), newPath(&s), newOpen(&s), newClose(&s), newVersion(),
	)
	addHelp(root, &s)
	addCompletions(root, &s)
	return root
}

// needsCommand is what runs where a command has others below it, and none was given.
func needsCommand(cmd *cobra.Command, _ []string) error {
	_ = printUsageOf(cmd.ErrOrStderr(), cmd)
	return &usageError{errors.New("no command given")}
}

// commandArgs makes a word that is no command an error of usage.
func commandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return noCommand(cmd, args[0])
}

// usageArgs makes a wrong number of arguments an error of usage.
func usageArgs(fit cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if fit(cmd, args) == nil {
			return nil
		}
		usage := cmd.Parent().CommandPath() + " " + cmd.Use
		words := fmt.Errorf("an argument is missing; usage: %s", usage)
		if len(args) > 0 {
			words = fmt.Errorf("unexpected %q; usage: %s", strings.Join(args, " "), usage)
		}
		return orMeantUser(&usageError{words}, machine.Machine{}, cmd, args)
	}
}

// orMeantUser is the error, or where a word on the command line is an account's name, what is
// to be typed.
func orMeantUser(err error, m machine.Machine, cmd *cobra.Command, words []string) error {
	for _, word := range words {
		if _, none := account.ByName(m, word); none == nil && cmd.Flags().Lookup("user") != nil && check.ByName(word) == nil {
			return &usageError{fmt.Errorf("%s is a user: %s --user %s", printable(word), cmd.CommandPath(), printable(word))}
		}
	}
	return err
}
