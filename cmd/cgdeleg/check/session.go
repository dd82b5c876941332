package check

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// sessionChecks look at the cgroups of the process from which the check was
// started, as a client such as LXC will find them.
var sessionChecks = []*Check{
	{
		Code: "CGD-032", Name: "parents", Title: "The way to the session's cgroup is open",
		Explain: "Every directory above the session has to be searchable by the user, or its cgroup cannot be reached.",
		Sees:    true, DependsOn: []string{"login"}, needs: aProcess, run: checkParents,
	},
	{
		Code: "CGD-030", Name: "session", Title: "This shell is in cgroups of the user's own",
		Explain: "In each hierarchy that -c asks for, the shell's cgroup has to be the user's: there LXC, podman and runc make those of their containers. LXC starts a container also without any, and says RUNNING: on cgroup v2 it ignores the container's limits then, and on v1 refuses to start a container that has limits. LXC 6 and podman need none on cgroup v2 where systemd's user manager answers: they ask it for a scope, LXC by the bus that $DBUS_SESSION_BUS_ADDRESS names, and where that is not set, or before 6.0.4, by that of user 1000. A login that a manager keeps elsewhere stays there, and so does one that somebody has put under a limit out of which it would be moved (confined= in pam_cgdeleg(8)).",
		Sees:    true, alone: true, DependsOn: []string{"login", "pam-line", "pam-order", "pam-reached", "delegation", "hierarchies", "parents"}, needs: aLogin, run: checkSession,
	},
	{
		Code: "CGD-031", Name: "writable", Title: "The session's directory and files are the user's, by user and by group",
		Explain:   "On cgroup v2 LXC takes a cgroup for its own only if it may write every file that /sys/kernel/cgroup/delegate lists. Where only the user owns the directory and not its group, lxc-attach fails.",
		DependsOn: []string{"session"}, needs: aProcess, run: checkWritable,
	},
	{
		Code: "CGD-033", Name: "leaf", Title: "The session's own cgroup holds no processes",
		Explain:   "On cgroup v2 a cgroup with processes in it cannot give controllers to its children. The login's processes therefore live in the leaf init.scope, beside which clients make their cgroups.",
		DependsOn: []string{"writable"}, needs: aProcess, run: checkLeaf,
	},
	{
		Code: "CGD-034", Name: "controllers", Title: "The session has the controllers that containers' limits need",
		Explain:   "LXC refuses to start a container with a limit whose controller the session does not have; on v2 only if the container has a cgroup at all. Where LXC 6 or podman asks systemd's user manager for a scope, the controllers are those of user@UID.service (Delegate= in systemd.resource-control(5)).",
		DependsOn: []string{"writable"}, alone: true, needs: aProcess, run: checkControllers,
	},
	{
		Code: "CGD-035", Name: "realtime", Title: "No realtime process keeps the cpu controller from being enabled",
		Explain:   "Kernels with CONFIG_RT_GROUP_SCHED can enable cpu on cgroup v2 only when all realtime processes are in the root cgroup (Documentation/admin-guide/cgroup-v2.rst, \"CPU\").",
		DependsOn: []string{"session"}, needs: hasCgroup, run: checkRealtime,
	},
	{
		Code: "CGD-036", Name: "limits", Title: "The limits above the session leave room for a container",
		Explain:   "The limits of every cgroup above the session hold for what runs in it: too few processes (pids.max) or too little memory stop a container while it starts. Where cgroup.max.descendants or cgroup.max.depth allows no more cgroups, or no deeper ones, none can be made for it.",
		DependsOn: []string{"session"}, needs: hasCgroup, run: checkLimits,
	},
	{
		Code: "CGD-037", Name: "probe", Title: "A cgroup can really be made and entered",
		Explain:   "With --probe a child cgroup is made in every delegated hierarchy, a process is moved in, and both are taken back.",
		DependsOn: []string{"leaf"}, needs: aProcess, run: checkProbe,
	},
}

// ownsDirectory tells whether the directory itself may be written, whatever is
// with the files in it.
func (l *location) ownsDirectory() bool {
	return l.err == nil && !slices.ContainsFunc(l.denied, func(e Evidence) bool { return e.Path == l.path() })
}

