package manager

import "github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"

// none is a machine on which nobody manages logins: all hierarchies are free.
type none struct{}

func (none) Name() string { return "" }

func (none) Place(*hierarchy.Hierarchy, string, Login) Placement { return Placement{} }

func (none) Scopes(*hierarchy.Hierarchy) []Scope { return nil }

func (none) InScope(string) (in, itself bool) { return false, false }

func (none) KeepsScopes() bool { return true }
