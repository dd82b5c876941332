package hostile

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// call is a system call, and whether the application makes it itself.
type call struct {
	name   string
	number int
	own    bool
}

// newest is the first system call that is newer than Linux 5.0, whose numbers all
// architectures share. Filters of that age know none from here on.
const newest = 424

// needed are the calls that the module makes in the application, beside those that control
// makes. A filter that kills for one of these kills the application, and no module that has
// to start something and to hear of it could go without: TestUsualFilters holds them against
// what filters allow.
var needed = map[string]string{
	"clone":           "the worker is forked",
	"wait4":           "and reaped",
	"rt_sigprocmask":  "and no handler of the application runs in it",
	"socketpair":      "its answer comes by it",
	"recvmsg":         "the same, and the files by which the application enters",
	"poll":            "the wait for it",
	"clock_nanosleep": "until it has ended",
	"fcntl":           "descriptors that are not in the way of the application's",
	"getpid":          "whose session it is",
	"prctl":           "whether a worker that nobody waits for would become its child",
	"access":          "whether systemd runs the machine",
	"newfstatat":      "whether it has one thread, and whether there is a note for the user",
	"lseek":           "the C library looks for the account",
	"socket":          "the server is asked",
	"connect":         "the same",
	"getsockopt":      "whether it is root's",
	"sendto":          "the request",
	"shutdown":        "what was heard of it is all",
	"mmap":            "memory",
	"munmap":          "memory",
	brk:               "memory",
}

// brk cannot fail with an error: the C library takes that for an address.
const brk = "brk"

var (
	traced = regexp.MustCompile(`^(\d+) +\[ *(\d+)\] ([a-z_0-9]+)\(`)
	window = regexp.MustCompile(`write\(\d+, "(start|open|close): 0\\n"`)
)

// callsOf are those of a login and logout, in the application and in all that it starts.
func callsOf(t *testing.T, u testbed.User) (all []call) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-n", "-o", file, testbed.PamappPath(t), "syslog", "start="+u.Name+":"+u.Name, "open", "close", "settle", "end")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "close: 0") {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]call{}
	application, isInside := "", false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		match := traced.FindStringSubmatch(lines.Text())
		if match == nil {
			continue // a second half, a signal, an end
		}
		if application == "" {
			application = match[1]
		}
		if said := window.FindStringSubmatch(lines.Text()); said != nil && match[1] == application {
			isInside = said[1] != "close"
			continue
		}
		number, _ := strconv.Atoi(match[2])
		if isOwn := match[1] == application; isInside && isOwn || !isOwn {
			seen[number] = call{match[3], number, isOwn || seen[number].own}
		}
	}
	all = slices.SortedFunc(maps.Values(seen), func(a, b call) int { return a.number - b.number })
	if len(all) < 10 {
		t.Fatalf("strace saw only %v", all)
	}
	return all
}

// actions are what a filter does, in pamapp's words.
var actions = []struct{ name, word string }{
	{"EPERM", strconv.Itoa(int(syscall.EPERM))},
	{"ENOSYS", strconv.Itoa(int(syscall.ENOSYS))},
	{"kill", "kill"},
}

// login is what came of a login under a filter.
type login struct {
	whole, inSession bool
	took             time.Duration
	said             string
}

// underFilter logs in and out by a service, after the filter is there. What an application
// does itself is in it, too: a line in the log, and a child.
func underFilter(t *testing.T, service string, u testbed.User, filter string) (l login) {
	t.Helper()
	script := "syslog start=" + service + ":" + u.Name + " " + filter + " clock open clock cgroups close settle fork { } syslog end"
	out, err := exec.Command(testbed.PamappPath(t), strings.Fields(script)...).CombinedOutput()
	l.said = fmt.Sprintf("%v: %q", err, out)
	l.whole = err == nil && strings.Contains(string(out), "open: 0\n") && strings.Contains(string(out), "close: 0\n")
	l.inSession = strings.Contains(string(out), ":/user/"+u.Name+"/")
	if times := regexp.MustCompile(`clock: (\d+)`).FindAllStringSubmatch(string(out), 2); len(times) == 2 {
		begun, _ := strconv.Atoi(times[0][1])
		ended, _ := strconv.Atoi(times[1][1])
		l.took = time.Duration(ended - begun)
	}
	return l
}

// Whatever a filter of the application's does to one of the system calls of a login, with
// a worker or a server: the login goes on and is in time, the log says why there is no
// session, and nothing is left. What kills an application without the module as well, or
// keeps it from writing to the log, is not counted.
func TestFilteredCalls(t *testing.T) {
	if testbed.Musl() {
		t.Skip("needs strace; the same C files are filtered outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc", "strace")
	for i, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			const workers = 6
			var users [workers]testbed.User
			for w := range users {
				name := fmt.Sprintf("cgfilter%d%d", i, w)
				users[w] = testbed.AddUser(t, name, 22300+10*i+w)
				testbed.WriteService(t, name, testbed.SessionLine(t, threeHierarchies+" timeout=1"))
				testbed.WriteService(t, name+"-control")
			}
			if mode == "served" {
				testbed.Serve(t)
			}
			calls := callsOf(t, users[0])
			jobs := make(chan func(testbed.User) tally)
			go func() {
				defer close(jobs)
				for _, c := range calls {
					for _, a := range actions {
						jobs <- func(u testbed.User) tally { return tryFiltered(t, u, c, a.name, a.word) }
					}
				}
			}()
			all := make(chan tally, len(calls)*len(actions))
			var running sync.WaitGroup
			for _, u := range users {
				running.Go(func() {
					for job := range jobs {
						all <- job(u)
					}
				})
			}
			running.Wait()
			for _, u := range users {
				leaveNothing(t, u, "all calls")
			}
			close(all)
			var sum tally
			for one := range all {
				sum.add(one)
			}
			t.Logf("%d system calls, %d of them of the application's: %d logins, %d with a session, %d without; %d that no application survives, %d that kill for what the module needs",
				len(calls), own(calls), sum.logins, sum.sessions, sum.logins-sum.sessions-sum.excused-sum.killed, sum.excused, sum.killed)
		})
	}
}

