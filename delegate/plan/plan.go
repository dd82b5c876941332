// Package plan decides what a login gets: for each hierarchy that was asked for
// whether a session is made, a manager's scope is adopted, or it is left alone, and
// why.
//
// It only reads, also of a recorded machine, and the same for whoever asks: the
// module before it acts, `cgdeleg check`, and `cgdeleg open --dry-run`. It must not
// know how a plan is carried out. Where the kernel is the only one who knows, as
// with a mkdir in somebody else's tree, the plan says what is to be tried.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Action is what is done with a hierarchy.
type Action int

// The actions.
const (
	Leave Action = iota // nothing; Step.Reason says why
	Make                // a session user/NAME/N is made and entered
	Adopt               // the manager's scope is given to the user
)

// String returns the action in a word.
func (a Action) String() string {
	return map[Action]string{Leave: "leave", Make: "make", Adopt: "adopt"}[a]
}

// Step is what is done with one hierarchy.
type Step struct {
	hierarchy.Selection
	Action Action
	// Member is the cgroup in which the process is, as in /proc/PID/cgroup.
	Member string
	// Scope is the cgroup to be adopted, below the mount point; "" unless Action is
	// Adopt.
	Scope string
	// Reason says why the hierarchy is left alone; nil unless Action is Leave:
	// *manager.LeftAloneError, *manager.DelegatedElsewhereError,
	// *manager.ScopeNotDelegatedError, *ConfinedError, *AccountError, *DeniedError.
	Reason error

	// LimitUser are the v2 controllers by which the user or the session is limited,
	// LimitSession those of the session alone; nil on v1.
	LimitUser, LimitSession []string
	// ForLimits tells that the hierarchy was not asked for: the session there is for
	// limits, and is not given to the user.
	ForLimits bool

	leaveLimited error // as in manager.Placement
}

// Request is a login, and what its PAM line asks for.
type Request struct {
	manager.Login
	// User is the directory that holds the user's sessions (layout.DirName).
	User string
	// Members are the cgroups in which the application is.
	Members     []hierarchy.Membership
	Controllers hierarchy.ControllerList
	// Limits are those that the login is given.
	Limits limits.Given
	// Policy is what the line says beside.
	Policy
}

// Policy says for whom nothing is done.
type Policy struct {
	// MoveConfined moves a login out of limits that somebody has put it in.
	MoveConfined bool
	// MinUID: users below get nothing. DefaultMinUID leaves that to the machine.
	MinUID int
}

// DefaultMinUID stands for the machine's own bound between system accounts and
// people (UID_MIN of login.defs(5)), which does not concern root.
const DefaultMinUID = -1

// Plan is what a login gets.
type Plan struct {
	Manager manager.Manager
	Steps   []Step // in the order of /proc/PID/cgroup
	// Warnings are what was asked for and is not to be had: *MissingError,
	// *hierarchy.UnusableError.
	Warnings []error
	// Notes are what was ignored for a good reason: *V1NamesError.
	Notes []error

	movesConfined bool
}

// MissingError names controllers that were asked for and that no mounted
// hierarchy has.
type MissingError struct{ Controllers []string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("no mounted hierarchy has %.300q", strings.Join(e.Controllers, ","))
}

// V1NamesError names v1 hierarchies that were asked for on a machine that has only
// v2. The PAM line of pam_cgfs asks for name=systemd everywhere, so that is no
// fault.
type V1NamesError struct{ Names []string }

func (e *V1NamesError) Error() string {
	return fmt.Sprintf("ignored %q: this machine has only cgroup v2", strings.Join(e.Names, ","))
}

