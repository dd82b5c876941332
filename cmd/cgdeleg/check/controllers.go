package check

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// cause is why a controller is not in a session on cgroup v2: the first thing on the way
// from the kernel's command line to the session that keeps it. {it} in its texts stands for
// the controllers that it keeps, which were named before, and {list} for their names.
type cause struct {
	says     string
	evidence Evidence
	fix      Fix
}

// of returns a text of a cause's for the controllers that it keeps.
func (c *cause) of(text string, kept []string) string {
	it := "it"
	if len(kept) > 1 {
		it = "them"
	}
	return strings.NewReplacer("{it}", it, "{list}", strings.Join(kept, ",")).Replace(text)
}

// lacks is a warning that somebody lacks controllers.
func lacks(who string, lacking []string, causeOf func(controller string) cause, evidence ...Evidence) Result {
	says, seen, fix := causesOf(lacking, causeOf)
	return warning(who+" lacks "+Controllers(lacking)+says, append(evidence, seen...)...).fixed(fix.Text, fix.Commands...)
}

// causesOf says why these controllers are lacking, each with its own cause, behind a text that
// names them. One cause is said once, for all that it keeps.
func causesOf(lacking []string, causeOf func(controller string) cause) (says string, evidence []Evidence, fix Fix) {
	var causes []cause
	kept := map[string][]string{}
	for _, controller := range lacking {
		c := causeOf(controller)
		if kept[c.says] == nil {
			causes = append(causes, c)
		}
		kept[c.says] = append(kept[c.says], controller)
	}
	var reasons, texts []string
	var commands []Command
	for _, c := range causes {
		names := kept[c.says]
		reason, text := "because "+c.of(c.says, names), c.of(c.fix.Text, names)
		if len(causes) > 1 {
			reason, text = Listed(names)+", "+reason, Listed(names)+": "+text
		}
		reasons, texts, evidence = append(reasons, reason), append(texts, text), append(evidence, c.evidence)
		for _, command := range c.fix.Commands {
			if !slices.ContainsFunc(commands, func(have Command) bool { return slices.Equal(have.Args, command.Args) }) {
				commands = append(commands, command)
			}
		}
	}
	says = ", " + reasons[0]
	if len(causes) > 1 {
		says = ": " + strings.Join(reasons, "; ")
	}
	fix.Text, fix.Commands = strings.Join(texts, "; "), commands
	return says, evidence, fix
}

// lackingResult says why the session lacks controllers.
func (f *Facts) lackingResult(lacking []string) Result {
	who := "the session"
	if f.ofManager() != nil {
		who = "systemd's user manager"
	}
	if f.unified() == nil { // a v2 that was asked for by name
		return warning(who+" lacks "+Controllers(lacking), f.controllerEvidence()...)
	}
	return lacks(who, lacking, f.causeOf, f.controllerEvidence()...)
}

// causeOf looks on the way from the kernel down to the session for what keeps a controller
// from it.
func (f *Facts) causeOf(controller string) cause {
	for _, look := range []func(string) *cause{f.turnedOff, f.onV1, f.notInKernel, f.disabledByUnit, f.notListed, f.notGivenOn} {
		if c := look(controller); c != nil {
			return *c
		}
	}
	return cause{
		says:     "neither the machine's init nor the module has enabled {it} in the cgroups above the session",
		evidence: Evidence{f.unified().Mount.Point + "/cgroup.subtree_control", strings.Join(f.readWords(f.unified().Mount.Point+"/cgroup.subtree_control"), " ")},
		fix:      Fix{Text: "log in again, and look in the system's log for pam_cgdeleg"},
	}
}

// turnedOff is for cgroup_disable= on the kernel's command line, which a Raspberry Pi's
// firmware adds for memory. /proc/cgroups then says 0, or nothing of it (Linux 6.12).
func (f *Facts) turnedOff(controller string) *cause {
	if slices.Contains(f.readWords(f.unified().Mount.Point+"/cgroup.controllers"), controller) {
		return nil // and on again
	}
	return f.turnedOffBy(controller, f.readWords("/proc/cmdline"))
}

