package faults

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/faults/inject"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

// inModule counts the calls that an application makes in the module: not those of the
// tests' application, nor those by which libpam tells the kernel's audit (netlink(7)) when
// the module has returned.
func inModule(counted bool, s inject.Stop) bool {
	text := s.Written()
	begins := func(words ...string) bool {
		for _, word := range words {
			if strings.HasPrefix(text, word+": ") {
				return true
			}
		}
		return false
	}
	switch {
	case s.Number == unix.SYS_SOCKET && s.Arguments[0] == unix.AF_NETLINK:
		return false
	case text == "":
		return counted
	case s.Ends && begins("start", "pause"):
		return true
	case !s.Ends && begins("open", "close", "end"):
		return false
	}
	return counted
}

// The processes of a login, by the order in which they are forked (inject.Program).
const (
	theApplication = iota
	workerOfOpen
	workerOfClose // where it is detached, what starts it
	detachedWorker
)

const (
	undoingWorker = workerOfOpen + 1 // where that of the open was lost
	firstID       = workerOfOpen + 2 // id(1), which that of the open runs twice at once, after Go has forked to try pidfds
	secondID      = firstID + 1
)

// moveInto fails the nth of the writes by which a worker moves the application: into the
// last hierarchy.
func moveInto(nth int) func() inject.First {
	return func() inject.First {
		moves := 0
		return inject.First{Process: workerOfOpen, Errno: unix.EBUSY, Is: func(s inject.Stop) bool {
			if pid.MatchString(s.Written()) {
				moves++
			}
			return moves == nth
		}}
	}
}

// pid is what is written to move a process.
var pid = regexp.MustCompile(`^[1-9]\d*\n?$`)

// lostAtResult kills the worker of an open when all is done.
func lostAtResult() inject.First {
	return inject.First{Process: workerOfOpen, Is: func(s inject.Stop) bool { return strings.HasPrefix(s.Written(), "result ") }}
}

// ofGroup are limits for which the worker has to know the user's groups.
var ofGroup = []string{"@cgfaultgroup user pids.max=900", "@cgfaultgroup session memory.max=2G"}

func TestFaults(t *testing.T) {
	for i, k := range []Kind{
		{Name: "open, three hierarchies", Options: "close=wait " + threeHierarchies, Process: workerOfOpen, In: Open},
		{Name: "open, all hierarchies", Options: "debug close=wait", Process: workerOfOpen, In: Open},
		{Name: "close, three hierarchies", Options: "debug close=wait " + threeHierarchies, Process: workerOfClose, In: Close},
		{Name: "close, all hierarchies", Options: "debug close=wait", Process: workerOfClose, In: Close},
		{Name: "detached close, what starts it", Options: "debug " + threeHierarchies, Process: workerOfClose, In: Close},
		{Name: "detached close", Options: "debug " + threeHierarchies, Process: detachedWorker, In: Close, NobodyWaits: true},
		{Name: "application", Options: threeHierarchies, Process: theApplication, In: Both, Counts: func() func(bool, inject.Stop) bool { return inModule }},
		{Name: "taking back", Options: "close=wait -c freezer,memory,unified", Process: workerOfOpen, In: Open, First: moveInto(3)},
		{Name: "undo of a lost open", Options: "close=wait " + threeHierarchies, Process: undoingWorker, In: Open, First: lostAtResult},
		{Name: "open, limits with groups", Options: "close=wait " + threeHierarchies, Group: "cgfaultgroup", Limits: ofGroup, Process: workerOfOpen, In: Open},
		{Name: "id, the first one", Options: "close=wait " + threeHierarchies, Group: "cgfaultgroup", Limits: ofGroup, Process: firstID, In: Open},
		{Name: "id, the second one", Options: "close=wait " + threeHierarchies, Group: "cgfaultgroup", Limits: ofGroup, Process: secondID, In: Open},
		{Name: "open, v2 alone", Options: "close=wait -c unified", Process: workerOfOpen, In: Open},
		{Name: "close, v2 alone", Options: "debug close=wait -c unified", Process: workerOfClose, In: Close},
	} {
		k.User, k.UID = "cgfaults"+string(rune('a'+i)), 23100+i
		t.Run(k.Name, func(t *testing.T) { k.Test(t) })
	}
}

// A worker that cannot tell in which cgroups it is itself may be where a user can freeze
// it: it takes no lock, of the user or of the application, and the log says why.
func TestUnknownOwnCgroup(t *testing.T) {
	for i, k := range []Kind{
		{Name: "open", Options: "close=wait " + threeHierarchies, Process: workerOfOpen, In: Open},
		{Name: "open with limits", Options: "close=wait " + threeHierarchies, Limits: []string{"* user pids.max=900"}, Process: workerOfOpen, In: Open},
		{Name: "close", Options: "close=wait " + threeHierarchies, Process: workerOfClose, In: Close},
	} {
		k.User, k.UID = "cgunknown"+string(rune('a'+i)), 23110+i
		t.Run(k.Name, func(t *testing.T) {
			r := k.prepare(t)
			reads, locks := map[string]inject.Call{}, 0
			r.sees = func(call inject.Call, text string) {
				if match := cgroupOf.FindStringSubmatch(text); match != nil {
					reads[match[1]] = call
				}
				if call.Number == unix.SYS_FLOCK {
					locks++
				}
			}
			r.reference = r.observe(inject.Fault{})
			delete(reads, "1")
			delete(reads, strconv.Itoa(r.reference.pid))
			if len(reads) != 1 || locks == 0 {
				t.Fatalf("it looks at %v, and takes %d locks", reads, locks)
			}
			locks = 0
			for _, own := range maps.Clone(reads) {
				if what := r.one(inject.Fault{Call: own, Errno: unix.EIO}); what != without || locks > 0 {
					t.Errorf("the login is %s, and %d locks were taken", what, locks)
				}
			}
		})
	}
}

// Where a path is too long, some kernels do not tell it (ENAMETOOLONG), and only a user makes such. A
// worker that a user has moved there leaves, and an application is moved back.
func TestTooDeep(t *testing.T) {
	for i, k := range []Kind{
		{Name: "open, the worker", Options: "close=wait " + threeHierarchies, Process: workerOfOpen, In: Open},
		{Name: "close, the worker", Options: "close=wait " + threeHierarchies, Process: workerOfClose, In: Close},
		{Name: "close, the application", Options: "close=wait " + threeHierarchies, Process: workerOfClose, In: Close},
	} {
		k.User, k.UID = "cgdeep"+string(rune('a'+i)), 23120+i
		t.Run(k.Name, func(t *testing.T) {
			r := k.prepare(t)
			reads := map[string]inject.Call{}
			r.sees = func(call inject.Call, text string) {
				if match := cgroupOf.FindStringSubmatch(text); match != nil {
					if _, isKnown := reads[match[1]]; !isKnown {
						reads[match[1]] = call
					}
				}
			}
			r.reference = r.observe(inject.Fault{})
			application := strconv.Itoa(r.reference.pid)
			delete(reads, "1")
			if len(reads) != 2 {
				t.Fatalf("it looks at %v", reads)
			}
			for of, call := range maps.Clone(reads) {
				if (of == application) != strings.HasSuffix(k.Name, "application") {
					continue
				}
				if what := r.one(inject.Fault{Call: call, Errno: unix.ENAMETOOLONG}); what != whole {
					t.Errorf("the login is %s", what)
				}
			}
		})
	}
}

// cgroupOf is how a worker asks where a process is: the first one, the application, itself.
var cgroupOf = regexp.MustCompile(`^openat\(-100, "/proc/(\d+)/cgroup"\)$`)
