package check

import (
	"slices"
	"strings"
)

// distribution is how one installs a package. It is an example: a person knows better
// where packages come from.
type distribution struct {
	ids      []string // of os-release(5)
	install  []string
	idmapper string // the package with newuidmap and newgidmap
}

var distributions = []distribution{
	{[]string{"debian", "ubuntu"}, []string{"apt", "install"}, "uidmap"},
	{[]string{"fedora", "rhel", "centos"}, []string{"dnf", "install"}, "shadow-utils"},
	{[]string{"suse", "opensuse"}, []string{"zypper", "install"}, "shadow"},
	{[]string{"alpine"}, []string{"apk", "add"}, "shadow-subids"},
	{[]string{"arch"}, []string{"pacman", "-S"}, "shadow"},
	{[]string{"void"}, []string{"xbps-install"}, "shadow"},
	{[]string{"gentoo"}, []string{"emerge", "--ask"}, "sys-apps/shadow"},
}

// installIDMapTools returns the command that installs newuidmap and newgidmap; none where
// the distribution is not known.
func (f *Facts) installIDMapTools() []Command {
	for _, d := range distributions {
		if !f.isLike(d.ids...) {
			continue
		}
		install := slices.Clone(d.install)
		if f.Machine.Exists("/var/lib/dpkg/info/" + d.idmapper + ".list") {
			install = append(install, "--reinstall") // or apt says that it is there, whatever of it is missing
		}
		return []Command{byHand(append(install, d.idmapper)...)}
	}
	return nil
}

// isLike tells whether the machine runs one of these distributions, or one that is
// made of it (os-release(5): ID and ID_LIKE).
func (f *Facts) isLike(names ...string) bool {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := f.Machine.ReadFile(file)
		if err != nil {
			continue
		}
		return slices.ContainsFunc(distributionIDs(string(data)), func(id string) bool { return slices.Contains(names, id) })
	}
	return false
}

func distributionIDs(release string) (ids []string) {
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	return ids
}

// isBuilt tells whether /etc is built from a configuration of the whole machine, so that
// what is written there is lost, if it can be written at all.
func (f *Facts) isBuilt() bool { return f.isLike("nixos", "guix") }

// editor is a program that edits a file: the one that was chosen, on Debian.
func (f *Facts) editor() string {
	if f.isLike("debian", "ubuntu") {
		return "editor"
	}
	return "vi"
}

// possible returns a fix without the commands that do nothing on this machine.
func (f *Facts) possible(fix *Fix) *Fix {
	if f.Partial && fix != nil { // nobody knows what works there
		return &Fix{Text: fix.Text}
	}
	if fix == nil || !f.isBuilt() {
		return fix
	}
	own := *fix
	own.Commands = slices.DeleteFunc(slices.Clone(fix.Commands), changesEtc)
	if len(own.Commands) < len(fix.Commands) {
		own.Text += ", in the configuration from which this machine's /etc is built"
	}
	return &own
}

// changesEtc tells whether a command changes what is in /etc.
func changesEtc(c Command) bool {
	if slices.Contains([]string{"usermod", "pam-auth-update"}, c.Args[0]) {
		return true
	}
	if slices.Equal(c.Args, []string{"systemctl", "daemon-reload"}) {
		return true // a unit's file was written before
	}
	return slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, "/etc/") }) ||
		c.Args[0] == "systemctl" && slices.Contains(c.Args, "edit")
}
