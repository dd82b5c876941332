package check

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// machineChecks look at the cgroups of the machine, or of the container, as
// they are for everybody.
var machineChecks = []*Check{
	{
		Code: "CGD-001", Name: "user", Title: "The containers are an ordinary user's",
		Explain: "The machine's root may write every cgroup and needs no delegation, so nothing that is found for root says anything about a user. Run cgdeleg check in the user's login, or as root with --user NAME.",
		run:     checkUser,
	},
	{
		Code: "CGD-002", Name: "mode", Title: "Cgroups are mounted",
		Explain: "Without a mounted cgroup file system there is nothing to be delegated. In a container it is the container's manager that mounts them (LXC: lxc.mount.auto = cgroup:mixed:force; without \"force\" it leaves the mounts to the container's init).",
		run:     checkMode,
	},
	{
		Code: "CGD-003", Name: "mounts", Title: "The cgroup mounts can be used",
		Explain: "A cgroup file system that is mounted read-only, as in Docker's containers, takes no new cgroups. One that was mounted before the cgroup namespace was made shows cgroups by names that do not fit /proc/self/cgroup: its root is /.. in /proc/self/mountinfo (cgroup_namespaces(7)). Nobody can find its own cgroup there.",
		needs:   anybody, DependsOn: []string{"mode"}, run: checkMounts,
	},
	{
		Code: "CGD-004", Name: "namespace", Title: "This shell is inside of its cgroup namespace",
		Explain:   "A process that was put into a container's mount namespace but not into its cgroup namespace (nsenter without --cgroup) is in a cgroup that has no path there.",
		DependsOn: []string{"mode"}, alone: true, run: checkNamespace,
	},
	{
		Code: "CGD-007", Name: "container", Title: "This container has cgroups to give",
		Explain:   "Root of an unprivileged container is a subordinate ID of the user who started it. It may make cgroups only in those hierarchies in which that user had a session: what is lacking there cannot be fixed in here.",
		DependsOn: []string{"mode"}, needs: hasCgroup, run: checkContainer,
	},
	{
		Code: "CGD-005", Name: "hierarchies", Title: "The controllers that -c asks for are mounted",
		Explain:   "The PAM line's -c names v1 controllers, named v1 hierarchies (name=systemd) or v2. The module makes a session where it finds them and says in the log what it did not find. On cgroup v2 it enables the controllers that the list names and no others, except in a scope of systemd's, where Delegate= counts; without -c it enables all.",
		DependsOn: []string{"mode", "container"}, needs: hasCgroup, run: checkHierarchies,
	},
	{
		Code: "CGD-006", Name: "base", Title: "Controllers can be enabled where sessions are made (user/NAME/N)",
		Explain:   "On cgroup v2 a cgroup with processes in it cannot give controllers to its children, unless it is the machine's root (Documentation/admin-guide/cgroup-v2.rst, \"No Internal Process Constraint\"). In a container the first processes often sit in the container's root cgroup.",
		DependsOn: []string{"mode", "container"}, needs: hasCgroup, run: checkBase,
	},
}

func checkUser(f *Facts) Result {
	if f.Partial {
		return f.userSeen()
	}
	if f.IsRoot() {
		name := cmp.Or(f.System.SudoUser(), "NAME")
		return warning("root needs no delegation: this says nothing about a user").
			fixed("run cgdeleg check as the user, without sudo; or as root for a user's login", Command{Args: []string{"cgdeleg", "check", "--user", name}, ByHand: true})
	}
	if f.Subject.PID == 0 {
		return ok(fmt.Sprintf("what a login of %s would get", f.Subject.Name))
	}
	return ok(fmt.Sprintf("%s, the user of process %d", f.Subject.Name, f.Subject.PID))
}

