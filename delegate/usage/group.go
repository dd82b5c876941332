package usage

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// reader reads each file once in a look: the files of user/NAME are also those that are
// above every session.
type reader struct {
	set   *hierarchy.Set
	files map[file]content
}

type file struct {
	at   cgroup
	name string
}

// content is what was in a file, if it was found.
type content struct {
	answer machine.Answer
	text   string
}

// cgroup is one in a hierarchy, by its path below the mount point.
type cgroup struct {
	h    *hierarchy.Hierarchy
	path string
}

func (r *reader) read(at cgroup, name string) content {
	key := file{at, name}
	c, isRead := r.files[key]
	if !isRead {
		c = at.read(name)
		r.files[key] = c
	}
	return c
}

func (c cgroup) read(name string) content {
	dir, err := c.h.OpenBelow(c.path)
	if err != nil {
		return content{answer: answerOf(err)}
	}
	defer dir.Close()
	data, err := dir.Read(name)
	return content{answerOf(err), string(data)}
}

// answerOf tells what an error means. Where the kernel was started without pressure
// stall information, its files are there and cannot be opened (psi=0).
func answerOf(err error) machine.Answer {
	switch {
	case err == nil:
		return machine.Found
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP):
		return machine.Absent
	}
	return machine.Unknown
}

// group is the cgroups, of several hierarchies, that belong to one user or session.
type group struct {
	*reader
	cgroups []cgroup
}

func (r *reader) ofSession(s *delegate.Session) group {
	g := group{reader: r}
	for _, p := range s.Parts {
		if h := r.set.ByName(p.Hierarchy); h != nil {
			g.cgroups = append(g.cgroups, cgroup{h, p.Path})
		}
	}
	return g
}

// ofUser finds the cgroup that holds the user's sessions in each hierarchy. Where there
// are both, which takes an su on a hybrid machine, it is the one with sessions in it.
func (r *reader) ofUser(a Account, sessions []Session) group {
	g := group{reader: r}
	name, err := layout.DirName(a.Name)
	for _, h := range r.set.All {
		var candidates []string
		if err == nil {
			candidates = append(candidates, layout.UserPath(h, name))
		}
		candidates = append(candidates, path.Join(h.Base, manager.UsersSlice, manager.UserSlice(a.UID)))
		candidates = slices.DeleteFunc(candidates, func(below string) bool { return !(cgroup{h, below}).exists() })
		slices.SortStableFunc(candidates, func(a, b string) int { return holding(sessions, h, b) - holding(sessions, h, a) })
		if len(candidates) > 0 {
			g.cgroups = append(g.cgroups, cgroup{h, candidates[0]})
		}
	}
	return g
}

// holding is 1 if a cgroup holds one of the sessions.
func holding(sessions []Session, h *hierarchy.Hierarchy, below string) int {
	for _, s := range sessions {
		for _, p := range s.Parts {
			if p.Hierarchy == h.Name && strings.HasPrefix(p.Path, below+"/") {
				return 1
			}
		}
	}
	return 0
}

func (c cgroup) exists() bool {
	dir, err := c.h.OpenBelow(c.path)
	if err == nil {
		dir.Close()
	}
	return err == nil
}

// with returns the cgroup in which a controller counts: that of the v1 hierarchy that has
// it, or else that of v2; ok is false if there is none.
func (g group) with(controller string) (at cgroup, ok bool) {
	for _, h := range g.set.All {
		if !h.IsUnified() && h.Has(controller) {
			return g.in(func(c cgroup) bool { return c.h == h })
		}
	}
	return g.unified()
}

func (g group) unified() (at cgroup, ok bool) {
	return g.in(func(c cgroup) bool { return c.h.IsUnified() })
}

func (g group) in(isIt func(cgroup) bool) (at cgroup, ok bool) {
	if i := slices.IndexFunc(g.cgroups, isIt); i >= 0 {
		return g.cgroups[i], true
	}
	return cgroup{}, false
}

// controllers returns which of those whose use is counted the cgroups have, by v2's names.
func (g group) controllers() (names []string) {
	for _, each := range []struct{ v1, v2 string }{{"memory", "memory"}, {"cpu", "cpu"}, {"pids", "pids"}, {"blkio", "io"}} {
		at, ok := g.with(each.v1)
		if !ok {
			continue
		}
		if !at.h.IsUnified() || slices.Contains(strings.Fields(g.read(at, "cgroup.controllers").text), each.v2) {
			names = append(names, each.v2)
		}
	}
	return names
}

// maxCgroups bounds the cgroups below one, which a user made, in which events are counted.
const maxCgroups = 4096

// sum adds up what a file counts in a cgroup and in those below, for what the kernel counts
// only where it happens. It is unknown if one of them cannot be read, or if there are too
// many: a part of it could be mistaken for all.
func (g group) sum(at cgroup, name string, parse parser) Count {
	dir, err := at.h.OpenBelow(at.path)
	if err != nil {
		return Count{Answer: answerOf(err)}
	}
	defer dir.Close()
	total := Count{Answer: machine.Absent}
	err = dir.Visit(&cgroupfs.Budget{Dirs: maxCgroups}, func(each *cgroupfs.Dir) (bool, error) {
		data, err := each.Read(name)
		switch c := countOf(content{answerOf(err), string(data)}, parse); {
		case cgroupfs.IsGone(err):
		case c.Answer == machine.Unknown:
			return false, errUnknown
		case c.Answer == machine.Found:
			total = Count{machine.Found, total.N + c.N}
		}
		return true, nil
	})
	if err != nil {
		return Count{}
	}
	return total
}

// errUnknown ends a walk that cannot come to a sum.
var errUnknown = errors.New("not known")
