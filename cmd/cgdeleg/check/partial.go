package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Of a part of a machine (Facts.Partial) most of what a check goes by was not recorded, and
// what the facts say then is no more than that. So every result is unknown, but for those
// that the check marks as certain: that they hold follows from files that were recorded,
// whatever else there is on the machine.

// certain marks such a result. It also holds where a check on which this one depends could
// not be told.
func (r Result) certain() Result { return r.certainIf(true) }

func (r Result) certainIf(isCertain bool) Result {
	r.isCertain = isCertain
	return r
}

// resultOfPart runs a check over a part of a machine.
func (f *Facts) resultOfPart(c *Check) Result {
	if c.program != "" && f.System.Version(c.program) == "" {
		return Result{Status: Unknown, Says: "nothing was recorded of " + c.program}
	}
	if reason := f.lacks(c.needs); reason != "" && reason != noHierarchy { // none was recorded
		if c.needs == aConfig || c.needs == aBundle || f.IsRoot() {
			return skip(reason)
		}
		const untold = "it cannot be told"
		if !strings.HasPrefix(reason, untold) {
			reason = untold + ": " + reason
		}
		return Result{Status: Unknown, Says: reason}
	}
	var asked machine.Notes
	own := f.Machine
	f.Machine = own.Noting(&asked)
	r := c.run(f)
	f.Machine = own
	if r.isCertain || r.Status == Unknown {
		return r
	}
	return Result{Status: Unknown, Says: "it cannot be told: " + notRecordedOf(&asked)}
}

// notRecordedOf says which of the files that were asked for were not recorded.
func notRecordedOf(asked *machine.Notes) string {
	var paths []string
	for _, q := range asked.Questions {
		if asked.Answer(q) == machine.Unknown && !slices.Contains(paths, q.Path) {
			paths = append(paths, q.Path)
		}
	}
	const some = 3
	switch {
	case len(paths) == 0:
		return "not all that it depends on was recorded"
	case len(paths) > some:
		paths = append(paths[:some:some], "...")
	}
	return strings.Join(paths, ", ") + ": " + machine.ErrNotRecorded.Error()
}

// isRecorded tells whether of each of these files it is known what is in it, or that there
// is none.
func (f *Facts) isRecorded(files ...string) bool {
	return !slices.ContainsFunc(files, func(file string) bool { return f.Machine.Find(file) == machine.Unknown })
}

// unifiedSeen tells whether the machine has cgroup v2 alone, if the mounts that were
// recorded tell that.
func (f *Facts) unifiedSeen() (isUnified, isKnown bool) {
	if f.mounts == nil || len(f.mounts.All) == 0 {
		return false, false
	}
	hasV1 := slices.ContainsFunc(f.mounts.All, func(h hierarchy.Mounted) bool { return !h.IsUnified() })
	return !hasV1, hasV1 || f.mounts.IsWhole || len(f.members) == 1
}

// hasNoV1 tells whether no hierarchy of cgroup v1 is there to be used.
func (f *Facts) hasNoV1() (hasNone, isKnown bool) {
	if f.Partial {
		return f.unifiedSeen()
	}
	return f.isUnified() || len(f.found) == 0, true
}

// userSeen is the check user for a process of which only some files were recorded.
func (f *Facts) userSeen() Result {
	switch {
	case f.Subject.UID < 0:
		return unknown("it cannot be told whose process it is", errNotRecorded("/proc/self/status"))
	case f.IsRoot():
		return warning("root needs no delegation: this says nothing about a user").certain()
	case f.Subject.UID == 0:
		return unknown("it cannot be told whether it is the machine's root or a container's", errNotRecorded("/proc/self/uid_map"))
	}
	return ok(f.Subject.Name + ", the user of the process whose files these are").certain()
}

