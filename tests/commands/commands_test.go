// Package commands tests what `cgdeleg` shows and does on the real kernel:
// sessions of real logins, with a real terminal, real processes that end.
package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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

	"github.com/creack/pty"

	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

func TestMain(m *testing.M) { os.Exit(testbed.MainAlone(m)) }

// ran is what a command said.
type ran struct {
	out, errOut string
	code        int
}

// cgdeleg runs the built command as root, or as u.
func cgdeleg(t *testing.T, u *testbed.User, args ...string) ran {
	t.Helper()
	cmd := exec.Command(testbed.Built(t, "cgdeleg"), args...)
	if u != nil {
		cmd.Path = forUsers(t)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
	}
	return run(t, cmd)
}

func run(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// want fails the test unless the command ended with this code and said this.
func (r ran) want(t *testing.T, code int, words string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.errOut, words) {
		t.Errorf("exit code %d, want %d with %q; standard error:\n%s%s", r.code, code, words, r.errOut, r.out)
	}
}

// forUsers copies cgdeleg to where ordinary users can run it.
func forUsers(t *testing.T) string {
	t.Helper()
	const path = "/home/cgdeleg"
	data, err := os.ReadFile(testbed.Built(t, "cgdeleg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// process starts one that sleeps, as that user, and returns its PID and how to
// end it.
func process(t *testing.T, uid int) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

// sessionDirs are user/NAME/0 in these hierarchies.
func sessionDirs(t *testing.T, u testbed.User, hierarchies ...string) (dirs []string) {
	t.Helper()
	for _, h := range testbed.Hierarchies() {
		for _, name := range hierarchies {
			if h.Name == testbed.HierarchyNamed(t, name).Name {
				dirs = append(dirs, filepath.Join(h.Point, "user", u.Name, "0"))
			}
		}
	}
	return dirs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A login by ssh: who leads it, by which service, and which is one's own.
func TestStatusOfLogin(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdstatus", 24001)
	testbed.WriteAskingService(t, "sshd", testbed.SessionLine(t, "-c freezer,memory,unified,name=systemd"))
	path := forUsers(t)
	server := sshd.Start(t, sshd.Options{})
	login := server.Login(t, u.Name)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", login.PID))
	if err != nil {
		t.Fatal(err)
	}
	application := fmt.Sprintf("%d %s", login.PID, strings.TrimSpace(string(comm)))
	const columns = " status -n -o user,session,state,leader,service,own -u cgcmdstatus"
	if got, want := strings.Join(strings.Fields(login.Must(t, path+columns)), " "), u.Name+" 0 alive "+application+" *"; got != want {
		t.Errorf("from inside: %s, want %s", got, want)
	}
	outside := cgdeleg(t, nil, strings.Fields(columns)...)
	if got, want := strings.Join(strings.Fields(outside.out), " "), u.Name+" 0 alive "+application+" -"; got != want {
		t.Errorf("from outside: %s, want %s", got, want)
	}

	var all struct {
		Schema   int
		Sessions []struct {
			Leader      int
			AgeSeconds  *int64 `json:"age_seconds"`
			MemoryBytes int64  `json:"memory_bytes"`
			Controllers []string
			Cgroups     []struct{ Path string }
			Children    []struct {
				Name      string
				Processes int
			}
		}
	}
	text := login.Must(t, path+" status --json -u "+u.Name)
	if err := json.Unmarshal([]byte(text), &all); err != nil || all.Schema != 2 || len(all.Sessions) != 1 {
		t.Fatalf("%v in\n%s", err, text)
	}
	s := all.Sessions[0]
	if s.Leader != login.PID || s.AgeSeconds == nil || s.MemoryBytes <= 0 || !slices.Contains(s.Controllers, "memory") {
		t.Errorf("got %+v", s)
	}
	var paths []string
	for _, c := range s.Cgroups {
		paths = append(paths, c.Path)
	}
	if want := sessionDirs(t, u, "freezer", "memory", "unified", "name=systemd"); !slices.Equal(paths, want) {
		t.Errorf("cgroups %q, want %q", paths, want)
	}
	if len(s.Children) != 1 || s.Children[0].Name != "init.scope" || s.Children[0].Processes < 2 {
		t.Errorf("children %+v", s.Children)
	}
}

// An older process that is moved in is the leader: nothing records the
// application. The age is the leader's.
func TestStatusOfDead(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmddead", 24002)
	pid, end := process(t, 0)
	cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", "freezer").want(t, 0, "")
	row := func() string {
		return strings.Join(strings.Fields(cgdeleg(t, nil, "ls", "-n", "-o", "state,leader,service,processes", "-u", u.Name).out), " ")
	}
	if got, want := row(), fmt.Sprintf("alive %d sleep 1", pid); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	end()
	if got, want := row(), "dead - - 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// the kernel keeps the time of the chown
	if got := cgdeleg(t, nil, "ls", "-n", "-o", "age", "-u", u.Name).out; !strings.HasSuffix(got, "s\n") {
		t.Errorf("age %q", got)
	}
	cgdeleg(t, nil, "cleanup", "-u", u.Name).want(t, 0, "")
}

// On a terminal there is a tree, with -l a list; with a pipe never a tree nor
// colour.
func TestStatusOnTerminal(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdtree", 24003)
	pid, _ := process(t, 0)
	t.Cleanup(func() { cgdeleg(t, nil, "close", "-u", u.Name, "-p", fmt.Sprint(pid)) })
	cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", "freezer").want(t, 0, "")
	if err := os.Mkdir(sessionDirs(t, u, "freezer")[0]+"/lxc.payload.c1", 0o755); err != nil {
		t.Fatal(err)
	}
	onTerminal := func(env string, args ...string) string {
		cmd := exec.Command(testbed.Built(t, "cgdeleg"), append(args, "-u", u.Name)...)
		cmd.Env = []string{"TERM=xterm", env}
		terminal, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := io.ReadAll(terminal) // EIO at the end
		_ = terminal.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.ReplaceAll(string(out), "\r\n", "\n")
	}
	if got := onTerminal("LC_ALL=C.UTF-8", "status"); !strings.HasPrefix(got, "\x1b[1mcgcmdtree\x1b[0m\n└─0: sleep "+fmt.Sprint(pid)) ||
		!strings.Contains(got, "\n  └─\x1b[2mlxc.payload.c1: 0 processes\x1b[0m\n") {
		t.Errorf("tree %q", got)
	}
	if got := onTerminal("LC_ALL=C", "ls", "--color", "never"); !strings.HasPrefix(got, "cgcmdtree\n`-0: ") {
		t.Errorf("tree %q", got)
	}
	if got := onTerminal("LC_ALL=C", "ls", "-l"); !strings.HasPrefix(got, "USER ") {
		t.Errorf("list %q", got)
	}
	if got := cgdeleg(t, nil, "ls", "-u", u.Name).out; !strings.HasPrefix(got, "USER ") || strings.Contains(got, "\x1b") {
		t.Errorf("on a pipe %q", got)
	}
}

// watcher is a running cgdeleg cleanup --watch.
type watcher struct {
	cmd    *exec.Cmd
	output string
}

func startWatch(t *testing.T, args ...string) *watcher {
	t.Helper()
	w := &watcher{output: filepath.Join(t.TempDir(), "output")}
	out, err := os.Create(w.output)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w.cmd = exec.Command(testbed.Built(t, "cgdeleg"), append([]string{"cleanup", "--watch"}, args...)...)
	w.cmd.Stdout, w.cmd.Stderr = out, out
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill(); _ = w.cmd.Wait() })
	return w
}

func (w *watcher) said() string {
	data, _ := os.ReadFile(w.output)
	return string(data)
}

// watching waits until the watch has an inotify mark on what is there now.
func (w *watcher) watching(t *testing.T, path string) {
	t.Helper()
	testbed.Eventually(t, "a watch of "+path, func() bool { return marked(w.cmd.Process.Pid, path) })
}

// marked tells whether a process has an inotify(7) mark on a file.
func marked(pid int, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	want := fmt.Sprintf(" ino:%x ", info.Sys().(*syscall.Stat_t).Ino)
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	return slices.ContainsFunc(files, func(file string) bool {
		data, _ := os.ReadFile(file)
		return strings.Contains(string(data), "inotify wd:") && strings.Contains(string(data), want)
	})
}

// A watch has two of root's capabilities, DAC_OVERRIDE and SYS_PTRACE, and no more than that
// (docs/security.md).
func TestCleanupWatchPrivileges(t *testing.T) {
	w := startWatch(t)
	w.watching(t, testbed.Hierarchies()[0].Point)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"CapPrm:\t0000000000080002", "CapEff:\t0000000000080002", "CapBnd:\t0000000000080002", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), line+"\n") {
			t.Errorf("status has no line %q:\n%s", line, status)
		}
	}
}

