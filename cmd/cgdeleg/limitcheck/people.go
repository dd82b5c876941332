package limitcheck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// peopleOf returns the users and groups that the lines name, each once.
func peopleOf(c *limitsconf.Config) (users, groups []string) {
	for _, r := range c.Rules {
		for _, w := range r.Who {
			switch w.Kind {
			case limitsconf.Named:
				users = append(users, w.Name)
			case limitsconf.InGroup, limitsconf.InGroupID:
				groups = append(groups, w.Name)
			}
		}
	}
	slices.Sort(users)
	slices.Sort(groups)
	return slices.Compact(users), slices.Compact(groups)
}

// people finds users and groups that do not exist. It is a warning: they may be made later.
func (c *checker) people(r *limitsconf.Rule) {
	for _, w := range r.Who {
		switch {
		case w.Kind == limitsconf.Named && c.Users[w.Name] == machine.Absent:
			c.line(r, "there is no user "+limitsconf.Show(w.Name), userFix(c, w.Name))
		case w.Kind == limitsconf.InGroup && c.Groups[w.Name] == machine.Absent:
			c.line(r, "there is no group "+limitsconf.Show(w.Name), groupFix(c, w.Name))
		case w.Kind == limitsconf.InGroupID && c.Groups[w.Name] == machine.Absent:
			c.line(r, "there is no group with the ID "+w.Name, "correct the number, or make the group: groupadd -g "+w.Name+" NAME")
		}
	}
}

// everybody are words that other files and programs have for all users.
var everybody = []string{"all", "any", "everybody", "everyone", "default", "users"}

// userFix says what to do about a user who does not exist: often somebody else is meant.
func userFix(c *checker, name string) string {
	first, last, isRange := strings.Cut(name, "-")
	switch {
	case c.Groups[name] == machine.Found:
		return fmt.Sprintf("write @%s, if the group is meant", name)
	case isNumber(name), isRange && isNumber(first) && isNumber(last):
		return "write uid=" + name + ", if the user ID is meant"
	case isRange && isNumber(first) && last == "":
		return "write uid>=" + first + ", if the user IDs from that on are meant"
	case strings.HasPrefix(name, "+") && isNumber(name[1:]):
		return "write uid=" + name[1:] + ", if the user ID is meant"
	case slices.Contains(everybody, strings.ToLower(name)):
		return "write *, if everybody is meant"
	case strings.ContainsAny(name, ";|"):
		return "write commas between names: " + strings.NewReplacer(";", ",", "|", ",").Replace(name)
	}
	return "correct the name, or remove it; a group is written @NAME"
}

