package check

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// loginPlan is what the module would do for the login by which the subject's
// process came, if it called the module now, where that process is; with --user,
// for a login that nobody has put anywhere.
func (f *Facts) loginPlan() *plan.Plan {
	return f.planOf(plan.Request{
		Login: manager.Login{PID: cmp.Or(f.login.pid, f.Subject.PID), UID: f.Subject.UID}, Members: withoutLeaves(f.members),
		Controllers: f.login.asked, Policy: f.login.policy,
	})
}

// openPlan is what cgdeleg open would do for the shell.
func (f *Facts) openPlan(list hierarchy.ControllerList) *plan.Plan {
	return f.planOf(plan.Request{
		Login: manager.Login{PID: f.Subject.PID, UID: f.Subject.UID}, Members: f.members, Controllers: list,
	})
}

// basePlan is what a login would get that nobody has put anywhere: what can be had
// at all.
func (f *Facts) basePlan() *plan.Plan {
	return f.planOf(plan.Request{Login: manager.Login{UID: f.Subject.UID}, Controllers: hierarchy.Everything})
}

func (f *Facts) planOf(r plan.Request) *plan.Plan {
	r.User, _ = layout.DirName(f.Subject.Name) // or nobody's sessions are found
	return plan.New(f.Machine, f.set, r)
}

// withoutLeaves returns the memberships as LXC takes them, a trailing /init.scope
// taken off: the process of a login is in the leaf of the scope that was adopted
// for it.
func withoutLeaves(members []hierarchy.Membership) (all []hierarchy.Membership) {
	for _, m := range members {
		m.Path = path.Join("/", strings.TrimSuffix(m.Path, "/"+layout.Leaf))
		all = append(all, m)
	}
	return all
}

// isDenied tells whether root may make no sessions in a hierarchy: in an
// unprivileged container root is somebody's subordinate ID, and many a hierarchy is
// not its own.
func isDenied(s *plan.Step) bool { return reasonOf[*plan.DeniedError](s) != nil }

// reasonOf returns why a hierarchy is left alone, if it is for a reason of that
// type; nil if not.
func reasonOf[E error](s *plan.Step) (reason E) {
	if s != nil {
		errors.As(s.Reason, &reason)
	}
	return reason
}

// wanted returns the hierarchies that the login's line asks for, but for those that
// this machine, or container, has not to give.
func (f *Facts) wanted() (steps []*plan.Step) {
	for i := range f.plan.Steps {
		if s := &f.plan.Steps[i]; !isDenied(s) {
			steps = append(steps, s)
		}
	}
	return steps
}

// wouldGet tells whether a login gets a cgroup of its own by a step. Without a
// process it is taken to be in a scope of its own, where somebody makes such.
func (f *Facts) wouldGet(s *plan.Step) bool {
	return s.Action != plan.Leave || f.Subject.PID == 0 && reasonOf[*manager.LeftAloneError](s) != nil
}

// notMounted returns the controllers that were asked for and that no mounted
// hierarchy has.
func (f *Facts) notMounted() []string {
	for _, warning := range f.plan.Warnings {
		var missing *plan.MissingError
		if errors.As(warning, &missing) {
			return missing.Controllers
		}
	}
	return nil
}

// missing returns where the subject's process should have a cgroup of its own and
// has none. A v2 without controllers beside v1 is no loss: nothing is limited there.
// Nor is one that a manager keeps for itself beside v1, or a v1 hierarchy that no client uses.
func (f *Facts) missing() (all []*location) {
	for i := range f.locations {
		l := &f.locations[i]
		isKept := l.IsUnified() && !f.isUnified() && reasonOf[*manager.LeftAloneError](l.step) != nil
		if l.step == nil || l.delegated() || len(l.Controllers) == 0 || isDenied(l.step) || isKept || f.isStray(l.Hierarchy) {
			continue
		}
		all = append(all, l)
	}
	return all
}

// isDelegated tells whether the subject's process has all that was asked for.
func (f *Facts) isDelegated() bool { return len(f.locations) > 0 && len(f.missing()) == 0 }

// leftAlone returns why a manager's hierarchy, in which the subject's process has
// no cgroup of its own, is not used for its login; nil if there is none such.
func (f *Facts) leftAlone() *manager.LeftAloneError {
	for _, l := range f.missing() {
		if reason := reasonOf[*manager.LeftAloneError](l.step); reason != nil {
			return reason
		}
	}
	return nil
}

// elsewhere returns the location in which a manager gives the user a cgroup for
// its containers that is not the shell's own; nil if there is none.
func (f *Facts) elsewhere() *location {
	i := slices.IndexFunc(f.locations, func(l location) bool { return reasonOf[*manager.DelegatedElsewhereError](l.step) != nil })
	if i < 0 {
		return nil
	}
	return &f.locations[i]
}

// canOpen tells whether cgdeleg open could make a session with the controllers.
func (f *Facts) canOpen(controllers []string) bool {
	return !slices.ContainsFunc(controllers, func(c string) bool {
		p := f.openPlan(hierarchy.ControllerList{Names: []string{c}})
		return len(p.With(plan.Leave)) == len(p.Steps)
	})
}

// isDeniedByName is isDenied for a controller, or a hierarchy's name.
func (f *Facts) isDeniedByName(name string) bool {
	p := f.openPlan(hierarchy.ControllerList{Names: []string{name}})
	return slices.ContainsFunc(p.With(plan.Leave), isDenied)
}
