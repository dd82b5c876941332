package limitcheck

import (
	"fmt"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
)

const hundred = 100_00 // hundredths of a percent

// values finds limits that are no limits, or do not go together.
func (c *checker) values(r *limitsconf.Rule) {
	for i, l := range r.Limits {
		if l.Value.Kind == limits.Percent && l.Value.Percent > hundred {
			c.limit(r, i, Warning, fmt.Sprintf("%s is more than there is, and limits nothing", l), "give at most 100%, or max")
		}
	}
	c.highAndMax(r)
}

// indexOf returns which of a line's limits has the name; -1 for none.
func indexOf(r *limitsconf.Rule, name limits.Name) int {
	return slices.IndexFunc(r.Limits, func(l limits.Limit) bool { return l.Name == name })
}

// highAndMax: above memory.high processes are held up, more and more, until they free
// memory; without memory.max nothing ends that (cgroup-v2.rst, "memory.high").
func (c *checker) highAndMax(r *limitsconf.Rule) {
	high, most := indexOf(r, limits.MemoryHigh), indexOf(r, limits.MemoryMax)
	if high < 0 || r.Limits[high].Value.Kind == limits.Unlimited {
		return
	}
	if most < 0 || r.Limits[most].Value.Kind == limits.Unlimited {
		c.limit(r, high, Warning, "memory.high without memory.max: who needs more is slowed down without end, and is told nothing", "add memory.max, somewhat above memory.high")
		return
	}
	h, m := r.Limits[high].Value, r.Limits[most].Value
	if h.Kind != m.Kind {
		return
	}
	if h.Number > m.Number || h.Percent > m.Percent {
		c.limit(r, high, Warning, fmt.Sprintf("%s is never reached: %s is below it", r.Limits[high], r.Limits[most]), "give memory.high less than memory.max")
	}
}

// rootsSessions finds that a line exempts root from the limits of users, and another one
// limits root's sessions: whoever writes the first one means both.
func (c *checker) rootsSessions() {
	root := c.Config.For(limitsconf.Subject{Name: "root"})
	if root.User == nil || root.Session == nil || len(root.User.Limits) > 0 || len(root.Session.Limits) == 0 {
		return
	}
	c.line(root.Session, fmt.Sprintf("each session of root is limited by this line; %s:%d exempts root only from limits of all sessions together", root.User.File, root.User.Line),
		fmt.Sprintf("put before it: %s session -", root.User.WhoText))
}

// sessionsAboveUsers finds limits of sessions that are above those of the user.
func (c *checker) sessionsAboveUsers() {
	for i := range c.Config.Rules {
		session := &c.Config.Rules[i]
		if session.Scope != limitsconf.Session {
			continue
		}
		user := c.userRule(session)
		if user == nil {
			continue
		}
		for n, l := range session.Limits {
			if at := indexOf(user, l.Name); at >= 0 && isAbove(l.Value, user.Limits[at].Value) {
				c.limit(session, n, Warning, fmt.Sprintf("%s for a session is above %s for the user (%s:%d), which counts for all sessions together", l, user.Limits[at], user.File, user.Line),
					"give the session less, or the user more")
			}
		}
	}
}

// userRule returns the first line for users that matches everybody whom the line for sessions
// matches; nil if there is none.
func (c *checker) userRule(session *limitsconf.Rule) *limitsconf.Rule {
	wanted, excluded := split(session.Who)
	users := &c.reached[limitsconf.User]
	var first *parts
	for _, p := range slices.Concat(users.named[wanted[0]], users.wide) {
		if (first == nil || p.order < first.order) && c.matchesAll(p, wanted, excluded) {
			first = p
		}
	}
	if first == nil {
		return nil
	}
	return first.rule
}

// isAbove tells whether a value is surely above another one of the same limit. A percentage
// of a session's is one of the user's limit, and never above.
func isAbove(v, other limits.Value) bool {
	switch {
	case v.Kind != other.Kind:
		return false
	case v.Kind == limits.Number:
		return v.Number > other.Number
	case v.Kind == limits.Quota:
		return float64(v.Quota)/float64(v.Period) > float64(other.Quota)/float64(other.Period)
	}
	return false
}