func checkSession(f *Facts) Result {
	if f.Partial {
		return f.sessionSeen()
	}
	if f.lost != nil {
		return unknown("it cannot be told in which cgroups the shell is", f.lost)
	}
	if len(f.found) == 0 {
		return skip(noHierarchy)
	}
	var values, names []string
	for _, l := range f.missing() {
		if errors.Is(l.err, machine.ErrNotRecorded) {
			return unknown("it cannot be told whose the shell's cgroups are", l.err)
		}
		if l.ownsDirectory() || len(f.closedAbove(l)) > 0 {
			continue // the next checks'
		}
		names = append(names, l.Name)
		value := l.Name + ":" + l.member
		if l.err != nil {
			value += ", " + l.err.Error()
		}
		values = append(values, value)
	}
	if client := f.clientAlone(); client != "" && f.isInUserManager() {
		return aloneNote("this shell is below systemd's user manager, without a cgroup of its own", client)
	}
	if f.isInUserManager() && len(names) == 0 {
		return skip("this shell is below systemd's user manager: see the check leaf")
	}
	if len(names) == 0 {
		return f.hasSession()
	}
	evidence := f.memberEvidence(values)
	uses := f.usePAM()
	if f.login.service == "sshd" && uses.known && !uses.yes {
		return f.withoutPAMResult(uses, evidence) // wherever such a login is: nobody has put it there
	}
	if confined := f.plan.Confined(); confined != nil {
		return f.confinedResult(confined, evidence)
	}
	if client := f.clientAlone(); client != "" {
		r := aloneNote("the shell has no cgroup of its own in "+strings.Join(names, " "), client)
		r.Evidence = evidence
		return r
	}
	if f.isAskerUntold() {
		return f.askerUntold(evidence)
	}
	if reason := f.leftAlone(); reason != nil {
		return f.leftAloneResult(reason, evidence)
	}
	if none := f.podmanSetsNone(); none != "" {
		return note("the shell has no cgroup of its own; " + none + ", with or without one: cgdeleg run gives them, where the module is set up")
	}
	if r, isMoved := f.moverResult(evidence); isMoved {
		return r
	}
	also := "look in the system's log for pam_cgdeleg: if PAM was called for this login, the module says there why it made no session"
	if f.login.service == "sshd" && !uses.known {
		evidence = append(evidence, uses.where)
		also = "it cannot be told whether sshd called PAM (UsePAM), as " + uses.where.Path + " was not read; " + also
	}
	says := "has no cgroup of its own in " + strings.Join(names, " ") + ", though the login's PAM service has a line of the module"
	if owner := f.othersSession(); owner != "" {
		says = "is in a session that was made for " + owner + ", and " + says
	}
	r := failed("the shell "+says, evidence...)
	if skips := f.skipsOfModule(); len(skips) > 0 {
		return f.skippedResult(r, skips)
	}
	return r.lasting(also, f.openFix())
}

// hasSession is the result where nothing is missing.
func (f *Facts) hasSession() Result {
	if r, isTorn := f.tornResult(); isTorn {
		return r
	}
	if l := f.elsewhere(); l != nil {
		return ok("elogind delegates "+l.base+" to the user: containers belong below it, not in the login's own cgroup", f.placeEvidence()...)
	}
	return ok("", f.placeEvidence()...)
}

// leftAloneResult is the result where a manager has put the shell somewhere else
// than into the cgroup of its own login.
func (f *Facts) leftAloneResult(reason *manager.LeftAloneError, evidence []Evidence) Result {
	if r, isJobs := f.jobResult(evidence); isJobs {
		return r
	}
	if !f.hasSystemd() {
		return failed(fmt.Sprintf("the shell is in %[1]s, a cgroup of elogind's that was not made for a login of %[2]s: only such a cgroup can be delegated to %[2]s, so that the shell's containers have no cgroups", reason.Cgroup, f.Subject.Name), evidence...).
			fixed("log in by ssh or on the console")
	}
	if r, isService := f.serviceResult(reason, evidence); isService {
		return r
	}
	if r, isUnplaced := f.unplacedResult(reason, evidence); isUnplaced {
		return r
	}
	where := unitOf(reason.Cgroup) + f.othersLogin(reason.Cgroup)
	if unitOf(reason.Cgroup) == "" {
		where = reason.Cgroup + ", outside of the units that systemd makes for logins"
	}
	return f.waysToScope(failed(fmt.Sprintf("the shell is in %[1]s; only the scope of %[2]s's own login can be delegated to %[2]s, so that the shell's containers have no cgroups", where, f.Subject.Name), evidence...))
}

