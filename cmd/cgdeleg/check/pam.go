package check

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// pamChecks look at how the login came to be, and at the PAM files that should
// have given it cgroups.
var pamChecks = []*Check{
	{
		Code: "CGD-010", Name: "login", Title: "This shell was started by a login",
		Explain:   "Cgroups are made when a program opens a PAM session: sshd, login, su, sudo, cron. lxc-attach, docker exec and nsenter put a shell into a container without any of them.",
		DependsOn: []string{"mode", "mounts", "namespace", "container"}, needs: aLogin, run: checkLogin,
	},
	{
		Code: "CGD-011", Name: "module", Title: "The module is installed",
		Explain: "PAM looks for pam_cgdeleg.so in its security directory; a line that names a module which is not there is logged and ignored.",
		Sees:    true, DependsOn: []string{"login"}, needs: aUser, run: checkModule,
	},
	{
		Code: "CGD-012", Name: "pam-line", Title: "The login's PAM service has a line of the module",
		Explain: "Only services whose file in /etc/pam.d has a line \"session optional pam_cgdeleg.so\", by themselves or by an include, make cgroups. The module ignores words on that line that it does not know, and says so in the log.",
		Sees:    true, DependsOn: []string{"login", "module"}, needs: aUser, run: checkPAMLine,
	},
	{
		Code: "CGD-013", Name: "pam-order", Title: "The module's line comes after pam_systemd's",
		Explain: "pam_systemd and pam_elogind move the login into a cgroup of their own. What the module did before is undone by that.",
		Sees:    true, DependsOn: []string{"pam-line"}, needs: aUser, run: checkPAMOrder,
	},
	{
		Code: "CGD-015", Name: "pam-reached", Title: "PAM reaches the module's line",
		Explain: "A line before the module's can skip it: by a jump, as [success=2 default=ignore] makes, or by ending the stack, as sufficient does. Which lines are run depends on what their modules return, which only a login shows: cgdeleg try opens a session, and says whether the user gets cgroups in it.",
		Sees:    true, DependsOn: []string{"pam-line"}, needs: aUser, run: checkPAMReached,
	},
	{
		Code: "CGD-014", Name: "pam-cgfs", Title: "pam_cgfs is not used beside the module",
		Explain: "LXC's pam_cgfs makes cgroups of the same names and removes empty ones of other logins, by whichever service they came. Every service of /etc/pam.d and /usr/lib/pam.d is looked at.",
		run:     checkPAMCgfs,
	},
}

func checkLogin(f *Facts) Result {
	l := f.login
	switch {
	case f.hasNoPAM() && f.Subject.PID != 0 && !f.hasAny():
		return skip("this machine has no PAM: see the check module")
	case isSessionless(l.application) && !f.hasAny() && f.clientAlone() == "":
		return f.sessionlessResult()
	case f.callsNoPAM() && !f.hasAny() && f.clientAlone() == "" && f.leftAlone() == nil:
		return f.noServiceResult()
	case l.application != "":
		return ok(fmt.Sprintf("by %s (process %d)", f.wholeName(l.pid, l.application), l.pid))
	case f.isInUserManager():
		return skip("this shell is below systemd's user manager")
	case f.hasAny():
		return ok("the shell's login has ended, or there was none, and the shell has cgroups of its own")
	case f.clientAlone() != "":
		return skip("no login is found among this shell's ancestors; " + f.needsNoModule())
	case errors.Is(l.hidden, errHidden):
		return f.askedAsRoot(unknown("it cannot be told which processes are the shell's ancestors", l.hidden))
	case l.hidden != nil:
		return unknown("it cannot be told which processes are the shell's ancestors", l.hidden)
	case l.outside:
		return failed("this shell was started without PAM, by lxc-attach, docker exec or nsenter from outside of this container",
			append([]Evidence{{fmt.Sprintf("/proc/%d/status", f.Subject.PID), "its ancestors end outside of this PID namespace"}}, f.cgroupEvidence()...)...).
			lasting("log in by ssh or on the console", f.openFix())
	}
	if reason := f.leftAlone(); reason != nil {
		return f.leftAloneResult(reason, f.cgroupEvidence())
	}
	if r, isJobs := f.jobResult(f.cgroupEvidence()); isJobs {
		return r
	}
	if len(l.strangers) > 0 {
		return f.strangersResult()
	}
	if r, isOne := f.endedResult(); isOne {
		return r
	}
	if f.isInOwnScope() {
		return f.scopedResult()
	}
	if l.isWSL {
		return f.wslResult()
	}
	if s := f.serverOfUsers(); s != "" {
		return failed("this shell was started without PAM: "+s, f.cgroupEvidence()...).
			lasting("log in by ssh to the server that runs as root, or on the console", f.openFix())
	}
	return failed("this shell was started without PAM: no program that calls PAM is among its ancestors", f.cgroupEvidence()...).
		lasting("log in by ssh or on the console", f.openFix())
}

