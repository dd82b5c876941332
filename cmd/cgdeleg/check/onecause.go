package check

import "slices"

// isSaidOfLimits tells whether the check config-limits says of all these controllers why the
// session lacks them, or has the cause of the others as well: one cause is one finding.
func (f *Facts) isSaidOfLimits(lacking []string) bool {
	if f.Config == nil || f.Partial || !f.isUnified() {
		return false
	}
	said, _ := f.lackingForLimits()
	isOf := func(c string) bool { return slices.Contains(lacking, c) }
	if said = slices.DeleteFunc(said, func(c string) bool { return !isOf(c) }); len(said) == 0 || f.unified() == nil {
		return false
	}
	for _, controller := range lacking {
		cause := f.causeOf(controller).says
		if !slices.Contains(said, controller) && !slices.ContainsFunc(said, func(c string) bool { return f.causeOf(c).says == cause }) {
			return false
		}
	}
	return !checkLXCView(f).Status.IsTrouble() && checkConfigLimits(f).Status == Failed
}

// nobodyLogsIn tells whether it is a container of Docker's or its like, which run one program, and
// no program that calls PAM for logins is among its processes.
func (f *Facts) nobodyLogsIn() bool {
	pids, err := f.Machine.Processes()
	isOne := func(pid int) bool {
		_, isApplication := IsApplication(f.Machine, pid)
		return isApplication
	}
	return err == nil && f.Subject.PID != 0 && f.inDocker() && f.login.application == "" && !slices.ContainsFunc(pids, isOne)
}