// waysToScope adds how to come into a scope that systemd delegates, from a shell that is in
// none: by those ways that there are here.
func (f *Facts) waysToScope(r Result) Result {
	text := "log in by ssh (also to localhost) or on the console"
	if !f.seesSSHD() {
		text = "log in on the console, or by ssh (also to localhost) where OpenSSH's server runs"
	}
	var commands []Command
	if start, linger := f.startManager(); start != "" {
		text = start + "; or " + text
		commands = linger
	}
	if f.Machine.Exists(userBus(f.Subject.UID)) {
		text += ", or ask systemd's user manager for a scope for one command"
		commands = append(commands, or(f.runInScope())...)
	}
	if _, _, answer := f.lookUp("machinectl"); answer != machine.Absent { // Debian has it in a package of its own
		text += ", or have root log in as " + f.Subject.Name
		commands = append(commands, or(Command{Args: []string{"machinectl", "shell", f.Subject.Name + "@"}, Root: true, ByHand: true})...)
	}
	return r.fixed(text, commands...)
}

// unitOf returns systemd's service or scope in which a cgroup is; "" if it is in
// none.
func unitOf(cgroup string) string {
	for ; cgroup != "/" && cgroup != "."; cgroup = path.Dir(cgroup) {
		if name := path.Base(cgroup); strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
			return name
		}
	}
	return ""
}

func (f *Facts) placeEvidence() (all []Evidence) {
	for i := range f.locations {
		if l := &f.locations[i]; l.delegated() {
			all = append(all, Evidence{l.path(), l.Name})
		}
	}
	return all
}

func checkWritable(f *Facts) Result {
	if f.isInUserManager() {
		return skip("this shell is below systemd's user manager")
	}
	var evidence, ofGroup []Evidence
	for i := range f.locations {
		l := &f.locations[i]
		if l.err != nil || !l.ownsDirectory() {
			continue
		}
		evidence = append(evidence, l.denied...)
		st, err := f.Machine.Stat(l.path())
		if err == nil && st.UID == f.Subject.UID && st.GID != f.Subject.GID && !slices.Contains(f.Subject.Groups, st.GID) {
			ofGroup = append(ofGroup, Evidence{l.path(), fmt.Sprintf("owner %d:%d, but the user's group is %d", st.UID, st.GID, f.Subject.GID)})
		}
	}
	if len(evidence) > 0 {
		return failed("not every file of the session is the user's: LXC does not use such a session", append(evidence, ofGroup...)...).
			with(f.openFix(), "or log in again")
	}
	if len(ofGroup) > 0 {
		return warning("the session is the user's, but its group is not: containers start in it, and lxc-attach fails", ofGroup...).
			with(f.openFix(), "or log in again")
	}
	return ok("")
}

func checkParents(f *Facts) Result {
	var evidence []Evidence
	for i := range f.locations {
		l := &f.locations[i]
		if l.base != "" { // else nobody knows which they are
			evidence = append(evidence, f.closedAbove(l)...)
		}
	}
	if len(evidence) == 0 {
		return ok("")
	}
	var commands []Command
	for _, e := range evidence {
		commands = append(commands, asRoot("chmod", "o+x", e.Path))
	}
	return failed(f.Subject.Name+" may not go through directories above the session's cgroup, and cannot reach it: containers have no cgroups", evidence...).
		fixed("open the directories above the session", commands...)
}

// closedAbove returns the directories above the subject's cgroup that it may not go through.
// Who may not go through one is not told what is below it.
func (f *Facts) closedAbove(l *location) (evidence []Evidence) {
	if l.base == "" {
		return nil // the cgroup is nowhere in the mount
	}
	for dir := path.Dir(l.path()); strings.HasPrefix(dir, l.Mount.Point); dir = path.Dir(dir) {
		if st, err := f.Machine.Stat(dir); err == nil && !f.maySearch(st) {
			evidence = append(evidence, Evidence{dir, fmt.Sprintf("mode %04o", st.Mode&0o7777)})
		}
		if dir == "/" {
			break
		}
	}
	return evidence
}

