package vm

import (
	"fmt"
	"strconv"
	"strings"
)

// Assertion is a line of a scenario: "ok NAME" or "not ok NAME: EVIDENCE". A
// name has no colon with a space after it.
type Assertion struct {
	Name     string
	OK       bool
	Evidence string
}

// Report is what a scenario said.
type Report struct {
	Assertions []Assertion
	Notes      []string // its lines that begin with "# "
}

// unescape undoes what not_ok does to evidence of several lines.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n")

// ParseReport reads a scenario's output. An error says why it does not count:
// its end is missing, or asserts nothing, or lines were lost.
func ParseReport(output string) (Report, error) {
	var r Report
	end := -1
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			r.Assertions = append(r.Assertions, Assertion{Name: name, OK: true})
		} else if rest, ok := strings.CutPrefix(line, "not ok "); ok {
			r.Assertions = append(r.Assertions, failed(rest))
		} else if note, ok := strings.CutPrefix(line, "# "); ok {
			r.Notes = append(r.Notes, note)
		} else if count, ok := strings.CutPrefix(line, "end "); ok {
			n, err := strconv.Atoi(count)
			if err != nil {
				return r, fmt.Errorf("end line %q: %w", line, err)
			}
			end = n
		}
	}
	switch {
	case end < 0:
		return r, fmt.Errorf("the scenario did not come to its end, after %d assertions", len(r.Assertions))
	case end != len(r.Assertions):
		return r, fmt.Errorf("%d assertions came out of %d", len(r.Assertions), end)
	case end == 0:
		return r, fmt.Errorf("the scenario asserts nothing")
	}
	return r, nil
}

// failed reads "NAME: EVIDENCE".
func failed(rest string) Assertion {
	name, evidence, _ := strings.Cut(rest, ": ")
	return Assertion{Name: name, Evidence: unescape.Replace(evidence)}
}
