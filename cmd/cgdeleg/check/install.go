package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// distribution is how one installs a package. It is an example: a person knows better
// where packages come from.
type distribution struct {
	ids      []string // of os-release(5)
	install  []string
	idmapper string // the package with newuidmap and newgidmap
	// scopeMaker is the package with pam_systemd.so; "": systemd's own, or there is none
	scopeMaker string
}

var distributions = []distribution{
	{[]string{"debian", "ubuntu"}, []string{"apt", "install"}, "uidmap", "libpam-systemd"},
	{[]string{"fedora", "rhel", "centos"}, []string{"dnf", "install"}, "shadow-utils", "systemd-pam"},
	{[]string{"suse", "opensuse"}, []string{"zypper", "install"}, "shadow", ""},
	{[]string{"alpine"}, []string{"apk", "add"}, "shadow-subids", ""},
	{[]string{"arch"}, []string{"pacman", "-S"}, "shadow", ""},
	{[]string{"void"}, []string{"xbps-install"}, "shadow", ""},
	{[]string{"gentoo"}, []string{"emerge", "--ask"}, "sys-apps/shadow", ""},
}

// installIDMapTools installs newuidmap and newgidmap, where the distribution is known.
func (f *Facts) installIDMapTools() *Fix {
	install, later, isKnown := f.installOf(func(d distribution) string { return d.idmapper })
	if !isKnown {
		return &Fix{Text: "install newuidmap and newgidmap"}
	}
	return &Fix{Text: "install newuidmap and newgidmap" + later, Commands: []Command{install}}
}

// installOf installs a package, which each distribution calls otherwise; later is what is to be
// done after it. isKnown is false where the distribution is not known, or has none.
func (f *Facts) installOf(packageOf func(distribution) string) (install Command, later string, isKnown bool) {
	for _, d := range distributions {
		name := packageOf(d)
		if !f.isLike(d.ids...) || name == "" {
			continue
		}
		words, later := f.installer(d)
		if words == nil {
			break
		}
		if f.Machine.Exists("/var/lib/dpkg/info/" + name + ".list") {
			words = append(words, "--reinstall") // or apt says that it is there, whatever of it is missing
		}
		return byHand(append(words, name)...), later, true
	}
	return install, "", false
}

// installer returns what installs a package on this machine of the distribution, and what is
// to be done after it; nil where the usual program is not there, or could not write.
func (f *Facts) installer(d distribution) (install []string, later string) {
	const again = ", and start the machine again"
	install = slices.Clone(d.install)
	switch {
	case d.ids[0] == "suse" && f.isTransactional():
		return []string{"transactional-update", "pkg", "install"}, again
	case d.ids[0] == "fedora" && f.Machine.Exists("/run/ostree-booted"): // libostree, ostree(1)
		return []string{"rpm-ostree", "install"}, again
	case d.ids[0] == "fedora" && f.isBeforeDNF():
		install[0] = "yum"
	}
	if _, _, answer := f.lookUp(install[0]); answer == machine.Absent && !f.Machine.IsRecorded() {
		return nil, ""
	}
	if slices.Contains(f.mountOf(toolDir).Options, "ro") {
		return nil, "" // an image, or a root file system that something else writes
	}
	return install, ""
}

// isTransactional tells whether it is one of openSUSE's, or SUSE's, whose root file system
// only transactional-update writes: MicroOS, and what is made of it.
func (f *Facts) isTransactional() bool {
	_, _, answer := f.lookUp("transactional-update")
	isMicro := slices.ContainsFunc(strings.Fields(f.release("ID")), func(id string) bool {
		return strings.Contains(id, "micro") || id == "aeon" || id == "kalpa"
	})
	return answer == machine.Found || isMicro
}

// isBeforeDNF tells whether it is a release that has yum and no dnf: RHEL 7 and its like,
// Amazon Linux 2.
func (f *Facts) isBeforeDNF() bool {
	version := versionNumbers(f.release("VERSION_ID"))
	isOld := func(id string, until int) bool {
		return len(version) > 0 && version[0] <= until && slices.Contains(strings.Fields(f.release("ID")), id)
	}
	return isOld("amzn", 2) || isOld("rhel", 7) || isOld("centos", 7) || isOld("ol", 7) || isOld("scientific", 7)
}

// toolDir is where a package's programs are.
const toolDir = "/usr/bin"

// isLike tells whether the machine runs one of these distributions, or one that is
// made of it (os-release(5): ID and ID_LIKE).
func (f *Facts) isLike(names ...string) bool {
	return slices.ContainsFunc(strings.Fields(f.release("ID", "ID_LIKE")), func(id string) bool { return slices.Contains(names, id) })
}

// release returns the values of these keys of os-release(5).
func (f *Facts) release(keys ...string) (value string) {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := f.Machine.ReadFile(file)
		if err == nil {
			return strings.Join(releaseValues(string(data), keys), " ")
		}
	}
	return ""
}

