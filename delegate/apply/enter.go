package apply

import (
	"slices"

	"golang.org/x/sys/unix"
)

// haveEntered has the process enter the session by itself, as far as it can. Whoever
// moves another process waits for a grace period of the kernel's first, but for what is
// moved right after that. So it is worth the while only if nothing is left to be moved:
// cgroup v2 has no such way.
//
// After an error the process may be anywhere.
func (a *application) haveEntered() error {
	if a.Enter == nil || len(a.scopes) > 0 || slices.ContainsFunc(a.parts, func(p *part) bool { return p.IsUnified() }) {
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
			return InHierarchy(p.Hierarchy, err)
		}
		tasks = append(tasks, fd)
	}
	entered, err := a.Enter(tasks)
	if err != nil {
		entered = len(a.parts)
	}
	for _, p := range a.parts[:min(max(entered, 0), len(a.parts))] {
		p.isAttached = true
	}
	return err
}
