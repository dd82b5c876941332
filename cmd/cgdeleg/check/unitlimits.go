package check

import (
	"path"
	"slices"
	"strings"
)

// limitProperties are what sets a limit's file in systemd's units (systemd.resource-control(5)).
var limitProperties = map[string][]string{
	"pids.max":              {"TasksMax"},
	"memory.max":            {"MemoryMax"},
	"memory.limit_in_bytes": {"MemoryMax", "MemoryLimit"},
}

// unitLimit is a limit in a cgroup of systemd's, which writes its own value there again.
type unitLimit struct {
	unit, property string
	lines          []Evidence // of the unit's files, that say it
}

// unitLimitOf tells which unit of systemd's has that limit; isOne is false if none has.
func (f *Facts) unitLimitOf(file string) (l unitLimit, isOne bool) {
	properties := limitProperties[path.Base(file)]
	l.unit = path.Base(path.Dir(file))
	kind := path.Ext(l.unit)
	if !f.hasSystemd() || len(properties) == 0 || !slices.Contains([]string{".slice", ".scope", ".service"}, kind) {
		return l, false
	}
	l.property = properties[0]
	for _, name := range f.filesOfUnit(l.unit, kind) {
		for _, property := range properties {
			for _, a := range f.assignments(name, property) {
				if strings.EqualFold("."+a.section, kind) { // it is ignored in another
					l.lines = append(l.lines, a.evidence(property+"="+a.value))
				}
			}
		}
	}
	return l, true
}

// filesOfUnit returns a unit's file and its drop-ins: also those for all units that begin as
// it does up to a dash, for its template, and for all of its kind (systemd.unit(5)).
func (f *Facts) filesOfUnit(unit, kind string) (files []string) {
	dirs := []string{strings.TrimPrefix(kind, ".") + ".d", unit + ".d"}
	stem := strings.TrimSuffix(unit, kind)
	for i, letter := range stem {
		if letter == '-' && i+1 < len(stem) {
			dirs = append(dirs, stem[:i+1]+kind+".d")
		}
	}
	units := []string{unit}
	if name, _, isInstance := strings.Cut(stem, "@"); isInstance {
		template := name + "@" + kind
		units, dirs = append(units, template), append(dirs, template+".d")
	}
	for _, unitDir := range append([]string{"/etc/systemd/system.control", "/run/systemd/system.control"}, unitDirs...) {
		for _, name := range units {
			files = append(files, path.Join(unitDir, name))
		}
		for _, dir := range dirs {
			names, _ := f.Machine.ReadDir(path.Join(unitDir, dir))
			for _, name := range names {
				if strings.HasSuffix(name, ".conf") {
					files = append(files, path.Join(unitDir, dir, name))
				}
			}
		}
	}
	return files
}

// liftFix lifts limits where they are set: those of systemd's units in their files, or by
// systemctl, which writes one. What is written into the cgroup systemd writes over.
func (f *Facts) liftFix(r Result) Result {
	var commands []Command
	var seen []Evidence
	add := func(c Command) {
		if !slices.ContainsFunc(commands, func(have Command) bool { return slices.Equal(have.Args, c.Args) }) {
			commands = append(commands, c)
		}
	}
	isEdited, isOfLogins := false, false
	text := "raise the limits where they are set"
	for _, e := range r.Evidence { // one that is left leaves no more room than before
		if rule := f.ruleOf(e.Path); rule != nil { // what is lifted elsewhere comes again
			seen = append(seen, ruleEvidence(rule))
			for _, c := range f.raiseRule(rule) {
				add(c)
			}
			continue
		}
		l, isOne := f.unitLimitOf(e.Path)
		switch {
		case !isOne:
			isOfLogins = isOfLogins || f.isOfLogins(e.Path)
			add(byHand("sh", "-c", "echo "+unlimited(e.Path)+" >"+quote(e.Path)))
		case len(l.lines) == 0:
			add(byHand("systemctl", "set-property", l.unit, l.property+"=infinity"))
		default:
			isEdited = true
			seen = append(seen, l.lines...)
			add(byHand(append([]string{f.editor()}, filesOf(l.lines)...)...))
		}
	}
	if isEdited {
		text += ", and have systemd read its units again"
		add(byHand("systemctl", "daemon-reload"))
	}
	if isOfLogins {
		text += f.limitsAgain()
	}
	for _, e := range seen {
		if !slices.Contains(r.Evidence, e) {
			r.Evidence = append(r.Evidence, e)
		}
	}
	return r.fixed(text, commands...)
}
