package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
)

// Since when LXC does what with lxc.cgroup.use.
var (
	// it leaves out a v1 hierarchy that has a controller which is not named
	// (github.com/lxc/lxc/issues/2447; stable-3.0 has it since the pull request 2944)
	useSkipsSince = []int{3, 0, 4}
	// it looks at cgroup v2 alone (controllers_available of cgfsng.c, in place of a "TODO" of
	// cg_unified_init): LXC 4.0.6 does not, 4.0.10 does, and the change of 2021 came in between
	useOnV2Since = []int{4, 0, 7}
	// it needs no freezer any more (github.com/lxc/lxc/pull/2732)
	freezerUntil = []int{3, 0, 4}
)

// isLXC tells whether LXC's version is that or a later one. One that is not known is the
// newest.
func (f *Facts) isLXC(since []int) bool {
	version := versionNumbers(f.System.Version("lxc"))
	return len(version) == 0 || slices.Compare(version, since) >= 0
}

// lxcConf is the user's lxc.conf; root of a user namespace is root to LXC.
func (f *Facts) lxcConf() string {
	if f.Subject.UID == 0 {
		return "/etc/lxc/lxc.conf"
	}
	return f.Subject.Home + "/.config/lxc/lxc.conf"
}

// cgroupUse returns what the lxc.conf demands, if this LXC looks at it here.
func (f *Facts) cgroupUse() (names []string) {
	names, _, _ = lxcconf.CgroupUse(f.usersFiles(), f.lxcConf())
	if f.isUnified() && !f.isLXC(useOnV2Since) {
		return nil
	}
	return names
}

// usedByLXC returns what LXC finds in the hierarchies that it may write, and what in those
// of these that it leaves out, because of a controller that is not named in use.
func (f *Facts) usedByLXC(use []string) (usable, skipped []string) {
	for i := range f.locations {
		l := &f.locations[i]
		if !l.delegated() || len(l.Controllers) == 0 {
			continue
		}
		isNamed := func(c string) bool { return slices.Contains(use, c) }
		all := !slices.ContainsFunc(l.Controllers, func(c string) bool { return !isNamed(c) })
		if len(use) > 0 && !l.IsUnified() && !all && f.isLXC(useSkipsSince) {
			skipped = append(skipped, l.Controllers...)
			continue
		}
		usable = append(usable, f.seenByLXC(l)...)
	}
	return usable, skipped
}

// checkCgroupUse looks whether LXC finds what lxc.cgroup.use names.
func (f *Facts) checkCgroupUse(evidence []Evidence) Result {
	use := f.cgroupUse()
	usable, skipped := f.usedByLXC(use)
	lacking := slices.DeleteFunc(slices.Clone(use), func(want string) bool { return slices.Contains(usable, want) })
	if len(lacking) == 0 {
		return f.ignoredUse()
	}
	_, at, _ := lxcconf.CgroupUse(f.usersFiles(), f.lxcConf())
	if better := f.betterUse(use, usable, skipped); better != nil {
		r := failed("LXC refuses to start containers: "+whyLacking(lacking), itemEvidence(at))
		return r.fixed("write lxc.cgroup.use = "+strings.Join(better, ",")+", or remove the line lxc.cgroup.use", f.edit(at.File))
	}
	is := "is"
	if len(lacking) > 1 {
		is = "are"
	}
	r := failed("LXC refuses to start containers: lxc.cgroup.use names "+strings.Join(lacking, ",")+", which "+is+" not delegated", append([]Evidence{itemEvidence(at)}, evidence...)...)
	without, text := f.useWithout(use, lacking, at)
	isElse := func(name string) bool { return f.unified() == nil || f.notListed(name) == nil }
	switch {
	case f.openFix(lacking...) != nil:
		r = r.fixedWith(f, lacking, "or "+text)
		r.Fix.Commands = append(r.Fix.Commands, or(without)...)
		return r
	case !slices.ContainsFunc(lacking, isElse):
		says, seen, fix := causesOf(lacking, f.causeOf)
		r.Says, r.Evidence = r.Says+says, append(r.Evidence, seen...)
		return r.fixed(fix.Text+"; or "+text, append(fix.Commands, or(without)...)...)
	}
	return r.fixed(text, without)
}