func releaseValues(release string, keys []string) (values []string) {
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if slices.Contains(keys, key) {
			values = append(values, strings.Trim(value, `"'`))
		}
	}
	return values
}

// isBuilt tells whether /etc is built from a configuration of the whole machine, so that
// what is written there is lost, if it can be written at all.
func (f *Facts) isBuilt() bool { return f.isLike("nixos", "guix") }

// editor is a program that edits a file: the one that was chosen, on Debian, and vi or what
// is there in its place.
func (f *Facts) editor() string {
	programs := []string{"vi", "vim", "nano", "mg", "emacs"}
	if f.isLike("debian", "ubuntu") {
		programs = append([]string{"editor"}, programs...)
	}
	if f.Machine.IsRecorded() {
		return programs[0]
	}
	for _, program := range programs {
		if _, _, answer := f.lookUp(program); answer == machine.Found {
			return program
		}
	}
	return programs[0]
}

// possible returns a fix without the commands that do nothing on this machine.
func (f *Facts) possible(fix *Fix) *Fix {
	switch {
	case fix == nil:
		return nil
	case f.Partial: // nobody knows what works there
		return &Fix{Text: fix.Text}
	}
	fix = f.inOwnCopy(fix)
	switch {
	case f.isAndroid(): // its system is read-only, and its users are not root
		return &Fix{Text: fix.Text, Commands: without(fix.Commands, func(c Command) bool { return c.Root })}
	case !f.isBuilt():
		return f.withoutEtc(fix)
	}
	own := *fix
	own.Commands = without(fix.Commands, changesEtc)
	if len(own.Commands) < len(fix.Commands) {
		own.Text = "in the configuration from which this machine's /etc is built: " + own.Text
	}
	return &own
}

// byRoot has the fix's commands run by the program that does that on this machine, or says
// that root has to run them.
func (f *Facts) byRoot(fix *Fix) *Fix {
	if fix == nil || !slices.ContainsFunc(fix.Commands, func(c Command) bool { return c.Root }) {
		return fix
	}
	own := *fix
	own.Commands = slices.Clone(fix.Commands)
	by := f.becomesRoot()
	if by == nobody && slices.ContainsFunc(fix.Commands, func(c Command) bool { return !c.Root }) {
		by = marked
	}
	for i := range own.Commands {
		own.Commands[i].by = by
	}
	if by == nobody {
		own.Text += " (as root)"
	}
	return &own
}

// becomesRoot returns sudo or doas, as this machine has it; nobody if it has neither. What
// was not recorded may be there: reports from before this asked tell nothing of it.
func (f *Facts) becomesRoot() string {
	const sudo = "sudo"
	if f.isAndroid() {
		return nobody
	}
	if _, _, answer := f.lookUp("doas"); answer == machine.Found {
		if _, _, answer := f.lookUp(sudo); answer != machine.Found {
			return "doas"
		}
		return sudo
	}
	if f.isBeforeAbsent() || f.Machine.IsRecorded() && !f.sawNo(path.Join(toolDir, sudo)) {
		return sudo
	}
	if _, _, answer := f.lookUp(sudo); answer == machine.Absent {
		return nobody
	}
	return sudo
}

// isBeforeAbsent tells whether a machine was recorded before recordings listed what was looked
// for and not there: what such a one lacks may be there, if this did not ask for it then.
func (f *Facts) isBeforeAbsent() bool {
	if !f.Machine.IsRecorded() {
		return false
	}
	_, err := f.Machine.ReadFile("/" + machine.AbsentFile)
	return err != nil
}

// sawNo tells whether a recording says that a file was not there.
func (f *Facts) sawNo(file string) bool {
	absent, _ := f.Machine.ReadFile("/" + machine.AbsentFile)
	return slices.Contains(strings.Split(string(absent), "\n"), file)
}

// isAndroid tells whether Android runs the machine: its init, or the cgroup that it makes for
// each of an application's processes, where it shows no others (hidepid).
func (f *Facts) isAndroid() bool {
	init, _ := f.Machine.ReadFile("/proc/1/cmdline")
	return strings.HasPrefix(string(init), "/system/bin/init") || f.Machine.Exists("/system/build.prop") ||
		slices.ContainsFunc(f.members, func(m hierarchy.Membership) bool {
			return strings.Contains(m.Path+"/", fmt.Sprintf("/uid_%d/pid_", f.Subject.UID))
		})
}

// changesEtc tells whether a command changes what is in /etc.
func changesEtc(c Command) bool {
	if slices.Contains([]string{"usermod", "pam-auth-update"}, c.Args[0]) {
		return true
	}
	if slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, " || cp "+defaultConf) }) {
		return false
	}
	if slices.Equal(c.Args, []string{"systemctl", "daemon-reload"}) {
		return true // a unit's file was written before
	}
	return slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, "/etc/") }) ||
		c.Args[0] == "systemctl" && slices.Contains(c.Args, "edit")
}
