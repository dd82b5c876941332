package check

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// containerChecks look at what a container's configuration asks for beside cgroups, and
// LXC refuses to start without.
var containerChecks = []*Check{
	{
		Code: "CGD-057", Name: "config", Title: "The container's configuration can be read, and LXC knows its keys",
		Explain: "LXC refuses to start a container if it does not understand a line of the configuration, does not know a key, or cannot read a file that lxc.include names. The keys are compared with those of LXC 3 to 6; of some it is known which version brought them. A limit lxc.prlimit.NAME above the shell's own hard limit keeps it from starting too: only root may raise that. A seccomp profile (lxc.seccomp.profile), a list of mounts (lxc.mount.fstab), a hook that is run before the container's init or the source of a bind mount keeps it from starting where that is not there; only those with absolute paths are looked at, and of the mounts only those without the option optional. The container has to have a user namespace of its own, or share another container's (lxc.namespace.keep, .clone and .share.*): in a user namespace of its own it may join no other namespace, and may mount sysfs only in a network namespace of its own (with lxc.net.N.type = none it has none), proc only in a PID namespace and mqueue only in an IPC namespace of its own. Of other values, this check looks at those that have to be a number, a switch (0 or 1), a signal, an address or a kind of mount, and at whether LXC can write the log file. Limits, IDs and network devices have checks of their own.",
		run:     checkConfig,
	},
	{
		Code: "CGD-054", Name: "config-network", Title: "The user may have the container's network devices",
		Explain: "A network device of type veth is made by lxc-user-nic, which is set-user-ID root. It makes as many as /etc/lxc/lxc-usernet gives to the user on that bridge (lxc-usernet(5)), and the bridge has to be there. With lxc.net.N.type = none the container shares the machine's network, and LXC cannot mount sysfs for it: see the check config. All types other than veth, empty and none need root.",
		needs:   aConfig, run: checkConfigNetwork,
	},
	{
		Code: "CGD-055", Name: "config-apparmor", Title: "The container's AppArmor profile can be loaded",
		Explain: "With lxc.apparmor.profile = generated, which Debian has in /etc/lxc/default.conf, LXC makes a profile for each container and has AppArmor load it. AppArmor takes profiles from root alone, so that no container of an ordinary user starts with it. A profile that is loaded may be named; with unconfined the container has no profile. Where AppArmor is off the setting does nothing.",
		needs:   aConfig, run: checkConfigAppArmor,
	},
	{
		Code: "CGD-056", Name: "config-rootfs", Title: "The container's root owns its file system",
		Explain:   "A root file system in an image or on a block device (loop, lvm, nbd, rbd) can be mounted by root alone, and one of overlay by users since Linux 5.11. What is in a container's root file system belongs to the IDs of its lxc.idmap. One that was copied or unpacked by root, or made with another range, belongs to nobody in the container, whose init then cannot be run or cannot write.",
		DependsOn: []string{"config-idmap"}, needs: aConfig, run: checkConfigRootfs,
	},
}

// NewContainers returns the configuration that LXC gives a new container, the user's or the
// one that is to be copied for that, and the names of the checks that find it not to start
// for what it asks for beside cgroups; none where a container was asked about, or nothing is
// known.
func (f *Facts) NewContainers() (file string, failing []string) {
	if f.Config != nil || f.ConfigError != nil || f.Partial || f.System.Version("lxc") == "" || f.Subject.UID == 0 {
		return "", nil
	}
	for _, file = range []string{f.ownDefaultConf(), defaultConf} {
		config, err := lxcconf.Read(f.usersFiles(), file)
		if err != nil {
			continue
		}
		own := *f
		own.Config = config
		names := []string{"config-network", "config-apparmor"}
		if f.Machine.IsRecorded() && !f.Machine.Exists(usernetFile) { // nobody may have looked
			names = names[1:]
		}
		for _, name := range names {
			if own.resultOf(ByName(name)).Status == Failed {
				failing = append(failing, name)
			}
		}
		break
	}
	return file, failing
}

