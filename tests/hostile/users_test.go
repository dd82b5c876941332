package hostile

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// userProgram builds the user who is against everybody (user/).
func userProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testbed.TempDir(t), "user")
	cmd := exec.Command("go", "build", "-o", path, "./user")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// attacksHere are those on v1 and on v2: this machine may have both.
func attacksHere(t *testing.T, program string) (all []string) {
	t.Helper()
	versions := map[string]bool{}
	for _, h := range testbed.Hierarchies() {
		versions[map[bool]string{true: "v2", false: "v1"}[h.Name == "unified"]] = true
	}
	for version := range versions {
		out, err := exec.Command(program, "-list", version).Output()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Fields(string(out))...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// visit is a login that nobody interferes with from here.
type visit struct {
	answers testbed.Answers
	took    time.Duration // all of it
	err     error
	late    string // what it was at when it had taken too long
}

func (l visit) one(word string) string {
	if all := l.answers.All(word); len(all) > 0 {
		return all[0]
	}
	return ""
}

// opened is how long the open took.
func (l visit) opened() time.Duration {
	clock := l.answers.All("clock")
	if len(clock) < 2 {
		return 0
	}
	begun, _ := strconv.Atoi(clock[0])
	ended, _ := strconv.Atoi(clock[1])
	return time.Duration(ended - begun)
}

func logIn(application string, words ...string) (l visit) {
	var out bytes.Buffer
	cmd := exec.Command(application, words...)
	cmd.Stdout = &out
	begun := time.Now()
	if l.err = cmd.Start(); l.err != nil {
		return l
	}
	late := time.AfterFunc(2*timeout+time.Second, func() {
		l.late = describe(cmd.Process.Pid)
		_ = cmd.Process.Kill()
	})
	l.err = cmd.Wait()
	late.Stop()
	l.answers, l.took = strings.Split(strings.TrimSpace(out.String()), "\n"), time.Since(begun)
	return l
}

// describe tells what a process and its children are at, for messages.
func describe(pid int) string {
	var out strings.Builder
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	for _, of := range append([]string{strconv.Itoa(pid)}, strings.Fields(string(children))...) {
		for _, file := range []string{"cmdline", "status", "stack", "cgroup"} {
			data, _ := os.ReadFile("/proc/" + of + "/" + file)
			fmt.Fprintf(&out, "%s %s: %s\n", of, file, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return out.String()
}

// field is two users, of whom one is against the other.
type field struct {
	t                *testing.T
	attacker, victim testbed.User
	application      string
	program          string
}

// asAttacker runs a command in one of the attacker's sessions.
func (f *field) asAttacker(session string, args ...string) *exec.Cmd {
	id := strconv.Itoa(f.attacker.UID)
	return f.inSession(session, append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups"}, args...)...)
}

// inSession runs a command of root's there, as far as its cgroups take one, as su and sudo are
// begun there.
func (f *field) inSession(session string, args ...string) *exec.Cmd {
	var enter strings.Builder
	for _, h := range testbed.Hierarchies() {
		dir := filepath.Join(h.Point, "user", f.attacker.Name, session)
		if h.Name == "unified" {
			dir += "/init.scope"
		}
		fmt.Fprintf(&enter, "echo $$ 2>/dev/null >%s/cgroup.procs; ", dir)
	}
	return exec.Command("sh", append([]string{"-c", enter.String() + `exec "$@"`, "sh"}, args...)...)
}

// attack is the user's program at work.
type attack struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func (f *field) begin(name string) *attack {
	a := &attack{t: f.t, cmd: f.asAttacker("0", f.program, name)}
	a.cmd.Stderr = os.Stderr
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := a.cmd.StdoutPipe()
	if err == nil {
		a.in, err = a.cmd.StdinPipe()
	}
	if err == nil {
		err = a.cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	a.out = bufio.NewScanner(out)
	return a
}

func (a *attack) tell(word, answer string) {
	a.t.Helper()
	_, err := fmt.Fprintln(a.in, word)
	for err == nil && a.out.Scan() {
		if a.out.Text() == answer {
			return
		}
	}
	a.t.Fatalf("the attack has ended before %q: %v", answer, err)
}

// finish returns what it could do.
func (a *attack) finish() (account []string) {
	a.t.Helper()
	a.tell("end", "ended")
	for a.out.Scan() {
		account = append(account, a.out.Text())
	}
	if err := a.cmd.Wait(); err != nil {
		a.t.Errorf("the attack succeeded: %v\n%s", err, strings.Join(account, "\n"))
	}
	return account
}

// beside runs something again and again, with a pause, until the end.
func beside(pause time.Duration, run func()) (end func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(pause):
				run()
			}
		}
	})
	return func() { close(done); running.Wait() }
}

const (
	victimsLogins = 8 // in a block
	blocks        = 3 // of quiet, and as many of attack
)

// surplus is what a victim's login may be late by, beside twice its quiet time.
const surplus = 30 * time.Millisecond

// A user who has a session does in it whatever it wants, for as long as it wants: it costs
// nobody else a login, and not much time; it gains nothing; its own logins and logouts
// come to their ends; and one cleanup removes all that is left.
func TestUsersAgainstOthers(t *testing.T) {
	testbed.Need(t, "gcc", "go", "setpriv")
	program := userProgram(t)
	names := attacksHere(t, program)
	for _, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			f := &field{t, testbed.AddUser(t, "cgattacker", 22480), testbed.AddUser(t, "cgvictim", 22481), testbed.PamappPath(t), program}
			testbed.WriteService(t, "cghostile", testbed.SessionLine(t, ""))
			testbed.WriteService(t, "cghostilesu", testbed.SessionLine(t, ""))
			testbed.WriteLimits(t, f.attacker.Name+" user pids.max=3000 memory.max=3G", f.victim.Name+" user pids.max=3000 memory.max=3G")
			var server *testbed.Server
			if mode == "served" {
				server = testbed.Serve(t)
			}
			for _, name := range names {
				t.Run(name, func(t *testing.T) {
					g := *f
					g.t = t
					g.trial(name)
				})
			}
			if server != nil && strings.Contains(server.Said(), "panic") {
				t.Error(server.Said())
			}
		})
	}
}

