package hierarchy

import (
	"fmt"
	"slices"
	"strings"
)

// ControllerList is what a controller list asks for, as in pam_cgfs's -c.
type ControllerList struct {
	// All asks for everything that is mounted; Names is empty then.
	All bool
	// Names are v1 controllers, "name=X" for named v1 hierarchies, Unified.
	// Each stands once.
	Names []string
}

// Everything is the ControllerList of all mounted hierarchies and controllers.
var Everything = ControllerList{All: true}

// ListError says what is wrong with a controller list.
type ListError struct {
	List   string
	Reason string
}

func (e *ListError) Error() string {
	return fmt.Sprintf("controller list %.100q: %s", e.List, e.Reason)
}

// ParseList parses a comma-separated controller list. Empty items are ignored,
// as by pam_cgfs; a list without any item, and "all" beside other
// items, are a *ListError.
func ParseList(s string) (ControllerList, error) {
	var l ControllerList
	for name := range strings.SplitSeq(s, ",") {
		switch {
		case name == "" || slices.Contains(l.Names, name):
		case name == "all":
			l.All = true
		default:
			l.Names = append(l.Names, name)
		}
	}
	switch {
	case l.All && len(l.Names) > 0:
		return ControllerList{}, &ListError{List: s, Reason: `"all" cannot stand beside other controllers`}
	case !l.All && len(l.Names) == 0:
		return ControllerList{}, &ListError{List: s, Reason: "names no controller"}
	}
	return l, nil
}

// Selection is a hierarchy in which a session is wanted.
type Selection struct {
	*Hierarchy
	// Enable are the v2 controllers to enable for the session; nil on v1.
	Enable []string
}

// successors are the v1 controllers whose work v2 does under another name;
// "" where v2 has it without any controller.
var successors = map[string]string{
	"blkio": "io", "cpuacct": "cpu", "freezer": "", "devices": "",
}

// Select picks the hierarchies that the list asks for, in their order. A
// controller is looked for in the v1 hierarchies first, then on v2. Missing are
// the names that are to be had nowhere.
func Select(found []*Hierarchy, want ControllerList) (selected []Selection, missing []string) {
	if want.All {
		for _, h := range found {
			c := Selection{Hierarchy: h}
			if h.IsUnified() {
				c.Enable = h.Controllers
			}
			selected = append(selected, c)
		}
		return selected, nil
	}
	enable := make([][]string, len(found))
	for _, name := range want.Names {
		at, controllers := provider(found, name)
		if at < 0 {
			missing = append(missing, name)
			continue
		}
		if enable[at] == nil {
			enable[at] = []string{}
		}
		for _, c := range controllers {
			if !slices.Contains(enable[at], c) {
				enable[at] = append(enable[at], c)
			}
		}
	}
	for i, h := range found {
		if enable[i] != nil {
			c := Selection{Hierarchy: h}
			if h.IsUnified() {
				c.Enable = enable[i]
			}
			selected = append(selected, c)
		}
	}
	return selected, missing
}

// provider returns the index of the hierarchy that has the controller, and on
// v2 what is to be enabled for it; -1 if none has it.
func provider(found []*Hierarchy, name string) (at int, enable []string) {
	unified := slices.IndexFunc(found, func(h *Hierarchy) bool { return h.IsUnified() })
	if name == Unified {
		if unified >= 0 {
			enable = found[unified].Controllers
		}
		return unified, enable
	}
	for i, h := range found {
		if i != unified && slices.Contains(h.Controllers, name) {
			return i, nil
		}
	}
	if unified < 0 {
		return -1, nil
	}
	controller, renamed := successors[name]
	if renamed && controller == "" {
		return unified, nil
	}
	if !renamed {
		controller = name
	}
	if slices.Contains(found[unified].Controllers, controller) {
		return unified, []string{controller}
	}
	return -1, nil
}
