package check

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

// moverResult is the result where the login's service has a line of the module, the shell
// has no cgroups of its own, and somebody is found who moves logins on: pam_cgroup after
// our line, or libcgroup's daemon, and the shell is where their rules lead. ok is false if
// nobody is.
func (f *Facts) moverResult(evidence []Evidence) (r Result, ok bool) {
	line := f.lineBehind("pam_cgroup.so")
	rules, names := f.movingRules(f.missing())
	if len(names) == 0 || line == nil && !f.runsRulesDaemon() {
		return r, false
	}
	by, without := "cgrulesengd", "stop cgrulesengd"
	var seen []Evidence
	for _, rule := range rules {
		seen = append(seen, rule.evidence())
	}
	if line != nil {
		by, without = "pam_cgroup.so", "remove the line of pam_cgroup.so"
		seen = append(seen, lineEvidence(*line))
	}
	files := filesOf(seen[:len(rules)])
	r = failed(by+" moved the shell to another cgroup, by the rules of "+strings.Join(files, " and ")+": it has no cgroup of its own in "+strings.Join(names, " "), append(seen, evidence...)...)
	return r.fixed("remove the rules for "+f.Subject.Name+" from "+strings.Join(files, " and ")+", or "+without+", and log in again", byHand(append([]string{f.editor()}, files...)...)), true
}

// movingRules returns the rules that lead to where the subject's process is in some of these
// hierarchies, and the names of those.
func (f *Facts) movingRules(where []*location) (rules []cgroupRule, names []string) {
	for _, rule := range f.ownRules() {
		isMoving := false
		for _, l := range where {
			if rule.isOf(l.Controllers) && f.leadsTo(rule, l.member) {
				isMoving = true
				names = append(names, l.Name)
			}
		}
		if isMoving {
			rules = append(rules, rule)
		}
	}
	return rules, names
}

// othersSession names the user for whom the session was made in which the shell is, where that
// is another one; "" if it is in none such.
func (f *Facts) othersSession() string {
	own, _ := layout.DirName(f.Subject.Name)
	for _, l := range f.missing() {
		below := strings.TrimSuffix(l.member, "/"+layout.Leaf)
		if id, isOne := layout.SessionOf(l.Hierarchy, below); isOne && id.User != own {
			return id.User
		}
	}
	return ""
}

// lineBehind returns the line of another module that stands after ours; nil if none does.
func (f *Facts) lineBehind(module string) *pamconf.Line {
	behind := false
	for i := range f.login.lines {
		switch line := &f.login.lines[i]; {
		case line.Is(moduleName):
			behind = true
		case behind && line.Is(module):
			return line
		}
	}
	return nil
}

// jobsOf returns the hierarchies in which a login is in a job of Slurm's: in job_N below
// /slurm (/slurm_NODE with several daemons) on cgroup v1, below slurmstepd.scope on v2
// (Slurm's plugins cgroup/v1 and cgroup/v2). Others may call a cgroup job_7 too. Those of PBS
// are in jobid/ID below pbs_jobs.service, in jobs/ID on v2, once in pbspro.slice (its hook pbs_cgroups).
func jobsOf(members []hierarchy.Membership) (names []string) {
	for _, m := range members {
		if isOfPBS(m.Path) {
			names = append(names, m.Hierarchy)
			continue
		}
		isSlurms := false
		for _, name := range strings.Split(m.Path, "/") {
			number, isJob := strings.CutPrefix(name, "job_")
			if _, err := strconv.Atoi(number); isSlurms && isJob && err == nil {
				names = append(names, m.Hierarchy)
			}
			isSlurms = isSlurms || name == "slurm" || strings.HasPrefix(name, "slurm_") || strings.HasSuffix(name, "slurmstepd.scope")
		}
	}
	return names
}

// jobResult is the result for a shell that Slurm has put into a job, and that has no
// cgroups of its own; ok is false if it is in none.
func (f *Facts) jobResult(evidence []Evidence) (r Result, ok bool) {
	jobs := jobsOf(f.members)
	if len(jobs) == 0 {
		return r, false
	}
	r = failed(jobsManager(f.members)+" has put this shell into a job ("+hierarchy.PathIn(f.members, jobs[0])+"), and the module leaves it there: its containers have no cgroups of their own", evidence...)
	return r.fixed("ask the cluster's administrators for another way: containers of this shell stay under the job's limits, without cgroups of their own"), true
}

// tornResult is the result for a login that Slurm has put into a job, and that is in a
// session elsewhere: there it is out of the job's limits. ok is false if that is not so.
func (f *Facts) tornResult() (r Result, ok bool) {
	jobs := jobsOf(f.members)
	if len(jobs) == 0 {
		return r, false
	}
	var own []string
	var evidence []Evidence
	for i := range f.locations {
		l := &f.locations[i]
		switch {
		case slices.Contains(jobs, l.Name):
			evidence = append(evidence, Evidence{f.cgroupFile(), l.Name + ":" + l.member})
		case l.delegated() && len(l.Controllers) > 0:
			own = append(own, l.Name)
			evidence = append(evidence, Evidence{f.cgroupFile(), l.Name + ":" + l.member})
		}
	}
	if len(own) == 0 {
		return r, false
	}
	return tornFrom(jobsManager(f.members), own, evidence), true
}

// tornFrom is the result for a login that was moved out of its job in these hierarchies.
func tornFrom(by string, own []string, evidence []Evidence) Result {
	r := failed(by+" put this login into a job, and the module has moved it out in the hierarchies "+strings.Join(own, " ")+": the job's limits do not hold there", evidence...)
	return r.fixed("log in again: the module leaves such a login in its job, under the job's limits and without cgroups of its own")
}
