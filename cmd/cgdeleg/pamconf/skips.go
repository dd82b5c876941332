package pamconf

import (
	"slices"
	"strconv"
	"strings"
)

// Skip is a line because of which another one after it may not be run.
type Skip struct {
	Line
	// On are the results of its module that do so: "success", "default". With AlwaysSkips
	// it is any.
	On          []string
	AlwaysSkips bool
	// Jump is how many lines it jumps over, of which the skipped one is one; 0 if it ends
	// the stack, or jumps over a substack.
	Jump int
}

// Skips returns which of the lines before the one at index may keep it from being run: by
// a jump over it, or by ending the stack with success (pam.conf(5)). Lines that fail the
// whole stack are not among them: then there is no session either.
func Skips(lines []Line, index int) (skips []Skip) {
	for _, l := range lines[:index] {
		if s := l.skips(lines[index]); len(s.On) > 0 {
			skips = append(skips, s)
		}
	}
	return skips
}

func (l Line) skips(target Line) Skip {
	s := Skip{Line: l}
	depth := len(l.Substacks)
	if depth > len(target.Substacks) || !slices.Equal(l.Substacks, target.Substacks[:depth]) {
		return s // it ends or jumps in a substack in which the target is not
	}
	actions := l.actions()
	for _, a := range actions {
		jump, err := strconv.Atoi(a.action)
		if a.action == "done" || err == nil && jump > target.Positions[depth]-l.Positions[depth]-1 {
			s.On = append(s.On, a.result)
			if depth == len(target.Substacks) {
				s.Jump = max(s.Jump, jump)
			}
		}
	}
	s.AlwaysSkips = len(actions) == 1 && actions[0].result == "default" && len(s.On) == 1
	return s
}

// result is what is done when a module returns that.
type result struct{ result, action string }

// actions returns what a control says, as far as it may end the stack with success or
// jump; of a result that is named twice the later one (_pam_parse_control).
func (l Line) actions() (all []result) {
	if strings.EqualFold(l.Control, "sufficient") {
		return []result{{"success", "done"}, {"new_authtok_reqd", "done"}, {"default", "ignore"}}
	}
	list, isList := strings.CutPrefix(strings.TrimSuffix(l.Control, "]"), "[")
	if !isList {
		return nil
	}
	list = strings.Join(strings.Fields(strings.ReplaceAll(list, "=", " = ")), " ")
	for word := range strings.FieldsSeq(strings.ReplaceAll(list, " = ", "=")) {
		name, action, _ := strings.Cut(word, "=")
		all = slices.DeleteFunc(all, func(r result) bool { return r.result == name })
		all = append(all, result{name, action})
	}
	return all
}
