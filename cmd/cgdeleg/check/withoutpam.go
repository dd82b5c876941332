package check

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// callsNoPAM tells whether the login's program is known to call no PAM: one that does would find
// neither its service nor "other", and start nothing. BusyBox's crond and su are such. Of sshd its
// own configuration says whether it calls PAM. Only builds for openSUSE look into the last of
// the directories.
func (f *Facts) callsNoPAM() bool {
	l := f.login
	if l.application == "" || l.service == "" || l.service == "sshd" || isSessionless(l.application) || f.Partial || f.hasNoPAM() {
		return false
	}
	if !f.Machine.Exists(pamconf.Dirs[0]) && f.Machine.Find(allServices) != machine.Absent {
		return false // it may have them all (pam.conf(5))
	}
	services, _ := servicesOf(l.application)
	return !slices.ContainsFunc(append(slices.Clone(services), l.service, "other"), func(service string) bool {
		return slices.ContainsFunc(pamconf.Dirs[:len(pamconf.Dirs)-1], func(dir string) bool {
			return f.Machine.Find(dir+"/"+service) != machine.Absent
		}) || f.Machine.Exists(pamconf.Dirs[len(pamconf.Dirs)-1]+"/"+service)
	})
}

// noServiceResult is the result for a login by such a program.
func (f *Facts) noServiceResult() Result {
	l := f.login
	r := failed(fmt.Sprintf("this shell was started by %s, which calls no PAM here: neither the service %s nor \"other\" has a file, without which a program that calls PAM starts nothing", l.application, l.service),
		append([]Evidence{{pamconf.Dirs[0] + "/" + l.service, "is not there"}, {pamconf.Dirs[0] + "/other", "is not there"}}, f.cgroupEvidence()...)...)
	return r.lasting("log in by ssh or on the console, or start containers from such a login", f.openFix())
}

// serverOfUsers says of a program among the ancestors that calls PAM where it is root's that it
// is not; "" if there is none.
func (f *Facts) serverOfUsers() string {
	pid := f.Subject.PID
	for range maxAncestors {
		status, err := f.Machine.StatusOf(pid)
		if err != nil || pid <= 1 {
			return ""
		}
		if _, isApplication := servicesOf(status.Name); isApplication && status.UID != 0 {
			who := fmt.Sprintf("user ID %d", status.UID)
			if status.UID == f.Subject.UID {
				who = f.Subject.Name
			}
			return fmt.Sprintf("the %s among its ancestors (process %d) runs as %s, not as root", status.Name, pid, who)
		}
		pid = status.Parent
	}
	return ""
}

// ofPBS is where PBS has the cgroups of its jobs: its hook calls the first directory after its
// setting cgroup_prefix.
var ofPBS = regexp.MustCompile(`^/(pbs_jobs|pbspro)\.service/(jobid|jobs)/[^/]|^/pbspro\.slice/pbspro-`)

func isOfPBS(cgroup string) bool { return ofPBS.MatchString(cgroup) }

// jobsManager is what put a login into the job in which it is.
func jobsManager(members []hierarchy.Membership) string {
	if slices.ContainsFunc(members, func(m hierarchy.Membership) bool { return isOfPBS(m.Path) }) {
		return "PBS"
	}
	return "Slurm"
}