// sessionless are the servers of ssh that open no PAM session, whatever the file of their service
// has: dropbear asks PAM for passwords at most (github.com/mkj/dropbear/issues/421), and tinysshd,
// which takes keys alone, does not call it.
var sessionless = []string{"dropbear", "tinysshd"}

func isSessionless(application string) bool { return slices.Contains(sessionless, application) }

// sessionlessResult is the result for a login by a program that opens no PAM session.
func (f *Facts) sessionlessResult() Result {
	says := "this shell was started by " + f.login.application + ", which opens no PAM session: no module is called for its logins"
	r := failed(says, f.cgroupEvidence()...)
	if f.leftAlone() != nil && f.hasSystemd() {
		return f.waysToScope(r)
	}
	return r.lasting("log in on the console, or by OpenSSH's server, where it is built with PAM", f.openFix())
}

// strangersResult is the result where root's programs are among the ancestors that no list
// has: whether they called PAM only their names hint at. One whose PAM service has no line
// of the module made no session in either case.
func (f *Facts) strangersResult() Result {
	var names []string
	var evidence []Evidence
	var without *stranger
	for _, s := range f.login.strangers {
		if slices.Contains(names, f.wholeName(s.pid, s.name)) {
			continue
		}
		names = append(names, f.wholeName(s.pid, s.name))
		e := Evidence{fmt.Sprintf("/proc/%d/status", s.pid), s.name}
		if s.service != "" {
			e.Value += ", as the PAM service " + s.service
		}
		evidence = append(evidence, e)
		lines, err := pamconf.Session(f.Machine, s.service)
		if s.service == "" || err != nil || slices.ContainsFunc(lines, func(l pamconf.Line) bool { return l.Is(moduleName) }) {
			continue
		}
		evidence = append(evidence, Evidence{f.serviceFile(s.service), "no line of " + moduleName})
		if without == nil {
			without = &s
		}
	}
	r := Result{
		Status: Unknown, Evidence: append(evidence, f.cgroupEvidence()...),
		Says: "it cannot be told whether " + strings.Join(names, " or ") + " called PAM for this shell, and no session was made",
	}
	if without == nil {
		usual := ""
		if slices.Contains(names, "jupyterhub") { // c.PAMAuthenticator.service
			usual = " (login, if its configuration names no other)"
		}
		return r.with(nil, "see whether the PAM service of "+strings.Join(names, " or ")+usual+" has a line of the module, and what the system's log says of pam_cgdeleg")
	}
	r.Says += ": the PAM service " + without.service + " has no line of the module"
	next := *f
	next.login.service = without.service
	next.login.lines, _ = pamconf.Session(f.Machine, without.service)
	if f.isBuilt() {
		return r.with(nil, next.lineInStore())
	}
	text, add := next.lineForAll()
	return r.fixed(text+", for the PAM service "+without.service+" of "+without.name+", and log in again", add)
}

// serviceFile returns the file that PAM reads for a service.
func (f *Facts) serviceFile(service string) string {
	for _, dir := range pamconf.Dirs {
		if file := dir + "/" + service; f.Machine.Exists(file) {
			return file
		}
	}
	return pamconf.Dirs[0] + "/" + service
}

// hasAny tells whether the process has a cgroup of its own in any hierarchy.
func (f *Facts) hasAny() bool {
	return slices.ContainsFunc(f.locations, func(l location) bool { return l.delegated() && len(l.Controllers) > 0 })
}

// cgroupEvidence says where the subject's process is.
func (f *Facts) cgroupEvidence() (all []Evidence) {
	var values []string
	for _, l := range f.missing() {
		values = append(values, l.Name+":"+l.member)
	}
	return f.memberEvidence(values)
}

// memberEvidence has a line for each cgroup in which the subject's process is, of the values
// NAME:CGROUP for each hierarchy: most of v1 have the same one.
func (f *Facts) memberEvidence(values []string) (all []Evidence) {
	var cgroups []string
	names := map[string][]string{}
	for _, value := range values {
		name, cgroup, _ := strings.Cut(value, ":")
		if names[cgroup] == nil {
			cgroups = append(cgroups, cgroup)
		}
		names[cgroup] = append(names[cgroup], name)
	}
	for _, cgroup := range cgroups {
		all = append(all, Evidence{f.cgroupFile(), strings.Join(names[cgroup], " ") + ":" + cgroup})
	}
	return all
}

// openFix opens a session for the shell as it stands, with all that its
// containers will be found to need: one command is to be enough. It is nil where
// nothing would come of that, or the process is gone when it is typed.
func (f *Facts) openFix(more ...string) *Fix {
	list := f.listToOpen(more)
	if f.isKeptBySystemd() || f.isOneOff() || !f.opensAnything(list) {
		return nil
	}
	command := asRoot("cgdeleg", "open", "--user", f.Subject.Name, "--pid", fmt.Sprint(f.Subject.PID))
	if f.Subject.PID <= 1 { // the shell is gone, and init is nobody's
		command = byHand("cgdeleg", "open", "--user", f.Subject.Name, "--pid", "PID")
	}
	if list != "" {
		command.Args = append(command.Args, "-c", list)
	}
	return &Fix{Text: "make a session for this shell", Commands: []Command{command}}
}