// trial has one attack, beside logins and all that an administrator has running.
func (f *field) trial(name string) {
	t := f.t
	log := testbed.LogFromNow(t)
	start := "start=cghostile:" + f.attacker.Name
	// Its own logins may be killed. And v1's kernel leaves who waits for memory waiting where
	// the cgroup has gone meanwhile.
	harmsItself := slices.Contains([]string{"kill", "starve", "stuck"}, name)
	var sessions []*exec.Cmd
	var ends []io.Closer
	for i := range 2 {
		// the second, like su, in part the attacker's
		words := map[int][]string{0: {"syslog", start, "open", "pause", "close", "settle", "end"}, 1: {"syslog", start, "caller=" + strconv.Itoa(f.attacker.UID), "open", "pause", "close", "settle", "end"}}[i]
		cmd, in := f.held(words)
		sessions, ends = append(sessions, cmd), append(ends, in)
	}
	watch := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "--watch")
	var watched bytes.Buffer
	watch.Stdout, watch.Stderr = &watched, &watched
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	a := f.begin(name)

	var mutex sync.Mutex
	var own []visit // the attacker's
	others := []func(){
		beside(20*time.Millisecond, func() {
			for _, how := range [][]string{{start}, {start, "caller=" + strconv.Itoa(f.attacker.UID)}} {
				l := logIn(f.application, slices.Concat([]string{"syslog"}, how, []string{"clock", "open", "clock", "close", "end"})...)
				mutex.Lock()
				own = append(own, l)
				mutex.Unlock()
			}
		}),
		// su to the victim, which the attacker can stop, and whose worker has the victim's lock
		beside(20*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*timeout+time.Second)
			defer cancel()
			cmd := f.inSession("1", f.application, "syslog", "start=cghostilesu:"+f.victim.Name, "caller="+strconv.Itoa(f.attacker.UID), "clock", "open", "clock", "close", "end")
			stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
			defer stop()
			out, err := cmd.Output()
			if ctx.Err() != nil && !harmsItself {
				t.Errorf("su: %v: %s", err, out)
			}
		}),
		beside(200*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, testbed.Built(t, "cgdeleg"), "limits", "apply").CombinedOutput()
			if ctx.Err() != nil {
				t.Errorf("cgdeleg limits apply: %v: %s", err, out)
			}
		}),
		beside(300*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := f.asAttacker("0", testbed.Built(t, "cgdeleg"), "run", "--tasks", "50", "--", "true")
			stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
			defer stop()
			out, err := cmd.CombinedOutput()
			// who allows no cgroups in own ones has none for the command, and signals may kill it
			mayFail := name == "bounds" && strings.HasPrefix(string(out), "cgdeleg: ") || name == "signals"
			if err != nil && ctx.Err() == nil && !mayFail {
				t.Errorf("cgdeleg run: %v: %s", err, out)
			}
			if ctx.Err() != nil {
				t.Error("cgdeleg run does not end")
			}
		}),
	}
	quiet, attacked := f.measure(a)
	isLate := func() bool { return at(attacked, 0.9) > 2*at(quiet, 0.9)+surplus }
	for tries := 0; isLate() && tries < 2; tries++ { // the machine may have other work
		t.Logf("p90 was %v, and %v when attacked; once more", at(quiet, 0.9), at(attacked, 0.9))
		quiet, attacked = f.measure(a)
	}
	if isLate() {
		t.Errorf("victim's login p90: %v quiet, %v when attacked", at(quiet, 0.9), at(attacked, 0.9))
	}
	for _, end := range others {
		end()
	}
	account := a.finish()
	var longest time.Duration
	failed := 0
	for _, l := range own {
		if l.one("open") != "0" || l.err != nil {
			failed++
			t.Logf("%q %v after %v\n%s", l.answers, l.err, l.took, l.late)
		}
		longest = max(longest, l.opened())
	}
	t.Logf("victim: median %v, p90 %v; attacked: median %v, p90 %v; attacker: %d logins, %d failed, longest open %v\n%s",
		at(quiet, 0.5), at(quiet, 0.9), at(attacked, 0.5), at(attacked, 0.9), len(own), failed, longest, strings.Join(account, "\n"))
	if name != "reach" && name != "robbed" && !strings.Contains(strings.Join(account, "\n"), " worked ") {
		t.Error("the attack could do nothing")
	}
	if failed > 0 && !harmsItself {
		t.Errorf("%d of the attacker's own logins were lost", failed)
	}
	if longest > 2*timeout+time.Second {
		t.Errorf("an own login took %v", longest)
	}
	for i, cmd := range sessions {
		_ = ends[i].Close()
		late := time.AfterFunc(2*timeout+time.Second, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil && !harmsItself {
			t.Errorf("an own session: %v", err)
		}
		late.Stop()
	}
	_ = watch.Process.Signal(syscall.SIGTERM)
	if err := watch.Wait(); err != nil {
		t.Errorf("cleanup --watch: %v\n%s", err, watched.String())
	}
	for _, line := range log.All() {
		if strings.Contains(line, "(cghostile:session)") && strings.Contains(line, `"`+f.victim.Name+`"`) {
			t.Errorf("of the victim the log says: %s", line)
		}
	}
	if left := f.outside(); len(left) > 0 {
		t.Errorf("the attacker owns %q", left)
	}
	leaveNothing(t, f.attacker, name)
	leaveNothing(t, f.victim, name)
	if t.Failed() {
		t.Logf("log:\n%s", strings.Join(log.Ours(), "\n"))
	}
}

