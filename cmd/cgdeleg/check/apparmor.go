package check

import (
	"fmt"
	"path"
	"regexp"
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
		return ok(c.client+"'s profile allows user namespaces", Evidence{profile, "userns"})
	}
	at := Evidence{file, "1"}
	if !isThere {
		return warning("AppArmor takes the capabilities of a user namespace from each program without a profile that allows user namespaces, and such a program can start no container; no LXC, podman, runc or crun was found here", at).
			fixed("give the program that starts containers a profile with \"userns,\" in " + apparmorDir)
	}
	r := failed("AppArmor takes the capabilities of user namespaces from "+c.client+", which has no profile that allows user namespaces: "+c.client+" can mount nothing in one, and starts no container", at)
	for _, name := range profileNames(f.pathOf(c.programs[0])) {
		if disabled := path.Join(apparmorDir, "disable", name); f.Machine.Exists(disabled) && f.textAllows(name, c.programs[0]) {
			r = failed("AppArmor takes the capabilities of user namespaces from "+c.client+", whose profile allows user namespaces and is turned off: "+c.client+" can mount nothing in one, and starts no container",
				at, Evidence{disabled, "is there"})
			file := path.Join(apparmorDir, name)
			return r.fixed("turn on the profile in "+file+", and load it"+f.outsideOf(), asRoot("rm", disabled), asRoot(parser, "-r", file))
		}
	}
	return f.profileFix(r, c)
}

// profileOf returns the file with a profile that lets one of the programs use its user
// namespaces; "" if there is none. Files are named after the program, and any other may have
// its path.
func (f *Facts) profileOf(c confinable) string {
	for _, program := range c.programs {
		for _, name := range profileNames(f.pathOf(program)) {
			if f.allowsNamespaces(name, program) {
				return path.Join(apparmorDir, name)
			}
		}
	}
	const mostProfiles = 500
	names, _ := f.Machine.ReadDir(apparmorDir)
	for _, name := range names[:min(len(names), mostProfiles)] {
		if f.allowsNamespaces(name, c.programs[0]) {
			return path.Join(apparmorDir, name)
		}
	}
	return ""
}

// pathOf returns where a program is; where distributions have it if that is not known.
func (f *Facts) pathOf(program string) string {
	file, _, answer := f.lookUp(program)
	switch {
	case answer != machine.Found:
		return path.Join(toolDir, program)
	case strings.HasPrefix(file, "/bin/") || strings.HasPrefix(file, "/sbin/"): // a link to /usr, as far as it is one
		return "/usr" + file
	}
	return file
}

// profileNames are the names that a program's profile has: its own, or those of its path.
func profileNames(file string) []string {
	return slices.Compact([]string{path.Base(file), "usr.bin." + path.Base(file), strings.ReplaceAll(strings.TrimPrefix(file, "/"), "/", ".")})
}

// allowsNamespaces tells whether a profile's file is loaded and lets the program make user
// namespaces.
func (f *Facts) allowsNamespaces(name, program string) bool {
	return !f.Machine.Exists(path.Join(apparmorDir, "disable", name)) && f.textAllows(name, program)
}

// textAllows tells whether a profile's file has a rule that allows user namespaces, and is for
// the program where that is.
func (f *Facts) textAllows(name, program string) bool {
	data, err := f.Machine.ReadFile(path.Join(apparmorDir, name))
	if err != nil || !attachesTo(string(data), f.pathOf(program)) {
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

// attachesTo tells whether a profile of the text is for the program at that path, by the
// path that follows its name (apparmor.d(5), "PROFILE HEADER"). Where no header is
// understood, and a variable stands in the place of a path, it may be.
func attachesTo(text, program string) bool {
	isUnderstood := false
	for line := range strings.Lines(text) {
		header, isHeader := strings.CutSuffix(strings.TrimSpace(line), "{")
		if !isHeader || strings.HasPrefix(header, "#") {
			continue
		}
		for _, word := range strings.Fields(header) {
			word = strings.Trim(word, `"`)
			if !strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "@") {
				continue
			}
			isUnderstood = true
			pattern, err := regexp.Compile("^" + expression(word) + "$")
			if err != nil || pattern.MatchString(program) {
				return true
			}
		}
	}
	return !isUnderstood
}

// expression makes a regular expression of a path of AppArmor's (apparmor.d(5), "Globbing").
// A variable may stand for anything.
func expression(glob string) string {
	var out strings.Builder
	depth := 0
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case strings.HasPrefix(glob[i:], "**"):
			out.WriteString(".*")
			i++
		case c == '*':
			out.WriteString("[^/]*")
		case c == '?':
			out.WriteString("[^/]")
		case strings.HasPrefix(glob[i:], "@{"):
			out.WriteString(".*")
			i += max(strings.IndexByte(glob[i:], '}'), 1)
		case c == '{':
			out.WriteString("(")
			depth++
		case c == '}' && depth > 0:
			out.WriteString(")")
			depth--
		case c == ',' && depth > 0:
			out.WriteString("|")
		case c == '[' || c == ']':
			out.WriteByte(c)
		default:
			out.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return out.String()
}

// parser loads profiles.
const parser = "apparmor_parser"

// outsideOf says where profiles are loaded, for a user namespace.
func (f *Facts) outsideOf() string {
	if f.inUserNamespace() {
		return "; if this container may not load profiles, do that outside"
	}
	return ""
}

// profileFix gives a client a profile that allows user namespaces. To lift the restriction
// would lift it for every program of the machine.
func (f *Facts) profileFix(r Result, c confinable) Result {
	program := c.programs[0]
	outside := f.outsideOf()
	at := f.pathOf(program)
	for _, name := range profileNames(at) {
		file := path.Join(apparmorDir, name)
		data, err := f.Machine.ReadFile(file)
		if f.Machine.Exists(file) && (err != nil || attachesTo(string(data), at)) {
			return r.fixed("add \"userns,\" to the profile in "+file+", and load it again"+outside, byHand(f.editor(), file), byHand(parser, "-r", file))
		}
	}
	name := program
	if f.Machine.Exists(path.Join(apparmorDir, name)) { // that is for another path
		name = strings.ReplaceAll(strings.TrimPrefix(at, "/"), "/", ".")
	}
	file := path.Join(apparmorDir, name)
	programs := at
	if c.client == "LXC" {
		programs = path.Dir(at) + "/lxc-{attach,copy,create,destroy,execute,start,unshare,usernsexec}"
	}
	profile := fmt.Sprintf(`abi <abi/4.0>,\nprofile %s %s flags=(unconfined) {\n  userns,\n}\n`, name, programs)
	return r.fixed("give "+c.client+" a profile that allows user namespaces"+outside,
		asRoot("sh", "-c", "printf '"+profile+"' >"+file), asRoot(parser, "-r", file))
}
