package apply

import (
	"context"
	"errors"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// LimitRequest says which limits a user, and each session of the user's, is to have.
type LimitRequest struct {
	Machine machine.Machine
	Set     *hierarchy.Set
	User    string // layout.DirName
	Limits  limits.Given
	// Managed are the hierarchies in which a manager of logins has the user's sessions, and
	// limits them: what is not in user/NAME is not missing there.
	Managed []*hierarchy.Hierarchy
	// OnlyCompare changes nothing.
	OnlyCompare bool
}

// Limited is what became of limits in one cgroup.
type Limited struct {
	Hierarchy *hierarchy.Hierarchy
	Session   int    // -1: user/NAME, all of the user's sessions together
	Path      string // below the mount point
	Dir       string // the whole path
	Outcomes  []limits.Outcome
	// Errs are why limits could not even be tried: *limits.NoEquivalentError,
	// *limits.SettingError, *EnableError.
	Errs []error
}

// Limit sets limits where the user has sessions, and lifts those that are not given; it
// lowers no memory below what is in use. The caller has the user's lock.
func Limit(r LimitRequest) (all []Limited) {
	for _, h := range r.Set.All {
		user, err := layout.OpenUser(h, r.User)
		if err != nil {
			all = append(all, r.without(h, -1))
			continue
		}
		ofUser := r.limitUser(h, user)
		all = append(all, ofUser)
		for _, n := range layout.Numbers(r.Set, r.User) {
			id := layout.ID{User: r.User, Number: n}
			session, err := id.Open(h)
			if err != nil {
				all = append(all, r.without(h, n))
				continue
			}
			all = append(all, r.limit(h, session, limits.Place{Path: id.Path(h), Above: settingsIn(ofUser)}, n))
			session.Close()
		}
		user.Close()
	}
	return slices.DeleteFunc(all, func(l Limited) bool { return len(l.Outcomes) == 0 && len(l.Errs) == 0 })
}

// ErrNoSession says that a session, or all of the user's, have no part in the hierarchy: they
// were opened before there was a limit for which it is needed.
var ErrNoSession = errors.New("the session was opened before there were limits in this hierarchy, and has no cgroup there")

// without tells of the limits in a hierarchy in which a session has no part, or the user no
// session.
func (r LimitRequest) without(h *hierarchy.Hierarchy, session int) Limited {
	l := Limited{Hierarchy: h, Session: session, Path: layout.UserPath(h, r.User)}
	if slices.Contains(r.Managed, h) {
		return l
	}
	for _, limit := range limits.OfHierarchy(h, slices.Concat(r.Limits.User, r.Limits.Session)) {
		l.Errs = append(l.Errs, &limits.SettingError{Limit: limit, Err: ErrNoSession})
	}
	return l
}

func settingsIn(l Limited) (settings []limits.Setting) {
	for _, o := range l.Outcomes {
		settings = append(settings, o.Setting)
	}
	return settings
}

// limitUser limits user/NAME. On v2 the files of limits are there only where the cgroup
// above has enabled the controller.
func (r LimitRequest) limitUser(h *hierarchy.Hierarchy, user *cgroupfs.Dir) Limited {
	var errs []error
	if h.IsUnified() && !r.OnlyCompare {
		enabler := &application{}
		for _, level := range []struct {
			open func() (*cgroupfs.Dir, error)
			list []limits.Limit
		}{
			{func() (*cgroupfs.Dir, error) { return h.BaseDir().OpenPath("/") }, slices.Concat(r.Limits.User, r.Limits.Session)},
			{func() (*cgroupfs.Dir, error) { return layout.OpenUsers(h) }, slices.Concat(r.Limits.User, r.Limits.Session)},
			{func() (*cgroupfs.Dir, error) { return layout.OpenUser(h, r.User) }, r.Limits.Session},
		} {
			dir, err := level.open()
			if err != nil {
				continue // it has gone, and the sessions with it
			}
			_ = enabler.enable(dir, controllersOf(limits.OfHierarchy(h, level.list)))
			dir.Close()
		}
		errs = enabler.warnings
	}
	l := r.limit(h, user, limits.Place{Path: layout.UserPath(h, r.User)}, -1)
	l.Errs = append(errs, l.Errs...)
	return l
}

func controllersOf(list []limits.Limit) (controllers []string) {
	for _, l := range list {
		controllers = append(controllers, limits.ControllerOf(l.Name, true))
	}
	slices.Sort(controllers)
	return slices.Compact(controllers)
}

// limit limits one cgroup.
func (r LimitRequest) limit(h *hierarchy.Hierarchy, dir *cgroupfs.Dir, at limits.Place, session int) Limited {
	at.Machine, at.Hierarchy = r.Machine, h
	list := r.Limits.Session
	if session < 0 {
		list = r.Limits.User
	}
	settings, errs := limits.Settings(at, list)
	settings = append(settings, limits.Surplus(at, dir, settings)...)
	l := Limited{Hierarchy: h, Session: session, Path: at.Path, Dir: dir.Path(), Errs: errs}
	if r.OnlyCompare {
		l.Outcomes = limits.Compare(dir, settings)
	} else {
		l.Outcomes = limits.Update(dir, settings)
	}
	return l
}

// Lower goes on with what Limit did not lower, because it was in use, until the context ends
// (limits.Lower). It needs no lock.
func Lower(ctx context.Context, all []Limited) {
	for i := range all {
		if !slices.ContainsFunc(all[i].Outcomes, limits.Outcome.IsInUse) {
			continue
		}
		dir, err := all[i].Hierarchy.OpenBelow(all[i].Path)
		if err != nil {
			continue // the session ended
		}
		limits.Lower(ctx, dir, all[i].Outcomes)
		dir.Close()
	}
}