// modeSeen is the check mode by the mounts that were recorded.
func (f *Facts) modeSeen() Result {
	const mountinfo = "/proc/self/mountinfo"
	switch {
	case f.mounts == nil:
		return unknown("it cannot be told which cgroups are mounted", errNotRecorded(mountinfo))
	case !f.mounts.HasAny && f.mounts.IsWhole:
		return f.mountResult(failed("no cgroup file system is mounted", Evidence{mountinfo, "no line of type cgroup or cgroup2"})).certain()
	case !f.mounts.HasAny:
		return unknown("it cannot be told whether cgroups are mounted: only a part of "+mountinfo+" is there, without a cgroup file system", machine.ErrNotRecorded)
	}
	var v1 []string
	unified := ""
	for _, h := range f.mounts.All {
		if h.IsUnified() {
			unified = h.Point
		} else {
			v1 = append(v1, h.Name)
		}
	}
	evidence := Evidence{mountinfo, strings.Join(append(v1, hierarchyWord(unified)...), " ")}
	isUnified, isKnown := f.unifiedSeen()
	switch {
	case !isKnown:
		return ok("cgroups are mounted").certain()
	case isUnified:
		return ok("cgroup v2 alone", evidence).certain()
	case unified == "":
		return ok("cgroup v1", evidence).certain()
	}
	return ok("cgroup v1, with v2 beside it (hybrid)", evidence).certain()
}

// errNotRecorded is the error of a file that was not recorded.
func errNotRecorded(file string) error { return fmt.Errorf("%s: %w", file, machine.ErrNotRecorded) }

// mountsSeen is the check mounts by the mounts that were recorded. That they can be used
// nobody can tell without the cgroups.
func (f *Facts) mountsSeen() Result {
	const mountinfo = "/proc/self/mountinfo"
	if f.lost != nil {
		return unknown("it cannot be told whether the mounts can be used", f.lost)
	}
	var stale, readOnly []Evidence
	for _, h := range f.mounts.All {
		switch {
		case h.Stale:
			stale = append(stale, Evidence{mountinfo, h.Point + ", of the root /.."})
		case h.ReadOnly:
			readOnly = append(readOnly, Evidence{mountinfo, h.Point + " ro"})
		}
	}
	const inside = ", inside of the container; or have the container's manager do that"
	switch all := len(f.mounts.All); {
	case all > 0 && len(stale) == all:
		return failed("the cgroups were mounted before this cgroup namespace was made (root /..), so that no process can find its cgroup there", stale...).
			fixed("mount the cgroups again" + inside).certain()
	case len(readOnly) > 0 && len(stale)+len(readOnly) == all && f.nobodyMounts():
		return failed("the cgroups are mounted read-only", readOnly...).fixed(f.cgroupsOutside()).certain()
	case len(readOnly) > 0 && len(stale)+len(readOnly) == all:
		return failed("the cgroups are mounted read-only", readOnly...).fixed("mount the cgroups writable" + inside).certain()
	}
	r := unknown("it cannot be told whether the mounts can be used", errNotRecorded("the cgroups"))
	r.Evidence = slices.Concat(stale, readOnly)
	return r
}

// sessionSeen is the check session by /proc/PID/cgroup alone, which does not tell whose the
// cgroups are.
func (f *Facts) sessionSeen() Result {
	if f.lost != nil {
		return unknown("it cannot be told in which cgroups the shell is", f.lost)
	}
	jobs := jobsOf(f.members)
	var own []string
	var evidence []Evidence
	for _, m := range f.members {
		isJob, isSession := slices.Contains(jobs, m.Hierarchy), isSessionPath(m.Path) && m.Hierarchy != hierarchy.Unified
		if isSession {
			own = append(own, m.Hierarchy)
		}
		if isJob || isSession || len(jobs) == 0 {
			evidence = append(evidence, Evidence{f.cgroupFile(), m.Hierarchy + ":" + m.Path})
		}
	}
	if len(jobs) > 0 && len(own) > 0 {
		return tornFrom(jobsManager(f.members), own, evidence).certain()
	}
	says := "it cannot be told whose the shell's cgroups are"
	if len(jobs) > 0 {
		says = jobsManager(f.members) + " has put this shell into a job (" + hierarchy.PathIn(f.members, jobs[0]) + "); " + says
	}
	for _, m := range f.members {
		isOfNamed := !f.Subject.Nameless && f.Subject.Name != "root" && strings.Contains(m.Path, "/"+manager.UserSlice(0)+"/")
		if others := f.othersLogin(m.Path); others != "" && (f.Subject.UID >= 0 || isOfNamed) {
			says = "the shell is in systemd's " + unitOf(m.Path) + others + "; " + says
			break
		}
	}
	r := unknown(says, errNotRecorded("their owners"))
	const some = 5
	if more := len(evidence) - some; more > 1 {
		evidence = slices.Concat(evidence[:some], []Evidence{{f.cgroupFile(), fmt.Sprintf("and %d more lines", more)}})
	}
	r.Evidence = evidence
	return r
}

