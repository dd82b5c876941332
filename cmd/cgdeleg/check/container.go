package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// containerChecks look at what a container's configuration asks for beside cgroups, and
// LXC refuses to start without.
var containerChecks = []*Check{
	{
		Code: "CGD-057", Name: "config", Title: "The container's configuration can be read, and LXC knows its keys",
		Explain: "LXC refuses to start a container of whose configuration it does not understand a line or does not know a key, or cannot read a file that lxc.include names. The keys are compared with those of LXC 3 to 6. Values are not looked at, but by the checks that are about them.",
		run:     checkConfig,
	},
	{
		Code: "CGD-054", Name: "config-network", Title: "The user may have the container's network devices",
		Explain: "A network device of type veth is made by lxc-user-nic, which is set-user-ID root. It makes as many as /etc/lxc/lxc-usernet gives to the user on that bridge (lxc-usernet(5)), and the bridge has to be there. Other types but empty and none need root.",
		needs:   aConfig, run: checkConfigNetwork,
	},
	{
		Code: "CGD-055", Name: "config-apparmor", Title: "The container's AppArmor profile can be loaded",
		Explain: "With lxc.apparmor.profile = generated LXC runs apparmor_parser, which it looks for along PATH. Debian has it in /usr/sbin, where an ordinary user's PATH does not lead, or in a package that is not installed. Where AppArmor is off the setting does nothing.",
		needs:   aConfig, run: checkConfigAppArmor,
	},
	{
		Code: "CGD-056", Name: "config-rootfs", Title: "The container's root owns its file system",
		Explain:   "What is in a container's root file system belongs to the IDs of its lxc.idmap. One that was copied or unpacked by root, or made with another range, belongs to nobody in the container, whose init then cannot be run or cannot write.",
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
	for _, file = range []string{f.Subject.Home + "/.config/lxc/default.conf", "/etc/lxc/default.conf"} {
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
		if r.Status != Failed && f.Partial && !f.isWholeConfig() {
			return f.unreadResult()
		}
		return r
	}
	r := failed(f.ConfigError.Error())
	var line *confparse.ParseError
	if errors.As(f.ConfigError, &line) {
		r = failed("LXC does not understand a line of the configuration: "+line.Reason, Evidence{fmt.Sprintf("%s:%d", line.File, line.Line), line.Text})
		if line.Err != nil {
			r.Evidence = append(r.Evidence, Evidence{"its cause", line.Err.Error()})
		}
		return r.fixed("correct that line, or install what has the file", f.editAny(line.File)).certain()
	}
	return r.certain()
}

// usernetFile gives users network devices (lxc-usernet(5)).
const usernetFile = "/etc/lxc/lxc-usernet"

func checkConfigNetwork(f *Facts) Result {
	asksAny := false
	for _, n := range networksOf(f.Config) {
		kind := itemEvidence(n.kind)
		switch n.kind.Value {
		case "", "empty", "none":
			continue
		case "veth":
			asksAny = true
		default:
			return failed("a network device of type "+n.kind.Value+" can be given to a container by root alone", kind).
				fixed("take type veth with a bridge, or empty", f.editAny(n.kind.File)).certainIf(f.isLastWord(n.kind))
		}
		if r := f.checkUserNIC(kind); r.Status != OK {
			return r
		}
		look := f.checkBridge
		if n.link.Value == "" {
			n.link, look = n.kind, f.withoutBridge
		}
		if r := look(n.link); r.Status != OK {
			return r
		}
	}
	return ok("").certainIf(!asksAny && f.isWholeConfig())
}

// withoutBridge is the result for a veth device without a bridge: lxc-user-nic is then
// asked for a bridge called none.
func (f *Facts) withoutBridge(kind lxcconf.Item) Result {
	data, _ := f.Machine.ReadFile(usernetFile)
	if f.usernetGives(string(data), "none") {
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
	return append(files, "/usr/libexec/lxc/lxc-user-nic", "/run/wrappers/bin/lxc-user-nic")
}()

// checkUserNIC looks whether what makes a user's network devices may do so. Where it is
// not found nothing is said: it is a part of LXC.
func (f *Facts) checkUserNIC(asked Evidence) Result {
	for _, file := range userNICs {
		st, err := f.Machine.Stat(file)
		if err != nil {
			continue
		}
		switch {
		case st.NoSetUID || f.onNoSUID(file):
			return failed("lxc-user-nic is on a mount that ignores set-user-ID (nosuid)", asked, Evidence{file, "on " + f.mountOf(file).Point}).
				with(f.remounted(file, "nosuid", "suid"), "")
		case !isSetUserIDRoot(st):
			return failed("lxc-user-nic is not set-user-ID root, and can make no network device", asked, Evidence{file, ownerAndMode(st)}).
				fixed("make it so", asRoot("chown", "root:root", file), asRoot("chmod", "4755", file))
		}
		break
	}
	return ok("")
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
	r := failed(f.Subject.Name+" may have no network device on "+bridge+": lxc-user-nic refuses it", at, f.usernetEvidence(string(data), bridge))
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
		const lxcNet = "lxc-net.service"
		if bridge == "lxcbr0" && f.hasSystemd() && f.hasUnit(lxcNet) {
			return r.fixed("start what makes it (USE_LXC_BRIDGE in /etc/default/lxc-net)", asRoot("systemctl", "enable", "--now", lxcNet))
		}
		return r.fixed("make the bridge, or name one that is there", f.editAny(link.File))
	}
	return ok("")
}

// usernetLine is a line of usernetFile.
type usernetLine struct {
	number int
	text   string
	most   int  // how many devices it gives
	blank  bool // a blank stands before the name, and lxc-user-nic passes the line over
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
			all = append(all, usernetLine{number, strings.Join(words, " "), most, isBlank})
		}
	}
	return all
}

