package check

import (
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/twin"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// ignoredIn returns those limits of a container's that LXC ignores on that version of
// cgroups. A configuration that sets a limit for both has nothing wrong.
func ignoredIn(limits []lxcconf.Limit, isUnified bool) (ignored []lxcconf.Limit) {
	for _, l := range limits {
		isSet := func(o lxcconf.Limit) bool {
			return o.Unified == isUnified && slices.ContainsFunc(twinsOf([]lxcconf.Limit{l}, isUnified), func(t twin.Setting) bool { return t.File == o.File })
		}
		if l.Unified != isUnified && !slices.ContainsFunc(limits, isSet) {
			ignored = append(ignored, l)
		}
	}
	return ignored
}

// twinsOf returns what sets on that version of cgroups what the limits set on the other.
func twinsOf(limits []lxcconf.Limit, isUnified bool) []twin.Setting {
	var settings []twin.Setting
	for _, l := range limits {
		settings = append(settings, twin.Setting{File: l.File, Value: l.Value})
	}
	if isUnified {
		return twin.OnV2(settings)
	}
	return twin.OnV1(settings)
}

// limitKey is how a container's configuration calls a file of that version of cgroups.
func limitKey(isUnified bool, file string) string {
	if isUnified {
		return "lxc.cgroup2." + file
	}
	return "lxc.cgroup." + file
}

// limitLines are the lines that set these limits, but for those whose file is known not to be
// there.
func (f *Facts) limitLines(settings []twin.Setting, isUnified bool) (lines []string) {
	for _, s := range settings {
		if _, answer := f.limitFile(lxcconf.Limit{Unified: isUnified, File: s.File}); answer != machine.Absent {
			lines = append(lines, limitKey(isUnified, s.File)+" = "+s.Value)
		}
	}
	return lines
}

// ignoredLimits is the result for limits that are for another version of cgroups than this.
func (f *Facts) ignoredLimits(limits []lxcconf.Limit, isUnified bool) Result {
	var evidence []Evidence
	for _, l := range limits {
		evidence = append(evidence, limitEvidence(l))
	}
	version := "v1"
	if isUnified {
		version = "v2"
	}
	text := "remove these limits: cgroup " + version + " has nothing that does the same"
	if lines := f.limitLines(twinsOf(limits, isUnified), isUnified); len(lines) > 0 {
		text = "in place of these limits write, for cgroup " + version + ": " + strings.Join(lines, "; ")
	}
	var edit []Command
	for _, file := range filesOf(evidence) {
		edit = append(edit, f.editAny(file))
	}
	return warning("limits of the container are for the other version of cgroups, and LXC ignores them", evidence...).fixed(text, edit...)
}

// limitFile looks for the file into which LXC writes a limit. The container's cgroup, which is
// still to be made, has the files of the session's. What is in no hierarchy of the session's
// is not looked for: that the controller is lacking is said already.
func (f *Facts) limitFile(l lxcconf.Limit) (dir string, answer machine.Answer) {
	controller, _, _ := strings.Cut(l.File, ".")
	if l.Unified && controller == "devices" || strings.Contains(l.File, "/") {
		return "", machine.Found // a BPF program; a path that is nobody's mistake
	}
	for i := range f.locations {
		at := &f.locations[i]
		isIt := at.IsUnified() == l.Unified && (l.Unified || slices.Contains(at.Controllers, controller))
		if isIt && at.delegated() {
			return at.path(), f.findLimit(at.path(l.File))
		}
	}
	return "", machine.Unknown
}

// findLimit looks for a limit's file. What is not in an old recording nobody has looked for.
func (f *Facts) findLimit(file string) machine.Answer {
	answer := f.Machine.Find(file)
	if answer == machine.Absent && f.isBeforeAbsent() {
		return machine.Unknown
	}
	return answer
}

// checkLimitFiles looks whether the session has the files of the limits that LXC sets here.
func (f *Facts) checkLimitFiles(limits []lxcconf.Limit) Result {
	isUnseen := ""
	for _, l := range limits {
		if f.ignores(l) {
			continue
		}
		switch dir, answer := f.limitFile(l); {
		case dir != "" && answer == machine.Absent:
			return f.noLimitFile(l, dir)
		case dir != "" && answer == machine.Unknown && isUnseen == "":
			isUnseen = path.Join(dir, l.File)
		}
	}
	if isUnseen != "" {
		return unknown("it cannot be told whether the session has the file of a limit", errNotRecorded(isUnseen))
	}
	return ok("")
}

// noLimitFile is the result for a limit whose file is not there: it is the other version's
// name, or a wrong one.
func (f *Facts) noLimitFile(l lxcconf.Limit, dir string) Result {
	r := failed("the session's cgroup has no file "+l.File+", into which LXC would write a limit of the container's: LXC refuses to start the container",
		limitEvidence(l), Evidence{path.Join(dir, l.File), "is not there"})
	if lines := f.limitLines(twinsOf([]lxcconf.Limit{l}, l.Unified), l.Unified); len(lines) > 0 {
		return r.fixed("in place of "+l.Item.Key+" write "+strings.Join(lines, "; "), f.editAny(l.Item.File))
	}
	if strings.HasPrefix(l.File, swapFiles) {
		return f.noSwapFiles(r, l)
	}
	const mostEdits = 2
	names, _ := f.Machine.ReadDir(dir)
	for _, name := range names {
		if strings.Contains(name, ".") && edits(name, l.File) <= mostEdits {
			return r.fixed("in place of "+l.Item.Key+" write "+limitKey(l.Unified, name)+" = "+l.Value, f.editAny(l.Item.File))
		}
	}
	return r.fixed("write the name of a file that "+dir+" has, or remove the line of "+l.Item.Key, f.editAny(l.Item.File))
}