func own(calls []call) (n int) {
	for _, c := range calls {
		if c.own {
			n++
		}
	}
	return n
}

// tally counts logins.
type tally struct{ logins, sessions, excused, killed int }

func (t *tally) add(o tally) {
	t.logins, t.sessions, t.excused, t.killed = t.logins+o.logins, t.sessions+o.sessions, t.excused+o.excused, t.killed+o.killed
}

// tryFiltered logs in with one call filtered.
func tryFiltered(t *testing.T, u testbed.User, c call, action, word string) (sum tally) {
	t.Helper()
	what := c.name + " " + action
	filter := fmt.Sprintf("filter=%d:%s", c.number, word)
	log := testbed.LogFromNow(t)
	l := underFilter(t, u.Name, u, filter)
	testbed.LogFromNow(t) // all is read that was logged
	said := ours(log, u.Name)
	for deadline := time.Now().Add(time.Second); len(testbed.Tree(u.Name)) > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	cleanup(t, u) // what a worker hinders that hangs is looked at in the end
	sum.logins = 1
	switch {
	case !l.whole:
		if control := underFilter(t, u.Name+"-control", u, filter); !control.whole {
			sum.excused = 1
			return sum
		}
		if _, is := needed[c.name]; is && c.own && (action == "kill" || c.name == brk) {
			sum.killed = 1
			return sum
		}
		t.Errorf("%s: the login did not go on: %s", what, l.said)
	case l.inSession:
		sum.sessions = 1
	case len(said) == 0:
		log := testbed.LogFromNow(t)
		underFilter(t, u.Name+"-control", u, filter)
		testbed.LogFromNow(t)
		if lines := strings.Join(log.All(), "\n"); strings.Count(lines, "pamapp") > 1 {
			t.Errorf("%s: no session, and nothing in the log: %s", what, l.said)
		}
	}
	if l.took > latest {
		t.Errorf("%s: the open took %v", what, l.took)
	}
	return sum
}

// ours are the module's lines of a service. Others log in at the same time.
func ours(log *testbed.Log, service string) (lines []string) {
	for _, line := range log.All() {
		if strings.Contains(line, "pam_cgdeleg("+service+":session)") {
			lines = append(lines, line)
		}
	}
	return lines
}

// A filter of systemd's @system-service, as old as Linux 5.0, that kills for everything
// else: what the application does for the module is in it, and so the login goes on, also
// where the worker does not.
func TestUsualFilters(t *testing.T) {
	if testbed.Musl() {
		t.Skip("the same C files are filtered outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc", "strace", "systemd-analyze")
	u := testbed.AddUser(t, "cgusual", 22330)
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, threeHierarchies+" timeout=1"))
	allowed := systemService(t)
	for _, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			if mode == "served" {
				testbed.Serve(t)
			}
			for _, c := range callsOf(t, u) {
				if c.own && (!slices.Contains(allowed, c.number) || c.number >= newest) {
					t.Errorf("the module calls %s in the application: @system-service of Linux 5.0 has it not", c.name)
				}
			}
			for name, bound := range map[string]int{"of today": 1 << 16, "of Linux 5.0": newest} {
				var file strings.Builder
				for _, number := range allowed {
					if number < bound {
						fmt.Fprintln(&file, number)
					}
				}
				path := filepath.Join(testbed.TempDir(t), "allowed")
				if err := os.WriteFile(path, []byte(file.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				l := underFilter(t, u.Name, u, "filter=only:"+path)
				t.Logf("@system-service %s: session %v", name, l.inSession)
				if !l.whole || l.took > latest {
					t.Errorf("@system-service %s: the open took %v: %s", name, l.took, l.said)
				}
				if mode == "served" && !l.inSession || bound > newest && !l.inSession {
					t.Errorf("@system-service %s: no session: %s", name, l.said)
				}
				leaveNothing(t, u, name)
			}
		})
	}
}

// systemService returns the numbers of what systemd allows an ordinary service.
func systemService(t *testing.T) (numbers []int) {
	t.Helper()
	sets := map[string][]string{}
	out, err := exec.Command("systemd-analyze", "syscall-filter").Output()
	if err != nil {
		t.Fatal(err)
	}
	set := ""
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "@"):
			set = word
		case word != "" && !strings.HasPrefix(word, "#"):
			sets[set] = append(sets[set], word)
		}
	}
	byName := callNumbers(t)
	var add func(set string)
	add = func(set string) {
		for _, word := range sets[set] {
			if strings.HasPrefix(word, "@") {
				add(word)
			} else if number, is := byName[word]; is {
				numbers = append(numbers, number)
			}
		}
	}
	add("@system-service")
	if len(numbers) < 200 {
		t.Fatalf("@system-service has only %d system calls", len(numbers))
	}
	return numbers
}

// callNumbers are those of the machine's C headers.
func callNumbers(t *testing.T) map[string]int {
	t.Helper()
	cmd := exec.Command("gcc", "-dM", "-E", "-")
	cmd.Stdin = strings.NewReader("#include <sys/syscall.h>\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, match := range regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`).FindAllStringSubmatch(string(out), -1) {
		numbers[match[1]], _ = strconv.Atoi(match[2])
	}
	return numbers
}
