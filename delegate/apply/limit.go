package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// LimitError says that a limit of the user or of the session does not hold: Err is a
// *limits.SettingError, *limits.NoEquivalentError or *limits.InUseError; or, from
// delegate.Open, a *plan.NoLimitError where there is no cgroup that could be limited, or a
// *plan.NotInUnitError where systemd has one and has not limited it.
type LimitError struct {
	Of  string // "user" or "session", as in limits.conf(5); "login" for both
	Err error
}

func (e *LimitError) Error() string { return fmt.Sprintf("limit of the %s: %v", e.Of, e.Err) }
func (e *LimitError) Unwrap() error { return e.Err }

// isLimited tells whether the user has limits in the hierarchy, or may have some that are no
// longer given.
func (a *application) isLimited(p *part) bool {
	return len(limits.OfHierarchy(p.Hierarchy, a.Limits.User)) > 0 || a.Limits.IsManaged && len(a.taken) > 0
}

// limitUser sets the limits of all the user's sessions together.
func (a *application) limitUser(p *part, user *cgroupfs.Dir) {
	p.ofUser = nil
	if !a.isLimited(p) {
		return
	}
	at := a.place(p, layout.UserPath(p.Hierarchy, a.User))
	settings, errs := limits.Settings(at, a.Limits.User)
	a.isUnset("user", errs...)
	p.ofUser = a.Plan.Tightened(p.Step, settings)
	update := limits.Update
	switch {
	case len(a.taken) == 0: // user/NAME is new, or nobody is in it
	case a.Limits.IsUncertain:
		update = limits.Tighten
	case a.Limits.IsManaged:
		settings = append(limits.Surplus(at, user, p.ofUser), p.ofUser...)
		for _, outcome := range update(user, settings) {
			a.isUnset("user", outcome.Err)
		}
		return
	}
	for _, outcome := range update(user, p.ofUser) {
		a.isUnset("user", outcome.Err)
	}
}

// limitSession sets the limits of the session, which was just made.
func (a *application) limitSession(p *part, session *cgroupfs.Dir) {
	if len(limits.OfHierarchy(p.Hierarchy, a.Limits.Session)) == 0 {
		return
	}
	at := a.place(p, a.id.Path(p.Hierarchy))
	at.Above = p.ofUser
	settings, errs := limits.Settings(at, a.Limits.Session)
	a.isUnset("session", errs...)
	a.isUnset("session", limits.Write(session, a.Plan.Tightened(p.Step, settings))...)
}

func (a *application) place(p *part, below string) limits.Place {
	return limits.Place{Machine: a.Machine, Hierarchy: p.Hierarchy, Path: below}
}

// isUnset notes why limits could not be set. A cgroup that went meanwhile is one that
// another attempt makes again.
func (a *application) isUnset(of string, errs ...error) {
	for _, err := range errs {
		if err != nil {
			a.unset = append(a.unset, &LimitError{Of: of, Err: err})
		}
	}
}

// RequiredError says that limits have to hold and do not: Errs are *LimitError. It does
// not unwrap to them: an errno in one would look like a lost race.
type RequiredError struct{ Errs []error }

func (e *RequiredError) Error() string {
	return "limits are required: " + strings.ReplaceAll(errors.Join(e.Errs...).Error(), "\n", "; ")
}

// requireLimits returns why the session may not be opened. That the user's other sessions
// have more memory in use than the limit allows is no reason: a limit holds meanwhile, and
// who could not log in could not end them.
func (a *application) requireLimits() error {
	unset := slices.DeleteFunc(slices.Concat(a.dropped, a.unset), func(err error) bool {
		var inUse *limits.InUseError
		return errors.As(err, &inUse) && inUse.InForce > 0
	})
	if !a.RequireLimits || len(unset) == 0 {
		return nil
	}
	return &RequiredError{Errs: unset}
}

// drop goes on without a hierarchy that was not asked for, and is there for limits alone, if
// there is another: its limits do not hold, but what was asked for does. A process with a
// realtime priority cannot enter a cgroup of v1's cpu, say.
func (a *application) drop(err error) bool {
	var in *HierarchyError
	if !errors.As(err, &in) || len(a.parts)+len(a.Plan.With(plan.Adopt)) < 2 {
		return false
	}
	at := slices.IndexFunc(a.parts, func(p *part) bool { return p.Name == in.Hierarchy && p.ForLimits })
	if at < 0 {
		return false
	}
	for of, list := range map[string][]limits.Limit{"user": a.Limits.User, "session": a.Limits.Session} {
		for _, l := range limits.OfHierarchy(a.parts[at].Hierarchy, list) {
			a.dropped = append(a.dropped, &LimitError{Of: of, Err: &limits.SettingError{Limit: l, Err: in.Err}})
		}
	}
	a.parts = slices.Delete(a.parts, at, at+1)
	if len(a.parts) == 0 {
		a.id.Number = -1
	}
	return true
}

// sortUnset returns which of the limits that are not set are worth a warning. That there
// is no such limit on this machine is said once, at the user's first session.
func (a *application) sortUnset() (warnings, notes []error) {
	for _, err := range slices.Concat(a.dropped, a.unset) {
		var none *limits.NoEquivalentError
		if errors.As(err, &none) && len(a.taken) > 0 {
			notes = append(notes, err)
		} else {
			warnings = append(warnings, err)
		}
	}
	return warnings, notes
}
