package delegate

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// CloseRequest says which session is to be closed.
type CloseRequest struct {
	Machine cgroupfs.Machine
	PID     int    // the process to move out
	User    string // as PAM names it
	// Opened is what Open returned. Without it (nil) the session is the one in
	// which PID is now, and PID goes to the base.
	Opened *Opened
	Lock   Lock
	// Until is when to end removing what the user made below the session; the
	// rest goes with a later sweep. The zero Time sets no end.
	Until time.Time
}

// Closed tells what became of a session.
type Closed struct {
	Number int // -1: the process was in none of ours
	// Left says why something of the session is still there, nil if nothing
	// is. EBUSY: other processes are in it; EACCES, EPERM: the closing process
	// lacks the privileges.
	Left error
}

// Close moves the process back and removes the session, if no other process is
// in it; then user/NAME, if that was the last. Removing does not need every
// hierarchy: it goes on after an error. What is left goes with a later sweep.
// So it does with elogind's session, if that was adopted.
//
// Errors are those of Open; Left is none of them.
func Close(r CloseRequest) (*Closed, error) {
	dirName, err := DirName(r.User)
	if err != nil {
		return nil, err
	}
	found, _, err := hierarchy.Discover(r.Machine)
	if err != nil {
		return nil, err
	}
	members, err := hierarchy.Memberships(r.Machine, r.PID)
	if err != nil {
		return nil, err
	}
	number, inside := locateSession(found, members, dirName, r.Opened)
	if number < 0 && len(r.adopted()) == 0 {
		return &Closed{Number: number}, nil
	}
	retreat(r.Machine, found)
	left := r.leave(inside)
	if len(left) == 0 {
		awaitHost(r.Machine, found, dirName, number, r.PID)
	}
	left = append(left, r.leaveElogind(found, members)...)
	if lock, err := r.Lock.acquire(); err == nil {
		defer lock.release()
	}
	left = append(left, r.removeElogind(found)...)
	if number >= 0 {
		left = append(left, removeIfDead(r.Machine, found, dirName, number, sessionBudgets(r.Until)))
	}
	return &Closed{Number: number, Left: errors.Join(left...)}, nil
}

// leave moves the process out of the session in the given hierarchies.
func (r *CloseRequest) leave(inside []*hierarchy.Hierarchy) (failed []error) {
	for _, h := range inside {
		if err := moveBack(r.Machine, h, r.former(h.Name), r.PID); err != nil {
			failed = append(failed, &HierarchyError{Hierarchy: h.Name, Err: err})
		}
	}
	return failed
}

func (r *CloseRequest) former(name string) string {
	if r.Opened == nil {
		return ""
	}
	return hierarchy.PathIn(r.Opened.Former, name)
}

// locateSession returns the session's number, and the hierarchies in which the
// process is in it. A host that closes in a forked child, or that somebody
// moved, is in none.
func locateSession(found []hierarchy.Hierarchy, members []hierarchy.Membership, dirName string, opened *Opened) (number int, inside []*hierarchy.Hierarchy) {
	number = -1
	if opened != nil {
		number = opened.Number
	}
	for i := range found {
		h := &found[i]
		n, ok := sessionOfMember(h, dirName, hierarchy.PathIn(members, h.Name))
		if !ok {
			continue
		}
		if opened == nil && number < 0 {
			number = n
		}
		if n == number {
			inside = append(inside, h)
		}
	}
	return number, inside
}

// checkDead returns nil if a session has a process in no hierarchy.
func checkDead(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string, number int, b *cgroupfs.Budget) error {
	for i := range found {
		alive, err := populated(m, &found[i], dirName, number, b)
		if errors.Is(err, cgroupfs.ErrBudget) {
			alive, err = hasProcess(m, &found[i], dirName, number)
		}
		if err == nil && alive {
			err = fmt.Errorf("%s has processes: %w", sessionPath(&found[i], dirName, number), unix.EBUSY)
		}
		if err != nil {
			return &HierarchyError{Hierarchy: found[i].Name, Err: err}
		}
	}
	return nil
}

// budgets bound the two walks over the tree of one session, which the user made.
// Each walk has its own, so that what a removal does not finish the next one
// goes on with.
type budgets struct{ look, remove *cgroupfs.Budget }

// sessionBudgets are what is spent on one session before others get a turn. A
// level of depth costs a descriptor.
func sessionBudgets(until time.Time) budgets {
	return budgets{
		look:   &cgroupfs.Budget{Dirs: 4096, Depth: 4096, Deadline: until},
		remove: &cgroupfs.Budget{Dirs: 4096, Depth: 4096, Deadline: until},
	}
}

// removeIfDead removes a session in all hierarchies if it has a process in
// none of them.
func removeIfDead(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string, number int, b budgets) error {
	if err := checkDead(m, found, dirName, number, b.look); err != nil {
		return err
	}
	var left []error
	for i := range found {
		if err := removeSession(m, &found[i], dirName, number, b.remove); err != nil {
			left = append(left, &HierarchyError{Hierarchy: found[i].Name, Err: err})
		}
	}
	return errors.Join(left...)
}

func populated(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number int, b *cgroupfs.Budget) (bool, error) {
	session, err := openSession(m, h, dirName, number)
	if err != nil {
		if cgroupfs.IsGone(err) {
			return false, nil
		}
		return false, err
	}
	defer session.Close()
	return session.Populated(b)
}

// hasProcess answers the question of populated from the other side: is there a
// process that says it is in the session? Its cost does not grow with the tree
// that the user made.
func hasProcess(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number int) (bool, error) {
	pids, err := m.Processes()
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		members, err := hierarchy.Memberships(m, pid)
		if err != nil {
			continue // it ended
		}
		if n, ok := sessionOfMember(h, dirName, hierarchy.PathIn(members, h.Name)); ok && n == number {
			return true, nil
		}
	}
	return false, nil
}

func openSession(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number int) (*cgroupfs.Dir, error) {
	user, err := openUser(m, h, dirName)
	if err != nil {
		return nil, err
	}
	defer user.Close()
	return user.Open(strconv.Itoa(number))
}

// removeSession removes user/NAME/N of one hierarchy with all that is below,
// then user/NAME if it is empty.
func removeSession(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string, number int, b *cgroupfs.Budget) error {
	users, err := openUsers(m, h)
	if err == nil {
		defer users.Close()
		err = removeFrom(users, dirName, number, b)
	}
	if cgroupfs.IsGone(err) {
		return nil
	}
	return err
}

func removeFrom(users *cgroupfs.Dir, dirName string, number int, b *cgroupfs.Budget) error {
	user, err := users.Open(dirName)
	if err != nil {
		return err
	}
	defer user.Close()
	if err := user.RemoveTree(strconv.Itoa(number), b); err != nil {
		return err
	}
	if err := users.Rmdir(dirName); !errors.Is(err, unix.EBUSY) { // other sessions
		return err
	}
	return nil
}
