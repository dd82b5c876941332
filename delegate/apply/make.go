package apply

import (
	"errors"
	"slices"

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
	if a.isLimited(p) { // user/NAME before there is a session in it
		if err := a.makeUser(p); err != nil {
			return err
		}
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
	a.limitSession(p, p.target)
	return a.give(p, p.target)
}

// give gives a session of v1 to the user, if it was asked for.
func (a *application) give(p *part, session *cgroupfs.Dir) error {
	if p.ForLimits {
		return nil
	}
	return session.Chown(a.UID, a.GID)
}

// makeUser makes user/ and user/NAME, with the user's limits.
func (a *application) makeUser(p *part) error {
	err := layout.MakeUsers(p.Hierarchy)
	if err == nil {
		err = layout.MakeUser(p.Hierarchy, a.User)
	}
	p.hasUser = err == nil
	if err != nil || !a.isLimited(p) {
		return p.refused(err)
	}
	user, err := layout.OpenUser(p.Hierarchy, a.User)
	if err != nil {
		return err
	}
	defer user.Close()
	a.limitUser(p, user)
	return nil
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
		return a.give(p, session)
	})
}

// makeV2 is make on cgroup v2, where each cgroup on the way has to give controllers
// to its children.
func (a *application) makeV2(p *part) error {
	ofUser := slices.Concat(p.Enable, lacking(p.Enable, p.LimitUser))
	if err := a.enable(p.BaseDir(), ofUser); err != nil {
		return err
	}
	// in user/, in user/NAME, and in the session, where it is the user's to enable
	levels := [][]string{ofUser, slices.Concat(p.Enable, lacking(p.Enable, p.LimitSession)), p.Enable}
	give := func(_, child *cgroupfs.Dir) error {
		controllers := levels[0]
		levels = levels[1:]
		return a.enable(child, controllers)
	}
	return a.descend(p, give, func(session *cgroupfs.Dir) (err error) {
		defer session.Close()
		p.target, err = a.makeLeaf(p, session)
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
	p.hasUser = true
	user, err := layout.OpenUser(p.Hierarchy, a.User)
	if err != nil {
		return p.refused(err)
	}
	defer user.Close()
	if p.IsUnified() && !p.ForLimits {
		if err := allowMoves(user, a.UID, a.GID); err != nil {
			return err
		}
	}
	if err := prepare(users, user); err != nil {
		return p.refused(err)
	}
	a.limitUser(p, user)
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
	a.limitSession(p, session)
	return use(session)
}
