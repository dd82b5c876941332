package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// lxcChecks look at the session as LXC does, and at a container's configuration
// if one was named.
var lxcChecks = []*Check{
	{
		Code: "CGD-050", Name: "lxc-v1", Title: "This LXC knows the machine's version of cgroups",
		Explain:   "LXC 7.0 and later have no cgroup v1 (lxc/lxc#4671). LXC before 3.0 has no cgroup v2: where v2 is alone it starts nothing.",
		DependsOn: []string{"mode"}, run: checkLXCv1,
	},
	{
		Code: "CGD-051", Name: "lxc-view", Title: "LXC finds cgroups for its containers",
		Explain:   "LXC takes its own cgroup, without a trailing /init.scope, as the base of its containers' cgroups, and uses a v1 hierarchy if it may write that directory, v2 if it may write every file of /sys/kernel/cgroup/delegate there. With none that it may use it starts containers without cgroups, silently; lxc.cgroup.use in ~/.config/lxc/lxc.conf makes it refuse instead. That is a list with commas and without blanks, of which the first line counts; a v1 hierarchy is left out if one of its controllers is not in it, and on v2 LXC before 4.0.7 does not look at it. LXC before 3.0.4 refuses to start on v1 without freezer. It looks for cgroups in /sys/fs/cgroup alone: there has to be v2, or in it a directory for each v1 hierarchy, with the name that /proc/self/cgroup has for it.",
		DependsOn: []string{"session", "writable", "parents"}, needs: aProcess, run: checkLXCView,
	},
	{
		Code: "CGD-052", Name: "config-idmap", Title: "The container's IDs are the user's subordinate IDs",
		Explain:   "newuidmap and newgidmap refuse a map that has IDs outside of the user's ranges in /etc/subuid and /etc/subgid.",
		DependsOn: []string{"subid"}, alone: true, needs: aConfig, run: checkConfigIDMap,
	},
	{
		Code: "CGD-053", Name: "config-limits", Title: "The session has the controllers of the container's limits",
		Explain:   "A limit lxc.cgroup.FILE needs its controller's v1 hierarchy, lxc.cgroup2.FILE its controller on v2, and a file of that name there. Without these LXC refuses to start the container, if it has a cgroup. A container with limits and without any cgroup is started on v2, where they do not hold; on v1 it is refused, too.",
		DependsOn: []string{"session", "lxc-view"}, alone: true, needs: aConfig, run: checkConfigLimits,
	},
}

func checkLXCv1(f *Facts) Result {
	version := f.System.Version("lxc")
	if version == "" {
		return skip("there is no LXC, or its version is not known")
	}
	isV2, isKnown := f.hasNoV1()
	if isV2 {
		if r := f.beforeUnified(version); r.Status != OK {
			return r.certainIf(isKnown)
		}
		return ok("LXC " + version + ", on cgroup v2").certainIf(isKnown)
	}
	if slices.Compare(versionNumbers(version), []int{7}) >= 0 {
		return failed("LXC "+version+" does not know cgroup v1, which this machine has, and starts no container").
			with(f.unifiedFix(), "").certainIf(isKnown)
	}
	return ok("LXC " + version).certainIf(isKnown)
}

func checkLXCView(f *Facts) Result {
	if client := f.clientAlone(); client != "" {
		if at := f.ofManager(); at != nil && f.managerOfLXC() == machine.Found {
			return f.useInManager(at)
		}
		return skip(client + " asks systemd's user manager for its cgroups")
	}
	if none := f.podmanSetsNone(); none != "" {
		return skip(none)
	}
	if f.isInUserManager() {
		return skip("this shell is below systemd's user manager: see the check leaf")
	}
	if l := f.elsewhere(); l != nil {
		return f.lxcOutside(l)
	}
	var evidence []Evidence
	var usable []string
	for i := range f.locations {
		l := &f.locations[i]
		if l.delegated() && (len(l.Controllers) > 0) && f.isSeenByLXC(l) {
			usable = append(usable, f.seenByLXC(l)...)
			evidence = append(evidence, Evidence{l.path(), l.Name})
		}
	}
	const some = 3
	few := evidence
	if more := len(evidence) - some; more > 1 {
		few = slices.Clone(evidence[:some])
		few[some-1].Value += fmt.Sprintf(", and %d more hierarchies", more)
	}
	for _, look := range []func([]Evidence) Result{f.checkCgroupUse, f.checkFreezer} {
		if r := look(few); r.Status != OK {
			return r
		}
	}
	if r := f.checkLXCMounts(); r.Status != OK {
		return r
	}
	if len(evidence) == 0 {
		return failed("LXC would start containers without any cgroup", f.cgroupEvidence()...).with(f.openFix(), "")
	}
	if f.Config != nil && f.isUnified() {
		// LXC then stays in the leaf, where the shell is (cgfsng.c, cgroup_relative)
		if item, found := f.Config.Last("lxc.cgroup.relative"); found && item.Value == "1" {
			return failed("lxc.cgroup.relative has LXC make its cgroups in the leaf, where no controller can be enabled", itemEvidence(item)).
				fixed("remove the line lxc.cgroup.relative", f.edit(item.File))
		}
	}
	return ok("LXC finds cgroups for "+strings.Join(usable, " "), evidence...)
}