func checkLeaf(f *Facts) Result {
	h := f.unified()
	if h == nil {
		return skip("there is no cgroup v2 with controllers")
	}
	l := f.locationIn(h.Name)
	if l == nil || !l.delegated() {
		return skip("no session was asked for on cgroup v2")
	}
	here := f.readWords(l.path("cgroup.procs"))
	isThreaded := f.isThreaded(l.path())
	if len(here) == 0 && !isThreaded {
		return ok("", Evidence{f.cgroupFile(), l.Name + ":" + l.member})
	}
	if unit := unitOf(l.member); strings.Contains(l.member, "/user@") && unit != "" {
		if client := f.clientAlone(); client != "" {
			return skip(client + " asks systemd's user manager for its cgroups: see the check session")
		}
		says := "this shell is in " + unit + " of systemd's user manager, and as long as there are processes in it, containers there get no controllers"
		if st, err := f.Machine.Stat(l.path()); err == nil && st.Undelegated && path.Base(l.base) == unit {
			says = "this shell is in " + unit + ", which systemd's user manager does not delegate, and there are processes in it: containers there get no controllers"
		}
		r := failed(says, Evidence{l.path("cgroup.procs"), strings.Join(first(here), " ")})
		switch {
		case f.inDocker():
			return r.fixed("start containers outside of this one, in a login of its host")
		case !f.answersManager():
			r = f.waysToScope(r)
			r.Fix.Text += "; or, if systemd's user manager answers (no bus of it was found), start containers in a scope that it delegates (systemd-run --user --scope --property Delegate=yes)"
			return r
		}
		return r.fixed("start containers in a scope that systemd's user manager delegates", f.runInScope())
	}
	if isThreaded {
		return failed("the session's cgroup is threaded: no container can be made in it", Evidence{l.path("cgroup.type"), f.readWord(l.path("cgroup.type"))}).
			fixed("end all that runs in the session, and then log in again: a threaded cgroup stays so, and beside it no login gets a session")
	}
	return failed("there are processes in the session's cgroup itself, so that containers get no controllers",
		Evidence{l.path("cgroup.procs"), strings.Join(first(here), " ")}).
		fixed("move these processes to a leaf", Command{Args: []string{"sh", "-c", fmt.Sprintf(
			"mkdir -p %[1]s/init.scope && while read -r pid; do echo $pid >%[1]s/init.scope/cgroup.procs; done <%[1]s/cgroup.procs", quote(l.path()))}})
}

// expected are the controllers that containers' usual limits need.
var expected = []string{"cpu", "memory", "pids"}

func checkControllers(f *Facts) Result {
	if r, isSeen := f.controllersSeen(); f.Partial && isSeen {
		return r
	}
	at := f.ofManager()
	if client := f.clientAlone(); client != "" && at == nil {
		return skip(client + " asks systemd's user manager for its cgroups")
	}
	if none := f.podmanSetsNone(); none != "" {
		return skip(none)
	}
	have := f.sessionControllers()
	var lacking []string
	for _, c := range expected {
		if !slices.Contains(have, c) {
			lacking = append(lacking, c)
		}
	}
	says := strings.Join(have, " ")
	if len(lacking) == 0 {
		return ok(says)
	}
	if !f.asksUnified() {
		return ok(says + ", as -c asks") // v1: the list is the administrator's choice
	}
	if h := f.unified(); h != nil && at == nil && f.isThreaded(f.locationIn(h.Name).path()) {
		return skip("the session's cgroup is threaded: see the check leaf")
	}
	if lacking = slices.DeleteFunc(lacking, f.isKeptByRealtime); len(lacking) == 0 {
		return skip("the session lacks cpu: see the check realtime")
	}
	if f.isSaidOfLimits(lacking) {
		return skip("the session lacks " + Listed(lacking) + ": see the check config-limits")
	}
	return f.lackingResult(lacking)
}

// asksUnified tells whether a session on cgroup v2 was asked for.
func (f *Facts) asksUnified() bool {
	return slices.ContainsFunc(f.wanted(), func(s *plan.Step) bool { return s.IsUnified() })
}