// isKeptBySystemd tells whether the shell is in a scope on cgroup v2 that systemd is not
// seen to delegate: the module and cgdeleg open leave it alone then.
func (f *Facts) isKeptBySystemd() bool {
	scope := f.Scope()
	if scope == "" {
		return false
	}
	if delegated, known := f.System.IsDelegated(scope); known {
		return !delegated
	}
	return !f.ofScopes().isOn
}

// opensAnything tells whether cgdeleg open would give the shell any cgroup that it
// has not. "" means all.
func (f *Facts) opensAnything(list string) bool {
	controllers, err := hierarchy.ParseList(cmp.Or(list, "all"))
	p := f.openPlan(controllers)
	return err == nil && slices.ContainsFunc(p.Steps, func(s plan.Step) bool {
		l := f.locationIn(s.Name)
		// a session that is the user's but for files in it is a session, and left as it is
		return s.Action != plan.Leave && len(s.Controllers) > 0 && (l == nil || !l.ownsDirectory())
	})
}

// listToOpen is what stands after -c where a session is to be opened: what was
// asked for and can be had, and what containers need beside. "" means all.
func (f *Facts) listToOpen(more []string) string {
	var names []string
	for _, name := range f.login.asked.Names {
		if !f.isDeniedByName(name) {
			names = append(names, name)
		}
	}
	if f.login.asked.All {
		names = f.placesToOpen()
	}
	forLimits, _ := f.lackingForLimits()
	for _, c := range slices.Concat(more, f.cgroupUse(), forLimits) {
		if len(names) > 0 && !slices.Contains(names, c) && f.canOpen([]string{c}) {
			names = append(names, c)
		}
	}
	return strings.Join(names, ",")
}

// placesToOpen names everything that can be had, where "all" would not do: not
// all can be had, or the process has some of it already, and would stay as it is.
func (f *Facts) placesToOpen() (names []string) {
	isPart := false
	p := f.openPlan(hierarchy.Everything)
	for i := range f.locations {
		l := &f.locations[i]
		isDenied := isDenied(p.Step(l.Name))
		isPart = isPart || isDenied || l.delegated()
		if !isDenied && len(l.Controllers) > 0 {
			names = append(names, strings.Split(l.Name, ",")...)
		}
	}
	if !isPart {
		return nil
	}
	return names
}

// everyLogin stands before what gives all later logins cgroups.
const everyLogin = "so that every later login gets cgroups: "

// lasting adds what helps for good, and behind it the session for this shell, if one can be
// made.
func (r Result) lasting(text string, now *Fix, commands ...Command) Result {
	r.Fix = &Fix{Text: text, Commands: commands}
	if now != nil {
		r.Fix.Text += "; for this shell, now: make a session"
		r.Fix.Commands = append(slices.Clone(commands), now.Commands...)
	}
	return r
}

// with adds a fix, and to its text what else would help; that alone where there is
// no other.
func (r Result) with(fix *Fix, also string) Result {
	switch {
	case fix == nil && also == "":
		return r
	case fix == nil:
		fix = &Fix{Text: strings.TrimPrefix(also, "or ")}
	case also != "":
		fix.Text += "; " + also
	}
	r.Fix = fix
	return r
}

// securityDirs are where distributions have PAM's modules: Debian in a directory for each
// architecture.
var securityDirs = func() (dirs []string) {
	for _, triplet := range []string{
		"x86_64-linux-gnu", "aarch64-linux-gnu", "riscv64-linux-gnu", "s390x-linux-gnu", "powerpc64le-linux-gnu",
		"arm-linux-gnueabihf", "arm-linux-gnueabi", "i386-linux-gnu", "loongarch64-linux-gnu", "mips64el-linux-gnuabi64",
	} {
		dirs = append(dirs, "/lib/"+triplet+"/security", "/usr/lib/"+triplet+"/security")
	}
	return append(dirs, "/lib64/security", "/usr/lib64/security", "/lib/security", "/usr/lib/security")
}()

// The module, and what it takes the place of.
const (
	moduleName  = "pam_cgdeleg.so"
	predecessor = "pam_cgfs.so"
)