func checkMode(f *Facts) Result {
	if f.Partial {
		return f.modeSeen()
	}
	unusable, lines := f.unusable()
	switch {
	case f.discovery != nil && f.hidesProcesses():
		return f.askedAsRoot(unknown("it cannot be told in which cgroup sessions would be made", errHidden))
	case f.discovery != nil:
		return unknown("it cannot be told which cgroups are mounted", f.discovery)
	case len(f.found) == 0 && len(unusable) == 0 && len(lines) > 0:
		return unknown("it cannot be told which cgroups are mounted", lines[0])
	case len(f.found) == 0 && len(unusable) == 0 && f.asksCgmanager():
		return f.cgmanagerResult()
	case len(f.found) == 0 && len(unusable) == 0:
		return f.mountResult(failed("no cgroup file system is mounted", Evidence{"/proc/self/mountinfo", "no line of type cgroup or cgroup2"}))
	}
	var v1 []string
	unified := ""
	for _, h := range f.found {
		if h.IsUnified() {
			unified = h.Mount.Point
		} else {
			v1 = append(v1, h.Name)
		}
	}
	evidence := Evidence{"/proc/self/mountinfo", strings.Join(append(v1, hierarchyWord(unified)...), " ")}
	switch {
	case f.isUnseen():
		return ok("cgroups are mounted", evidence)
	case len(f.found) == 0:
		return ok("cgroups are mounted, but none is usable", evidence)
	case len(v1) == 0:
		return ok("cgroup v2 alone", evidence)
	case unified == "":
		return ok("cgroup v1 alone", evidence)
	case f.unified() == nil:
		return ok("cgroup v1, with a v2 without controllers beside it (hybrid)", evidence)
	}
	return ok("cgroup v1, with v2 beside it (hybrid)", evidence)
}

// errHidden is why others' processes are not seen.
var errHidden = errors.New("/proc shows no processes but the user's own, as where it is mounted with hidepid")

// askedAsRoot adds who is shown what hidepid hides, and the mount if that has it.
func (f *Facts) askedAsRoot(r Result) Result {
	for _, option := range f.procOptions() {
		if strings.HasPrefix(option, "hidepid=") {
			r.Evidence = append(r.Evidence, Evidence{"/proc/self/mountinfo", "/proc " + option})
		}
	}
	if f.Subject.PID == 0 {
		return r.fixed("ask as root", asRoot("cgdeleg", "check", "--user", f.Subject.Name))
	}
	return r.fixed("ask as root", asRoot("cgdeleg", "check", "--pid", fmt.Sprint(f.Subject.PID)))
}

// hidesProcesses tells whether /proc shows others' processes not even by their
// directories (proc(5), hidepid=2): the first process is always there.
func (f *Facts) hidesProcesses() bool {
	return f.Machine.Find("/proc/1") == machine.Absent || f.Machine.Find("/proc/1/cgroup") == machine.Absent
}

// mountKernels mounts what there is, where that may not be told exactly.
const mountKernels = "mount the cgroup file systems that this kernel has (/proc/cgroups, /proc/filesystems)"

// mountResult adds how to mount what the kernel has, where nothing else stands in its place.
func (f *Facts) mountResult(r Result) Result {
	const manager = "in a container, have its manager mount them (LXC: lxc.mount.auto = cgroup:mixed:force)"
	names, err := f.Machine.ReadDir(cgroupRoot)
	switch {
	case err != nil:
		return r.fixed(mountKernels + "; " + manager)
	case len(names) == 0 && f.Machine.Exists("/run/openrc") && f.Machine.Exists("/etc/init.d/cgroups") && !f.isContainer():
		return r.fixed("have OpenRC mount the cgroup file systems, now and at boot", asRoot("rc-update", "add", "cgroups"), asRoot("rc-service", "cgroups", "start"))
	case len(names) == 0:
		return r.fixed(mountKernels+"; "+manager, f.mountAll())
	}
	for _, name := range first(names) {
		r.Evidence = append(r.Evidence, Evidence{path.Join(cgroupRoot, name), "is there"})
	}
	return r.fixed(mountKernels + ", where this machine's init mounts them; not over " + cgroupRoot + ", which is in use; " + manager)
}

// cgmanager is where the daemon of that name has its socket (cgmanager(8)).
const cgmanager = cgroupRoot + "/cgmanager"

// asksCgmanager tells whether LXC asks that daemon for cgroups: LXC before 3.0 does, where it
// was built so, before it looks for a cgroup file system (cgroup.c, cgroup_ops_init).
func (f *Facts) asksCgmanager() bool {
	return f.System.Version("lxc") != "" && !f.isLXC([]int{3}) && f.Machine.Exists(cgmanager)
}

