package check

import (
	"fmt"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
)

// isEmpty tells whether a line gives no IDs.
func isEmpty(r subid.Range) bool { return r.Count == 0 }

// emptyIn returns the subject's lines that give no IDs.
func emptyIn(both []subIDs) (evidence []Evidence) {
	for _, s := range both {
		for _, r := range s.own {
			if isEmpty(r) {
				evidence = append(evidence, Evidence{fmt.Sprintf("%s:%d", s.file, r.Line), lineOf(r)})
			}
		}
	}
	return evidence
}

// emptyResult is the result where the user has a line that gives no IDs: podman maps it as any
// other, and newuidmap takes no empty range (verify_range of newuidmap.c).
func (f *Facts) emptyResult(both []subIDs, want uint64, lines []Evidence) Result {
	return f.asPodman("podman maps each of "+f.Subject.Called()+"'s lines of "+subUIDFile+" and "+subGIDFile+", and newuidmap refuses one that gives no IDs", lines...).
		with(f.withoutEmpty(both, want), "")
}

// withoutEmpty takes lines away that give no IDs, and gives the subject a range where too few are
// left.
func (f *Facts) withoutEmpty(both []subIDs, want uint64) *Fix {
	var drops []Command
	var left []subIDs
	isEnough := true
	for _, s := range both {
		drop, rest := f.dropLines(s, isEmpty)
		isEnough = isEnough && rest.count() >= want
		drops, left = append(drops, drop...), append(left, rest)
	}
	remove := "remove the lines that give no IDs"
	if isEnough {
		return &Fix{Text: remove, Commands: drops}
	}
	fix := f.newRangeFix(left, want)
	return &Fix{Text: remove + ", and " + fix.Text, Commands: append(drops, fix.Commands...)}
}

// unparsedResult is the result for lines, whosever they are, at which a podman that was built
// without libsubid stops reading: it wants three fields of each, and skips only comments and empty
// lines (parseSubidFile of pkg/idtools of containers/storage). isAny is false if there are none
// such.
func (f *Facts) unparsedResult(both []subIDs) (r Result, isAny bool) {
	const fields, most = 3, 5
	var lines []Evidence
	for _, s := range both {
		if s.isUnread {
			continue
		}
		data, _ := f.Machine.ReadFile(s.file)
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") && strings.Count(line, ":") != fields-1 {
				lines = append(lines, Evidence{fmt.Sprintf("%s:%d", s.file, number), brief(line)})
			}
		}
	}
	if len(lines) == 0 {
		return r, false
	}
	return warning("a podman that was built without libsubid takes nothing from a file with a line of other than three fields, and finds no subordinate IDs of "+f.Subject.Called()+"'s", lines[:min(len(lines), most)]...).
		fixed("correct these lines, also those of others: a line is NAME:FIRST:COUNT", byHand(append([]string{f.editor()}, filesOf(lines)...)...)), true
}