func checkModule(f *Facts) Result {
	file, answer := f.findModule()
	switch none := f.needsNoModule(); {
	case answer == machine.Found:
		return ok(file)
	case f.inDocker() && f.isBelowManager():
		return skip("this shell is in a container below its host's user manager, from which the module would not move it")
	case none != "":
		return skip(none)
	case answer == machine.Unknown:
		return unknown("it cannot be told whether the module is there", machine.ErrNotRecorded)
	case f.hasNoPAM():
		return f.noPAMResult()
	case f.isBuilt():
		return skip("modules are named by their paths here, and no line names it: see the check pam-line")
	}
	r := failed(moduleName+" is in no security directory of PAM", f.cgroupEvidence()...)
	install := "install pam_cgdeleg, from its package or by make install"
	if file, dir := f.misplacedModule(); file != "" {
		install = "install pam_cgdeleg for the architecture of PAM's own modules, so that it is in " + dir + ", from its package or by make install"
		r = failed(moduleName+" is where PAM does not look for it", append([]Evidence{{file, "PAM's own modules are in " + dir}}, f.cgroupEvidence()...)...)
	}
	if f.isDelegated() && f.nobodyLogsIn() {
		return skip("the shell has cgroups of its own, and no program is seen in this container by which anybody logs in")
	}
	if f.Subject.PID == 0 || f.isDelegated() {
		if f.isDelegated() {
			r.Status = Warning
		}
		return r.fixed(everyLogin + install)
	}
	return f.withWays(r.lasting(everyLogin+install, f.openFix()))
}

// unixModule is in each of PAM's directories: it is part of Linux-PAM.
const unixModule = "pam_unix.so"

// otherModules returns the directory with the modules of PAM itself, where there are none in this
// one: it is for programs of another architecture then. It is "" if that is not so, or unknown.
func (f *Facts) otherModules(dir string) string {
	others := ""
	for _, other := range securityDirs {
		switch isThere := f.Machine.Find(other+"/"+unixModule) == machine.Found; {
		case isThere && strings.TrimPrefix(other, "/usr") == strings.TrimPrefix(dir, "/usr"): // /lib may lead to /usr/lib
			return ""
		case isThere:
			others = other
		}
	}
	return others
}

// misplacedModule returns the module's file where no program's PAM looks for it, and where it
// does; "" if there is none.
func (f *Facts) misplacedModule() (file, dir string) {
	for _, at := range securityDirs {
		if f.Machine.Find(at+"/"+moduleName) == machine.Found {
			if dir = f.otherModules(at); dir != "" {
				return at + "/" + moduleName, dir
			}
		}
	}
	return "", ""
}

// findModule looks for the module where PAM does, and where the login's line has it.
func (f *Facts) findModule() (file string, answer machine.Answer) {
	answer = machine.Unknown
	for _, dir := range securityDirs {
		switch f.Machine.Find(dir + "/" + moduleName) {
		case machine.Found:
			if f.otherModules(dir) != "" {
				answer = machine.Absent
				continue
			}
			return dir + "/" + moduleName, machine.Found
		case machine.Absent:
			answer = machine.Absent
		}
	}
	if m := f.login.module; m != nil && strings.HasPrefix(m.Module, "/") && f.Machine.Exists(m.Module) {
		return m.Module, machine.Found
	}
	return "", answer
}

// brings tells whether the check module has its package installed, with all that belongs to
// it.
func (f *Facts) brings() bool {
	_, answer := f.findModule()
	return answer == machine.Absent && !f.hasNoPAM() && !f.isBuilt()
}

// hasNoPAM tells whether the machine is known to have no PAM, as one with dropbear and
// BusyBox's login.
func (f *Facts) hasNoPAM() bool {
	return f.Machine.Find(allServices) == machine.Absent && !f.hasPAMDirectory()
}

// allServices is what PAM reads where there is none of its directories (pam.conf(5)): each
// line begins with its service.
const allServices = "/etc/pam.conf"

// hasPAMDirectory tells whether PAM may have a directory with a file for each service.
func (f *Facts) hasPAMDirectory() bool {
	return slices.ContainsFunc(pamconf.Dirs[:], func(dir string) bool { return f.Machine.Find(dir) != machine.Absent })
}

func (f *Facts) noPAMResult() Result {
	r := failed("this machine has no PAM: no login can call the module", append([]Evidence{{pamconf.Dirs[0], "is not there"}}, f.cgroupEvidence()...)...)
	const every = everyLogin + "have root call cgdeleg open where the login's shell is started"
	if f.Subject.PID == 0 {
		return r.fixed("have root call cgdeleg open for each shell of a login")
	}
	if f.hasAny() {
		return ok("this machine has no PAM, and the shell has cgroups of its own")
	}
	return r.lasting(every, f.openFix())
}