// cgmanagerResult is the result for a machine without a mounted cgroup file system, where the
// daemon may have one of its own.
func (f *Facts) cgmanagerResult() Result {
	lxc := "LXC " + f.System.Version("lxc")
	r := Result{Status: Unknown, Evidence: []Evidence{
		{"/proc/self/mountinfo", "no line of type cgroup or cgroup2"}, {cgmanager, "is there"},
	}}
	r.Says = "no cgroup file system is mounted, and it cannot be told whether cgmanager, which " + lxc + " asks first, gives " + f.Subject.Name + " cgroups"
	return r.fixed("ask cgmanager; if it does not answer, "+mountKernels+", where this machine's init mounts them; not over "+cgroupRoot+", where cgmanager's socket is",
		Command{Args: []string{"cgm", "ping"}}, Command{Args: []string{"cgm", "getpidcgroupabs", "memory", fmt.Sprint(f.Subject.PID)}})
}

// cgroupRoot is where cgroups are usually mounted.
const cgroupRoot = "/sys/fs/cgroup"

func hierarchyWord(unifiedPoint string) []string {
	if unifiedPoint == "" {
		return nil
	}
	return []string{hierarchy.Unified}
}

func checkMounts(f *Facts) Result {
	if f.Partial {
		return f.mountsSeen()
	}
	unusable, lines := f.unusable()
	if r := checkReadOnly(f); r.Status != OK || len(f.set.Unusable) == 0 {
		return r
	}
	var evidence []Evidence
	for _, u := range slices.Concat(unusable, lines) {
		evidence = append(evidence, Evidence{"/proc/self/mountinfo", u.Error()})
	}
	if len(unusable) == 0 {
		// Anybody with fusermount can make such a line: it is no reason to unmount anything.
		return warning("a line of mountinfo cannot be understood: if it mounts a cgroup file system, that is not used", evidence...)
	}
	if i := slices.IndexFunc(unusable, notRecorded); i >= 0 {
		return unknown("it cannot be told whether the mounts can be used", unusable[i])
	}
	var names []string
	stale := false
	for _, u := range unusable {
		names = append(names, u.Hierarchy)
		stale = stale || strings.Contains(u.Error(), `mount root "/..`)
	}
	hierarchies, it, was := "hierarchy", "it", "it was"
	if len(names) > 1 {
		hierarchies, it, was = "hierarchies", "them", "they were"
	}
	reason := "another mount covers " + it + ", or the part of the tree that is mounted is not that in which this shell is"
	if stale {
		reason = was + " mounted before this cgroup namespace was made (root /..), so that no process can find its cgroup there"
	}
	r := warning(fmt.Sprintf("the %s %s cannot be used: %s", hierarchies, Listed(names), reason), evidence...)
	if len(f.found) == 0 {
		r.Status = Failed
	}
	if covers := f.coversOf(names); !stale && len(covers) > 0 {
		return r.fixed("unmount what covers the hierarchies", covers...)
	}
	var commands []Command
	for _, name := range names {
		dir, mount := f.mountCommand(name)
		// the kernel mounts nothing of the same file system over itself (EBUSY)
		commands = append(commands, asRoot("umount", dir), mount)
	}
	return r.fixed("mount the hierarchies again, inside of the container", commands...)
}

// coversOf unmounts what lies over hierarchies; none where that is not so for all of them.
func (f *Facts) coversOf(names []string) (commands []Command) {
	for _, name := range names {
		dir, _ := f.mountCommand(name)
		cover := f.coverOf(dir)
		if cover == "" {
			return nil
		}
		command := asRoot("umount", cover)
		if !slices.ContainsFunc(commands, func(c Command) bool { return slices.Equal(c.Args, command.Args) }) {
			commands = append(commands, command)
		}
	}
	return commands
}

// unusable returns the hierarchies that are mounted and cannot be used; and the lines
// of mountinfo that cannot be understood, of which nobody knows what they mount.
func (f *Facts) unusable() (hierarchies, lines []*hierarchy.UnusableError) {
	for _, err := range f.set.Unusable {
		var u *hierarchy.UnusableError
		switch {
		case !errors.As(err, &u):
		case u.Hierarchy == "":
			lines = append(lines, u)
		default:
			hierarchies = append(hierarchies, u)
		}
	}
	return hierarchies, lines
}

// notRecorded tells that nothing is known of a hierarchy's cgroups.
func notRecorded(u *hierarchy.UnusableError) bool { return errors.Is(u, machine.ErrNotRecorded) }