// seenByLXC returns what LXC takes a hierarchy for: of v2 the controllers of its own
// cgroup, of v1 all, and its name if it has one (cgfsng.c, unified_controllers).
func (f *Facts) seenByLXC(l *location) []string {
	if l.IsUnified() {
		return f.controllersIn(l)
	}
	return l.Controllers
}

// lxcOutside is the result for a shell that is beside the cgroup that a manager gives
// to the user: LXC makes its cgroups below the shell's own. The leaf is what LXC
// takes off.
func (f *Facts) lxcOutside(l *location) Result {
	script := fmt.Sprintf("mkdir -p %[1]s/init.scope && echo %[2]d >%[1]s/init.scope/cgroup.procs", quote(l.path()), f.Subject.PID)
	move := Command{Args: []string{"sh", "-c", script}, Root: true}
	if st, err := f.Machine.Stat(path.Join(path.Dir(l.path()), "cgroup.procs")); err == nil && f.mayWrite(st) {
		move.Root = false // the cgroup above both is the user's too (cgroups(7), "Cgroup delegation containment")
	}
	return failed("LXC makes its cgroups below the shell's, and that is not the one that elogind delegates: it would start containers without any",
		Evidence{f.cgroupFile(), l.Name + ":" + l.member}).
		fixed("move the shell below "+l.base, move)
}

// fixedWith adds how a session has these controllers too: by the list of the module's line
// for every login, and for this shell by a session that is made for it. It adds also alone
// where neither can be.
func (r Result) fixedWith(f *Facts, controllers []string, also string) Result {
	open := f.openFix(controllers...)
	if open == nil {
		return r.with(nil, also)
	}
	names := Controllers(controllers)
	if also != "" {
		also = "; " + also
	}
	if f.login.module == nil || f.login.asked.All {
		return r.fixed("make a session with "+names+" for this shell"+also, open.Commands...)
	}
	list := f.listToOpen(controllers)
	text := fmt.Sprintf("so that every later session has %[3]s: write -c %[1]s in %[2]s; for this shell, now: make a session with %[3]s", list, f.login.module.File, names)
	return r.fixed(text+also, append([]Command{f.writeList(list)}, open.Commands...)...)
}

// writeList writes another list behind -c on the module's line.
func (f *Facts) writeList(list string) Command {
	line := f.login.module
	i := slices.Index(line.Args, "-c")
	if i < 0 || i+1 >= len(line.Args) || strings.Trim(line.Args[i+1], plainNames+",=.") != "" {
		return byHand(f.editor(), line.File)
	}
	script := fmt.Sprintf(`%ds/\(-c[[:blank:]]*\)%s/\1%s/`, line.Number, sedQuoted.Replace(line.Args[i+1]), list)
	return byHand("sh", "-c", sedInPlace(script, line.File))
}

func checkConfigIDMap(f *Facts) Result {
	lines, err := f.Config.IDMaps()
	if err != nil {
		return failed("LXC does not understand lxc.idmap, and refuses to start the container: " + err.Error()).fixed("correct lxc.idmap").certain()
	}
	if len(lines) == 0 {
		return f.noIDMap()
	}
	maps := idMaps{name: lxcIDMap, missing: "lxc.idmap has no line for %s IDs (%c)", isWhole: f.isWholeConfig()}
	for _, m := range lines {
		at := Evidence{fmt.Sprintf("%s:%d", m.Item.File, m.Item.Line), "lxc.idmap = " + m.Item.Value}
		maps.lines = append(maps.lines, idMap{m.Kind, m.Inside, m.Outside, m.Count, at})
	}
	return f.checkIDMaps(maps)
}

// itemEvidence is a line of a container's configuration.
func itemEvidence(i lxcconf.Item) Evidence {
	return Evidence{fmt.Sprintf("%s:%d", i.File, i.Line), i.Key + " = " + i.Value}
}

// edit has the user edit a file of its own.
func (f *Facts) edit(file string) Command {
	return Command{Args: []string{f.editor(), file}, ByHand: true}
}

