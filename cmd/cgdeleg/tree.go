package main

import (
	"bufio"
	"fmt"
	"strings"

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
			t.line("", out.styled(printable(s.User), bold))
		}
		last := i == len(sessions)-1 || sessions[i+1].User != s.User
		t.line(t.branch(last), t.describe(s))
		children, more := delegate.ChildrenOf(m, s)
		t.children(t.trunk(last), children, more)
	}
	return buffered.Flush()
}

type treePrinter struct {
	screen
	w *bufio.Writer
}

func (t *treePrinter) line(prefix string, text markup) { _ = printf(t.w, "%s%s\n", prefix, text) }

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

func (t *treePrinter) describe(s *delegate.Session) markup {
	name := sessionName(s)
	if s.Number >= 0 && s.Scope != "" {
		name += " (" + scopeName(s) + ")"
	}
	how := []string{onlyIf(s.Leader.PID != 0, fmt.Sprintf("%s %d", printable(s.Leader.Name), s.Leader.PID)), humanAge(s.Age)}
	if s.Processes() == 0 {
		how = append([]string{"dead"}, how...)
	} else {
		how = append(how, countOf(s.Processes()), humanBytes(s.Memory()))
	}
	text := name + ": " + joined(append(how, strings.Join(controllersOf(s), " ")))
	switch {
	case s.Own:
		return t.styled(text+" (you are here)", bold)
	case s.Processes() == 0:
		return t.styled(text, dim)
	}
	return escape(text)
}

func (t *treePrinter) children(prefix string, children []delegate.Child, more bool) {
	for i, c := range children {
		last := i == len(children)-1 && !more
		text := printable(c.Name) + ": " + joined([]string{countOf(c.Processes), humanBytes(c.Memory)})
		if c.Processes == 0 {
			t.line(prefix+t.branch(last), t.styled(text, dim))
		} else {
			t.line(prefix+t.branch(last), escape(text))
		}
		t.children(prefix+t.trunk(last), c.Children, c.More)
	}
	if more {
		t.line(prefix+t.branch(true), escape(t.pick("…", "...")))
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
