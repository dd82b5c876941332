package main

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// printTree shows users, their sessions, and the cgroups below those, in the
// manner of systemd-cgls.
func printTree(out screen, m machine.Machine, sessions []delegate.Session) error {
	buffered := bufio.NewWriter(out)
	t := treePrinter{screen: out, w: buffered}
	for i := range sessions {
		s := &sessions[i]
		if i == 0 || sessions[i-1].User != s.User {
			t.entry("", "", printable(s.User), bold)
		}
		last := i == len(sessions)-1 || sessions[i+1].User != s.User
		text, how := t.describe(s)
		t.entry(t.branch(last), t.trunk(last)+"  ", text, how)
		children, more := delegate.ChildrenOf(m, s)
		t.children(t.trunk(last), children, more)
	}
	return buffered.Flush()
}

type treePrinter struct {
	screen
	w *bufio.Writer
}

// entry prints a line, or on a narrow terminal some, of which the others begin with below.
func (t *treePrinter) entry(prefix, below, text string, how style) {
	lines := []string{text}
	if room := t.width - utf8.RuneCountInString(prefix); t.width > 0 && room > utf8.RuneCountInString(below) {
		lines = strings.Split(wrapped(visible(text), room-2), "\n") // below is longer by that
	}
	for i, line := range lines {
		if i > 0 {
			prefix = below
		}
		_ = printf(t.w, "%s%s\n", prefix, t.styled(line, how))
	}
}

// branch is what stands in front of an entry.
func (t *treePrinter) branch(last bool) string {
	if last {
		return t.pick("└─", "`-")
	}
	return t.pick("├─", "|-")
}

// trunk is what stands in front of what is below an entry.
func (t *treePrinter) trunk(last bool) string {
	if last {
		return "  "
	}
	return t.pick("│ ", "| ")
}

func (t *treePrinter) describe(s *delegate.Session) (text string, how style) {
	name := sessionName(s)
	if s.Number >= 0 && s.Scope != "" {
		name += " (" + scopeName(s) + ")"
	}
	words := []string{onlyIf(s.Leader.PID != 0, fmt.Sprintf("%s %d", printable(s.Leader.Name), s.Leader.PID)), humanAge(s.Age)}
	if s.Processes() == 0 {
		words = append([]string{"dead"}, words...)
	} else {
		words = append(words, countOf(s.Processes()), humanBytes(s.Memory()))
	}
	text = name + ": " + joined(append(words, strings.Join(controllersOf(s), " ")))
	switch {
	case s.Own:
		return text + " (you are here)", bold
	case s.Processes() == 0:
		return text, dim
	}
	return text, ""
}

func (t *treePrinter) children(prefix string, children []delegate.Child, more bool) {
	for i, c := range children {
		last := i == len(children)-1 && !more
		text := printable(c.Name) + ": " + joined([]string{countOf(c.Processes), humanBytes(c.Memory)})
		how := style("")
		if c.Processes == 0 {
			how = dim
		}
		t.entry(prefix+t.branch(last), prefix+t.trunk(last)+"  ", text, how)
		t.children(prefix+t.trunk(last), c.Children, c.More)
	}
	if more {
		t.entry(prefix+t.branch(true), "", t.pick("…", "..."), "")
	}
}

func countOf(processes int) string {
	if processes == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", processes)
}

// joined leaves out what is not known.
func joined(words []string) string {
	var known []string
	for _, w := range words {
		if w != "" {
			known = append(known, w)
		}
	}
	return strings.Join(known, ", ")
}
