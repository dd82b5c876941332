package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// OpenRequest says for whom a session is to be opened.
type OpenRequest struct {
	Machine     cgroupfs.Machine
	PID         int    // the process to move in, with all its threads
	User        string // as PAM names it
	UID, GID    int    // who is to own the session
	Controllers hierarchy.List
	Lock        Lock
	// SweepUntil is when to end sweeping the user's dead sessions. The zero
	// Time sets no end; a sweep visits at most some thousand cgroups anyway.
	SweepUntil time.Time
	// BeforeEnter, if set, is called with what there will be to undo, when the
	// session is made and before the process is moved in. When a race is lost
	// then, it is called again for the next attempt, and so it is when
	// elogind's session has been adopted.
	BeforeEnter func(*Opened)
}

// Opened is a session that was made.
type Opened struct {
	// Number is N of user/NAME/N, the same in all hierarchies; -1: there is
	// none.
	Number int
	// Former tells where the process was before, a line for each hierarchy
	// that it was moved in. Empty: there is no user/NAME/N.
	Former []hierarchy.Membership
	// Adopted names the hierarchies in which the scope that logind or elogind
	// made was given to the user.
	Adopted []string
	// Elogind are the adopted cgroups that are elogind's, below the mount
	// points. The close removes them.
	Elogind []hierarchy.Membership
	// Notes are what was passed over for a good reason: *LeftAloneError,
	// *NamedError, and *DeniedError where everything was asked for.
	Notes []error
	// Warnings are what was asked for and is not in the session:
	// *MissingError, *EnableError, *LockError, *NotDelegatedError,
	// *DeniedError, *hierarchy.UnusableError.
	Warnings []error
}

// MissingError names controllers that were asked for and that no mounted
// hierarchy has.
type MissingError struct{ Controllers []string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("no mounted hierarchy has %.300q", strings.Join(e.Controllers, ","))
}

// EnableError says that a v2 controller could not be enabled for the session.
// EBUSY: there are processes in the cgroup itself, and it is not the root
// (the kernel's "no internal process" rule, Documentation/admin-guide/cgroup-v2.rst).
type EnableError struct {
	Controller string
	Err        error
}

func (e *EnableError) Error() string { return fmt.Sprintf("controller %s: %v", e.Controller, e.Err) }
func (e *EnableError) Unwrap() error { return e.Err }

// DeniedError says that no user/NAME can be made in a hierarchy: it is mounted
// read-only, or is not this container's (an unprivileged container's root is
// nobody in hierarchies in which its own user had no session).
type DeniedError struct {
	Hierarchy string
	Err       error
}

func (e *DeniedError) Error() string { return fmt.Sprintf("hierarchy %s: %v", e.Hierarchy, e.Err) }
func (e *DeniedError) Unwrap() error { return e.Err }

// HierarchyError says in which hierarchy the session could not be made.
type HierarchyError struct {
	Hierarchy string
	Err       error
}

func (e *HierarchyError) Error() string { return fmt.Sprintf("hierarchy %s: %v", e.Hierarchy, e.Err) }
func (e *HierarchyError) Unwrap() error { return e.Err }

// openAttempts bounds how often a lost race is run again.
const openAttempts = 20

// Open makes a session in every hierarchy that r.Controllers asks for and
// moves r.PID in. It makes all of them or, after an error, none: what was made
// is removed and the process moved back. It also sweeps the user's dead
// sessions, within a small bound.
//
// Errors are *NameError, *HierarchyError with the kernel's *fs.PathError, and
// what /proc gives (*fs.PathError, *hierarchy.ParseError).
func Open(r OpenRequest) (*Opened, error) {
	dirName, err := DirName(r.User)
	if err != nil {
		return nil, err
	}
	found, unusable, err := hierarchy.Discover(r.Machine)
	if err != nil {
		return nil, err
	}
	o := &opening{
		OpenRequest: r, dirName: dirName, found: found, number: -1,
		booted: r.Machine.Exists("/run/systemd/system"), // sd_booted(3)
		hybrid: slices.ContainsFunc(found, func(h hierarchy.Hierarchy) bool { return h.Name == systemdName }),
	}
	chosen, missing := hierarchy.Choose(found, r.Controllers)
	missing = o.passOverNamed(missing)
	o.warnAbout(missing, unusable, len(chosen) == 0)
	if len(chosen) == 0 {
		return o.result(), nil
	}

	retreat(r.Machine, found)
	lock, lockErr := r.Lock.acquire()
	if lockErr != nil {
		o.warnings = append(o.warnings, lockErr)
	}
	defer lock.release()
	if err := o.run(chosen); err != nil {
		return nil, err
	}
	// Without the lock another login's session, just made and still empty,
	// would look dead.
	if lockErr == nil && len(o.parts) > 0 {
		sweepUser(r.Machine, found, dirName, o.inUse(), r.SweepUntil)
	}
	if lockErr == nil {
		o.sweepElogind()
	}
	return o.result(), nil
}

