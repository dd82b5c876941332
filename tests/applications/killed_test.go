package applications

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// killer kills a worker at a system call (killat/killat.c).
type killer struct{ program, says string }

func buildKiller(t *testing.T) killer {
	t.Helper()
	if testbed.Musl() {
		t.Skip("needs a compiler; the worker is the same Go code outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc")
	return killer{testbed.CompileC(t, "killat/killat.c"), filepath.Join(t.TempDir(), "call")}
}

// launch starts a script, one of whose workers, counted from 1, is killed before or
// after its nth call.
func (k killer) launch(t *testing.T, worker int, when string, n int, script string) *testbed.Application {
	t.Helper()
	return testbed.LaunchUnder(t, []string{k.program, k.says, fmt.Sprint(worker), when, fmt.Sprint(n)}, strings.Fields(script)...)
}

// said returns at which call the worker was killed; ok is false if it has ended
// without making that many.
func (k killer) said() (call string, ok bool) {
	call = strings.TrimSpace(readFile(k.says))
	return call, !strings.HasPrefix(call, "none ")
}

// matrix are the PAM lines for which every call of a worker is tried. After one is
// before the next, but for what other threads of the worker do meanwhile.
var matrix = []struct{ name, options, when string }{
	{"three hierarchies, before", threeHierarchies, "before"},
	{"three hierarchies, after", threeHierarchies, "after"},
	{"all hierarchies, before", "", "before"},
}

// An open's worker that is killed at any of the calls by which it changes something
// or says something: the application is where it was, nothing is left, and the log
// says why. One that had said its result has done its work.
func TestOpenKilledAtEachCall(t *testing.T) {
	testbed.Need(t, "gcc")
	k := buildKiller(t)
	u := testbed.AddUser(t, "cgkillopen", 20851)
	for _, line := range matrix {
		t.Run(line.name, func(t *testing.T) {
			testbed.WriteService(t, u.Name, waitingLine(t, line.options))
			runs, whole := 0, 0
			for n := 1; ; n++ {
				log := testbed.LogFromNow(t)
				app := k.launch(t, 1, line.when, n, "syslog start=cgkillopen:cgkillopen cgroups open cgroups pause close cgroups end")
				before := testbed.ParsePlacement(app.Await("cgroups"))
				app.Await("open")
				inside := testbed.ParsePlacement(app.Await("cgroups"))
				left := testbed.Tree(u.Name)
				testbed.LogFromNow(t) // all is read that was logged
				said := log.Ours()
				app.Resume()
				a := app.Finish()
				call, killed := k.said()
				if !killed {
					t.Logf("killed %d times, %d of them with its work done: %s calls", runs, whole, call)
					break
				}
				runs++
				a.Want(t, "open", "0")
				a.Want(t, "close", "0")
				switch {
				case maps.Equal(inside, before):
					const why = "worker was killed by signal 9; this session has no cgroups of its own"
					if len(said) != 1 || said[0] != why {
						t.Errorf("%s: log %q", call, said)
					}
					if len(left) > 0 {
						t.Errorf("%s: left\n%s", call, strings.Join(left, "\n"))
					}
				case strings.Contains(call, "result success") || strings.HasPrefix(call, "after") && len(said) == 0:
					whole++
					if path := inside[testbed.HierarchyNamed(t, "freezer").Name]; path != "/user/cgkillopen/0" {
						t.Errorf("%s: in %s", call, path)
					}
				default:
					t.Errorf("%s: in %v, was in %v, log %q", call, inside, before, said)
				}
				if at := testbed.ParsePlacement(a.All("cgroups")[2]); !maps.Equal(at, before) {
					t.Errorf("%s: after the close in %v, was in %v", call, at, before)
				}
				wantCleanedUp(t, u, call)
			}
		})
	}
}

// A close's worker likewise: the application is then in its session or where it
// was before, in each hierarchy, and one cleanup takes away what is left.
func TestCloseKilledAtEachCall(t *testing.T) {
	testbed.Need(t, "gcc")
	k := buildKiller(t)
	u := testbed.AddUser(t, "cgkillclose", 20852)
	for _, line := range matrix {
		t.Run(line.name, func(t *testing.T) {
			testbed.WriteService(t, u.Name, waitingLine(t, line.options))
			runs := 0
			for n := 1; ; n++ {
				log := testbed.LogFromNow(t)
				app := k.launch(t, 2, line.when, n, "syslog start=cgkillclose:cgkillclose cgroups open cgroups close cgroups end")
				a := app.Finish()
				call, killed := k.said()
				if !killed {
					t.Logf("killed %d times: %s calls", runs, call)
					break
				}
				runs++
				a.Want(t, "open", "0")
				all := a.All("cgroups")
				before, inside, now := testbed.ParsePlacement(all[0]), testbed.ParsePlacement(all[1]), testbed.ParsePlacement(all[2])
				for name, path := range now {
					if path != before[name] && path != inside[name] {
						t.Errorf("%s: %s: in %s, neither in its session nor in %s", call, name, path, before[name])
					}
				}
				testbed.LogFromNow(t)
				said := log.Ours()
				const why = "worker was killed by signal 9; the session is left for a later cleanup"
				if isWhole := len(said) == 0 && maps.Equal(now, before) && strings.Contains(call, "result success"); !isWhole && (len(said) != 1 || said[0] != why) {
					t.Errorf("%s: log %q", call, said)
				}
				wantCleanedUp(t, u, call)
			}
		})
	}
}

// wantCleanedUp fails the test unless one cleanup leaves nothing of the user.
func wantCleanedUp(t *testing.T, u testbed.User, call string) {
	t.Helper()
	out, err := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).CombinedOutput()
	if err != nil {
		t.Errorf("%s: cleanup: %v: %s", call, err, out)
	}
	if left := testbed.Tree(u.Name); len(left) > 0 {
		t.Errorf("%s: left after a cleanup\n%s", call, strings.Join(left, "\n"))
		testbed.RemoveAll(u.Name)
	}
	if _, err := os.Stat("/run/cgdeleg/users/" + u.Name); err == nil {
		t.Errorf("%s: the lock's file is left after a cleanup", call)
	}
}
