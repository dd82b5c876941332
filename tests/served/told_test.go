package served

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// atTerminal is a user's shell in a session, at a terminal of the user's.
type atTerminal struct {
	t    *testing.T
	user testbed.User
	app  *testbed.Application

	mutex sync.Mutex
	text  strings.Builder
}

// sitDown opens a session, and puts a shell that waits into it.
func sitDown(t *testing.T, u testbed.User) *atTerminal {
	t.Helper()
	a := &atTerminal{t: t, user: u}
	a.app = testbed.LaunchApplication(t, "start="+u.Name+":"+u.Name+" open pause close settle end")
	a.app.Await("open")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if err := os.Chown(slave.Name(), u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	cmd := a.command("sleep 600")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(a, master) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = master.Close()
	})
	return a
}

func (a *atTerminal) Write(data []byte) (int, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.text.Write(data)
}

// seen is what the terminal shows, on one line.
func (a *atTerminal) seen() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return strings.Join(strings.Fields(a.text.String()), " ")
}

// dir is a cgroup of the user's in the hierarchy of a controller.
func (a *atTerminal) dir(controller, below string) string {
	return filepath.Join(testbed.HierarchyNamed(a.t, controller).Point, "user", a.user.Name, below)
}

func (a *atTerminal) set(controller, below, file, value string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir(controller, below), file), []byte(value), 0); err != nil {
		a.t.Fatal(err)
	}
}

// command is a shell command as the user.
func (a *atTerminal) command(script string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(a.user.UID), Gid: uint32(a.user.GID)}, Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}