// turnedOffBy is turnedOff by the kernel's command line, and by /proc/cgroups.
func (f *Facts) turnedOffBy(controller string, words []string) *cause {
	for i, word := range words {
		value, isDisable := strings.CutPrefix(word, "cgroup_disable=")
		if isDisable && slices.Contains(strings.Split(value, ","), controller) {
			take := "remove " + word + " from the kernel's command line"
			if at := slices.IndexFunc(words, func(w string) bool { return enables(w, controller) }); at >= 0 {
				return turnedOffAgain(word, words[at], at < i, take)
			}
			if f.isPi(words) { // only its kernels know the word by which it is on again
				take += ", or where the Raspberry Pi's firmware adds that, add cgroup_enable=" + value
			}
			return &cause{
				says: "the kernel's command line has " + word, evidence: Evidence{"/proc/cmdline", word},
				fix: f.commandLineFix(take, words),
			}
		}
	}
	if slices.Contains(f.disabledControllers(), controller) {
		// Linux turns nothing off by itself: this is a kernel with the other word as well.
		return &cause{
			says: "the kernel has turned {it} off", evidence: Evidence{"/proc/cgroups", controller + " is off"},
			fix: f.commandLineFix("add cgroup_enable={list} to the kernel's command line", words),
		}
	}
	return nil
}

// enables tells whether a word of the kernel's command line is to turn a controller on again.
func enables(word, controller string) bool {
	value, isEnable := strings.CutPrefix(word, "cgroup_enable=")
	return isEnable && slices.Contains(strings.Split(value, ","), controller)
}

// turnedOffAgain is for a controller that the command line turns off, and on by a word that has
// done nothing. The Raspberry Pi's kernel has that word, and takes the two in their order; the
// others do not know it.
func turnedOffAgain(off, on string, isBefore bool, take string) *cause {
	c := &cause{says: "the kernel's command line has " + off}
	const files = " (on a Raspberry Pi: in cmdline.txt, or in the device tree)"
	if isBefore {
		c.evidence = Evidence{"/proc/cmdline", off + ", behind " + on + ", which it undoes"}
		c.fix = Fix{Text: take + files + ", or move it in front of " + on + ", and start the machine again"}
		return c
	}
	c.evidence = Evidence{"/proc/cmdline", off + ", and " + on + ", which has not turned it on again"}
	c.fix = Fix{Text: take + files + ", or take a kernel that knows cgroup_enable=, and start the machine again"}
	return c
}

// isPi tells whether it is a Raspberry Pi, by the words of its kernel's command line and by
// the files of its firmware.
func (f *Facts) isPi(words []string) bool {
	isMark := func(word string) bool {
		return strings.HasPrefix(word, "coherent_pool=") || strings.HasPrefix(word, "bcm2708") || strings.HasPrefix(word, "bcm2709") ||
			strings.HasPrefix(word, "snd_bcm2835") || strings.HasPrefix(word, "vc_mem.") || strings.HasPrefix(word, "cgroup_enable=")
	}
	return f.isLike("raspbian") || slices.ContainsFunc(words, isMark) ||
		f.Machine.Exists("/boot/firmware/config.txt") || f.Machine.Exists("/boot/config.txt")
}

// grubFile is what GRUB's configuration is made of.
const grubFile = "/etc/default/grub"

// commandLineFiles are where the kernel's command line stands.
var commandLineFiles = []string{"/boot/firmware/cmdline.txt", "/boot/cmdline.txt", "/etc/kernel/cmdline", grubFile, "/boot/extlinux/extlinux.conf"}

// commandLineFix names the file with the kernel's command line, if it is seen, and edits it.
// That of a container's kernel stands outside.
func (f *Facts) commandLineFix(text string, words []string) Fix {
	if f.isContainer() {
		return Fix{Text: "outside, on the machine, " + text + ", and start the machine again"}
	}
	for _, file := range commandLineFiles {
		if f.Machine.Find(file) != machine.Found {
			continue
		}
		text += ", in " + file
		if file == grubFile { // which the boot loader does not read
			text += ", make the boot loader's configuration from it (update-grub, or grub-mkconfig)"
		}
		return Fix{Text: text + ", and start the machine again", Commands: []Command{byHand(f.editor(), file)}}
	}
	if f.isPi(words) {
		return Fix{Text: text + ", in cmdline.txt on the boot partition, and start the machine again"}
	}
	return Fix{Text: text + ", in the boot loader's configuration, and start the machine again"}
}

