package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
)

// movers are the modules that move a login into a cgroup of its own: ours comes after them.
var movers = []string{"pam_systemd.so", "pam_elogind.so"}

// skipsOfModule returns the lines that may skip the first line of the module; none if it has
// another that is always reached.
func (f *Facts) skipsOfModule() (skips []pamconf.Skip) {
	for i, l := range f.login.lines {
		if !l.Is(moduleName) {
			continue
		}
		of := pamconf.Skips(f.login.lines, i)
		if len(of) == 0 {
			return nil
		}
		if skips == nil {
			skips = of
		}
	}
	return skips
}

func skipEvidence(skips []pamconf.Skip) (seen []Evidence) {
	for _, s := range skips {
		seen = append(seen, controlEvidence(s.Line))
	}
	return seen
}

// controlEvidence is a line with its control.
func controlEvidence(l pamconf.Line) Evidence {
	e := lineEvidence(l)
	e.Value = l.Control + " " + e.Value
	return e
}

// refusingLine returns a line that ends the stack with a failure at every login before PAM comes
// to the module's; nil if it comes to one of these. Some applications, such as sshd, go on
// without the session.
func (f *Facts) refusingLine() (first *pamconf.Line) {
	for i, l := range f.login.lines {
		if !l.Is(moduleName) {
			continue
		}
		line := pamconf.Refuses(f.login.lines, i)
		if line == nil {
			return nil
		}
		if first == nil {
			first = line
		}
	}
	return first
}

// wrongControl is the result for a control of the module's line that PAM does not know: it calls
// the module, and takes whatever that returns for a failure (_pam_parse_control).
func (f *Facts) wrongControl() Result {
	line := *f.login.module
	r := warning(fmt.Sprintf("PAM does not know %s in the module's line, and takes whatever the module returns as a failure: login and su let nobody in", line.Control), controlEvidence(line))
	return r.fixed(fmt.Sprintf("write optional in place of %s in line %d of %s, and log in again", line.Control, line.Number, line.File), byHand(f.editor(), line.File))
}

// skippedResult adds to the result for a login without a session that a line may have skipped
// that of the module, and how it no longer does.
func (f *Facts) skippedResult(r Result, skips []pamconf.Skip) Result {
	first := skips[0]
	r.Says += ": a line before it may have skipped it"
	r.Evidence = slices.Concat(skipEvidence(skips), f.moduleLine(), r.Evidence)
	text := f.putBefore(first)
	if strings.EqualFold(first.Control, "sufficient") {
		text = fmt.Sprintf("write required in place of sufficient in line %d of %s, or %s", first.Number, first.File, text)
	}
	return r.lasting(text+"; log in again", f.openFix(), byHand(f.editor(), first.File))
}

// putBefore says how the module's line comes before one that skips it, and stays behind that of
// a module that moves the login.
func (f *Facts) putBefore(s pamconf.Skip) string {
	what, fewer, behind := "the line of "+moduleName, 1, false
	for _, l := range f.login.lines {
		if l.Is(moduleName) {
			break
		}
		if behind && slices.ContainsFunc(movers, l.Is) {
			what, fewer = fmt.Sprintf("the lines of %s and %s, in this order,", l.Module, moduleName), 2
		}
		behind = behind || l.File == s.File && l.Number == s.Number
	}
	return fmt.Sprintf("put %s before line %d of %s%s", what, s.Number, s.File, shorter(s, fewer))
}

// lineOfOtherType returns a line of the module in the service's stack that has another type than
// session, and that type; nil if there is none. PAM calls no module for a session by such a line.
func (f *Facts) lineOfOtherType() (line *pamconf.Line, kind string) {
	for _, kind := range []string{"auth", "account", "password"} {
		lines, _ := pamconf.Stack(f.Machine, f.login.service, kind) // as far as it can be read
		if i := slices.IndexFunc(lines, func(l pamconf.Line) bool { return l.Is(moduleName) }); i >= 0 {
			return &lines[i], kind
		}
	}
	return nil, ""
}

func (f *Facts) otherTypeResult(line pamconf.Line, kind string) Result {
	at := lineEvidence(line)
	at.Value = kind + " " + line.Control + " " + at.Value
	r := failed(fmt.Sprintf("the PAM service %q has a line of the module with the type %s, and by that PAM does not call it for a session", f.login.service, kind),
		append([]Evidence{at}, f.cgroupEvidence()...)...)
	isMovedAfter := func(l pamconf.Line) bool {
		return slices.ContainsFunc(movers, l.Is) && (l.File != line.File || l.Number > line.Number)
	}
	switch {
	case f.isBuilt():
		return f.fixedForAll(r, f.lineInStore())
	case line.File == allServices || line.File != f.moduleFile() || slices.ContainsFunc(f.login.lines, isMovedAfter):
		text, add := f.lineForAll()
		return f.fixedForAll(r, fmt.Sprintf("remove line %d of %s; %s", line.Number, line.File, text), byHand(f.editor(), line.File), add)
	}
	return f.fixedForAll(r, fmt.Sprintf(everyLogin+"write session in place of %s in line %d of %s", kind, line.Number, line.File),
		byHand("sh", "-c", sedInPlace(fmt.Sprintf("%ds/%s/session/", line.Number, kind), line.File)))
}
