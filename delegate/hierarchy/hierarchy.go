package hierarchy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	// Name is how /proc/PID/cgroup calls it: "freezer", "cpu,cpuacct",
	// "name=systemd"; the v2 hierarchy is called Unified.
	Name string
	// Controllers are the parts of a v1 hierarchy's name. For v2 they are what
	// the base's cgroup.controllers offers, which may be none.
	Controllers []string
	// Mount is where it is mounted.
	Mount cgroupfs.Mount
	// Base is the path, below the mount point, of the cgroup in which user/ is
	// made: the cgroup of the namespace's first process, without the leaf that
	// systemd or OpenRC put it in.
	Base string
	// Root is the cgroup that the mount shows, mountinfo's fourth field.
	Root string
}

// IsUnified tells whether h is the v2 hierarchy.
func (h *Hierarchy) IsUnified() bool { return h.Name == Unified }

// UnusableError says why a hierarchy that exists cannot be used from here.
type UnusableError struct {
	Hierarchy string
	Reason    string
	Err       error // the kernel's answer, if it was asked
}

func (e *UnusableError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("hierarchy %s: %s: %v", e.Hierarchy, e.Reason, e.Err)
	}
	return fmt.Sprintf("hierarchy %s: %s", e.Hierarchy, e.Reason)
}

func (e *UnusableError) Unwrap() error { return e.Err }

// Discover returns the mounted and usable hierarchies in the order of
// /proc/PID/cgroup, and for those that are mounted but not usable an
// *UnusableError each. It fails only when /proc itself cannot be read
// (*fs.PathError) or understood (*ParseError).
func Discover(m cgroupfs.Machine) (found []Hierarchy, unusable []error, err error) {
	data, err := m.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	mounts, err := parseMountinfo(data)
	if err != nil {
		return nil, nil, err
	}
	init, err := Memberships(m, 1)
	if err != nil {
		return nil, nil, err
	}
	for _, member := range init {
		var failed error
		for _, candidate := range mounts {
			if !candidate.shows(member.Hierarchy) {
				continue
			}
			candidate.readOnly = isReadOnly(mounts, candidate.point)
			h, err := locate(m, member, candidate)
			if err == nil {
				found, failed = append(found, h), nil
				break
			}
			failed = &UnusableError{Hierarchy: member.Hierarchy, Reason: "mounted, but of no use", Err: err}
		}
		if failed != nil {
			unusable = append(unusable, failed)
		}
	}
	return found, unusable, nil
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

// isReadOnly tells whether what is seen at the mount point is read-only: the last
// mount there lies over the others, as where an engine mounted the same hierarchy
// once more with "ro".
func isReadOnly(mounts []mount, point string) (readOnly bool) {
	for _, mt := range mounts {
		if mt.point == point {
			readOnly = mt.readOnly
		}
	}
	return readOnly
}

// locate makes a Hierarchy of a mount, if the base can be reached through it.
func locate(m cgroupfs.Machine, init Membership, mt mount) (Hierarchy, error) {
	h := Hierarchy{
		Name:  init.Hierarchy,
		Mount: cgroupfs.Mount{Point: mt.point, Device: mt.device, Unified: mt.unified, ReadOnly: mt.readOnly},
		Root:  mt.root,
	}
	base, err := h.Below(trimLeaf(init.Path))
	if err != nil {
		return h, err
	}
	h.Base = base
	root, err := m.OpenMount(h.Mount)
	if err != nil {
		return h, err
	}
	defer root.Close()
	dir, err := root.OpenPath(base)
	if err != nil {
		return h, err
	}
	defer dir.Close()
	if !h.IsUnified() {
		h.Controllers = strings.Split(h.Name, ",")
		return h, nil
	}
	offered, err := dir.Read("cgroup.controllers")
	if err != nil {
		return h, err
	}
	h.Controllers = strings.Fields(string(offered))
	return h, nil
}

// leaves are those in which systemd and OpenRC put the first process.
var leaves = []string{"/init.scope", "/rc.init"}

// trimLeaf takes off the leaf of the first process.
func trimLeaf(path string) string {
	for _, leaf := range leaves {
		if before, found := strings.CutSuffix(path, leaf); found {
			return "/" + strings.TrimPrefix(before, "/")
		}
	}
	return path
}

// ErrOutside says that a cgroup cannot be reached through a mount: it lies
// outside of the cgroup namespace or of what the mount shows.
var ErrOutside = errors.New("cgroup lies outside of this mount or cgroup namespace")

// Below turns a path of /proc/PID/cgroup into one below the mount point.
//
// Both that path and the mount's root are relative to the reader's cgroup
// namespace. A root of "/.." is a mount from before the namespace was made:
// below it our own cgroup has a name that we cannot know. ErrOutside then, as
// for any path with a ".." in it.
func (h *Hierarchy) Below(path string) (string, error) {
	if hasDotDot(path) || hasDotDot(h.Root) {
		return "", fmt.Errorf("%w: cgroup %q, mount root %q", ErrOutside, path, h.Root)
	}
	if h.Root == "/" || path == h.Root {
		return "/" + strings.TrimPrefix(strings.TrimPrefix(path, h.Root), "/"), nil
	}
	if below, found := strings.CutPrefix(path, h.Root+"/"); found {
		return "/" + below, nil
	}
	return "", fmt.Errorf("%w: cgroup %q, mount root %q", ErrOutside, path, h.Root)
}

func hasDotDot(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "..")
}

// OpenBase opens the cgroup in which user/ is made. Errors are *fs.PathError
// and *cgroupfs.MountError.
func (h *Hierarchy) OpenBase(m cgroupfs.Machine) (*cgroupfs.Dir, error) {
	return h.OpenBelow(m, h.Base)
}

// EnterBase moves a process out of the sessions: into the base, or where that
// takes none (on v2 only the real root takes processes beside controllers,
// cgroups(7)), into the leaf of the first process. Errors are those of OpenBase,
// and the base's *fs.PathError where there is no such leaf.
func (h *Hierarchy) EnterBase(m cgroupfs.Machine, pid int) error {
	base, err := h.OpenBase(m)
	if err != nil {
		return err
	}
	defer base.Close()
	err = base.Enter(pid)
	for _, leaf := range leaves {
		if err == nil || errors.Is(err, unix.ESRCH) {
			return err
		}
		dir, openErr := base.OpenPath(leaf)
		if openErr != nil {
			continue
		}
		err = dir.Enter(pid)
		dir.Close()
	}
	return err
}

// OpenMember opens a cgroup named as in /proc/PID/cgroup. Errors are those of
// OpenBase and ErrOutside.
func (h *Hierarchy) OpenMember(m cgroupfs.Machine, path string) (*cgroupfs.Dir, error) {
	below, err := h.Below(path)
	if err != nil {
		return nil, err
	}
	return h.OpenBelow(m, below)
}

// OpenBelow opens a cgroup by its path below the mount point. Errors are those
// of OpenBase.
func (h *Hierarchy) OpenBelow(m cgroupfs.Machine, below string) (*cgroupfs.Dir, error) {
	root, err := m.OpenMount(h.Mount)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenPath(below)
}
