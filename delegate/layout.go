package delegate

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
	// usersDir is the cgroup below the base that holds a directory for every
	// user. It stays when it is empty: an administrator may have set limits.
	usersDir = "user"
	// leafName is the leaf of a v2 session. LXC takes a trailing /init.scope
	// off its own cgroup to find the one for its containers.
	leafName = "init.scope"
)

// sessionPath returns the path of a session below the mount point.
func sessionPath(h *hierarchy.Hierarchy, dirName string, number int) string {
	return path.Join(h.Base, usersDir, dirName, strconv.Itoa(number))
}

// sessionOf returns the number of the session of that user in which the cgroup
// at path (below the mount point) lies.
func sessionOf(h *hierarchy.Hierarchy, dirName, below string) (number int, ok bool) {
	rest, ok := strings.CutPrefix(below, path.Join(h.Base, usersDir, dirName)+"/")
	if !ok {
		return 0, false
	}
	first, _, _ := strings.Cut(rest, "/")
	return parseNumber(first)
}

// sessionOfMember is sessionOf for a path of /proc/PID/cgroup.
func sessionOfMember(h *hierarchy.Hierarchy, dirName, member string) (number int, ok bool) {
	below, err := h.Below(member)
	if err != nil {
		return 0, false
	}
	return sessionOf(h, dirName, below)
}

// fromBase turns a path below the mount point into one below the base.
func fromBase(h *hierarchy.Hierarchy, below string) string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(below, h.Base), "/")
}

// parseNumber accepts only what strconv.Itoa makes: a directory called 007 is
// not one of ours.
func parseNumber(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == s
}

// maxSessions bounds how many directories are read of one user.
const maxSessions = 1 << 16

// openUsers opens BASE/user. The error is ENOENT when there never was a session
// in this hierarchy.
func openUsers(m cgroupfs.Machine, h *hierarchy.Hierarchy) (*cgroupfs.Dir, error) {
	base, err := h.OpenBase(m)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return base.Open(usersDir)
}

// openUser opens BASE/user/NAME. The error is ENOENT when the user has no
// session in this hierarchy.
func openUser(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string) (*cgroupfs.Dir, error) {
	users, err := openUsers(m, h)
	if err != nil {
		return nil, err
	}
	defer users.Close()
	return users.Open(dirName)
}

// numbersIn returns the session numbers that are taken in one hierarchy.
func numbersIn(m cgroupfs.Machine, h *hierarchy.Hierarchy, dirName string) ([]int, error) {
	user, err := openUser(m, h, dirName)
	if err != nil {
		if cgroupfs.IsGone(err) {
			return nil, nil
		}
		return nil, err
	}
	defer user.Close()
	names, _, err := user.Children(maxSessions)
	var numbers []int
	for _, name := range names {
		if n, ok := parseNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// numbersOf returns the session numbers that are taken in any hierarchy,
// sorted. Hierarchies that cannot be read do not count.
func numbersOf(m cgroupfs.Machine, found []hierarchy.Hierarchy, dirName string) []int {
	var all []int
	for i := range found {
		if numbers, err := numbersIn(m, &found[i], dirName); err == nil {
			all = append(all, numbers...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// userDirs returns the names of all user/NAME, sorted by user.
func userDirs(m cgroupfs.Machine, found []hierarchy.Hierarchy) []string {
	var all []string
	for i := range found {
		users, err := openUsers(m, &found[i])
		if err != nil {
			continue
		}
		names, _, _ := users.Children(maxSessions)
		all = append(all, names...)
		users.Close()
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(strings.Compare(UserName(a), UserName(b)), strings.Compare(a, b))
	})
	return slices.Compact(all)
}
