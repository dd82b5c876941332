package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// scopeMaker is the module that has logind make a scope for a login.
const scopeMaker = "pam_systemd.so"

// systemdProfile is what Debian's libpam-systemd gives to pam-auth-update.
const systemdProfile = "/usr/share/pam-configs/systemd"

// switchers are the programs that start a shell within a login that there is already: where
// they leave it, the login is.
var switchers = []string{"su", "sudo", "runuser", "doas", "machinectl"}

// jobStarters are the programs that open a session for a job.
var jobStarters = []string{"cron", "crond", "atd"}

// unplacedResult is the result for a login that is where the program runs that opened it, in
// a service of systemd's: logind made no scope for it, and will make none for the next one
// either. isOne is false if that is not so.
func (f *Facts) unplacedResult(reason *manager.LeftAloneError, evidence []Evidence) (r Result, isOne bool) {
	l := f.login
	unit := unitOf(reason.Cgroup)
	if l.application == "" || l.err != nil || slices.Contains(switchers, l.application) || !strings.HasSuffix(unit, ".service") || f.isInUserManager() {
		return r, false
	}
	members, err := hierarchy.Memberships(f.Machine, l.pid)
	if err != nil || unitOf(hierarchy.PathIn(members, hierarchy.Unified)) != unit {
		return r, false // somebody moved the shell there
	}
	says := fmt.Sprintf("the login by %s has no scope of its own, and its containers have no cgroups: it stayed in systemd's %s, because ", f.wholeName(l.pid, l.application), unit)
	i := slices.IndexFunc(l.lines, func(line pamconf.Line) bool { return line.Is(scopeMaker) })
	isThere := f.findInSecurity(scopeMaker)
	mask := f.logindMask()
	switch {
	case isThere == machine.Absent && (i < 0 || !f.isBeforeAbsent()):
		r = failed(says+scopeMaker+", which has systemd make a scope for each login, is not installed", evidence...)
		return f.installScopeMaker(r, i >= 0), true
	case i < 0:
		r = failed(fmt.Sprintf("%sthe login's PAM service %q has no line of %s, which has systemd make a scope for each login", says, l.service, scopeMaker), evidence...)
		text, add := f.lineOfScopeMaker()
		if slices.Contains(jobStarters, l.application) {
			return r.fixed(text+", for the next job; or start containers in a login", add...), true
		}
		return r.fixed(text+", and log in again", add...), true
	case mask != "":
		r = failed(says+"systemd-logind, which makes a scope for each login, is masked", append([]Evidence{{mask, "masked"}}, evidence...)...)
		return r.fixed("unmask and start systemd-logind, and log in again", f.unmask(mask)...), true
	}
	seen := []Evidence{lineEvidence(l.lines[i])}
	for _, s := range pamconf.Skips(l.lines, i) {
		e := lineEvidence(s.Line)
		e.Value = s.Control + " " + e.Value + ", which may skip the line of " + scopeMaker
		seen = append(seen, e)
	}
	if uses := f.usePAM(); l.service == "sshd" && !uses.known {
		r = failed(says+"sshd did not call PAM (UsePAM), or "+scopeMaker+" got no scope from systemd-logind", append(append(seen, uses.where), evidence...)...)
		return r.fixed("see whether " + uses.where.Path + " has UsePAM yes, and what the system's log says of pam_systemd and systemd-logind"), true
	}
	r = failed(says+scopeMaker+" got no scope from systemd-logind", append(seen, evidence...)...)
	return r.fixed("see what the system's log says of pam_systemd and systemd-logind, and whether systemd-logind runs", byHand("systemctl", "status", logindUnit)), true
}

// isInOwnScope tells whether the shell is in the scope of a login of the user's own: pam_systemd
// alone has systemd make such, so that somebody has called PAM.
func (f *Facts) isInOwnScope() bool {
	slice := fmt.Sprintf("/user-%d.slice/session-", f.Subject.UID)
	return f.hasSystemd() && slices.ContainsFunc(f.members, func(m hierarchy.Membership) bool { return strings.Contains(m.Path, slice) })
}

// scopedResult is the result for a shell in such a scope, without cgroups, of which no
// ancestor called PAM: that has ended, or is systemd itself, as for run0.
func (f *Facts) scopedResult() Result {
	const run0 = "systemd-run0"
	evidence := f.cgroupEvidence()
	if lines, err := pamconf.Session(f.Machine, run0); err == nil && pamconf.Exists(f.Machine, run0) &&
		!slices.ContainsFunc(lines, func(l pamconf.Line) bool { return l.Is(moduleName) }) {
		evidence = append(evidence, Evidence{f.serviceFile(run0), "no line of " + moduleName})
	}
	r := failed("this shell's login got no cgroups, and its PAM service cannot be told: the program that called PAM has ended, or is systemd itself, as for run0", evidence...)
	return r.fixed("log in by a PAM service that has a line of the module, or add such a line to the PAM service of this login (run0: " + run0 + ")")
}

