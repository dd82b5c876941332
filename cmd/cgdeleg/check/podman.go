package check

import (
	"cmp"
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
		Code: "CGD-065", Name: "podman-runtime", Title: "podman's OCI runtime is there and takes the configuration",
		Explain:   "podman has containers started by crun or runc, or by what runtime under [engine] in containers.conf names. It looks in the runtime's paths under [engine.runtimes], then along PATH, and starts nothing if it is not found. crun starts nothing on cgroup v1 while v2 has controllers. With cgroups = \"disabled\" podman refuses runc; with crun its containers have no cgroups and so no limits.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanRuntime,
	},
	{
		Code: "CGD-066", Name: "podman-cgroups", Title: "podman makes cgroups in the way that its configuration names",
		Explain:   "cgroup_manager under [engine] in containers.conf is systemd or cgroupfs. Where systemd is asked for and no user manager answers on /run/user/UID/bus, podman warns at every start and makes cgroups itself. On cgroup v1 podman ignores the setting.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanCgroups,
	},
	{
		Code: "CGD-067", Name: "podman-limits", Title: "The limits in podman's configuration can hold",
		Explain:   "Where podman makes cgroups itself (cgroupfs), and on cgroup v1, it ignores pids_limit of containers.conf silently. A cgroup_conf whose controller the session has not is an error of the runtime; on v1 it is ignored. A ulimit of default_ulimits above the shell's own hard limit keeps every container from starting: only root may raise it.",
		DependsOn: []string{"podman-config", "session", "writable"}, needs: aProcess, program: "podman", run: checkPodmanLimits,
	},
	{
		Code: "CGD-068", Name: "podman-network", Title: "podman finds what gives containers a network",
		Explain:   "A user's containers get their network from pasta (podman 5 and later) or slirp4netns (before), or from what default_rootless_network_cmd under [network] in containers.conf names. podman looks for it in helper_binaries_dir, then along PATH. Without it containers start only with --network=none or --network=host.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanNetwork,
	},
	{
		Code: "CGD-069", Name: "podman-storage", Title: "podman can store images and containers",
		Explain:   "storage.conf names a driver, and where images are (graphroot, rootless_storage_path). The user needs to be able to write there. Without a mount_program the driver overlay needs a kernel that lets users mount it (Linux 5.11), or fuse-overlayfs in PATH; a mount_program needs to be there. NFS and the like cannot hold the files of other IDs than the user's.",
		DependsOn: []string{"podman-config"}, needs: aUser, program: "podman", run: checkPodmanStorage,
	},
}

// byDefault is the result for something that podman needs and no configuration asked for.
// Reports from before what was absent was listed do not tell it.
func (f *Facts) byDefault(r Result) Result {
	switch {
	case f.Machine.IsRecorded() && !f.Machine.Exists("/"+machine.AbsentFile):
		return skip("it was not recorded what podman finds")
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
				return failed("podman "+f.System.Version("podman")+" does not know append in an array", settingOf(conf, key.name, "{append = true}")).
					fixed("write the whole array without it", f.editAny(conf.File(key.name)))
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
	file := conf.File(key)
	isOwn := f.isBelowHome(file) || f.isNamed(file)
	if dir := f.userConfig(); !isOwn && dir != "" && f.variable("CONTAINERS_CONF") == "" {
		return f.edit(dir + containersDir)
	}
	return f.editAny(file)
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
	}
	if r := f.checkNoCgroups(conf, path.Base(name)); r.Status != OK || isSaid {
		return r
	}
	return f.checkDefaultRuntime(name)
}

