package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
)

// fusedResult is the result where a line is two, of which one is the subject's: shadow takes it
// for nobody's, or for the first owner's alone. A range given beside it would leave that so, and
// might be one that is in it. isFused is false if there is none such.
func (f *Facts) fusedResult(says string, both []subIDs, want uint64, evidence []Evidence) (r Result, isFused bool) {
	var lines []Evidence
	var splits []Command
	isEnough := true
	for _, s := range both {
		data, _ := f.Machine.ReadFile(s.file)
		own := slices.Clone(s.own)
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			line = strings.TrimSuffix(line, "\n")
			one, two, at := subid.Fused(line, strconv.Itoa(f.Subject.UID))
			his := subid.Of([]subid.Range{one, two}, f.Subject.UID, f.names()...)
			if at == 0 || strings.HasPrefix(line, "#") || len(his) == 0 {
				continue
			}
			own = append(slices.DeleteFunc(own, func(r subid.Range) bool { return r.Line == number }), his...)
			lines = append(lines, Evidence{fmt.Sprintf("%s:%d", s.file, number), line + " is two lines in one"})
			if strings.Trim(line, plainNames+":") != "" {
				isEnough = false // sed would take its letters for others
			}
			splits = append(splits, asRoot("sed", "-i", fmt.Sprintf(`s/^\(%s\)\(%s\)$/\1\n\2/`, line[:at], line[at:]), s.file))
		}
		if s.extents != nil {
			own = usable(own, s.extents)
		}
		isEnough = isEnough && (s.isUnread || total(own) >= want)
	}
	if len(lines) == 0 {
		return r, false
	}
	r = failed(says+", because a line was written behind another without a newline between them", append(lines, evidence...)...)
	if !isEnough {
		return r.fixed("make two lines of it, and give "+f.Subject.Called()+" a range that nobody has where that is not enough",
			byHand(append([]string{f.editor()}, filesOf(lines)...)...)), true
	}
	return r.fixed("make two lines of it", splits...), true
}
