package check

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
)

// isMeantFor tells whether a line that shadow does not take has the user as its owner, whatever no
// screen shows beside that.
func isMeantFor(line *confparse.ParseError, who Subject) bool {
	owner, _, _ := strings.Cut(line.Text, ":")
	owner = strings.TrimFunc(owner, isUnseen)
	return owner == who.Name || owner == strconv.Itoa(who.UID)
}

// rewritten says what to write in place of lines that shadow does not take, as ": " and a line: the
// range that seems to be meant, or else one that is free. It is "" if no such line is the
// subject's.
func (f *Facts) rewritten(both []subIDs, want uint64) string {
	isAny := slices.ContainsFunc(both, func(s subIDs) bool {
		return slices.ContainsFunc(s.malformed, func(line *confparse.ParseError) bool { return isMeantFor(line, f.Subject) })
	})
	if !isAny {
		return ""
	}
	meant := f.meantRanges(both)
	const form = ": a line is NAME:FIRST:COUNT"
	if len(meant) == 1 && f.isNobodyElses(both, meant[0]) {
		return form + ", here " + lineOf(meant[0])
	}
	if first, found := f.freeIDs(both, both, want); found {
		return form + ", such as " + lineOf(subid.Range{Owner: f.Subject.Name, First: first, Count: want})
	}
	return form
}

// meantRanges returns what seems to be meant by the subject's lines that shadow does not take.
func (f *Facts) meantRanges(both []subIDs) (meant []subid.Range) {
	for _, s := range both {
		for _, line := range s.malformed {
			if !isMeantFor(line, f.Subject) {
				continue
			}
			for _, r := range subid.Claims(line.Text) {
				if r.Owner = f.Subject.Name; !slices.Contains(meant, r) {
					meant = append(meant, r)
				}
			}
		}
	}
	return meant
}

// alsoGive gives the subject IDs in the other file, if there is nothing in it to be corrected: what one
// of both lacks newuidmap or newgidmap goes without as well.
func (f *Facts) alsoGive(both []subIDs, corrected []string, want uint64) (text string, commands []Command) {
	lacking := slices.DeleteFunc(slices.Clone(both), func(s subIDs) bool {
		return slices.Contains(corrected, s.file) || s.isUnread || s.count() >= want
	})
	if len(lacking) == 0 {
		return "", nil
	}
	first, found := f.freeIDs(lacking, both, want)
	if meant := f.meantRanges(both); len(meant) == 1 && meant[0].Count >= want && f.isNobodyElses(both, meant[0]) {
		first, found = meant[0].First, true
	}
	if !found {
		return "", nil
	}
	return "; and give " + f.Subject.Called() + " IDs in " + lacking[0].file + " as well", f.giveSubIDs(lacking, first, want)
}

// isNobodyElses tells whether no other user has any ID of the range, as far as this machine knows.
func (f *Facts) isNobodyElses(both []subIDs, r subid.Range) bool {
	for _, s := range both {
		all := append(slices.Clone(s.all), r)
		if len(subid.Overlaps(all, f.Subject.UID, f.names()...)) > 0 {
			return false
		}
	}
	return r.First >= leastSubID && len(f.accountsIn(r.First, r.Count)) == 0
}