// isSessionPath tells whether a cgroup is a session of the module's, by its name:
// user/NAME/N.
func isSessionPath(member string) bool {
	words := strings.Split(member, "/")
	n := len(words)
	if n < 4 || words[n-3] != layout.UsersDir || words[n-2] == "" || words[n-1] == "" {
		return false
	}
	return strings.Trim(words[n-1], "0123456789") == ""
}

// controllersSeen is the check controllers by what the kernel says that it has turned off.
// On cgroup v1 the list of a session's controllers is the administrator's choice.
func (f *Facts) controllersSeen() (r Result, ok bool) {
	if isUnified, isKnown := f.unifiedSeen(); !isKnown || !isUnified {
		return r, false
	}
	words := f.readWords("/proc/cmdline")
	isEnabled := func(c string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return enables(word, c) })
	}
	kernelHas := f.isRecorded("/proc/cgroups")
	var lacking []string
	causes := map[string]cause{}
	for _, c := range expected {
		if slices.Contains(f.readWords("/sys/fs/cgroup/cgroup.controllers"), c) {
			continue // whatever the command line says, the kernel has it
		}
		off := f.turnedOffBy(c, words)
		isOff := slices.Contains(f.disabledControllers(), c)
		// Without the kernel's own word, cgroup_enable= may have turned it on again.
		if off == nil || !isOff && (isEnabled(c) || kernelHas) {
			continue
		}
		lacking = append(lacking, c)
		causes[c] = *off
	}
	if len(lacking) == 0 {
		return r, false
	}
	r = lacks("every session", lacking, func(controller string) cause { return causes[controller] })
	r.Fix.Commands = nil // for a machine of which nobody knows more
	return r.certain(), true
}

// limitsSeen tells of the container's limits that LXC ignores on this machine, whatever the
// session has.
func (f *Facts) limitsSeen() (r Result, ok bool) {
	isUnified, isKnown := f.unifiedSeen()
	if !isKnown {
		return r, false
	}
	ignored := ignoredIn(f.Config.Limits(), isUnified)
	if len(ignored) == 0 {
		return r, false
	}
	return f.ignoredLimits(ignored, isUnified).certain(), true
}

// pamLineSeen tells of the PAM services that were recorded whether they have a line of the
// module. By which of them the shell came is not known.
func (f *Facts) pamLineSeen() Result {
	r := Result{Status: Unknown, Says: "it cannot be told which PAM service the shell's login used"}
	names, _ := f.Machine.ReadDir(pamconf.Dirs[0])
	for _, name := range names {
		lines, err := pamconf.Session(f.Machine, name)
		i := slices.IndexFunc(lines, func(l pamconf.Line) bool { return l.Is(moduleName) })
		switch {
		case i >= 0:
			r.Evidence = append(r.Evidence, lineEvidence(lines[i]))
		case err != nil:
			r.Evidence = append(r.Evidence, Evidence{pamconf.Dirs[0] + "/" + name, err.Error()})
		default:
			r.Evidence = append(r.Evidence, Evidence{pamconf.Dirs[0] + "/" + name, "no line of " + moduleName})
		}
	}
	return r
}