// opening is one run of Open.
type opening struct {
	OpenRequest
	dirName  string
	found    []hierarchy.Hierarchy
	booted   bool // systemd runs this machine
	hybrid   bool // it keeps track of its units on v1
	number   int
	parts    []*part // the session of our own
	adopted  []string
	elogind  []hierarchy.Membership
	notes    []error
	warnings []error
}

// part is a session in one hierarchy, as far as it is made.
type part struct {
	hierarchy.Choice
	former  string // of /proc/PID/cgroup
	scope   string // to be adopted, below the mount point; empty: our own is made
	entered bool
}

// NamedError names v1 hierarchies that were asked for on a machine that has only
// v2. The PAM line of pam_cgfs asks for name=systemd everywhere, so that is no
// fault.
type NamedError struct{ Names []string }

func (e *NamedError) Error() string {
	return fmt.Sprintf("passed over %q: this machine has only cgroup v2", strings.Join(e.Names, ","))
}

func (o *opening) passOverNamed(missing []string) []string {
	if slices.ContainsFunc(o.found, func(h hierarchy.Hierarchy) bool { return !h.IsUnified() }) {
		return missing
	}
	isNamed := func(name string) bool { return strings.HasPrefix(name, "name=") }
	var named []string
	for _, name := range missing {
		if isNamed(name) {
			named = append(named, name)
		}
	}
	if len(named) > 0 && len(o.found) > 0 {
		o.notes = append(o.notes, &NamedError{Names: named})
		return slices.DeleteFunc(missing, isNamed)
	}
	return missing
}

func (o *opening) warnAbout(missing []string, unusable []error, nothing bool) {
	for _, err := range unusable {
		var u *hierarchy.UnusableError
		asked := errors.As(err, &u) && slices.ContainsFunc(strings.Split(u.Hierarchy, ","), func(c string) bool {
			return slices.Contains(o.Controllers.Names, c)
		})
		if asked || nothing {
			o.warnings = append(o.warnings, err)
		}
	}
	if len(missing) > 0 {
		o.warnings = append(o.warnings, &MissingError{Controllers: missing})
	}
}

// run makes the session in the chosen hierarchies, or adopts what is there.
func (o *opening) run(chosen []hierarchy.Choice) error {
	members, err := hierarchy.Memberships(o.Machine, o.PID)
	if err != nil {
		return err
	}
	var own, scopes []*part
	for _, c := range chosen {
		p := &part{Choice: c, former: hierarchy.PathIn(members, c.Name)}
		who := o.custodyOf(&c.Hierarchy, p.former)
		p.scope = who.scope
		switch {
		case who.alone != nil:
			o.notes = append(o.notes, who.alone)
		case p.scope != "":
			scopes = append(scopes, p)
		default:
			own = append(own, p)
		}
	}
	if len(own) > 0 {
		if err := o.makeOwn(own); err != nil {
			return err
		}
	}
	return o.adoptAll(scopes)
}

// adoptAll adopts the scopes. After an error it takes the session of our own
// back too.
func (o *opening) adoptAll(scopes []*part) error {
	for _, p := range scopes {
		err := o.adopt(p)
		var notDelegated *NotDelegatedError
		switch {
		case errors.As(err, &notDelegated):
			o.warnings = append(o.warnings, err)
		case err != nil:
			o.rollBack(o.parts)
			return &HierarchyError{Hierarchy: p.Name, Err: err}
		default:
			o.adopted = append(o.adopted, p.Name)
			if !o.booted {
				o.elogind = append(o.elogind, hierarchy.Membership{Hierarchy: p.Name, Path: p.scope})
			}
		}
	}
	if len(o.elogind) > 0 && o.BeforeEnter != nil {
		o.BeforeEnter(o.result())
	}
	return nil
}

// makeOwn makes the session user/NAME/N, again with another number when a race
// for one was lost.
func (o *opening) makeOwn(own []*part) error {
	o.parts = own
	for attempt := 1; ; attempt++ {
		var err error
		if o.number, err = o.lowestFree(); err != nil {
			return err
		}
		err = o.attempt()
		if o.leaveOut(err) {
			attempt--
			continue
		}
		lostRace := errors.Is(err, unix.EEXIST) || cgroupfs.IsGone(err)
		if !lostRace || attempt == openAttempts {
			return err
		}
		time.Sleep(time.Duration(attempt) * time.Millisecond)
	}
}

// leaveOut goes on without the hierarchy in which no cgroup may be made, if there
// is another. In a container that is no fault of this login's.
func (o *opening) leaveOut(err error) bool {
	var denied *DeniedError
	if !errors.As(err, &denied) || len(o.parts) < 2 {
		return false
	}
	o.parts = slices.DeleteFunc(o.parts, func(p *part) bool { return p.Name == denied.Hierarchy })
	if o.Controllers.All {
		o.notes = append(o.notes, denied)
	} else {
		o.warnings = append(o.warnings, denied)
	}
	return true
}

