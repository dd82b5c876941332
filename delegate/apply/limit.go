package apply

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// LimitError says that a limit of the user or of the session does not hold: Err is a
// *limits.SettingError, *limits.NoEquivalentError or *limits.InUseError; or, from
// delegate.Open, a *plan.NoLimitError where there is no cgroup that could be limited.
type LimitError struct {
	Of  string // "user" or "session", as in limits.conf(5); "login" for both
	Err error
}

func (e *LimitError) Error() string { return fmt.Sprintf("limit of the %s: %v", e.Of, e.Err) }
func (e *LimitError) Unwrap() error { return e.Err }

// isLimited tells whether the user has limits in the hierarchy.
func (a *application) isLimited(p *part) bool {
	return len(limits.OfHierarchy(p.Hierarchy, a.Limits.User)) > 0
}

// limitUser sets the limits of all the user's sessions together.
func (a *application) limitUser(p *part, user *cgroupfs.Dir) {
	p.ofUser = nil
	if !a.isLimited(p) {
		return
	}
	settings, errs := limits.Settings(a.place(p, layout.UserPath(p.Hierarchy, a.User)), a.Limits.User)
	a.isUnset("user", errs...)
	p.ofUser = a.Plan.Tightened(p.Step, settings)
	for _, outcome := range limits.Update(user, p.ofUser) {
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

// requireLimits returns why the session may not be opened.
func (a *application) requireLimits() error {
	if !a.RequireLimits || len(a.unset) == 0 {
		return nil
	}
	return &RequiredError{Errs: a.unset}
}

// sortUnset returns which of the limits that are not set are worth a warning. That there
// is no such limit on this machine is said once, at the user's first session.
func (a *application) sortUnset() (warnings, notes []error) {
	for _, err := range a.unset {
		var none *limits.NoEquivalentError
		if errors.As(err, &none) && len(a.taken) > 0 {
			notes = append(notes, err)
		} else {
			warnings = append(warnings, err)
		}
	}
	return warnings, notes
}