// A session goes when its last process ends, whether it was there before the
// watch or came later; and the watch ends when it is told to.
func TestCleanupWatch(t *testing.T) {
	testbed.Need(t)
	for name, signal := range map[string]syscall.Signal{"freezer": syscall.SIGTERM, "unified": syscall.SIGINT, "freezer,unified": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgcmdwatch", 24004)
			hierarchies := strings.Split(name, ",")
			open := func() (end func(), dir string) {
				pid, end := process(t, 0)
				r := cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", name)
				r.want(t, 0, "")
				dir, _, _ = strings.Cut(r.out, "\n")
				return end, dir
			}
			endFirst, first := open()
			w := startWatch(t, "-u", u.Name)
			w.watching(t, filepath.Dir(first))
			endSecond, second := open() // in another directory of the user's
			if first == second {
				t.Fatalf("both in %s", first)
			}
			endSecond()
			testbed.Eventually(t, "the second session is removed", func() bool { return !exists(second) })
			if !exists(first) {
				t.Error("the session with a process was removed too")
			}
			endFirst()
			testbed.Eventually(t, "the first session is removed", func() bool { return !exists(first) })
			for _, dir := range sessionDirs(t, u, hierarchies...) {
				testbed.Eventually(t, "user/NAME is removed", func() bool { return !exists(filepath.Dir(dir)) })
			}
			testbed.Eventually(t, "two lines", func() bool { return strings.Count(w.said(), "\n") == 2 })
			if got, want := w.said(), fmt.Sprintf("removed session 1 of %s\nremoved session 0 of %s\n", u.Name, u.Name); got != want {
				t.Errorf("it said\n%swant\n%s", got, want)
			}
			if err := w.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := w.cmd.Wait(); err != nil {
				t.Errorf("%v: %v\n%s", signal, err, w.said())
			}
		})
	}
}

