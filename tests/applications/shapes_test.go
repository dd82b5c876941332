package applications

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// placed returns the placement of a process that is in session N of the user
// in the three hierarchies, and elsewhere where this test process is, which
// started it.
func placed(t *testing.T, user string, number int) map[string]string {
	t.Helper()
	at := testbed.Placement(t, os.Getpid())
	for _, name := range []string{"freezer", "memory", "name=systemd"} {
		at[testbed.HierarchyNamed(t, name).Name] = fmt.Sprintf("/user/%s/%d", user, number)
	}
	return at
}

// wantPlacement compares what "cgroups" answered.
func wantPlacement(t *testing.T, got string, want map[string]string) {
	t.Helper()
	if at := testbed.ParsePlacement(got); !maps.Equal(at, want) {
		t.Errorf("process is in %v, want %v", at, want)
	}
}

// Every shape of application: after "inside" the process is in session 0, after
// "outside" it is where it was before.
func TestApplicationShapes(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgshape", 20101)
	testbed.WriteService(t, "cgshape", waitingLine(t, threeHierarchies))
	testbed.WriteService(t, "cgshapelater", testbed.SessionLine(t, threeHierarchies))
	const session = "start=cgshape:%u open cgroups close cgroups end state"
	tests := []struct {
		name, script string
		inside       []int // which answers of "cgroups", from 0, are inside
	}{
		{"one session", "state " + session, []int{0}},
		{"module loaded, then fork, opened in the child", "load=%m state fork { " + session + " } state", []int{0}},
		{"open-close-open-close on one handle", "state start=cgshape:%u open cgroups close cgroups open cgroups close cgroups end state", []int{0, 2}},
		{"open-close-open-close on two handles", "state start=cgshape:%u open close end cgroups handle=1 start=cgshape:%u open cgroups close end cgroups state", []int{1}},
		{"close without open", "state start=cgshape:%u close cgroups end state", nil},
		{"threads", "load=%m threads=4 start=cgshape:%u open cgroups close cgroups end", []int{0}},
		{"SIGCHLD ignored", "sigchld=ignore state " + session, []int{0}},
		{"SIGCHLD with SA_NOCLDWAIT", "sigchld=nocldwait state " + session, []int{0}},
		{"SIGCHLD blocked", "sigchld=block state " + session, []int{0}},
		{"SIGCHLD with a reaping handler", "sigchld=reap state " + session + " reaped", []int{0}},
		{"another child of the application", "sigchld=reap child start=cgshape:%u open cgroups close cgroups end endchild", []int{0}},
		{"old kernel", "seccomp=old state " + session, []int{0}},
		{"may receive no files", "seccomp=recvmsg state " + session, []int{0}},
		{"may answer nothing", "seccomp=sendto state " + session, []int{0}},
		{"may send no files", "seccomp=sendmsg state " + session, []int{0}},
		{"may have no pair of sockets", "seccomp=socketpair state " + session, []int{0}},
		{"set-user-ID application", "caller=20101 state " + session, []int{0}},
		{"standard input closed", "closefds=0 state " + session, []int{0}},
		{"stdio closed", "closefds=2 state " + session, []int{0}},
		{"everything to 5 closed", "closefds=5 state " + session, []int{0}},
		{"who gets orphans", "subreaper state " + session, []int{0}},
		{"a single process allowed", "rlimit=nproc:1 state " + session, []int{0}},
		{"two sessions in one another", "state start=cgshape:%u open handle=1 start=cgshape:%u open close end handle=0 close cgroups end state", nil},
	}
	type variant struct{ name, service, close string }
	number := regexp.MustCompile(":/user/" + u.Name + "/[01]\\b")
	both := []variant{{"", "cgshape", "close"}, {", close that nobody waits for", "cgshapelater", "close settle"}}
	for i := range 2 * len(tests) {
		test, how := tests[i/2], both[i%2]
		t.Run(test.name+how.name, func(t *testing.T) {
			fill := strings.NewReplacer("%u", u.Name, "%m", testbed.Built(t, "pam_cgdeleg.so"), "=cgshape:", "="+how.service+":", " close", " "+how.close)
			log := testbed.LogFromNow(t)
			a := run(t, fill.Replace(test.script))
			for _, word := range []string{"open", "close", "end"} {
				for i, result := range a.All(word) {
					if result != "0" {
						t.Errorf("%s %d answered %s", word, i, result)
					}
				}
			}
			if len(a.All("state")) > 1 {
				a.WantSameState(t)
			}
			if test.inside != nil {
				for i, got := range a.All("cgroups") {
					want := testbed.Placement(t, os.Getpid())
					if slices.Contains(test.inside, i) {
						want = placed(t, u.Name, 0)
						if how.service == "cgshapelater" { // the session before may still be there, and has the number
							got = number.ReplaceAllString(got, ":/user/"+u.Name+"/0")
						}
					}
					wantPlacement(t, got, want)
				}
			}
			if reaped := a.All("reaped"); len(reaped) > 0 && reaped[0] != "0" {
				t.Errorf("the application's handler reaped %s of the module's children", reaped[0])
			}
			log.WantSilence()
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// Nested sessions of one process end in the reverse order, each where the one
// before it was: on two handles, and on one, as when the module stands twice in
// a stack.
func TestNestedSessions(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgnest", 20102)
	testbed.WriteService(t, "cgnest", waitingLine(t, threeHierarchies))
	for name, script := range map[string]string{
		"two handles": "start=cgnest:cgnest open cgroups handle=1 start=cgnest:cgnest open cgroups close cgroups end handle=0 close cgroups end",
		"one handle":  "start=cgnest:cgnest open cgroups open cgroups close cgroups close cgroups end",
	} {
		t.Run(name, func(t *testing.T) {
			a := run(t, script)
			want := []map[string]string{placed(t, u.Name, 0), placed(t, u.Name, 1), placed(t, u.Name, 0), testbed.Placement(t, os.Getpid())}
			for i, got := range a.All("cgroups") {
				wantPlacement(t, got, want[i])
			}
			a.Want(t, "close", "0", "0")
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// As systemd's (sd-pam) does: the opener lives on inside the session, a child
// closes. The session is still in use then, and stays for as long as the opener
// lives; the next login takes it away.
func TestCloseInChild(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgchild", 20103)
	testbed.WriteService(t, "cgchild", waitingLine(t, threeHierarchies+" debug"))
	for name, drop := range map[string]string{"root": "", "dropped to the user": "drop=20103:20103"} {
		t.Run(name, func(t *testing.T) {
			log := testbed.LogFromNow(t)
			a := run(t, "start=cgchild:cgchild open cgroups fork { "+drop+" close } cgroups state")
			a.Want(t, "open", "0")
			a.Want(t, "close", "0")
			a.Want(t, "fork", "0")
			for _, got := range a.All("cgroups") {
				wantPlacement(t, got, placed(t, u.Name, 0))
			}
			if !strings.Contains(a.One(t, "state"), "children=no") {
				t.Errorf("a child is left: %s", a.One(t, "state"))
			}
			log.Want(`session 0 closed, left for a later cleanup`)
			if got := testbed.Tree(u.Name); len(got) == 0 {
				t.Error("the session of a living process was removed")
			}
			cleanupByLogin(t, "cgchild", u.Name)
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// The opener has ended before its child closes.
func TestCloseInChildAfterDrop(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgdrop", 20104)
	testbed.WriteService(t, "cgdrop", waitingLine(t, threeHierarchies))
	log := testbed.LogFromNow(t)
	a := run(t, "start=cgdrop:cgdrop open drop=20104:20104 state close cgroups state end")
	a.Want(t, "close", "0")
	a.WantSameState(t)
	// an unprivileged process cannot leave, and what it sees of that is no fault
	wantPlacement(t, a.One(t, "cgroups"), placed(t, u.Name, 0))
	log.WantSilence()
	cleanupByLogin(t, "cgdrop", u.Name)
	testbed.WantNothingLeft(t, u.Name)
}

// cleanupByLogin opens and closes a session, which cleans up the dead ones.
func cleanupByLogin(t *testing.T, service, user string) {
	t.Helper()
	a := run(t, fmt.Sprintf("start=%s:%s open close end", service, user))
	a.Want(t, "open", "0")
	a.Want(t, "close", "0")
}

// A display manager that lives for years: nothing may grow.
func TestThousandSessionsInOneProcess(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgthousand", 20105)
	testbed.WriteService(t, "cgthousand", waitingLine(t, threeHierarchies))
	log := testbed.LogFromNow(t)
	cycle := "start=cgthousand:cgthousand open close end"
	a := run(t, "repeat=50 { "+cycle+" } state memory repeat=1000 { "+cycle+" } state memory")
	a.WantSameState(t)
	log.WantSilence()
	memory := a.All("memory")
	before, after := rss(t, memory[0]), rss(t, memory[1])
	if after > before+256 {
		t.Errorf("resident memory grew from %d to %d kB in 1000 sessions", before, after)
	}
	testbed.WantNothingLeft(t, u.Name)
}

// rss takes VmRSS out of "VmSize: 5064 kB VmRSS: 2628 kB".
func rss(t *testing.T, memory string) int {
	t.Helper()
	fields := strings.Fields(memory)
	for i, f := range fields {
		if f == "VmRSS:" {
			n, err := strconv.Atoi(fields[i+1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no VmRSS in %q", memory)
	return 0
}

// An application whose other threads never stop to allocate, to load libraries
// and to start threads. The fork must not inherit a lock that the worker needs.
// Threads that are just ending when the application leaves the session must not
// keep it: the kernel does not move them.
func TestManySessionsInThreadedApplication(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgthreads", 20106)
	testbed.WriteService(t, "cgthreads", waitingLine(t, threeHierarchies+",unified debug"))
	log := testbed.LogFromNow(t)
	a := run(t, "load="+testbed.Built(t, "pam_cgdeleg.so")+" threads=4 repeat=150 { start=cgthreads:cgthreads open close end } cgroups")
	wantPlacement(t, a.One(t, "cgroups"), testbed.Placement(t, os.Getpid()))
	log.WantOnly(`^user "cgthreads": session 0 (opened by .*|closed and removed)$`)
	testbed.WantNothingLeft(t, u.Name)
}

// Closed in the order in which they were opened, the second of two sessions cannot
// go back to the first; nor does it go to another login's that has the number now,
// and whose user could freeze the application.
func TestCloseAfterNumberIsTaken(t *testing.T) {
	testbed.Need(t, "gcc")
	u, v := testbed.AddUser(t, "cgtaken", 20861), testbed.AddUser(t, "cgtaker", 20862)
	testbed.WriteService(t, u.Name, waitingLine(t, "")+" confined=move")
	app := launch(t, fmt.Sprintf("cgroups start=cgtaken:%s open handle=1 start=cgtaken:%s open handle=0 close pause handle=1 close cgroups end handle=0 end", u.Name, v.Name))
	before := testbed.ParsePlacement(app.Await("cgroups"))
	app.Await("close")
	other := launch(t, fmt.Sprintf("start=cgtaken:%s open cgroups pause close end", u.Name))
	if at := testbed.ParsePlacement(other.Await("cgroups"))[testbed.HierarchyNamed(t, "freezer").Name]; at != "/user/cgtaken/0" {
		t.Errorf("the other is in %s", at)
	}
	app.Resume()
	for name, path := range testbed.ParsePlacement(app.Await("cgroups")) {
		if path != before[name] && path != "/" {
			t.Errorf("%s: in %s, was in %s", name, path, before[name])
		}
	}
	app.Finish()
	other.Resume()
	other.Finish()
}
