package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// apparmorDir has AppArmor's profiles; those that have a name in its disable are not loaded
// (apparmor.d(5), aa-disable(8)).
const apparmorDir = "/etc/apparmor.d"

// confinable is a program that makes user namespaces for a client: one profile with its name
// will do, or several programs do it and each has its own.
type confinable struct {
	client   string   // "LXC"
	programs []string // the first one is what starts containers
}

// confinables are by what the version is asked of.
var confinables = map[string]confinable{
	"lxc":    {"LXC", []string{"lxc-start", "lxc-unshare", "lxc-usernsexec"}},
	"podman": {"podman", []string{"podman"}},
	"runc":   {"runc", []string{"runc"}},
	"crun":   {"crun", []string{"crun"}},
}

// confined returns what starts the user's containers here; ok is false if that is not known.
// podman's are started by podman, which makes the namespace before it calls a runtime.
func (f *Facts) confined() (c confinable, ok bool) {
	for _, name := range []string{"lxc", "podman", "runc", "crun"} {
		if f.System.Version(name) != "" {
			return confinables[name], true
		}
	}
	return confinables["lxc"], false
}

func checkAppArmor(f *Facts) Result {
	const file = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	if f.Machine.Find(file) == machine.Unknown {
		return unknown("it cannot be told whether AppArmor restricts user namespaces", machine.ErrNotRecorded)
	}
	if f.readWord(file) != "1" {
		return ok("")
	}
	c, isThere := f.confined()
	if profile := f.profileOf(c); profile != "" {
		return ok(c.client+"'s profile allows it", Evidence{profile, "userns"})
	}
	at := Evidence{file, "1"}
	if !isThere {
		return warning("AppArmor takes the capabilities of user namespaces from programs without a profile that allows them", at).
			fixed("give what starts containers a profile with \"userns,\" in " + apparmorDir)
	}
	r := failed("AppArmor takes the capabilities of user namespaces from "+c.client+", which has no profile that allows them: it can mount nothing in them", at)
	return f.profileFix(r, c)
}

// profileOf returns the file with a profile that lets one of the programs use its user
// namespaces; "" if there is none. Files are named after the program, and any other may have
// its path.
func (f *Facts) profileOf(c confinable) string {
	for _, program := range c.programs {
		for _, name := range []string{program, "usr.bin." + program} {
			if f.allowsNamespaces(name, "") {
				return path.Join(apparmorDir, name)
			}
		}
	}
	const mostProfiles = 500
	names, _ := f.Machine.ReadDir(apparmorDir)
	for _, name := range names[:min(len(names), mostProfiles)] {
		if f.allowsNamespaces(name, "/"+c.programs[0]) {
			return path.Join(apparmorDir, name)
		}
	}
	return ""
}

// allowsNamespaces tells whether a profile's file has a rule that allows user namespaces, and
// the word.
func (f *Facts) allowsNamespaces(name, word string) bool {
	if f.Machine.Exists(path.Join(apparmorDir, "disable", name)) {
		return false
	}
	data, err := f.Machine.ReadFile(path.Join(apparmorDir, name))
	if err != nil || !strings.Contains(string(data), word) {
		return false
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n,{}", r) })
		if slices.Contains(words, "userns") && !slices.Contains(words, "deny") {
			return true
		}
	}
	return false
}

// profileFix gives a client a profile that allows user namespaces. To lift the restriction
// would lift it for every program of the machine.
func (f *Facts) profileFix(r Result, c confinable) Result {
	program := c.programs[0]
	const parser = "apparmor_parser"
	outside := ""
	if f.inUserNamespace() {
		outside = "; where this container may load no profiles, outside"
	}
	for _, name := range []string{program, "usr.bin." + program} {
		if file := path.Join(apparmorDir, name); f.Machine.Exists(file) {
			return r.fixed("add \"userns,\" to the profile in "+file+", and load it again"+outside, byHand(f.editor(), file), byHand(parser, "-r", file))
		}
	}
	file := path.Join(apparmorDir, program)
	programs := "/usr/bin/" + program
	if c.client == "LXC" {
		programs = "/usr/bin/lxc-{attach,copy,create,destroy,execute,start,unshare,usernsexec}"
	}
	profile := fmt.Sprintf(`abi <abi/4.0>,\nprofile %s %s flags=(unconfined) {\n  userns,\n}\n`, program, programs)
	return r.fixed("give "+c.client+" a profile that allows them"+outside,
		asRoot("sh", "-c", "printf '"+profile+"' >"+file), asRoot(parser, "-r", file))
}