func checkPAMLine(f *Facts) Result {
	l := f.login
	if f.Partial && l.service == "" {
		return f.pamLineSeen()
	}
	if i := slices.IndexFunc(l.strangers, func(s stranger) bool { return s.service != "" }); l.service == "" && i >= 0 {
		return skip("the login's PAM service may be " + l.strangers[i].service + ": see the check login")
	}
	if l.service == "" {
		return skip("the login's PAM service is not known").untoldIf(f.isServiceUntold())
	}
	if f.hasNoPAM() {
		return skip("this machine has no PAM")
	}
	if isSessionless(l.application) {
		return skip(l.application + " opens no PAM session: no line of its PAM service is run")
	}
	if f.Subject.PID == 0 && isSessionless(l.service) {
		return failed(l.service + " opens no PAM session: no module is called for its logins").
			fixed("have users log in on the console, or by OpenSSH's server, where it is built with PAM")
	}
	if f.callsNoPAM() {
		return skip(l.application + " calls no PAM here")
	}
	if l.err != nil {
		return unknown("the PAM service "+l.service+" cannot be read", l.err)
	}
	if l.module != nil {
		if line := f.absentPath(); line != nil {
			return f.absentPathResult(*line)
		}
		if account := f.leftOut(); account != nil {
			return f.leftOutResult(account)
		}
		if !l.module.KnowsControl() {
			return f.wrongControl()
		}
		if len(l.ignored) > 0 {
			return f.ignoredWords()
		}
		return ok("the PAM service "+l.service+" has a line of the module", f.moduleLine()...)
	}
	if none := f.needsNoModule(); none != "" {
		return skip("the PAM service " + l.service + " has no line of the module; " + none)
	}
	if line, kind := f.lineOfOtherType(); line != nil {
		return f.otherTypeResult(*line, kind)
	}
	if line := f.misspeltLine(); line != nil {
		return f.misspeltResult(*line)
	}
	r := failed(fmt.Sprintf("the login came through %s, whose PAM service %q has no line of the module", f.wholeName(l.pid, l.application), l.service), f.cgroupEvidence()...)
	if f.Subject.PID == 0 {
		r = failed(fmt.Sprintf("the PAM service %q has no line of the module", l.service))
	}
	if f.isBuilt() {
		return f.fixedForAll(r, f.lineInStore())
	}
	forAll, add := f.lineForAll()
	return f.withWays(f.fixedForAll(r, forAll, add))
}

// lineInStore says how a service gets a line of the module where PAM's files name modules by
// their paths in a store: PAM looks for a bare name in its own package, and the path of
// another module leads into that one's.
func (f *Facts) lineInStore() string {
	text := everyLogin + "build the package of pam_cgdeleg, and in the configuration from which this machine's /etc is built give the service a line with the path of pam_cgdeleg.so in that package"
	if f.isLike("nixos") {
		text += " (security.pam.services." + f.login.service + ".rules.session.cgdeleg.modulePath)"
	}
	if slices.ContainsFunc(f.login.lines, func(l pamconf.Line) bool { return l.Is(predecessor) }) {
		text += ", in place of the line of pam_cgfs.so"
	}
	return text
}

// ignoredWords is the result for words on the module's line that it ignores.
func (f *Facts) ignoredWords() Result {
	line := *f.login.module
	at := lineEvidence(line)
	r := warning("the module ignores words of its line in "+at.Path, at)
	for _, complaint := range f.login.ignored {
		r.Evidence = append(r.Evidence, Evidence{"what it logs", complaint})
	}
	text := "correct these words of the module's line"
	if i := slices.Index(line.Args, "-c"); i >= 0 && i+2 < len(line.Args) && strings.HasSuffix(line.Args[i+1], ",") {
		text = "write the list after -c without blanks (-c " + line.Args[i+1] + line.Args[i+2] + ")"
	}
	return r.fixed(text+", and log in again", byHand(f.editor(), line.File))
}

// fixedForAll adds what gives this shell a session, where that can be, and every later
// login one.
func (f *Facts) fixedForAll(r Result, text string, commands ...Command) Result {
	switch {
	case f.Subject.PID == 0:
		return r.fixed(text, commands...)
	case f.isDelegated():
		r.Status = Warning
		return r.fixed(text, commands...)
	}
	return r.lasting(text, f.asNextLogin().openFix(), commands...)
}

// misspeltLine returns the line of the service's that was meant to be the module's: one
// whose name is the module's but for a letter or two, and which is no other module that is
// there; nil if there is none. While such a line is required it lets nobody in.
func (f *Facts) misspeltLine() *pamconf.Line {
	const mostEdits = 2
	for i := range f.login.lines {
		name := path.Base(f.login.lines[i].Module)
		isNear := edits(strings.TrimSuffix(name, ".so"), strings.TrimSuffix(moduleName, ".so")) <= mostEdits
		isThere := slices.ContainsFunc(securityDirs, func(dir string) bool { return f.Machine.Exists(dir + "/" + name) })
		if isNear && !isThere && !f.Machine.Exists(f.login.lines[i].Module) {
			return &f.login.lines[i]
		}
	}
	return nil
}

func (f *Facts) misspeltResult(line pamconf.Line) Result {
	name := path.Base(line.Module)
	r := failed(fmt.Sprintf("the PAM service %q has a line of %s, and the module is called %s", f.login.service, name, moduleName),
		append([]Evidence{lineEvidence(line)}, f.cgroupEvidence()...)...)
	script := fmt.Sprintf(`%ds/%s/%s/`, line.Number, sedQuoted.Replace(name), moduleName)
	return f.fixedForAll(r, fmt.Sprintf(everyLogin+"write %s in place of %s in %s", moduleName, name, line.File), byHand("sed", "-i", script, line.File))
}

