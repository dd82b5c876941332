package worker

import (
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// formatState writes what the close must know, as lines: the session's number,
// then "HIERARCHY:PATH" for each former cgroup, as /proc/PID/cgroup has them.
// The kernel allows no newline in either.
func formatState(opened *delegate.Opened) []string {
	lines := []string{strconv.Itoa(opened.Number)}
	for _, m := range opened.Former {
		lines = append(lines, m.Hierarchy+":"+m.Path)
	}
	return lines
}

// parseState undoes formatState. Nil means that there is no state, or none that
// can be used: the close then goes by the process alone.
func parseState(state string) *delegate.Opened {
	first, rest, _ := strings.Cut(state, "\n")
	number, err := strconv.Atoi(first)
	if err != nil || number < 0 {
		return nil
	}
	opened := &delegate.Opened{Number: number}
	for line := range strings.Lines(rest) {
		name, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok || name == "" {
			return nil
		}
		opened.Former = append(opened.Former, hierarchy.Membership{Hierarchy: name, Path: path})
	}
	return opened
}
