package delegate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
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
	// Limits are what the new cgroup is given, in the files that its hierarchies have.
	Limits []limits.Limit
	// Hierarchies are those in which the cgroup is made; nil: in all that are delegated.
	Hierarchies []string
}

// NoWritableCgroupError says that the process may write none of the cgroups it is
// in, nor one above, so that nothing can be made below them.
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

// NoControllerError says that no delegated hierarchy has the controller of a limit.
type NoControllerError struct {
	Limit      limits.Limit
	Controller string   // by its name on v2
	Delegated  []string // the hierarchies that are
}

func (e *NoControllerError) Error() string {
	return fmt.Sprintf("%s: no delegated hierarchy has the controller %s; delegated: %s", e.Limit.Name, e.Controller, strings.Join(e.Delegated, " "))
}

// NewSubgroup makes a cgroup below the process's own, or below the nearest above it that
// the calling user may write, in every hierarchy in which there is one, writes the limits
// and the settings, and moves the process in.
// It needs no privileges. On v2 the process goes to a leaf of the new cgroup, so
// that what it starts (LXC, another NewSubgroup) finds a cgroup without processes.
// After an error nothing of it is left.
//
// It returns the new cgroups. Errors are *NoWritableCgroupError, *NoControllerError,
// *limits.NoEquivalentError, *limits.SettingError, *SettingError, *apply.HierarchyError,
// and those of /proc.
func NewSubgroup(r SubgroupRequest) (cgroups []Cgroup, err error) {
	set, err := hierarchy.Find(r.Machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	members, err := hierarchy.Memberships(r.Machine, r.PID)
	if err != nil {
		return nil, err
	}
	who, err := callerOf(r.Machine)
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
		c, err := makeSubgroup(r, who, mgr, membership{h, hierarchy.PathIn(members, h.Name)})
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, hierarchy.ErrOutside) {
			continue // not ours
		}
		if err != nil {
			return nil, apply.InHierarchy(h, err)
		}
		made = append(made, c)
		cgroups = append(cgroups, c.name())
	}
	if len(made) == 0 {
		return nil, &NoWritableCgroupError{Cgroups: members}
	}
	if err := r.set(made); err != nil {
		return nil, err
	}
	for _, c := range made {
		if err := c.target.Attach(r.PID); err != nil {
			return nil, apply.InHierarchy(c.h, err)
		}
		c.attached = true
	}
	return cgroups, nil
}

// set writes the limits, and then the settings, which may say something else.
func (r SubgroupRequest) set(made []*subgroup) error {
	for _, l := range r.Limits {
		if err := requireController(made, l); err != nil {
			return err
		}
	}
	for _, c := range made {
		if err := c.limit(r); err != nil {
			return err
		}
	}
	for _, s := range r.Settings {
		if err := writeSetting(made, s); err != nil {
			return err
		}
	}
	return nil
}

// membership is where a process is in a hierarchy, as /proc/PID/cgroup has it.
type membership struct {
	*hierarchy.Hierarchy
	member string
}

// subgroup is the new cgroup in one hierarchy.
type subgroup struct {
	h           *hierarchy.Hierarchy
	former      string
	home        location // where it was made
	dir, target *cgroupfs.Dir
	attached    bool
}

// name is what the new cgroup is called.
func (c *subgroup) name() Cgroup {
	below := path.Join(c.home.below, path.Base(c.dir.Path()))
	return Cgroup{Hierarchy: c.h.Name, Path: below, Dir: c.dir.Path(), InSession: c.home.inSession}
}