// checkDefaultRuntime looks at the runtime that podman takes where no configuration names
// one.
func (f *Facts) checkDefaultRuntime(name string) Result {
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

// nameRuntime writes a runtime into the user's containers.conf. In one that is there the table
// may be, which TOML takes only once.
func (f *Facts) nameRuntime(name string) []Command {
	dir := f.userConfig()
	if dir == "" {
		return nil
	}
	file := dir + containersDir
	if f.usersFiles().Find(file) != machine.Absent {
		return []Command{f.edit(file)}
	}
	// a second time it does nothing
	script := fmt.Sprintf(`mkdir -p %s && { test -e %s || printf '[engine]\nruntime = "%s"\n' >%s; }`, quote(path.Dir(file)), quote(file), name, quote(file))
	return []Command{f.asSubject(script)}
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
			return "install it, or write runtime = \"" + name + "\", which is there"
		}
	}
	return "install it, or take the line out, so that podman looks for crun and runc"
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
		return failed("podman does not let runc start containers without cgroups", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode == "disabled":
		return warning("podman's containers have no cgroups of their own, and so no limits: its configuration says so", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode == "split" && !f.isUnified():
		return failed("podman splits only cgroups of v2", said).
			fixed("write cgroups = \"enabled\"", f.setting(conf, key))
	case mode != "split":
		return failed("podman does not know "+strconv.Quote(mode)+" as a value of cgroups", said).
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
	case manager == "" || len(f.found) == 0:
		return ok("")
	case !f.isUnified():
		return ok("ignored on cgroup v1")
	case manager == "cgroupfs":
		return ok("")
	case manager != "systemd":
		return failed("podman does not know "+strconv.Quote(manager)+" as a value of cgroup_manager", said).
			fixed("write cgroup_manager = \"cgroupfs\" or \"systemd\"", f.setting(conf, key))
	}
	bus := userBus(f.Subject.UID)
	switch answer := f.Machine.Find(bus); {
	case answer == machine.Found:
		return ok("")
	case answer == machine.Unknown && (f.hasSystemd() || !f.Machine.IsRecorded()):
		return unknown("it cannot be told whether a user manager answers", f.unseen())
	}
	r := warning("podman is to ask systemd's user manager for cgroups, and there is none: it warns, and makes them itself (cgroupfs)",
		said, Evidence{bus, "is not there"})
	if f.hasSystemd() && f.Machine.Exists(userBusUnit) {
		return r.fixed("keep a user manager running, also without a login; or write cgroup_manager = \"cgroupfs\" in "+said.Path,
			asRoot("loginctl", "enable-linger", f.Subject.Name))
	}
	return r.fixed("write cgroup_manager = \"cgroupfs\"", f.setting(conf, key))
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
	if !f.hasController("pids") {
		return r.fixed("remove it; this session lacks the controller pids, without which nothing limits the number of processes", f.setting(conf, key))
	}
	return r.fixed(fmt.Sprintf("remove it, and set the limit with cgdeleg run: cgdeleg run -p pids.max=%d -- %s run IMAGE", limit, f.podmanAlone()), f.setting(conf, key))
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
			return failed("the runtime does not take "+strconv.Quote(name)+" for a file of a cgroup", said).
				fixed("write FILE=VALUE, such as memory.high=1G", f.setting(conf, key))
		case !f.isUnified():
			return warning("cgroup_conf does not hold: podman ignores it on cgroup v1", said).
				fixed("remove it, and set limits with cgdeleg run", f.setting(conf, key))
		case controller == "cgroup":
		case f.asksManager(conf):
			if at := f.ofManager(); at != nil && !slices.Contains(f.readControllers(at), controller) {
				r := failed("podman starts nothing: cgroup_conf needs "+controller+", which systemd's user manager has not", said, f.controllersAt(at))
				return f.lackedByManager(r, at, []string{controller}, "take it out of "+said.Path, f.setting(conf, key))
			}
		case f.hasController(controller):
		case !f.runtimeMakesCgroups(conf):
			return ok("") // and it drops limits, which the check podman says
		default:
			r := failed("the session lacks "+controller+", which cgroup_conf needs: the runtime starts nothing", said)
			return f.lackingFix(r, []string{controller}, said.Path)
		}
	}
	return ok("")
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
			return failed("podman starts nothing: it does not take "+strconv.Quote(line)+" for a limit", said).
				fixed("write NAME=SOFT:HARD, such as nofile=1024:2048", f.setting(conf, key))
		}
		if r := f.checkHardLimit(name, hard, said, f.setting(conf, key)); r.Status != OK {
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
	program, key := f.networkTool(conf)
	if program == "" {
		return ok("by netns = \"" + conf.Containers.NetNS + "\"")
	}
	if named := conf.Engine.NetworkCmd; named != "" && program == "slirp4netns" {
		program, key = named, "engine.network_cmd_path"
	}
	switch f.findHelper(conf, program) {
	case machine.Found:
		return f.checkTun(program)
	case machine.Unknown:
		if key == "" {
			return skip("it was not recorded whether " + program + " is there")
		}
		return unknown("it cannot be told whether "+program+" is there", f.unseen())
	}
	text := "install " + cmp.Or(networkTools[program], program)
	if other := f.otherNetwork(conf, program); other != "" {
		text += ", or write default_rootless_network_cmd = \"" + other + "\" under [network]: " + other + " is there"
	}
	if key != "" {
		_, value, _ := strings.Cut(key, ".")
		return failed("podman finds no "+program+", which its configuration names: containers start only with --network=none or --network=host",
			Evidence{conf.File(key), value + " = " + strconv.Quote(program)}).
			fixed(text+", or take that line out", append(f.install(networkTools[program]), f.setting(conf, key))...)
	}
	return f.byDefault(warning("podman finds no "+program+": containers start only with --network=none or --network=host").
		fixed(text, f.install(networkTools[program])...))
}

// findHelper looks for a program as podman does.
func (f *Facts) findHelper(conf *podmanconf.Config, program string) machine.Answer {
	if path.IsAbs(program) {
		return f.usersFiles().Find(program)
	}
	dirs := conf.Engine.HelperDirs.Strings()
	if len(dirs) == 0 {
		dirs = helperDirs
	}
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
	const device = "/dev/net/tun"
	st, err := f.Machine.Stat(device)
	switch {
	case f.Machine.Find(device) == machine.Absent:
		return f.byDefault(warning("there is no "+device+", without which "+program+" makes no network", Evidence{device, "is not there"}))
	case err == nil && !f.may(st, 0o6):
		return f.byDefault(warning(f.Subject.Name+" may not open "+device+", without which "+program+" makes no network", Evidence{device, ownerAndMode(st)}).
			fixed("open it to everybody, as it usually is", asRoot("chmod", "0666", device)))
	}
	return ok("by " + program)
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
