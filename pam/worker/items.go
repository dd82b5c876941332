package worker

import (
	"path"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
)

// prepareLimits says, for the line "limits" of a PAM file, what pam_systemd is to ask
// logind for: the limits of the session, which is then made with them. Those of the user
// are set by `cgdeleg limits apply --uid`, before there is a session.
func (r *replier) prepareLimits(req request, s surroundings) (result string) {
	o, complaints, _ := options.Parse(req.options)
	r.debug = o.Debug
	for _, c := range complaints {
		r.log("warning", "%s", c)
	}
	switch {
	case !s.machine.Exists("/run/systemd/system"): // sd_booted(3)
		r.log("debug", "systemd does not run this machine; the PAM line with limits does nothing")
		return resultSuccess
	case req.uid < 0:
		r.log("error", "user %q is not known to the system; this session has no limits of its own", req.user)
		return resultUnknownUser
	}
	given, err := r.limits(req, s, o)
	var unsupported []limits.Limit
	if err == nil || !o.RequireLimits {
		unsupported, err = r.sayItems(req, s, given)
	}
	switch {
	case err != nil && o.RequireLimits:
		r.log("error", "user %q: limits are required, and not known: %v; this session is refused", req.user, err)
		return resultFailure
	case err != nil:
		r.log("warning", "user %q: %v; this session has no limits of its own", req.user, err)
	case len(unsupported) > 0 && o.RequireLimits:
		r.log("error", "user %q: limits are required, and pam_systemd cannot set %s; this session is refused", req.user, words(unsupported))
		return resultFailure
	case len(unsupported) > 0:
		r.log("warning", "user %q: pam_systemd cannot set these limits of a session: %s", req.user, words(unsupported))
	}
	return resultSuccess
}

// sayItems says the items of pam_systemd, and returns the limits for which it has none. A
// percentage is of the limit that the user has, or will have when the session is made.
func (r *replier) sayItems(req request, s surroundings, given limits.Given) (unsupported []limits.Limit, err error) {
	if len(given.Session) == 0 {
		return nil, nil
	}
	set, err := hierarchy.Find(s.machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	slice := path.Join(manager.UsersSlice, manager.UserSlice(req.uid))
	ofUser := limits.ReadTotals(s.machine, set, slice).Resolve(given.User)
	totals := limits.ReadTotals(s.machine, set, path.Join(slice, "session.scope")).Below(ofUser)
	items, unsupported := limits.PAMItems(totals.Resolve(given.Session))
	for _, i := range items {
		r.say("item", i.Name+" "+i.Value)
		r.log("debug", "user %q: pam_systemd is to set %s=%s", req.user, i.Name, i.Value)
	}
	return unsupported, nil
}

func words(list []limits.Limit) string {
	var all []string
	for _, l := range list {
		all = append(all, l.String())
	}
	return strings.Join(all, " ")
}
