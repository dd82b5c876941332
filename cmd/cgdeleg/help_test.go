package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// visibleCommands are all commands that help lists, with those below them.
func visibleCommands(root *cobra.Command) (all []*cobra.Command) {
	for _, command := range root.Commands() {
		if !command.Hidden {
			all = append(append(all, command), visibleCommands(command)...)
		}
	}
	return all
}

// Each command's help fits a terminal, has two examples that are understood, exit codes, and
// a word for each value.
func TestHelp(t *testing.T) {
	root := newRoot()
	for _, command := range append(visibleCommands(root), root) {
		t.Run(command.CommandPath(), func(t *testing.T) {
			text := string(helpText(command))
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
					t.Errorf("a line has %d columns: %s", n, line)
				}
			}
			if n := strings.Count(command.Example, "\n") + 1; command.Example == "" || n < 2 {
				t.Errorf("fewer than two examples: %s", command.Example)
			}
			for _, example := range callsIn(command.Example) {
				requireUnderstood(t, example)
			}
			_, below, _ := strings.Cut(command.CommandPath(), " ")
			words, isKnown := wordsByCommand[below]
			if !isKnown || words.undone == "" {
				t.Error("nothing is said of its exit codes, or of what it did not do")
			}
			codes := regexp.MustCompile(`(?m)^  [0-9N]  `).FindAllString(string(codeLines(words.codes)), -1)
			if len(codes) != len(words.codes) || !slices.ContainsFunc(words.codes, func(c exitWords) bool { return c.code == fmt.Sprint(exitUsage) }) {
				t.Errorf("exit codes are %v", words.codes)
			}
			command.Flags().VisitAll(func(f *pflag.Flag) {
				name, about := pflag.UnquoteUsage(f)
				if isValue := f.Value.Type() != "bool"; !f.Hidden && isValue && (name != strings.ToUpper(name) || !strings.Contains(about, name)) {
					t.Errorf("--%s: the value is called %q: %s", f.Name, name, about)
				}
			})
		})
	}
	for below := range wordsByCommand { // path comes with a later version of run
		if below != "" && !slices.ContainsFunc(visibleCommands(root), func(c *cobra.Command) bool { return c.CommandPath() == "cgdeleg "+below }) {
			t.Errorf("words of %q, which is no command", below)
		}
	}
}

// callsIn returns the arguments with which cgdeleg is called in each line of a text.
func callsIn(text string) (calls [][]string) {
	for line := range strings.Lines(text) {
		_, call, found := strings.Cut(" "+strings.ReplaceAll(line, "<(", " "), " cgdeleg ")
		if !found {
			continue
		}
		call, _, _ = strings.Cut(call, "   ") // what it is for
		for _, end := range []string{" && ", " | ", " >", " <", ")"} {
			call, _, _ = strings.Cut(call, end)
		}
		calls = append(calls, strings.Fields(call))
	}
	return calls
}

// requireUnderstood fails if there is no such command, or if it has no such options.
func requireUnderstood(t *testing.T, args []string) {
	t.Helper()
	for i, arg := range args {
		if arg == "$$" {
			args[i] = "4711"
		}
	}
	command, rest, err := newRoot().Find(args)
	if err == nil {
		err = command.ParseFlags(rest)
	}
	if err == nil {
		err = command.ValidateArgs(command.Flags().Args())
	}
	if err != nil {
		t.Errorf("cgdeleg %s: %v", strings.Join(args, " "), err)
	}
}

