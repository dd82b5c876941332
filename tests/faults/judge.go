package faults

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/tests/faults/inject"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// sessionError is PAM_SESSION_ERR, which a close says whose worker was lost.
const sessionError = "14"

// judge tells what became of a login, and what of that must not be.
func (r *runs) judge(fault inject.Fault, s *seen) (what outcome, wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if s.result.IsLate {
		complain("it did not end in %v", limit)
	}
	if isApplication := r.Process == 0 && !r.IsServed; isApplication && fault.Errno == 0 && s.result.Hit != "" {
		return ended, wrong
	}
	longestOpen, longestClose := r.longest()
	// libpam gives on what a close says, also where the line is optional (_pam_dispatch_aux)
	isTold := s.closed == sessionError && r.In&Close != 0 && len(r.news(s)) > 0
	if !s.hasEnded || s.opened != "0" || s.closed != "0" && !isTold {
		complain("the login did not go on: opened %q, closed %q, ended %v", s.opened, s.closed, s.hasEnded)
	}
	if s.openTook > longestOpen || s.closeTook > longestClose {
		complain("it was late: the open took %v, the close %v", s.openTook, s.closeTook)
	}
	what, opening := r.judgeOpen(fault, s)
	wrong = append(wrong, opening...)
	if r.In == Close && what != whole {
		complain("the fault was in the close, and the open was %s", what)
	}
	closed, closing := r.judgeClose(fault, s)
	wrong = append(wrong, closing...)
	if r.In == Open && closed != whole && (r.First == nil || !r.isBelieved(fault, s) && !isOnlyStray(s)) {
		complain("the fault was in the open, and the close left\n    %s\n    in %v", strings.Join(s.left, "\n    "), differences(s.before, s.after))
	}
	if what == whole {
		what = closed
	}
	if what != whole && len(r.news(s)) == 0 {
		if r.NobodyWaits && s.result.Died && closed != whole {
			return unheard, wrong
		}
		if r.isBelieved(fault, s) {
			return what, wrong
		}
		complain("the log does not say why it is %s; state\n    %s\n    left\n    %s", what, strings.Join(s.state, "\n    "), strings.Join(s.left, "\n    "))
	}
	return what, wrong
}

// isBelieved tells of a close whether the kernel said that a cgroup is gone, or that
// another session is in user/NAME. That is no news, and a cleanup removes what is there
// after all.
func (r *runs) isBelieved(fault inject.Fault, s *seen) bool {
	isMovedBack := maps.Equal(s.after, s.before)
	switch fault.Errno {
	case unix.ENODEV:
		return !slices.ContainsFunc(slices.Collect(maps.Values(s.after)), func(at string) bool {
			return strings.Contains(at, "/user/"+r.User+"/")
		})
	case unix.EBUSY:
		return isMovedBack && !slices.ContainsFunc(s.left, func(line string) bool { return isSession(line[strings.Index(line, " ")+1:]) })
	}
	return false
}

// judgeOpen tells whether the application is in its session, in no other place, and what
// the session is.
func (r *runs) judgeOpen(fault inject.Fault, s *seen) (what outcome, wrong []string) {
	switch {
	case maps.Equal(s.inside, r.reference.inside) && slices.Equal(s.state, r.reference.state):
		what = whole
	case maps.Equal(s.inside, s.before):
		what = without
	case r.First != nil:
		what = remains
	default:
		what = partly
	}
	if has := s.session != "none"; has != (what != without && r.First == nil) {
		wrong = append(wrong, fmt.Sprintf("%s, and the session is called %q", what, s.session))
	}
	for name, at := range s.inside {
		if r.First != nil && (isStray(s, name) || fault.Errno == unix.ENODEV) {
			continue // it may be in the base
		}
		isIn, wasIn := at == r.reference.inside[name], at == s.before[name]
		has := ofHierarchy(s.state, name)
		switch {
		case !isIn && !wasIn && slices.Contains(has, fmt.Sprintf("%s/0 %d:%d", r.User, r.UID, r.UID)) && len(r.news(s)) > 0:
			// a session in another hierarchy, as v2 takes the freezer's place where that
			// cannot be used
		case !isIn && !wasIn:
			wrong = append(wrong, fmt.Sprintf("%s: in %s, neither its session nor %s", name, at, s.before[name]))
		case wasIn && !isIn && slices.ContainsFunc(has, isSession) && what != without:
			wrong = append(wrong, fmt.Sprintf("%s: in %s, and it has a session there", name, at))
		case isIn && !wasIn && !slices.Equal(owners(has), owners(ofHierarchy(r.reference.state, name))):
			wrong = append(wrong, fmt.Sprintf("%s: the session is\n    %s\n   and not\n    %s", name, strings.Join(has, "\n    "), strings.Join(ofHierarchy(r.reference.state, name), "\n    ")))
		}
	}
	return what, wrong
}

