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

// Refuses returns the first line before the one at index that ends the stack with a failure
// whenever it is run, and that no other may skip: pam_deny.so, which fails (pam_deny(8)), as
// requisite or with die. It is nil if there is none.
func Refuses(lines []Line, index int) *Line {
	for i := range lines[:index] {
		l := &lines[i]
		depth := len(l.Substacks)
		isAbove := depth <= len(lines[index].Substacks) && slices.Equal(l.Substacks, lines[index].Substacks[:depth])
		if isAbove && l.Is("pam_deny.so") && l.diesOn("session_err") && len(Skips(lines, i)) == 0 {
			return l
		}
	}
	return nil
}

// diesOn tells whether the line ends the stack with a failure where its module returns that.
func (l Line) diesOn(name string) bool {
	dies := strings.EqualFold(l.Control, "requisite")
	isNamed := false
	for _, a := range l.actions() {
		if a.result == name || a.result == "default" && !isNamed {
			dies, isNamed = a.action == "die", a.result == name
		}
	}
	return dies
}

// results and actions are the words of a control in brackets (pam.conf(5)). An action may also
// be a number.
var (
	results = []string{
		"success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err", "cred_insufficient", "authinfo_unavail",
		"user_unknown", "maxtries", "new_authtok_reqd", "acct_expired", "session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err",
		"authtok_err", "authtok_recover_err", "authtok_recovery_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
		"authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete", "default",
	}
	actions = []string{"ignore", "ok", "done", "bad", "die", "reset"}
)

// KnowsControl tells whether the line's control is one that PAM understands.
func (l Line) KnowsControl() bool {
	if slices.Contains([]string{"required", "requisite", "sufficient", "optional"}, lower(l.Control)) {
		return true
	}
	if !strings.HasPrefix(l.Control, "[") {
		l.Control = "[" + l.Control + "]" // PAM reads it like one
	}
	return !slices.ContainsFunc(l.actions(), func(r result) bool {
		_, err := strconv.ParseUint(r.action, 10, 31)
		return !slices.Contains(results, lower(r.result)) || err != nil && !slices.Contains(actions, lower(r.action))
	})
}
