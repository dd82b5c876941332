package check

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// needed is a file of the machine that a line of a container's configuration names, and without
// which LXC does not start the container.
type needed struct {
	item lxcconf.Item
	what string // "its seccomp profile /x"
	file string
}

// hostHooks are the hooks that LXC runs with the machine's own files, before the container's
// init; where one fails the container does not start.
var hostHooks = []string{"lxc.hook.pre-start", "lxc.hook.pre-mount", "lxc.hook.mount", "lxc.hook.autodev", "lxc.hook.start-host"}

// makers are those of them after which a source of a mount may be there that was not.
var makers = hostHooks[:2]

// neededFiles returns the files that LXC reads, runs or mounts. Only absolute paths are looked
// at: what others are relative to is LXC's matter.
func (f *Facts) neededFiles() (all []needed) {
	add := func(item lxcconf.Item, what, file string) {
		if strings.HasPrefix(file, "/") {
			all = append(all, needed{item, what + " " + file, file})
		}
	}
	last := func(name, old string) lxcconf.Item {
		item, isSet := f.Config.Last(name)
		if !isSet {
			item, _ = f.Config.Last(old)
		}
		return item
	}
	// who has a filter already gets no other (seccomp.c, use_seccomp)
	if seccomp := f.statusLine("Seccomp"); seccomp == "0" {
		item := last("lxc.seccomp.profile", "lxc.seccomp")
		add(item, "its seccomp profile", item.Value)
	}
	item := last("lxc.mount.fstab", "lxc.mount")
	add(item, "its list of mounts", item.Value)
	for _, key := range hostHooks {
		for _, item := range f.listed(key) {
			program, _, _ := strings.Cut(item.Value, " ")
			if strings.Trim(program, plainNames+"/.") == "" { // and so one word to the shell
				add(item, "its hook", program)
			}
		}
	}
	if slices.ContainsFunc(makers, func(key string) bool { return len(f.listed(key)) > 0 }) {
		return all
	}
	for _, item := range f.listed("lxc.mount.entry") {
		if source, isBind := boundSource(item.Value); isBind {
			add(item, "what it mounts from", source)
		}
	}
	return all
}

// listed returns the items of a key that is a list: an empty one takes those before it away.
func (f *Facts) listed(key string) (items []lxcconf.Item) {
	for _, item := range f.Config.Items {
		switch {
		case item.Key != key:
		case item.Value == "":
			items = nil
		default:
			items = append(items, item)
		}
	}
	return items
}

// boundSource takes the source from a line of mounts (fstab(5)), if it is one that has to be
// there: of a bind mount that is neither optional nor relative to the container's root. Below
// /proc a path may be another process's.
func boundSource(line string) (source string, isBind bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return "", false
	}
	source = hierarchy.Unescape(fields[0])
	options := strings.Split(fields[3], ",")
	has := func(option string) bool { return slices.Contains(options, option) }
	return source, (has("bind") || has("rbind")) && !has("optional") && !has("relative") && !strings.HasPrefix(source, "/proc/")
}

// checkNeededFiles looks whether the files are there that the container's configuration names.
// Of those that a distribution's own files name, reports from before they were looked for do not
// tell it.
func (f *Facts) checkNeededFiles() Result {
	var lacking []string
	var evidence []Evidence
	var edits []Command
	r := ok("")
	isMount := false
	for _, n := range f.neededFiles() {
		answer := f.usersFiles().Find(n.file)
		if answer == machine.Absent && f.isBeforeAbsent() {
			answer = machine.Unknown
		}
		switch {
		case answer == machine.Unknown && n.item.File == f.Config.File && len(lacking) == 0:
			r = unknown("it cannot be told whether LXC finds "+n.what+", without which it does not start the container", f.unseen())
			r.Evidence = []Evidence{itemEvidence(n.item)}
		case answer == machine.Absent:
			lacking = append(lacking, n.what)
			evidence = append(evidence, itemEvidence(n.item))
			isMount = isMount || n.item.Key == "lxc.mount.entry"
			edits = withCommand(edits, f.editAny(n.item.File))
		}
	}
	if len(lacking) == 0 {
		return r
	}
	is, it, line := "is", "it", "line"
	if len(lacking) > 1 {
		is, it, line = "are", "them", "lines"
	}
	text := "make " + it + ", or correct the " + line
	if isMount {
		text += "; a mount with the option optional is left out where there is nothing to mount"
	}
	return failed("LXC does not start the container: "+Listed(lacking)+" "+is+" not there", evidence...).fixed(text, edits...)
}

// withCommand adds a command that is not there yet.
func withCommand(all []Command, c Command) []Command {
	if slices.ContainsFunc(all, func(have Command) bool { return slices.Equal(have.Args, c.Args) }) {
		return all
	}
	return append(all, c)
}