// checkReadOnly looks for hierarchies in which nobody can make anything, as
// Docker mounts them.
func checkReadOnly(f *Facts) Result {
	var evidence []Evidence
	var commands []Command
	for _, h := range f.found {
		if h.Mount.ReadOnly {
			evidence = append(evidence, Evidence{"/proc/self/mountinfo", h.Mount.Point + " ro"})
			commands = append(commands, asRoot("mount", "-o", "remount,bind,rw", h.Mount.Point))
		}
	}
	if len(evidence) == 0 {
		return ok("")
	}
	r := warning(fmt.Sprintf("%d of %d hierarchies are mounted read-only", len(evidence), len(f.found)), evidence...)
	if len(evidence) == len(f.found) {
		r = failed("the cgroups are mounted read-only", evidence...)
	}
	if f.nobodyMounts() {
		return r.fixed(f.cgroupsOutside())
	}
	return r.fixed("mount the cgroups writable", commands...)
}

// dockerText is how a container of Docker's gets cgroups that can be written.
const dockerText = "outside, start this container with --privileged, or with --cgroupns=private and a writable /sys/fs/cgroup: in here nobody may mount them"

// inDocker tells whether Docker, or what works like it, has started this container: its
// root has no right to mount.
func (f *Facts) inDocker() bool {
	if f.Machine.Exists("/.dockerenv") || f.Machine.Exists("/run/.containerenv") {
		return true
	}
	return slices.ContainsFunc(f.members, func(m hierarchy.Membership) bool {
		return strings.Contains(m.Path, "/docker") || strings.Contains(m.Path, "/kubepods")
	})
}

// mountCommand mounts a hierarchy where it usually is, beside those that are
// mounted.
func (f *Facts) mountCommand(name string) (dir string, mount Command) {
	dir = "/sys/fs/cgroup/" + strings.TrimPrefix(name, "name=")
	if name != hierarchy.Unified {
		return dir, asRoot("mount", "-t", "cgroup", "-o", name, "cgroup", dir)
	}
	members, _ := f.memberships()
	if !slices.ContainsFunc(members, func(m hierarchy.Membership) bool { return m.Hierarchy != hierarchy.Unified }) {
		dir = cgroupRoot
	}
	return dir, asRoot("mount", "-t", "cgroup2", "cgroup2", dir)
}

// mountCommands mount hierarchies, and make the folders for that.
func (f *Facts) mountCommands(names []string) (commands []Command) {
	for _, name := range names {
		dir, mount := f.mountCommand(name)
		commands = append(commands, asRoot("mkdir", "-p", dir), mount)
	}
	return commands
}

// byHands leaves commands to a person.
func byHands(commands []Command) []Command {
	for i := range commands {
		commands[i].ByHand = true
	}
	return commands
}