func checkConfig(f *Facts) Result {
	switch {
	case f.ConfigError == nil && f.Config == nil:
		return skip(f.noConfig()).certain()
	case f.ConfigError == nil:
		r := f.checkKeys()
		if r.Status != Failed {
			if values := f.checkValues(); values.Status != OK {
				r = values
			}
		}
		if r.Status != Failed && f.Partial && !f.isWholeConfig() {
			return f.unreadResult()
		}
		if r.Status == OK {
			r = f.checkPrlimits().certain()
		}
		for _, look := range []func() Result{f.checkReturns, f.checkConfigNamespaces, f.checkNeededFiles} {
			if r.Status == OK && !f.Partial {
				r = look()
			}
		}
		return r
	}
	if errors.Is(f.ConfigError, machine.ErrNotRecorded) { // also of a file that it includes
		return unknown("the container's configuration cannot be read", f.ConfigError)
	}
	var line *confparse.ParseError
	if errors.As(f.ConfigError, &line) {
		return f.lineResult(line).certain()
	}
	return failed("the container's configuration cannot be read: " + f.ConfigError.Error()).
		fixed("let " + f.Subject.Name + " read the configuration, and go through the directories above it").certain()
}

// checkReturns looks for lines that end as Windows has them, by the one that keeps the container
// from starting with LXC before 4.0.
func (f *Facts) checkReturns() Result {
	item := f.rootfsItem()
	if !item.Returned || f.isLXC([]int{4}) {
		return ok("")
	}
	fix := f.editAny(item.File)
	fix.Args, fix.ByHand = []string{"sed", "-i", `s/\r$//`, item.File}, fix.Root
	return failed("LXC "+f.System.Version("lxc")+" takes the carriage return at the end of a line for a part of the value, and does not find the container's root file system", Evidence{itemEvidence(item).Path, item.Key + " = " + item.Value + "\r"}).
		fixed("remove the carriage returns from "+item.File, fix)
}

// lineResult is the result for a line of the configuration that LXC stops at.
func (f *Facts) lineResult(line *confparse.ParseError) Result {
	_, included, _ := strings.Cut(line.Text, "=")
	included = strings.TrimSpace(included)
	says := "LXC does not understand a line of the configuration, and refuses to start the container: " + line.Reason
	text := fmt.Sprintf("correct line %d of %s", line.Line, line.File)
	switch line.Reason {
	case lxcconf.Relative:
		says = "lxc.include names a relative path: LXC looks for it in the directory from which it is started, and elsewhere refuses to start the container"
		text = "write the absolute path of " + included + " in " + line.File
	case lxcconf.Unreadable:
		says = "LXC cannot read " + included + ", which the configuration includes, and refuses to start the container"
		text += ", or install the package that has " + included
	}
	r := failed(says, Evidence{fmt.Sprintf("%s:%d", line.File, line.Line), line.Text})
	if line.Err != nil {
		r.Evidence = append(r.Evidence, Evidence{"its cause", line.Err.Error()})
	}
	return r.fixed(text, f.editAny(line.File))
}

// usernetFile gives users network devices (lxc-usernet(5)).
const usernetFile = "/etc/lxc/lxc-usernet"

// fewDevices is how many a fix gives.
const fewDevices = 10

func checkConfigNetwork(f *Facts) Result {
	asksAny := false
	nic := ok("")                         // what is known of lxc-user-nic, if nothing else is wrong
	wanted := map[string][]lxcconf.Item{} // by bridge
	for _, n := range networksOf(f.Config) {
		kind := itemEvidence(n.kind)
		if f.isRefused(n.kind) {
			return skip("LXC does not know the key " + n.kind.Key + " any more: see the check config")
		}
		switch n.kind.Value {
		case "", "empty", "none":
			continue
		case "veth":
			asksAny = true
		default:
			return failed("a network device of type "+n.kind.Value+" can be given to a container by root alone", kind).
				fixed("set "+n.kind.Key+" to veth, with a bridge, or to empty", f.editAny(n.kind.File)).certainIf(f.isLastWord(n.kind))
		}
		if nic = f.checkUserNIC(kind); nic.Status == Failed {
			return nic
		}
		look := f.checkBridge
		if n.link.Value == "" {
			n.link, look = n.kind, f.withoutBridge
		}
		if r := look(n.link); r.Status != OK {
			return r
		}
		if n.link != n.kind {
			wanted[n.link.Value] = append(wanted[n.link.Value], n.link)
		}
	}
	if r := f.checkQuotas(wanted); r.Status != OK {
		return r
	}
	if nic.Status != OK {
		return nic
	}
	return ok("").certainIf(!asksAny && f.isWholeConfig())
}

