package check

import (
	"slices"
	"strings"
)

// install is the command that installs a package, by the names that Debian,
// Fedora, Alpine and Arch have for it (os-release(5)). It is an example: a
// person knows better where packages come from.
func (f *Facts) install(debian, fedora, alpine, arch string) Command {
	switch {
	case f.isLike("fedora", "rhel", "centos"):
		return byHand("dnf", "install", fedora)
	case f.isLike("alpine"):
		return byHand("apk", "add", alpine)
	case f.isLike("arch"):
		return byHand("pacman", "-S", arch)
	}
	return byHand("apt", "install", debian)
}

// isLike tells whether the machine runs one of these distributions, or one that is
// made of it (os-release(5): ID and ID_LIKE).
func (f *Facts) isLike(names ...string) bool {
	data, _ := f.Machine.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for id := range strings.FieldsSeq(strings.Trim(value, `"'`)) {
			if slices.Contains(names, id) {
				return true
			}
		}
	}
	return false
}

// editor is a program that edits a file: the one that was chosen, on Debian.
func (f *Facts) editor() string {
	if f.isLike("debian", "ubuntu") {
		return "editor"
	}
	return "vi"
}