// mountAll mounts what the kernel says that processes are in: v2, or the
// hierarchies of v1, for whose folders a tmpfs is needed.
func (f *Facts) mountAll() Command {
	var v1 []string
	members, _ := f.memberships()
	for _, m := range members {
		if m.Hierarchy != hierarchy.Unified {
			v1 = append(v1, m.Hierarchy)
		}
	}
	if len(v1) == 0 {
		return asRoot("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
	}
	return asRoot("sh", "-c", "mount -t tmpfs cgroup /sys/fs/cgroup && cd /sys/fs/cgroup && for h in "+strings.Join(v1, " ")+
		"; do mkdir ${h#name=} && mount -t cgroup -o $h cgroup ${h#name=} || rmdir ${h#name=}; done")
}

func checkNamespace(f *Facts) Result {
	if !f.Machine.Exists("/proc/self/ns/cgroup") && !f.Machine.IsRecorded() {
		return warning("this kernel has no cgroup namespaces (Linux 4.6): what runs in a container sees the host's cgroups")
	}
	members, err := f.memberships()
	if err != nil {
		return unknown("it cannot be told in which cgroups this process is", err)
	}
	var evidence []Evidence
	for _, m := range members {
		if m.Path == "/.." || strings.HasPrefix(m.Path, "/../") {
			evidence = append(evidence, Evidence{f.cgroupFile(), m.Hierarchy + ":" + m.Path})
		}
	}
	if len(evidence) > 0 {
		return failed("this shell is outside of its cgroup namespace: it was put into a container from outside", evidence...).
			fixed("log in to the container, or enter its cgroup namespace too", Command{Args: []string{"nsenter", "--cgroup", "--mount", "--pid", "--target", "PID"}, Root: true, ByHand: true}).
			certain()
	}
	return ok("").certainIf(f.Partial)
}

func checkHierarchies(f *Facts) Result {
	if err := f.login.askedErr; err != nil {
		return failed("the module does not understand the list after -c, and makes no session: "+err.Error(), f.moduleLine()...).
			fixed("correct the list after -c in "+f.moduleFile()+", and log in again", byHand(f.editor(), f.moduleFile()))
	}
	missing := f.notMounted()
	if len(missing) == 0 {
		return ok(f.wantedText())
	}
	evidence := f.moduleLine()
	disabled := f.disabledControllers()
	for _, name := range missing {
		if slices.Contains(disabled, name) {
			evidence = append(evidence, Evidence{"/proc/cgroups", name + " is off"})
		}
	}
	r := warning("the module's -c asks for "+strings.Join(missing, ",")+", which no mounted hierarchy has", evidence...)
	if len(f.wanted()) == 0 {
		r.Status = Failed
	}
	for _, name := range missing {
		if slices.Contains(disabled, name) {
			c := f.turnedOffBy(name, f.readWords("/proc/cmdline"))
			return r.fixed(c.of(c.fix.Text, []string{name}), c.fix.Commands...)
		}
	}
	if unknown := f.notControllers(missing); len(unknown) > 0 {
		r.Says += "; this kernel has no controller " + strings.Join(unknown, ",")
		return r.fixed("correct the list after -c in "+f.moduleFile()+", and log in again", byHand(f.editor(), f.moduleFile()))
	}
	if f.isUnified() { // v1 hierarchies beside it would take their controllers away
		return r.fixed("remove "+strings.Join(missing, ",")+" from the list after -c in "+f.moduleFile(), byHand(f.editor(), f.moduleFile()))
	}
	return r.fixed("mount "+strings.Join(missing, ",")+", or remove that from the list after -c in "+f.moduleFile(), byHands(f.mountCommands(missing))...)
}

// notControllers returns the names that are none of a controller of this kernel's; none
// where that is not known.
func (f *Facts) notControllers(names []string) (unknown []string) {
	data, err := f.Machine.ReadFile("/proc/cgroups")
	if err != nil {
		return nil
	}
	for _, name := range names {
		isListed := false
		for line := range strings.Lines(string(data)) {
			word, _, _ := strings.Cut(line, "\t")
			isListed = isListed || word == name
		}
		if !isListed && !strings.HasPrefix(name, "name=") && name != hierarchy.Unified {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// wantedText says in which hierarchies a session would be made; where in none, which
// would be there for one.
func (f *Facts) wantedText() string {
	var all, made []string
	for _, s := range f.wanted() {
		all = append(all, s.Name)
		if f.wouldGet(s) {
			made = append(made, s.Name)
		}
	}
	if len(made) == 0 && len(all) > 0 {
		return "mounted: " + strings.Join(all, " ")
	}
	return "a session would be made in " + strings.Join(made, " ")
}

// disabledControllers returns the controllers that the kernel has and that its
// command line turned off (cgroups(7), /proc/cgroups).
func (f *Facts) disabledControllers() (names []string) {
	data, _ := f.Machine.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[3] == "0" {
			names = append(names, fields[0])
		}
	}
	return names
}

// moduleLine returns the module's line as evidence, moduleFile the file that has
// it, or that should.
func (f *Facts) moduleLine() []Evidence {
	if f.login.module == nil {
		return nil
	}
	l := f.login.module
	return []Evidence{{fmt.Sprintf("%s:%d", l.File, l.Number), strings.Join(append([]string{l.Module}, l.Args...), " ")}}
}

func (f *Facts) moduleFile() string {
	if f.login.module != nil {
		return f.login.module.File
	}
	for _, line := range f.login.lines {
		if isOfAllLogins(path.Base(line.File)) && !f.isGenerated(line.File) {
			return line.File
		}
	}
	service := cmp.Or(f.login.service, "sshd")
	for _, dir := range pamconf.Dirs {
		if file := dir + "/" + service; f.Machine.Exists(file) {
			return file
		}
	}
	if !f.hasPAMDirectory() && f.Machine.Exists(allServices) {
		return allServices
	}
	return pamconf.Dirs[0] + "/" + service
}

// isGenerated tells whether a program writes a PAM file anew, and with it what others wrote
// there: openSUSE's pam-config, or authselect. Their files say so.
func (f *Facts) isGenerated(file string) bool {
	data, _ := f.Machine.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		comment, isComment := strings.CutPrefix(strings.TrimSpace(strings.ToLower(line)), "#")
		isSaid := strings.Contains(comment, "autogenerated") || strings.Contains(comment, "generated by") || strings.Contains(comment, "will be overwritten")
		if isComment && isSaid {
			return true
		}
	}
	return false
}

// isOfAllLogins tells whether a PAM file is one that a distribution's services for logins
// include: Debian's, that of Arch, Gentoo and Void, and Alpine's.
func isOfAllLogins(name string) bool {
	return strings.HasPrefix(name, "common-session") || name == "system-login" || name == "base-session"
}

func checkBase(f *Facts) Result {
	h := f.unified()
	if h == nil {
		return skip("there is no cgroup v2 with controllers")
	}
	var wanted []string
	for _, s := range f.wanted() {
		if s.IsUnified() {
			wanted = s.Enable
		}
	}
	if h.Mount.ReadOnly {
		return skip("cgroup v2 is mounted read-only: see the check mounts")
	}
	base := location{Hierarchy: h, base: h.Base}
	enabled := f.readWords(base.path("cgroup.subtree_control"))
	off := slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return slices.Contains(enabled, c) })
	here := f.readWords(base.path("cgroup.procs"))
	isRoot := !f.Machine.Exists(base.path("cgroup.type")) // only the machine's root has none
	if own := f.locationIn(h.Name); len(here) > 0 && own != nil && own.delegated() && own.base == h.Base {
		return skip("this shell's own cgroup is that below which sessions are made: see the check leaf")
	}
	if len(off) > 0 && len(here) > 0 && !isRoot {
		return warning(fmt.Sprintf("%s cannot be enabled for sessions: there are processes in %s itself, below which sessions are made", Controllers(off), base.path()),
			Evidence{base.path("cgroup.procs"), strings.Join(first(here), " ")},
			Evidence{base.path("cgroup.subtree_control"), strings.Join(enabled, " ")}).
			fixed("move the processes of "+base.path()+" to a leaf, before anybody logs in", asRoot("sh", "-c", fmt.Sprintf(
				"mkdir -p %[1]s/init.scope && while read -r pid; do echo $pid >%[1]s/init.scope/cgroup.procs; done <%[1]s/cgroup.procs", quote(base.path()))))
	}
	return ok("", Evidence{base.path("cgroup.subtree_control"), strings.Join(enabled, " ")})
}

