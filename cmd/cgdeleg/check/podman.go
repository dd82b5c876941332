package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/podmanconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// podmanChecks look at what podman's configuration asks for against what is there. Where
// podman's own defaults are not to be had and LXC is installed too, they say it in a note:
// who has podman beside LXC is not to hear of it as of a trouble.
var podmanChecks = []*Check{
	{
		Code: "CGD-064", Name: "podman-config", Title: "podman's configuration can be read",
		Explain: "podman starts nothing with a containers.conf or storage.conf that is not TOML, has a value of the wrong type, or may not be read by the user. It reads /usr/share/containers, /etc/containers and ~/.config/containers, and of containers.conf also the drop-ins in containers.conf.d; CONTAINERS_CONF, CONTAINERS_STORAGE_CONF and XDG_CONFIG_HOME lead elsewhere. Files larger than 256 KiB are not read here.",
		needs:   aUser, program: "podman", run: checkPodmanConfig,
	},
	{
		Code: "CGD-065", Name: "podman-runtime", Title: "podman's OCI runtime and conmon are there and take the configuration",
		Explain:   "podman has containers started by crun or runc, or by the program that the key runtime under [engine] in containers.conf names. It looks for it in the runtime's paths under [engine.runtimes], then along PATH, and starts nothing if it is not found. crun starts nothing on cgroup v1 while v2 has controllers, and runc before 1.0.0-rc91 nothing of a user's on v2. With cgroups = \"disabled\" podman refuses runc; with crun its containers have no cgroups and so no limits. conmon keeps watch over each container; podman looks for it where conmon_path under [engine] says, then along PATH; without it no command of podman's works.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanRuntime,
	},
	{
		Code: "CGD-066", Name: "podman-cgroups", Title: "podman makes cgroups in the way that its configuration names",
		Explain:   "cgroup_manager under [engine] in containers.conf is systemd or cgroupfs. Where systemd is asked for, as by default on a machine that systemd runs, and no user manager answers on /run/user/UID/bus, podman warns at every start and makes cgroups itself. For these a session is needed: where cgroup_manager is cgroupfs and there is no session, containers have no cgroups, even if a user manager would make them. On cgroup v1 podman ignores the setting.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanCgroups,
	},
	{
		Code: "CGD-067", Name: "podman-limits", Title: "The limits in podman's configuration can hold",
		Explain:   "Where podman makes cgroups itself (cgroupfs), and on cgroup v1, it ignores pids_limit of containers.conf silently. A cgroup_conf whose controller the session lacks is an error of the runtime; on v1 it is ignored. A ulimit of default_ulimits above the shell's own hard limit keeps every container from starting: only root may raise it.",
		DependsOn: []string{"podman-config", "session", "writable"}, needs: aProcess, program: "podman", run: checkPodmanLimits,
	},
	{
		Code: "CGD-068", Name: "podman-network", Title: "podman finds what gives containers a network",
		Explain:   "A user's containers get their network from pasta (podman 5 and later) or slirp4netns (before), or from what default_rootless_network_cmd under [network] in containers.conf names. podman looks for it in helper_binaries_dir, then along PATH. Without it, and without /dev/net/tun, containers start only with --network=none or --network=host. podman 5, and podman 4 where network_backend under [network] says so, also need netavark, for which they look in helper_binaries_dir alone: without that no command of podman's works. podman 5 knows network_backend = \"cni\" only if it was built with it, and podman 6 does not.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanNetwork,
	},
	{
		Code: "CGD-069", Name: "podman-storage", Title: "podman can store images and containers",
		Explain:   "storage.conf names a driver, and where images are (graphroot, rootless_storage_path). The user needs to be able to write there. Without a mount_program the driver overlay needs fuse-overlayfs in PATH, or a kernel that lets users mount overlay (Linux 5.11) and images on a file system that is not overlay itself; on zfs it then also needs podman 4.4 and OpenZFS 2.2. The user also needs to be able to write in runroot; if podman's database has a runroot from before, that one holds instead. A mount_program needs to be there. NFS and the like cannot hold the files of other IDs than the user's.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanStorage,
	},
}

// UnseenOfPodman is what a result says that is skipped because the recording of a machine does
// not tell which programs podman finds.
const UnseenOfPodman = "it was not recorded what podman finds"

