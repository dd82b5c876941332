package check

import (
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/podmanconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// lacksPodmansBus tells whether podman would ask systemd's user manager for its cgroups, if the
// user had a bus, which Debian has in a package of its own.
func (f *Facts) lacksPodmansBus() bool {
	return f.podmanMayAsk() && !f.Machine.Exists(userBus(f.Subject.UID)) && f.podmanConf().Engine.Manager != "cgroupfs"
}

// withPodmansBus adds that way to cgroups to the others.
func (f *Facts) withPodmansBus(r Result) Result {
	text, after, way := f.getBus()
	if text == "" {
		return r
	}
	r.Fix.Text += "; or " + text + ", so that podman can ask systemd for cgroups" + after
	r.Fix.Commands = append(r.Fix.Commands, or(way...)...)
	return r
}

// getBus says how the user gets a bus of systemd's user manager: by the package that has it, or
// where that is there, by a manager that runs; podman itself names the latter. It is "" where the
// bus may be there, or it is not known how.
func (f *Facts) getBus() (text, after string, commands []Command) {
	if text, commands = f.installBus(); text != "" {
		return text, ", and log in again", commands
	}
	switch isRunning := f.answersManager(); {
	case f.Machine.Find(userBus(f.Subject.UID)) != machine.Absent, isRunning && f.Machine.Find(userSocket) != machine.Found:
		return "", "", nil
	case isRunning:
		return "start the bus of systemd's user manager", "", []Command{{Args: []string{"systemctl", "--user", "start", "dbus.socket"}}}
	}
	return "keep systemd's user manager running, also without a login", "", []Command{asRoot("loginctl", "enable-linger", f.Subject.Name)}
}

// checkDefaultManager looks whether podman, which no configuration tells who makes its cgroups, gets
// them from systemd's user manager, as it wants to where systemd runs the machine (containers/common,
// CheckCgroupsAndAdjustConfig). A session in which its runtime makes them serves as well.
func (f *Facts) checkDefaultManager(conf *podmanconf.Config) Result {
	bus := userBus(f.Subject.UID)
	address := f.System.Variable(f.Subject, busVariable)
	isOther := address != "" && !strings.Contains(address, bus) // who answers there nobody knows
	answer := f.Machine.Find(bus)
	switch {
	case !f.podmanMayAsk() || f.Subject.PID == 0 || isOther || answer == machine.Found:
		return ok("")
	case answer == machine.Unknown:
		return skip(UnseenOfPodman)
	}
	const says = "podman asks systemd's user manager for cgroups, and no user manager answers on "
	const falls = ": podman warns at every start, and makes its cgroups itself (cgroupfs)"
	if crun := f.System.Version("crun"); crun == "" || !f.isDelegated() || f.runtimeMakesCgroups(conf) {
		return note(says + bus + falls)
	}
	r := warning(says+bus+falls+", with which crun "+f.System.Version("crun")+" drops limits silently", Evidence{bus, "is not there"})
	if text, after, way := f.getBus(); text != "" {
		r = r.fixed(text+after, way...)
	}
	return f.byDefault(r)
}
