package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Since when LXC does what to get cgroups from systemd's user manager (open_systemd of
// cgfsng.c).
var (
	lxcAsksSince = []int{6}
	// it takes the bus that $DBUS_SESSION_BUS_ADDRESS names, and where that is not set, as
	// before, that of user 1000 (github.com/lxc/lxc/pull/4511, after 6.0.3)
	lxcReadsAddressSince = []int{6, 0, 4}
)

const (
	lxcUser     = 1000 // whose bus LXC asks without an address
	busVariable = "DBUS_SESSION_BUS_ADDRESS"
)

// userBus is the bus of a user's systemd (pam_systemd(8), XDG_RUNTIME_DIR).
func userBus(uid int) string { return fmt.Sprintf("/run/user/%d/bus", uid) }

// asksForScopes tells whether the machine has an LXC that asks a user manager for cgroups.
func (f *Facts) asksForScopes() bool {
	return f.isUnified() && slices.Compare(versionNumbers(f.System.Version("lxc")), lxcAsksSince) >= 0
}

// managerOfLXC tells whether LXC gets its cgroups from the subject's own user manager.
func (f *Facts) managerOfLXC() machine.Answer {
	if !f.asksForScopes() || !f.Machine.Exists(userBus(f.Subject.UID)) {
		return machine.Absent
	}
	isNamed := f.readsBusAddress()
	address := ""
	if isNamed && f.Subject.PID != 0 {
		address = f.System.Variable(f.Subject, busVariable)
	}
	switch {
	case strings.Contains(address, userBus(f.Subject.UID)):
		return machine.Found
	case address != "":
		return machine.Unknown // who answers there nobody knows
	case f.Subject.UID == lxcUser:
		return machine.Found
	case isNamed && f.Subject.PID == 0:
		return machine.Found // pam_systemd sets it
	case isNamed && !f.System.KnowsVariables(f.Subject):
		return machine.Unknown
	}
	return machine.Absent
}

// readsBusAddress tells whether LXC takes the bus from the environment.
func (f *Facts) readsBusAddress() bool {
	return slices.Compare(versionNumbers(f.System.Version("lxc")), lxcReadsAddressSince) >= 0
}

// mayBeAsked tells whether clients get cgroups of the user manager from this shell. It takes
// processes from wherever they are, by the help of systemd itself (AttachProcessesToUnit). Where
// that has its cgroups below another than the root, as in WSL 2.9, podman and dockerd look for
// them in /user.slice all the same (github.com/moby/moby/issues/53531, podman's 29749).
func (f *Facts) mayBeAsked() bool {
	h := f.unified()
	if f.Subject.PID == 0 || h == nil || !f.hasSystemd() {
		return true
	}
	l := f.locationIn(h.Name)
	return h.Base == "/" || l != nil && unitOf(l.member) != ""
}

// clientAlone returns what gets the user's containers cgroups without any module: LXC 6 or
// podman, where systemd's user manager answers on cgroup v2; "" if nothing does.
func (f *Facts) clientAlone() string {
	switch {
	case !f.mayBeAsked():
		return ""
	case f.managerOfLXC() == machine.Found:
		return "LXC " + f.System.Version("lxc")
	case f.System.Version("lxc") == "" && f.PodmanAsks():
		return "podman " + f.System.Version("podman")
	case f.System.Version("lxc") == "" && f.keptFromAsking():
		return "podman " + f.System.Version("podman") + " without cgroup_manager in its configuration"
	}
	return ""
}

// keptFromAsking tells whether podman would get its cgroups from the user manager, but for its
// configuration, and has no session for them: a module would only be another way.
func (f *Facts) keptFromAsking() bool {
	return f.podmanMayAsk() && f.Machine.Exists(userBus(f.Subject.UID)) && f.podmanConf().Engine.Manager == "cgroupfs" && !f.hasAny()
}

