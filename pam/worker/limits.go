package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/nss"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
)

// maxComplaints bounds how many lines of limits.conf a login complains of.
const maxComplaints = 5

// findingLimits returns what finds the limits of a login; nil if there are no files.
func (r *replier) findingLimits(req request, s surroundings, o options.Options) func() (limits.Given, error) {
	if !limitsconf.Exists(s.machine) {
		return nil
	}
	return func() (limits.Given, error) {
		given, err := r.limits(req, s, o)
		if err != nil && o.RequireLimits {
			return given, fmt.Errorf("limits are required, and not known: %w", err)
		}
		return given, nil
	}
}

// limits returns what the login is given (limits.conf of package limitsconf). The error is
// for limits=required: why it is not known what that is. Lines with mistakes are none:
// whom they concern is not known.
func (r *replier) limits(req request, s surroundings, o options.Options) (given limits.Given, err error) {
	found, errs := limitsconf.ReadFor(s.machine, limitsconf.Subject{
		Name: req.user, UID: req.uid,
		Groups: func() (names, gids []string, err error) {
			return nss.Groups(s.machine, req.user, time.Now().Add(o.Timeout/4))
		},
	})
	for i, wrong := range errs {
		if i == maxComplaints {
			r.log("warning", "%d more lines of limits are ignored; cgdeleg limits check shows them", ignored(errs)-i)
			break
		}
		r.log("warning", "%v; ignored", wrong)
	}
	for _, wrong := range errs {
		var syntax *limitsconf.SyntaxError
		if !errors.As(wrong, &syntax) {
			err = wrong
		}
	}
	if found.Unknown != nil {
		err = fmt.Errorf("the groups of user %q are not known: %w", req.user, found.Unknown)
		r.log("warning", "%v; lines of limits for groups are ignored", err)
	}
	return limits.Given{User: limitsOf(found.User), Session: limitsOf(found.Session), IsManaged: found.User != nil || found.Session != nil, IsUncertain: err != nil}, err
}

// ignored counts the lines and files that are ignored, also those of which there is no error.
func ignored(errs []error) (n int) {
	for _, err := range errs {
		var syntax *limitsconf.SyntaxError
		if errors.As(err, &syntax) && syntax.Ignored > 0 {
			n += syntax.Ignored - limitsconf.MostSaid
		} else {
			n++
		}
	}
	return n
}

func limitsOf(rule *limitsconf.Rule) []limits.Limit {
	if rule == nil {
		return nil
	}
	return rule.Limits
}
