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

// parseState undoes formatState. Each number begins a state, and the last one
// counts: those before it were attempts that lost a race. Nil means that there
// is no state, or none that can be used: the close then goes by the process
// alone.
func parseState(state string) *delegate.Opened {
	var opened *delegate.Opened
	for line := range strings.Lines(state) {
		line = strings.TrimSuffix(line, "\n")
		name, path, isFormer := strings.Cut(line, ":")
		switch {
		case !isFormer:
			number, err := strconv.Atoi(line)
			if err != nil || number < 0 {
				return nil
			}
			opened = &delegate.Opened{Number: number}
		case opened == nil || name == "":
			return nil
		default:
			opened.Former = append(opened.Former, hierarchy.Membership{Hierarchy: name, Path: path})
		}
	}
	return opened
}