// noConfig says that no container was asked about.
func (f *Facts) noConfig() string {
	if f.Partial {
		return "no container's configuration was recorded"
	}
	return "no --container or --lxc-config was given"
}

// isWholeConfig tells whether all files of the container's configuration were recorded: else
// one of them may say what is missing in the others, or something else.
func (f *Facts) isWholeConfig() bool { return f.Config != nil && len(f.Config.Unread) == 0 }

// isLastWord tells whether none of the files that were not recorded can say something else
// than a line of the configuration: they are included before it.
func (f *Facts) isLastWord(line lxcconf.Item) bool {
	return !slices.ContainsFunc(f.Config.Unread, func(include lxcconf.Item) bool {
		return include.File != line.File || include.Line > line.Line
	})
}

// knowsUsernet tells whether all was recorded that tells whether the user may have network
// devices on a bridge.
func (f *Facts) knowsUsernet(bridge string) bool {
	data, err := f.Machine.ReadFile(usernetFile)
	if err != nil || f.Subject.Nameless {
		return false
	}
	isGroups := func(line string) bool {
		words := strings.Fields(line)
		return len(words) > 2 && strings.HasPrefix(words[0], "@") && words[2] == bridge
	}
	return f.isRecorded("/etc/group") || !slices.ContainsFunc(strings.Split(string(data), "\n"), isGroups)
}

// unreadResult is the check config for a configuration of which a part was not recorded.
func (f *Facts) unreadResult() Result {
	r := unknown("it cannot be told whether LXC can read what the configuration includes", errNotRecorded(f.Config.Unread[0].Value))
	for _, item := range f.Config.Unread {
		r.Evidence = append(r.Evidence, itemEvidence(item))
	}
	return r
}

// isMissing tells whether a file of subordinate IDs was not recorded, which is no error of a
// part of a machine.
func (f *Facts) isMissing(err error) bool { return f.Partial && errors.Is(err, machine.ErrNotRecorded) }

// ownsIDs tells whether the files are where the subject has subordinate IDs from: one of
// these has a line of it, or it is known that nobody else is asked.
func (f *Facts) ownsIDs(s *subIDs) bool {
	isAsked := f.isRecorded(nsswitchFile) || len(s.own) > 0 || len(s.meant(f.Subject)) > 0
	return !s.isUnread && isAsked && f.subIDService() == "" && (!f.Subject.Nameless || len(s.own) > 0)
}

// hasAllSubIDs tells whether all files were recorded that tell which subordinate IDs the
// subject has.
func (f *Facts) hasAllSubIDs(both []subIDs) bool {
	return !f.Subject.Nameless && !slices.ContainsFunc(both, func(s subIDs) bool { return s.isUnread || s.extents == nil }) && f.isRecorded(nsswitchFile)
}

// subIDSeen is the check subid where the files that were recorded say no more than what
// stands in them.
func (f *Facts) subIDSeen(both []subIDs) Result {
	r := Result{Status: Unknown}
	var lacking []string
	for _, s := range both {
		switch {
		case s.isUnread:
			lacking = append(lacking, s.file)
		case f.Subject.Nameless: // any of them may be the user's
			s.own = s.all
			fallthrough
		default:
			r.Evidence = append(r.Evidence, s.evidence())
		}
		if s.extents == nil {
			lacking = append(lacking, s.mapFile)
		}
	}
	if !f.isRecorded(nsswitchFile) {
		lacking = append(lacking, nsswitchFile)
	}
	if f.Subject.Nameless {
		lacking = append(lacking, "the user's name")
	}
	r.Says = "it cannot be told whether the user has enough subordinate IDs: " + strings.Join(lacking, ", ") + ": " + machine.ErrNotRecorded.Error()
	return r
}

// knowsOwnIDs tells whether the lines of a part of a machine are known to be those that give
// the subject subordinate IDs.
func (f *Facts) knowsOwnIDs(both []subIDs) bool {
	return f.Partial && slices.ContainsFunc(both, func(s subIDs) bool { return f.ownsIDs(&s) })
}
