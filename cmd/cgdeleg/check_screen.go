package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// statusWords are what the statuses are called on the screen, and how they are
// set off.
var statusWords = map[check.Status]struct {
	word string
	how  style
}{
	check.OK: {"ok", green}, check.Note: {"note", cyan}, check.Skipped: {"-", dim}, check.Warning: {"warning", yellow},
	check.Unknown: {"unknown", yellow}, check.Failed: {"FAILED", red},
}

// findingsText is a line for each check, and all that is known of a trouble.
func findingsText(s screen, findings []check.Finding) markup {
	var out strings.Builder
	wide := widest(findings)
	for _, f := range findings {
		s.write(&out, f, wide)
	}
	_ = printf(&out, "\n%s\n", summary(findings))
	return markup(out.String())
}

// problemsText is what is wrong or cannot be told, each with its cause and its fix, and
// what that comes to.
func problemsText(s screen, f *check.Facts, findings []check.Finding) markup {
	problems := problemsOf(f, findings)
	shown := problems
	if f.Partial { // of most nothing is known, and the conclusion names them
		shown = slices.DeleteFunc(slices.Clone(problems), func(p check.Finding) bool {
			return p.Status == check.Unknown && len(p.Evidence) == 0
		})
	}
	var out strings.Builder
	wide := widest(shown)
	for _, finding := range shown {
		s.write(&out, finding, wide)
	}
	if len(shown) > 0 {
		out.WriteByte('\n')
	}
	again := "cgdeleg check -v"
	if f.Partial {
		again = "The same command with -v"
	}
	_ = printf(&out, "%s\n%s\n%s lists all of them.\n", s.wrap(conclusion(f, problems)+podmanNeeds(f, findings), 0), summary(findings), again)
	return markup(out.String())
}

// problemsOf returns what is wrong or cannot be told for a reason of its own. Of what somebody
// has pasted nobody knows which programs there are.
func problemsOf(facts *check.Facts, findings []check.Finding) (problems []check.Finding) {
	for _, f := range findings {
		if f.Status == check.Unknown && f.IsOfClient() && facts.Partial {
			continue
		}
		if f.Status.IsTrouble() && f.BlockedBy == "" {
			problems = append(problems, f)
		}
	}
	return problems
}

// conclusion says in one sentence what the problems come to.
func conclusion(f *check.Facts, problems []check.Finding) string {
	name := f.Subject.Called()
	names := map[check.Status][]string{}
	for _, p := range problems {
		names[p.Status] = append(names[p.Status], p.Name)
	}
	failed, unknown := names[check.Failed], names[check.Unknown]
	switch {
	case f.IsRoot() && f.Partial:
		return "This says nothing about a user: for that, the files of a process of the user's are needed."
	case f.IsRoot():
		return "This says nothing about a user: for that, run cgdeleg check --user NAME."
	case len(failed) > 0 && !f.Partial && len(mayStop(f, problems)) > 0:
		return fmt.Sprintf("It cannot be told whether %s can start containers here: %s. They would lack cgroups or limits: %s.",
			name, checksHave(mayStop(f, problems), "is unknown", "are unknown"), checksFailed(failed))
	case len(failed) > 0:
		return failureOf(f, problems)
	case len(unknown) > 0:
		return fmt.Sprintf("It cannot be told whether %s can start containers here: %s.", name, checksHave(unknown, "is unknown", "are unknown"))
	case f.Subject.PID == 0:
		return fmt.Sprintf("A login of %s can start containers here.", name) + noClients(f)
	}
	controllers, places := f.Session()
	if len(controllers) == 0 && len(places) == 0 {
		return fmt.Sprintf("%s can start containers here.", name) + noClients(f)
	}
	if len(controllers) == 0 {
		return fmt.Sprintf("%s can start containers here, without any controllers, in %s.", name, strings.Join(places, " and ")) + noClients(f)
	}
	return fmt.Sprintf("%s can start containers here: %s, in %s.", name, strings.Join(controllers, " "), strings.Join(places, " and ")) + noClients(f)
}

