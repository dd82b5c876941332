package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandWords is what is said of a command beside what cobra knows.
type commandWords struct {
	// undone is what was not done where the command line was not understood.
	undone string
	codes  []exitWords
}

// exitWords are what an exit code says.
type exitWords struct{ code, words string }

// The exit codes that most commands have in common.
var (
	codeDone    = exitWords{"0", "done"}
	codeShown   = exitWords{"0", "all was shown"}
	codeUsage   = exitWords{"2", "the command line was not understood"}
	codeUnknown = exitWords{"3", "it could not be told: a file could not be read, or was not recorded"}
	codeRoot    = exitWords{"4", "only root can do that"}
)

// wordsByCommand are those of each command, by its name with those of the commands above it.
var wordsByCommand = map[string]commandWords{
	"check": {"nothing was checked", []exitWords{
		{"0", "nothing is wrong, or there are only warnings and notes"}, {"1", "a check failed; with --strict also a warning"}, codeUsage, {"3", "a check could not be told, and none failed"}, codeRoot,
	}},
	"fix": {"nothing was fixed", []exitWords{
		{"0", "the fix was printed or run, there is nothing to fix, or without NAME all was listed"}, {"1", "there is no fix, another check is to be fixed first, or a command failed"}, codeUsage, codeUnknown, codeRoot,
	}},
	"report": {"nothing was recorded", []exitWords{{"0", "the report is complete, but for what was said"}, {"1", "the report is not complete"}, codeUsage, codeUnknown, codeRoot}},
	"try": {"nothing was tried", []exitWords{
		{"0", "the user can make cgroups in such a session, and nothing is left of it"}, {"1", "the user can make none, or something is left"}, codeUsage, {"3", "it could not be told, or did not come to its end"}, codeRoot,
	}},
	"status":  {"nothing was shown", []exitWords{codeShown, {"1", "the output could not be written"}, codeUsage, codeUnknown}},
	"usage":   {"nothing was shown", []exitWords{codeShown, {"1", "the output could not be written"}, codeUsage, codeUnknown}},
	"top":     {"nothing was shown", []exitWords{{"0", "it was ended, or all looks are done"}, {"1", "the output could not be written"}, codeUsage, codeUnknown}},
	"cleanup": {"nothing was removed", []exitWords{{"0", "no dead session is left"}, {"1", "a dead session could not be removed"}, codeUsage, codeUnknown, codeRoot}},
	"limits":  {"nothing was done", []exitWords{{"2", "no command was given, or the command line was not understood"}}},
	"limits check": {"nothing was checked", []exitWords{
		{"0", "there are no errors; there may be warnings"}, {"1", "there are errors"}, codeUsage, {"3", "a file could not be read"},
	}},
	"limits explain": {"nothing was shown", []exitWords{codeShown, codeUsage, codeUnknown}},
	"limits apply": {"no limit was set", []exitWords{
		{"0", "all limits hold"}, {"1", "a limit could not be set, or not yet, or is not known"}, codeUsage, codeUnknown, codeRoot,
	}},
	"serve": {"nothing was started", []exitWords{{"0", "a signal ended it"}, {"1", "another one runs, or it could not go on"}, codeUsage, codeUnknown, codeRoot}},
	"run": {"nothing was run", []exitWords{
		{"N", "the command ended with N; the following are cgdeleg's own"}, {"1", "the cgroup could not be made, or a limit not be set: nothing was run"}, codeUsage, codeUnknown,
	}},
	"path": {"nothing was printed", []exitWords{codeShown, {"1", "there is no such place"}, codeUsage, codeUnknown}},
	"open": {"no session was opened", []exitWords{
		{"0", "the process is in a session, or with --dry-run all was printed"}, {"1", "it could not be opened"}, codeUsage, codeUnknown, codeRoot,
	}},
	"close": {"no session was closed", []exitWords{
		{"0", "the process has left the session"}, {"1", "it is in none, or the session could not be removed"}, codeUsage, codeUnknown, codeRoot,
	}},
	"version":               {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"help":                  {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"completion":            {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"completion bash":       {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"completion zsh":        {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"completion fish":       {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"completion powershell": {"nothing was printed", []exitWords{codeDone, codeUsage}},
	"": {"nothing was done", []exitWords{
		{"0", "all is well, or there are only warnings"}, {"1", "something is wrong, or could not be done"}, codeUsage, codeUnknown, codeRoot,
	}},
}

// wordsOf returns the words of the command with a path such as "cgdeleg limits check".
func wordsOf(path string) commandWords {
	_, below, _ := strings.Cut(path, " ")
	if w, known := wordsByCommand[below]; known {
		return w
	}
	return wordsByCommand[""]
}

// helpWidth is how wide help is, also on wider terminals, where lines are hard to read.
const helpWidth = 80

// helpText is the help of a command: what it does, how it is called, its options, exit codes
// and examples.
func helpText(cmd *cobra.Command) markup {
	var out strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	_ = printf(&out, "%s\n\n%s", escapeLines(strings.TrimSpace(about)), usageText(cmd))
	return markup(out.String())
}

// usageText is the help of a command without what it does.
func usageText(cmd *cobra.Command) markup {
	var out strings.Builder
	section := func(heading string, lines markup) {
		if lines != "" {
			_ = printf(&out, "%s%s:\n%s", markup(onlyIf(out.Len() > 0, "\n")), heading, lines)
		}
	}
	section("Usage", markup("  "+useLine(cmd)+"\n"))
	section("Commands", commandLines(cmd))
	section("Options", optionLines(cmd.LocalFlags(), nil))
	section("Options of all commands", optionLines(cmd.InheritedFlags(), nil))
	section("Exit codes", codeLines(wordsOf(cmd.CommandPath()).codes))
	section("Examples", markup(strings.TrimRight(cmd.Example, "\n")+onlyIf(cmd.Example != "", "\n")))
	if cmd.HasAvailableSubCommands() {
		_ = printf(&out, "\n%s COMMAND --help says more of a command, cgdeleg(1) of all.\n", cmd.CommandPath())
	}
	return markup(out.String())
}

// useLine is how a command is called.
func useLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " [OPTION]... COMMAND [ARGUMENT]..."
	}
	name, arguments, _ := strings.Cut(cmd.Use, " ")
	line := cmd.Parent().CommandPath() + " " + name
	areNamed := slices.ContainsFunc([]string{"-", "[-", "[OPTION]"}, func(p string) bool { return strings.HasPrefix(arguments, p) })
	if !areNamed {
		line += " [OPTION]..."
	}
	line += onlyIf(arguments != "", " "+arguments)
	if len(cmd.Aliases) > 0 {
		line += "\n  (or " + strings.Join(cmd.Aliases, ", ") + ")"
	}
	return line
}

// commandLines is a line for each command below one.
func commandLines(cmd *cobra.Command) markup {
	var lines [][2]string
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() || below.Name() == "help" {
			lines = append(lines, [2]string{below.Name(), below.Short})
		}
	}
	return twoColumns(lines)
}

// codeLines is a line for each exit code.
func codeLines(codes []exitWords) markup {
	var lines [][2]string
	for _, c := range codes {
		lines = append(lines, [2]string{c.code, c.words})
	}
	return twoColumns(lines)
}

// optionLines is what each option is for.
func optionLines(flags *pflag.FlagSet, lines [][2]string) markup {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, about := pflag.UnquoteUsage(f)
		option := "    --" + f.Name
		if f.Shorthand != "" {
			option = "-" + f.Shorthand + ", --" + f.Name
		}
		switch {
		case f.Name == "help":
			about = "this help"
		case f.Name == "version":
			about = "the version"
		case value == "":
		case f.NoOptDefVal != "":
			option += "[=" + value + "]"
		default:
			option += " " + value
		}
		switch f.DefValue {
		case "", "false", "0", "-1", "[]":
		default:
			about += "; " + f.DefValue + " without it"
		}
		lines = append(lines, [2]string{option, about})
	})
	return twoColumns(lines)
}

// twoColumns writes lines of a word and what there is to say of it.
func twoColumns(lines [][2]string) markup {
	wide := 0
	for _, line := range lines {
		wide = max(wide, utf8.RuneCountInString(line[0]))
	}
	indent := "\n" + strings.Repeat(" ", wide+4)
	var out strings.Builder
	for _, line := range lines {
		about := strings.ReplaceAll(wrapped(line[1], helpWidth-wide-4), "\n", indent)
		fmt.Fprintf(&out, "  %-*s  %s\n", wide, line[0], about)
	}
	return markup(out.String())
}

// addHelp gives all commands help in these words, by the pager where it is long.
func addHelp(root *cobra.Command, s *settings) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		err := s.paged(cmd, func(out screen) error { return printf(out, "%s", helpText(cmd)) })
		if err != nil {
			text, _ := explainOf(cmd.CommandPath(), err)
			complain(cmd.ErrOrStderr(), "%s", text)
		}
	})
	root.SetUsageFunc(func(cmd *cobra.Command) error { return printUsageOf(cmd.ErrOrStderr(), cmd) })
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultHelpCmd()
	root.CompletionOptions.DisableNoDescFlag = true
	root.InitDefaultCompletionCmd()
	if completion := commandNamed(root, "completion"); completion != nil {
		completion.Short = "Print a script that completes command lines, for a shell"
		completion.Long = "Print a script that completes commands, options and their values for a shell.\nThe packages install them; without these they belong where the shell looks."
		completion.Example = "  cgdeleg completion bash >/etc/bash_completion.d/cgdeleg\n  cgdeleg completion fish >~/.config/fish/completions/cgdeleg.fish"
		completion.Args = commandArgs
		completion.RunE = needsCommand
		for _, shell := range completion.Commands() {
			shell.Args = usageArgs(cobra.NoArgs)
			shell.Short = "Print the script for " + shell.Name()
			shell.Long = ""
			shell.Example = completionExamples[shell.Name()]
		}
	}
}

