package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Setting is a value for a file of the new cgroup, such as memory.max.
type Setting struct{ File, Value string }

// SubgroupRequest asks for a cgroup of its own for one process.
type SubgroupRequest struct {
	Machine  machine.Machine
	PID      int    // the process to move in; of the calling user
	Name     string // of the new cgroup, one path component
	Settings []Setting
	// Hierarchies are those in which the cgroup is made; nil: in all that are delegated.
	Hierarchies []string
}

// NoWritableCgroupError says that the process may write none of the cgroups it is
// in, so that nothing can be made below them.
type NoWritableCgroupError struct {
	Cgroups []hierarchy.Membership // where the process is
}

func (e *NoWritableCgroupError) Error() string { return "no hierarchy is delegated to this process" }

// SettingError says that no delegated hierarchy has a file of that name.
type SettingError struct {
	File, Value string
	Delegated   []string // the hierarchies that are
	Controllers []string // that these have
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("no delegated hierarchy has the file %q; delegated: %s", e.File, strings.Join(e.Delegated, " "))
}

// NewSubgroup makes a cgroup below the process's own in every hierarchy that is
// delegated to the calling user, writes the settings, and moves the process in.
// It needs no privileges. On v2 the process goes to a leaf of the new cgroup, so
// that what it starts (LXC, another NewSubgroup) finds a cgroup without processes.
// After an error nothing of it is left.
//
// It returns the paths of the new cgroups. Errors are *NoWritableCgroupError,
// *SettingError, *apply.HierarchyError, and those of /proc.
func NewSubgroup(r SubgroupRequest) (paths []string, err error) {
	set, err := hierarchy.Find(r.Machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	members, err := hierarchy.Memberships(r.Machine, r.PID)
	if err != nil {
		return nil, err
	}
	mgr := manager.Of(r.Machine, set)
	var made []*subgroup
	defer func() {
		for _, c := range made {
			if err != nil {
				c.undo(r)
			}
			c.close()
		}
	}()
	for _, h := range set.All {
		if r.Hierarchies != nil && !slices.Contains(r.Hierarchies, h.Name) {
			continue
		}
		c, err := makeSubgroup(r, mgr, h, hierarchy.PathIn(members, h.Name))
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, hierarchy.ErrOutside) {
			continue // not ours
		}
		if err != nil {
			return nil, apply.InHierarchy(h, err)
		}
		made = append(made, c)
		paths = append(paths, c.dir.Path())
	}
	if len(made) == 0 {
		return nil, &NoWritableCgroupError{Cgroups: members}
	}
	for _, s := range r.Settings {
		if err := writeSetting(made, s); err != nil {
			return nil, err
		}
	}
	for _, c := range made {
		if err := c.target.Attach(r.PID); err != nil {
			return nil, apply.InHierarchy(c.h, err)
		}
		c.attached = true
	}
	return paths, nil
}

// subgroup is the new cgroup in one hierarchy.
type subgroup struct {
	h           *hierarchy.Hierarchy
	former      string
	parent, dir *cgroupfs.Dir
	target      *cgroupfs.Dir // what the process enters: dir, or its leaf
	attached    bool
}

func makeSubgroup(r SubgroupRequest, mgr manager.Manager, h *hierarchy.Hierarchy, member string) (*subgroup, error) {
	below, err := h.Below(member)
	if err != nil {
		return nil, err
	}
	if unix.Geteuid() == 0 && !inSession(h, mgr, below) {
		return nil, unix.EPERM // root can write everything; only a session is cleaned up
	}
	c := &subgroup{h: h, former: member}
	c.parent, err = h.OpenBelow(strings.TrimSuffix(below, "/"+layout.Leaf))
	if err != nil {
		return nil, err
	}
	if err := c.parent.Mkdir(r.Name); err != nil {
		c.close()
		return nil, err
	}
	if err := c.populate(r); err != nil {
		c.undo(r)
		c.close()
		return nil, err
	}
	return c, nil
}

// populate makes the new cgroup ready for the process.
func (c *subgroup) populate(r SubgroupRequest) (err error) {
	if c.dir, err = c.parent.Open(r.Name); err != nil {
		return err
	}
	if !c.h.IsUnified() {
		if slices.Contains(c.h.Controllers, "cpuset") {
			if err := apply.InheritCpuset(r.Machine, c.parent, c.dir); err != nil {
				return err
			}
		}
		c.target, err = c.dir.OpenPath("/")
		return err
	}
	offered, err := c.dir.ReadWords("cgroup.controllers")
	if err != nil {
		return err
	}
	for _, controller := range offered {
		// one that cannot be enabled is missing below, no more
		_ = c.dir.Write("cgroup.subtree_control", "+"+controller)
	}
	if err := c.dir.Mkdir(layout.Leaf); err != nil {
		return err
	}
	c.target, err = c.dir.Open(layout.Leaf)
	return err
}

// undo takes back what was made, as far as the kernel lets an unprivileged
// process.
func (c *subgroup) undo(r SubgroupRequest) {
	if c.attached {
		_ = c.h.Attach(c.former, r.PID)
	}
	_ = c.parent.RemoveTree(r.Name, &cgroupfs.Budget{Dirs: 8})
}

func (c *subgroup) close() {
	for _, dir := range []*cgroupfs.Dir{c.parent, c.dir, c.target} {
		if dir != nil {
			dir.Close()
		}
	}
}

// writeSetting writes a setting in the one hierarchy that has its file.
func writeSetting(made []*subgroup, s Setting) error {
	var delegated, controllers []string
	for _, c := range made {
		err := c.dir.Write(s.File, s.Value)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return apply.InHierarchy(c.h, err)
		}
		delegated = append(delegated, c.h.Name)
		has := c.h.Controllers
		if c.h.IsUnified() {
			has, _ = c.dir.ReadWords("cgroup.controllers") // of this cgroup, not of the root
		}
		controllers = append(controllers, has...)
	}
	return &SettingError{File: s.File, Value: s.Value, Delegated: delegated, Controllers: controllers}
}