// isContainer tells whether the machine is seen from inside of a container, as far as that
// shows: by its user namespace, by the root of cgroup v2, by what Docker leaves there, or by
// the file in which systemd notes the kind of container.
func (f *Facts) isContainer() bool {
	h := f.set.ByName(hierarchy.Unified)
	return f.inUserNamespace() || f.inDocker() || f.Machine.Exists("/run/systemd/container") ||
		h != nil && f.Machine.Exists(h.Mount.Point+"/cgroup.type")
}

// unifiedFix has the machine start with cgroup v2 alone: what mounts cgroups is systemd, by
// the kernel's command line, or else the init's own scripts.
func (f *Facts) unifiedFix() *Fix {
	const text = "start the machine with cgroup v2"
	switch {
	case f.isContainer():
		return &Fix{Text: "outside, " + text}
	case f.hasSystemd():
		const option = "systemd.unified_cgroup_hierarchy"
		words := f.readWords("/proc/cmdline")
		change := "add " + option + "=1 to the kernel's command line"
		if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, option+"=") }) {
			change = "remove " + option + "=0 from the kernel's command line"
		}
		fix := f.commandLineFix(change, words)
		return &Fix{Text: text + ": " + fix.Text, Commands: fix.Commands}
	}
	for _, init := range cgroupInits {
		if data, err := f.Machine.ReadFile(init.file); err == nil && strings.Contains(string(data), init.word) {
			return &Fix{Text: text + ": write " + init.line + " in " + init.file, Commands: []Command{byHand(f.editor(), init.file)}}
		}
	}
	return &Fix{Text: text + ": have this machine's init mount cgroup v2 in place of cgroup v1"}
}

// cgroupInits are files by which scripts of an init mount cgroups, and the line for v2
// alone: OpenRC's (rc.conf, cgroups.in) and those of Void's runit (void-runit, 00-pseudofs.sh).
var cgroupInits = []struct{ file, word, line string }{
	{"/etc/rc.conf", "rc_cgroup_mode", `rc_cgroup_mode="unified"`},
	{"/etc/rc.conf", "CGROUP_MODE", "CGROUP_MODE=unified"},
}

// onV1 is for a controller that a mounted hierarchy of v1 has taken.
func (f *Facts) onV1(controller string) *cause {
	for _, h := range f.found {
		if f.isStray(h) && slices.Contains(h.Controllers, controller) {
			return f.strayCause(h)
		}
		if !h.IsUnified() && slices.Contains(h.Controllers, controller) {
			return &cause{
				says: "cgroup v1 has {it}", evidence: Evidence{"/proc/self/mountinfo", h.Mount.Point + " " + h.Name},
				fix: Fix{Text: "name {list} after -c on the module's line, so that the session has {it} on cgroup v1; or start the machine with cgroup v2 alone"},
			}
		}
	}
	return nil
}

// strayCause is for a v1 hierarchy that nobody uses for containers. The kernel gives its
// controllers back once it is unmounted and has no cgroups (cgroups(7)).
func (f *Facts) strayCause(h *hierarchy.Hierarchy) *cause {
	c := &cause{
		says:     "cgroup v1 has {it}, mounted on " + h.Mount.Point + ", where no program looks that starts containers",
		evidence: Evidence{"/proc/self/mountinfo", h.Mount.Point + " " + h.Name},
		fix: Fix{
			Text:     "unmount that, and remove what mounts it; then log in again (if cgroup v2 does not get {it}, cgroups are left in that hierarchy: start the machine again)",
			Commands: []Command{asRoot("umount", h.Mount.Point)},
		},
	}
	if f.nobodyMounts() {
		c.fix = Fix{Text: "outside, remove what mounts it in this container"}
	}
	return c
}