// noClients is a sentence where nothing is seen that starts containers, or LXC would not
// start those that it makes; "" where all is there, or nobody knows.
func noClients(f *check.Facts) string {
	if file, failing := f.NewContainers(); len(failing) > 0 {
		return fmt.Sprintf(" But a new container that LXC makes from %s does not start: %s says why.", file, f.AskedAgain(append([]string{"--lxc-config", file}, failing...)...))
	}
	if f.HasClient() {
		return ""
	}
	return " But a program that starts them has to be installed first: no LXC, podman, runc or crun was found."
}

// mayStop returns the checks that could not be told and without which no container may start,
// where none has failed that keeps containers from that.
func mayStop(f *check.Facts, problems []check.Finding) (untold []string) {
	for _, p := range problems {
		switch {
		case p.Status == check.Failed && f.Stops(p):
			return nil
		case p.Status == check.Unknown && f.Stops(p):
			untold = append(untold, p.Name)
		}
	}
	return untold
}

// failureOf says what the failures come to: containers that do not start, or such without
// cgroups.
func failureOf(f *check.Facts, problems []check.Finding) string {
	if all, podmans := splitPodmans(f, problems); len(podmans) > 0 {
		return withoutPodman(f, problems, all, podmans)
	}
	var stops, without []string
	why := ""
	for _, p := range problems {
		switch {
		case p.Status != check.Failed:
		case f.Stops(p):
			stops = append(stops, p.Name)
			if reason := f.WhyStops(p); reason != "" {
				why = ", and " + reason
			}
		default:
			without = append(without, p.Name)
		}
	}
	name := f.Subject.Called()
	controllers, places := f.Partly(without)
	switch {
	case len(stops) == 0 && len(places) > 0 && len(controllers) > 0:
		return fmt.Sprintf("Containers of %s start here with cgroups for %s only, in %s: %s.", name, check.Controllers(controllers), strings.Join(places, " and "), checksFailed(without))
	case len(stops) == 0 && f.PodmanAsks():
		return fmt.Sprintf("Containers of %s start here without cgroups: %s. Those of podman have cgroups: podman asks systemd's user manager for them.", name, checksFailed(without))
	case len(stops) == 0:
		return fmt.Sprintf("Containers of %s start here without cgroups: %s.", name, checksFailed(without))
	case lackNetwork(problems, stops) && len(without) == 0:
		return fmt.Sprintf("Containers of %s start here only %s: %s.", name, noNetwork, checksFailed(stops))
	case lackNetwork(problems, stops):
		return fmt.Sprintf("Containers of %s start here only %s, and without cgroups: %s.", name, noNetwork, checksFailed(append(stops, without...)))
	case len(without) == 0:
		return fmt.Sprintf("Containers of %s do not start here: %s%s.", name, checksFailed(stops), why)
	}
	return fmt.Sprintf("Containers of %s do not start here: %s. They would have no cgroups either: %s.", name, checksFailed(stops), checksFailed(without))
}

// checksFailed says that checks failed.
func checksFailed(names []string) string { return checksHave(names, "failed", "failed") }

// checksHave says something of checks.
func checksHave(names []string, one, many string) string {
	if len(names) == 1 {
		return "the check " + names[0] + " " + one
	}
	return "the checks " + check.Listed(names) + " " + many
}

// podmanNeeds is a sentence where podman lacks something that it needs by default: where LXC
// is there as well that is no problem, and a user of podman is to know. So it is where a
// recording does not tell.
func podmanNeeds(f *check.Facts, findings []check.Finding) string {
	var names, unseen []string
	for _, finding := range findings {
		switch {
		case finding.Status == check.Note && strings.HasPrefix(finding.Name, "podman-"):
			names = append(names, finding.Name)
		case finding.Status == check.Skipped && finding.Says == check.UnseenOfPodman:
			unseen = append(unseen, finding.Name)
		}
	}
	switch {
	case len(names) > 0:
	case len(unseen) > 0:
		return " It was not recorded whether podman has what it needs: " + strings.Join(unseen, ", ") + "."
	default:
		return ""
	}
	return " podman needs something more: " + f.AskedAgain(names...) + " says what."
}