// podmanMayAsk tells whether podman is there, and systemd's user manager could make its cgroups
// if it answers and the configuration does not forbid it.
func (f *Facts) podmanMayAsk() bool {
	return f.System.Version("podman") != "" && f.isUnified() && f.hasSystemd() && f.mayBeAsked()
}

// PodmanAsks tells whether podman is there, and gets its cgroups from the user manager.
func (f *Facts) PodmanAsks() bool {
	return f.podmanMayAsk() && f.asksManager(f.podmanConf())
}

// isAskerUntold tells whether nobody knows if LXC reaches the subject's user manager.
func (f *Facts) isAskerUntold() bool { return f.mayBeAsked() && f.managerOfLXC() == machine.Unknown }

// askerUntold is the result where the shell has no cgroup of its own, and LXC may need none.
func (f *Facts) askerUntold(evidence []Evidence) Result {
	r := Result{Status: Unknown, Evidence: append([]Evidence{{userBus(f.Subject.UID), "is there"}}, evidence...)}
	r.Says = "it cannot be told whether LXC asks systemd's user manager for its cgroups: " + busVariable + " of this shell was not read"
	if address := f.System.Variable(f.Subject, busVariable); address != "" {
		r.Says = "it cannot be told whether systemd's user manager answers LXC at " + address + " (" + busVariable + ")"
	}
	return r.fixed("see that "+busVariable+" names the user's own bus, as in every login by ssh", f.exportAddress())
}

// exportAddress has LXC find the user's own bus. su and sudo leave the variable out.
func (f *Facts) exportAddress() Command {
	return Command{Args: []string{"export", busVariable + "=unix:path=" + userBus(f.Subject.UID)}, ByHand: true}
}

// isInUserManager tells whether the shell is below systemd's user manager on cgroup v2: in a
// desktop's terminal, or in a service of the user's. There every directory is the user's, and
// none is a session.
func (f *Facts) isInUserManager() bool {
	h := f.unified()
	if h == nil || !f.isUnified() || !f.hasSystemd() {
		return false
	}
	return f.isBelowManager()
}

// isBelowManager tells the same by the cgroup's name alone, as in a container, where the
// manager is the host's.
func (f *Facts) isBelowManager() bool {
	return slices.ContainsFunc(f.members, func(m hierarchy.Membership) bool { return strings.Contains(m.Path, f.managerUnit()+"/") })
}

func (f *Facts) managerUnit() string { return "/" + userManagerUnit(f.Subject.UID) }

// userManagerUnit is the unit of a user's systemd (user@.service(5)).
func userManagerUnit(uid int) string { return fmt.Sprintf("user@%d.service", uid) }

// ofManager returns the cgroup of the user manager, in which containers get theirs that ask
// it, or whose shell is below it; nil where containers are made elsewhere, or it is not seen.
func (f *Facts) ofManager() *location {
	h := f.unified()
	if h == nil || f.clientAlone() == "" && !f.isInUserManager() {
		return nil
	}
	l := location{Hierarchy: h, base: path.Join("/", h.Base, manager.UsersSlice, manager.UserSlice(f.Subject.UID), f.managerUnit())}
	if shell := f.locationIn(h.Name); shell != nil && f.isInUserManager() {
		before, _, _ := strings.Cut(shell.own, f.managerUnit())
		l.base = before + f.managerUnit()
	}
	if f.readControllers(&l) == nil {
		return nil
	}
	return &l
}

// readControllers returns what a v2 cgroup may give on; nil if it cannot be read.
func (f *Facts) readControllers(l *location) []string {
	data, err := f.Machine.ReadFile(l.path("cgroup.controllers"))
	if err != nil {
		return nil
	}
	return append([]string{}, strings.Fields(string(data))...)
}

// placeOn returns where containers' cgroups are made on cgroup v2.
func (f *Facts) placeOn(h *hierarchy.Hierarchy) *location {
	if at := f.ofManager(); at != nil {
		return at
	}
	return f.locationIn(h.Name)
}