// notListed is for a list after -c on the module's line: on cgroup v2 the module enables what that
// names and no more (hierarchy.Select), such as memory alone by the list that Debian's pam_cgfs
// has for v1. In systemd's scopes it is Delegate= that counts.
func (f *Facts) notListed(controller string) *cause {
	if f.login.module == nil || f.login.asked.All || f.hasSystemd() || slices.Contains(f.login.asked.Names, controller) {
		return nil
	}
	i := slices.IndexFunc(f.plan.Steps, func(s plan.Step) bool { return s.IsUnified() })
	if i < 0 || slices.Contains(f.plan.Steps[i].Enable, controller) {
		return nil
	}
	at := f.moduleLine()[0]
	return &cause{says: "the list after -c in " + at.Path + " does not name {it}", evidence: at, fix: f.listFix()}
}

// listFix has the module enable what its list keeps.
func (f *Facts) listFix() Fix {
	line := f.login.module
	then := fmt.Sprintf(" line %d of %s, and log in again: the module enables {it} for the new session", line.Number, line.File) + f.olderSessions()
	if !f.isUnified() { // all of v1 comes by leaving it out
		return Fix{Text: "name {list} after -c too in" + then, Commands: []Command{byHand(f.editor(), line.File)}}
	}
	return Fix{Text: "leave -c and its list out of" + then, Commands: []Command{f.removeList()}}
}

// removeList takes -c and its list out of the module's line.
func (f *Facts) removeList() Command {
	line := f.login.module
	words := strings.Join(line.Args, " ")
	_, list, _ := strings.Cut(words, "-c")
	list, _, _ = strings.Cut(strings.TrimLeft(list, " "), " ")
	option := regexp.MustCompile(`[ \t]+-c[ \t]*` + regexp.QuoteMeta(list) + `([ \t]|$)`)
	isPlain := list != "" && strings.Count(words, "-c") == 1 && strings.Trim(list, plainNames+",=.") == ""
	if data, err := f.Machine.ReadFile(line.File); err != nil || !isPlain || !option.MatchString(nthLine(string(data), line.Number)) {
		return byHand(f.editor(), line.File) // it may be continued in the next line
	}
	return byHand("sh", "-c", sedInPlace(fmt.Sprintf(`%ds/[[:blank:]]*-c[[:blank:]]*%s//`, line.Number, sedQuoted.Replace(list)), line.File))
}

// nthLine returns the line of that number.
func nthLine(text string, number int) string {
	if lines := strings.Split(text, "\n"); number <= len(lines) {
		return lines[number-1]
	}
	return ""
}

// olderSessions says what becomes of the user's other sessions when the next login has a
// controller enabled in user/NAME.
func (f *Facts) olderSessions() string {
	return " (the older sessions of " + f.Subject.Name + " then have files that belong to root, and LXC starts no container in them any more)"
}

// notInKernel is for a controller that not even the machine's root has.
func (f *Facts) notInKernel(controller string) *cause {
	h := f.unified()
	file := h.Mount.Point + "/cgroup.controllers"
	has := f.readWords(file)
	isRoot := f.isRootCgroup(h.Mount.Point)
	if has == nil || slices.Contains(has, controller) {
		return nil
	}
	if !isRoot {
		return &cause{
			says: "this container has not been given {it}", evidence: Evidence{file, strings.Join(has, " ")},
			fix: Fix{Text: "outside, start this container from a login, or with a manager, that delegates {list}"},
		}
	}
	if number := f.boundTo(controller); number != "" {
		return f.boundElsewhere(controller, number)
	}
	return &cause{
		says: "this kernel does not have {it} for cgroup v2", evidence: Evidence{file, strings.Join(has, " ")},
		fix: *f.kernelFix("{list} for cgroup v2"),
	}
}

// boundTo returns the number of the v1 hierarchy in which a controller is, mounted or not;
// "" if it is in none, or that is not known (cgroups(7), /proc/cgroups: 0 is cgroup v2, or
// none).
func (f *Facts) boundTo(controller string) string {
	data, _ := f.Machine.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == controller && fields[1] != "0" {
			return fields[1]
		}
	}
	return ""
}

// boundElsewhere is for a controller in a v1 hierarchy that is not mounted here. It stays
// there as long as that is mounted anywhere, or has cgroups.
func (f *Facts) boundElsewhere(controller, number string) *cause {
	c := &cause{
		says:     "cgroup v1 has {it}, in a hierarchy that is not mounted here",
		evidence: Evidence{"/proc/cgroups", controller + " is in hierarchy " + number},
		fix:      Fix{Text: "remove what mounts {list} as cgroup v1, and start the machine again"},
	}
	if f.isContainer() {
		c.fix.Text = "outside, on the machine, " + c.fix.Text
	}
	return c
}