// timeout is the module's default.
const timeout = 5 * time.Second

// held starts an application that keeps its session open until its input ends.
func (f *field) held(words []string) (*exec.Cmd, io.Closer) {
	f.t.Helper()
	cmd := exec.Command(f.application, words...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if answer, ok := strings.CutPrefix(lines.Text(), "open: "); ok {
			if answer != "0" {
				f.t.Fatalf("open: %s", answer)
			}
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd, in
		}
	}
	f.t.Fatal("an application ended before its open")
	return nil, nil
}

// measure has the victim log in, by turns undisturbed and while the attack goes on, and
// returns how long the opens took, sorted.
func (f *field) measure(a *attack) (quiet, attacked []time.Duration) {
	f.t.Helper()
	for range blocks {
		for range victimsLogins {
			quiet = append(quiet, f.victimLogsIn())
		}
		a.tell("go", "going")
		for range victimsLogins {
			attacked = append(attacked, f.victimLogsIn())
		}
		a.tell("rest", "resting")
	}
	slices.Sort(quiet)
	slices.Sort(attacked)
	return quiet, attacked
}

func (f *field) victimLogsIn() time.Duration {
	f.t.Helper()
	l := logIn(f.application, "syslog", "start=cghostile:"+f.victim.Name, "clock", "open", "clock", "cgroups", "close", "settle", "end")
	if l.err != nil || l.one("open") != "0" || l.one("close") != "0" {
		f.t.Errorf("a victim's login: %v\n%s", l.err, strings.Join(l.answers, "\n"))
	}
	for name, path := range testbed.ParsePlacement(l.one("cgroups")) {
		if !strings.HasPrefix(path, "/user/"+f.victim.Name+"/") {
			f.t.Errorf("%s: the victim is in %s", name, path)
		}
	}
	return l.opened()
}

// at returns what a share does not exceed.
func at(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Round(100 * time.Microsecond)
}

// outside returns what the attacker owns that is not in its own directory.
func (f *field) outside() (all []string) {
	for _, h := range testbed.Hierarchies() {
		own := filepath.Join(h.Point, "user", f.attacker.Name)
		_ = filepath.WalkDir(h.Point, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if path == own {
				return fs.SkipDir
			}
			if info, err := d.Info(); err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == f.attacker.UID {
				all = append(all, path)
			}
			return nil
		})
	}
	return all
}