// needsNoModule says why it does not matter for this shell what of the module is there; "" if
// it does.
func (f *Facts) needsNoModule() string {
	switch {
	case f.clientAlone() != "":
		return f.clientAlone() + " does not need the module here: see the check session"
	case f.isInUserManager():
		return "this shell is below systemd's user manager, from which the module does not move it"
	case f.isLeftWhereItIs():
		return "the module leaves this shell where it is: see the check session"
	case f.isAskerUntold() && !f.isDelegated():
		return "perhaps LXC does not need the module here: see the check session"
	case f.podmanSetsNone() != "":
		return f.podmanSetsNone() + ": see the check session"
	}
	return ""
}

// isLeftWhereItIs tells whether a manager has put the shell elsewhere than into a cgroup of
// its own login, in every hierarchy in which it has none.
func (f *Facts) isLeftWhereItIs() bool {
	if f.leftAlone() == nil || f.login.application == "" {
		return false
	}
	return !slices.ContainsFunc(f.missing(), func(l *location) bool { return reasonOf[*manager.LeftAloneError](l.step) == nil })
}

// podmanSetsNone says that the only client sets no limits, whatever cgroups there are, as
// podman does on cgroup v1; "" if that is not so, or the module was set up.
func (f *Facts) podmanSetsNone() string {
	podman := f.System.Version("podman")
	isAlone := podman != "" && f.System.Version("lxc") == "" && f.System.Version("runc") == "" && f.System.Version("bwrap") == ""
	if !isAlone || f.isUnified() || len(f.found) == 0 || f.login.module != nil || f.isDelegated() {
		return ""
	}
	return "podman " + podman + " sets no limits on cgroup v1"
}

// aloneNote is the result where the shell has no cgroup of its own, and what starts the user's
// containers needs none.
func aloneNote(what, client string) Result {
	return note(what + "; " + client + " needs none here: it asks systemd's user manager for its cgroups")
}

// withWays adds to how the module is set up what else gets LXC cgroups here: first what
// lasts, then what does for one container.
func (f *Facts) withWays(r Result) Result {
	var texts []string
	var commands []Command
	hasBus := f.Machine.Exists(userBus(f.Subject.UID))
	lxc := f.System.Version("lxc")
	switch {
	case lxc == "" && f.lacksPodmansBus():
		return f.withPodmansBus(r)
	case !f.hasSystemd() || !f.isUnified() || lxc == "" || !f.mayBeAsked():
		return r
	case f.asksForScopes() && !f.readsBusAddress() && f.Subject.UID != lxcUser:
		r.Evidence = append(r.Evidence, Evidence{userBus(lxcUser), "the only bus that LXC " + lxc + " asks"})
		texts = append(texts, "or take LXC 6.0.4 or later, which can ask systemd's user manager for cgroups")
	case f.asksForScopes() && hasBus:
		r.Evidence = append(r.Evidence, Evidence{busVariable, "is not set"})
		texts = append(texts, "or set "+busVariable+" to the user's own bus, which LXC "+lxc+" then asks for cgroups")
		commands = append(commands, or(f.exportAddress())...)
	case f.asksForScopes():
		if text, install := f.installBus(); text != "" {
			texts = append(texts, "or "+text+", which LXC "+lxc+" asks for cgroups, and log in again")
			commands = append(commands, or(install...)...)
		}
	}
	if hasBus && f.Subject.PID != 0 {
		texts = append(texts, "for one container, ask systemd's user manager for a scope")
		commands = append(commands, or(f.runInScope())...)
	}
	r.Fix.Text = strings.Join(append([]string{r.Fix.Text}, texts...), "; ")
	r.Fix.Commands = append(r.Fix.Commands, commands...)
	return r
}

// userSocket has systemd's user manager make the bus of a user.
const userSocket = "/usr/lib/systemd/user/dbus.socket"