// isRootCgroup tells whether a v2 cgroup is the machine's root, which alone has no type
// (Documentation/admin-guide/cgroup-v2.rst).
func (f *Facts) isRootCgroup(dir string) bool {
	return f.Machine.Find(dir+"/cgroup.type") == machine.Absent
}

// isKeptByRealtime tells whether cpu is lacking for what the check realtime finds, and for
// nothing that comes before it on the way.
func (f *Facts) isKeptByRealtime(controller string) bool {
	return controller == "cpu" && f.unified() != nil && f.turnedOff(controller) == nil && f.onV1(controller) == nil && f.notInKernel(controller) == nil &&
		checkRealtime(f).Status == Warning
}

// notGivenOn is for the first cgroup above the session that has a controller and does not
// give it on.
func (f *Facts) notGivenOn(controller string) *cause {
	h := f.unified()
	l := f.placeOn(h)
	if l == nil || l.err != nil {
		return nil
	}
	at := h.Mount.Point
	steps := strings.Split(strings.Trim(l.base, "/"), "/")
	for _, name := range steps {
		if file := at + "/cgroup.subtree_control"; !slices.Contains(f.readWords(file), controller) {
			if child := f.threadedIn(at); child != "" && !slices.Contains(ofThreads, controller) {
				return &cause{
					says: child + " is threaded, and beside a threaded cgroup no other gets {it}", evidence: Evidence{child + "/cgroup.type", f.readWord(child + "/cgroup.type")},
					fix: Fix{Text: "end all that runs in " + child + ", and log in again"},
				}
			}
			if c := f.keptByDelegate(controller, at); c != nil {
				return c
			}
			return &cause{
				says: at + " does not enable {it} in cgroup.subtree_control", evidence: Evidence{file, strings.Join(f.readWords(file), " ")},
				fix: f.giveOnFix(controller, at),
			}
		}
		at = path.Join(at, name)
	}
	return nil
}

