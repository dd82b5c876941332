package limitsconf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is whom a Word is about.
type Kind int

// The kinds of words.
const (
	Everybody Kind = iota // *
	Named                 // a user's name, with a domain or without: alice@corp.example
	InGroup               // @ and a group's name, that may have a domain too
	InGroupID             // @ and a group's number
	UIDs                  // uid<1000 and the like
)

// Word is one of the words between a list's commas.
type Word struct {
	Kind Kind
	Not  bool   // there is a ! before it
	Name string // of Named and InGroup, and the number of InGroupID
	// Least and Most are the user IDs that UIDs means; there are none if Least is
	// greater.
	Least, Most uint32
}

// Who is whom a line concerns: everybody for whom one of the words without Not matches, or
// for whom no word with Not does if there are no others.
type Who []Word

// mostUID is the greatest user ID: the one above it means none (setresuid(2)).
const mostUID = math.MaxUint32 - 1

// parseWho understands a list.
func (p *parser) parseWho(text string) (Who, *WordError) {
	who := take(&p.words, strings.Count(text, ",")+1)
	for part := range strings.SplitSeq(text, ",") {
		w, err := p.parseWord(part)
		if err != nil {
			return nil, err
		}
		who = append(who, w)
	}
	return who, nil
}

func (p *parser) parseWord(text string) (w Word, err *WordError) {
	text, w.Not = strings.CutPrefix(text, "!")
	switch {
	case text == "":
		return w, p.wrongUser(text)
	case text == "*":
		w.Kind = Everybody
		return w, nil
	case text[0] == '@':
		return parseGroup(w, text[1:])
	case strings.HasPrefix(text, "uid") && len(text) > 3 && strings.IndexByte("<>=", text[3]) >= 0 && !strings.HasPrefix(text, "uid=="):
		return parseUIDs(w, text)
	case text[0] == '%' || text[0] == ';' || text[0] == '[' || strings.ContainsAny(text, "<>=!*:/"):
		return w, p.wrongUser(text)
	}
	w.Kind, w.Name = Named, text
	return w, nil
}

func parseGroup(w Word, name string) (Word, *WordError) {
	w.Kind, w.Name = InGroup, name
	switch {
	case name == "":
		return w, wrong("write the group's name or number after it: @students", "no name after @")
	case name[0] == '@' || strings.ContainsAny(name, "<>=!*:"):
		return w, wrong("write @ and a group's name or number: @students", "%s is no group's name", Show(name))
	case strings.Trim(name, "0123456789") != "":
		return w, nil
	}
	gid, err := strconv.ParseUint(name, 10, 32)
	w.Kind, w.Name = InGroupID, strconv.FormatUint(gid, 10) // without zeros before it, as id(1) prints it
	if err != nil {
		return w, wrong("write a number below 2^32", "group ID %s is too large", Show(name))
	}
	return w, nil
}

// parseUIDs understands uid and an operator, <, <=, >, >= or =, and a number; after = a
// range N-N too.
func parseUIDs(w Word, text string) (Word, *WordError) {
	operator := text[3:4]
	if strings.HasPrefix(text[4:], "=") && operator != "=" {
		operator += "="
	}
	number := text[3+len(operator):]
	last, isRange := number, false
	if operator == "=" {
		if number, last, isRange = strings.Cut(number, "-"); !isRange {
			last = number
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	m, err2 := strconv.ParseUint(last, 10, 32)
	switch {
	case err != nil || err2 != nil:
		return w, wrong("write uid<N, uid<=N, uid>N, uid>=N, uid=N or uid=N-M, with numbers: uid<1000, uid=1000-1999", "%s is no range of user IDs", Show(text))
	case n > m:
		return w, wrong(fmt.Sprintf("write uid=%d-%d", m, n), "%s: the range ends before it begins", Show(text))
	}
	w.Kind, w.Least, w.Most = UIDs, 0, mostUID
	switch operator {
	case "<":
		if n == 0 {
			w.Least = 1 // before Most: nobody
		}
		w.Most = uint32(max(n, 1)) - 1
	case "<=":
		w.Most = uint32(n)
	case ">":
		w.Least = uint32(min(n, math.MaxUint32-1)) + 1
	case ">=":
		w.Least = uint32(n)
	default:
		w.Least, w.Most = uint32(n), uint32(m)
	}
	return w, nil
}

// isGroups tells whether the word is about a group.
func (w Word) isGroups() bool { return w.Kind == InGroup || w.Kind == InGroupID }

// matches tells whether the user is one of those whom the word means, whether there is a !
// before it or not.
func (w Word) matches(s *subject) bool {
	switch w.Kind {
	case Everybody:
		return true
	case Named:
		return w.Name == s.Name
	case UIDs:
		return s.UID >= 0 && uint64(s.UID) >= uint64(w.Least) && uint64(s.UID) <= uint64(w.Most)
	case InGroup:
		return slices.Contains(s.groups().names, w.Name)
	case InGroupID:
		return slices.Contains(s.groups().gids, w.Name)
	}
	return false
}

// matches tells whether the list matches a user. The groups are asked for only if nothing
// else decides.
func (who Who) matches(s *subject) bool {
	isNamed, hasGroups := true, false // nobody is named, so everybody is
	for _, w := range who {
		hasGroups = hasGroups || w.isGroups()
		if !w.Not {
			isNamed = false
		}
	}
	for _, w := range who {
		if w.isGroups() || !w.matches(s) {
			continue
		}
		if w.Not {
			return false
		}
		isNamed = true
	}
	if !hasGroups {
		return isNamed
	}
	return who.matchesGroups(s, isNamed)
}

// matchesGroups looks at the words about groups, when the others have not excluded the
// user; isNamed tells whether they named it.
func (who Who) matchesGroups(s *subject, isNamed bool) bool {
	for _, w := range who {
		if isNamed {
			break
		}
		isNamed = !w.Not && w.isGroups() && w.matches(s)
	}
	if !isNamed {
		return false
	}
	return !slices.ContainsFunc(who, func(w Word) bool { return w.Not && w.isGroups() && w.matches(s) })
}