// judgeClose tells whether the session was closed and removed.
func (r *runs) judgeClose(fault inject.Fault, s *seen) (what outcome, wrong []string) {
	for name, at := range s.after {
		// from a cgroup that is gone it goes to the base
		if isGone := fault.Errno == unix.ENODEV; at != s.before[name] && at != s.inside[name] && !isStray(s, name) && !isGone {
			wrong = append(wrong, fmt.Sprintf("%s: after the close in %s, neither in its session nor in %s", name, at, s.before[name]))
		}
	}
	if maps.Equal(s.after, s.before) && len(s.left) == 0 {
		return whole, wrong
	}
	return without, wrong
}

// isStray tells whether the log says that the application is in the base, and could not go
// back to where it was before.
func isStray(s *seen, hierarchy string) bool {
	return slices.ContainsFunc(s.said, func(line string) bool {
		return strings.Contains(line, "left its session, and its limits: ") && strings.Contains(line, "hierarchy "+hierarchy+": not back in "+s.before[hierarchy])
	})
}

// isOnlyStray tells whether nothing is wrong after a close but that.
func isOnlyStray(s *seen) bool {
	for name, at := range s.after {
		if at != s.before[name] && !isStray(s, name) {
			return false
		}
	}
	return len(s.left) == 0
}

// ofHierarchy are the lines of State for one hierarchy.
func ofHierarchy(state []string, name string) (lines []string) {
	for _, line := range state {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}

// owners are the lines that do not tell what is in a file.
func owners(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "=") })
}

// isSession tells of a line of ofHierarchy whether it is a session's directory.
func isSession(line string) bool {
	name, _, _ := strings.Cut(line, " ")
	return strings.Count(name, "/") == 1 && !strings.Contains(line, "=") && !strings.Contains(name, ".")
}

// news are the lines of the log that there are not without a fault.
func (r *runs) news(s *seen) []string {
	return slices.DeleteFunc(slices.Clone(s.said), func(line string) bool { return slices.Contains(r.reference.said, line) })
}

func differences(a, b map[string]string) (all []string) {
	for name := range b {
		if a[name] != b[name] {
			all = append(all, name+":"+b[name])
		}
	}
	return all
}

// cleanUp has one cleanup remove what is left, and tells what it does not.
func (r *runs) cleanUp() (wrong []string) {
	isLocked := func() bool { _, err := os.Stat("/run/cgdeleg/users/" + r.User); return err == nil }
	if len(State(r.User)) > 0 || isLocked() {
		out, err := exec.Command(testbed.Built(r.t, "cgdeleg"), "cleanup", "-u", r.User).CombinedOutput()
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("cleanup: %v: %s", err, out))
		}
	}
	if left := State(r.User); len(left) > 0 {
		wrong = append(wrong, "left after a cleanup:\n    "+strings.Join(left, "\n    "))
		testbed.RemoveAll(r.User)
	}
	if isLocked() {
		wrong = append(wrong, "the lock's file is left after a cleanup")
	}
	lock.Default.RemoveUnheld() // as a cleanup does for everybody
	for _, dir := range []string{"applications", "turns"} {
		entries, _ := os.ReadDir("/run/cgdeleg/" + dir)
		for _, entry := range entries {
			wrong = append(wrong, fmt.Sprintf("/run/cgdeleg/%s/%s is held", dir, entry.Name()))
		}
	}
	if len(wrong) > 0 {
		time.Sleep(100 * time.Millisecond)
	}
	return wrong
}
