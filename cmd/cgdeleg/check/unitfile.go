package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// assignment is a line of a file of systemd's units that sets something (systemd.syntax(7)).
type assignment struct {
	file, section, value string
	number               int
	isOnly               bool // nothing but this is in its section from here on
}

func (a assignment) evidence(text string) Evidence {
	return Evidence{fmt.Sprintf("%s:%d", a.file, a.number), text}
}

// assignments returns the lines of a unit's file that set that, in whichever section. systemd
// ignores those that are in another section than the kind of unit has.
func (f *Facts) assignments(file, name string) (all []assignment) {
	data, _ := f.Machine.ReadFile(file)
	section, number := "", 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		key, value, isSet := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		case isSet && strings.TrimSpace(key) == name:
			all = append(all, assignment{file, section, strings.TrimSpace(value), number, true})
		default:
			for i := range all {
				all[i].isOnly = all[i].isOnly && all[i].section != section
			}
		}
	}
	return all
}

// misplacedDelegate returns the last line of a drop-in for session scopes that is to delegate
// them and that systemd ignores, as it is not in the section [Scope].
func (f *Facts) misplacedDelegate() (last assignment, isOne bool) {
	for _, file := range f.unitDropIns() {
		for _, a := range f.assignments(file, "Delegate") {
			if a.section != "Scope" {
				last, isOne = a, true
			}
		}
	}
	return last, isOne
}

// misplacedResult is the result for such a line, where none in its place delegates the scopes.
func (f *Facts) misplacedResult(a assignment, again string) Result {
	where := "it is in no section"
	if a.section != "" {
		where = "it is in the section [" + a.section + "], and not in [Scope]"
	}
	r := failed("systemd does not delegate the scopes of logins: it ignores Delegate= in "+a.file+", because "+where,
		append(f.scopeEvidence(), a.evidence("Delegate="+a.value))...)
	edit := byHand(f.editor(), a.file)
	if a.isOnly && strings.HasPrefix(a.file, "/etc/") && !f.isBuilt() {
		edit = asRoot("sed", "-i", fmt.Sprintf("%di [Scope]", a.number), a.file)
	}
	return r.fixed("write the line [Scope] before it, have systemd read that, "+again, edit, asRoot("systemctl", "daemon-reload"))
}

// disabledByUnit is for DisableControllers= of a unit in which the session is: no cgroup below
// that gets the controller, whatever Delegate= says (systemd.resource-control(5)).
func (f *Facts) disabledByUnit(controller string) *cause {
	h := f.unified()
	l := f.placeOn(h)
	if !f.hasSystemd() || l == nil || l.err != nil {
		return nil
	}
	for unit := range strings.SplitSeq("-.slice"+l.base, "/") {
		kind := path.Ext(unit)
		section := map[string]string{".slice": "Slice", ".scope": "Scope", ".service": "Service"}[kind]
		if section == "" {
			break
		}
		if at, isOff := f.disables(unit, kind, section, controller); isOff {
			return &cause{
				says: at.file + " names it in DisableControllers=", evidence: at.evidence("DisableControllers=" + at.value),
				fix: Fix{
					Text:     "take " + controller + " out of DisableControllers= there, have systemd read that, end all sessions of " + f.Subject.Name + ", and log in again",
					Commands: []Command{byHand(f.editor(), at.file), asRoot("systemctl", "daemon-reload")},
				},
			}
		}
		if kind != ".slice" {
			break // what is below is none of this systemd's
		}
	}
	return nil
}

// disables returns the line by which a unit turns a controller off. Each line adds to those
// before it, and one without a value begins anew.
func (f *Facts) disables(unit, kind, section, controller string) (at assignment, isOff bool) {
	for _, file := range f.filesInOrder(unit, kind) {
		for _, a := range f.assignments(file, "DisableControllers") {
			switch {
			case a.section != section:
			case a.value == "":
				isOff = false
			case slices.Contains(strings.Fields(a.value), controller):
				at, isOff = a, true
			}
		}
	}
	return at, isOff
}

// filesInOrder returns a unit's files as systemd reads them: its own of the first directory
// that has it, then the drop-ins by their names, and of those of one name the one that counts.
func (f *Facts) filesInOrder(unit, kind string) (files []string) {
	own, byName := "", map[string]string{}
	var names []string
	for _, file := range f.filesOfUnit(unit, kind) { // what counts most comes first
		switch name := path.Base(file); {
		case f.Machine.Find(file) != machine.Found:
		case !strings.HasSuffix(name, ".conf"):
			if own == "" || name == unit && path.Base(own) != unit { // a template's otherwise
				own = file
			}
		case byName[name] == "" || isNarrower(path.Dir(file), path.Dir(byName[name])):
			byName[name] = file
			names = append(names, name)
		}
	}
	if own != "" {
		files = append(files, own)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		files = append(files, byName[name])
	}
	return files
}

// isNarrower tells whether a drop-in directory is for fewer units than another in the same
// place: of files of one name that of user-1000.slice.d counts before that of user-.slice.d.
func isNarrower(dir, than string) bool {
	return path.Dir(dir) == path.Dir(than) && len(path.Base(dir)) > len(path.Base(than))
}
