package delegate

import (
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// sweepUser removes the user's dead sessions, but for the one to keep. What it
// cannot remove stays for the next sweep.
func sweepUser(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string, keep int, b budgets) {
	for _, n := range numbersOf(m, found, dirName) {
		if n != keep {
			_ = removeIfDead(m, found, dirName, n, b)
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

// sweepOne takes the lock for one session alone, so that no login has to wait
// until all are swept.
func (r *SweepRequest) sweepOne(found []hierarchy.Hierarchy, dirName string, n int) (left, err error) {
	if r.DryRun {
		return checkDead(r.Machine, found, dirName, n, sweepBudget()), nil
	}
	lock, err := r.Lock.acquire()
	if err != nil {
		return nil, err
	}
	defer lock.release()
	return removeIfDead(r.Machine, found, dirName, n, budgets{sweepBudget(), sweepBudget()}), nil
}

// sweepBudget bounds what is spent on one session outside of logins: enough
// for any real tree, and an end to one that grows while it is removed.
func sweepBudget() *cgroupfs.Budget {
	return &cgroupfs.Budget{Dirs: 1 << 20, Depth: 256, Deadline: time.Now().Add(30 * time.Second)}
}
