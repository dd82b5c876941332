package check

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Where libcgroup's daemon and PAM module have the rules by which they move processes
// (cgrules.conf(5), cgrulesengd(8)).
const (
	cgroupRules    = "/etc/cgrules.conf"
	cgroupRulesDir = "/etc/cgrules.d"
)

// cgroupRule is a line of these files: USER, @GROUP or *, the controllers and the
// destination; with a % that continues the line before, whose user this is.
type cgroupRule struct {
	file                           string
	line                           int
	user, controllers, destination string
	text                           string
}

func (r cgroupRule) evidence() Evidence {
	return Evidence{fmt.Sprintf("%s:%d", r.file, r.line), brief(r.text)}
}

// isOf tells whether the rule is for a hierarchy with one of these controllers.
func (r cgroupRule) isOf(controllers []string) bool {
	return r.controllers == "*" || slices.ContainsFunc(strings.Split(r.controllers, ","), func(c string) bool { return slices.Contains(controllers, c) })
}

// ownRules returns the first rule that is for all of the subject's processes, and what
// continues it; none if that is to be ignored.
func (f *Facts) ownRules() (own []cgroupRule) {
	files := []string{cgroupRules}
	names, _ := f.Machine.ReadDir(cgroupRulesDir)
	slices.Sort(names) // libcgroup takes them as they come, and the first rule counts
	for _, name := range names {
		files = append(files, path.Join(cgroupRulesDir, name))
	}
	for _, file := range files {
		if own = f.ownRulesIn(file); own != nil {
			break
		}
	}
	return slices.DeleteFunc(own, func(r cgroupRule) bool { return slices.Contains(strings.Fields(r.text)[3:], "ignore") })
}

func (f *Facts) ownRulesIn(file string) (own []cgroupRule) {
	data, _ := f.Machine.ReadFile(file)
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		isDitto := strings.HasPrefix(words[0], "%")
		switch {
		case isDitto && own == nil || !isDitto && own == nil && !f.isRuleOf(words[0]):
			continue
		case !isDitto && own != nil:
			return own
		}
		own = append(own, cgroupRule{file, number, words[0], words[1], words[2], strings.Join(words, " ")})
	}
	return own
}

// isRuleOf tells whether a rule's first word means all of the subject's processes.
func (f *Facts) isRuleOf(word string) bool {
	group, isGroup := strings.CutPrefix(word, "@")
	return word == f.Subject.Name || word == "*" || isGroup && slices.Contains(f.groupNames(), group)
}

// leadsTo tells whether a process of the subject's that is moved by the rule is in that
// cgroup then. Of %u and %U one is the name and one the number, by libcgroup's version; %p
// and %P are the process's.
func (f *Facts) leadsTo(rule cgroupRule, cgroup string) bool {
	uid, gid := strconv.Itoa(f.Subject.UID), strconv.Itoa(f.Subject.GID)
	groups := append(f.groupNames(), gid)
	for _, user := range []string{f.Subject.Name, uid} {
		for _, group := range groups {
			pattern := strings.NewReplacer(`\%`, "%", "%u", user, "%U", user, "%g", group, "%G", group, "%p", "*", "%P", "*", `"`, "").Replace(rule.destination)
			if matches, _ := path.Match(path.Join("/", pattern), cgroup); matches {
				return true
			}
		}
	}
	return false
}

// runsRulesDaemon tells whether libcgroup's daemon runs, or may run where others' processes
// are not shown.
func (f *Facts) runsRulesDaemon() bool {
	pids, _ := f.Machine.Processes()
	return f.hidesProcesses() || slices.ContainsFunc(pids, func(pid int) bool {
		status, err := f.Machine.StatusOf(pid)
		return err == nil && status.Name == "cgrulesengd"
	})
}
