package hierarchy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Set is the hierarchies of a machine, found once for an operation, each with its
// directories open until Close.
type Set struct {
	All []*Hierarchy // in the order of /proc/PID/cgroup
	// Unusable are the hierarchies that are mounted and cannot be used, and lines of
	// mountinfo that cannot be understood: *UnusableError.
	Unusable []error
}

// UnusableError says why a hierarchy that exists cannot be used from here. Where a
// line of mountinfo could not be understood it is not known which one it was of.
type UnusableError struct {
	Hierarchy string // "" if that is not known
	Reason    string
	Err       error // the kernel's answer, if it was asked
}

func (e *UnusableError) Error() string {
	text := e.Reason
	if e.Hierarchy != "" {
		text = fmt.Sprintf("hierarchy %s: %s", e.Hierarchy, e.Reason)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", text, e.Err)
	}
	return text
}

func (e *UnusableError) Unwrap() error { return e.Err }

// Find returns the mounted hierarchies. It fails only when /proc itself cannot be
// read (*fs.PathError) or /proc/1/cgroup not be understood (*ParseError).
func Find(m machine.Machine) (*Set, error) {
	return FindSome(m, func(string) bool { return true })
}

// FindSome is Find for those hierarchies whose names are wanted: each costs a few
// system calls.
func FindSome(m machine.Machine, isWanted func(name string) bool) (*Set, error) {
	mounts, odd, err := readMountinfo(m)
	if err != nil {
		return nil, err
	}
	init, err := Memberships(m, 1)
	if err != nil {
		return nil, err
	}
	s := &Set{}
	for _, member := range init {
		if !isWanted(member.Hierarchy) {
			continue
		}
		h, unusable := best(m, member, mounts)
		if h != nil {
			s.All = append(s.All, h)
		} else if unusable != nil {
			s.Unusable = append(s.Unusable, unusable)
		}
	}
	for _, err := range odd {
		s.Unusable = append(s.Unusable, &UnusableError{Reason: "line ignored", Err: err})
	}
	return s, nil
}

// Close closes the directories.
func (s *Set) Close() {
	for _, h := range s.All {
		h.close()
	}
}

// ByName returns the hierarchy of that name; nil if there is none.
func (s *Set) ByName(name string) *Hierarchy {
	for _, h := range s.All {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Unreached returns why a hierarchy is not among All, for one that there was before: an
// *UnusableError; nil if it is.
func (s *Set) Unreached(name string) error {
	if s.ByName(name) != nil {
		return nil
	}
	for _, err := range s.Unusable {
		var u *UnusableError
		if errors.As(err, &u) && u.Hierarchy == name {
			return u
		}
	}
	return &UnusableError{Hierarchy: name, Reason: "not mounted any more"}
}

// IsUnified tells whether the machine has cgroup v2 alone.
func (s *Set) IsUnified() bool { return len(s.All) == 1 && s.All[0].IsUnified() }

// best returns, of the mounts of one hierarchy, the first through which the base
// can be reached and in which something can be made; else the first through which
// it can be reached; else why there is none. Both are nil where none is mounted.
func best(m machine.Machine, init Membership, mounts []mount) (found *Hierarchy, unusable error) {
	for i, candidate := range mounts {
		if !candidate.shows(init.Hierarchy) {
			continue
		}
		if isCovered(mounts, i) {
			unusable = &UnusableError{Hierarchy: init.Hierarchy, Reason: "mounted, but of no use", Err: cgroupfs.Covered(candidate.point)}
			continue
		}
		if found != nil && candidate.readOnly {
			continue
		}
		h, err := locate(m, init, candidate)
		switch {
		case err != nil:
			unusable = &UnusableError{Hierarchy: init.Hierarchy, Reason: "mounted, but cannot be used", Err: err}
		case !candidate.readOnly:
			if found != nil {
				found.close()
			}
			return h, nil
		default:
			found = h
		}
	}
	return found, unusable
}

func (h *Hierarchy) close() {
	if h.base != h.root && h.base != nil {
		h.base.Close()
	}
	if h.root != nil {
		h.root.Close()
	}
}

// shows tells whether the mount is one of the hierarchy with that name. The
// super options of a v1 mount hold all of its controllers, between options
// such as rw and xattr.
func (mt *mount) shows(hierarchy string) bool {
	if mt.unified || hierarchy == Unified {
		return mt.unified && hierarchy == Unified
	}
	for controller := range strings.SplitSeq(hierarchy, ",") {
		if !slices.Contains(mt.options, controller) {
			return false
		}
	}
	return true
}

// isCovered tells whether another cgroup mount is seen at the mount point: the last one
// there lies over the others, as where an engine mounted the same hierarchy once more with
// "ro", or a part of it. The device number does not tell these two apart.
func isCovered(mounts []mount, i int) bool {
	for _, later := range mounts[i+1:] {
		if later.point == mounts[i].point {
			return true
		}
	}
	return false
}

// locate makes a Hierarchy of a mount, if the base can be reached through it.
func locate(m machine.Machine, init Membership, mt mount) (_ *Hierarchy, err error) {
	h := &Hierarchy{
		Name:  init.Hierarchy,
		Mount: cgroupfs.Mount{Point: mt.point, Device: mt.device, Unified: mt.unified, ReadOnly: mt.readOnly},
		Root:  mt.root,
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.Base, err = h.Below(trimLeaf(init.Path)); err != nil {
		return nil, err
	}
	if h.root, err = cgroupfs.OpenMount(m, h.Mount); err != nil {
		return nil, err
	}
	h.base = h.root
	if h.Base != "/" {
		if h.base, err = h.root.OpenPath(h.Base); err != nil {
			return nil, err
		}
	}
	if !h.IsUnified() {
		h.Controllers = strings.Split(h.Name, ",")
		return h, nil
	}
	if h.Controllers, err = h.base.ReadWords("cgroup.controllers"); err != nil {
		return nil, err
	}
	return h, nil
}
