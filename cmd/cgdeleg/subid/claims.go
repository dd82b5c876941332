package subid

import (
	"math"
	"strings"
	"unicode"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// Claims returns the ranges that somebody seems to have meant by a line that shadow does not
// understand: each number with what follows it as a count, up to the first letter that is none
// of a number. Nobody has them, and nobody else is to be given them.
func Claims(text string) (all []Range) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || unicode.IsSpace(r) })
	if !strings.HasPrefix(strings.TrimSpace(text), ":") && len(words) > 0 {
		words = words[1:] // the owner
	}
	for i := 0; i < len(words); i++ {
		from, to, isSpan := strings.Cut(words[i], "-")
		first, isNumber := confparse.ParseUint(from)
		last, isEnd := confparse.ParseUint(to)
		switch {
		case !isNumber || first >= math.MaxUint32:
		case isSpan && isEnd && first <= last && last < math.MaxUint32:
			all = append(all, Range{First: first, Count: last - first + 1})
		case !isSpan && i+1 < len(words):
			if count := leadingNumber(words[i+1]); count > 0 && count <= math.MaxUint32-first {
				all = append(all, Range{First: first, Count: count})
				i++
			}
		}
	}
	return all
}

// leadingNumber returns the decimal number by which a word begins; 0 if it begins with none.
func leadingNumber(word string) uint64 {
	if n, isNumber := confparse.ParseUint(word); isNumber {
		return n
	}
	digits := word[:len(word)-len(strings.TrimLeft(word, "0123456789"))]
	n, _ := confparse.ParseUint(digits)
	return n
}

// Fused takes a line apart that was two: the second was written behind the first while that had
// no newline at its end, and begins at that byte. It is told by a name that begins where the
// first's count ends. Where it is a number, this one, shadow takes the line for one of the
// first owner's alone, with a count of more digits.
func Fused(line, number string) (one, two Range, at int) {
	fields := strings.Split(line, ":")
	if len(fields) != 5 || fields[2] == "" {
		return one, two, 0
	}
	owner := strings.TrimLeft(fields[2], "0123456789")
	if owner == "" && number != "" && strings.HasSuffix(fields[2], number) {
		owner = number
	}
	at = len(strings.Join(fields[:3], ":")) - len(owner)
	one, bad1 := parseRange(line[:at])
	two, bad2 := parseRange(line[at:])
	if owner == "" || bad1 != "" || bad2 != "" || one.Count == 0 {
		return Range{}, Range{}, 0
	}
	return one, two, at
}