// installBus says how a user gets a bus: Debian has it in a package of its own. "" where
// that is not known.
func (f *Facts) installBus() (text string, commands []Command) {
	if !f.isLike("debian", "ubuntu") || f.Machine.Find(userSocket) == machine.Found {
		return "", nil
	}
	return "install dbus-user-session, for a bus of the user's own", []Command{byHand("apt", "install", "dbus-user-session")}
}

// answersManager tells whether systemd's user manager was seen to listen: on the user's bus,
// or on its own socket, which systemd-run takes.
func (f *Facts) answersManager() bool {
	return f.Machine.Exists(userBus(f.Subject.UID)) || f.Machine.Exists(fmt.Sprintf("/run/user/%d/systemd/private", f.Subject.UID))
}

// runInScope starts a container in a scope that the user manager delegates. A shell in it
// would keep its controllers from being enabled.
func (f *Facts) runInScope() Command {
	what := []string{"COMMAND"}
	if f.System.Version("lxc") != "" {
		what = []string{"lxc-start", "--name", "NAME"}
	}
	args := append([]string{"systemd-run", "--user", "--scope", "--property", "Delegate=yes", "--"}, what...)
	if f.Subject.PID != 0 && f.System.KnowsVariables(f.Subject) && f.System.Variable(f.Subject, busVariable) == "" {
		args = append([]string{"env", busVariable + "=unix:path=" + userBus(f.Subject.UID)}, args...) // su and sudo leave it out
	}
	return Command{Args: args, ByHand: true}
}

// managerDropIn has systemd give the user manager more controllers (systemd.unit(5)).
const managerDropIn = "/etc/systemd/system/user@.service.d/50-cgdeleg.conf"

// delegateMore has the user manager get controllers: what it has already, what containers
// usually need, and these.
func (f *Facts) delegateMore(at *location, controllers []string) (text string, commands []Command) {
	all := slices.Concat(f.readControllers(at), expected, controllers)
	slices.Sort(all)
	list := strings.Join(slices.Compact(all), " ")
	unit, d := userManagerUnit(f.Subject.UID), f.ofUserManager()
	again := ", end all logins of " + f.Subject.Name + " (where the user lingers, restart " + unit + "), and log in again"
	dropIn := d.afterReset(managerDropIn)
	if dropIn == "" {
		where := "below its empty Delegate=, which discards what files before it say"
		if d.reset.value != "" {
			where = "in place of its Delegate=" + d.reset.value
		}
		return "write Delegate=" + list + " in " + d.reset.file + ", " + where + again,
			[]Command{byHand(f.editor(), d.reset.file), asRoot("systemctl", "daemon-reload")}
	}
	script := fmt.Sprintf(`printf '[Service]\nDelegate=%s\n' >%s`, list, dropIn)
	return "have systemd delegate " + Controllers(controllers) + " to the user manager" + again,
		[]Command{asRoot("mkdir", "-p", path.Dir(dropIn)), asRoot("sh", "-c", script), asRoot("systemctl", "daemon-reload")}
}

// cannotDelegate returns those controllers that no drop-in gets the user manager: the
// machine's root has none.
func (f *Facts) cannotDelegate(controllers []string) []string {
	has := f.readWords(f.unified().Mount.Point + "/cgroup.controllers")
	return slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return slices.Contains(has, c) })
}

// useInManager is the check lxc-view for an LXC that asks the user manager: it makes its
// cgroups in a scope, and finds there what the manager has.
func (f *Facts) useInManager(at *location) Result {
	has := f.readControllers(at)
	lacking := slices.DeleteFunc(slices.Clone(f.cgroupUse()), func(c string) bool { return slices.Contains(has, c) })
	if len(lacking) == 0 {
		return ok("LXC finds cgroups in a scope of systemd's user manager: "+strings.Join(has, " "), Evidence{at.path(), at.Name})
	}
	_, line, _ := lxcconf.CgroupUse(f.usersFiles(), f.lxcConf())
	r := failed("LXC refuses to start containers: systemd's user manager, which LXC asks for its cgroups, lacks "+Controllers(lacking)+", which lxc.cgroup.use names",
		itemEvidence(line), f.controllersAt(at))
	return f.lackedByManager(r, at, lacking, "remove the line lxc.cgroup.use from "+line.File, f.editAny(line.File))
}