// first returns some of the words, as many as evidence needs.
func first(words []string) []string {
	const enough = 5
	if len(words) > enough {
		return append(slices.Clone(words[:enough]), "...")
	}
	return words
}

func checkContainer(f *Facts) Result {
	if !f.inUserNamespace() {
		return skip("this is no unprivileged container")
	}
	var evidence []Evidence
	var given, denied []string
	for _, s := range f.basePlan().Steps {
		if reason := reasonOf[*plan.DeniedError](&s); reason != nil {
			evidence = append(evidence, Evidence{Path: reason.Dir, Value: ownerAndMode(reason.Owner)})
			denied = append(denied, s.Controllers...)
		} else {
			given = append(given, s.Controllers...)
		}
	}
	forLimits, _ := f.lackingForLimits()
	lacking := slices.DeleteFunc(slices.Concat(f.cgroupUse(), forLimits), func(c string) bool { return !slices.Contains(denied, c) })
	slices.Sort(lacking)
	lacking = slices.Compact(lacking)
	outside := Command{Args: []string{"cgdeleg", "check"}, ByHand: true}
	switch {
	case len(given) == 0 && len(denied) > 0:
		return failed("this container was started without cgroups of its own: its root may make none", evidence...).
			fixed("outside, start this container from a login that has cgroups", outside)
	case len(lacking) > 0:
		return failed("this container was started without a cgroup of its own for "+Controllers(lacking)+", which the containers in it need", evidence...).
			fixed("outside, start this container from a login that has "+Controllers(lacking)+" too", outside)
	}
	return ok("this container has cgroups for "+strings.Join(given, " "), evidence...)
}
