package hierarchy

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// Hierarchy is one mounted cgroup tree, with its root and its base open.
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

	root, base *cgroupfs.Dir
}

// IsUnified tells whether h is the v2 hierarchy.
func (h *Hierarchy) IsUnified() bool { return h.Name == Unified }

// Has tells whether the controller is one of a v1 hierarchy's, or one that v2
// offers.
func (h *Hierarchy) Has(controller string) bool { return slices.Contains(h.Controllers, controller) }

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

// FromBase turns a path below the mount point into one below the base. A cgroup
// that is not below the base keeps its path.
func (h *Hierarchy) FromBase(below string) string {
	rest, found := strings.CutPrefix(below, strings.TrimSuffix(h.Base, "/")+"/")
	switch {
	case found:
		return "/" + rest
	case below == h.Base:
		return "/"
	}
	return below
}

func hasDotDot(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "..")
}

// BaseDir returns the cgroup in which user/ is made. It stays open as long as the
// hierarchies do, and the caller does not close it.
func (h *Hierarchy) BaseDir() *cgroupfs.Dir { return h.base }

// OpenBelow opens a cgroup by its path below the mount point. Errors are
// *fs.PathError.
func (h *Hierarchy) OpenBelow(below string) (*cgroupfs.Dir, error) { return h.root.OpenPath(below) }

// IsUsers tells whether somebody other than root can stop a process in the cgroup at a path
// below the mount point: where the user owns it, or one above it, up to the base. On v2 it is
// enough if that is the file by which processes are moved out of it, into one of the user's.
func (h *Hierarchy) IsUsers(below string) bool {
	for at := below; at != h.Base && at != "/" && at != "."; at = path.Dir(at) {
		what := at
		if h.IsUnified() {
			what = path.Join(at, "cgroup.procs")
		}
		if uid, err := h.root.OwnerAt(strings.TrimPrefix(what, "/")); err == nil && uid != 0 {
			return true
		}
	}
	return false
}

// OpenMember opens a cgroup named as in /proc/PID/cgroup. Errors are those of
// OpenBelow and ErrOutside.
func (h *Hierarchy) OpenMember(path string) (*cgroupfs.Dir, error) {
	below, err := h.Below(path)
	if err != nil {
		return nil, err
	}
	return h.OpenBelow(below)
}

// Attach moves a process into a cgroup named as in /proc/PID/cgroup. Errors are
// those of OpenMember.
func (h *Hierarchy) Attach(member string, pid int) error {
	below, err := h.Below(member)
	if err != nil {
		return err
	}
	if below == "/" {
		return h.root.Attach(pid)
	}
	dir, err := h.OpenBelow(below)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Attach(pid)
}

// AttachToBase moves a process out of the sessions: into the base, or where that
// takes none (on v2 only the real root takes processes beside controllers,
// cgroups(7)), into the leaf of the first process. Errors are the base's
// *fs.PathError where there is no such leaf.
func (h *Hierarchy) AttachToBase(pid int) error {
	err := h.base.Attach(pid)
	for _, leaf := range leaves {
		if err == nil || errors.Is(err, unix.ESRCH) {
			return err
		}
		dir, openErr := h.base.OpenPath(leaf)
		if openErr != nil {
			continue
		}
		err = dir.Attach(pid)
		dir.Close()
	}
	return err
}

// leaves are those in which systemd and OpenRC put the first process.
var leaves = []string{"/init.scope", "/rc.init"}

// trimLeaf takes off the leaf of the first process.
func trimLeaf(member string) string {
	for _, leaf := range leaves {
		if before, found := strings.CutSuffix(member, leaf); found {
			return cmp.Or(before, "/") // not path.Join, which makes "/" of the "/.." of another namespace
		}
	}
	return member
}
