// Package faults spoils each system call of a worker, of an application and of
// `cgdeleg serve` in turn, and looks each time at what became of the login. The matrix is
// generated: a run without a fault tells which calls there are.
package faults

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/faults/inject"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Errnos are how calls fail, also those that cannot return such an error: whatever a
// filter, or another kernel, answers.
var Errnos = []unix.Errno{
	unix.EINTR, unix.ENOMEM, unix.ENOSPC, unix.EBUSY, unix.EACCES, unix.EROFS, unix.EIO, unix.ENODEV, unix.EMFILE,
}

// idle are calls by which Go's runtime waits, and wakes its threads: how often is not the
// same in any two runs. Of each the first few count, of one process.
var idle = []uint64{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_EPOLL_PWAIT, unix.SYS_SCHED_YIELD, unix.SYS_TGKILL, unix.SYS_RT_SIGRETURN, unix.SYS_GETPID,
}

const ofIdle = 5

// errnosOf returns with which of them a call can fail at all: some do not come back, or not
// to where they were made, some have no error to return, and brk(2) has one.
func errnosOf(call uint64) []unix.Errno {
	switch call {
	case unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_RT_SIGRETURN,
		unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_UMASK:
		return nil
	case unix.SYS_BRK:
		return []unix.Errno{unix.ENOMEM}
	}
	return Errnos
}

// Kind is whose calls are spoilt.
type Kind struct {
	Name    string
	User    string
	UID     int
	Options string // of the PAM line, beside timeout=
	// Limits are the lines of /etc/cgdeleg/limits.conf.
	Limits []string
	// Group is one of which the user is a member; "": there is none.
	Group string
	// Process and Counts are those of inject.Program: of the application and what it
	// forks, or of a server.
	Process int
	Counts  func() func(counted bool, s inject.Stop) bool // made for each run
	In      Part
	// First is a fault of each run, made for it, after which an open takes back what it
	// did: what is spoilt is the taking back. Nil: there is none.
	First func() inject.First
	// NobodyWaits tells that nobody hears of the end of a process that is killed.
	NobodyWaits bool
	// IsServed spoils the calls of `cgdeleg serve`.
	IsServed bool
}

// Part says what is spoilt.
type Part int

// The parts of a login.
const (
	Open  Part = 1 << iota // the close is as any other
	Close                  // the open is as any other
	Both  = Open | Close
)

const (
	// timeout is the PAM line's, in seconds. A worker that hangs costs so much.
	timeout = 3
	// slack is for a loaded machine, and what a traced program takes longer.
	slack = 3 * time.Second
	// limit is when a run has failed.
	limit = 60 * time.Second
	// A run that failed and was slow is done again, at most so often: on a loaded machine
	// the part that has no fault may come to its deadline, too.
	attempts = 3
	slow     = timeout * time.Second / 4
)

// longest are how long an open and a close may take (pam/module.c).
func (k Kind) longest() (open, close time.Duration) {
	const worker = timeout*time.Second + 500*time.Millisecond
	open, close = 2*worker+slack, worker+2500*time.Millisecond+slack
	if k.IsServed {
		open, close = open+worker, close+worker
	}
	return open, close
}

// outcome is what became of one run.
type outcome string

const (
	whole      outcome = "whole"                 // as without a fault
	without    outcome = "without"               // it goes on without a session, or the session is left to a cleanup
	unheard    outcome = "unheard"               // the same, of a process for which nobody waits and which cannot say it any more
	partly     outcome = "in some"               // it has a session in some of the hierarchies
	remains    outcome = "in it until its close" // what was to be taken back was not
	ended      outcome = "ended"                 // the application itself was killed
	notReached outcome = "not made"              // the call was not made in this run
)

// Counts says how often which outcome was.
type Counts map[outcome]int

// String is a table's row.
func (c Counts) String() string {
	total := 0
	var parts []string
	for _, o := range []outcome{whole, partly, without, unheard, remains, ended, notReached} {
		if c[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[o], o))
		}
		if o != notReached {
			total += c[o]
		}
	}
	return fmt.Sprintf("%d runs: %s", total, strings.Join(parts, ", "))
}

