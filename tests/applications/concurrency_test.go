package applications

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Sessions of one user that are open at once have numbers of their own, the
// same in every hierarchy, and closing one touches no other.
func TestSessionsAtOnce(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgmany", 20301)
	testbed.WriteService(t, "cgmany", waitingLine(t, threeHierarchies))
	testbed.WriteService(t, "cgmany-all", waitingLine(t, ""))
	for _, test := range []struct {
		count   int
		service string
	}{{2, "cgmany"}, {3, "cgmany"}, {50, "cgmany"}, {50, "cgmany-all"}} {
		t.Run(fmt.Sprintf("%d by %s", test.count, test.service), func(t *testing.T) {
			log := testbed.LogFromNow(t)
			applications := openAtOnce(t, test.count, test.service, u.Name)
			numbers := map[int]int{}
			for i, app := range applications {
				numbers[sessionNumber(t, app, u.Name)] = i
			}
			if len(numbers) != test.count {
				t.Errorf("%d sessions have %d different numbers", test.count, len(numbers))
			}
			closeOneByOne(t, applications, u.Name)
			log.WantOnly(testbed.WaitedForLock)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// openAtOnce starts applications that open at the same moment, as near as can
// be, and waits until all are inside.
func openAtOnce(t *testing.T, count int, service, user string) []*testbed.Application {
	t.Helper()
	var applications []*testbed.Application
	for range count {
		applications = append(applications, launch(t, fmt.Sprintf("start=%s:%s pause open cgroups pause cgroups close cgroups end", service, user)))
	}
	for _, app := range applications {
		app.Await("start")
	}
	for _, app := range applications {
		app.Resume()
	}
	return applications
}

// sessionNumber returns in which session of the user the application is; it
// must be the same in all hierarchies.
func sessionNumber(t *testing.T, app *testbed.Application, user string) int {
	t.Helper()
	if got := app.Await("open"); got != "0" {
		t.Fatalf("open answered %s", got)
	}
	number := -1
	for name, path := range testbed.ParsePlacement(app.Await("cgroups")) {
		if name == "unified" && filepath.Base(path) == "init.scope" {
			path = filepath.Dir(path)
		}
		if filepath.Dir(path) != "/user/"+user {
			continue
		}
		n, err := strconv.Atoi(filepath.Base(path))
		if err != nil || number >= 0 && n != number {
			t.Fatalf("%s: session %s, elsewhere %d", name, path, number)
		}
		number = n
	}
	if number < 0 {
		t.Fatal("application is in no session")
	}
	return number
}

// closeOneByOne closes the sessions, and looks each time that all the others
// stand, also their empty cgroups.
func closeOneByOne(t *testing.T, applications []*testbed.Application, user string) {
	t.Helper()
	freezer := testbed.HierarchyNamed(t, "freezer")
	for i, app := range applications {
		app.Resume()
		a := app.Finish()
		a.Want(t, "close", "0")
		if left := len(testbed.Sessions(freezer, user)); left != len(applications)-i-1 {
			t.Errorf("%d sessions left after %d of %d closed", left, i+1, len(applications))
		}
	}
}

// Opens and closes of one user from many processes, without any order: none
// fails, none touches another's, nothing stays. (LXC's pam_cgfs failed 1,069 of
// 2,933 such opens.)
func TestStorm(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgstorm", 20302)
	testbed.WriteService(t, "cgstorm", waitingLine(t, ""))
	log := testbed.LogFromNow(t)
	var applications []*testbed.Application
	for range 20 {
		applications = append(applications, launch(t, "repeat=10 { start=cgstorm:cgstorm open close end } cgroups"))
	}
	for _, app := range applications {
		app.Finish()
	}
	log.WantOnly(testbed.WaitedForLock)
	testbed.WantNothingLeft(t, u.Name)
}

// The numbers are reused from the lowest.
func TestLowestFreeNumber(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglowest", 20303)
	testbed.WriteService(t, "cglowest", waitingLine(t, threeHierarchies))
	freezer := testbed.HierarchyNamed(t, "freezer")
	applications := openAtOnce(t, 3, "cglowest", u.Name)
	numbers := map[int]*testbed.Application{}
	for _, app := range applications {
		numbers[sessionNumber(t, app, u.Name)] = app
	}
	numbers[1].Resume()
	numbers[1].Finish()
	if got := testbed.Sessions(freezer, u.Name); !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("sessions %v, want 0 and 2", got)
	}
	a := run(t, "start=cglowest:cglowest open cgroups close end")
	wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 1))
	for _, n := range []int{0, 2} {
		numbers[n].Resume()
		numbers[n].Finish()
	}
}