func checkConfigLimits(f *Facts) Result {
	if r, isSeen := f.limitsSeen(); f.Partial && isSeen {
		return r
	}
	if f.Subject.PID == 0 {
		return skip("there is no login to look at with --user")
	}
	at := f.ofManager()
	if client := f.clientAlone(); client != "" && (at == nil || f.managerOfLXC() != machine.Found) {
		return skip(client + " asks systemd's user manager for its cgroups")
	}
	limits := f.Config.Limits()
	if lacking, evidence := f.lackingForLimits(); len(lacking) > 0 {
		if at != nil {
			return f.limitsInManager(at, lacking, evidence)
		}
		r := failed("LXC refuses to start the container: the session lacks "+Controllers(lacking)+", which the container's limits need", evidence...)
		return f.lackingFix(r, lacking, evidence[0].file())
	}
	for _, look := range []func([]lxcconf.Limit) Result{f.checkLimitFiles, f.checkLimitValues} {
		if r := look(limits); r.Status != OK {
			return r
		}
	}
	if ignored := ignoredIn(limits, f.isUnified()); len(ignored) > 0 {
		return f.ignoredLimits(ignored, f.isUnified())
	}
	return ok(limitsHave(len(limits)))
}

// limitsHave says that nothing is missing for so many limits of a container.
func limitsHave(count int) string {
	if count == 0 {
		return "the container has no limits"
	}
	return fmt.Sprintf("the session has the controllers of all its limits (%d)", count)
}

// lackingFix says how controllers are had that the limits of a configuration's file need.
func (f *Facts) lackingFix(r Result, lacking []string, file string) Result {
	// Of a session that is there on cgroup v2, another one would change nothing.
	if f.canOpen(lacking) && (f.openFix(lacking...) != nil || !f.isUnified()) {
		return r.fixedWith(f, lacking, "")
	}
	if f.isUnified() && f.unified() != nil {
		return f.lackingOnV2(r, lacking, file)
	}
	r.Says += "; no mounted hierarchy has " + Controllers(lacking)
	if names := f.unmounted(lacking); len(names) > 0 {
		return r.fixed("mount the hierarchy, and run cgdeleg check again", f.mountCommands(names)...)
	}
	return r.fixed("remove these limits from the configuration", f.editAny(file))
}

// lackingOnV2 is lackingFix for what the session could have, or nothing on this machine can.
func (f *Facts) lackingOnV2(r Result, lacking []string, file string) Result {
	says, evidence, fix := causesOf(lacking, f.causeOf)
	r.Says += says
	r.Evidence = append(r.Evidence, evidence...)
	return r.fixed(fix.Text+"; or remove these limits from the configuration", append(fix.Commands, or(f.editAny(file))...)...)
}

// ignores tells whether LXC passes a limit over, because it is for the other
// version of cgroups.
func (f *Facts) ignores(l lxcconf.Limit) bool {
	return l.Unified != f.isUnified() // also where v2 has controllers beside v1: cgfsng.c, pure_unified_layout
}

func limitEvidence(l lxcconf.Limit) Evidence {
	return Evidence{fmt.Sprintf("%s:%d", l.Item.File, l.Item.Line), l.Item.Key + " = " + l.Value}
}

// lackingForLimits returns which controllers the session lacks for the limits of
// the container, and of which limits that is so.
func (f *Facts) lackingForLimits() (controllers []string, evidence []Evidence) {
	if f.Config == nil {
		return nil, nil
	}
	for _, l := range f.Config.Limits() {
		controller, _, _ := strings.Cut(l.File, ".")
		if f.ignores(l) || controller == "cgroup" || f.lxcHas(controller) {
			continue
		}
		evidence = append(evidence, limitEvidence(l))
		if !slices.Contains(controllers, controller) {
			controllers = append(controllers, controller)
		}
	}
	return controllers, evidence
}

// hasController tells whether LXC can set a limit of the controller's: on v2
// alone or else on v1.
func (f *Facts) hasController(controller string) bool {
	if f.isUnified() && slices.Contains([]string{"freezer", "devices"}, controller) {
		return true // v2 has both without a controller
	}
	for i := range f.locations {
		l := &f.locations[i]
		if l.IsUnified() == f.isUnified() && slices.Contains(f.controllersIn(l), controller) {
			return true
		}
	}
	return false
}

// unmounted returns the v1 hierarchies of the kernel that have the controllers
// and are not mounted here.
func (f *Facts) unmounted(controllers []string) (names []string) {
	members, _ := f.memberships()
	for _, m := range members {
		isIt := func(c string) bool { return slices.Contains(strings.Split(m.Hierarchy, ","), c) }
		if slices.ContainsFunc(controllers, isIt) && f.set.ByName(m.Hierarchy) == nil {
			names = append(names, m.Hierarchy)
		}
	}
	return names
}
