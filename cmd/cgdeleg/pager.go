package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// pagers are tried where PAGER is not set, as systemd's programs do.
var pagers = []string{"pager", "less", "more"}

// lessOptions are -F, which ends less where one screen shows all, -R, which lets colours
// through, and -X, which leaves what was shown on the terminal.
const lessOptions = "FRX"

// paged shows what a command only looked at: by a pager where the terminal is too small for
// it.
func (s *settings) paged(cmd *cobra.Command, show func(out screen) error) error {
	out, err := screenOn(cmd.OutOrStdout(), s.color)
	if err != nil {
		return err
	}
	pager := s.pager(out)
	if pager == nil {
		return show(out)
	}
	var text strings.Builder
	shown := out
	shown.Writer = &text
	err = show(shown)
	return errors.Join(err, out.page(text.String(), pager))
}

// pager returns the command of the pager, nil where there is to be none.
func (s *settings) pager(out screen) []string {
	if s.noPager || !out.isTerminal || isDumb() {
		return nil
	}
	if isSecure() {
		return secureLess()
	}
	if command, isSet := os.LookupEnv("PAGER"); isSet {
		if command = strings.TrimSpace(command); command == "" || command == "cat" {
			return nil
		}
		return []string{"/bin/sh", "-c", command}
	}
	for _, name := range pagers {
		if path, err := lookPath(name); err == nil {
			return []string{path}
		}
	}
	return nil
}

// isSecure tells whether the pager must not be a way to a shell, or to other files: this is
// another user than the one who asks, who may be allowed this command alone (sudoers(5)).
func isSecure() bool {
	if name := os.Getenv("DOAS_USER"); name != "" && name != "root" {
		return true
	}
	return slices.ContainsFunc(askers(), func(uid int) bool { return uid != os.Geteuid() })
}

// secureLess returns less, if it is the one that knows LESSSECURE. That of busybox does not:
// it reads, and writes, any file.
func secureLess() []string {
	path, err := lookPathOfRoot("less")
	if err != nil {
		return nil
	}
	command := exec.Command(path, "--version")
	command.Env = secureEnvironment()
	if version, err := command.Output(); err != nil || !bytes.HasPrefix(version, []byte("less ")) {
		return nil
	}
	return []string{path}
}

// secureEnvironment is the environment of a secure less. Of the asker's variables it has what
// the terminal needs: others run a program (LESSOPEN), take the security back
// (LESSSECURE_ALLOW), or name a file that does (HOME, LESSKEYIN).
func secureEnvironment() []string {
	env := []string{"LESSSECURE=1"}
	for _, name := range []string{"TERM", "LANG", "LC_ALL", "LC_CTYPE"} {
		if value, isSet := os.LookupEnv(name); isSet {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// isDumb tells whether the terminal can do no more than write lines.
func isDumb() bool {
	term := os.Getenv("TERM")
	return term == "" || term == "dumb"
}

// page shows a text on the terminal, by the pager if it is too long for that. A pager that
// cannot be started is done without.
func (s screen) page(text string, pager []string) error {
	if s.linesOf(text) < s.height {
		return printf(s, "%s", markup(text))
	}
	command := exec.Command(pager[0], pager[1:]...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(text), s.Writer, os.Stderr
	command.Env = os.Environ()
	if isSecure() {
		command.Env = secureEnvironment()
	}
	command.Env = append(command.Env, "LESS="+lessOptions)
	if s.utf8 {
		command.Env = append(command.Env, "LESSCHARSET=utf-8")
	}
	// ^C is for the pager. Caught and not ignored, because it would inherit the latter.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT)
	defer signal.Stop(signals)
	err := command.Run()
	var ended *exec.ExitError
	if isStarted := err == nil || errors.As(err, &ended) && ended.ExitCode() != 126 && ended.ExitCode() != 127; !isStarted {
		return printf(s, "%s", markup(text))
	}
	return nil // what the pager ended with says nothing of the command
}

// linesOf counts how many lines of the terminal a text takes.
func (s screen) linesOf(text string) (lines int) {
	for line := range strings.Lines(text) {
		columns := utf8.RuneCountInString(withoutStyles(strings.TrimSuffix(line, "\n")))
		lines += 1 + max(0, columns-1)/s.width
	}
	return lines
}

// withoutStyles returns a text without the sequences that set words off.
func withoutStyles(text string) string {
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		if !found {
			return text
		}
		_, after, _ := strings.Cut(rest, "m")
		text = before + after
	}
}
