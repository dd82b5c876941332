package oom

import (
	"path"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/inotify"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// How many cgroups are looked at, of one user in one hierarchy, and at all. Users make
// any number of them. What happens in others is seen on v2 in those above, which count it
// too; on v1 only in the kernel's log.
const (
	maxUserGroups = 128
	maxGroups     = 4096
)

// snapshot is what was counted at one moment.
type snapshot struct {
	set       *hierarchy.Set // open until the look is over
	trees     []*tree
	mustPoll  bool     // there are cgroups of which nothing tells when they count something
	unmatched []record // which have to be looked at once more

	mark inotify.Marker
	left int // how many cgroups may still be looked at
}

// tree is one hierarchy.
type tree struct {
	h      *hierarchy.Hierarchy
	groups map[string]*group // by path below the mount point
	users  []*userTree
	isCut  bool // there are users at whose cgroups it did not look
	// forksBelow tells that a cgroup counts the refused forks below it too (v2, since
	// Linux 6.11; commit 3f26a885b6c8).
	forksBelow bool
}

// userTree is what a user has in one hierarchy: user/NAME, a slice of systemd's, or a
// cgroup of elogind's.
type userTree struct {
	root  *group
	user  string // as PAM names it; "" where only the ID is known
	uid   int    // -1: not known
	whole bool   // everything below was looked at
}

// group is a cgroup with what it has counted.
type group struct {
	path     string
	inode    uint64
	parent   *group // nil at the mount point, and where the way up was not read
	children []*group
	uid      int // owner
	counters
}

// counters are those of the kernel; -1: there is no such counter.
type counters struct {
	kills     int64 // oom_kill of memory.events, or of memory.oom_control (Linux 4.13)
	ooms      int64 // v2: oom of memory.events: the limit was reached, and nothing could be freed
	fails     int64 // v1: memory.failcnt
	swapFails int64 // v1: memory.memsw.failcnt
	forks     int64 // max of pids.events
}

// read takes a snapshot, and has told what changes later.
func read(m machine.Machine, mark inotify.Marker) (*snapshot, error) {
	set, err := hierarchy.FindSome(m, func(name string) bool {
		return name == hierarchy.Unified || hasController(name, "memory") || hasController(name, "pids")
	})
	if err != nil {
		return nil, err
	}
	s := &snapshot{set: set, mark: mark, left: maxGroups}
	mgr := manager.Of(m, set)
	for _, h := range set.All {
		if !h.Has("memory") && !h.Has("pids") {
			continue
		}
		t := &tree{h: h, groups: map[string]*group{}}
		s.trees = append(s.trees, t)
		mark.Children(h.BaseDir())
		s.ours(t)
		s.slices(t)
		s.elogind(t, mgr)
	}
	return s, nil
}

func hasController(name, controller string) bool {
	for part := range strings.SplitSeq(name, ",") {
		if part == controller {
			return true
		}
	}
	return false
}

// ours reads user/NAME and below.
func (s *snapshot) ours(t *tree) {
	users, err := layout.OpenUsers(t.h)
	if err != nil {
		return
	}
	defer users.Close()
	s.mark.Children(users)
	s.above(t, layout.UserPath(t.h, ""))
	names, _, _ := users.Children(layout.MaxSessions)
	for _, name := range names {
		s.user(t, layout.UserPath(t.h, name), &userTree{user: layout.UserName(name), uid: -1})
	}
}

// slices reads systemd's user-UID.slice and below.
func (s *snapshot) slices(t *tree) {
	all, err := t.h.BaseDir().Open(manager.UsersSlice)
	if err != nil {
		return
	}
	defer all.Close()
	s.mark.Children(all)
	s.above(t, path.Join(t.h.Base, manager.UsersSlice))
	names, _, _ := all.Children(layout.MaxSessions)
	for _, name := range names {
		if uid, ok := manager.UserOfSlice(name); ok {
			s.user(t, path.Join(t.h.Base, manager.UsersSlice, name), &userTree{uid: uid})
		}
	}
}

// elogind reads the cgroups of sessions that are in no user's slice.
func (s *snapshot) elogind(t *tree, mgr manager.Manager) {
	for _, scope := range mgr.Scopes(t.h) {
		if !strings.HasPrefix(scope.Path, "/"+manager.UsersSlice+"/") {
			s.user(t, path.Join(t.h.Base, scope.Path), &userTree{uid: scope.UID})
		}
	}
}

// user reads a user's cgroups, and those above up to the mount point.
func (s *snapshot) user(t *tree, below string, u *userTree) {
	dir, err := t.h.OpenBelow(below)
	if err != nil {
		return // it ended
	}
	defer dir.Close()
	most := min(maxUserGroups, s.left)
	w := walk{snapshot: s, tree: t, left: most}
	u.root = w.group(dir, below, s.above(t, path.Dir(below)), 0)
	u.whole = !w.isCut
	s.left -= most - w.left
	if u.root == nil {
		t.isCut = t.isCut || w.isCut
		return
	}
	owners := u.root.children // user/NAME itself is root's
	if u.user == "" {
		owners = []*group{u.root}
	}
	for _, g := range owners {
		if u.uid < 0 {
			u.uid = g.uid
		}
	}
	t.users = append(t.users, u)
}

// above returns a cgroup above users', after those above it; nil if it cannot be read.
func (s *snapshot) above(t *tree, below string) *group {
	if g := t.groups[below]; g != nil {
		return g
	}
	dir, err := t.h.OpenBelow(below)
	if err != nil {
		return nil
	}
	defer dir.Close()
	var parent *group
	if below != "/" {
		parent = s.above(t, path.Dir(below))
	}
	return t.add(dir, below, parent)
}

// walk is one through what a user has.
type walk struct {
	*snapshot
	*tree
	left  int
	isCut bool // there are cgroups at which it did not look
}

// maxDepth bounds how deep the walk goes.
const maxDepth = 16

// group reads a cgroup and those below it; nil if it has ended, or there are too many.
func (w *walk) group(dir *cgroupfs.Dir, below string, parent *group, depth int) *group {
	if w.left <= 0 || depth > maxDepth {
		w.isCut = true
		return nil
	}
	w.left--
	g := w.add(dir, below, parent)
	if g == nil {
		return nil
	}
	w.tell(dir, g, depth)
	names, more, _ := dir.Children(w.left)
	w.isCut = w.isCut || more
	for _, name := range names {
		child, err := dir.Open(name)
		if err != nil {
			continue // it ended
		}
		if c := w.group(child, path.Join(below, name), g, depth+1); c != nil {
			g.children = append(g.children, c)
		}
		child.Close()
	}
	return g
}

// tell has what a cgroup counts told. The counter of killed processes at the top tells
// also of those below; v1 tells nothing.
func (w *walk) tell(dir *cgroupfs.Dir, g *group, depth int) {
	if depth == 0 {
		w.mark.Children(dir)
	}
	switch {
	case !w.h.IsUnified():
		w.mustPoll = true
		return
	case depth == 0 && g.kills >= 0 && !w.mark.Changes(dir, "memory.events"):
		w.mustPoll = true
	}
	if g.forks >= 0 && (depth == 0 || !w.forksBelow) && !w.mark.Changes(dir, "pids.events") {
		w.mustPoll = true
	}
}

// add reads the counters of a cgroup; nil if it has ended.
func (t *tree) add(dir *cgroupfs.Dir, below string, parent *group) *group {
	info, err := dir.Info()
	if err != nil {
		return nil
	}
	g := &group{path: below, inode: info.Inode, uid: info.UID, parent: parent, counters: counters{-1, -1, -1, -1, -1}}
	switch {
	case t.h.IsUnified():
		events := keyed(dir, "memory.events")
		g.kills, g.ooms = valueOf(events, "oom_kill"), valueOf(events, "oom")
	case t.h.Has("memory"):
		g.kills = valueOf(keyed(dir, "memory.oom_control"), "oom_kill")
		g.fails, g.swapFails = number(dir, "memory.failcnt"), number(dir, "memory.memsw.failcnt")
	}
	if t.h.Has("pids") {
		g.forks = valueOf(keyed(dir, "pids.events"), "max")
		if !t.forksBelow && t.h.IsUnified() && g.forks >= 0 {
			_, err := dir.Read("pids.events.local")
			t.forksBelow = err == nil
		}
	}
	t.groups[below] = g
	return g
}

// keyed reads a file of lines "KEY VALUE" (cgroup-v2.rst, "Flat keyed"); nil if it cannot
// be read.
func keyed(dir *cgroupfs.Dir, name string) map[string]int64 {
	words, err := dir.ReadWords(name)
	if err != nil {
		return nil
	}
	values := map[string]int64{}
	for i := 0; i+1 < len(words); i += 2 {
		if n, err := strconv.ParseInt(words[i+1], 10, 64); err == nil && n >= 0 {
			values[words[i]] = n
		}
	}
	return values
}

func valueOf(values map[string]int64, key string) int64 {
	if n, ok := values[key]; ok {
		return n
	}
	return -1
}

// number reads a file that has one number; -1 if it has none: "max", or it is not there.
// Numbers above the largest signed one are as good as none.
func number(dir *cgroupfs.Dir, name string) int64 {
	words, err := dir.ReadWords(name)
	if err != nil || len(words) != 1 {
		return -1
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