// withoutBridge is the result for a veth device without a bridge: lxc-user-nic is then
// asked for a bridge called none.
func (f *Facts) withoutBridge(kind lxcconf.Item) Result {
	data, err := f.Machine.ReadFile(usernetFile)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return unknown("it cannot be told whether "+f.Subject.Name+" may have network devices", err)
	case f.usernetGives(string(data), "none"):
		return ok("")
	}
	return failed("a network device of type veth has no lxc.net.N.link, and lxc-user-nic makes none without a bridge",
		itemEvidence(kind)).
		fixed("name a bridge on which "+f.Subject.Name+" may have devices", f.editAny(kind.File)).
		certainIf(f.isWholeConfig() && f.knowsUsernet("none"))
}

// userNICs are where distributions have lxc-user-nic.
var userNICs = func() (files []string) {
	for _, dir := range securityDirs {
		if strings.HasPrefix(dir, "/usr/") { // where /lib leads there, mountinfo says so of this
			files = append(files, path.Dir(dir)+"/lxc/lxc-user-nic")
		}
	}
	return append(files, "/usr/libexec/lxc/lxc-user-nic", "/run/wrappers/bin/lxc-user-nic", "/usr/local/libexec/lxc/lxc-user-nic", "/usr/local/lib/lxc/lxc-user-nic")
}()

// checkUserNIC looks whether what makes a user's network devices is there, and may do so. LXC has
// its path built in, and who built another LXC has put it where nobody looks.
func (f *Facts) checkUserNIC(asked Evidence) Result {
	for _, file := range userNICs {
		st, err := f.Machine.Stat(file)
		if err != nil {
			continue
		}
		switch {
		case st.NoSetUID || f.onNoSUID(file):
			return failed("lxc-user-nic is on a mount that ignores set-user-ID (nosuid), and can make no network device: the container does not start", asked, Evidence{file, "on " + f.mountOf(file).Point}).
				with(f.remounted(file, "nosuid", "suid"), "")
		case !isSetUserIDRoot(st):
			return failed("lxc-user-nic is not set-user-ID root, and can make no network device: the container does not start", asked, Evidence{file, ownerAndMode(st)}).
				fixed("make lxc-user-nic set-user-ID root", asRoot("chown", "root:root", file), asRoot("chmod", "4755", file))
		}
		return ok("")
	}
	r := unknown("it cannot be told whether LXC has lxc-user-nic, which makes the network devices, and without which the container does not start", f.whyNoUserNIC())
	r.Evidence = []Evidence{asked}
	return r
}

// whyNoUserNIC says why lxc-user-nic was not found.
func (f *Facts) whyNoUserNIC() error {
	for _, file := range userNICs {
		if f.Machine.Find(file) == machine.Unknown || f.isBeforeAbsent() {
			return f.unseen()
		}
	}
	return errors.New("it is in none of the directories in which distributions have it")
}

// network is a device of a container's.
type network struct{ kind, link lxcconf.Item }

// networksOf returns the devices: lxc.net.N.type and .link, and the keys from before LXC
// 2.1, where each lxc.network.type begins another one.
func networksOf(c *lxcconf.Config) (all []network) {
	byNumber := map[string]int{}
	for _, item := range c.Items {
		if number, key, isNet := cutNet(item.Key); isNet {
			i, known := byNumber[number]
			if !known {
				i, byNumber[number] = len(all), len(all)
				all = append(all, network{})
			}
			all[i].set(key, item)
			continue
		}
		switch key, isOld := strings.CutPrefix(item.Key, "lxc.network."); {
		case isOld && key == "type":
			all = append(all, network{kind: item})
		case isOld && len(all) > 0:
			all[len(all)-1].set(key, item)
		}
	}
	return all
}

