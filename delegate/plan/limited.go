package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// withLimits returns a step for each hierarchy that was asked for or has a limit that the
// login is given, in the order of all.
func withLimits(set *hierarchy.Set, selected []hierarchy.Selection, given limits.Given) (steps []Step) {
	for _, h := range set.All {
		step := Step{Selection: hierarchy.Selection{Hierarchy: h}, ForLimits: true}
		if at := slices.IndexFunc(selected, func(s hierarchy.Selection) bool { return s.Hierarchy == h }); at >= 0 {
			step = Step{Selection: selected[at]}
		}
		own := limits.OfHierarchy(h, slices.Concat(given.User, given.Session))
		if step.ForLimits && len(own) == 0 {
			continue
		}
		if h.IsUnified() {
			step.LimitUser, step.LimitSession = controllersOf(own), controllersOf(limits.OfHierarchy(h, given.Session))
		}
		steps = append(steps, step)
	}
	return steps
}

// controllersOf returns the v2 controllers that have the limits, each once.
func controllersOf(list []limits.Limit) (controllers []string) {
	for _, l := range list {
		if c := limits.ControllerOf(l.Name, true); !slices.Contains(controllers, c) {
			controllers = append(controllers, c)
		}
	}
	return controllers
}

// NoLimitError names limits that the plan has no cgroup for, and says why.
type NoLimitError struct {
	Names  []limits.Name
	Reason error // nil: no mounted hierarchy has the controller
}

func (e *NoLimitError) Error() string {
	reason := "no mounted hierarchy has the controller"
	if e.Reason != nil {
		reason = e.Reason.Error()
	}
	return fmt.Sprintf("%s not set: %s", joinNames(e.Names), reason)
}

func (e *NoLimitError) Unwrap() error { return e.Reason }

// ErrScopeAlone says that a manager of logins has no cgroup for all sessions of a user, and
// sets no limits.
var ErrScopeAlone = errors.New("the scope that elogind made is in no cgroup of the user's")

// NotInUnitError says that a cgroup of systemd's has not the limit that the files give.
type NotInUnitError struct {
	Name  limits.Name
	File  string // that should have it, its whole path
	Value string // what is in it; "" if it cannot be read
}

func (e *NotInUnitError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s not set: %s cannot be read", e.Name, e.File)
	}
	return fmt.Sprintf("%s not set: %s is %s", e.Name, e.File, e.Value)
}

// NotInUnits returns which limits are neither in the units of systemd's in which the login
// is nor above: those of the user in the slice, those of the session in the scope. It looks
// at memory, processes and CPU time: what systemd makes of the others cannot be compared.
// Errors are *NotInUnitError, and *limits.InUseError where the unit has not so little memory
// because more is in use.
func (p *Plan) NotInUnits(m machine.Machine, uid int, given limits.Given) (errs []error) {
	if !p.Manager.KeepsScopes() {
		return nil
	}
	for _, s := range p.With(Adopt) {
		slice := s.Scope
		for slice != "/" && !isSliceOf(slice, uid) {
			slice = path.Dir(slice)
		}
		errs = append(errs, notIn(m, s.Hierarchy, slice, given.User)...)
		errs = append(errs, notIn(m, s.Hierarchy, s.Scope, given.Session)...)
	}
	return errs
}

// compared are the limits of which it can be told whether those of a cgroup are as tight.
var compared = []limits.Name{limits.MemoryMax, limits.MemoryHigh, limits.MemorySwapMax, limits.PidsMax, limits.CPUMax}