// Test runs the matrix of one kind, or a part of it.
func (k Kind) Test(t *testing.T) {
	t.Helper()
	r := k.prepare(t)
	calls := r.record()
	faults := faultsOf(calls)
	counts := Counts{}
	began := time.Now()
	for _, fault := range choose(t, faults) {
		counts[r.one(fault)]++
		if r.failed > 50 {
			t.Fatal("more than 50 runs have failed")
		}
	}
	line := fmt.Sprintf("%s: %d calls, %d faults; %v", k.Name, len(calls), len(faults), counts)
	t.Logf("%s; %.0f s", line, time.Since(began).Seconds())
	if err := os.WriteFile(inBuild(t, "count"), []byte(line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// prepare makes what a kind needs: a user, a PAM file, limits.
func (k Kind) prepare(t *testing.T) *runs {
	t.Helper()
	if inject.Missing != "" {
		t.Skip(inject.Missing)
	}
	if testbed.Musl() {
		t.Skip("the worker is the same Go code outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc")
	testbed.AddUser(t, k.User, k.UID)
	testbed.WriteService(t, k.User, testbed.SessionLine(t, fmt.Sprintf("timeout=%d %s", timeout, k.Options)))
	if k.Group != "" {
		testbed.AddGroup(t, k.Group, k.UID+1000, k.User)
	}
	if k.Limits != nil {
		testbed.WriteLimits(t, k.Limits...)
	}
	return &runs{Kind: k, t: t}
}

// faultsOf are all that can be done to the calls.
func faultsOf(calls []inject.Call) (all []inject.Fault) {
	for _, call := range calls {
		all = append(all, inject.Fault{Call: call})
		for _, errno := range errnosOf(call.Number) {
			all = append(all, inject.Fault{Call: call, Errno: errno})
		}
	}
	return all
}

// stride is which part of the faults `make test` has: a prime, so that a sample has each
// errno.
const stride = 193

// changes are the calls by which something becomes of a cgroup or a login. A sample has
// one fault of each.
var changes = []uint64{
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT,
	unix.SYS_WRITE, unix.SYS_SENDMSG, unix.SYS_FLOCK,
}

// choose returns the faults that CGDELEG_FAULTS asks for: "all", the second of four parts of
// them ("2/4"), or those whose names begin so; else a sample, which is another one the next
// time.
func choose(t *testing.T, all []inject.Fault) (chosen []inject.Fault) {
	t.Helper()
	asked := os.Getenv("CGDELEG_FAULTS")
	if asked == "all" {
		return all
	}
	var part, parts int
	if n, _ := fmt.Sscanf(asked, "%d/%d", &part, &parts); n == 2 && part > 0 && part <= parts {
		for i := part - 1; i < len(all); i += parts {
			chosen = append(chosen, all[i])
		}
		return chosen
	}
	if asked != "" {
		return slices.DeleteFunc(all, func(f inject.Fault) bool { return !strings.HasPrefix(f.String(), asked) })
	}
	from := nextSample(t)
	for i, f := range all {
		if i%stride == from || f.Errno == unix.EIO && slices.Contains(changes, f.Number) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// nextSample returns which of the faults is the first: each test has a number of its own in
// build/, which grows with each run.
func nextSample(t *testing.T) int {
	t.Helper()
	if from, err := strconv.Atoi(os.Getenv("CGDELEG_FAULTS_FROM")); err == nil {
		return from % stride
	}
	file := inBuild(t, "next")
	data, _ := os.ReadFile(file)
	from, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	from %= stride
	if err := os.WriteFile(file, []byte(strconv.Itoa((from+1)%stride)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("sample %d of %d: CGDELEG_FAULTS_FROM=%d repeats it", from+1, stride, from)
	return from
}

// inBuild returns where a test keeps something: its count is printed by `make test`.
func inBuild(t *testing.T, kind string) string {
	t.Helper()
	dir := filepath.Join(testbed.Root(t), "build", "faults")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, strings.NewReplacer("TestFaults/", "", "/", "-", ",", "").Replace(t.Name())+"."+kind)
}

// runs are those of one kind.
type runs struct {
	Kind
	t         *testing.T
	reference *seen
	failed    int
	sees      func(call inject.Call, text string) // as inject.Program has it
}

// recordings is how often it is looked which calls there are: what other threads of Go's
// runtime do is not the same each time.
const recordings = 3

// record runs it without a fault, and returns the calls.
func (r *runs) record() (calls []inject.Call) {
	r.t.Helper()
	known := map[inject.Call]bool{}
	for i := range recordings {
		s := r.observe(inject.Fault{})
		if i == 0 {
			r.reference = s
		}
		isTakenBack := maps.Equal(s.before, s.inside) && len(s.state) == 0 && s.result.First != ""
		if s.opened != "0" || s.closed != "0" || !s.hasEnded || isTakenBack != (r.First != nil) || !maps.Equal(s.before, s.after) ||
			!slices.Equal(s.state, r.reference.state) || len(s.left) > 0 || len(s.result.Calls) == 0 {
			r.t.Fatalf("without a fault: %+v", s)
		}
		for _, call := range s.result.Calls {
			if !known[call] && (call.Nth <= ofIdle || !slices.Contains(idle, call.Number)) {
				known[call] = true
				calls = append(calls, call)
			}
		}
	}
	return calls
}

// one makes one fault, and looks at what became of the login.
func (r *runs) one(fault inject.Fault) outcome {
	r.t.Helper()
	var s *seen
	var what outcome
	var wrong []string
	for range attempts {
		s = r.observe(fault)
		what, wrong = r.judge(fault, s)
		wrong = append(wrong, r.cleanUp()...)
		if len(wrong) == 0 || s.openTook+s.closeTook < slow {
			break
		}
	}
	if s.result.Hit == "" {
		what = notReached
	}
	if len(wrong) > 0 {
		r.failed++
		r.t.Errorf("%v (%s), %s:\n  %s\n  log: %q", fault, s.result.Hit, what, strings.Join(wrong, "\n  "), s.said)
	}
	return what
}