// usernetGives tells whether a line gives a device.
func (f *Facts) usernetGives(text, bridge string) bool {
	return slices.ContainsFunc(f.usernetLines(text, bridge), func(l usernetLine) bool { return l.most > 0 && !l.blank })
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
			return r.fixed("take the blank before that line out", asRoot("sed", "-i", fmt.Sprintf(`%ds/^[[:blank:]]*//`, l.number), usernetFile))
		}
	}
	line := f.Subject.Name + " veth " + bridge + " 10"
	return r.fixed("give the user some (10 here)", asRoot("sh", "-c", "printf '\\n%s\\n' "+quote(line)+" >>"+usernetFile)) // the last line may lack its newline
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
	item, isSet := f.Config.Last("lxc.apparmor.profile")
	const enabled = "/sys/module/apparmor/parameters/enabled"
	switch {
	case !isSet || item.Value != "generated":
		return ok("").certainIf(f.isWholeConfig() || isSet && f.isLastWord(item))
	case f.Machine.Find(enabled) == machine.Unknown:
		return unknown("it cannot be told whether AppArmor is on", machine.ErrNotRecorded)
	case f.readWord(enabled) != "Y":
		return ok("AppArmor is off")
	}
	at := itemEvidence(item)
	const parser = "apparmor_parser"
	file, _, answer := f.lookUp(parser)
	inPath := f.System.SearchPath()
	switch {
	case answer == machine.Unknown:
		return unknown("it cannot be told whether "+parser+" is there", machine.ErrNotRecorded)
	case answer == machine.Absent:
		const tools = "install AppArmor's tools"
		const without = "; without AppArmor's protection the container starts with lxc.apparmor.profile = unconfined in "
		r := failed("LXC finds no "+parser+" for the container's generated profile", at)
		install, later, isKnown := f.installOf(func(d distribution) string { return d.apparmor })
		if !isKnown {
			return r.fixed(tools + without + item.File)
		}
		return r.fixed(tools+later+without+item.File, install)
	case len(inPath) > 0 && !slices.Contains(inPath, path.Dir(file)):
		return failed("LXC finds no "+parser+" for the container's generated profile: it is in "+path.Dir(file)+", and PATH does not lead there", at).
			fixed("add it to PATH, also in the profile of the login's shell", Command{Args: []string{"export", "PATH=" + strings.Join(append(slices.Clone(inPath), path.Dir(file)), ":")}, ByHand: true})
	}
	return ok("")
}

func checkConfigRootfs(f *Facts) Result {
	dir := f.rootfs()
	if !strings.HasPrefix(dir, "/") {
		return skip("the container's root file system is no directory")
	}
	st, err := f.usersFiles().Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed("the container's root file system is not there", Evidence{dir, "is not there"}).
			fixed("make the container again by lxc-create, as " + f.Subject.Name)
	case err != nil:
		return unknown("the container's root file system cannot be looked at", err)
	}
	maps, err := f.Config.IDMaps()
	if err != nil {
		return skip("see config-idmap")
	}
	var kinds []string
	for _, m := range maps {
		if m.Kind == 'u' && uint64(st.UID) >= m.Outside && uint64(st.UID) < m.Outside+m.Count {
			return ok("", Evidence{dir, ownerAndMode(st)})
		}
		kinds = append(kinds, "lxc.idmap = "+m.Item.Value)
	}
	return failed("the container's root file system belongs to "+strconv.Itoa(st.UID)+", which is none of the container's IDs",
		Evidence{dir, ownerAndMode(st)}, Evidence{"the configuration", strings.Join(kinds, ", ")}).
		fixed("make the container again by lxc-create, as " + f.Subject.Name + ", or give its files to the container's IDs")
}
