// Package storms has many people log in at once, and one after the other for long, by any
// PAM module that makes cgroups for them, and counts what becomes of it. `make storms` and
// `make soak` run it here, with LXC's pam_cgfs beside the module; the program in storm/ runs
// it on another machine.
package storms

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Module is a PAM module, and what stands after it in the PAM line.
type Module struct{ Name, Path, Options string }

// Field is where a storm takes place.
type Field struct {
	Module      Module
	Application string   // the path of pamapp (tests/applications/pamapp)
	ConfDir     string   // the directory for its PAM files
	Users       []string // at least one, and one for each that logs in at once
	// Scale is by how much a storm is shorter than the whole: as many log in at once.
	Scale int

	service  string
	wanted   []string // the hierarchies in which a session is, sorted
	goesBack bool     // the module moves the application back
	removes  bool     // and removes what it made
}

// Prepare writes the PAM file, and finds out, while nobody else logs in, in which hierarchies
// a session is, and whether the logout leaves it, and removes it. All sessions have to be so.
func (f *Field) Prepare() error {
	f.service = f.Module.Name
	line := "session required " + f.Module.Path + " " + f.Module.Options + "\n"
	err := os.MkdirAll(f.ConfDir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.ConfDir, f.service), []byte(line), 0o644)
	}
	if err != nil {
		return err
	}
	f.removes = true
	l := f.login(f.Users[0], inside, nil)
	f.removes = f.clear(f.Users[:1]) == 0
	if l.err != nil || l.open != "0" || len(l.in) == 0 {
		return fmt.Errorf("%s opens no session: %+v", f.Module.Name, l)
	}
	f.wanted, f.goesBack = l.in, l.isBack
	return nil
}

// Count is what became of logins. The fields beside All are what went wrong.
type Count struct {
	Storm string
	All   int
	// Refused were told by the module that it failed.
	Refused int
	// Misplaced were not in one session of their own in all hierarchies.
	Misplaced int
	// Stayed were not where they had been, after the logout.
	Stayed int
	// Lost came to no end.
	Lost int
	// Left are the cgroups that are still there ten seconds later, or where the module
	// removes none in the end.
	Left  int
	Opens []time.Duration // sorted
	Took  time.Duration
	First string // what went wrong first
}

// Failed is how many logins had something go wrong.
func (c *Count) Failed() int { return c.Refused + c.Misplaced + c.Stayed + c.Lost }

// At returns what a share of the opens did not exceed.
func (c *Count) At(share float64) time.Duration {
	if len(c.Opens) == 0 {
		return 0
	}
	return c.Opens[min(len(c.Opens)-1, int(share*float64(len(c.Opens))))]
}

func (f *Field) add(c *Count, l login) {
	c.All++
	wrong := ""
	switch {
	case l.err != nil:
		c.Lost++
		wrong = l.err.Error()
	case l.open != "0":
		c.Refused++
		wrong = "open answered " + l.open
	case !slices.Equal(l.in, f.wanted) || !l.isOne:
		c.Misplaced++
		wrong = fmt.Sprintf("in a session in %v, want one in %v", l.in, f.wanted)
	case f.goesBack && !l.isBack || l.close != "0":
		c.Stayed++
		wrong = fmt.Sprintf("close answered %s, and it was back: %v", l.close, l.isBack)
	}
	if wrong != "" && c.First == "" {
		c.First = wrong
	}
	c.Opens = append(c.Opens, l.took)
}

// Storms are the names, in the order in which Run takes them.
var Storms = []string{"50 at once", "first logins", "200 users"}

