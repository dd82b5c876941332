package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// absentPath returns the module's line if that has a path at which nothing is, and no other line
// has the module: libpam looks nowhere else then, logs that, and ignores the line or lets nobody
// in. It is nil if that is not so.
func (f *Facts) absentPath() *pamconf.Line {
	isAbsent := func(l pamconf.Line) bool {
		return strings.HasPrefix(l.Module, "/") && !strings.Contains(l.Module, "$ISA") && f.Machine.Find(l.Module) == machine.Absent
	}
	if slices.ContainsFunc(f.login.lines, func(l pamconf.Line) bool { return l.Is(moduleName) && !isAbsent(l) }) {
		return nil
	}
	return f.login.module
}

func (f *Facts) absentPathResult(line pamconf.Line) Result {
	r := failed(fmt.Sprintf("the PAM service %q has a line with the path %s, and there is no such file", f.login.service, line.Module),
		append([]Evidence{lineEvidence(line)}, f.cgroupEvidence()...)...)
	if f.isBuilt() {
		return f.fixedForAll(r, f.lineInStore())
	}
	script := fmt.Sprintf(`%ds|%s|%s|`, line.Number, sedQuoted.Replace(line.Module), moduleName)
	return f.fixedForAll(r, fmt.Sprintf("for every login write %s without a path in %s: PAM finds it in its own directory", moduleName, line.File), byHand("sed", "-i", script, line.File))
}
