package bench

import (
	"fmt"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/neighbour"
)

// BenchmarkBeside is an open of one user's while another is in the way. The kernel has
// one lock for making, removing and moving (cgroup_mutex), for which all wait, so the
// floor tells what any module pays. The other logs in with our module in any case,
// served or not as whoever is just measured.
func BenchmarkBeside(b *testing.B) {
	server := startServer(b)
	stacks := stacks(b, server, three)
	addUsers(b, stacks)
	testbed.WriteService(b, "cgbenchbeside", testbed.SessionLine(b, three.option()))
	other := neighbour.Neighbour{User: testbed.AddUser(b, "cgbenchbeside", 21031), Application: application(b), Service: "cgbenchbeside"}
	n := rounds(40)
	header := []string{"open beside"}
	for _, s := range stacks {
		header = append(header, s.name, "p90")
	}
	var rows [][]string
	for _, way := range []struct {
		name  string
		begin func() (end func())
	}{
		{"nobody", func() func() { return func() {} }},
		{"three busy loops", func() func() { return neighbour.Busy(3) }},
		{"three loops of mkdir and rmdir", func() func() { return other.Mkdirs(b, 3) }},
		{"three loops of logins that leave 3x1300", func() func() { return other.Logins(b, 3, 1300) }},
		{"30 dead sessions of 4500", func() func() { return other.Dead(b, 30, 4500) }},
	} {
		end := way.begin()
		row := []string{way.name}
		for _, samples := range inTurns(b, server, stacks, n, rest) {
			row = append(row, ms(median(samples, toOpen)), ms(at(0.9, samples, toOpen)))
		}
		end()
		rows = append(rows, row)
	}
	table(fmt.Sprintf("An open of one user's beside another's doings, 3 hierarchies: medians and p90 of %d rounds, ms", n), header, rows)
}
