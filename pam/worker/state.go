package worker

import (
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// formatState writes what the close must know, as lines: the session's number,
// then "HIERARCHY:PATH" for each former cgroup, as /proc/PID/cgroup has them, and
// "+HIERARCHY:PATH" for each of elogind's that was adopted. The kernel allows no
// newline in these, nor a plus in a hierarchy's name.
func formatState(opened *delegate.Opened) []string {
	lines := []string{strconv.Itoa(opened.Number)}
	for _, m := range opened.Former {
		lines = append(lines, m.Hierarchy+":"+m.Path)
	}
	for _, m := range opened.Elogind {
		lines = append(lines, "+"+m.Hierarchy+":"+m.Path)
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
		name, path, isCgroup := strings.Cut(line, ":")
		name, isElogind := strings.CutPrefix(name, "+")
		switch {
		case !isCgroup:
			number, err := strconv.Atoi(line)
			if err != nil || number < -1 {
				return nil
			}
			opened = &delegate.Opened{Number: number}
		case opened == nil || name == "" || !isElogind && opened.Number < 0:
			return nil
		case isElogind:
			opened.Elogind = append(opened.Elogind, hierarchy.Membership{Hierarchy: name, Path: path})
		default:
			opened.Former = append(opened.Former, hierarchy.Membership{Hierarchy: name, Path: path})
		}
	}
	return opened
}
