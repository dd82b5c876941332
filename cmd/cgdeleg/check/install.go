package check

import (
	"slices"
	"strings"
)

// install is the command that installs a package, by the names that Debian,
// Fedora, Alpine and Arch have for it (os-release(5)). It is an example: a
// person knows better where packages come from.
func (f *Facts) install(debian, fedora, alpine, arch string) Command {
	data, _ := f.Machine.ReadFile("/etc/os-release")
	var ids []string
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	is := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(ids, name) })
	}
	switch {
	case is("fedora", "rhel", "centos"):
		return byHand("dnf", "install", fedora)
	case is("alpine"):
		return byHand("apk", "add", alpine)
	case is("arch"):
		return byHand("pacman", "-S", arch)
	}
	return byHand("apt", "install", debian)
}
