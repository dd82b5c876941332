// Package messages says what came of opening and closing a session, for people:
// in the module's log and on the screens of cgdeleg alike, so that what one
// reads in the one can be looked up in the documentation of the other.
//
// It turns results of package delegate into sentences and knows nothing of
// where they go. The module's worker and cmd/cgdeleg import it, delegate does
// not.
package messages

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// Opened returns a sentence for everything that was asked for and is not in the
// session, without the user's name.
func Opened(opened *delegate.Opened) []string {
	texts := warningTexts(opened.Warnings)
	if opened.Ticket.IsEmpty() && len(opened.AdoptedNames()) == 0 && len(opened.Notes) == 0 && !slices.ContainsFunc(opened.Warnings, saysWhyNothing) {
		texts = append(texts, "there is no hierarchy in which a session can be made; this session has no cgroups of its own")
	}
	return texts
}

// saysWhyNothing tells whether a warning is reason enough for a login without
// cgroups.
func saysWhyNothing(w error) bool {
	var undelegated *manager.ScopeNotDelegatedError
	var confined *plan.ConfinedError
	return errors.As(w, &undelegated) || errors.As(w, &confined)
}

// warningTexts returns a line for each warning, but one for all controllers that
// were left out for the same reason: in a container those are often all.
func warningTexts(warnings []error) (texts []string) {
	leftOut := map[string][]string{}
	var reasons []string // in their order
	for _, w := range warnings {
		var enable *apply.EnableError
		if !errors.As(w, &enable) {
			texts = append(texts, warningText(w))
			continue
		}
		reason := reasonOf(enable)
		if leftOut[reason] == nil {
			reasons = append(reasons, reason)
		}
		leftOut[reason] = append(leftOut[reason], enable.Controller)
	}
	for _, reason := range reasons {
		texts = append(texts, fmt.Sprintf("session without %s: %s", strings.Join(leftOut[reason], ","), reason))
	}
	return texts
}

func reasonOf(e *apply.EnableError) string {
	switch {
	case errors.Is(e, unix.EBUSY):
		return "there are processes in the cgroup that holds user/"
	case errors.Is(e, unix.ENOENT):
		return "not in Delegate= of session scopes (50-cgdeleg.conf)"
	}
	return e.Err.Error()
}

func warningText(w error) string {
	var missing *plan.MissingError
	var unlocked *lock.Error
	var undelegated *manager.ScopeNotDelegatedError
	var denied *plan.DeniedError
	var confined *plan.ConfinedError
	var limit *apply.LimitError
	switch {
	case errors.As(w, &limit):
		return limitText(limit)
	case errors.As(w, &confined):
		return fmt.Sprintf("%v: the login stays there, without cgroups of its own, because its session would not be under that limit (confined=move on the PAM line moves it all the same)", w)
	case errors.As(w, &denied):
		return fmt.Sprintf("session without %s: root may not make a cgroup there: %v", denied.Hierarchy, denied.Err)
	case errors.As(w, &undelegated):
		return fmt.Sprintf("systemd does not delegate %s: /usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf is missing or not loaded; no cgroup v2 for this session", undelegated.Scope)
	case errors.As(w, &missing):
		return w.Error() + "; ignored"
	case errors.As(w, &unlocked):
		return fmt.Sprintf("%v; session made without the lock, dead sessions were not removed", w)
	}
	return w.Error()
}

// limitText says that a limit does not hold.
func limitText(e *apply.LimitError) string {
	var inUse *limits.InUseError
	var none *plan.NoLimitError
	var notInUnit *plan.NotInUnitError
	switch {
	case errors.As(e, &inUse):
		return fmt.Sprintf("limit of the %s: %v; cgdeleg limits apply lowers it as that falls", e.Of, inUse)
	case errors.As(e, &none):
		return "limits " + none.Error()
	case errors.As(e, &notInUnit):
		return "limit " + notInUnit.Error()
	}
	return fmt.Sprintf("limit of the %s not set: %v", e.Of, e.Err)
}

// Closed says what became of a session that the process was in, without the
// user's name. The session is named by its number or its scope; left is what
// delegate.Closed has. IsFault tells that it should not have come so: processes
// that are still in it, another process that removes what the user made, or an
// application that gave its privileges up, are no fault.
func Closed(session string, left error) (text string, isFault bool) {
	if left == nil {
		return fmt.Sprintf("session %s closed and removed", session), false
	}
	expected := errors.Is(left, unix.EBUSY) || errors.Is(left, lock.ErrTaken) || errors.Is(left, os.ErrPermission)
	return fmt.Sprintf("session %s closed, left for a later cleanup: %v", session, left), !expected
}

// Note says why something was left out for a good reason.
func Note(note error) string {
	var account *plan.AccountError
	var limit *apply.LimitError
	switch {
	case errors.As(note, &account):
		return note.Error() + ", nothing done"
	case errors.As(note, &limit):
		return limitText(limit)
	}
	return note.Error()
}
