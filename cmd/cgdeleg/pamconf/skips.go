package pamconf

import (
	"slices"
	"strconv"
	"strings"
)

// Skip is a line because of which another one after it may not be run.
type Skip struct {
	Line
	// On is the result of its module that does so: "success", "default"; "any" if it is
	// all of them.
	On string
}

// Skips returns which of the lines before the one at index may keep it from being run: by
// a jump over it, or by ending the stack with success (pam.conf(5)). Lines that fail the
// whole stack are not among them: then there is no session either.
func Skips(lines []Line, index int) (skips []Skip) {
	for i, l := range lines[:index] {
		if on := l.skippingResult(lines[i+1:index], lines[index]); on != "" {
			skips = append(skips, Skip{l, on})
		}
	}
	return skips
}

// skippingResult returns the result on which the line skips the target, with the lines
// between; "" if there is none.
func (l Line) skippingResult(between []Line, target Line) string {
	if len(l.Substacks) > len(target.Substacks) || !slices.Equal(l.Substacks, target.Substacks[:len(l.Substacks)]) {
		return "" // it ends or jumps in a substack in which the target is not
	}
	if strings.EqualFold(l.Control, "sufficient") {
		return "success"
	}
	list, isList := strings.CutPrefix(strings.TrimSuffix(l.Control, "]"), "[")
	if !isList {
		return ""
	}
	var results []string
	for word := range strings.FieldsSeq(list) {
		result, action, _ := strings.Cut(word, "=")
		jump, err := strconv.Atoi(action)
		if action == "done" || err == nil && jump > elements(l, between) {
			results = append(results, result)
		}
	}
	if len(results) == 1 && results[0] == "default" && !strings.Contains(list, " ") {
		return "any"
	}
	return strings.Join(results, ", ")
}

// elements counts what a jump of the line counts: the lines at its level, and each
// substack once.
func elements(l Line, between []Line) (count int) {
	depth, last := len(l.Substacks), -1
	for _, b := range between {
		if len(b.Substacks) <= depth {
			count, last = count+1, -1
			continue
		}
		if substack := b.Substacks[depth]; substack != last {
			count, last = count+1, substack
		}
	}
	return count
}