// Run has a storm: 50 programs that log one user in and out, 20 times each; or 300 times the
// first login of a user, by eight programs at the same moment; or all users, of whom there
// are to be 200, at the same moment, five times. Every second program closes from outside of the session.
func (f *Field) Run(storm string) (*Count, error) {
	c := &Count{Storm: storm}
	begun := time.Now()
	switch storm {
	case Storms[0]:
		f.programs(c, 50, f.fewer(20))
	case Storms[1]:
		for range f.fewer(300) {
			f.atOnce(c, slices.Repeat(f.Users[:1], 8))
			c.Left += f.clear(f.Users[:1])
		}
	case Storms[2]:
		for range f.fewer(5) {
			f.atOnce(c, f.Users)
		}
	default:
		return nil, fmt.Errorf("no storm is called %q; there are %q", storm, Storms)
	}
	c.Took = time.Since(begun)
	c.Left += f.clear(f.Users)
	slices.Sort(c.Opens)
	return c, nil
}

func (f *Field) fewer(n int) int { return max(n/max(f.Scale, 1), 1) }

// programs logs one user in and out, by some programs at once, without any order.
func (f *Field) programs(c *Count, programs, times int) {
	var running sync.WaitGroup
	var mutex sync.Mutex
	for i := range programs {
		running.Go(func() {
			for range times {
				l := f.login(f.Users[0], way(i%2), nil)
				mutex.Lock()
				f.add(c, l)
				mutex.Unlock()
			}
		})
	}
	running.Wait()
}

// atOnce logs the users in at the same moment, as near as can be.
func (f *Field) atOnce(c *Count, users []string) {
	gate := make(chan struct{})
	var ready, running sync.WaitGroup
	logins := make([]login, len(users))
	ready.Add(len(users))
	for i, user := range users {
		running.Go(func() {
			arrived := sync.OnceFunc(ready.Done)
			defer arrived()
			logins[i] = f.login(user, way(i%2), func() { arrived(); <-gate })
		})
	}
	ready.Wait()
	close(gate)
	running.Wait()
	for _, l := range logins {
		f.add(c, l)
	}
}

// clear waits until the users have no cgroups left, and returns how many it had to remove.
func (f *Field) clear(users []string) (left int) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if left = 0; !hasCgroups(users) {
			return 0
		}
		if !f.removes || time.Now().After(deadline) {
			break
		}
	}
	for _, user := range users {
		left += len(testbed.Tree(user))
		testbed.RemoveAll(user)
	}
	return left
}

func hasCgroups(users []string) bool {
	for _, h := range testbed.Hierarchies() {
		for _, user := range users {
			if _, err := os.Stat(filepath.Join(h.Point, "user", user)); err == nil {
				return true
			}
		}
	}
	return false
}

// Header is the heads of the columns that Cells has.
var Header = []string{"module", "storm", "logins", "failed", "refused", "misplaced", "stayed", "lost", "left", "median", "p99", "latest", "a second"}

// Cells is a row of a table: numbers of logins and cgroups, times of an open in
// milliseconds, logins a second.
func (c *Count) Cells(module string) []string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	row := []string{module, c.Storm}
	for _, n := range []int{c.All, c.Failed(), c.Refused, c.Misplaced, c.Stayed, c.Lost, c.Left} {
		row = append(row, fmt.Sprint(n))
	}
	return append(row, ms(c.At(0.5)), ms(c.At(0.99)), ms(c.At(1)), fmt.Sprintf("%.0f", float64(c.All)/c.Took.Seconds()))
}

// Table writes rows below their heads, the first two columns to the left.
func Table(rows [][]string) string {
	width := make([]int, len(Header))
	all := append([][]string{Header}, rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var out strings.Builder
	for _, row := range all {
		var line []string
		for i, cell := range row {
			if i < 2 {
				line = append(line, fmt.Sprintf("%-*s", width[i], cell))
			} else {
				line = append(line, fmt.Sprintf("%*s", width[i], cell))
			}
		}
		fmt.Fprintln(&out, "    "+strings.TrimRight(strings.Join(line, "  "), " "))
	}
	return out.String()
}

// someone returns one of the users.
func (f *Field) someone() string { return f.Users[rand.IntN(len(f.Users))] }
