package check

import (
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// confiner is who seems to have put a login under a limit.
type confiner struct {
	name     string
	evidence []Evidence
	// isJobs tells that the limit is what the login is there for, so that nobody
	// would lift it.
	isJobs bool
}

// confinedResult is the result where the module leaves a login under a limit. To
// open a session by hand would be to shed the limit, which cgdeleg open does not do
// either.
func (f *Facts) confinedResult(c *plan.ConfinedError, evidence []Evidence) Result {
	by := f.confinerOf(c)
	evidence = slices.Concat([]Evidence{{c.File, brief(c.Value)}}, by.evidence, evidence)
	r := failed(by.name+" limits this login ("+c.File+"), and the module does not move a login out of a limit: its containers have no cgroups of their own", evidence...)
	line := "the option confined=move on the module's line in " + f.moduleFile() + " has logins moved out of such limits, as pam_cgfs did"
	if by.isJobs {
		return r.fixed("containers of this login stay under that limit, without cgroups of their own; " + line)
	}
	return r.fixed("remove the limit and log in again; or "+line, byHand(f.editor(), f.moduleFile()))
}

// confinerOf says who seems to hold a limit.
func (f *Facts) confinerOf(c *plan.ConfinedError) confiner {
	account, _ := pamconf.Stack(f.Machine, f.login.service, "account") // as far as it can be read
	for _, line := range slices.Concat(account, f.login.lines) {
		if line.Is("pam_slurm_adopt.so") && len(jobsOf(f.members)) > 0 {
			return confiner{name: "Slurm's pam_slurm_adopt", evidence: []Evidence{lineEvidence(line)}, isJobs: true}
		}
	}
	rules, _ := f.movingRules(f.missing())
	if len(rules) == 0 { // nobody is moved without one
		return confiner{name: holderOf(c.Cgroup)}
	}
	for _, line := range f.login.lines {
		if line.Is("pam_cgroup.so") {
			return confiner{name: "cgrules (pam_cgroup)", evidence: []Evidence{rules[0].evidence(), lineEvidence(line)}, isJobs: true}
		}
	}
	return confiner{name: "cgrules (" + rules[0].file + ")", evidence: []Evidence{rules[0].evidence()}, isJobs: true}
}

// holderOf says whose a cgroup is, by its name. OpenRC calls a service's cgroup
// openrc.NAME on v2, and openrc_NAME on v1 where it sets limits (rc-cgroup.sh).
func holderOf(cgroup string) string {
	if unit := unitOf(cgroup); unit != "" {
		return "systemd's " + unit
	}
	for dir := cgroup; dir != "/" && dir != "."; dir = path.Dir(dir) {
		for _, prefix := range []string{"openrc.", "openrc_"} {
			if service, isService := strings.CutPrefix(path.Base(dir), prefix); isService {
				return "OpenRC's service " + service
			}
		}
	}
	return "whoever made the cgroup " + cgroup
}

// brief returns the beginning of a value: a list of devices has many lines.
func brief(value string) string {
	const most = 60
	if len(value) > most {
		return value[:most] + "..."
	}
	return value
}