// byDefault is the result for something that podman needs and no configuration asked for.
// Reports from before what was absent was listed do not tell it.
func (f *Facts) byDefault(r Result) Result {
	switch {
	case f.isBeforeAbsent():
		return skip(UnseenOfPodman)
	case f.System.Version("lxc") == "":
		return r
	}
	var lines []string
	if r.Fix != nil {
		for _, c := range r.Fix.Commands {
			lines = append(lines, c.String())
		}
	}
	return note(r.Says, lines...)
}

// unseen is why it cannot be told whether something is there.
func (f *Facts) unseen() error {
	if f.Machine.IsRecorded() {
		return machine.ErrNotRecorded
	}
	return fs.ErrPermission
}

func checkPodmanConfig(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	conf, err := f.readPodmanConf()
	if err != nil {
		return f.configResult("podman", err)
	}
	if s := f.readStorage(); s.failure != nil {
		return f.configResult("podman", s.failure)
	}
	if v := f.podmanVersion(); v != 0 && v < appendSince {
		for _, key := range []struct {
			name string
			list podmanconf.List
		}{{"containers.default_ulimits", conf.Containers.Ulimits}, {"engine.helper_binaries_dir", conf.Engine.HelperDirs}} {
			if len(key.list.Strings()) < len(key.list) {
				return failed("podman "+f.System.Version("podman")+" does not know {append = true} in an array (podman 4.8 and later do), and starts nothing", settingOf(conf, key.name, "{append = true}")).
					fixed("write the whole array without {append = true}", f.editAny(conf.File(key.name)))
			}
		}
	}
	return ok("")
}

// settingOf is a key of containers.conf with its value, as evidence.
func settingOf(conf *podmanconf.Config, key, value string) Evidence {
	_, name, _ := strings.Cut(key, ".")
	return Evidence{conf.File(key), name + " = " + brief(value)}
}

// setting has a key of containers.conf changed, where it stands if the user may write
// that, or in the user's own file, which holds over it.
func (f *Facts) setting(conf *podmanconf.Config, key string) Command {
	if file := f.settingFile(conf, key); file != conf.File(key) {
		return f.edit(file)
	}
	return f.editAny(conf.File(key))
}

// settingFile is the file that setting has edited. podman 6 reads one file alone of all that are
// called containers.conf: one of the user's that is new would hide what the system's says.
func (f *Facts) settingFile(conf *podmanconf.Config, key string) string {
	file, dir := conf.File(key), f.userConfig()
	isOwn := f.isBelowHome(file) || f.isNamed(file)
	if isOwn || dir == "" || f.variable("CONTAINERS_CONF") != "" || f.podmanVersion() >= oneFileSince {
		return file
	}
	return dir + containersDir
}

// takingBack is how a key of containers.conf holds no longer: its line is removed, or where that
// is in a file of root's, another value is written into the user's own file.
func (f *Facts) takingBack(conf *podmanconf.Config, key, value string) (text string, command Command) {
	table, name, _ := strings.Cut(key, ".")
	file := f.settingFile(conf, key)
	if file == conf.File(key) {
		return "remove the line " + name, f.editAny(file)
	}
	line := name + " = " + value
	return fmt.Sprintf("write %s under [%s] in %s, which podman reads after %s", line, table, file, conf.File(key)), f.addSetting(file, table, line)
}

// asksManager tells whether podman has systemd's user manager make its cgroups.
func (f *Facts) asksManager(conf *podmanconf.Config) bool {
	return f.isUnified() && f.hasSystemd() && f.Machine.Exists(userBus(f.Subject.UID)) && conf.Engine.Manager != "cgroupfs"
}

// runtimeOf returns which runtime podman takes, and whether its configuration says so.
func (f *Facts) runtimeOf(conf *podmanconf.Config) (name string, isSaid bool) {
	switch {
	case conf.Engine.Runtime != "":
		return conf.Engine.Runtime, true
	case f.System.Version("crun") == "" && f.System.Version("runc") != "":
		return "runc", false
	}
	return "crun", false
}

// otherNames are those of the program, where a runtime's is another.
var otherNames = map[string][]string{"kata": {"kata-runtime", "kata-qemu", "kata-fc"}}

