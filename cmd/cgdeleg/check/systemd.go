package check

import (
	"cmp"
	"errors"
	"fmt"
	"path"

	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// systemdChecks look at machines that systemd runs.
var systemdChecks = []*Check{
	{
		Code: "CGD-020", Name: "delegation", Title: "systemd delegates the login's scope",
		Explain:   "On cgroup v2 the login stays in the scope that logind made for it, and the module gives that scope to the user. systemd has to know: without Delegate= it takes the controllers away again at the next daemon-reload, so such a scope stays root's. The drop-in session-.scope.d/50-cgdeleg.conf says it for every login (systemd.resource-control(5), systemd.io/CGROUP_DELEGATION).",
		DependsOn: []string{"mode"}, needs: aUser, ofMounts: true, run: checkDelegation,
	},
	{
		Code: "CGD-021", Name: "systemd-v1", Title: "This systemd still knows cgroup v1",
		Explain:   "systemd 256 refuses to start on cgroup v1 without SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 on the kernel's command line, and 258 has no cgroup v1.",
		DependsOn: []string{"mode"}, ofMounts: true, run: checkSystemdV1,
	},
}

const dropIn = "session-.scope.d/50-cgdeleg.conf"

// unitDirs are where systemd looks for drop-ins (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

func checkDelegation(f *Facts) Result {
	if !f.hasSystemd() || f.unified() == nil {
		return skip("systemd does not manage cgroup v2 here")
	}
	r := f.delegationResult()
	if r.Status == Failed {
		return f.withWays(r)
	}
	return r
}

func (f *Facts) delegationResult() Result {
	scope := f.Scope()
	switch none := f.needsNoModule(); {
	case f.isInUserManager():
		return skip("this shell is in no scope of a login")
	case f.isDelegated():
		return ok("the login has cgroups of its own")
	case none != "":
		return skip(none)
	}
	if scope == "" && f.Subject.PID != 0 {
		return skip("this shell is in no scope of a login")
	}
	delegated, known := false, false
	if scope != "" {
		delegated, known = f.System.IsDelegated(scope)
	}
	d := f.ofScopes()
	file, value, isOn := d.last.file, d.line(), d.isOn
	const again = "and log in again"
	misplaced, isMisplaced := f.misplacedDelegate()
	switch {
	case known && delegated:
		return ok("systemd delegates "+scope, Evidence{scope, "Delegate=yes"})
	case file == "" && isMisplaced:
		return f.misplacedResult(misplaced, again)
	case file == "" && f.isBuilt():
		return failed("systemd does not delegate the scopes of logins: the drop-in "+dropIn+" is missing", f.scopeEvidence()...).
			fixed(f.dropInStore() + ", build the machine anew, " + again)
	case file == "" && f.brings():
		return skip("the module's package brings the drop-in that delegates the scopes of logins: see the check module")
	case file == "":
		conf := path.Join("/etc/systemd/system", dropIn)
		return failed("systemd does not delegate the scopes of logins: the drop-in "+dropIn+" is missing", f.scopeEvidence()...).
			fixed("install the drop-in "+dropIn+", "+again,
				asRoot("mkdir", "-p", path.Dir(conf)),
				asRoot("sh", "-c", `printf '[Scope]\nDelegate=cpu memory pids\n' >`+conf),
				asRoot("systemctl", "daemon-reload"))
	case !isOn:
		return failed("systemd does not delegate the scopes of logins: a drop-in says so", append(f.scopeEvidence(), Evidence{file, value})...).
			fixed("remove the line "+value+" from "+file+", have systemd read its units again, "+again, byHand(f.editor(), file), asRoot("systemctl", "daemon-reload"))
	case known:
		return failed("systemd does not delegate "+scope+", though a drop-in for it has "+value, append(f.scopeEvidence(), Evidence{file, value + ", not loaded"})...).
			fixed("have systemd read the drop-in, "+again, asRoot("systemctl", "daemon-reload"))
	}
	return ok("the drop-in is there", Evidence{file, value})
}

// dropInStore says how the drop-in comes into an /etc that is built from a configuration.
func (f *Facts) dropInStore() string {
	text := "in the configuration from which this machine's /etc is built add a drop-in " + dropIn + " with the lines [Scope] and Delegate=cpu memory pids"
	if f.isLike("nixos") {
		text += ` (systemd.packages = [ (pkgs.writeTextDir "etc/systemd/system/` + dropIn + `" "[Scope]\nDelegate=cpu memory pids\n") ];)`
	}
	return text
}

// unitDropIns returns the drop-ins for session scopes in the order in which systemd reads them.
func (f *Facts) unitDropIns() []string {
	return f.filesInOrder(cmp.Or(f.Scope(), "session-1.scope"), ".scope")
}

// Scope returns the name of the scope that logind made for the subject's login, on
// cgroup v2; "" if the process is in none.
func (f *Facts) Scope() string {
	h := f.unified()
	if h == nil || !f.hasSystemd() {
		return ""
	}
	l := f.locationIn(h.Name)
	if l == nil || l.err != nil {
		return ""
	}
	placement := f.plan.Manager.Place(h, l.base, manager.Login{UID: f.Subject.UID})
	var notDelegated *manager.ScopeNotDelegatedError
	switch {
	case placement.Scope != "":
		return path.Base(placement.Scope)
	case errors.As(placement.Leave, &notDelegated):
		return path.Base(notDelegated.Scope)
	}
	return ""
}

func (f *Facts) scopeEvidence() []Evidence {
	h := f.unified()
	if l := f.locationIn(h.Name); l != nil {
		return []Evidence{{f.cgroupFile(), l.Name + ":" + l.member}}
	}
	return nil
}

func checkSystemdV1(f *Facts) Result {
	isUnified, isKnown := f.isUnified(), true
	if f.Partial {
		isUnified, isKnown = f.unifiedSeen()
	}
	if !f.hasSystemd() || isUnified {
		return skip("systemd does not manage cgroup v1 here").certainIf(isUnified && isKnown)
	}
	version := f.System.Version("systemd")
	numbers := versionNumbers(version)
	if len(numbers) == 0 {
		return skip("systemd's version is not known")
	}
	const forcedSince, goneSince = 256, 258
	if numbers[0] >= forcedSince {
		says := fmt.Sprintf("systemd %d starts on cgroup v1 only with SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1, and systemd 258 has no cgroup v1: after an upgrade to that, this machine does not start with this configuration", numbers[0])
		if numbers[0] >= goneSince {
			says = "systemd " + version + " has no cgroup v1: this machine does not start again with this configuration"
		}
		return warning(says).
			with(f.unifiedFix(), "").certainIf(isKnown)
	}
	return ok("systemd " + version).certainIf(isKnown)
}
