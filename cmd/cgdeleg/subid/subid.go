// Package subid reads /etc/subuid and /etc/subgid (subuid(5), subgid(5)): which
// user and group IDs newuidmap and newgidmap let a user map into a container.
//
// It knows the two files and arithmetic on ranges. It must not know containers,
// look up users, nor ask libsubid's name services (subid: in nsswitch.conf).
package subid

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Range is one line of the file: Count IDs from First on.
type Range struct {
	Owner        string // name or number, as written
	First, Count uint64
	Line         int // counted from 1
}

// end is the first ID after the range. Read lets none through that overflows.
func (r Range) end() uint64 { return r.First + r.Count }

func (r Range) overlaps(o Range) bool {
	return r.Count > 0 && o.Count > 0 && r.First < o.end() && o.First < r.end()
}

func (r Range) isOf(uid int, names []string) bool {
	return slices.Contains(names, r.Owner) || r.Owner == strconv.Itoa(uid)
}

// Read reads the file at path. Errors are *fs.PathError and
// *confparse.ParseError.
//
// Shadow's tools silently ignore a line that they do not understand
// (lib/subordinateio.c). So does Read, but beside the ranges of all other lines
// it returns a *confparse.ParseError for each such line, joined, as somebody meant
// something by it. Empty lines, comments, and lines for NIS ("+", "-") are no
// error. Like shadow it takes octal and hexadecimal numbers, and anything after
// a third colon for a comment.
func Read(m machine.Machine, path string) ([]Range, error) {
	data, err := m.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, bad := parse(string(data))
	for _, line := range bad {
		line.File = path
		err = errors.Join(err, line)
	}
	return all, err
}

func parse(data string) (all []Range, bad []*confparse.ParseError) {
	n := 0
	for line := range strings.Lines(data) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" || strings.ContainsRune("#+-", rune(line[0])) {
			continue
		}
		r, reason := parseRange(line)
		if reason == "" {
			r.Line = n
			all = append(all, r)
		} else {
			bad = append(bad, &confparse.ParseError{Line: n, Text: line, Reason: reason})
		}
	}
	return all, bad
}

func parseRange(line string) (r Range, reason string) {
	if len(line) >= 1024 {
		return r, "more than 1023 bytes"
	}
	fields := strings.SplitN(line, ":", 4)
	if len(fields) < 3 {
		return r, "fewer than three fields"
	}
	if fields[0] == "" {
		return r, "no owner"
	}
	var ok1, ok2 bool
	r.Owner = fields[0]
	r.First, ok1 = confparse.ParseUint(fields[1])
	r.Count, ok2 = confparse.ParseUint(fields[2])
	if !ok1 || !ok2 {
		return Range{}, badNumber(fields[1:])
	}
	if r.Count > math.MaxUint64-r.First {
		return Range{}, "range beyond all numbers"
	}
	return r, ""
}

// badNumber says what is wrong with the numbers. What no screen shows is named.
func badNumber(fields []string) string {
	for _, field := range fields[:2] {
		if _, isNumber := confparse.ParseUint(strings.TrimRight(field, " \t\r\v\f")); !isNumber {
			continue
		}
		switch last := field[len(field)-1]; last {
		case '\r':
			return "bad number, followed by a carriage return"
		case ' ', '\t', '\v', '\f':
			return "bad number, followed by a blank"
		}
	}
	return "bad number"
}

// Of returns the ranges of a user: those that name it by one of its names, and those that
// give its number. newuidmap compares numbers, so that all names with the same number are
// the user's (find_range of lib/subordinateio.c).
func Of(all []Range, uid int, names ...string) []Range {
	var his []Range
	for _, r := range all {
		if r.isOf(uid, names) {
			his = append(his, r)
		}
	}
	return his
}

// Overlaps returns some of the ranges of a user that share IDs with ranges of others, each
// as a pair of his and theirs.
func Overlaps(all []Range, uid int, names ...string) (pairs [][2]Range) {
	var his, others Range // of those so far the ones that end last
	for _, r := range sorted(all) {
		isHis := r.isOf(uid, names)
		switch {
		case len(pairs) == enough:
			return pairs
		case isHis && others.overlaps(r):
			pairs = append(pairs, [2]Range{r, others})
		case !isHis && his.overlaps(r):
			pairs = append(pairs, [2]Range{his, r})
		}
		switch {
		case isHis && r.end() > his.end():
			his = r
		case !isHis && r.end() > others.end():
			others = r
		}
	}
	return pairs
}