func cutNet(key string) (number, rest string, isNet bool) {
	key, isNet = strings.CutPrefix(key, "lxc.net.")
	number, rest, found := strings.Cut(key, ".")
	return number, rest, isNet && found
}

func (n *network) set(key string, item lxcconf.Item) {
	switch key {
	case "type":
		n.kind = item
	case "link":
		n.link = item
	}
}

// checkBridge looks whether the user may have a device on a bridge, and whether that is
// there.
func (f *Facts) checkBridge(link lxcconf.Item) Result {
	bridge := link.Value
	at := Evidence{fmt.Sprintf("%s:%d", link.File, link.Line), link.Key + " = " + bridge}
	data, err := f.Machine.ReadFile(usernetFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = nil
	case err != nil:
		return unknown("it cannot be told whether "+f.Subject.Name+" may have network devices", err)
	}
	there := f.bridgeThere(link, at)
	if f.usernetGives(string(data), bridge) {
		return there
	}
	r := failed(f.Subject.Name+" may have no network device on "+bridge+": lxc-user-nic makes none, and the container does not start", at, f.usernetEvidence(string(data), bridge))
	r = f.usernetFix(r, string(data), bridge)
	if there.Status == Failed { // one that is left would be the next trouble
		r.Says += "; and " + there.Says
		r.Evidence = append(r.Evidence, there.Evidence[1:]...)
		r.Fix.Text += "; and " + there.Fix.Text
		r.Fix.Commands = append(r.Fix.Commands, there.Fix.Commands...)
	}
	return r.certainIf(f.isLastWord(link) && f.knowsUsernet(bridge))
}

// bridgeThere looks whether the bridge is there that the line asks for.
func (f *Facts) bridgeThere(link lxcconf.Item, at Evidence) Result {
	bridge := link.Value
	switch dir := "/sys/class/net/" + bridge; f.Machine.Find(dir) {
	case machine.Unknown:
		return unknown("it cannot be told whether the bridge "+bridge+" is there", machine.ErrNotRecorded)
	case machine.Absent:
		r := failed("the bridge "+bridge+" is not there", at, Evidence{dir, "is not there"})
		if commands := f.startOfBridge(bridge); commands != nil {
			if off, isOff := f.bridgeOff(r, link, commands); isOff {
				return off
			}
			return r.fixed("start the service that makes "+bridge+", now and at boot"+f.bridgeSetting(), commands...)
		}
		return r.fixed("make the bridge, or name one that is there", f.editAny(link.File))
	}
	return ok("")
}

// bridgeSetting names what has LXC's service make no bridge.
func (f *Facts) bridgeSetting() string {
	if file := "/etc/default/lxc-net"; f.Machine.Exists(file) {
		return "; with USE_LXC_BRIDGE=\"false\" in " + file + " it makes none"
	}
	return ""
}

// startOfBridge returns what starts the service that makes LXC's own bridge, now and at boot: of
// LXC's own packages, or of Alpine's lxc-bridge; nil where none is seen. update-rc.d and service
// are Debian's, and ask whichever init it has.
func (f *Facts) startOfBridge(bridge string) []Command {
	const lxcNet, ofAlpine = "lxc-net", "dnsmasq.lxcbr0"
	_, _, update := f.lookUp("update-rc.d")
	isScript := func(name string) bool { return f.Machine.Exists("/etc/init.d/" + name) }
	openRC := func(name string) []Command {
		return []Command{asRoot("rc-update", "add", name), asRoot("rc-service", name, "start")}
	}
	switch isOpenRC := f.Machine.Exists("/run/openrc"); {
	case bridge != "lxcbr0":
		return nil
	case f.hasSystemd():
		if unit := lxcNet + ".service"; f.hasUnit(unit) {
			return []Command{asRoot("systemctl", "enable", "--now", unit)}
		}
	case isScript(lxcNet) && update == machine.Found:
		return []Command{asRoot("update-rc.d", lxcNet, "defaults"), asRoot("service", lxcNet, "start")}
	case isScript(lxcNet) && isOpenRC:
		return openRC(lxcNet)
	case isScript(ofAlpine) && isOpenRC:
		return openRC(ofAlpine)
	}
	return nil
}

