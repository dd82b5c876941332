package apply

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// make makes the session in one hierarchy and opens the cgroup that the process is
// to enter. A *plan.DeniedError says that user/NAME cannot be made.
func (a *application) make(p *part) error {
	switch {
	case p.IsUnified():
		return a.makeV2(p)
	case p.Has("cpuset"):
		return a.makeCpuset(p)
	}
	err := a.id.Make(p.Hierarchy)
	if errors.Is(err, unix.ENOENT) { // the user's first session here
		if err = a.makeUser(p); err == nil {
			err = a.id.Make(p.Hierarchy)
		}
	}
	if err != nil {
		return err
	}
	p.isMade = true
	if p.target, err = a.id.Open(p.Hierarchy); err != nil {
		return err
	}
	return p.target.Chown(a.UID, a.GID)
}

// makeUser makes user/ and user/NAME.
func (a *application) makeUser(p *part) error {
	err := layout.MakeUsers(p.Hierarchy)
	if err == nil {
		err = layout.MakeUser(p.Hierarchy, a.User)
	}
	return p.refused(err)
}

// refused turns what the kernel says of a place in which no session can be made into
// a *plan.DeniedError.
func (p *part) refused(err error) error {
	if isDenied(err) {
		return &plan.DeniedError{Hierarchy: p.Name, Err: err}
	}
	return err
}

// makeCpuset is make where each new cgroup needs CPUs before a process can enter.
func (a *application) makeCpuset(p *part) error {
	return a.descend(p, func(parent, child *cgroupfs.Dir) error { return InheritCpuset(a.Machine, parent, child) }, func(session *cgroupfs.Dir) error {
		p.target = session
		return session.Chown(a.UID, a.GID)
	})
}

// makeV2 is make on cgroup v2, where each cgroup on the way has to give controllers
// to its children.
func (a *application) makeV2(p *part) error {
	if err := a.enable(p.BaseDir(), p.Enable); err != nil {
		return err
	}
	give := func(_, child *cgroupfs.Dir) error { return a.enable(child, p.Enable) }
	return a.descend(p, give, func(session *cgroupfs.Dir) (err error) {
		defer session.Close()
		p.target, err = a.makeLeaf(session)
		return err
	})
}

// descend makes user/, user/NAME and the session, opening each, and calls prepare
// for each with its parent; use gets the session, and has to close it.
func (a *application) descend(p *part, prepare func(parent, child *cgroupfs.Dir) error, use func(session *cgroupfs.Dir) error) error {
	if err := layout.MakeUsers(p.Hierarchy); err != nil {
		return p.refused(err)
	}
	users, err := layout.OpenUsers(p.Hierarchy)
	if err != nil {
		return p.refused(err)
	}
	defer users.Close()
	if err := prepare(p.BaseDir(), users); err != nil {
		return p.refused(err)
	}
	if err := layout.MakeUser(p.Hierarchy, a.User); err != nil {
		return p.refused(err)
	}
	user, err := layout.OpenUser(p.Hierarchy, a.User)
	if err != nil {
		return p.refused(err)
	}
	defer user.Close()
	if p.IsUnified() {
		if err := allowMoves(user, a.UID, a.GID); err != nil {
			return err
		}
	}
	if err := prepare(users, user); err != nil {
		return p.refused(err)
	}
	if err := a.id.Make(p.Hierarchy); err != nil {
		return err
	}
	p.isMade = true
	session, err := a.id.Open(p.Hierarchy)
	if err != nil {
		return err
	}
	if err := prepare(user, session); err != nil {
		session.Close()
		return err
	}
	return use(session)
}