// run runs a command in the session, as the user, to its end.
func (a *atTerminal) run(controller, script string) error {
	a.t.Helper()
	cmd := a.command("read go; " + script)
	in, err := cmd.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.set(controller, "0", "tasks", fmt.Sprint(cmd.Process.Pid))
	if _, err := io.WriteString(in, "go\n"); err != nil {
		a.t.Fatal(err)
	}
	timer := time.AfterFunc(testbed.Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}

// hog is killed by the kernel.
func (a *atTerminal) hog() {
	a.t.Helper()
	if err := a.run("memory", "exec tail /dev/zero"); err == nil || !strings.Contains(err.Error(), "killed") {
		a.t.Fatalf("the hog ended with %v", err)
	}
}

// leave ends the session.
func (a *atTerminal) leave() {
	a.app.Resume()
	a.app.Finish()
}

// next is the next login, with words before the open; it returns what it was told.
func next(t *testing.T, u testbed.User, words ...string) []string {
	t.Helper()
	a := testbed.RunApplication(t, "listen start="+u.Name+":"+u.Name+" "+strings.Join(append(words, "close", "settle", "end"), " "))
	a.Want(t, "open", "0")
	return a.All("said")
}

const tty = "item=TTY:/dev/tty1"

func note(u testbed.User) string { return fmt.Sprintf("/run/cgdeleg/told/%d", u.UID) }

func wantNote(t *testing.T, u testbed.User, wanted bool) {
	t.Helper()
	if _, err := os.Stat(note(u)); (err == nil) != wanted {
		t.Errorf("there is a note: %v, want %v", err, wanted)
	}
}

func eventually(t *testing.T, what string, text func() string, expression string) {
	t.Helper()
	wanted := regexp.MustCompile(expression)
	deadline := time.Now().Add(testbed.Patience)
	for !wanted.MatchString(text()) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is\n%s\nwant %s", what, text(), expression)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A user whose process is killed at a limit, or whose fork is refused, is told why: in the
// log, at the terminal, and once at the next login.
func TestTold(t *testing.T) {
	u := login(t, "cgtold", 21980, "")
	silent := login(t, "cgtoldq", 21981, "")
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer,memory,pids"))
	testbed.WriteService(t, silent.Name, testbed.SessionLine(t, threeHierarchies+" oom=quiet"))
	s := testbed.Serve(t)
	a := sitDown(t, u)
	a.set("memory", "0", "memory.limit_in_bytes", "20M")
	a.hog()
	killed := `tail \(process \d+, \d+\.\dM\) was killed in session 0: memory\.limit_in_bytes of /user/cgtold/0 is 20\.0M, and at most 20\.0M was in use`
	eventually(t, "the log", s.Said, `(?m)^cgtold: `+killed+`$`)
	eventually(t, "the terminal", a.seen, `^cgdeleg: `+killed+`$`)
	a.hog()
	a.set("pids", "", "pids.max", "1")
	_ = a.run("pids", "sleep 0 & sleep 0")
	refused := `a new process was refused in session 0: pids\.max of /user/cgtold is 1, and at most \d+ processes and threads were in use`
	eventually(t, "the log", s.Said, `(?m)^cgtold: `+refused+`$`)
	eventually(t, "the log", s.Said, `(?m)^cgtold: and 1 more process was killed in session 0: memory\.limit_in_bytes of /user/cgtold/0 is 20\.0M, and at most 20\.0M was in use$`)
	eventually(t, "the terminal", a.seen, refused+`.*and 1 more`)
	a.set("pids", "", "pids.max", "max")
	a.leave()

	if said := next(t, u, "item=RUSER:root", "open"); len(said) > 0 {
		t.Errorf("somebody else's su was told %q", said)
	}
	if said := next(t, u, "opensilent"); len(said) > 0 {
		t.Errorf("a silent login was told %q", said)
	}
	mute := testbed.RunApplication(t, "start="+u.Name+":"+u.Name+" open close settle end")
	mute.Want(t, "open", "0")
	wantNote(t, u, true)
	said := next(t, u, tty, "open")
	day := `\d+ [A-Z][a-z]{2} \d\d:\d\d: `
	if len(said) != 1 || !regexp.MustCompile(`^`+day+killed+`\|`+day+`.*\|`+day+`.*$`).MatchString(said[0]) {
		t.Errorf("the next login is told %q", said)
	}
	if said := next(t, u, tty, "open"); len(said) > 0 {
		t.Errorf("the login after that is told %q", said)
	}
	wantNote(t, u, false)

	if err := os.WriteFile(note(silent), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := next(t, silent, tty, "open"); len(said) > 0 {
		t.Errorf("with oom=quiet: %q", said)
	}
	wantNote(t, silent, true)
	testbed.AwaitDetachedWorkers(t)
	testbed.Eventually(t, "the sessions are removed", func() bool { return len(testbed.Tree(u.Name)) == 0 })
}

// sshd opens a session before it knows of a terminal. What it says is said again if the
// user was at none, and is not if he was.
func TestToldWithoutTerminal(t *testing.T) {
	u := login(t, "cgtoldssh", 21982, "")
	if err := os.MkdirAll(filepath.Dir(note(u)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(note(u), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := next(t, u, "item=TTY:ssh", "open"); len(said) != 1 || said[0] != "x" {
		t.Errorf("told %q", said)
	}
	// the first may have been scp; the one after it is the one that somebody sees
	if said := next(t, u, "item=TTY:ssh", "open"); len(said) != 1 || said[0] != "x" {
		t.Errorf("the next is told %q", said)
	}
	if err := os.WriteFile(note(u), []byte("y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := next(t, u, "item=TTY:ssh", "open"); len(said) != 2 || said[0] != "x" || said[1] != "y" {
		t.Errorf("with a newer one it is told %q", said)
	}
	if said := next(t, u, tty, "open"); len(said) != 2 {
		t.Errorf("at a terminal it is told %q", said)
	}
	if said := next(t, u, "item=TTY:ssh", "open"); len(said) > 0 {
		t.Errorf("told once more %q", said)
	}
	if err := os.WriteFile(note(u)+".said", []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testbed.Serve(t)
	a := sitDown(t, u)
	testbed.Eventually(t, "the note is removed", func() bool {
		_, err := os.Stat(note(u) + ".said")
		return os.IsNotExist(err)
	})
	wantNote(t, u, false)
	a.leave()
	s.End(syscall.SIGTERM)
	leaveNothing(t, u)
}

// With --json an event is an object of its own, and with --oom quiet there is none.
func TestToldOptions(t *testing.T) {
	for i, options := range [][]string{{"--json"}, {"--oom", "log"}, {"--oom", "quiet"}} {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			u := login(t, fmt.Sprintf("cgtoldo%d", i), 21983+i, "")
			s := testbed.ServeWith(t, options)
			a := sitDown(t, u)
			a.set("memory", "0", "memory.limit_in_bytes", "20M")
			a.hog()
			isQuiet, isJSON := options[len(options)-1] == "quiet", options[0] == "--json"
			switch {
			case isQuiet:
				time.Sleep(7 * time.Second)
			default:
				eventually(t, "the log", s.Said, `killed|oom_kill`)
			}
			if isJSON {
				wantEvent(t, s.Said(), u)
				eventually(t, "the terminal", a.seen, `was killed`)
			} else if seen := a.seen(); seen != "" {
				t.Errorf("the terminal shows %s", seen)
			}
			wantNote(t, u, isJSON)
			if isQuiet && s.Said() != "" {
				t.Errorf("it said %s", s.Said())
			}
			a.leave()
			s.End(syscall.SIGTERM)
			leaveNothing(t, u)
		})
	}
}

func wantEvent(t *testing.T, said string, u testbed.User) {
	t.Helper()
	var event struct {
		Event, User, Cgroup string
		UID, Session, Count int
		Limit               struct {
			File, Path  string
			Value, Peak int
		}
		Victims []struct {
			PID  int
			Name string
		}
	}
	if err := json.Unmarshal([]byte(strings.SplitN(said, "\n", 2)[0]), &event); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/told")
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal([]byte(strings.SplitN(said, "\n", 2)[0]), &value); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
	path := filepath.Join(testbed.HierarchyNamed(t, "memory").Point, "user", u.Name, "0/memory.limit_in_bytes")
	if event.Event != "oom_kill" || event.User != u.Name || event.UID != u.UID || event.Session != 0 || event.Count != 1 ||
		event.Cgroup != "/user/"+u.Name+"/0" || event.Limit.Path != path || event.Limit.Value != 20<<20 || event.Limit.Peak != 20<<20 ||
		len(event.Victims) != 1 || event.Victims[0].Name != "tail" {
		t.Errorf("got %+v", event)
	}
}