// usernetLine is a line of usernetFile.
type usernetLine struct {
	number int
	text   string
	name   string // of the user, or of a group behind "@"
	most   int    // how many devices it gives
	blank  bool   // a blank stands before the name, and lxc-user-nic passes the line over
}

// usernetLines returns the lines that are for the user, or a group of the user's, and the
// bridge. lxc-user-nic takes words apart at blanks, and none before the first (lxc_user_nic.c,
// get_alloted).
func (f *Facts) usernetLines(text, bridge string) (all []usernetLine) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := strings.FieldsFunc(strings.TrimRight(line, "\r\n"), func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) < 4 || strings.HasPrefix(words[0], "#") || words[1] != "veth" || words[2] != bridge {
			continue
		}
		var most int
		if n, _ := fmt.Sscan(words[3], &most); n != 1 {
			continue
		}
		group, isGroup := strings.CutPrefix(words[0], "@")
		if words[0] == f.Subject.Name || isGroup && slices.Contains(f.groupNames(), group) {
			isBlank := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
			all = append(all, usernetLine{number, strings.Join(words, " "), words[0], most, isBlank})
		}
	}
	return all
}

// usernetGives tells whether a line gives a device.
func (f *Facts) usernetGives(text, bridge string) bool {
	return slices.ContainsFunc(f.usernetLines(text, bridge), func(l usernetLine) bool { return l.most > 0 && !l.blank })
}

// checkQuotas looks whether the user may have as many devices on each bridge as the container
// asks for.
func (f *Facts) checkQuotas(wanted map[string][]lxcconf.Item) Result {
	data, _ := f.Machine.ReadFile(usernetFile)
	for _, bridge := range slices.Sorted(maps.Keys(wanted)) {
		links := wanted[bridge]
		given, lines := f.usernetQuota(string(data), bridge)
		if len(links) <= given {
			continue
		}
		r := failed(fmt.Sprintf("the container asks for %d network devices on %s, of which %s may have %d: lxc-user-nic says \"Quota reached\", and the container does not start", len(links), bridge, f.Subject.Name, given))
		for _, link := range links {
			r.Evidence = append(r.Evidence, itemEvidence(link))
		}
		for _, l := range lines {
			r.Evidence = append(r.Evidence, Evidence{fmt.Sprintf("%s:%d", usernetFile, l.number), l.text})
		}
		return f.quotaFix(r, lines, bridge, max(len(links), fewDevices)).certainIf(f.isWholeConfig() && f.knowsUsernet(bridge))
	}
	return ok("")
}

// usernetQuota returns how many devices a user may have on a bridge, and by which lines. Each
// name's devices are counted for themselves, and of a name's lines the one that gives most is the
// last to be used up (lxc_user_nic.c, get_nic_if_avail).
func (f *Facts) usernetQuota(text, bridge string) (given int, lines []usernetLine) {
	for _, l := range f.usernetLines(text, bridge) {
		if l.blank || l.most <= 0 {
			continue
		}
		if i := slices.IndexFunc(lines, func(before usernetLine) bool { return before.name == l.name }); i < 0 {
			lines = append(lines, l)
		} else if l.most > lines[i].most {
			lines[i] = l
		}
	}
	for _, l := range lines {
		given += l.most
	}
	return given, lines
}