// A user whose lock is not to be had, because somebody holds it, does not keep the sessions of
// those who come later in the list.
func TestCleanupWatchGoesOn(t *testing.T) {
	testbed.Need(t)
	h := testbed.HierarchyNamed(t, "freezer")
	first, second := testbed.AddUser(t, "cgcmdwatch1", 24012), testbed.AddUser(t, "cgcmdwatch2", 24013)
	held, err := lock.Default.Acquire(first.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Release)
	for _, u := range []testbed.User{first, second} {
		if err := os.MkdirAll(filepath.Join(h.Point, "user", u.Name, "0"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := startWatch(t)
	testbed.Eventually(t, "the second user's session is removed", func() bool { return len(testbed.Tree(second.Name)) == 0 })
	if len(testbed.Tree(first.Name)) == 0 {
		t.Error("the first user's is removed without the lock")
	}
	held.Release()
	testbed.Eventually(t, "the first user's session is removed", func() bool { return len(testbed.Tree(first.Name)) == 0 })
	if want := "lock "; !strings.Contains(w.said(), want) {
		t.Errorf("it said %q, want a line with %q", w.said(), want)
	}
}

// A user without any session before is seen, and --json says it in JSON.
func TestCleanupWatchNewUser(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdwatchnew", 24005)
	w := startWatch(t, "--json", "-u", u.Name)
	pid, end := process(t, 0)
	r := cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", "unified")
	r.want(t, 0, "")
	w.watching(t, strings.TrimSpace(r.out)+"/cgroup.events")
	end()
	testbed.Eventually(t, "the session is removed", func() bool { return w.said() != "" })
	if got, want := w.said(), `{"schema":2,"user":"cgcmdwatchnew","session":0,"result":"removed","reason":null}`+"\n"; got != want {
		t.Errorf("it said %swant %s", got, want)
	}
}

// While nothing dies it neither uses the processor nor takes the lock.
func TestCleanupWatchIsIdle(t *testing.T) {
	testbed.Need(t)
	for _, name := range []string{"freezer", "unified"} {
		t.Run(name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgcmdwatchidle", 24006)
			pid, _ := process(t, 0)
			defer func() { cgdeleg(t, nil, "close", "-u", u.Name, "-p", fmt.Sprint(pid)) }()
			r := cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", name)
			r.want(t, 0, "")
			defer holdLock(t, u.Name)()
			w := startWatch(t, "-u", u.Name)
			w.watching(t, filepath.Dir(strings.TrimSpace(r.out)))
			before := ticks(t, w.cmd.Process.Pid)
			time.Sleep(3 * time.Second) // longer than it waits for the lock
			if used := ticks(t, w.cmd.Process.Pid) - before; used > 30 {
				t.Errorf("%d clock ticks of 300", used)
			}
			if w.said() != "" {
				t.Errorf("it said %s", w.said())
			}
		})
	}
}

// holdLock takes the lock that logins of the user take, and returns how to let go
// of it.
func holdLock(t *testing.T, user string) (release func()) {
	t.Helper()
	f, err := os.OpenFile("/run/cgdeleg/users/"+user, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// ticks returns the processor time that a process has used (proc_pid_stat(5)).
func ticks(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

func TestOpenAndClose(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdopen", 24007)
	pid, end := process(t, 0)
	args := []string{"--user", u.Name, "--pid", fmt.Sprint(pid)}
	before := testbed.Placement(t, pid)

	opened := cgdeleg(t, nil, append([]string{"open", "-c", "freezer,nosuch,unified"}, args...)...)
	// the words of the module's log
	opened.want(t, 0, `cgdeleg: no mounted hierarchy has "nosuch"; ignored`)
	dirs := sessionDirs(t, u, "freezer", "unified")
	if want := strings.Join(dirs, "\n") + "\n"; opened.out != want {
		t.Errorf("printed\n%swant\n%s", opened.out, want)
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != u.UID {
			t.Errorf("%s is not the user's: %v", dir, err)
		}
	}
	at := testbed.Placement(t, pid)
	if at["freezer"] != "/user/cgcmdopen/0" || at["unified"] != "/user/cgcmdopen/0/init.scope" || at["memory"] != before["memory"] {
		t.Errorf("process is in %v", at)
	}

	again := cgdeleg(t, nil, append([]string{"open"}, args...)...)
	again.want(t, 0, fmt.Sprintf("process %d is already in session 0 of cgcmdopen; nothing changed", pid))
	if again.out != opened.out || !maps.Equal(testbed.Placement(t, pid), at) {
		t.Errorf("second open printed\n%sand the process is in %v", again.out, testbed.Placement(t, pid))
	}

	cgdeleg(t, nil, append([]string{"close"}, args...)...).want(t, 0, "session 0 closed and removed")
	testbed.WantNothingLeft(t, u.Name)
	if got := testbed.Placement(t, pid)["freezer"]; got != "/" {
		t.Errorf("process is in %s, want the base", got)
	}
	cgdeleg(t, nil, append([]string{"close"}, args...)...).want(t, 1, fmt.Sprintf("process %d is in no session of cgcmdopen", pid))

	end()
	for _, verb := range []string{"open", "close"} {
		cgdeleg(t, nil, append([]string{verb}, args...)...).want(t, 1, fmt.Sprintf("there is no process %d", pid))
	}
}

// A session in which another process is stays, and that is no failure.
func TestCloseOfSessionInUse(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdbusy", 24008)
	pid, _ := process(t, u.UID)
	other, end := process(t, u.UID)
	cgdeleg(t, nil, "open", "-u", u.Name, "-p", fmt.Sprint(pid), "-c", "freezer").want(t, 0, "")
	dir := sessionDirs(t, u, "freezer")[0]
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(other)), 0); err != nil {
		t.Fatal(err)
	}
	cgdeleg(t, nil, "close", "-u", u.Name, "-p", fmt.Sprint(pid)).want(t, 0, "session 0 closed, left for a later cleanup: ")
	end()
	cgdeleg(t, nil, "cleanup", "-u", u.Name).want(t, 0, "")
}

// Without --pid it is the shell that calls. What it starts is in the session.
func TestOpenForTheCaller(t *testing.T) {
	testbed.Need(t)
	testbed.AddUser(t, "cgcmdshell", 24009)
	cgdeleg := testbed.Built(t, "cgdeleg")
	r := run(t, exec.Command("sh", "-ec", cgdeleg+" open -u cgcmdshell -c freezer\ncat /proc/self/cgroup\n"+
		cgdeleg+" status -n -o session,own,leader,service -u cgcmdshell; echo $$\n"+cgdeleg+" close -u cgcmdshell\n:")) // busybox's shell becomes the last command
	r.want(t, 0, "session 0 closed and removed")
	if got := testbed.ParsePlacement(r.out)["freezer"]; got != "/user/cgcmdshell/0" {
		t.Errorf("what the shell starts is in %s:\n%s", got, r.out)
	}
	words := strings.Fields(r.out)
	last := words[len(words)-5:]
	if want := []string{"0", "*", last[4], "sh", last[4]}; !slices.Equal(last, want) {
		t.Errorf("status says %q, want %q", last, want)
	}
}

// Without --pid, init is not taken for the process that is meant, nor what is
// outside of the PID namespace.
func TestOpenForNobody(t *testing.T) {
	testbed.Need(t, "unshare")
	testbed.AddUser(t, "cgcmdinit", 24019)
	cgdeleg := testbed.Built(t, "cgdeleg")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"init":         {[]string{"sh", "-c", cgdeleg + " open -u cgcmdinit -c freezer || exit $?"}, "init runs cgdeleg, and is not moved"},
		"lxc-attach's": {[]string{cgdeleg, "open", "-u", "cgcmdinit", "-c", "freezer"}, "outside of this PID namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			unshared := append([]string{"--pid", "--fork", "--mount-proc", "--kill-child"}, c.args...)
			run(t, exec.Command("unshare", unshared...)).want(t, 2, c.want)
		})
	}
	testbed.WantNothingLeft(t, "cgcmdinit")
}

func TestRefused(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdno", 24010)
	other := testbed.AddUser(t, "cgcmdother", 24011)
	pid, _ := process(t, other.UID)
	before := testbed.Placement(t, pid)
	for _, verb := range []string{"open", "close"} {
		cgdeleg(t, &u, verb, "--user", u.Name).want(t, 4, "needs root: run it with sudo")
		cgdeleg(t, nil, verb, "--user", u.Name, "--pid", fmt.Sprint(pid)).want(t, 1,
			fmt.Sprintf("process %d belongs to user ID %d, neither to cgcmdno (%d) nor to root", pid, other.UID, u.UID))
		cgdeleg(t, nil, verb, "--user", "nosuchuser", "--pid", fmt.Sprint(pid)).want(t, 2, `user "nosuchuser" is not known to the system`)
		cgdeleg(t, nil, verb, "--user", u.Name, "--pid", "1").want(t, 2, "not a process to move")
	}
	cgdeleg(t, &u, "cleanup", "--watch").want(t, 4, "needs root: run it with sudo")
	if now := testbed.Placement(t, pid); !maps.Equal(now, before) {
		t.Errorf("process is in %v, was in %v", now, before)
	}
}