// completionExamples are how each shell takes its script.
var completionExamples = map[string]string{
	"bash":       "  . <(cgdeleg completion bash)\n  cgdeleg completion bash >/etc/bash_completion.d/cgdeleg",
	"zsh":        "  . <(cgdeleg completion zsh)\n  cgdeleg completion zsh >\"${fpath[1]}/_cgdeleg\"",
	"fish":       "  cgdeleg completion fish | source\n  cgdeleg completion fish >~/.config/fish/completions/cgdeleg.fish",
	"powershell": "  cgdeleg completion powershell | Out-String | Invoke-Expression\n  cgdeleg completion powershell >cgdeleg.ps1",
}

func printUsageOf(w io.Writer, cmd *cobra.Command) error { return printf(w, "%s", usageText(cmd)) }

// newHelp is cgdeleg help: the same as --help of a command.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Say what a command is for, and which options it has",
		Example: `  cgdeleg help check
  cgdeleg help limits apply`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			above, _, err := root.Find(args)
			if err != nil || above == root && len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, below := range above.Commands() {
				if below.IsAvailableCommand() {
					names = append(names, below.Name()+"\t"+below.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd := root
			for _, name := range args {
				below := commandNamed(cmd, name)
				if below == nil {
					return noCommand(cmd, name)
				}
				cmd = below
			}
			return cmd.Help()
		},
	}
}

// commandNamed returns the command below one that has a name; nil if there is none.
func commandNamed(above *cobra.Command, name string) *cobra.Command {
	for _, below := range above.Commands() {
		if below.Name() == name || below.HasAlias(name) {
			return below
		}
	}
	return nil
}

// noCommand is the error for a word that is no command below one.
func noCommand(above *cobra.Command, word string) error {
	var names []string
	for _, below := range above.Commands() {
		if below.IsAvailableCommand() {
			names = append(append(names, below.Name()), below.Aliases...)
		}
	}
	return &usageError{fmt.Errorf("%q is no command of %s%s", word, above.CommandPath(), didYouMean(word, names))}
}