// quotaFix has the user's own line give more devices, or another line if it has none.
func (f *Facts) quotaFix(r Result, lines []usernetLine, bridge string, most int) Result {
	for _, l := range lines {
		if isPlain := l.text == fmt.Sprintf("%s veth %s %d", l.name, bridge, l.most); isPlain && l.name == f.Subject.Name {
			return r.fixed(f.allowDevices(most, bridge), asRoot("sed", "-i", fmt.Sprintf(`%ds/[0-9]\{1,\}[^0-9]*$/%d/`, l.number, most), usernetFile))
		}
	}
	return r.fixed(f.allowDevices(most, bridge), f.addUsernet(most, bridge))
}

// allowDevices says what a line of usernetFile does.
func (f *Facts) allowDevices(most int, bridge string) string {
	return fmt.Sprintf("allow %s %d network devices on %s", f.Subject.Name, most, bridge)
}

// addUsernet adds a line of the user's. The last one may lack its newline.
func (f *Facts) addUsernet(most int, bridge string) Command {
	line := fmt.Sprintf("%s veth %s %d", f.Subject.Name, bridge, most)
	return asRoot("sh", "-c", "printf '\\n%s\\n' "+quote(line)+" >>"+usernetFile)
}

// usernetEvidence says why no line gives one.
func (f *Facts) usernetEvidence(text, bridge string) Evidence {
	lines := f.usernetLines(text, bridge)
	if len(lines) == 0 {
		return Evidence{usernetFile, "no line for this user and bridge"}
	}
	at := fmt.Sprintf("%s:%d", usernetFile, lines[0].number)
	if lines[0].blank {
		return Evidence{at, "\" " + lines[0].text + "\", which begins with a blank and is passed over"}
	}
	return Evidence{at, lines[0].text + ", which gives none"}
}

// usernetFix has a line give the user devices on the bridge: one that stands there, without
// the blank before it, or another.
func (f *Facts) usernetFix(r Result, text, bridge string) Result {
	for _, l := range f.usernetLines(text, bridge) {
		if l.blank && l.most > 0 {
			return r.fixed(fmt.Sprintf("remove the blank before line %d of %s", l.number, usernetFile), asRoot("sed", "-i", fmt.Sprintf(`%ds/^[[:blank:]]*//`, l.number), usernetFile))
		}
	}
	if group := f.newGroup(text, bridge); group != "" {
		r.Evidence = append(r.Evidence, Evidence{"/etc/group", f.Subject.Name + " is in " + group + ", and this shell is not yet"})
		return r.fixed("log in again: the group " + group + " may have network devices on " + bridge)
	}
	return r.fixed(f.allowDevices(fewDevices, bridge), f.addUsernet(fewDevices, bridge))
}

// newGroup returns a group that may have devices on the bridge, and to which the user was
// added after this shell was started: lxc-user-nic asks for the groups of the process
// (getgroups(2)). It is "" if there is none.
func (f *Facts) newGroup(text, bridge string) string {
	data, _ := f.Machine.ReadFile("/etc/group")
	groups, _ := user.ParseGroupFilter(strings.NewReader(string(data)), func(g user.Group) bool {
		return f.Subject.PID != 0 && slices.Contains(g.List, f.Subject.Name) && !slices.Contains(f.Subject.Groups, g.Gid)
	})
	own := *f
	for _, g := range groups {
		own.Subject.Groups = []int{g.Gid}
		if own.usernetGives(text, bridge) {
			return g.Name
		}
	}
	return ""
}

// groupNames returns the names of the subject's groups, as far as the files have them.
func (f *Facts) groupNames() (names []string) {
	data, _ := f.Machine.ReadFile("/etc/group")
	groups, _ := user.ParseGroupFilter(strings.NewReader(string(data)), func(g user.Group) bool {
		return g.Gid == f.Subject.GID || slices.Contains(f.Subject.Groups, g.Gid)
	})
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}

// hasUnit tells whether systemd has a unit's file.
func (f *Facts) hasUnit(name string) bool {
	return slices.ContainsFunc(unitDirs, func(dir string) bool { return f.Machine.Exists(path.Join(dir, name)) })
}