// findRuntime tells whether podman finds the runtime (libpod's newConmonOCIRuntime).
func (f *Facts) findRuntime(conf *podmanconf.Config, name string) machine.Answer {
	if path.IsAbs(name) {
		return f.usersFiles().Find(name)
	}
	answer := machine.Absent
	for _, file := range conf.Engine.Runtimes[name] {
		switch f.usersFiles().Find(file) {
		case machine.Found:
			return machine.Found
		case machine.Unknown:
			answer = machine.Unknown
		}
	}
	for _, program := range append([]string{name}, otherNames[name]...) {
		switch _, _, found := f.lookUp(program); found {
		case machine.Found:
			return machine.Found
		case machine.Unknown:
			answer = machine.Unknown
		}
	}
	return answer
}

func checkPodmanRuntime(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	conf := f.podmanConf()
	if r := f.checkRuntime(conf); r.Status != OK {
		return r
	}
	return f.checkConmon(conf)
}

func (f *Facts) checkRuntime(conf *podmanconf.Config) Result {
	name, isSaid := f.runtimeOf(conf)
	const key = "engine.runtime"
	if isSaid {
		said := settingOf(conf, key, strconv.Quote(name))
		switch answer := f.findRuntime(conf, name); {
		case answer == machine.Absent:
			r := failed("podman starts nothing: its OCI runtime "+name+" is not there", said)
			return r.fixed(f.takeRuntime(), f.setting(conf, key))
		case answer == machine.Unknown:
			return unknown("it cannot be told whether the OCI runtime "+name+" is there", f.unseen())
		case path.Base(name) == "crun" && f.refusesCrun():
			r := failed("podman's runtime is crun, which starts nothing where cgroup v2 has controllers beside v1", said)
			return r.fixed(f.takeRunc(), f.setting(conf, key))
		}
		if r := f.checkOldRunc(conf, name, &said); r.Status != OK {
			return r
		}
	}
	if r := f.checkNoCgroups(conf, path.Base(name)); r.Status != OK || isSaid {
		return r
	}
	return f.checkDefaultRuntime(name)
}

// checkDefaultRuntime looks at the runtime that podman takes where no configuration names
// one.
func (f *Facts) checkDefaultRuntime(name string) Result {
	if r := f.checkOldRunc(nil, name, nil); r.Status != OK {
		return r
	}
	switch _, _, answer := f.lookUp(name); {
	case answer == machine.Absent && f.System.Version(name) == "":
		return f.byDefault(failed("podman starts nothing: it finds neither crun nor runc").fixed("install runc", f.install("runc")...))
	case answer == machine.Unknown:
		return ok("")
	case name != "crun" || !f.refusesCrun():
		return ok("")
	}
	_, _, runc := f.lookUp("runc")
	text := "install runc and have podman take it"
	if runc == machine.Found {
		text = "have podman take runc"
	}
	return f.byDefault(failed("podman's runtime is crun, which starts nothing where cgroup v2 has controllers beside v1").
		fixed(text, f.nameRuntime("runc")...))
}

// conmonPaths are where podman looks for conmon, if its configuration does not say it
// (containers/common, DefaultConfig).
var conmonPaths = []string{
	"/usr/libexec/podman/conmon", "/usr/local/libexec/podman/conmon", "/usr/local/lib/podman/conmon", "/usr/bin/conmon", "/usr/sbin/conmon",
	"/usr/local/bin/conmon", "/usr/local/sbin/conmon", "/run/current-system/sw/bin/conmon",
}

// checkConmon looks for conmon, which podman goes without in no command (containers/common,
// FindConmon).
func (f *Facts) checkConmon(conf *podmanconf.Config) Result {
	const program, key = "conmon", "engine.conmon_path"
	named := conf.Engine.Conmon.Strings()
	files := named
	if conf.IsAdded(key) {
		files = slices.Concat(conmonPaths, named)
	}
	answer := f.findOne(files)
	if _, _, inPath := f.lookUp(program); answer != machine.Found && inPath != machine.Unknown {
		answer = inPath
	}
	const says = "no command of podman's works: podman finds no conmon, which keeps watch over its containers"
	switch {
	case answer == machine.Found:
		return ok("")
	case answer == machine.Unknown && len(named) > 0:
		return unknown("it cannot be told whether conmon is there", f.unseen())
	case answer == machine.Unknown:
		return ok("") // a report from before it was looked for
	case len(named) == 0:
		return f.byDefault(failed(says).fixed("install conmon", f.install(program)...))
	}
	r := failed(says, settingOf(conf, key, strings.Join(named, " ")))
	if i := slices.IndexFunc(conmonPaths, f.usersFiles().Exists); i >= 0 && !conf.IsAdded(key) {
		r.Evidence = append(r.Evidence, Evidence{conmonPaths[i], "is there"})
		return r.fixed("write "+conmonPaths[i]+" into conmon_path in "+conf.File(key)+", or remove the line", f.editAny(conf.File(key)))
	}
	return r.fixed("install conmon, or correct conmon_path in "+conf.File(key), append(f.install(program), or(f.editAny(conf.File(key)))...)...)
}

