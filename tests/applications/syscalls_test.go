package applications

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What a worker may cost in an open with three of ten hierarchies, and in the
// close, in system calls between its first look at /proc and its result.
const (
	mostInOpen  = 200
	mostInClose = 120
)

func TestSystemCalls(t *testing.T) {
	if testbed.Musl() {
		t.Skip("counted outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc", "strace")
	u := testbed.AddUser(t, "cgcalls", 20881)
	for _, test := range []struct {
		name, options   string
		toOpen, toClose int // 0: only printed
		moves           bool
	}{
		{"three hierarchies", threeHierarchies, mostInOpen, mostInClose, false},
		{"everything", "", 0, 0, true}, // which has cgroup v2
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.WriteService(t, u.Name, waitingLine(t, test.options))
			counted := countCalls(t, u.Name)
			t.Logf("open %v, close %v", counted[0], counted[1])
			if got := counted[0].moves > 0; got != test.moves {
				t.Errorf("the worker moves the application: %v, want %v: elsewhere it enters by itself", got, test.moves)
			}
			for i, most := range []int{test.toOpen, test.toClose} {
				if most > 0 && counted[i].total > most {
					t.Errorf("%s: %d system calls, want %d at most", []string{"open", "close"}[i], counted[i].total, most)
				}
			}
		})
	}
}

// calls are the system calls of one worker.
type calls struct {
	total     int
	ofRuntime int // beside: there are the more of them, the slower strace is
	of        map[string]int
	moves     int // how often it opened cgroup.procs to move a process
}

func (c calls) String() string {
	return fmt.Sprintf("%d %v, and %d of the Go runtime's own", c.total, c.of, c.ofRuntime)
}

var (
	straceCall = regexp.MustCompile(`^(\d+) +([a-z_0-9]+)\(`)
	// The runtime itself looks at these files, too, but opens them without O_NOCTTY.
	firstLook = regexp.MustCompile(`openat\(AT_FDCWD, "/proc/(self/mountinfo|\d+/cgroup)", O_RDONLY\|O_NOCTTY`)
	ofRuntime = regexp.MustCompile(`^(nanosleep|futex|clone3?|mmap|munmap|mprotect|madvise|sched_.*|rt_sig.*|sigaltstack|gettid|getpid|rseq|` +
		`set_robust_list|tgkill|prlimit64|epoll_.*|eventfd2|restart_syscall)$`)
	// What the application does at each of its looks at the worker, of which there are the
	// more, the slower strace is: one look counts.
	ofLook = regexp.MustCompile(`^(poll|recvmsg|newfstatat|wait4)$`)
)

// countCalls returns the calls of an open's worker and of a close's, of a user's
// first session, and those by which the application waits for it and enters.
func countCalls(t testing.TB, user string) (all [2]calls) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-s", "200", "-o", file, testbed.PamappPath(t), "start="+user+":"+user, "open", "close", "end")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "open: 0") {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	which, counting, application := 0, false, ""
	var looked map[string]bool
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() && which < len(all) {
		match := straceCall.FindStringSubmatch(lines.Text())
		if match == nil { // the second half of a call, a signal, an end
			continue
		}
		pid, call := match[1], match[2]
		if application == "" {
			application = pid // strace starts it
		}
		if !counting && firstLook.MatchString(lines.Text()) {
			counting = true
			all[which].of = map[string]int{}
			looked = map[string]bool{}
		}
		if !counting {
			continue
		}
		if ofRuntime.MatchString(call) {
			all[which].ofRuntime++
			continue
		}
		if pid == application && ofLook.MatchString(call) {
			if looked[call] {
				continue
			}
			looked[call] = true
		}
		if strings.Contains(lines.Text(), `"cgroup.procs", O_WRONLY`) {
			all[which].moves++
		}
		all[which].total++
		all[which].of[call]++
		if call == "write" && strings.Contains(lines.Text(), `"result `) {
			counting = false
			which++
		}
	}
	if which != len(all) {
		t.Fatalf("%d workers said a result, want %d", which, len(all))
	}
	return all
}