// keptByDelegate is for a unit whose Delegate= does not name the controller; nil if it does,
// or there is none. What is above the unit's cgroup follows from that.
func (f *Facts) keptByDelegate(controller, at string) *cause {
	if !f.hasSystemd() {
		return nil
	}
	d := f.ofScopes()
	if f.ofManager() != nil {
		d = f.ofUserManager()
	}
	if !d.isOn || d.has(controller) {
		return nil
	}
	file, evidence := d.last.file, d.last.evidence(d.line())
	words := strings.FieldsFunc(d.last.value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if slices.Contains(words, controller) { // of the words with a comma systemd knows none (config_parse_delegate)
		return &cause{
			says: file + " has commas between the names in Delegate=, and systemd takes blanks", evidence: evidence,
			fix: Fix{
				Text:     "write Delegate=" + strings.Join(words, " ") + " in " + file + ", have systemd read that, and log in again",
				Commands: []Command{byHand("sed", "-i", "/^[[:blank:]]*Delegate[[:blank:]]*=/s/[[:blank:]]*,[[:blank:]]*/ /g", file), asRoot("systemctl", "daemon-reload")},
			},
		}
	}
	return &cause{says: file + " does not name {it} in Delegate=", evidence: evidence, fix: f.giveOnFix(controller, at)}
}

// ofThreads are the controllers that a cgroup gives on also where a child is threaded
// (Documentation/admin-guide/cgroup-v2.rst, "Threads").
var ofThreads = []string{"cpu", "cpuset", "perf_event", "pids"}

// threadedIn returns a child of a cgroup that is threaded; "" if none is.
func (f *Facts) threadedIn(at string) string {
	names, _ := f.Machine.ReadDir(at)
	for _, name := range names {
		child := path.Join(at, name)
		if f.isThreaded(child) {
			return child
		}
	}
	return ""
}

func (f *Facts) isThreaded(cgroup string) bool {
	return strings.HasPrefix(f.readWord(cgroup+"/cgroup.type"), "threaded")
}

// giveOnFix has a cgroup give a controller on: what systemd manages by Delegate=, the rest
// by the next login.
func (f *Facts) giveOnFix(controller, at string) Fix {
	if !f.hasSystemd() && f.isRootCgroup(at) {
		return Fix{
			Text:     "enable {list} in " + at + "/cgroup.subtree_control, and log in again",
			Commands: []Command{asRoot("sh", "-c", "echo +"+strings.Join(f.keptAt(controller, at), " +")+" >"+at+"/cgroup.subtree_control")},
		}
	}
	if l := f.ofManager(); l != nil {
		text, commands := f.delegateMore(l, notIn(strings.Join(f.readControllers(l), " "), controller))
		return Fix{Text: text, Commands: commands}
	}
	if dirs := f.cgroupsBelow(at); !f.hasSystemd() && len(dirs) > 0 {
		return f.giveOnAbove(controller, at, dirs)
	}
	if !f.hasSystemd() {
		return Fix{Text: "move the processes that are in " + at + " itself to a leaf, and log in again"}
	}
	d := f.ofScopes()
	if !d.isOn || d.has(controller) {
		return Fix{
			Text:     "have systemd enable again what its units need (daemon-reload), and log in again",
			Commands: []Command{asRoot("systemctl", "daemon-reload")},
		}
	}
	return Fix{
		Text:     fmt.Sprintf("add %s to Delegate= in %s and log in again", strings.Join(notIn(strings.Join(d.names, " "), controller), " "), d.last.file),
		Commands: []Command{byHand(f.editor(), d.last.file), asRoot("systemctl", "daemon-reload")},
	}
}

// giveOnAbove has the cgroups above the user's own give a controller on. In user/NAME the next
// login does that: it brings files of the controller into every session there, and those of
// the sessions that live belong to root.
func (f *Facts) giveOnAbove(controller, at string, dirs []string) Fix {
	l := f.placeOn(f.unified())
	if !isSessionPath("/" + strings.TrimPrefix(l.base, "/")) {
		return Fix{Text: "have whoever made the cgroup " + l.path() + " give it {list}"}
	}
	fix := Fix{Text: "log in again: the module enables {it} for the new session"}
	above := dirs[:len(dirs)-1]
	for _, dir := range above {
		fix.Commands = append(fix.Commands, asRoot("sh", "-c", "echo +"+strings.Join(f.keptAt(controller, at), " +")+" >"+quote(dir+"/cgroup.subtree_control")))
	}
	switch len(above) {
	case 0:
	case 1:
		fix.Text = "enable {it} there, and " + fix.Text
	default:
		fix.Text = "enable {it} there and in the cgroups below, down to " + above[len(above)-1] + ", and " + fix.Text
	}
	fix.Text += f.olderSessions()
	return fix
}

// cgroupsBelow returns a cgroup and those below it on the way to the session, if each of them is
// known to have no processes of its own: such a one can give its children no controllers.
func (f *Facts) cgroupsBelow(at string) (dirs []string) {
	h := f.unified()
	l := f.placeOn(h)
	if l == nil || l.err != nil {
		return nil
	}
	for dir := path.Dir(l.path()); ; dir = path.Dir(dir) {
		procs, err := f.Machine.ReadFile(dir + "/cgroup.procs")
		if err != nil || len(procs) > 0 || !strings.HasPrefix(dir, at) {
			return nil
		}
		dirs = append(dirs, dir)
		if dir == at {
			slices.Reverse(dirs)
			return dirs
		}
	}
}

// keptAt returns what containers need of that a cgroup has and does not give on, this
// controller among it.
func (f *Facts) keptAt(controller, at string) []string {
	has := f.readWords(at + "/cgroup.controllers")
	kept := notIn(strings.Join(f.readWords(at+"/cgroup.subtree_control"), " "), controller)
	return slices.DeleteFunc(kept, func(c string) bool { return c != controller && !slices.Contains(has, c) })
}

// notIn returns what containers need, this controller among it, and is not in a list: one
// that is lacking for another reason too would be kept here as soon as that is gone.
func notIn(list, controller string) (missing []string) {
	for _, c := range expected {
		if c == controller || !slices.Contains(strings.Fields(list), c) {
			missing = append(missing, c)
		}
	}
	if !slices.Contains(missing, controller) {
		missing = append(missing, controller)
	}
	return missing
}