// findOne looks for one of the files. None is there only if one of the places is known not
// to have it.
func (f *Facts) findOne(files []string) machine.Answer {
	answer := machine.Unknown
	for _, file := range files {
		switch f.usersFiles().Find(file) {
		case machine.Found:
			return machine.Found
		case machine.Absent:
			answer = machine.Absent
		}
	}
	return answer
}

// nameRuntime writes a runtime into the user's containers.conf.
func (f *Facts) nameRuntime(name string) []Command {
	dir := f.userConfig()
	if dir == "" {
		return nil
	}
	return []Command{f.addSetting(dir+containersDir, "engine", "runtime = "+strconv.Quote(name))}
}

// addSetting writes a line into a containers.conf of the user's. In one that is there the table may be,
// which TOML takes only once.
func (f *Facts) addSetting(file, table, line string) Command {
	if f.usersFiles().Find(file) != machine.Absent {
		return f.edit(file)
	}
	// a second time it does nothing
	script := fmt.Sprintf(`mkdir -p %s && { test -e %s || printf '[%s]\n%s\n' >%s; }`, quote(path.Dir(file)), quote(file), table, line, quote(file))
	return f.asSubject(script)
}

// asSubject is a command that makes files of the user's. Where root asks for a user it is one
// that root can run: root's own files there would keep the user from its configuration.
func (f *Facts) asSubject(script string) Command {
	if os.Geteuid() == 0 && !f.Machine.IsRecorded() && f.Subject.UID > 0 {
		return asRoot("su", "-s", "/bin/sh", f.Subject.Name, "-c", script)
	}
	return Command{Args: []string{"sh", "-c", script}}
}

// takeRuntime says which runtime there is in place of one that is not.
func (f *Facts) takeRuntime() string {
	for _, name := range []string{"crun", "runc"} {
		if _, _, answer := f.lookUp(name); answer == machine.Found && (name != "crun" || !f.refusesCrun()) {
			return "install that runtime, or write runtime = \"" + name + "\", which is there"
		}
	}
	return "install that runtime, or remove the line runtime, so that podman looks for crun and runc"
}

func (f *Facts) takeRunc() string {
	if _, _, answer := f.lookUp("runc"); answer == machine.Found {
		return "write runtime = \"runc\""
	}
	return "install runc and write runtime = \"runc\""
}

