package check

import (
	"path"
	"slices"
	"strings"
)

// delegation is what all lines of a unit's files with Delegate= come to. A list adds to those
// before it, an empty one and no begin anew (systemd.resource-control(5), config_parse_delegate).
type delegation struct {
	isOn  bool
	isAll bool // yes: every controller
	names []string
	last  assignment // of the lines; without a file if there is none
	reset assignment // the last that took away what those before it gave
}

// has tells whether systemd delegates the controller.
func (d delegation) has(controller string) bool {
	return d.isOn && (d.isAll || slices.Contains(d.names, controller))
}

// line returns the last of the lines.
func (d delegation) line() string { return "Delegate=" + d.last.value }

// add has a line of the unit's counted.
func (d *delegation) add(a assignment) {
	d.last = a
	switch {
	case a.value == "":
		d.isOn, d.isAll, d.names, d.reset = true, false, nil, a
	case isNo(a.value):
		d.isOn, d.isAll, d.names, d.reset = false, false, nil, a
	case isYes(a.value):
		d.isOn, d.isAll = true, true
	default:
		d.isOn, d.names = true, append(d.names, strings.Fields(a.value)...)
	}
}

// delegationOf reads a unit's files, which are in systemd's order. Lines in another section
// are ignored.
func (f *Facts) delegationOf(files []string, section string) (d delegation) {
	for _, file := range files {
		for _, a := range f.assignments(file, "Delegate") {
			if a.section == section {
				d.add(a)
			}
		}
	}
	return d
}

// ofScopes is what systemd delegates to the scopes of logins.
func (f *Facts) ofScopes() delegation { return f.delegationOf(f.unitDropIns(), "Scope") }

// ofUserManager is what systemd delegates to the subject's user manager.
func (f *Facts) ofUserManager() delegation {
	return f.delegationOf(f.filesInOrder(userManagerUnit(f.Subject.UID), ".service"), "Service")
}

// afterReset returns a drop-in's path that systemd reads after the line that took controllers
// away, where it would otherwise be read before it; "" if no name comes after that.
func (d delegation) afterReset(dropIn string) string {
	dir, name, last := path.Dir(dropIn), path.Base(dropIn), path.Base(d.reset.file)
	if d.reset.file == "" || !strings.HasSuffix(path.Dir(d.reset.file), ".d") || name > last {
		return dropIn
	}
	if name = "zz-" + strings.TrimLeft(name, "0123456789-"); name > last {
		return path.Join(dir, name)
	}
	return ""
}

// isYes tells whether a value of systemd's is one of its words for yes (parse_boolean).
func isYes(value string) bool {
	return slices.Contains([]string{"yes", "y", "true", "t", "on", "1"}, strings.ToLower(strings.TrimSpace(value)))
}

func isNo(value string) bool {
	return slices.Contains([]string{"no", "n", "false", "f", "off", "0"}, strings.ToLower(strings.TrimSpace(value)))
}
