package check

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// clientChecks say what the programs that start containers need, to use the
// session. What they say was seen of the real programs (docs/clients/table.md).
var clientChecks = []*Check{
	{
		Code: "CGD-060", Name: "runc", Title: "runc uses the session",
		Explain:   "runc makes its cgroups below the one that it is started in. With a cgroupsPath in its config.json it wants that path in every hierarchy of cgroup v1, also in those that -c does not ask for.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, run: checkRunc,
	},
	{
		Code: "CGD-061", Name: "crun", Title: "crun uses the session",
		Explain:   "crun before 1.8.2 makes a cgroup only where the configuration names one, by cgroupsPath. Without, it leaves the container in the cgroup of the shell and drops its limits in silence. On cgroup v1 it refuses to start anything as long as v2 has controllers as well.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, run: checkCrun,
	},
	{
		Code: "CGD-062", Name: "podman", Title: "podman uses the session",
		Explain:   "podman asks systemd's user manager for cgroups, or with --cgroup-manager=cgroupfs has its runtime make them. What crun leaves out podman leaves out too, and shows in podman stats the limit that was asked for and does not hold. On cgroup v1 podman sets no limits of a user's containers.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, run: checkPodman,
	},
	{
		Code: "CGD-063", Name: "bubblewrap", Title: "bubblewrap runs in a cgroup of its own",
		Explain:   "bubblewrap, and unshare and chroot like it, make no cgroups: what they start is in that of the shell. cgdeleg run makes one for a command.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, run: checkBubblewrap,
	},
}

// client returns the version of a program that would use the session; or why
// there is nothing to say of it.
func (f *Facts) client(program string) (version string, reason string) {
	version = f.Tools.Version(program)
	switch {
	case version == "":
		return "", program + " is not installed, or does not say its version"
	case !f.isDelegated():
		return "", "this shell has no cgroup of its own"
	}
	return version, ""
}

func checkRunc(f *Facts) Result {
	version, reason := f.client("runc")
	if reason != "" {
		return skip(reason)
	}
	if f.isUnified() || f.entry.asked.All {
		return ok("runc " + version + " makes its cgroups in the session")
	}
	return note("runc " + version + " makes its cgroups in the session; a cgroupsPath in config.json would need a line of the module without -c")
}

func checkCrun(f *Facts) Result {
	version, reason := f.client("crun")
	switch {
	case reason != "":
		return skip(reason)
	case f.refusesCrun():
		return note("crun " + version + " starts nothing where cgroup v2 has controllers beside v1: take runc")
	case f.isUnified() && makesCgroups(version):
		return ok("crun " + version + " makes its cgroups in the session")
	case f.isUnified() || f.entry.asked.All:
		return note("crun "+version+" needs a cgroupsPath below \"linux\" in config.json, or drops limits in silence", f.cgroupsPath())
	}
	return note("crun "+version+" needs a cgroupsPath below \"linux\" in config.json, or drops limits in silence, and a line of the module without -c", f.cgroupsPath())
}

// makesCgroups tells whether a version of crun makes a cgroup that was not asked
// for: since 1.8.2 "as sibling of the current" one (crun's NEWS).
func makesCgroups(version string) bool {
	return slices.Compare(versionNumbers(version), []int{1, 8, 2}) >= 0
}

var number = regexp.MustCompile(`[0-9]+`)

// versionNumbers returns the numbers of a version, up to the first word that is
// none: 1.1.5+ds1 are 1, 1 and 5.
func versionNumbers(version string) (numbers []int) {
	for word := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(number.FindString(word))
		if err != nil {
			break
		}
		numbers = append(numbers, n)
		if number.FindString(word) != word {
			break
		}
	}
	return numbers
}

// refusesCrun tells whether crun refuses the machine ("cgroups in hybrid mode not
// supported, drop all controllers from cgroupv2").
func (f *Facts) refusesCrun() bool { return !f.isUnified() && f.unified() != nil }

// sessionPath returns the session's cgroup, as containers' configurations name
// it.
func (f *Facts) sessionPath() string {
	for i := range f.places {
		if p := &f.places[i]; p.delegated() && len(p.Controllers) > 0 && !strings.HasPrefix(p.Name, "name=") {
			return p.base
		}
	}
	return ""
}

func (f *Facts) cgroupsPath() string {
	return `"cgroupsPath": "` + f.sessionPath() + `/CONTAINER"`
}

func checkPodman(f *Facts) Result {
	version, reason := f.client("podman")
	switch {
	case reason != "":
		return skip(reason)
	case !f.isUnified():
		runtime := ""
		if f.refusesCrun() {
			runtime = " --runtime=runc"
		}
		return note("podman "+version+" sets no limits on cgroup v1: give them to cgdeleg run",
			f.runWith()+" podman"+runtime+" --cgroup-manager=cgroupfs run IMAGE")
	case f.hasSystemd() && f.Machine.Exists(userBus(f.Subject.UID)) && f.cgroupManager() != "cgroupfs":
		return ok("podman " + version + " asks systemd's user manager")
	}
	if crun := f.Tools.Version("crun"); crun != "" && !makesCgroups(crun) {
		return note("podman "+version+" with crun "+crun+" needs the session as its parent, or drops limits in silence",
			"podman --cgroup-manager=cgroupfs run --cgroup-parent="+quote(f.sessionPath())+" IMAGE")
	}
	return ok("podman " + version + " makes its cgroups in the session, by --cgroup-manager=cgroupfs")
}

// ContainersConf returns the files in which podman finds its default of
// --cgroup-manager; the later overrule (containers.conf(5)).
func (s Subject) ContainersConf() []string {
	return []string{"/usr/share/containers/containers.conf", "/etc/containers/containers.conf", s.Home + "/.config/containers/containers.conf"}
}

var managerLine = regexp.MustCompile(`(?m)^[ \t]*cgroup_manager[ \t]*=[ \t]*["']([a-z]+)["']`)

// ManagerLine returns the line of a containers.conf that sets podman's default of
// --cgroup-manager; "" if there is none.
func ManagerLine(conf string) string { return managerLine.FindString(conf) }

// cgroupManager returns podman's default of --cgroup-manager; "" if it is
// podman's own.
func (f *Facts) cgroupManager() (manager string) {
	for _, file := range f.Subject.ContainersConf() {
		data, err := f.Machine.ReadFile(file)
		if err != nil {
			continue
		}
		if found := managerLine.FindSubmatch(data); found != nil {
			manager = string(found[1])
		}
	}
	return manager
}

func checkBubblewrap(f *Facts) Result {
	version, reason := f.client("bwrap")
	if reason != "" {
		return skip(reason)
	}
	return note("bubblewrap "+version+" makes no cgroup: give limits to cgdeleg run", f.runWith()+" bwrap ...")
}

// runWith is how a command gets a cgroup of its own with limits, of what this
// session has.
func (f *Facts) runWith() string {
	words := []string{"cgdeleg", "run"}
	if f.hasController("memory") {
		file := "memory.limit_in_bytes"
		if f.isUnified() {
			file = "memory.max"
		}
		words = append(words, "-p", file+"=1G")
	}
	if f.hasController("pids") {
		words = append(words, "-p", "pids.max=200")
	}
	return strings.Join(append(words, "--"), " ")
}