// New returns the plan for a login.
func New(m machine.Machine, set *hierarchy.Set, r Request) *Plan {
	p := &Plan{Manager: manager.Of(m, set), movesConfined: r.MoveConfined}
	selected, missing := hierarchy.Select(set.All, r.Controllers)
	missing = p.ignoreV1Names(set, missing)
	p.warn(set, r.Controllers, missing, len(selected) == 0)
	account, inside := Account(m, r.UID, r.MinUID), InUserNamespace(m)
	for _, step := range withLimits(set, selected, r.Limits) {
		step.Member = hierarchy.PathIn(r.Members, step.Name)
		if account != nil {
			step.Reason = account
		} else {
			p.place(r, &step)
			if inside && step.Action == Make {
				step.leaveIfDenied(m)
			}
		}
		p.Steps = append(p.Steps, step)
	}
	if !r.MoveConfined {
		p.leaveConfined(m, r)
	}
	return p
}

// place decides about one hierarchy.
func (p *Plan) place(r Request, s *Step) {
	below, err := s.Below(s.Member)
	if err != nil {
		below = s.Member
	}
	placement := p.Manager.Place(s.Hierarchy, below, r.Login)
	switch {
	case placement.Leave != nil:
		s.Reason = placement.Leave
	case placement.Scope != "":
		s.Action, s.Scope = Adopt, placement.Scope
	default:
		s.Action, s.leaveLimited = Make, placement.LeaveLimited
	}
}

// ignoreV1Names returns the missing names but for those that only v1 can have,
// where there is only v2.
func (p *Plan) ignoreV1Names(set *hierarchy.Set, missing []string) []string {
	isNamed := func(name string) bool { return strings.HasPrefix(name, "name=") }
	if !set.IsUnified() || !slices.ContainsFunc(missing, isNamed) {
		return missing
	}
	var named []string
	for _, name := range missing {
		if isNamed(name) {
			named = append(named, name)
		}
	}
	p.Notes = append(p.Notes, &V1NamesError{Names: named})
	return slices.DeleteFunc(missing, isNamed)
}

// warn adds what was asked for and cannot be used; all that cannot be used where
// there is nothing else.
func (p *Plan) warn(set *hierarchy.Set, asked hierarchy.ControllerList, missing []string, nothing bool) {
	for _, err := range set.Unusable {
		var u *hierarchy.UnusableError
		isAsked := errors.As(err, &u) && slices.ContainsFunc(strings.Split(u.Hierarchy, ","), func(c string) bool {
			return slices.Contains(asked.Names, c)
		})
		switch {
		case isAsked || nothing || asked.All && isRefused(u):
			p.Warnings = append(p.Warnings, err)
		case u != nil && (u.Hierarchy == "" || asked.All):
			p.Notes = append(p.Notes, err)
		}
	}
	if len(missing) > 0 {
		p.Warnings = append(p.Warnings, &MissingError{Controllers: missing})
	}
}

// isRefused tells of a hierarchy that cannot be used whether the kernel refused it, for a
// reason that may pass. In a container many are of no use for good, because nothing of them
// is shown there.
func isRefused(u *hierarchy.UnusableError) bool {
	var errno unix.Errno
	return u != nil && errors.As(u.Err, &errno) && !cgroupfs.IsGone(errno)
}

// With returns the steps with an action.
func (p *Plan) With(action Action) (steps []*Step) {
	for i := range p.Steps {
		if p.Steps[i].Action == action {
			steps = append(steps, &p.Steps[i])
		}
	}
	return steps
}

// Step returns the step for the hierarchy of that name; nil if it was not asked
// for.
func (p *Plan) Step(name string) *Step {
	for i := range p.Steps {
		if p.Steps[i].Name == name {
			return &p.Steps[i]
		}
	}
	return nil
}

// DoesAnything tells whether some hierarchy is not left alone.
func (p *Plan) DoesAnything() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action != Leave })
}

// AllDenied tells whether root may make no session in any hierarchy that was asked
// for, and there is one.
func (p *Plan) AllDenied() bool {
	return len(p.Steps) > 0 && !slices.ContainsFunc(p.Steps, func(s Step) bool {
		var denied *DeniedError
		return !errors.As(s.Reason, &denied)
	})
}