// serviceResult is the result for a process of one of systemd's services that no login has
// started. isOne is false if it is not such.
func (f *Facts) serviceResult(reason *manager.LeftAloneError, evidence []Evidence) (r Result, isOne bool) {
	unit := unitOf(reason.Cgroup)
	if f.login.application != "" || !strings.HasSuffix(unit, ".service") || strings.HasPrefix(unit, "user@") || path.Base(reason.Cgroup) != unit {
		return r, false
	}
	r = failed("no login has started this process: it is in "+unit+", whose cgroup systemd does not delegate, so that its containers have no cgroups", evidence...)
	dir := "/etc/systemd/system/" + unit + ".d"
	setting := `[Service]\nDelegate=yes\n`
	text := "have systemd delegate the service's cgroup (Delegate=yes; it then belongs to the user whom the unit's User= names), and restart the service"
	if numbers := versionNumbers(f.System.Version("systemd")); len(numbers) > 0 && numbers[0] >= subgroupSince {
		setting += `DelegateSubgroup=init.scope\n`
	} else {
		text += "; the service's program then has to move itself to a cgroup below the service's, such as init.scope, before it starts containers"
	}
	commands := []Command{
		byHand("mkdir", "-p", dir), byHand("sh", "-c", fmt.Sprintf(`printf '%s' >%s`, setting, quote(dir+"/50-cgdeleg.conf"))), byHand("systemctl", "daemon-reload"),
	}
	if start, linger := f.startManager(); start != "" {
		text += "; or " + start
		commands = append(commands, or(linger...)...)
	}
	return r.fixed(text+"; or start containers in a login", commands...), true
}

// subgroupSince is the systemd that has DelegateSubgroup= (systemd.resource-control(5)).
const subgroupSince = 254

// findInSecurity tells whether a module is in a security directory of PAM.
func (f *Facts) findInSecurity(module string) (answer machine.Answer) {
	answer = machine.Unknown
	for _, dir := range securityDirs {
		switch f.Machine.Find(dir + "/" + module) {
		case machine.Found:
			return machine.Found
		case machine.Absent:
			answer = machine.Absent
		}
	}
	return answer
}

// installScopeMaker adds how pam_systemd is installed. On Debian its package has
// pam-auth-update add the line to what most services include.
func (f *Facts) installScopeMaker(r Result, hasLine bool) Result {
	install, later, isKnown := f.installOf(func(d distribution) string { return d.scopeMaker })
	var commands []Command
	text := "install " + scopeMaker
	if isKnown {
		text += later
		commands = append(commands, install)
	}
	if !hasLine && !f.includes("/etc/pam.d/common-session") {
		line, add := f.lineOfScopeMaker()
		text += ", " + line
		commands = append(commands, add...)
	}
	return r.fixed(text+", and log in again", commands...)
}

// includes tells whether lines of that file are in the login's stack.
func (f *Facts) includes(file string) bool {
	return slices.ContainsFunc(f.login.lines, func(l pamconf.Line) bool { return l.File == file })
}

// lineOfScopeMaker gives the login's service a line of pam_systemd before the module's, and
// that too where there is none.
func (f *Facts) lineOfScopeMaker() (text string, commands []Command) {
	const line = "session optional " + scopeMaker
	if f.isBuilt() {
		return "have the configuration from which this machine's /etc is built give the service a line of " + scopeMaker, nil
	}
	m := f.login.module
	if m != nil && f.hasProfile(m.File) && f.Machine.Exists(systemdProfile) { // both lines are pam-auth-update's
		return profileOn("systemd", m.File, fmt.Sprintf("add the line %q to it, before that of the module", line)),
			[]Command{byHand("pam-auth-update", "--enable", "systemd")}
	}
	if m != nil && path.Dir(m.File) == pamconf.Dirs[0] {
		return fmt.Sprintf("add the line %q to %s, before that of the module", line, m.File),
			[]Command{byHand("sed", "-i", fmt.Sprintf("%di %s", m.Number, line), m.File)}
	}
	return f.bothLines(line)
}

// bothLines gives the login's service a line of pam_systemd and one of the module, in its own
// file: what it includes other services include, too.
func (f *Facts) bothLines(line string) (text string, commands []Command) {
	const own = "session optional " + moduleName
	vendors := f.serviceFile(f.login.service)
	file, isMissing := f.administrators(vendors)
	text = fmt.Sprintf("add the lines %q and %q to %s", line, own, copied(vendors, file, isMissing))
	script := fmt.Sprintf(`printf '\n%s\n%s\n' >>%s`, line, own, quote(file))
	if isMissing {
		script = fmt.Sprintf("cp %s %s && %s", quote(vendors), quote(file), script)
	}
	return text, []Command{byHand("sh", "-c", script)}
}

// logindUnit makes the scopes of logins.
const logindUnit = "systemd-logind.service"

// logindMask returns the file that keeps systemd from starting logind: one that is a link to
// /dev/null, or empty (systemd.unit(5)); "" if there is none.
func (f *Facts) logindMask() string {
	for _, dir := range unitDirs[:2] {
		file := dir + "/" + logindUnit
		if data, err := f.Machine.ReadFile(file); err == nil && strings.TrimSpace(string(data)) == "" {
			return file
		}
	}
	return ""
}

// unmask has systemd start logind again.
func (f *Facts) unmask(mask string) []Command {
	words := []string{"systemctl", "unmask", logindUnit}
	if strings.HasPrefix(mask, "/run/") {
		words = []string{"systemctl", "unmask", "--runtime", logindUnit}
	}
	return []Command{byHand(words...), byHand("systemctl", "start", logindUnit)}
}
