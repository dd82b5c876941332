package apply

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// haveEntered has the process enter the session by itself, as far as it can. Whoever
// moves another process waits for a grace period of the kernel's first, but for what is
// moved right after that. So it is worth the while only if nothing is left to be moved:
// cgroup v2 has no such way. Where it cannot be asked it is moved.
//
// After an error the process may have entered anything.
func (a *application) haveEntered() error {
	isUnified := func(s *plan.Step) bool { return s.IsUnified() }
	if a.Enter == nil || slices.ContainsFunc(a.scopes, isUnified) || slices.ContainsFunc(a.parts, func(p *part) bool { return isUnified(p.Step) }) {
		return nil
	}
	var tasks []int
	defer func() {
		for _, fd := range tasks {
			unix.Close(fd)
		}
	}()
	for _, p := range a.parts {
		fd, err := p.target.OpenTasks()
		if err != nil {
			return nil //nolint:nilerr // too many are open: the move says what is wrong, if anything
		}
		tasks = append(tasks, fd)
	}
	entered, err := a.Enter(tasks)
	if err != nil {
		return errors.Join(err, a.findEntered())
	}
	for _, p := range a.parts[:min(max(entered, 0), len(a.parts))] {
		p.isAttached = true
	}
	return nil
}

// findEntered looks where the process is, so that what it entered can be taken back. One that
// its user has moved to where no path is told may have entered all.
func (a *application) findEntered() error {
	members, err := hierarchy.Memberships(a.Machine, a.PID)
	for _, p := range a.parts {
		at, ok := layout.SessionOf(p.Hierarchy, hierarchy.PathIn(members, p.Name))
		p.isAttached = ok && at == a.id || errors.Is(err, unix.ENAMETOOLONG)
	}
	return err
}