func checkConfigAppArmor(f *Facts) Result {
	const key, enabled = "lxc.apparmor.profile", "/sys/module/apparmor/parameters/enabled"
	item, isSet := f.Config.Last(key)
	switch {
	case !isSet || item.Value != "generated":
		return ok("").certainIf(f.isWholeConfig() || isSet && f.isLastWord(item))
	case f.Machine.Find(enabled) == machine.Unknown:
		return unknown("it cannot be told whether AppArmor is on", machine.ErrNotRecorded)
	case f.readWord(enabled) != "Y":
		return ok("AppArmor is off")
	}
	edit := f.editAny(item.File)
	if !edit.Root { // a file that is no other's
		edit.Args = []string{"sed", "-i", fmt.Sprintf("%ds/=.*/= unconfined/", item.Line), item.File}
		edit.ByHand = false
	}
	return failed("LXC would load a profile that it generates for the container, and AppArmor takes none from "+f.Subject.Name+", only from root: the container does not start", itemEvidence(item), Evidence{enabled, "Y"}).
		fixed("write lxc.apparmor.profile = unconfined, or name a profile that is loaded, such as lxc-container-default-cgns; the container's user namespace confines it all the same", edit)
}

// ofRoots are the kinds of storage that LXC mounts from a block device, which no user may
// (lxc.container.conf(5), lxc.rootfs.path).
var ofRoots = []string{"loop", "lvm", "nbd", "rbd"}

// rootfsItem returns the line with the container's root file system, none if it has none.
func (f *Facts) rootfsItem() lxcconf.Item {
	item, isSet := f.Config.Last("lxc.rootfs.path")
	if !isSet {
		item, _ = f.Config.Last("lxc.rootfs")
	}
	return item
}

// mountedByRoot is the result for a root file system that only root can mount.
func (f *Facts) mountedByRoot(item lxcconf.Item, what string) Result {
	return failed("only root can mount the container's root file system, which is "+what, itemEvidence(item)).
		fixed("make the container again in a directory, by lxc-create -B dir, as "+f.Subject.Name+", "+anew+"; or unpack its root file system in a directory, and name that in "+item.File, f.editAny(item.File))
}

func checkConfigRootfs(f *Facts) Result {
	item := f.rootfsItem()
	if kind, _, isKind := strings.Cut(item.Value, ":"); isKind && slices.Contains(ofRoots, kind) {
		return f.mountedByRoot(item, "of the kind "+kind).certainIf(f.isLastWord(item))
	}
	if r := f.checkRootfsOverlay(); r.Status != OK {
		return r
	}
	dir := f.rootfs()
	if strings.HasPrefix(dir, "zfs:") {
		return unknown("it cannot be told whether "+f.Subject.Name+" may mount the container's root file system", errors.New("it is of the kind zfs"))
	}
	if !strings.HasPrefix(dir, "/") {
		return skip("the container's root file system is no directory")
	}
	st, err := f.usersFiles().Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.rootfsGone(item, dir)
	case err != nil:
		return unknown("the container's root file system cannot be looked at", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG: // LXC takes it for an image
		return f.mountedByRoot(item, "a file")
	case unix.S_IFBLK:
		return f.mountedByRoot(item, "a block device")
	}
	maps, err := f.Config.IDMaps()
	if err != nil {
		return skip("the container's ID map cannot be understood: see the check config-idmap")
	}
	var kinds []string
	for _, m := range maps {
		if m.Kind == 'u' && uint64(st.UID) >= m.Outside && uint64(st.UID) < m.Outside+m.Count {
			return ok("", Evidence{dir, ownerAndMode(st)})
		}
		kinds = append(kinds, "lxc.idmap = "+m.Item.Value)
	}
	return failed("the container's root file system belongs to user ID "+strconv.Itoa(st.UID)+", which is none of the container's IDs: its init cannot be run, or cannot write",
		itemEvidence(item), Evidence{dir, ownerAndMode(st)}, Evidence{"the configuration", strings.Join(kinds, ", ")}).
		fixed("make the container again by lxc-create, as " + f.Subject.Name + ", under another name; or change the owners of its files to the container's IDs")
}
