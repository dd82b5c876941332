package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// BenchmarkLogins is how many logins and logouts a second several programs get through
// at once, for a user each, with all that is then still to be removed.
func BenchmarkLogins(b *testing.B) {
	server := startServer(b)
	stacks := stacks(b, server, three)
	programs := []int{1, 8, 50}
	var users []testbed.User
	for i := range slices.Max(programs) {
		users = append(users, testbed.AddUser(b, fmt.Sprintf("cgbenchmany%d", i), 20960+i))
	}
	n := rounds(3)
	rates := make([][][]float64, len(stacks)) // by stack and programs, of all rounds
	for i := range rates {
		rates[i] = make([][]float64, len(programs))
	}
	for range n {
		for _, i := range rand.Perm(len(stacks)) {
			for p, count := range programs {
				rates[i][p] = append(rates[i][p], loginsPerSecond(b, server, stacks[i], users[:count]))
			}
		}
	}
	var rows [][]string
	for i, s := range stacks {
		row := []string{s.name}
		for p := range programs {
			slices.Sort(rates[i][p])
			row = append(row, fmt.Sprintf("%.0f", rates[i][p][n/2]))
		}
		rows = append(rows, row)
	}
	table(fmt.Sprintf("Logins and logouts a second, 3 hierarchies, by how many programs at once: medians of %d rounds", n),
		[]string{"stack", "1", "8", "50"}, rows)
}

// loginsPerSecond has as many programs as users log these in. Each login is a process
// of its own, which dlopens the module.
func loginsPerSecond(b *testing.B, server *server, s stack, users []testbed.User) float64 {
	b.Helper()
	server.answers(s.served)
	each := max(rounds(100)/len(users), 1)
	begun := time.Now()
	var running sync.WaitGroup
	for _, u := range users {
		cmd := pamapp(b, "subreaper", fmt.Sprintf("repeat=%d", each), "{", "fork", "{", "start="+s.service(b)+":"+u.Name, "open", "close", "end", "}", "}", "orphans")
		running.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Errorf("%v: %s", err, out)
			}
		})
	}
	running.Wait()
	if s.served {
		server.rest()
	}
	rate := float64(each*len(users)) / time.Since(begun).Seconds()
	for _, u := range users {
		testbed.RemoveAll(u.Name) // what pam_cgfs leaves
	}
	return rate
}