// controllersAt is what a v2 cgroup may give on, as evidence.
func (f *Facts) controllersAt(at *location) Evidence {
	return Evidence{at.path("cgroup.controllers"), strings.Join(f.readControllers(at), " ")}
}

// lackedByManager adds how the user manager gets controllers, or else how the configuration
// does without.
func (f *Facts) lackedByManager(r Result, at *location, lacking []string, without string, edit Command) Result {
	if len(f.cannotDelegate(lacking)) > 0 {
		return r.fixed(without, edit)
	}
	text, commands := f.delegateMore(at, lacking)
	return r.fixed(text+"; or "+without, append(commands, or(edit)...)...)
}

// limitsInManager is the check config-limits where the user manager makes the cgroups.
func (f *Facts) limitsInManager(at *location, lacking []string, evidence []Evidence) Result {
	r := failed("LXC refuses to start the container: systemd's user manager, which LXC asks for its cgroups, lacks "+Controllers(lacking)+", which the container's limits need",
		append(evidence, f.controllersAt(at))...)
	file := evidence[0].file()
	return f.lackedByManager(r, at, lacking, "remove these limits from the configuration", f.editAny(file))
}

// lxcHas tells whether LXC can set a limit of the controller's, wherever it makes its
// cgroups.
func (f *Facts) lxcHas(controller string) bool {
	if at := f.ofManager(); at != nil && f.managerOfLXC() == machine.Found {
		return slices.Contains([]string{"freezer", "devices"}, controller) || slices.Contains(f.readControllers(at), controller)
	}
	return f.hasController(controller)
}

// startManager has the user manager run without a login, for what asks it; "" where nothing
// would, or it has no bus.
func (f *Facts) startManager() (text string, commands []Command) {
	isRunning := f.Machine.Exists(userBus(f.Subject.UID))
	asksLXC := f.asksForScopes() && f.Subject.UID == lxcUser
	asksPodman := f.System.Version("podman") != "" && f.System.Version("lxc") == "" && f.isUnified() && f.podmanConf().Engine.Manager != "cgroupfs"
	if isRunning || !f.hasSystemd() || !asksLXC && !asksPodman || f.isLike("debian", "ubuntu") && f.Machine.Find(userSocket) != machine.Found {
		return "", nil
	}
	client := "podman"
	if asksLXC {
		client = "LXC"
	}
	return "have systemd's user manager, which " + client + " asks for cgroups, run all the time", []Command{asRoot("loginctl", "enable-linger", f.Subject.Name)}
}

// seesSSHD tells whether a server of ssh that opens PAM sessions is there: among the shell's ancestors, or installed.
func (f *Facts) seesSSHD() bool {
	pid := f.Subject.PID
	for range maxAncestors {
		status, err := f.Machine.StatusOf(pid)
		if err != nil || pid <= 1 {
			break
		}
		if status.UID == 0 && strings.HasPrefix(status.Name, "sshd") {
			return true
		}
		pid = status.Parent
	}
	return slices.ContainsFunc([]string{"/usr/sbin/sshd", "/usr/bin/sshd"}, func(file string) bool {
		return f.Machine.Find(file) == machine.Found
	})
}

// othersLogin names the user in whose login's scope a cgroup is, with a comma before it; "" if
// it is the subject's own, or in none.
func (f *Facts) othersLogin(cgroup string) string {
	const ofLogin, left = ", which belongs to a login of ", " (su and sudo leave a shell there)"
	for _, name := range strings.Split(cgroup, "/") {
		uid, isSlice := manager.UserOfSlice(name)
		switch {
		case !isSlice || uid == f.Subject.UID:
		case uid == 0:
			return ofLogin + "root" + left
		default:
			return ofLogin + fmt.Sprintf("user %d", uid) + left
		}
	}
	return ""
}