func widest(findings []check.Finding) (wide int) {
	for _, f := range findings {
		wide = max(wide, len(f.Name))
	}
	return wide
}

// write writes a finding, and of a trouble all that is known.
func (s screen) write(out io.Writer, f check.Finding, wide int) {
	word := statusWords[f.Status]
	_ = printf(out, "%s  %-*s  %s\n", s.styled(fmt.Sprintf("%-7s", word.word), word.how), wide, f.Name, s.wrap(f.Says, 11+wide))
	for _, line := range f.Usage {
		_ = printf(out, "%11s%s\n", "", s.styled(line, bold))
	}
	if !f.Status.IsTrouble() {
		return
	}
	for _, e := range f.Evidence {
		_ = printf(out, "%9s%s\n", "", s.wrapStyled(e.Path+": "+e.Value, 9, 2, dim))
	}
	if f.Fix == nil {
		return
	}
	_ = printf(out, "%9sfix: %s\n", "", s.wrap(f.Fix.Text, 14))
	for _, c := range f.Fix.Commands {
		if c.Or {
			_ = printf(out, "%11s%s\n", "", s.styled(orMark, dim))
		}
		_ = printf(out, "%11s%s\n", "", s.styled(c.String(), bold))
	}
}

// orMark stands between the commands of two ways to the same end. It does nothing where it
// is pasted into a shell with them.
const orMark = "# or:"

// narrowest is the least width of a text that is broken into lines: a column of single words
// helps nobody.
const narrowest = 40

// wrap breaks a text that begins in a column of a terminal into lines that begin there.
// Elsewhere, where programs read them, lines stay whole.
func (s screen) wrap(text string, column int) markup {
	if s.width < column+narrowest {
		return escape(text)
	}
	lines := wrapped(breakable(text, s.width-column), s.width-column)
	return markup(strings.ReplaceAll(string(escapeLines(lines)), "\n", "\n"+strings.Repeat(" ", column)))
}

// wrapOn is wrap where w is a screen, and else the text as it is.
func wrapOn(w io.Writer, text string, column int) markup {
	if s, isScreen := w.(screen); isScreen {
		return s.wrap(text, column)
	}
	return escape(text)
}

// wrapStyled is wrap for a text that is set off, whose further lines begin some columns to
// the right. One that needs only one line stays as it is, blanks and all.
func (s screen) wrapStyled(text string, column, further int, how style) markup {
	width := s.width - column - further
	if width < narrowest || len(text) <= width+further {
		return s.styled(text, how)
	}
	var out []string
	for line := range strings.SplitSeq(wrapped(breakable(text, width), width), "\n") {
		out = append(out, string(s.styled(line, how)))
	}
	return markup(strings.Join(out, "\n"+strings.Repeat(" ", column+further)))
}

// breakable puts a blank into words that are wider than a line, behind a letter that ends a
// part of them: of a path, or of a list. A word that has none stays whole.
func breakable(text string, width int) string {
	var out []string
	for _, word := range strings.Fields(text) {
		for len(word) > width {
			at := strings.LastIndexAny(word[:width], "/,")
			if at <= 0 {
				break
			}
			out = append(out, word[:at+1])
			word = word[at+1:]
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// escapeLines escapes each of the lines.
func escapeLines(text string) markup {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = string(escape(line))
	}
	return markup(strings.Join(lines, "\n"))
}

// sizeOf returns how many columns and lines a terminal has, 80 and 24 if it does not say.
func sizeOf(terminal *os.File) (columns, lines int) {
	columns, lines = 80, 24
	if size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ); err == nil {
		columns, lines = cmp.Or(int(size.Col), columns), cmp.Or(int(size.Row), lines)
	}
	return columns, lines
}
