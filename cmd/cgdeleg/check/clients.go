package check

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// clientChecks say what the programs that start containers need, to use the
// session. What they say was seen of the real programs (docs/clients/table.md).
var clientChecks = []*Check{
	{
		Code: "CGD-060", Name: "runc", Title: "runc uses the session",
		Explain:   "runc makes its cgroups below the one that it is started in. With a cgroupsPath in its config.json it wants that path in every hierarchy of cgroup v1, also in those that -c does not ask for.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, program: "runc", run: checkRunc,
	},
	{
		Code: "CGD-061", Name: "crun", Title: "crun uses the session",
		Explain:   "crun before 1.8.2 makes a cgroup only where the configuration names one, by cgroupsPath. Without, it leaves the container in the cgroup of the shell and drops its limits silently. On cgroup v1 it refuses to start anything as long as v2 has controllers as well.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, program: "crun", run: checkCrun,
	},
	{
		Code: "CGD-062", Name: "podman", Title: "podman uses the session",
		Explain:   "podman asks systemd's user manager for cgroups, or with --cgroup-manager=cgroupfs has its runtime make them. What crun leaves out podman leaves out too, and shows in podman stats the limit that was asked for and does not hold. On cgroup v1 podman sets no limits of a user's containers.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, program: "podman", run: checkPodman,
	},
	{
		Code: "CGD-063", Name: "bubblewrap", Title: "bubblewrap runs in a cgroup of its own",
		Explain:   "bubblewrap, and unshare and chroot like it, make no cgroups: what they start is in that of the shell. cgdeleg run makes one for a command.",
		DependsOn: []string{"session", "writable"}, needs: aProcess, program: "bwrap", run: checkBubblewrap,
	},
}

// client returns the version of a program that would use the session; or the result where
// there is nothing to say of it.
func (f *Facts) client(program string) (version string, none *Result) {
	if none = f.noProgram(program); none != nil {
		return "", none
	}
	reason := ""
	switch {
	case !f.isDelegated():
		reason = "this shell has no cgroup of its own"
	case f.elsewhere() != nil:
		reason = "this shell is not in the cgroup that elogind delegates: see the check lxc-view"
	default:
		return f.System.Version(program), nil
	}
	r := skip(reason)
	return "", &r
}

// noProgram is the result where a program's version is not known; nil if it is.
func (f *Facts) noProgram(program string) *Result {
	if f.System.Version(program) != "" {
		return nil
	}
	r := skip(program + " is not installed, or does not say its version")
	if reason := f.System.Failure(program); reason != "" {
		r = skip(program + " --version failed: " + reason)
	}
	return &r
}

// HasClient tells whether a program that starts containers is there, or may be: of a recorded
// machine that is not known if it tells nothing of any program's version.
func (f *Facts) HasClient() bool {
	if f.Partial || f.Machine.IsRecorded() && f.Machine.Find("/versions") != machine.Found {
		return true
	}
	return slices.ContainsFunc([]string{"lxc", "podman", "runc", "crun"}, func(program string) bool {
		return f.System.Version(program) != "" || f.System.Failure(program) != ""
	})
}

func checkRunc(f *Facts) Result {
	version, none := f.client("runc")
	switch {
	case none != nil:
		return *none
	case f.isUnified() && runcOnV2(version) == machine.Absent:
		return note("runc " + version + " makes no cgroups for users on cgroup v2: use crun")
	case f.sessionPath() == "":
		return note("runc " + version + " makes its cgroups in the session; give it no cgroupsPath: the session's path is not the same in all hierarchies")
	case f.isUnified() || f.login.asked.All:
		return ok("runc " + version + " makes its cgroups in the session")
	}
	return note("runc " + version + " makes its cgroups in the session; a cgroupsPath in config.json would need a line of the module without -c")
}

func checkCrun(f *Facts) Result {
	version, none := f.client("crun")
	session := f.sessionPath()
	switch {
	case none != nil:
		return *none
	case f.refusesCrun():
		return note("crun " + version + " starts nothing where cgroup v2 has controllers beside v1: use runc")
	case f.isUnified() && makesCgroups(version):
		return ok("crun " + version + " makes its cgroups in the session")
	case session == "":
		return note("crun " + version + " wants one cgroupsPath for all hierarchies, and the session's path is not the same in all: use runc")
	case f.isUnified() || f.login.asked.All:
		return note("crun "+version+" needs a cgroupsPath below \"linux\" in config.json; otherwise it drops limits silently", cgroupsPath(session))
	}
	return note("crun "+version+" needs a cgroupsPath below \"linux\" in config.json, and a line of the module without -c; otherwise it drops limits silently", cgroupsPath(session))
}

// makesCgroups tells whether a version of crun makes a cgroup that was not asked
// for: since 1.8.2 "as sibling of the current" one (crun's NEWS).
func makesCgroups(version string) bool {
	return slices.Compare(versionNumbers(version), []int{1, 8, 2}) >= 0
}

// refusesCrun tells whether crun refuses the machine ("cgroups in hybrid mode not
// supported, drop all controllers from cgroupv2").
func (f *Facts) refusesCrun() bool { return !f.isUnified() && f.unified() != nil }

// sessionPath returns the session's cgroup, as containers' configurations name
// it; "" where it is not the same in all hierarchies, as with systemd's own beside
// others, so that no one name is right.
func (f *Facts) sessionPath() (session string) {
	for i := range f.locations {
		l := &f.locations[i]
		switch {
		case !l.delegated() || len(l.Controllers) == 0 || strings.HasPrefix(l.Name, "name="):
		case session != "" && session != l.base:
			return ""
		default:
			session = l.base
		}
	}
	return session
}

func cgroupsPath(session string) string {
	return `"cgroupsPath": "` + session + `/CONTAINER"`
}

func checkPodman(f *Facts) Result {
	version, none := f.client("podman")
	switch {
	case none != nil:
		return *none
	case !f.isUnified():
		return note("podman "+version+" sets no limits on cgroup v1: give them to cgdeleg run", f.runWith()+" "+f.podmanAlone()+" run IMAGE")
	}
	conf := f.podmanConf()
	if f.asksManager(conf) {
		return ok("podman " + version + " asks systemd's user manager for its cgroups")
	}
	crun := f.System.Version("crun")
	takesCrun := crun != "" && path.Base(cmp.Or(conf.Engine.Runtime, "crun")) == "crun"
	if takesCrun && !makesCgroups(crun) {
		return note("podman "+version+" with crun "+crun+" needs to be told the session as the parent of its containers' cgroups; otherwise it drops limits silently",
			"podman --cgroup-manager=cgroupfs run --cgroup-parent="+quote(f.sessionPath())+" IMAGE")
	}
	return ok("podman " + version + " makes its cgroups in the session, by --cgroup-manager=cgroupfs")
}

// podmanAlone is podman that makes its cgroups itself, by a runtime that starts here.
func (f *Facts) podmanAlone() string {
	if f.refusesCrun() {
		return "podman --runtime=runc --cgroup-manager=cgroupfs"
	}
	return "podman --cgroup-manager=cgroupfs"
}

func checkBubblewrap(f *Facts) Result {
	version, none := f.client("bwrap")
	if none != nil {
		return *none
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
