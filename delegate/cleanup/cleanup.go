package delegate

import (
	"errors"
	"slices"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// sweepUser removes the user's dead sessions, but for those in use. What it
// cannot remove stays for the next sweep.
func sweepUser(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string, inUse []int, until time.Time) {
	for _, n := range numbersOf(m, found, dirName) {
		if !slices.Contains(inUse, n) {
			_ = removeIfDead(m, found, dirName, n, sessionBudgets(until))
		}
	}
}

// Swept is a session that Sweep looked at.
type Swept struct {
	User   string
	Number int
	// Left says why it is still there; nil: it was dead and is removed, or
	// would be. EBUSY: it is alive.
	Left error
}

// SweepRequest says what is to be swept.
type SweepRequest struct {
	Machine cgroupfs.Machine
	User    string // as PAM names it; empty: every user
	DryRun  bool   // only tell what would be removed
	Lock    Lock
}

// Sweep removes dead sessions: those that have a process in no hierarchy. It
// needs the lock: without it a session that a login is just making would look
// dead. The result is sorted by user and number. Errors are *NameError,
// *LockError and those of /proc; beside an error, what was swept until then.
func Sweep(r SweepRequest) ([]Swept, error) {
	found, _, err := hierarchy.Discover(r.Machine)
	if err != nil {
		return nil, err
	}
	if !r.DryRun {
		retreat(r.Machine, found)
	}
	users := userDirs(r.Machine, found)
	if r.User != "" {
		dirName, err := DirName(r.User)
		if err != nil {
			return nil, err
		}
		users = []string{dirName}
	}
	var swept []Swept
	for _, dirName := range users {
		for _, n := range numbersOf(r.Machine, found, dirName) {
			left, err := r.sweepOne(found, dirName, n)
			if err != nil {
				return swept, err
			}
			swept = append(swept, Swept{User: UserName(dirName), Number: n, Left: left})
		}
	}
	return swept, nil
}

// sweepOne takes the lock for one session alone, and for a piece of a large one,
// so that no login has to wait until all is swept.
func (r *SweepRequest) sweepOne(found []hierarchy.Hierarchy, dirName string, n int) (left, err error) {
	until := time.Now().Add(sweepPatience)
	for {
		b := sessionBudgets(until)
		if r.DryRun {
			return checkDead(r.Machine, found, dirName, n, b.look), nil
		}
		lock, err := r.Lock.acquire()
		if err != nil {
			return nil, err
		}
		left := removeIfDead(r.Machine, found, dirName, n, b)
		lock.release()
		usedUp := errors.Is(left, cgroupfs.ErrBudget) && b.remove.Dirs <= 0
		if !usedUp || time.Now().After(until) {
			return left, nil
		}
	}
}

// sweepPatience bounds what is spent on one session: enough for any real tree,
// and an end to one that grows while it is removed.
const sweepPatience = 30 * time.Second
