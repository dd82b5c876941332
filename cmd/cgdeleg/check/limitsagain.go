package check

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/nss"
)

// isOfLogins tells whether a file is of a cgroup to which the module gives limits: user/NAME, or
// a session in it.
func (f *Facts) isOfLogins(file string) bool { return f.belowUsers(file) != "" }

// belowUsers returns a file's path below the cgroup of all sessions: alice/pids.max,
// alice/0/pids.max; "" of one that is elsewhere.
func (f *Facts) belowUsers(file string) string {
	for _, h := range f.found {
		if below, isThere := strings.CutPrefix(file, path.Join(h.Mount.Point, h.Base, layout.UsersDir)+"/"); isThere {
			return below
		}
	}
	return ""
}

// limitNames are what limits.conf calls the limits in these files.
var limitNames = map[string]limits.Name{
	"pids.max": limits.PidsMax, "memory.max": limits.MemoryMax, "memory.limit_in_bytes": limits.MemoryMax,
}

// ruleOf returns the line of the files of limits that gives the subject the limit in a cgroup's
// file; nil if none does, or it is not known. Where systemd makes the user's cgroups, it is
// systemd's slice that has what the line says.
func (f *Facts) ruleOf(file string) *limitsconf.Rule {
	isOfUser, isOfSession := path.Base(path.Dir(file)) == manager.UserSlice(f.Subject.UID), false
	if below := f.belowUsers(file); below != "" {
		isOfSession = strings.Count(below, "/") > 1
		isOfUser = !isOfSession
	}
	name, isKnown := limitNames[path.Base(file)]
	if !isKnown || !isOfUser && !isOfSession || !limitsconf.Exists(f.Machine) {
		return nil
	}
	given, _ := limitsconf.ReadFor(f.Machine, limitsconf.Subject{Name: f.Subject.Name, UID: f.Subject.UID, Groups: f.groupsOfSubject})
	rule := given.User
	if isOfSession {
		rule = given.Session
	}
	if rule == nil || !slices.ContainsFunc(rule.Limits, func(l limits.Limit) bool { return l.Name == name }) {
		return nil
	}
	return rule
}

// groupsOfSubject is for lines that name a group.
func (f *Facts) groupsOfSubject() (names, gids []string, err error) {
	return nss.Groups(f.Machine, f.Subject.Name, time.Now().Add(groupsPatience))
}

// groupsPatience is how long a directory service may take to tell the groups of a user.
const groupsPatience = time.Second

// raiseRule has the line changed, and its limits set in the sessions that are there.
func (f *Facts) raiseRule(rule *limitsconf.Rule) []Command {
	return []Command{byHand(f.editor(), rule.File), asRoot("cgdeleg", "limits", "apply", "--user", f.Subject.Name)}
}

// ruleEvidence is the line.
func ruleEvidence(rule *limitsconf.Rule) Evidence {
	words := []string{rule.WhoText, rule.Scope.String()}
	for _, l := range rule.Limits {
		words = append(words, l.String())
	}
	return Evidence{fmt.Sprintf("%s:%d", rule.File, rule.Line), strings.Join(words, " ")}
}

// limitsAgain says who sets a limit again that was lifted in such a cgroup, unless it is known
// that there is no file of limits.
func (f *Facts) limitsAgain() string {
	if f.Machine.Find(limitsconf.File) == machine.Absent && f.Machine.Find(limitsconf.Directory) == machine.Absent {
		return ""
	}
	return "; a limit of " + limitsconf.File + " is set again at the next login, unless it is raised there"
}
