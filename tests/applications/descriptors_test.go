package applications

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Of the application's descriptors, and of its caller's soft limit on them,
// nothing is left in the worker. The reply's pipe is then above descriptor 9.
func TestApplicationsDescriptors(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgopenfds", 20811)
	testbed.WriteService(t, "cgopenfds", waitingLine(t, threeHierarchies+" timeout=1"))
	h := launch(t, "syslog openfds=9 softlimit=nofile:30 seccomp=hang state start=cgopenfds:cgopenfds open state close end state")
	dir := fmt.Sprintf("/proc/%d/", hangingWorker(t, h))
	wantDescriptors(t, dir)
	limit := regexp.MustCompile(`(?m)^Max open files +(\d+) +(\d+) `).FindStringSubmatch(readFile(dir + "limits"))
	if limit == nil || limit[1] != limit[2] {
		t.Errorf("limit on descriptors %q", limit)
	}
	h.Finish().WantSameState(t)
	testbed.WantNothingLeft(t, "cgopenfds")
}

// With 3 to 9 open, a session is as any other.
func TestSessionWithOpenDescriptors(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgfds", 20812)
	testbed.WriteService(t, "cgfds", waitingLine(t, threeHierarchies))
	log := testbed.LogFromNow(t)
	a := run(t, "syslog openfds=9 state start=cgfds:cgfds open cgroups close cgroups end state")
	a.WantSameState(t)
	wantPlacement(t, a.All("cgroups")[0], placed(t, u.Name, 0))
	wantPlacement(t, a.All("cgroups")[1], testbed.Placement(t, os.Getpid()))
	log.WantSilence()
}

// A worker that cannot have its descriptors does nothing, and says why, once
// for the open and once for the close.
func TestDescriptorsCannotBeArranged(t *testing.T) {
	testbed.Need(t, "gcc")
	testbed.AddUser(t, "cgnofds", 20813)
	testbed.WriteService(t, "cgnofds", waitingLine(t, threeHierarchies))
	for name, test := range map[string]struct {
		script, log string
		noNull      bool
	}{
		"dup2 fails":   {"seccomp=dup", `error 24`, false},
		"no /dev/null": {"", `error 2`, true},
	} {
		t.Run(name, func(t *testing.T) {
			if test.noNull { // in the tests' own /dev
				if err := os.Rename("/dev/null", "/dev/null.away"); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.Rename("/dev/null.away", "/dev/null"); err != nil {
						t.Fatal(err)
					}
				}()
			}
			log := testbed.LogFromNow(t)
			a := run(t, "syslog "+test.script+" state start=cgnofds:cgnofds open cgroups close end state")
			a.Want(t, "open", "0")
			a.Want(t, "close", "0")
			a.WantSameState(t)
			wantPlacement(t, a.One(t, "cgroups"), testbed.Placement(t, os.Getpid()))
			log.WantOnly(`^worker could not be run: its descriptors could not be arranged: ` + test.log + `; no cgroup was made or removed$`)
			if lines := log.Ours(); len(lines) != 1 { // there is nothing to close
				t.Errorf("%d lines: %q", len(lines), lines)
			}
			testbed.WantNothingLeft(t, "cgnofds")
		})
	}
}
