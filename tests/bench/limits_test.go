package bench

import (
	"fmt"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// BenchmarkLimits is an open with limits.conf. What the file has in it is read anew at each
// login, and groups are looked up if a line is reached that needs them.
func BenchmarkLimits(b *testing.B) {
	server := startServer(b)
	ours := testbed.Built(b, "pam_cgdeleg.so")
	member := testbed.AddUser(b, "cgbenchlimits", 21032)
	var stacks []stack
	for _, s := range []stack{{name: "forked"}, {name: "served", served: true}} {
		if s.served && server == nil {
			continue
		}
		s.module, s.options, s.hierarchies, s.user = ours, three.option(), three.name, member
		stacks = append(stacks, s)
	}
	b.Cleanup(func() { testbed.RemoveAll(member.Name) })
	testbed.AddGroups(b, "cgbenchgroup", 27000, 200, member.Name)
	var many []string
	for i := range 4999 {
		many = append(many, fmt.Sprintf("cgbenchnobody%d user memory.max=1G", i))
	}
	limits := " user memory.max=4G pids.max=4096"
	n := rounds(60)
	header := []string{"open with"}
	for _, s := range stacks {
		header = append(header, s.name, "p90")
	}
	var rows [][]string
	for _, file := range []struct {
		name  string
		lines []string
	}{
		{"no line", nil},
		{"one line about all", []string{"*" + limits}},
		{"a group, the user in 200", []string{"@cgbenchgroup199" + limits}},
		{"5,000 lines", append(many[:len(many):len(many)], "*"+limits)},
		{"5,000 lines, a group", append(many[:len(many):len(many)], "@cgbenchgroup199"+limits)},
	} {
		testbed.WriteLimits(b, file.lines...)
		row := []string{file.name}
		for _, samples := range inTurns(b, server, stacks, n, rest) {
			row = append(row, ms(median(samples, toOpen)), ms(at(0.9, samples, toOpen)))
		}
		rows = append(rows, row)
	}
	table(fmt.Sprintf("An open with limits.conf, 3 hierarchies: medians and p90 of %d rounds, ms", n), header, rows)
}