// Covers tells whether the ranges together hold the count IDs from first on, as
// newuidmap wants of the ranges of a user. No IDs at all are not covered.
func Covers(ranges []Range, first, count uint64) bool {
	if count == 0 || count > math.MaxUint64-first {
		return false
	}
	next := first // up to here all are covered
	for _, r := range sorted(ranges) {
		if r.First > next {
			break
		}
		next = max(next, r.end())
	}
	return next >= first+count
}

const (
	lowest = 100000         // SUB_UID_MIN, SUB_GID_MIN of login.defs(5)
	limit  = math.MaxUint32 // the first that is no ID: it is -1
)

// Union returns the ranges without what is in two of them, from the lowest on, where they
// touch as one.
func Union(ranges []Range) (all []Range) {
	for _, r := range sorted(ranges) {
		if last := len(all) - 1; last >= 0 && r.First <= all[last].end() {
			all[last].Count = max(all[last].end(), r.end()) - all[last].First
			continue
		}
		all = append(all, r)
	}
	return all
}

// Missing returns what of count IDs from first on is in none of the ranges.
func Missing(ranges []Range, first, count uint64) (pieces []Range) {
	end := first + count
	for _, r := range Union(ranges) {
		if r.First >= end {
			break
		}
		if r.First > first {
			pieces = append(pieces, Range{First: first, Count: r.First - first})
		}
		first = max(first, r.end())
	}
	if first < end {
		pieces = append(pieces, Range{First: first, Count: end - first})
	}
	return pieces
}

// enough is how many pairs are told: a file may have a hundred thousand lines.
const enough = 5

// Repeated returns some of the pairs of a user's own ranges that share IDs.
func Repeated(ranges []Range) (pairs [][2]Range) {
	var before Range // of those so far the one that ends last
	for _, r := range sorted(ranges) {
		if before.overlaps(r) && len(pairs) < enough {
			pairs = append(pairs, [2]Range{before, r})
		}
		if r.end() > before.end() {
			before = r
		}
	}
	return pairs
}

// Inside returns the ranges that are wholly in one of the extents: the kernel takes no
// line of a map that goes over the border of two (user_namespaces(7)).
func Inside(ranges, extents []Range) (whole []Range) {
	for _, r := range ranges {
		if slices.ContainsFunc(extents, func(e Range) bool { return r.First >= e.First && r.end() <= e.end() }) {
			whole = append(whole, r)
		}
	}
	return whole
}

// Within returns what of the ranges is in one of the extents, each piece by itself: the
// kernel maps no piece over the border of two (user_namespaces(7)).
func Within(ranges, extents []Range) (pieces []Range) {
	for _, r := range ranges {
		for _, e := range extents {
			first, end := max(r.First, e.First), min(r.end(), e.end())
			if first < end {
				pieces = append(pieces, Range{Owner: r.Owner, First: first, Count: end - first, Line: r.Line})
			}
		}
	}
	return pieces
}

// Free returns the lowest first ID from 100000 on from which count IDs are in
// none of the lists; ok is false if there are no such.
func Free(count uint64, lists ...[]Range) (first uint64, ok bool) {
	if count == 0 || count > limit {
		return 0, false
	}
	first = lowest
	for _, r := range sorted(slices.Concat(lists...)) {
		if r.First >= first+count {
			break
		}
		if first = max(first, r.end()); first > limit {
			return 0, false
		}
	}
	return first, first <= limit-count
}

// FreeIn returns the lowest first ID from 100000 on from which count IDs are in one of the
// extents, and in none of the lists.
func FreeIn(extents []Range, count uint64, lists ...[]Range) (first uint64, ok bool) {
	taken := slices.Concat(lists...)
	for _, e := range sorted(extents) {
		below := Range{Count: e.First}
		if first, ok = Free(count, taken, []Range{below}); ok && first+count <= e.end() {
			return first, true
		}
	}
	return 0, false
}

// sorted returns the ranges that are not empty by where they start.
func sorted(ranges []Range) []Range {
	ranges = slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return r.Count == 0 })
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	return ranges
}
