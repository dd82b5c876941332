package manager

import "github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"

// none is a machine on which nobody manages logins now: all hierarchies are free.
// elogind may have been there before, and removes nothing when it ends: the cgroups
// that it made are still known.
type none struct{ elogind }

func (none) Name() string { return "" }

// Place leaves every hierarchy to others.
func (none) Place(*hierarchy.Hierarchy, string, Login) Placement { return Placement{} }
