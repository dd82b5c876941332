package delegate

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Cgroup names a cgroup.
type Cgroup struct {
	Hierarchy string
	Path      string // below the mount point
	Dir       string // the whole path
	// InSession tells whether it is in a session of ours or in a manager's scope of a
	// login, so that it is removed when that ends.
	InSession bool
}

// Home is, in one hierarchy, the cgroup below which what the calling process starts is to
// have its cgroups.
type Home struct {
	Cgroup
	// Leaf is the directory in which the process itself is: on v2 in a session the leaf,
	// which can have no cgroups with controllers below it.
	Leaf string
	// Session is what the session is called: N of user/NAME/N, or a scope's name; "" outside
	// of one.
	Session string
	// Controllers are those that the cgroups below can have.
	Controllers []string
}

// Homes returns where what the calling process starts is to have its cgroups, in each
// hierarchy in which it may make any: it is where NewSubgroup makes them. On a recorded
// machine it is the process whose files are /proc/self. Errors are *NoWritableCgroupError,
// and those of /proc.
func Homes(m machine.Machine) ([]Home, error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	data, err := m.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	members, err := hierarchy.ParseMemberships(data)
	if err != nil {
		return nil, err
	}
	who, err := callerOf(m)
	if err != nil {
		return nil, err
	}
	mgr := manager.Of(m, set)
	var homes []Home
	for _, h := range set.All {
		at, err := who.home(mgr, h, hierarchy.PathIn(members, h.Name))
		if err != nil {
			continue // not the caller's, or out of reach
		}
		homes = append(homes, Home{Cgroup: at.name(), Leaf: at.leaf(), Session: nameAt(h, mgr, at.below), Controllers: at.controllers()})
		at.dir.Close()
	}
	if len(homes) == 0 {
		return nil, &NoWritableCgroupError{Cgroups: members}
	}
	return homes, nil
}

// nameAt is what the session is called in which a cgroup below the mount point is; "" if it
// is in none.
func nameAt(h *hierarchy.Hierarchy, mgr manager.Manager, below string) string {
	if id, isOurs := layout.SessionAt(h, below); isOurs {
		return strconv.Itoa(id.Number)
	}
	for at := h.FromBase(below); at != "/"; at = path.Dir(at) {
		if _, isScope := mgr.InScope(at); isScope {
			return ScopeName(at)
		}
	}
	return ""
}

// ScopeName is what a scope is called by whose path below the base it is: logind's by its
// last part. elogind's, which are called like numbers, keep their slash.
func ScopeName(scope string) string {
	if strings.HasSuffix(scope, ".scope") {
		return path.Base(scope)
	}
	return scope
}

// caller is who wants to make cgroups.
type caller struct {
	uid        int
	isRecorded bool
}

func callerOf(m machine.Machine) (caller, error) {
	if !m.IsRecorded() {
		return caller{uid: unix.Geteuid()}, nil
	}
	status, err := m.Status("/proc/self")
	return caller{uid: status.UID, isRecorded: true}, err
}

// location is a cgroup in which the caller may make others.
type location struct {
	h         *hierarchy.Hierarchy
	dir       *cgroupfs.Dir
	below     string // its path below the mount point
	member    string // where the process itself is, below the mount point
	inSession bool
}

// IsUnified tells whether it is in the v2 hierarchy.
func (c Cgroup) IsUnified() bool { return c.Hierarchy == hierarchy.Unified }

func (l location) name() Cgroup {
	return Cgroup{Hierarchy: l.h.Name, Path: l.below, Dir: l.dir.Path(), InSession: l.inSession}
}

// leaf is the directory in which the process itself is.
func (l location) leaf() string {
	rest := strings.TrimPrefix(l.member, strings.TrimSuffix(l.below, "/"))
	return path.Join(l.dir.Path(), rest)
}

// controllers are those that a cgroup below can have.
func (l location) controllers() []string {
	if !l.h.IsUnified() {
		return l.h.Controllers
	}
	enabled, _ := l.dir.ReadWords("cgroup.subtree_control")
	return enabled
}

// home opens the nearest cgroup, from that of a process up, in which the caller may make
// others. Of the leaf of a v2 session it is the cgroup above. For root, who may write
// everything, it is none but one in a session: only that is cleaned up. Errors are those
// of hierarchy.Below, and fs.ErrPermission where there is none.
func (who caller) home(mgr manager.Manager, h *hierarchy.Hierarchy, member string) (l location, err error) {
	below, err := h.Below(member)
	if err != nil {
		return l, err
	}
	at := cmp.Or(strings.TrimSuffix(below, "/"+layout.Leaf), "/")
	if who.uid == 0 && !inSession(h, mgr, below) {
		return l, fs.ErrPermission
	}
	for ; ; at = path.Dir(at) {
		dir, err := h.OpenBelow(at)
		switch {
		case err == nil && who.mayWrite(dir):
			return location{h: h, dir: dir, below: at, member: below, inSession: inSession(h, mgr, at)}, nil
		case err == nil:
			dir.Close()
		case !errors.Is(err, fs.ErrPermission):
			return l, err
		}
		if at == "/" || who.uid == 0 {
			return l, fs.ErrPermission
		}
	}
}

// mayWrite tells whether the caller may make cgroups in one. Of a recorded machine the
// owner is all there is to tell.
func (who caller) mayWrite(dir *cgroupfs.Dir) bool {
	if !who.isRecorded {
		return dir.MayWrite()
	}
	info, err := dir.Info()
	return err == nil && (info.UID == who.uid || who.uid == 0)
}

// EnterLeaf makes the leaf of the v2 cgroup in which the calling process is alone, enters it,
// and enables the controllers for what is made beside it: as the module does in a session,
// for a scope that systemd has just made for the process (Delegate=yes). Where the
// process is not alone, or v2 has no controllers, nothing is done. Errors are those of
// hierarchy.Find, and *apply.HierarchyError.
func EnterLeaf(m machine.Machine) error {
	set, err := hierarchy.Find(m)
	if err != nil {
		return err
	}
	defer set.Close()
	members, err := hierarchy.Memberships(m, unix.Getpid())
	if err != nil {
		return err
	}
	h := set.ByName(hierarchy.Unified)
	if h == nil {
		return nil
	}
	dir, err := h.OpenMember(hierarchy.PathIn(members, h.Name))
	if err != nil {
		return apply.InHierarchy(h, err)
	}
	defer dir.Close()
	offered, err := dir.ReadWords("cgroup.controllers")
	if err != nil || len(offered) == 0 {
		return apply.InHierarchy(h, err)
	}
	if pids, err := dir.Procs(); err != nil || !slices.Equal(pids, []int{unix.Getpid()}) {
		return apply.InHierarchy(h, err)
	}
	if err := dir.MkdirAny(layout.Leaf); err != nil {
		return apply.InHierarchy(h, err)
	}
	leaf, err := dir.Open(layout.Leaf)
	if err != nil {
		return apply.InHierarchy(h, err)
	}
	defer leaf.Close()
	if err := leaf.Attach(unix.Getpid()); err != nil {
		return apply.InHierarchy(h, err)
	}
	enable(dir, offered)
	return nil
}

// enable enables v2's controllers for what is below a cgroup. One that cannot be enabled is
// missing there, no more.
func enable(dir *cgroupfs.Dir, controllers []string) {
	for _, controller := range controllers {
		_ = dir.Write("cgroup.subtree_control", "+"+controller)
	}
}
