package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// cause is why a controller is not in a session on cgroup v2: the first thing on the way
// from the kernel's command line to the session that keeps it.
type cause struct {
	says     string // of the controllers, which stand before it
	evidence Evidence
	fix      Fix
}

// lackingResult says why the session lacks controllers. One cause is said once, for all
// that it keeps.
func (f *Facts) lackingResult(lacking []string) Result {
	who := "the session"
	if f.ofManager() != nil {
		who = "systemd's user manager"
	}
	r := warning(who+" lacks "+strings.Join(lacking, " "), f.controllerEvidence()...)
	if f.unified() == nil { // a v2 that was asked for by name
		return r
	}
	var causes []cause
	kept := map[string][]string{}
	for _, controller := range lacking {
		c := f.causeOf(controller)
		if kept[c.says] == nil {
			causes = append(causes, c)
		}
		kept[c.says] = append(kept[c.says], controller)
	}
	for i, c := range causes {
		names := strings.Join(kept[c.says], " ")
		r.Evidence = append(r.Evidence, c.evidence)
		text := names + ": " + c.says
		if c.fix.Text != "" {
			text += "; " + c.fix.Text
		}
		if i == 0 {
			r.Says += ", because " + c.says
			r.Fix = &Fix{Text: c.fix.Text, Commands: c.fix.Commands}
			continue
		}
		r.Fix.Text += "; " + text
		r.Fix.Commands = append(r.Fix.Commands, c.fix.Commands...)
	}
	return r
}

// causeOf looks on the way from the kernel down to the session for what keeps a controller
// from it.
func (f *Facts) causeOf(controller string) cause {
	for _, look := range []func(string) *cause{f.turnedOff, f.onV1, f.notInKernel, f.keptByRealtime, f.notGivenOn} {
		if c := look(controller); c != nil {
			return *c
		}
	}
	return cause{
		says:     "nobody has given it on",
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
	for _, word := range words {
		value, isDisable := strings.CutPrefix(word, "cgroup_disable=")
		if isDisable && slices.Contains(strings.Split(value, ","), controller) {
			take := "take " + word + " off the kernel's command line"
			if f.isPi(words) { // only its kernels know the word by which it is on again
				take += ", or where the firmware adds it, add cgroup_enable=" + value
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
			says: "the kernel has it turned off", evidence: Evidence{"/proc/cgroups", controller + " is off"},
			fix: f.commandLineFix("add cgroup_enable="+controller+" to the kernel's command line", words),
		}
	}
	return nil
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
			text += ", make the boot loader's configuration of it (update-grub, or grub-mkconfig)"
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
			change = "take " + option + "=0 off the kernel's command line"
		}
		fix := f.commandLineFix(change, words)
		return &Fix{Text: text + ": " + fix.Text, Commands: fix.Commands}
	}
	for _, init := range cgroupInits {
		if data, err := f.Machine.ReadFile(init.file); err == nil && strings.Contains(string(data), init.word) {
			return &Fix{Text: text + ": write " + init.line + " in " + init.file, Commands: []Command{byHand(f.editor(), init.file)}}
		}
	}
	return &Fix{Text: text + ": have this machine's init mount it in place of cgroup v1"}
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
		if !h.IsUnified() && slices.Contains(h.Controllers, controller) {
			return &cause{
				says: "cgroup v1 has it", evidence: Evidence{"/proc/self/mountinfo", h.Mount.Point + " " + h.Name},
				fix: Fix{Text: "ask for it there, by -c, or start the machine with cgroup v2 alone"},
			}
		}
	}
	return nil
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
			says: "this container has not been given it", evidence: Evidence{file, strings.Join(has, " ")},
			fix: Fix{Text: "outside, start this container from a login, or with a manager, that gives it on"},
		}
	}
	if number := f.boundTo(controller); number != "" {
		return f.boundElsewhere(controller, number)
	}
	return &cause{
		says: "this kernel does not have it for cgroup v2", evidence: Evidence{file, strings.Join(has, " ")},
		fix: *f.kernelFix(),
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
		says:     "cgroup v1 has it, in a hierarchy that is not mounted here",
		evidence: Evidence{"/proc/cgroups", controller + " is in hierarchy " + number},
		fix:      Fix{Text: "take away what mounts it as cgroup v1, and start the machine again"},
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

// keptByRealtime leaves cpu to the check realtime, if that finds its cause.
func (f *Facts) keptByRealtime(controller string) *cause {
	if controller != "cpu" {
		return nil
	}
	evidence := f.realtimeOutside()
	if len(evidence) == 0 {
		return nil
	}
	return &cause{
		says: "there are realtime processes outside of the root cgroup", evidence: evidence[0],
		fix: Fix{Text: "see the check realtime"},
	}
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
					says: child + " is threaded, and beside such a cgroup none gets it", evidence: Evidence{child + "/cgroup.type", f.readWord(child + "/cgroup.type")},
					fix: Fix{Text: "end all that runs in it, and log in again"},
				}
			}
			if c := f.keptByDelegate(controller, at); c != nil {
				return c
			}
			return &cause{
				says: at + " does not give it on", evidence: Evidence{file, strings.Join(f.readWords(file), " ")},
				fix: f.giveOnFix(controller, at),
			}
		}
		at = path.Join(at, name)
	}
	return nil
}

// keptByDelegate is for a drop-in whose Delegate= does not name the controller; nil if the one
// that counts does, or there is none. What is above the scope follows from that.
func (f *Facts) keptByDelegate(controller, at string) *cause {
	if !f.hasSystemd() || f.ofManager() != nil {
		return nil
	}
	file, line, isOn := f.delegateLine()
	value := strings.TrimPrefix(line, "Delegate=")
	if !isOn || isYes(value) || slices.Contains(strings.Fields(value), controller) {
		return nil
	}
	return &cause{says: file + " does not name it in Delegate=", evidence: Evidence{file, line}, fix: f.giveOnFix(controller, at)}
}

// isYes tells whether a value of systemd's is one of its words for yes.
func isYes(value string) bool {
	return slices.Contains([]string{"yes", "y", "true", "t", "on", "1"}, strings.ToLower(strings.TrimSpace(value)))
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
			Text:     "enable it there (and log in again)",
			Commands: []Command{asRoot("sh", "-c", "echo +"+strings.Join(f.keptAt(controller, at), " +")+" >"+at+"/cgroup.subtree_control")},
		}
	}
	if l := f.ofManager(); l != nil {
		text, commands := f.delegateMore(l, notIn(strings.Join(f.readControllers(l), " "), controller))
		return Fix{Text: text, Commands: commands}
	}
	if !f.hasSystemd() {
		return Fix{Text: "look whether processes are in " + at + " itself, move them to a leaf, and log in again"}
	}
	file, line, isOn := f.delegateLine()
	value := strings.TrimPrefix(line, "Delegate=")
	if !isOn || slices.Contains(strings.Fields(value), controller) || isYes(value) {
		return Fix{
			Text:     "have systemd look again what units need, and log in again",
			Commands: []Command{asRoot("systemctl", "daemon-reload")},
		}
	}
	return Fix{
		Text:     fmt.Sprintf("add %s to Delegate= in %s and log in again", strings.Join(notIn(value, controller), " "), file),
		Commands: []Command{byHand(f.editor(), file), asRoot("systemctl", "daemon-reload")},
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