// checkNoCgroups looks at the key cgroups, of which some values do without.
func (f *Facts) checkNoCgroups(conf *podmanconf.Config, runtime string) Result {
	const key = "containers.cgroups"
	said := settingOf(conf, key, strconv.Quote(conf.Containers.Cgroups))
	switch mode := conf.Containers.Cgroups; {
	case mode == "" || mode == "enabled" || mode == "no-conmon":
	case mode == "disabled" && runtime == "runc":
		return failed("podman starts nothing: its configuration has cgroups = \"disabled\", which podman refuses where runc is its runtime", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode == "disabled" && f.isReadOnly():
		return warning("podman's containers have no cgroups of their own, and so no limits: its configuration says so, and cgroups are mounted read-only here", said).
			fixed(f.cgroupsOutside() + "; with writable cgroups, cgroups = \"enabled\" gives containers cgroups of their own")
	case mode == "disabled":
		return warning("podman's containers have no cgroups of their own, and so no limits: its configuration says so", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode == "split" && !f.isUnified():
		return failed("podman starts nothing: cgroups = \"split\" in its configuration works only on cgroup v2", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode != "split":
		return failed("podman starts nothing: it does not know "+strconv.Quote(mode)+" as a value of cgroups", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	}
	return ok("")
}

func checkPodmanCgroups(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	conf := f.podmanConf()
	const key = "engine.cgroup_manager"
	said := settingOf(conf, key, strconv.Quote(conf.Engine.Manager))
	switch manager := conf.Engine.Manager; {
	case len(f.found) == 0:
		return ok("")
	case manager == "":
		return f.checkDefaultManager(conf)
	case !f.isUnified():
		return ok("podman ignores cgroup_manager on cgroup v1")
	case manager == "cgroupfs":
		return f.checkOwnCgroups(conf, said)
	case manager != "systemd":
		return failed("podman starts nothing: it does not know "+strconv.Quote(manager)+" as a value of cgroup_manager", said).
			fixed("write cgroup_manager = \"cgroupfs\" or \"systemd\"", f.setting(conf, key))
	}
	bus := userBus(f.Subject.UID)
	switch answer := f.Machine.Find(bus); {
	case answer == machine.Found:
		return ok("")
	case answer == machine.Unknown && (f.hasSystemd() || !f.Machine.IsRecorded()):
		return unknown("it cannot be told whether systemd's user manager answers", f.unseen())
	}
	r := warning("podman's configuration has it ask systemd's user manager for cgroups, and no user manager answers on "+bus+": podman warns at every start, and makes its cgroups itself (cgroupfs)",
		said, Evidence{bus, "is not there"})
	if f.hasSystemd() && f.Machine.Exists(userBusUnit) {
		return r.fixed("keep systemd's user manager running, also without a login; or write cgroup_manager = \"cgroupfs\" in "+said.Path,
			asRoot("loginctl", "enable-linger", f.Subject.Name))
	}
	return r.fixed("write cgroup_manager = \"cgroupfs\"", f.setting(conf, key))
}

// checkOwnCgroups looks whether podman, which is told to make its cgroups itself, has the
// session for them, where without that line systemd's user manager would make them.
func (f *Facts) checkOwnCgroups(conf *podmanconf.Config, said Evidence) Result {
	const key = "engine.cgroup_manager"
	if !f.keptFromAsking() {
		return ok("")
	}
	text, edit := f.takingBack(conf, key, `"systemd"`)
	return failed("podman's configuration has it make its cgroups itself (cgroupfs), and this shell has no session in which it could: podman's containers have no cgroups, and no limits",
		said, Evidence{userBus(f.Subject.UID), "is there: systemd's user manager would make them"}).
		fixed(text+", so that podman asks systemd's user manager", edit)
}

// userBusUnit is what gives a user manager its bus; Debian has it in a package of its own,
// dbus-user-session.
const userBusUnit = "/usr/lib/systemd/user/dbus.socket"

func checkPodmanLimits(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	conf := f.podmanConf()
	for _, look := range []func(*podmanconf.Config) Result{f.checkUlimits, f.checkCgroupConf, f.checkPIDsLimit} {
		if r := look(conf); r.Status != OK {
			return r
		}
	}
	return ok("")
}

// checkPIDsLimit looks at pids_limit, which podman takes for users only where systemd makes
// the cgroups (containers/common, Config.PidsLimit). What the distribution ships nobody
// here has asked for.
func (f *Facts) checkPIDsLimit(conf *podmanconf.Config) Result {
	const key = "containers.pids_limit"
	limit := conf.Containers.PidsLimit
	if limit <= 0 || f.asksManager(conf) || strings.HasPrefix(conf.File(key), vendorConfig+"/") {
		return ok("")
	}
	reason := "podman ignores it where it makes cgroups itself"
	if !f.isUnified() {
		reason = "podman ignores it on cgroup v1"
	}
	r := warning("pids_limit does not hold: "+reason, settingOf(conf, key, fmt.Sprint(limit)))
	text, edit := f.takingBack(conf, key, "0")
	if !f.hasController("pids") {
		return r.fixed(text+"; this session lacks the controller pids, without which nothing limits the number of processes", edit)
	}
	return r.fixed(fmt.Sprintf("%s, and set the limit with cgdeleg run: cgdeleg run -p pids.max=%d -- %s run IMAGE", text, limit, f.podmanAlone()), edit)
}

// checkCgroupConf looks at the files of cgroups that every container's is to have written.
func (f *Facts) checkCgroupConf(conf *podmanconf.Config) Result {
	const key = "containers.cgroup_conf"
	if v := f.podmanVersion(); v != 0 && v < cgroupSince {
		return ok("") // not known yet
	}
	for _, line := range conf.Containers.CgroupConf.Strings() {
		name, _, isPair := strings.Cut(line, "=")
		controller, _, hasDot := strings.Cut(name, ".")
		said := settingOf(conf, key, strconv.Quote(line))
		switch {
		case !isPair || !hasDot || strings.Contains(name, "/"):
			return failed(noCgroupFile(name), said).
				fixed("write FILE=VALUE, such as memory.high=1G", f.setting(conf, key))
		case !f.isUnified():
			text, edit := f.takingBack(conf, key, "[]")
			return warning("cgroup_conf does not hold: podman ignores it on cgroup v1", said).fixed(text+", and set limits with cgdeleg run", edit)
		case controller == "cgroup":
		case f.asksManager(conf):
			if at := f.ofManager(); at != nil && !slices.Contains(f.readControllers(at), controller) {
				r := failed("podman starts nothing: cgroup_conf needs the controller "+controller+", which systemd's user manager does not have", said, f.controllersAt(at))
				text, edit := f.takingBack(conf, key, "[]")
				return f.lackedByManager(r, at, []string{controller}, text, edit)
			}
		case f.hasController(controller):
		case !f.runtimeMakesCgroups(conf):
			return ok("") // and it drops limits, which the check podman says
		default:
			r := failed("the session lacks the controller "+controller+", which cgroup_conf needs: the runtime refuses to start the container", said)
			return f.lackingFix(r, []string{controller}, said.Path)
		}
	}
	return ok("")
}

// noCgroupFile says that a limit's key is none.
func noCgroupFile(name string) string {
	return strconv.Quote(name) + " is no name of a cgroup's file: the runtime refuses to start the container"
}

// runtimeMakesCgroups tells whether podman's runtime makes a cgroup in the session without
// being told where.
func (f *Facts) runtimeMakesCgroups(conf *podmanconf.Config) bool {
	name, _ := f.runtimeOf(conf)
	return path.Base(name) != "crun" || makesCgroups(f.System.Version("crun"))
}

// checkUlimits looks at the limits of processes that every container is to have.
func (f *Facts) checkUlimits(conf *podmanconf.Config) Result {
	const key = "containers.default_ulimits"
	for _, line := range conf.Containers.Ulimits.Strings() {
		said := settingOf(conf, key, strconv.Quote(line))
		if line == "host" {
			continue // podman takes the shell's
		}
		name, hard, isLimit := parseUlimit(line)
		if !isLimit {
			return failed("podman starts nothing: it does not understand the limit "+strconv.Quote(line), said).
				fixed("write NAME=SOFT:HARD, such as nofile=1024:2048", f.setting(conf, key))
		}
		if r := f.checkHardLimit("podman starts nothing", name, hard, said, f.setting(conf, key)); r.Status != OK {
			return r
		}
	}
	return ok("")
}

// networkTools are what gives a user's containers a network, and their packages.
var networkTools = map[string]string{"pasta": "passt", "slirp4netns": "slirp4netns"}

// helperDirs are where podman looks for programs of its own, if its configuration does not
// say it (containers/common, defaultHelperBinariesDir).
var helperDirs = []string{"/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"}

// networkTool returns the program that is to give containers a network, and the key of
// containers.conf that says so, if one does; "" if none is needed.
func (f *Facts) networkTool(conf *podmanconf.Config) (program, key string) {
	mode, _, _ := strings.Cut(conf.Containers.NetNS, ":")
	version := f.podmanVersion()
	switch {
	case networkTools[mode] != "":
		return mode, "containers.netns"
	case mode != "" && mode != "private" && mode != "bridge":
		return "", ""
	case version >= rootlessSince && networkTools[conf.Network.RootlessCmd] != "":
		return conf.Network.RootlessCmd, "network.default_rootless_network_cmd"
	case version >= pastaSince:
		return "pasta", ""
	}
	return "slirp4netns", ""
}

func checkPodmanNetwork(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	conf := f.podmanConf()
	if r := f.checkBackend(conf); r.Status != OK {
		return r
	}
	program, key := f.networkTool(conf)
	if program == "" {
		return ok("the configuration has netns = \"" + conf.Containers.NetNS + "\"")
	}
	if named := conf.Engine.NetworkCmd; named != "" && program == "slirp4netns" {
		program, key = named, "engine.network_cmd_path"
	}
	switch f.findHelper(conf, program) {
	case machine.Found:
		return f.checkTun(program)
	case machine.Unknown:
		if key == "" {
			return skip(UnseenOfPodman)
		}
		return unknown("it cannot be told whether "+program+" is there", f.unseen())
	}
	text := "install " + cmp.Or(networkTools[program], program)
	if other := f.otherNetwork(conf, program); other != "" {
		text += ", or write default_rootless_network_cmd = \"" + other + "\" under [network]: " + other + " is there"
	}
	if key != "" {
		_, value, _ := strings.Cut(key, ".")
		return failed("podman finds no "+program+", which its configuration names: "+WithoutNetwork,
			Evidence{conf.File(key), value + " = " + strconv.Quote(program)}).
			fixed(text+", or remove the line "+value, append(f.install(networkTools[program]), or(f.editAny(conf.File(key)))...)...)
	}
	return f.byDefault(failed("podman finds no "+program+": "+WithoutNetwork).
		fixed(text, f.install(networkTools[program])...))
}

// netavark makes podman's networks.
const netavark = "netavark"

// wantsNetavark tells whether no command of podman's works without netavark: since podman 5,
// if the configuration does not say otherwise. podman 4 takes CNI where it finds none, unless
// it has taken netavark before (containers/common, NetworkBackend and defaultNetworkBackend).
func (f *Facts) wantsNetavark(conf *podmanconf.Config) bool {
	switch version := f.podmanVersion(); {
	case conf.Network.Backend != "":
		return conf.Network.Backend == netavark
	case version >= pastaSince:
		return true
	case version < netavarkSince:
		return false
	}
	taken, err := f.usersFiles().ReadFile(path.Join(f.readStorage().graphRoot, "defaultNetworkBackend"))
	return err == nil && string(taken) == netavark
}

// checkBackend looks at what the configuration has make podman's networks. podman 5 knows CNI only
// if it was built with the tag cni, and says else that it is not enabled in this build (containers/common,
// backendFromType).
func (f *Facts) checkBackend(conf *podmanconf.Config) Result {
	const key = "network.network_backend"
	backend, version := conf.Network.Backend, f.podmanVersion()
	said := settingOf(conf, key, strconv.Quote(backend))
	switch {
	case version < netavarkSince || backend == "" || backend == netavark:
		return f.checkNetavark(conf)
	case backend == "cni" && version < pastaSince:
		return ok("")
	}
	const write = "write network_backend = \"netavark\""
	if backend != "cni" || version >= oneFileSince { // which has no CNI any more
		return failed("no command of podman's works: podman does not know "+strconv.Quote(backend)+" as a value of network_backend", said).
			fixed(write, f.setting(conf, key))
	}
	r := unknown("it cannot be told whether podman "+f.System.Version("podman")+" knows network_backend = \"cni\"",
		errors.New("since podman 5 only one that was built with the tag cni does, and with another no command of podman's works"))
	r.Evidence = []Evidence{said}
	return r.fixed(write+", which has networks of its own: those made with CNI are not among them", f.setting(conf, key))
}

// checkNetavark looks for netavark, as podman does: not along PATH.
func (f *Facts) checkNetavark(conf *podmanconf.Config) Result {
	const key = "network.network_backend"
	if !f.wantsNetavark(conf) {
		return ok("")
	}
	dirs, isKnown := f.helperDirs(conf)
	var files []string
	for _, dir := range dirs {
		files = append(files, path.Join(dir, netavark))
	}
	answer := f.findOne(files)
	if answer != machine.Absent || !isKnown {
		return ok("") // found, or a report from before it was looked for
	}
	var evidence []Evidence
	if conf.Network.Backend != "" {
		evidence = append(evidence, settingOf(conf, key, strconv.Quote(netavark)))
	}
	r := failed("no command of podman's works: podman finds no netavark in "+strings.Join(dirs, " "), evidence...)
	if !conf.IsAdded(helperKey) {
		return f.withoutHelperDirs(conf, r)
	}
	if _, _, inPath := f.lookUp(netavark); inPath == machine.Found {
		return f.byDefault(r.fixed("add the directory that has netavark to helper_binaries_dir under [engine]", f.helperSetting(conf)))
	}
	return f.byDefault(r.fixed("install netavark", f.install(netavark)...))
}

// helperKey names directories in place of those in which distributions have podman's own programs.
const helperKey = "engine.helper_binaries_dir"

// withoutHelperDirs is the result where the configuration has podman look for netavark elsewhere
// than where the package has it: to install that changes nothing.
func (f *Facts) withoutHelperDirs(conf *podmanconf.Config, r Result) Result {
	r.Evidence = append(r.Evidence, settingOf(conf, helperKey, strings.Join(conf.Engine.HelperDirs.Strings(), " ")))
	edit := f.editAny(conf.File(helperKey))
	for _, dir := range slices.Concat(helperDirs, f.System.SearchPath(), toolDirs) {
		if file := path.Join(dir, netavark); f.usersFiles().Exists(file) {
			r.Evidence = append(r.Evidence, Evidence{file, "is there"})
			return r.fixed("add "+dir+" to helper_binaries_dir in "+conf.File(helperKey), edit)
		}
	}
	return r.fixed("install netavark, and remove the line helper_binaries_dir from "+conf.File(helperKey)+", or add the directory that then has netavark", append(f.install(netavark), edit)...)
}

// helperSetting has the directories of podman's own programs changed.
func (f *Facts) helperSetting(conf *podmanconf.Config) Command {
	if conf.File(helperKey) != "" {
		return f.editAny(conf.File(helperKey))
	}
	return f.editAny(cmp.Or(f.userConfig(), systemConfig) + containersDir)
}

// helperDirs returns where podman looks for programs of its own; isKnown is false if one of
// the places cannot be told.
func (f *Facts) helperDirs(conf *podmanconf.Config) (dirs []string, isKnown bool) {
	isKnown = !f.isBuilt() // whose podman was told otherwise when it was built
	if conf.IsAdded(helperKey) {
		dirs = slices.Clone(helperDirs)
	}
	for _, dir := range conf.Engine.HelperDirs.Strings() {
		if rest, isBeside := strings.CutPrefix(dir, "$BINDIR"); isBeside { // beside podman itself
			file, _, answer := f.lookUp("podman")
			isKnown = isKnown && answer == machine.Found
			dir = path.Join(path.Dir(file), rest)
		}
		dirs = append(dirs, dir)
	}
	return dirs, isKnown
}

// findHelper looks for a program as podman does for those of which it also looks along PATH.
func (f *Facts) findHelper(conf *podmanconf.Config, program string) machine.Answer {
	if path.IsAbs(program) {
		return f.usersFiles().Find(program)
	}
	dirs, _ := f.helperDirs(conf)
	for _, dir := range dirs {
		if f.usersFiles().Exists(path.Join(dir, program)) {
			return machine.Found
		}
	}
	_, _, answer := f.lookUp(program)
	return answer
}

// otherNetwork returns the other of both programs, if podman knows it and it is there.
func (f *Facts) otherNetwork(conf *podmanconf.Config, program string) string {
	version := f.podmanVersion()
	for other := range networkTools {
		isKnown := version >= rootlessSince && (other == "pasta" || version < slirp4netnsEnd)
		if other != program && isKnown && f.findHelper(conf, other) == machine.Found {
			return other
		}
	}
	return ""
}

// checkTun looks for the device that both programs make their network with.
func (f *Facts) checkTun(program string) Result {
	const (
		device  = "/dev/net/tun"
		without = ", without which "
		only    = " makes no network: " + WithoutNetwork
	)
	st, err := f.Machine.Stat(device)
	switch {
	case f.Machine.Find(device) == machine.Absent:
		return f.byDefault(failed("there is no "+device+without+program+only, Evidence{device, "is not there"}).with(f.tunFix(), ""))
	case err == nil && !f.may(st, 0o6):
		return f.byDefault(failed(f.Subject.Name+" may not open "+device+without+program+only, Evidence{device, ownerAndMode(st)}).
			fixed("open "+device+" to everybody, as it usually is", asRoot("chmod", "0666", device)))
	}
	return ok("podman uses " + program)
}

// tunFix has the kernel make the device of tun: a container's stands outside.
func (f *Facts) tunFix() *Fix {
	if f.isContainer() {
		return &Fix{Text: "outside, have this container's manager give it the device /dev/net/tun"}
	}
	const keep = "mkdir -p /etc/modules-load.d && echo tun >/etc/modules-load.d/tun.conf"
	return &Fix{Text: "load the kernel's module tun, for every boot and now", Commands: []Command{asRoot("sh", "-c", keep), asRoot("modprobe", "tun")}}
}

// install is how a package is installed; none where the distribution is not known, or the
// package is none.
func (f *Facts) install(name string) (commands []Command) {
	for _, d := range distributions {
		if name == "" || !f.isLike(d.ids...) || d.ids[0] == "gentoo" {
			continue
		}
		if install, _ := f.installer(d); install != nil {
			return []Command{byHand(append(install, name)...)}
		}
	}
	return nil
}