// Session returns the controllers that containers get in the subject's session, and the
// session's cgroups, below the base as in user/alice/0.
func (f *Facts) Session() (controllers, places []string) {
	if at := f.ofManager(); at != nil {
		return f.sessionControllers(), []string{strings.TrimPrefix(at.base, "/")}
	}
	if f.clientAlone() != "" {
		return nil, nil
	}
	for i := range f.locations {
		l := &f.locations[i]
		if place := cmp.Or(strings.TrimPrefix(l.base, "/"), "/"); l.delegated() && len(l.Controllers) > 0 && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return f.sessionControllers(), places
}

// sessionControllers returns the controllers that containers in this session
// get: on v1 those of the delegated hierarchies, on v2 what the session's cgroup
// may give on.
func (f *Facts) sessionControllers() (have []string) {
	if at := f.ofManager(); at != nil {
		have = f.readControllers(at)
		slices.Sort(have)
		return have
	}
	for i := range f.locations {
		have = append(have, f.controllersIn(&f.locations[i])...)
	}
	slices.Sort(have)
	return slices.Compact(have)
}

func (f *Facts) controllersIn(l *location) []string {
	switch {
	case !l.delegated():
		return nil
	case l.IsUnified():
		return f.readWords(l.path("cgroup.controllers"))
	}
	return l.Controllers
}

func (f *Facts) controllerEvidence() (all []Evidence) {
	if at := f.ofManager(); at != nil {
		return []Evidence{f.controllersAt(at)}
	}
	for i := range f.locations {
		if l := &f.locations[i]; l.delegated() && l.IsUnified() {
			file := l.path("cgroup.controllers")
			all = append(all, Evidence{file, strings.Join(f.readWords(file), " ")})
		}
	}
	return all
}

func checkRealtime(f *Facts) Result {
	h := f.unified()
	if h == nil || !slices.Contains(h.Controllers, "cpu") {
		return skip("there is no cpu controller on cgroup v2")
	}
	at := location{Hierarchy: h, base: h.Base}
	if l := f.locationIn(h.Name); l != nil && l.err == nil {
		at = *l
	}
	if slices.Contains(f.readWords(at.path("cgroup.controllers")), "cpu") {
		return ok("the session has the controller cpu")
	}
	evidence := f.realtimeOutside()
	if len(evidence) == 0 {
		return ok("")
	}
	return warning("the controller cpu is not enabled, so that containers have no CPU limits; on a kernel with CONFIG_RT_GROUP_SCHED these realtime processes keep it from being enabled", evidence...).
		fixed("stop the realtime processes, or move them to the root cgroup, and log in again", byHand("sh", "-c", "echo "+strings.Split(evidence[0].Path, "/")[2]+" >"+f.unified().Mount.Point+"/cgroup.procs"))
}

// realtimeOutside returns some of the realtime processes that keep cpu from being enabled:
// those outside of the root cgroup, and none of the kernel's, whose parent is kthreadd.
func (f *Facts) realtimeOutside() (evidence []Evidence) {
	const kthreadd = 2
	pids, _ := f.Machine.Processes()
	slices.Sort(pids)
	for _, pid := range pids {
		p, err := f.Machine.Process(pid)
		if err != nil || !p.IsRealtime() || pid == kthreadd {
			continue
		}
		if status, err := f.Machine.StatusOf(pid); err == nil && status.Parent == kthreadd {
			continue
		}
		members, err := hierarchy.Memberships(f.Machine, pid)
		if err == nil && hierarchy.PathIn(members, hierarchy.Unified) == "/" {
			continue
		}
		evidence = append(evidence, Evidence{fmt.Sprintf("/proc/%d/stat", pid), fmt.Sprintf("%s, policy %d", p.Name, p.Policy)})
		if len(evidence) == 5 {
			break
		}
	}
	return evidence
}

// The least that a container with a shell and a few services needs.
const (
	fewProcesses = 50
	littleMemory = 64 << 20
	fewCgroups   = 4 // lxc.payload, lxc.monitor and a level of their own
	fewLevels    = 3 // that of the container, and of its init's slices and services
)

func checkLimits(f *Facts) Result {
	var evidence []Evidence
	for _, h := range f.found {
		at := location{Hierarchy: h, base: path.Join(h.Base, "user")}
		levels := uint64(2) // of a session below that: user/NAME/N
		if l := f.locationIn(h.Name); l != nil && l.err == nil {
			at, levels = *l, 0
		}
		if l := f.ofManager(); l != nil && l.Hierarchy == h {
			at, levels = *l, 0
		}
		for dir := at.base; ; dir, levels = path.Dir(dir), levels+1 {
			evidence = append(evidence, f.tightLimits(h, dir, levels)...)
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	if len(evidence) == 0 {
		return ok("")
	}
	r := warning("limits above the session leave little room for a container", evidence...)
	if i := slices.IndexFunc(evidence, f.isUsedUp); i >= 0 {
		r = failed("a limit above the session is reached: no container can be started", append([]Evidence{evidence[i]}, slices.Delete(slices.Clone(evidence), i, i+1)...)...)
	}
	return f.liftFix(r)
}

// isUsedUp tells of a limit that counts things whether no more can be made.
func (f *Facts) isUsedUp(e Evidence) bool {
	var most, used uint64
	n, _ := fmt.Sscanf(e.Value, "%d, of which %d are used", &most, &used)
	isUp := n == 2 && used >= most || n == 1 && most == 0 // whatever is used
	return isUp && !strings.HasPrefix(path.Base(e.Path), "memory.")
}

// unlimited is what lifts a limit: v1's memory controller has a word of its own.
func unlimited(file string) string {
	if strings.HasSuffix(file, ".limit_in_bytes") {
		return "-1"
	}
	return "max"
}

// tightLimits returns the limits of one cgroup that leave less than a container
// needs. The session is so many levels below it.
func (f *Facts) tightLimits(h *hierarchy.Hierarchy, dir string, levels uint64) (evidence []Evidence) {
	at := path.Join(h.Mount.Point, dir)
	for _, limit := range []struct {
		file  string
		used  func() (used uint64, isKnown bool)
		least uint64
	}{
		{"pids.max", f.number(at, "pids.current"), fewProcesses},
		// Pages of files that nobody has used lately are given up first.
		{"memory.max", f.without(at, "memory.current", "inactive_file"), littleMemory},
		{"memory.limit_in_bytes", f.without(at, "memory.usage_in_bytes", "total_inactive_file"), littleMemory},
		{"cgroup.max.descendants", f.inStat(at, "cgroup.stat", "nr_descendants"), fewCgroups},
		// A cgroup is made only if it is no deeper below this one (cgroup-v2.rst).
		{"cgroup.max.depth", func() (uint64, bool) { return levels, true }, fewLevels},
	} {
		file := path.Join(at, limit.file)
		most, err := strconv.ParseUint(f.readWord(file), 10, 64) // "max" is no number
		if err != nil {
			continue
		}
		switch used, isKnown := limit.used(); {
		case !isKnown && most < limit.least:
			evidence = append(evidence, Evidence{file, strconv.FormatUint(most, 10)})
		case isKnown && (used > most || most-used < limit.least):
			evidence = append(evidence, Evidence{file, fmt.Sprintf("%d, of which %d are used", most, used)})
		}
	}
	return evidence
}

// number reads a file with a number.
func (f *Facts) number(dir, file string) func() (uint64, bool) {
	return func() (uint64, bool) {
		n, err := strconv.ParseUint(f.readWord(path.Join(dir, file)), 10, 64)
		return n, err == nil
	}
}

// inStat reads the number after a key.
func (f *Facts) inStat(dir, file, key string) func() (uint64, bool) {
	return func() (uint64, bool) {
		data, _ := f.Machine.ReadFile(path.Join(dir, file))
		for line := range strings.Lines(string(data)) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
				n, err := strconv.ParseUint(value, 10, 64)
				return n, err == nil
			}
		}
		return 0, false
	}
}

// without reads what is used of memory, without what memory.stat has by that key.
func (f *Facts) without(dir, file, key string) func() (uint64, bool) {
	return func() (uint64, bool) {
		used, isKnown := f.number(dir, file)()
		cache, _ := f.inStat(dir, "memory.stat", key)()
		return used - min(used, cache), isKnown
	}
}

func checkProbe(f *Facts) Result {
	if !f.Probe {
		return skip("not asked for: --probe")
	}
	if f.Machine.IsRecorded() {
		return skip("a recorded machine can only be looked at")
	}
	if f.Subject.Proc != "/proc/self" {
		return skip("only the shell from which this was started can be probed")
	}
	if err := f.System.Probe(); err != nil {
		return failed("no cgroup can be made in the session and entered: "+err.Error()).with(f.openFix(), "or log in again")
	}
	return ok("a cgroup was made, entered, left and removed")
}
