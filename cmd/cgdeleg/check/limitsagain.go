package check

import (
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// isOfLogins tells whether a file is of a cgroup to which the module gives limits: user/NAME, or
// a session in it.
func (f *Facts) isOfLogins(file string) bool {
	return slices.ContainsFunc(f.found, func(h *hierarchy.Hierarchy) bool {
		return strings.HasPrefix(file, path.Join(h.Mount.Point, h.Base, layout.UsersDir)+"/")
	})
}

// limitsAgain says who sets a limit again that was lifted in such a cgroup, unless it is known
// that there is no file of limits.
func (f *Facts) limitsAgain() string {
	if f.Machine.Find(limitsconf.File) == machine.Absent && f.Machine.Find(limitsconf.Directory) == machine.Absent {
		return ""
	}
	return "; a limit of " + limitsconf.File + " is set again at the next login, unless it is raised there"
}