// notIn returns which limits neither a cgroup nor one above has.
func notIn(m machine.Machine, h *hierarchy.Hierarchy, cgroup string, list []limits.Limit) (errs []error) {
	settings, _ := limits.Settings(limits.Place{Machine: m, Hierarchy: h, Path: cgroup}, limits.OfHierarchy(h, list))
	for _, name := range compared {
		var own []limits.Setting
		for _, s := range settings {
			if s.Limit.Name == name {
				own = append(own, s)
			}
		}
		if len(own) == 0 {
			continue
		}
		if err := notHeld(h, cgroup, own); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// notHeld returns why what one limit comes to does not hold in a cgroup; nil if it does.
func notHeld(h *hierarchy.Hierarchy, cgroup string, settings []limits.Setting) error {
	values := func(file string) []string { return shed(h, cgroup, file) }
	if limits.AreHeld(settings, values) {
		return nil
	}
	if dir, err := h.OpenBelow(cgroup); err == nil {
		defer dir.Close()
		for _, outcome := range limits.Compare(dir, settings) {
			if outcome.IsInUse() {
				return outcome.Err
			}
		}
	}
	last := settings[len(settings)-1]
	err := &NotInUnitError{Name: last.Limit.Name, File: path.Join(h.Mount.Point, cgroup, last.File)}
	if found := values(last.File); len(found) > 0 {
		err.Value = found[0]
	}
	return err
}

func joinNames(names []limits.Name) string {
	var words []string
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, ", ")
}

// Unlimited returns which of the limits no session of ours can have, and nobody else holds:
// a *NoLimitError for each reason. Those of a scope that is adopted are not among them: its
// manager has cgroups for them.
func (p *Plan) Unlimited(m machine.Machine, set *hierarchy.Set, list []limits.Limit) (errs []*NoLimitError) {
	add := func(reason error, l limits.Limit) {
		at := slices.IndexFunc(errs, func(e *NoLimitError) bool { return e.Reason == reason }) //nolint:errorlint // the same one
		if at < 0 {
			at, errs = len(errs), append(errs, &NoLimitError{Reason: reason})
		}
		if !slices.Contains(errs[at].Names, l.Name) {
			errs[at].Names = append(errs[at].Names, l.Name)
		}
	}
	for _, l := range limits.Homeless(set.All, list) {
		add(nil, l)
	}
	if !p.Manager.KeepsScopes() { // elogind
		for _, s := range p.With(Adopt) {
			for _, l := range limits.OfHierarchy(s.Hierarchy, list) {
				add(ErrScopeAlone, l)
			}
		}
	}
	for _, s := range p.With(Leave) {
		for _, l := range limits.OfHierarchy(s.Hierarchy, list) {
			if !isHeld(m, s, l) {
				add(s.Reason, l)
			}
		}
	}
	return errs
}

// isHeld tells whether who confines the login gives it no more than the limit does.
func isHeld(m machine.Machine, s *Step, l limits.Limit) bool {
	below, err := s.Below(s.Member)
	if err != nil {
		return false
	}
	settings, errs := limits.Settings(limits.Place{Machine: m, Hierarchy: s.Hierarchy, Path: below}, []limits.Limit{l})
	return len(errs) == 0 && limits.AreHeld(settings, func(file string) []string { return shed(s.Hierarchy, s.Member, file) })
}

// Tightened returns the settings for a cgroup of ours in the hierarchy of the step, with
// the limits that a login sheds that is moved although somebody confines it: the tighter
// of both holds.
func (p *Plan) Tightened(s *Step, settings []limits.Setting) []limits.Setting {
	if !p.movesConfined {
		return settings
	}
	return limits.Tightened(settings, func(file string) []string { return shed(s.Hierarchy, s.Member, file) })
}

// shed returns what a file says in the cgroups that a move into a session of the user
// would leave.
func shed(h *hierarchy.Hierarchy, member, file string) (values []string) {
	for _, at := range left(h, member) {
		dir, err := h.OpenBelow(at)
		if err != nil {
			continue
		}
		if data, err := dir.Read(file); err == nil {
			values = append(values, strings.TrimSpace(string(data)))
		}
		dir.Close()
	}
	return values
}

// left returns the cgroups that a move from the cgroup member into a session
// would leave: each from there up to the base, but for the base, what would still be above
// the process, and what is ours.
func left(h *hierarchy.Hierarchy, member string) (cgroups []string) {
	below, err := h.Below(member)
	if err != nil {
		return nil
	}
	users := path.Join(h.Base, layout.UsersDir)
	for at := below; at != "/" && at != h.Base; at = path.Dir(at) {
		_, isSession := layout.SessionAt(h, at)
		if !isSession && at != users && path.Dir(at) != users {
			cgroups = append(cgroups, at)
		}
	}
	return cgroups
}