// useWithout has lxc.cgroup.use demand only what LXC finds; nothing, if that is nothing.
func (f *Facts) useWithout(use, lacking []string, at lxcconf.Item) (edit Command, text string) {
	left := slices.DeleteFunc(slices.Clone(use), func(name string) bool { return slices.Contains(lacking, name) })
	edit = f.edit(at.File)
	if len(left) == 0 {
		edit.Args = []string{"sed", "-i", fmt.Sprintf("%dd", at.Line), at.File}
		return edit, "remove the line lxc.cgroup.use from " + at.File
	}
	if names := strings.Join(left, ","); strings.Trim(names, plainNames+",=.") == "" {
		edit.Args = []string{"sed", "-i", fmt.Sprintf("%ds/=.*/= %s/", at.Line, names), at.File}
	}
	return edit, "write lxc.cgroup.use = " + strings.Join(left, ",") + " in " + at.File
}

// whyLacking says why LXC does not find what is there: a blank beside a name is a part of
// it, and a v1 hierarchy counts only if all of its controllers are named.
func whyLacking(lacking []string) string {
	for _, name := range lacking {
		if strings.TrimSpace(name) != name {
			return "it takes the blank in lxc.cgroup.use for a part of the name, and finds no controller \"" + name + "\""
		}
	}
	return "it leaves out hierarchies of which lxc.cgroup.use does not name every controller, and so finds no " + strings.Join(lacking, ",")
}

// betterUse returns the names as LXC would find all of them: without blanks, and with all
// that are in one hierarchy with them. It is nil if some are nowhere.
func (f *Facts) betterUse(use, usable, skipped []string) (names []string) {
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range use {
		name = strings.TrimSpace(name)
		switch {
		case slices.Contains(usable, name):
			add(name)
		case slices.Contains(skipped, name):
			for _, c := range f.besides(name) {
				add(c)
			}
		default:
			return nil
		}
	}
	return names
}

// besides returns the controllers of the v1 hierarchy that has this one.
func (f *Facts) besides(controller string) []string {
	for i := range f.locations {
		if l := &f.locations[i]; !l.IsUnified() && slices.Contains(l.Controllers, controller) {
			return l.Controllers
		}
	}
	return nil
}

// ignoredUse is the result for a lxc.cgroup.use that this LXC does not look at on cgroup v2,
// and a later one would refuse.
func (f *Facts) ignoredUse() Result {
	use, at, found := lxcconf.CgroupUse(f.usersFiles(), f.lxcConf())
	usable, _ := f.usedByLXC(nil)
	isLacking := slices.ContainsFunc(use, func(want string) bool { return !slices.Contains(usable, want) })
	if !found || !isLacking || !f.isUnified() || f.isLXC(useOnV2Since) {
		return ok("")
	}
	r := note("LXC " + f.System.Version("lxc") + " does not look at lxc.cgroup.use on cgroup v2; LXC 4.0.7 and later refuse to start containers without all that it names")
	r.Evidence = []Evidence{itemEvidence(at)}
	return r
}

// checkFreezer looks for the controller without which old versions of LXC start nothing on
// cgroup v1.
func (f *Facts) checkFreezer(evidence []Evidence) Result {
	const freezer = "freezer"
	if !f.lacksFreezer() {
		return ok("")
	}
	return failed("LXC "+f.System.Version("lxc")+" refuses to start containers where the controller freezer is not delegated", evidence...).
		fixedWith(f, []string{freezer}, "")
}

// lacksFreezer tells whether LXC is such an old one, and has no freezer.
func (f *Facts) lacksFreezer() bool {
	needs := f.isLXC([]int{3}) && !f.isLXC(freezerUntil) && !f.isUnified()
	usable, _ := f.usedByLXC(nil)
	return needs && !slices.Contains(usable, "freezer")
}