// lowestFree returns the lowest number that is free in every hierarchy, also
// in those that this session does not want.
func (o *opening) lowestFree() (int, error) {
	taken := map[int]bool{}
	for i := range o.found {
		numbers, err := numbersIn(o.Machine, &o.found[i], o.dirName)
		if err != nil {
			return 0, &HierarchyError{Hierarchy: o.found[i].Name, Err: err}
		}
		for _, n := range numbers {
			taken[n] = true
		}
	}
	n := 0
	for taken[n] {
		n++
	}
	return n, nil
}

// attempt makes and enters the session everywhere; after an error it takes
// back what it did.
func (o *opening) attempt() (err error) {
	var made []*part
	defer func() {
		if err != nil {
			o.rollBack(made)
		}
	}()
	var targets []*cgroupfs.Dir
	defer func() {
		for _, t := range targets {
			t.Close()
		}
	}()
	for _, p := range o.parts {
		target, claimed, err := o.make(p)
		if claimed {
			made = append(made, p)
		}
		if err != nil {
			return &HierarchyError{Hierarchy: p.Name, Err: err}
		}
		targets = append(targets, target)
	}
	if o.BeforeEnter != nil {
		o.BeforeEnter(o.result())
	}
	for i, p := range o.parts {
		if err := targets[i].Enter(o.PID); err != nil {
			return &HierarchyError{Hierarchy: p.Name, Err: err}
		}
		p.entered = true
	}
	return nil
}

// make makes the session in one hierarchy and returns the cgroup that the
// process is to enter. Claimed tells that user/NAME/N is ours, also beside an
// error.
func (o *opening) make(p *part) (target *cgroupfs.Dir, claimed bool, err error) {
	at, err := p.OpenBase(o.Machine)
	if err != nil {
		return nil, false, err
	}
	defer func() { at.Close() }()
	for _, name := range []string{usersDir, o.dirName, strconv.Itoa(o.number)} {
		if p.IsUnified() {
			if err := o.enable(at, p.Enable); err != nil {
				return nil, claimed, err
			}
		}
		isSession := name != usersDir && name != o.dirName
		refuse := func(err error) error {
			if isDenied := errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS); isDenied && !isSession {
				return &DeniedError{Hierarchy: p.Name, Err: err}
			}
			return err
		}
		if err := at.Mkdir(name); err != nil && (isSession || !errors.Is(err, unix.EEXIST)) {
			return nil, claimed, refuse(err)
		}
		claimed = isSession
		next, err := at.Open(name)
		if err != nil {
			return nil, claimed, refuse(err)
		}
		if slices.Contains(p.Controllers, "cpuset") && !p.IsUnified() {
			err = refuse(inheritCpuset(o.Machine, at, next)) // user/ may be somebody else's
		}
		if err == nil && p.IsUnified() && name == o.dirName {
			err = allowMoves(next, o.UID, o.GID)
		}
		at.Close()
		at = next
		if err != nil {
			return nil, claimed, err
		}
	}
	if p.IsUnified() {
		target, err = o.makeLeaf(at, p.Enable)
		return target, true, err
	}
	if err := at.Chown(o.UID, o.GID); err != nil {
		return nil, true, err
	}
	target, err = at.OpenPath("/")
	return target, true, err
}

// inUse returns the numbers that this login's sweep must not touch: the new
// session, and the one of this user that the process was in and will come back
// to, which is empty if the process was alone there.
func (o *opening) inUse() []int {
	numbers := []int{o.number}
	for _, p := range o.parts {
		if n, ok := sessionOfMember(&p.Hierarchy, o.dirName, p.former); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (o *opening) rollBack(parts []*part) {
	var left []hierarchy.Hierarchy
	for _, p := range slices.Backward(parts) {
		if p.entered && moveBack(o.Machine, &p.Hierarchy, p.former, o.PID) == nil {
			left = append(left, p.Hierarchy)
		}
		p.entered = false
	}
	awaitHost(o.Machine, left, o.dirName, o.number, o.PID)
	for _, p := range slices.Backward(parts) {
		_ = removeSession(o.Machine, &p.Hierarchy, o.dirName, o.number, &cgroupfs.Budget{Dirs: 8, Depth: 2})
	}
}

func (o *opening) result() *Opened {
	r := &Opened{Number: o.number, Adopted: o.adopted, Elogind: o.elogind, Notes: o.notes, Warnings: o.warnings}
	for _, p := range o.parts {
		r.Former = append(r.Former, hierarchy.Membership{Hierarchy: p.Name, Path: p.former})
	}
	return r
}

// moveBack moves the process to the cgroup in which it was, or to the base if
// that is gone.
func moveBack(m cgroupfs.Machine, h *hierarchy.Hierarchy, former string, pid int) error {
	err := error(unix.ENOENT)
	if former != "" {
		err = enterMember(m, h, former, pid)
	}
	if err == nil || errors.Is(err, unix.ESRCH) {
		return err
	}
	return h.EnterBase(m, pid)
}

func enterMember(m cgroupfs.Machine, h *hierarchy.Hierarchy, member string, pid int) error {
	dir, err := h.OpenMember(m, member)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Enter(pid)
}