// groupFix says what to do about a group that does not exist.
func groupFix(c *checker, name string) string {
	if _, isUser := c.UIDs[name]; isUser {
		return fmt.Sprintf("write %s, if the user is meant; or make the group: groupadd %s", name, quoted(name))
	}
	return "correct the name, or make the group: groupadd " + quoted(name)
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// reached is what the lines of a scope match so far.
type reached struct {
	count int
	named map[limitsconf.Word][]*parts // by each word for a user or a group
	wide  []*parts                     // those with words for user IDs or everybody
}

// parts are a line, taken apart.
type parts struct {
	rule             *limitsconf.Rule
	order            int // among those of its scope
	wanted, excluded []limitsconf.Word
}

// reach finds lines that match nobody, or nobody whom no earlier line has matched.
func (c *checker) reach(r *limitsconf.Rule) {
	before := &c.reached[r.Scope]
	defer before.add(r)
	wanted, excluded := split(r.Who)
	wanted = slices.DeleteFunc(wanted, func(w limitsconf.Word) bool {
		return isEmpty(w) || slices.ContainsFunc(excluded, func(not limitsconf.Word) bool { return c.covers(not, w) })
	})
	if len(wanted) == 0 {
		c.line(r, "the line matches nobody: what it names it also excludes, or no user has such an ID", "correct the list of users, or remove the line")
		return
	}
	var by []*limitsconf.Rule
	for _, w := range wanted {
		some := c.before(before, w, excluded)
		if len(some) == 0 {
			return
		}
		by = append(by, some...)
	}
	c.line(r, "nobody can reach the line: "+earlier(by)+" before it for everybody whom it matches", "put it before, or remove it: of the lines for user, and of those for session, the first that matches counts")
}

// earlier names lines.
func earlier(by []*limitsconf.Rule) string {
	slices.SortFunc(by, func(a, b *limitsconf.Rule) int { return a.Line - b.Line })
	by = slices.Compact(by)
	first := fmt.Sprintf("%s:%d", by[0].File, by[0].Line)
	switch n := len(by) - 1; n {
	case 0:
		return first + " counts"
	case 1:
		return fmt.Sprintf("%s and %s:%d count", first, by[1].File, by[1].Line)
	default:
		return fmt.Sprintf("%s and %d other lines count", first, n)
	}
}

// split returns those whom a list names, everybody if there are none, and those whom it
// excludes, without the exclamation mark.
func split(who limitsconf.Who) (wanted, excluded []limitsconf.Word) {
	for _, w := range who {
		if w.Not {
			w.Not = false
			excluded = append(excluded, w)
		} else {
			wanted = append(wanted, w)
		}
	}
	if len(wanted) == 0 {
		wanted = []limitsconf.Word{{Kind: limitsconf.Everybody}}
	}
	return wanted, excluded
}

// add adds a line to those that match before others.
func (b *reached) add(r *limitsconf.Rule) {
	if b.named == nil {
		b.named = map[limitsconf.Word][]*parts{}
	}
	b.count++
	p := &parts{rule: r, order: b.count}
	p.wanted, p.excluded = split(r.Who)
	isWide := false
	for _, w := range p.wanted {
		if w.Kind == limitsconf.Everybody || w.Kind == limitsconf.UIDs {
			isWide = true
		} else {
			b.named[w] = append(b.named[w], p)
		}
	}
	if isWide {
		b.wide = append(b.wide, p)
	}
}

// before returns the lines that together match everybody whom the word means, but for
// those whom its line excludes; none if there may be others.
func (c *checker) before(b *reached, w limitsconf.Word, excluded []limitsconf.Word) []*limitsconf.Rule {
	for _, p := range b.named[w] {
		if c.includes(p, w, excluded) {
			return []*limitsconf.Rule{p.rule}
		}
	}
	var ranges []ranged
	for _, p := range b.wide {
		if !c.includes(p, w, excluded) {
			continue
		}
		for _, o := range p.wanted {
			if c.covers(o, w) {
				return []*limitsconf.Rule{p.rule}
			}
			if o.Kind == limitsconf.UIDs && !isEmpty(o) {
				ranges = append(ranges, ranged{o.Least, o.Most, p.rule})
			}
		}
	}
	return together(ranges, w)
}

// includes tells whether a line excludes nobody of those whom the word means, but for those
// whom the word's line excludes.
func (c *checker) includes(p *parts, w limitsconf.Word, excluded []limitsconf.Word) bool {
	return !slices.ContainsFunc(p.excluded, func(n limitsconf.Word) bool { return !c.isElsewhere(n, w, excluded) })
}

// matchesAll tells whether a line alone matches everybody whom another one wants.
func (c *checker) matchesAll(p *parts, wanted, excluded []limitsconf.Word) bool {
	return !slices.ContainsFunc(wanted, func(w limitsconf.Word) bool {
		return !c.includes(p, w, excluded) || !slices.ContainsFunc(p.wanted, func(o limitsconf.Word) bool { return c.covers(o, w) })
	})
}

// isElsewhere tells whether what an earlier line excludes is nobody of the word's, or is
// excluded by the word's line as well.
func (c *checker) isElsewhere(not, w limitsconf.Word, excluded []limitsconf.Word) bool {
	return c.areDisjoint(not, w) || slices.ContainsFunc(excluded, func(e limitsconf.Word) bool { return c.covers(e, not) })
}

// mostUID is the greatest user ID (limitsconf.Word).
const mostUID = 1<<32 - 2

// ranged is a range of user IDs, and the line that has it.
type ranged struct {
	least, most uint32
	rule        *limitsconf.Rule
}

// together returns the lines whose ranges have all user IDs of the word's; none if one is
// in no range, or if the word is not about user IDs.
func together(ranges []ranged, w limitsconf.Word) (rules []*limitsconf.Rule) {
	next, last := uint64(w.Least), uint64(w.Most)
	switch w.Kind {
	case limitsconf.UIDs:
	case limitsconf.Named, limitsconf.InGroup, limitsconf.InGroupID, limitsconf.Everybody: // any user ID may be meant
		next, last = 0, mostUID
	}
	slices.SortFunc(ranges, func(a, b ranged) int { return int(int64(a.least) - int64(b.least)) })
	for _, r := range ranges {
		if uint64(r.least) > next {
			return nil
		}
		if uint64(r.most) >= next {
			rules, next = append(rules, r.rule), uint64(r.most)+1
		}
		if next > last {
			return rules
		}
	}
	return nil
}

func isEmpty(w limitsconf.Word) bool { return w.Kind == limitsconf.UIDs && w.Least > w.Most }

// covers tells whether everybody whom the word means is surely one of those whom the other
// one means.
func (c *checker) covers(other, w limitsconf.Word) bool {
	switch {
	case other.Kind == limitsconf.Everybody || isEmpty(w):
		return true
	case other.Kind != limitsconf.UIDs:
		return other == w
	case w.Kind == limitsconf.UIDs:
		return other.Least <= w.Least && w.Most <= other.Most
	case w.Kind == limitsconf.Everybody:
		return other.Least == 0 && other.Most >= mostUID
	}
	uid, isKnown := c.UIDs[w.Name]
	return w.Kind == limitsconf.Named && isKnown && has(other, uid)
}

func has(w limitsconf.Word, uid int) bool {
	return uid >= 0 && uint64(uid) >= uint64(w.Least) && uint64(uid) <= uint64(w.Most)
}

// areDisjoint tells whether surely nobody is meant by both words.
func (c *checker) areDisjoint(a, b limitsconf.Word) bool {
	if b.Kind == limitsconf.Named {
		a, b = b, a
	}
	switch {
	case isEmpty(a) || isEmpty(b):
		return true
	case a.Kind == limitsconf.Named && b.Kind == limitsconf.Named:
		return a.Name != b.Name
	case a.Kind == limitsconf.UIDs && b.Kind == limitsconf.UIDs:
		return a.Most < b.Least || b.Most < a.Least
	case a.Kind == limitsconf.Named && b.Kind == limitsconf.UIDs:
		uid, isKnown := c.UIDs[a.Name]
		return isKnown && !has(b, uid)
	}
	return false
}
