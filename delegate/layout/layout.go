// Package layout is where the cgroups of sessions are: BASE/user/NAME/N in each
// hierarchy, and on v2 the leaf in it, and how NAME is made of a user's name.
//
// It finds and lists what is there and changes nothing. It must not know who
// manages logins nor what a session is given.
package layout

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

const (
	// UsersDir is the cgroup below the base that holds a directory for every
	// user. It stays when it is empty: an administrator may have set limits.
	UsersDir = "user"
	// Leaf is the cgroup of a v2 session that holds the login's processes. LXC takes
	// a trailing /init.scope off its own cgroup to find the one for its containers.
	Leaf = "init.scope"
)

// ID names a session, the same in all hierarchies.
type ID struct {
	User   string // the directory of the user, as DirName makes it
	Number int
}

// relative is the path from the base on.
func (id ID) relative() string {
	return UsersDir + "/" + id.User + "/" + strconv.Itoa(id.Number)
}

// Path returns the session's path below the mount point.
func (id ID) Path(h *hierarchy.Hierarchy) string { return path.Join(h.Base, id.relative()) }

// UserPath returns the path, below the mount point, of the cgroup that holds a
// user's sessions.
func UserPath(h *hierarchy.Hierarchy, user string) string { return path.Join(h.Base, UsersDir, user) }

// SessionAt returns the session in which the cgroup at a path below the mount
// point lies, of whichever user.
func SessionAt(h *hierarchy.Hierarchy, below string) (id ID, ok bool) {
	rest, ok := strings.CutPrefix(below, path.Join(h.Base, UsersDir)+"/")
	if !ok {
		return id, false
	}
	user, rest, _ := strings.Cut(rest, "/")
	number, _, _ := strings.Cut(rest, "/")
	id.User = user
	id.Number, ok = parseNumber(number)
	return id, ok
}

// SessionOf is SessionAt for a path of /proc/PID/cgroup.
func SessionOf(h *hierarchy.Hierarchy, member string) (id ID, ok bool) {
	below, err := h.Below(member)
	if err != nil {
		return id, false
	}
	return SessionAt(h, below)
}

// parseNumber accepts only what strconv.Itoa makes: a directory called 007 is
// not one of ours.
func parseNumber(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == s
}

// IsNumber tells whether a directory in user/NAME is a session.
func IsNumber(name string) bool {
	_, ok := parseNumber(name)
	return ok
}

// MaxSessions bounds how many directories are read of one user, and of the users.
const MaxSessions = 1 << 16

// OpenUsers opens BASE/user. The error is ENOENT when there never was a session
// in this hierarchy.
func OpenUsers(h *hierarchy.Hierarchy) (*cgroupfs.Dir, error) { return h.BaseDir().Open(UsersDir) }

// OpenUser opens BASE/user/NAME. The error is ENOENT when the user has no
// session in this hierarchy.
func OpenUser(h *hierarchy.Hierarchy, user string) (*cgroupfs.Dir, error) {
	return h.BaseDir().OpenPath(UsersDir + "/" + user)
}

// Open opens the session's cgroup in one hierarchy. The error is ENOENT when it
// has none there.
func (id ID) Open(h *hierarchy.Hierarchy) (*cgroupfs.Dir, error) {
	return h.BaseDir().OpenPath(id.relative())
}

// Inode returns the inode number of the session's cgroup in one hierarchy
// (cgroupfs.Info). Errors are those of Open.
func (id ID) Inode(h *hierarchy.Hierarchy) (uint64, error) { return h.BaseDir().InodeAt(id.relative()) }

// Remove removes the session's cgroup in one hierarchy, which has to be empty: EBUSY
// if it is not.
func (id ID) Remove(h *hierarchy.Hierarchy) error { return h.BaseDir().Rmdir(id.relative()) }

// RemoveUser removes BASE/user/NAME, which has to be empty: EBUSY if it is not.
func RemoveUser(h *hierarchy.Hierarchy, user string) error {
	return h.BaseDir().Rmdir(UsersDir + "/" + user)
}

// Make makes the session's cgroup in one hierarchy, in which user/NAME has to be.
// EEXIST means that another login has it.
func (id ID) Make(h *hierarchy.Hierarchy) error { return h.BaseDir().Mkdir(id.relative()) }

// MakeUsers makes BASE/user, MakeUser BASE/user/NAME. EEXIST is no error.
func MakeUsers(h *hierarchy.Hierarchy) error { return h.BaseDir().MkdirAny(UsersDir) }

// MakeUser is MakeUsers for BASE/user/NAME, in which BASE/user has to be.
func MakeUser(h *hierarchy.Hierarchy, user string) error {
	return h.BaseDir().MkdirAny(UsersDir + "/" + user)
}

// NumbersIn returns the session numbers that a user has in one hierarchy.
func NumbersIn(h *hierarchy.Hierarchy, user string) ([]int, error) {
	dir, err := OpenUser(h, user)
	if err != nil {
		if cgroupfs.IsGone(err) {
			return nil, nil
		}
		return nil, err
	}
	defer dir.Close()
	names, _, err := dir.Children(MaxSessions)
	var numbers []int
	for _, name := range names {
		if n, ok := parseNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// Numbers returns the session numbers that a user has in any hierarchy, sorted.
// Hierarchies that cannot be read do not count.
func Numbers(set *hierarchy.Set, user string) []int {
	var all []int
	for _, h := range set.All {
		if numbers, err := NumbersIn(h, user); err == nil {
			all = append(all, numbers...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Users returns the names of all directories of users, sorted by user.
func Users(set *hierarchy.Set) []string {
	var all []string
	for _, h := range set.All {
		users, err := OpenUsers(h)
		if err != nil {
			continue
		}
		names, _, _ := users.Children(MaxSessions)
		all = append(all, names...)
		users.Close()
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(strings.Compare(UserName(a), UserName(b)), strings.Compare(a, b))
	})
	return slices.Compact(all)
}