// sedQuoted makes a name a regular expression of sed's that stands for it.
var sedQuoted = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `*`, `\*`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `$`, `\$`)

// edits returns how many letters have to be written, taken out or replaced to make one
// word of the other (Levenshtein's distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			same := diagonal
			if a[i] != b[j] {
				same++
			}
			diagonal = row[j+1]
			row[j+1] = min(same, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// leftOut returns why the module does nothing for users with this one's ID; nil if
// it does.
func (f *Facts) leftOut() (account *plan.AccountError) {
	for i := range f.plan.Steps {
		if account = reasonOf[*plan.AccountError](&f.plan.Steps[i]); account != nil {
			break
		}
	}
	return account
}

func (f *Facts) leftOutResult(e *plan.AccountError) Result {
	says := fmt.Sprintf("the module's line has min_uid=%d, and %[2]s has the user ID %[3]d: the module makes no session for %[2]s", e.Least, f.Subject.Name, f.Subject.UID)
	text := "lower min_uid on the module's line"
	if e.From != "" {
		says = fmt.Sprintf("%s is a system account: users from 1 to %d, below UID_MIN (%s), get no cgroups", f.Subject.Name, e.Least-1, e.From)
		text = fmt.Sprintf("add min_uid=%d to the module's line, if %s shall have cgroups all the same", e.UID, f.Subject.Name)
	}
	return failed(says, f.moduleLine()...).fixed(text+", and log in again", byHand(f.editor(), f.login.module.File))
}

// lineForAll gives the service a line of the module: where pam_cgfs has one, that
// with the other name.
func (f *Facts) lineForAll() (text string, add Command) {
	isOld := func(l pamconf.Line) bool { return l.Is(predecessor) }
	if i := slices.IndexFunc(f.login.lines, isOld); i >= 0 {
		return f.renamed(f.login.lines[i].File)
	}
	line := "session optional pam_cgdeleg.so"
	vendors := f.moduleFile()
	if vendors == allServices {
		line = f.login.service + " " + line
	}
	file, isMissing := f.administrators(vendors)
	if f.hasProfile(file) {
		// A line by hand would stand there twice when the profile is switched on again.
		return everyLogin + profileOn("cgdeleg", file, fmt.Sprintf("add the line %q to it", line)),
			byHand("pam-auth-update", "--enable", "cgdeleg")
	}
	text = fmt.Sprintf(everyLogin+"add the line %q to %s", line, copied(vendors, file, isMissing))
	script := fmt.Sprintf(`printf '\n%s\n' >>%s`, line, quote(file)) // the last line may lack its newline
	if isMissing {
		script = fmt.Sprintf("cp %s %s && %s", quote(vendors), quote(file), script)
	}
	return text, byHand("sh", "-c", script)
}

// profileOn says how a profile of pam-auth-update is switched on, and what is to be done where
// that does not change the file.
func profileOn(name, file, byHand string) string {
	return fmt.Sprintf("switch on the profile %q of pam-auth-update; if %s was edited by hand, pam-auth-update does not change it: then %s", name, file, byHand)
}

// copied names the file of an administrator's, and says how it is made where it is missing.
func copied(vendors, file string, isMissing bool) string {
	if !isMissing {
		return file
	}
	return file + ", which you first copy from " + vendors
}

// renamedFile is the file in which pam-line's fix has our module take pam_cgfs's place; "" if
// there is none such. Where that is a package's, the package has to go as well.
func (f *Facts) renamedFile() string {
	if f.login.module != nil || f.login.service == "" || f.login.err != nil || f.needsNoModule() != "" || f.Machine.Exists(cgfsProfile) {
		return ""
	}
	if _, answer := f.findModule(); answer != machine.Found && !f.isBuilt() {
		return "" // that the module is missing comes first
	}
	i := slices.IndexFunc(f.login.lines, func(l pamconf.Line) bool { return l.Is(predecessor) })
	if i < 0 {
		return ""
	}
	return f.login.lines[i].File
}

// asNextLogin is f for what a login asks for after lineForAll: the profile's line has no
// list, unlike that of pam_cgfs of which it takes the place.
func (f *Facts) asNextLogin() *Facts {
	next := *f
	if slices.ContainsFunc(f.login.lines, func(l pamconf.Line) bool { return l.Is(predecessor) && f.hasProfile(l.File) }) {
		next.login.asked = hierarchy.Everything
	}
	return &next
}

// renamed writes our module's name over pam_cgfs's in that file.
func (f *Facts) renamed(file string) (text string, rename Command) {
	const script = `s/pam_cgfs\.so/pam_cgdeleg.so/`
	if f.hasProfile(file) {
		return everyLogin + "remove the line of pam_cgfs.so from " + file + ", and switch on the profile \"cgdeleg\" of pam-auth-update",
			byHand("sh", "-c", sedInPlace(`/pam_cgfs\.so/d`, file)+" && pam-auth-update --enable cgdeleg")
	}
	text = everyLogin + "write pam_cgdeleg.so in place of pam_cgfs.so in "
	if own, isMissing := f.administrators(file); isMissing {
		return text + copied(file, own, true), byHand("sh", "-c", fmt.Sprintf("sed '%s' %s >%s", script, quote(file), quote(own)))
	}
	return text + file, byHand("sh", "-c", sedInPlace(script, file))
}

// sedInPlace edits a file that may be a symbolic link, which sed -i alone would make a file
// of its own, apart from the one that other services read.
func sedInPlace(script, file string) string {
	return fmt.Sprintf(`sed -i "%s" "$(readlink -f %s)"`, script, quote(file))
}

// hasProfile tells whether pam-auth-update writes our line into that PAM file.
func (f *Facts) hasProfile(file string) bool {
	return f.Machine.Exists(ownProfile) && (file == "/etc/pam.d/common-session" || file == "/etc/pam.d/common-session-noninteractive")
}

// administrators returns the file in which an administrator adds to that PAM file, and
// whether it has to be made of that first: with our line alone it would take the
// vendor's place all the same, and leave the rest to the service "other", which lets
// nobody in.
func (f *Facts) administrators(file string) (own string, isMissing bool) {
	dir, name := path.Split(file)
	if !slices.Contains(pamconf.Dirs[1:], path.Clean(dir)) {
		return file, false
	}
	own = pamconf.Dirs[0] + "/" + name
	return own, !f.Machine.Exists(own)
}

// isServiceUntold tells whether nobody knows by which PAM service the shell came, and so
// whether that has a line of the module.
func (f *Facts) isServiceUntold() bool {
	l := f.login
	return l.service == "" && (l.hidden != nil || len(l.strangers) > 0)
}

func checkPAMOrder(f *Facts) Result {
	if f.login.module == nil {
		return skip("there is no line of the module").untoldIf(f.isServiceUntold())
	}
	behind, isMoved := false, false
	for _, line := range f.login.lines {
		isMoved = isMoved || line.Is("pam_systemd.so") || line.Is("pam_elogind.so")
		switch {
		case line.Is(moduleName):
			behind = true
		case behind && (line.Is("pam_systemd.so") || line.Is("pam_elogind.so")):
			return failed(fmt.Sprintf("the line of %s comes after that of %s, and moves the login out of the session that the module has made", path.Base(line.Module), moduleName), append(f.moduleLine(), lineEvidence(line))...).
				fixed(f.moveBelow(line), byHand(slices.Compact([]string{f.editor(), f.login.module.File, line.File})...))
		}
	}
	if !isMoved {
		return ok("nothing in the stack of " + f.login.service + " moves the login")
	}
	return ok("")
}

// moveBelow says where the module's line belongs: below one that comes after it.
func (f *Facts) moveBelow(line pamconf.Line) string {
	own, other := f.login.module, path.Base(line.Module)
	if own.File == line.File {
		return fmt.Sprintf("move the line of %s below that of %s in %s, and log in again", moduleName, other, own.File)
	}
	return fmt.Sprintf("move the line of %s from line %d of %s to %s, below that of %s in line %d, and log in again", moduleName, own.Number, own.File, line.File, other, line.Number)
}

// checkPAMReached looks for lines that skip the module's. Where it has several, one that is
// reached will do.
func checkPAMReached(f *Facts) Result {
	if f.login.module == nil {
		return skip("there is no line of the module").untoldIf(f.isServiceUntold())
	}
	lines := f.login.lines
	if line := f.refusingLine(); line != nil && !f.isDelegated() {
		return failed(fmt.Sprintf("line %d of %s refuses every session, and PAM does not come to the line of %s", line.Number, line.File, moduleName), append([]Evidence{controlEvidence(*line)}, f.moduleLine()...)...).
			fixed(fmt.Sprintf("remove line %d of %s, and log in again", line.Number, line.File), byHand(f.editor(), line.File))
	}
	var skips []pamconf.Skip
	always := false
	for i, l := range lines {
		if !l.Is(moduleName) {
			continue
		}
		of := pamconf.Skips(lines, i)
		if len(of) == 0 {
			return ok("")
		}
		if skips == nil {
			skips, always = of, f.alwaysSkips(of[0])
			continue
		}
		always = always && f.alwaysSkips(of[0])
	}
	if f.isDelegated() {
		return ok("")
	}
	seen := append(skipEvidence(skips), f.moduleLine()...)
	if always {
		return failed(fmt.Sprintf("line %d of %s always skips the line of pam_cgdeleg.so", skips[0].Number, skips[0].File), seen...).
			fixed(f.putBefore(skips[0])+"; log in again", byHand(f.editor(), f.login.module.File))
	}
	if f.Subject.PID != 0 && !f.Partial && checkSession(f).Status == Failed {
		return skip("a line before that of pam_cgdeleg.so may skip it: see the check session")
	}
	r := warning("a line before that of pam_cgdeleg.so may skip it", seen...)
	if !pamconf.Exists(f.Machine, f.login.service) {
		return r
	}
	return r.fixed("see whether PAM reaches the module's line: cgdeleg try opens a session as the service does", asRoot("cgdeleg", "try", f.Subject.Name, "--service", f.login.service))
}

// shorter says how a jump has to be changed when so many of the lines that it skips are put
// before it: it would skip others, and past the end of the stack libpam lets nobody in.
func shorter(s pamconf.Skip, fewer int) string {
	if s.Jump == 0 {
		return ""
	}
	next, lines := "ignore", "one line"
	if s.Jump > fewer {
		next = strconv.Itoa(s.Jump - fewer)
	}
	if fewer > 1 {
		lines = "two lines"
	}
	var words []string
	for _, word := range strings.Fields(strings.Trim(s.Control, "[]")) {
		if on, action, _ := strings.Cut(word, "="); action == strconv.Itoa(s.Jump) {
			word = on + "=" + next
		}
		words = append(words, word)
	}
	return fmt.Sprintf(", and in that line write [%s] in place of %s, as it then has %s fewer to jump over", strings.Join(words, " "), s.Control, lines)
}

// alwaysSkips tells whether the first line that may skip the module's does so at every
// login: nothing before can skip it itself.
func (f *Facts) alwaysSkips(s pamconf.Skip) bool {
	at := slices.IndexFunc(f.login.lines, func(l pamconf.Line) bool { return l.File == s.File && l.Number == s.Number })
	if at < 0 || len(pamconf.Skips(f.login.lines, at)) > 0 {
		return false
	}
	return s.AlwaysSkips || s.Is("pam_permit.so") && slices.Contains(s.On, "success")
}

func lineEvidence(l pamconf.Line) Evidence {
	return Evidence{fmt.Sprintf("%s:%d", l.File, l.Number), strings.Join(append([]string{l.Module}, l.Args...), " ")}
}

func checkPAMCgfs(f *Facts) Result {
	var names []string
	for _, dir := range pamconf.Dirs {
		more, err := f.Machine.ReadDir(dir)
		if errors.Is(err, machine.ErrNotRecorded) && dir == pamconf.Dirs[0] {
			return unknown("it cannot be told whether a PAM service has a line of pam_cgfs", err)
		}
		names = append(names, more...)
	}
	if names == nil {
		return skip("there is no /etc/pam.d")
	}
	slices.Sort(names)
	var lines []Evidence
	for _, name := range slices.Compact(names) {
		if isBackup(name) {
			continue
		}
		stack, _ := pamconf.Session(f.Machine, name) // as far as it can be read
		for _, line := range stack {
			if e := lineEvidence(line); line.Is(predecessor) && !slices.Contains(lines, e) && line.File != f.renamedFile() {
				lines = append(lines, e)
			}
		}
	}
	if len(lines) == 0 && f.renamedFile() != "" {
		return skip("the check pam-line says how the module takes the place of pam_cgfs")
	}
	if len(lines) == 0 {
		return ok("")
	}
	r := warning("a PAM service has a line of pam_cgfs, which at a logout removes empty cgroups of other logins", lines...).certain()
	if f.Machine.Exists(cgfsProfile) {
		return r.fixed("remove the package libpam-cgfs, and by hand the lines of pam_cgfs.so that pam-auth-update has not written", byHand("apt-get", "remove", "libpam-cgfs"))
	}
	var commands []Command
	for _, e := range lines {
		c := byHand(f.editor(), e.file())
		if !slices.ContainsFunc(commands, func(have Command) bool { return slices.Equal(have.Args, c.Args) }) {
			commands = append(commands, c)
		}
	}
	return r.fixed("remove the lines of pam_cgfs.so, or its package", commands...)
}

// What Debian's libpam-cgfs and our package give to pam-auth-update.
const (
	cgfsProfile = "/usr/share/pam-configs/cgfs"
	ownProfile  = "/usr/share/pam-configs/cgdeleg"
)

// isBackup tells whether a file of /etc/pam.d is what an editor, an
// administrator or a package manager left beside the one that counts. PAM would
// read it for a service of that name, but no program calls itself so. What such a
// file holds and a service includes is found all the same, by that service.
func isBackup(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ".") ||
		slices.ContainsFunc([]string{
			".dpkg-", ".ucf-", ".pam-", ".rpmsave", ".rpmnew", ".rpmorig",
			".pacnew", ".pacsave", ".pacorig", ".apk-new", ".new", ".bak", ".orig", ".old", ".save",
		}, func(mark string) bool { return strings.Contains(name, mark) })
}
