package oom

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

// comparison is of two snapshots of one hierarchy.
type comparison struct {
	before *tree // without anything if the hierarchy was not there
	now    *tree
	// records are the kills of the log that are in this hierarchy, by the cgroup in which
	// they were counted, and those of no cgroup that is still there.
	records map[*group][]record
	lost    []record
	events  []Event
}

// compare returns what happened between two snapshots, and the records that no counter
// has confirmed yet.
func compare(before, now *snapshot, records []record) (events []Event, unmatched []record) {
	for _, t := range now.trees {
		c := comparison{before: before.tree(t.h.Name), now: t, records: map[*group][]record{}}
		if t.h.Has("memory") {
			c.locate(records)
		}
		for _, u := range t.users {
			c.user(u, &unmatched)
		}
		c.ended()
		events = append(events, c.events...)
	}
	return events, unmatched
}

func (s *snapshot) tree(name string) *tree {
	for _, t := range s.trees {
		if t.h.Name == name {
			return t
		}
	}
	return &tree{}
}

// locate finds the cgroup in which each killed process was, or on v2, where the cgroups
// above have counted it too, the nearest above that is still there.
func (c *comparison) locate(records []record) {
	for _, r := range records {
		below, err := c.now.h.Below(r.task)
		if err != nil {
			continue
		}
		r.task = below
		if r.limit != "" {
			if r.limit, err = c.now.h.Below(r.limit); err != nil {
				continue
			}
		}
		g := c.now.groups[below]
		for at := below; g == nil && c.now.h.IsUnified() && at != "/"; {
			at = path.Dir(at)
			g = c.now.groups[at]
		}
		if g == nil || c.owner(g) == nil {
			c.lost = append(c.lost, r)
			continue
		}
		c.records[g] = append(c.records[g], r)
	}
}

// owner returns whose cgroup it is; nil if it is above the users'.
func (c *comparison) owner(g *group) *userTree {
	for _, u := range c.now.users {
		if g == u.root || strings.HasPrefix(g.path, u.root.path+"/") {
			return u
		}
	}
	return nil
}

// rise returns by how much a counter has grown. A cgroup that was not there before, and
// not just overlooked, began with nothing.
func (c *comparison) rise(g *group, u *userTree, of func(*counters) int64) int64 {
	n := of(&g.counters)
	if n <= 0 {
		return 0
	}
	before := c.before.groups[g.path]
	switch {
	case before != nil && before.inode == g.inode:
		return max(0, n-max(0, of(&before.counters)))
	case c.owner(g) != u || !c.wasWhole(u):
		return 0
	}
	return n
}

// wasWhole tells whether everything of a user was looked at before, if there was anything.
func (c *comparison) wasWhole(u *userTree) bool {
	for _, b := range c.before.users {
		if b.root.path == u.root.path {
			return b.whole
		}
	}
	return c.before.h != nil && !c.before.isCut
}

func kills(c *counters) int64     { return c.kills }
func ooms(c *counters) int64      { return c.ooms }
func fails(c *counters) int64     { return c.fails }
func swapFails(c *counters) int64 { return c.swapFails }
func forks(c *counters) int64     { return c.forks }

// own returns by how much a counter has grown in a cgroup itself, and in those below it
// that have ended.
func (c *comparison) own(g *group, u *userTree, of func(*counters) int64, countsBelow bool) int64 {
	n := c.rise(g, u, of)
	if countsBelow {
		for _, child := range g.children {
			n -= c.rise(child, u, of)
		}
	}
	return max(0, n)
}

// user finds what happened to one user.
func (c *comparison) user(u *userTree, unmatched *[]record) {
	visit(u.root, func(g *group) {
		killed := c.own(g, u, kills, c.now.h.IsUnified())
		said := c.records[g]
		if int64(len(said)) > killed {
			for _, r := range said[killed:] {
				if !r.passed { // the counter may be behind
					r.passed = true
					*unmatched = append(*unmatched, r)
				}
			}
			said = said[:killed]
		}
		c.killed(u, g, said)
		if rest := killed - int64(len(said)); rest > 0 {
			c.add(u, g, Event{Kind: Kill, Count: rest, Limit: c.memoryLimit(g, u)})
		}
		if n := c.own(g, u, forks, c.now.forksBelow); n > 0 {
			c.add(u, g, Event{Kind: Fork, Count: n, Limit: c.pidsLimit(g)})
		}
	})
}

func visit(g *group, do func(*group)) {
	do(g)
	for _, child := range g.children {
		visit(child, do)
	}
}

// killed adds the kills of which the log tells, by their limits.
func (c *comparison) killed(u *userTree, g *group, said []record) {
	slices.SortStableFunc(said, func(a, b record) int { return cmp.Or(cmp.Compare(a.limit, b.limit), cmp.Compare(a.task, b.task)) })
	for len(said) > 0 {
		first, n := said[0], 1
		for n < len(said) && said[n].limit == first.limit && said[n].task == first.task {
			n++
		}
		e := Event{Kind: Kill, Count: int64(n), Cgroup: first.task, Limit: c.limitOf(first, u)}
		for _, r := range said[:min(n, MaxVictims)] {
			e.Victims = append(e.Victims, r.Victim)
		}
		c.add(u, g, e)
		said = said[n:]
	}
}

// ended adds the kills in cgroups that have ended, with what counted them.
func (c *comparison) ended() {
	byUser := map[string][]record{}
	trees := map[string]*userTree{}
	for _, r := range c.lost {
		u := c.whose(r.task)
		if u == nil {
			continue
		}
		key := u.user + "\x00" + u.root.path
		trees[key] = u
		byUser[key] = append(byUser[key], r)
	}
	for key, said := range byUser {
		c.killed(trees[key], trees[key].root, said)
	}
}

// whose returns whose cgroup there was at a path, also if all of the user's have ended.
func (c *comparison) whose(below string) *userTree {
	for _, t := range []*tree{c.now, c.before} {
		for _, u := range t.users {
			if below == u.root.path || strings.HasPrefix(below, u.root.path+"/") {
				return u
			}
		}
	}
	id, ok := layout.SessionAt(c.now.h, below)
	if !ok {
		return nil
	}
	root := &group{path: layout.UserPath(c.now.h, id.User)}
	return &userTree{user: layout.UserName(id.User), uid: -1, root: root}
}

// add adds an event in a cgroup of a user.
func (c *comparison) add(u *userTree, g *group, e Event) {
	e.User, e.UID, e.Session = u.user, u.uid, -1
	if e.Cgroup == "" {
		e.Cgroup = g.path
	}
	if id, ok := layout.SessionAt(c.now.h, e.Cgroup); ok {
		e.Session = id.Number
	}
	c.events = append(c.events, e)
}