func makeSubgroup(r SubgroupRequest, who caller, mgr manager.Manager, of membership) (*subgroup, error) {
	home, err := who.home(mgr, of.Hierarchy, of.member)
	if err != nil {
		return nil, err
	}
	c := &subgroup{h: of.Hierarchy, former: of.member, home: home}
	if err := home.dir.Mkdir(r.Name); err != nil {
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
	if c.dir, err = c.home.dir.Open(r.Name); err != nil {
		return err
	}
	if !c.h.IsUnified() {
		if slices.Contains(c.h.Controllers, "cpuset") {
			if err := apply.InheritCpuset(r.Machine, c.home.dir, c.dir); err != nil {
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
	enable(c.dir, offered)
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
	_ = c.home.dir.RemoveTree(r.Name, &cgroupfs.Budget{Dirs: 8})
}

func (c *subgroup) close() {
	for _, dir := range []*cgroupfs.Dir{c.home.dir, c.dir, c.target} {
		if dir != nil {
			dir.Close()
		}
	}
}

// controllers are those that the new cgroup has itself: of v2 not those of the root.
func (c *subgroup) controllers() []string {
	if !c.h.IsUnified() {
		return c.h.Controllers
	}
	offered, _ := c.dir.ReadWords("cgroup.controllers")
	return offered
}

// has tells whether the new cgroup has the controller of a limit.
func (c *subgroup) has(l limits.Limit) bool {
	return slices.Contains(c.controllers(), limits.ControllerOf(l.Name, c.h.IsUnified()))
}

// requireController returns a *NoControllerError for a limit that none of the new cgroups
// can have.
func requireController(made []*subgroup, l limits.Limit) error {
	var delegated []string
	for _, c := range made {
		if c.has(l) {
			return nil
		}
		delegated = append(delegated, c.h.Name)
	}
	return &NoControllerError{Limit: l, Controller: limits.ControllerOf(l.Name, true), Delegated: delegated}
}

// limit writes those of the limits that the hierarchy has.
func (c *subgroup) limit(r SubgroupRequest) error {
	at := limits.Place{Machine: r.Machine, Hierarchy: c.h, Path: c.name().Path}
	settings, errs := limits.Settings(at, r.Limits)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(limits.Write(c.dir, settings)...)
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
		controllers = append(controllers, c.controllers()...)
	}
	return &SettingError{File: s.File, Value: s.Value, Delegated: delegated, Controllers: controllers}
}

// removalPatience bounds how long RemoveSubgroup waits for a process that has just ended,
// and that the kernel still counts.
const removalPatience = 500 * time.Millisecond

// RemoveSubgroup removes cgroups that NewSubgroup made, with all that was made below. It
// leaves one in which processes are: unix.EBUSY. Other errors are *fs.PathError, and what
// hierarchy.Find gives.
func RemoveSubgroup(m machine.Machine, cgroups []Cgroup) error {
	set, err := hierarchy.Find(m)
	if err != nil {
		return err
	}
	defer set.Close()
	var errs []error
	for end := time.Now().Add(removalPatience); ; time.Sleep(time.Millisecond) {
		errs = nil
		isEnding := false
		for _, c := range cgroups {
			hasProcesses, err := removeIn(set.ByName(c.Hierarchy), c.Path)
			errs = append(errs, err)
			isEnding = isEnding || errors.Is(err, unix.EBUSY) && !hasProcesses
		}
		if !isEnding || time.Now().After(end) {
			return errors.Join(errs...)
		}
	}
}

// removeIn removes one cgroup, and tells whether processes are in it.
func removeIn(h *hierarchy.Hierarchy, below string) (hasProcesses bool, err error) {
	if h == nil {
		return false, nil // it was unmounted
	}
	parent, err := h.OpenBelow(path.Dir(below))
	if err != nil {
		return false, err
	}
	defer parent.Close()
	name := path.Base(below)
	if dir, err := parent.Open(name); err == nil {
		pids, _ := dir.ProcsBelow(&cgroupfs.Budget{Dirs: removalBudget})
		dir.Close()
		if len(pids) > 0 {
			return true, &fs.PathError{Op: "rmdir", Path: path.Join(parent.Path(), name), Err: unix.EBUSY}
		}
	}
	if err := parent.RemoveTree(name, &cgroupfs.Budget{Dirs: removalBudget}); err != nil && !cgroupfs.IsGone(err) {
		return false, err
	}
	return false, nil
}

// removalBudget bounds how many cgroups of a command's own are removed with it.
const removalBudget = 4096