// cgdeleg(1) has examples of each command, whose command lines are understood.
func TestManualExamples(t *testing.T) {
	page := readDoc(t, "docs/man/cgdeleg.1.scd")
	examples := sectionOf(page, "examples")
	for _, command := range newRoot().Commands() {
		if command.Hidden {
			continue
		}
		_, text, _ := strings.Cut(examples, "\n## "+command.Name()+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
		text = strings.NewReplacer("++\n", "\n", `\`, "").Replace(text)
		calls := callsIn(text)
		if prompts := strings.Count(text, "$ ") + strings.Count(text, "# "); prompts < 2 || len(calls) == 0 {
			t.Errorf("%s has %d examples, %d of them of cgdeleg", command.Name(), prompts, len(calls))
		}
		for _, call := range calls {
			requireUnderstood(t, call)
		}
	}
	for _, heading := range []string{"ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"} {
		if sectionOf(page, heading) == "" {
			t.Errorf("there is no section %s", heading)
		}
	}
}

// Whatever is wrong with a command line: the words name it, say what was not done, and where
// the command's own help is.
func TestUsageErrors(t *testing.T) {
	for name, test := range map[string]struct{ args, words string }{
		"a command":           {"statsu", `"statsu" is no command of cgdeleg (did you mean status?); nothing was done; see cgdeleg --help`},
		"an alias":            {"docter", `"docter" is no command of cgdeleg (did you mean doctor?); nothing was done; see cgdeleg --help`},
		"a command below":     {"limits explian x", `"explian" is no command of cgdeleg limits (did you mean explain?); nothing was done; see cgdeleg limits --help`},
		"nothing like it":     {"frobnicate", `"frobnicate" is no command of cgdeleg; nothing was done; see cgdeleg --help`},
		"a shell":             {"completion bsh", `"bsh" is no command of cgdeleg completion (did you mean bash?); nothing was printed; see cgdeleg completion --help`},
		"a topic":             {"help limits aply", `"aply" is no command of cgdeleg limits (did you mean apply?); nothing was printed; see cgdeleg help --help`},
		"an option":           {"status --colr=never", `cgdeleg status has no option --colr (did you mean --color?); nothing was shown; see cgdeleg status --help`},
		"a shortened option":  {"cleanup --dry", `cgdeleg cleanup has no option --dry (did you mean --dry-run?); nothing was removed; see cgdeleg cleanup --help`},
		"a letter":            {"status -xl", `cgdeleg status has no option -x in -xl; nothing was shown; see cgdeleg status --help`},
		"one dash":            {"status -color=never", `cgdeleg status has no option -c in -color=never (did you mean --color=never?); nothing was shown; see cgdeleg status --help`},
		"no value":            {"open --user", `--user needs a value: --user NAME; no session was opened; see cgdeleg open --help`},
		"no value, short":     {"close -u", `-u (--user) needs a value: -u NAME; no session was closed; see cgdeleg close --help`},
		"no number":           {"check --nested two", `--nested "two": want a number; nothing was checked; see cgdeleg check --help`},
		"no time":             {"limits apply --wait soon", `--wait "soon": want seconds, or a time such as 500ms, 30s or 5m; no limit was set; see cgdeleg limits apply --help`},
		"a value too much":    {"fix --yes=subid", `--yes takes no value: cgdeleg fix --yes subid; nothing was fixed; see cgdeleg fix --help`},
		"no option at all":    {"status --=x", `"--=x" is no option; nothing was shown; see cgdeleg status --help`},
		"both":                {"check --pid 3 -u x", `--pid and --user exclude one another; nothing was checked; see cgdeleg check --help`},
		"a column":            {"status -o user,memroy", `-o "memroy": there is no such column (did you mean memory?); --list-columns has them all; nothing was shown; see cgdeleg status --help`},
		"a column of usage":   {"usage -o +swp", `-o "swp": there is no such column (did you mean swap?); --list-columns has them all; nothing was shown; see cgdeleg usage --help`},
		"a key":               {"usage --sort mem", `--sort "mem": want memory, cpu, tasks, io, oom or user (did you mean memory?); nothing was shown; see cgdeleg usage --help`},
		"a colour":            {"status --color yes", `--color "yes": want auto, always or never; nothing was shown; see cgdeleg status --help`},
		"a check":             {"check leef", `no check is called "leef" (did you mean leaf?); cgdeleg check --list has them all; nothing was checked; see cgdeleg check --help`},
		"a controller":        {"--root ../../delegate/testdata/openrc-v2 open --dry-run -u alice --pid 141 -c cpu,memroy", `-c "cpu,memroy": there is no controller memroy (did you mean memory?); no session was opened; see cgdeleg open --help`},
		"a named hierarchy":   {"--root ../../delegate/testdata/debian12-v1-hybrid open --dry-run -u alice --pid 1001 -c name=systmd", `-c "name=systmd": there is no controller name=systmd (did you mean name=systemd?); no session was opened; see cgdeleg open --help`},
		"what to do":          {"open -u alice --confined mov", `--confined "mov": want leave or move (did you mean move?); no session was opened; see cgdeleg open --help`},
		"whom to tell":        {"serve --oom quite", `--oom "quite": want tell, log or quiet (did you mean quiet?); nothing was started; see cgdeleg serve --help`},
		"a word too much":     {"version x", `unexpected "x"; usage: cgdeleg version; nothing was printed; see cgdeleg version --help`},
		"nothing to fix with": {"fix --yes", `--yes needs the name of what is to be fixed; cgdeleg fix lists what can be; nothing was fixed; see cgdeleg fix --help`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut strings.Builder
			code := run(strings.Fields(test.args), &out, &errOut)
			if want := "cgdeleg: " + test.words + "\n"; code != exitUsage || out.String() != "" || errOut.String() != want {
				t.Errorf("exit code %d, %s\ngot  %swant %s", code, out.String(), errOut.String(), want)
			}
		})
	}
}

func TestMeant(t *testing.T) {
	names := []string{"status", "usage", "top", "try", "limits", "cleanup", "procs", "procslimit"}
	for word, want := range map[string]string{
		"statsu": "status", "stat": "status", "USAGE": "usage", "usge": "usage", "tpo": "top", "clean": "cleanup", "limts": "limits",
		"": "", "x": "", "frobnicate": "", "pro": "", "proc": "procs", "t": "",
	} {
		if got := meant(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// What a machine lacks is no mistake of who names it, and a name that is like nothing may be
// one of a later kernel.
func TestMisspelt(t *testing.T) {
	s := settings{root: "../../delegate/testdata/openrc-v2"}
	for name, isMistake := range map[string]bool{
		"memory": false, "net_cls": false, "blkio": false, "freezer": false, "unified": false, "name=systemd": false, "quux": false,
		"memroy": true, "pid": true, "frezer": true,
	} {
		if err := misspelt(s.machine(), []string{"cpu", name}); (err != nil) != isMistake {
			t.Errorf("%s: %v", name, err)
		}
	}
}
