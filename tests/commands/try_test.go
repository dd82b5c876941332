package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// tried is what cgdeleg try --json writes, as far as it matters here.
type tried struct {
	OK          bool
	Conclusion  string
	Open, Close *struct{ Result int }
	Places      []struct {
		Hierarchy, Cgroup, Session string
		Owner                      int
		Entered                    bool
		Limited                    []string
	}
	Log          []struct{ Text string }
	Errors, Left []string
}

// try runs cgdeleg try, and looks that what it writes is what docs/json.schema.json says.
func try(t *testing.T, code int, args ...string) (all tried) {
	t.Helper()
	r := cgdeleg(t, nil, append([]string{"try", "--json"}, args...)...)
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.errOut, r.out)
	}
	var value any
	if err := json.Unmarshal([]byte(r.out), &value); err != nil {
		t.Fatalf("%v\n%s%s", err, r.errOut, r.out)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/try")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// log is all that the modules wrote.
func (a tried) log() (text string) {
	for _, l := range a.Log {
		text += l.Text + "\n"
	}
	return text
}

func (a tried) entered() (hierarchies []string) {
	for _, p := range a.Places {
		if p.Entered {
			hierarchies = append(hierarchies, p.Hierarchy)
		}
	}
	slices.Sort(hierarchies)
	return hierarchies
}

func TestTry(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgcmdtry", 24061)
	const three = "-c freezer,memory,name=systemd"
	line := testbed.SessionLine(t, three)
	freezer, memory, systemd := testbed.HierarchyNamed(t, "freezer").Name, testbed.HierarchyNamed(t, "memory").Name, testbed.HierarchyNamed(t, "name=systemd").Name
	all := []string{freezer, memory, systemd}
	slices.Sort(all)
	stay := "session optional pam_exec.so quiet type=open_session /bin/sh -c [sleep 3600 & echo $! >/run/stay]"
	for _, test := range []struct {
		name    string
		lines   []string
		options string
		code    int
		entered []string
		want    string // in the conclusion
		log     string // in the log
	}{
		{"three hierarchies", []string{line}, "", 0, all, "can make cgroups, and limit them by memory, in user/cgcmdtry/0.", ""},
		{"one that limits nothing", []string{testbed.SessionLine(t, "-c freezer")}, "", 0, []string{freezer}, "can make cgroups, without limits, in user/cgcmdtry/0.", ""},
		{"only ours", []string{"session required pam_deny.so", testbed.SessionLine(t, three+" debug")}, "--only-ours", 0, all, "can make cgroups", "session 0 closed and removed"},
		{"no line", []string{"session required pam_permit.so"}, "", 1, nil, "gets no cgroup in which cgcmdtry can make others.", ""},
		{"a module that refuses", []string{line, "session required pam_deny.so"}, "", 1, nil, "PAM opened no session for cgcmdtry by cgcmdtry: Cannot make/remove an entry for the specified session.", ""},
		{"no such module", []string{"session optional pam_cgdelegg.so"}, "", 1, nil, "", "pam_cgdelegg.so"},
		{"a mistake on the line", []string{testbed.SessionLine(t, three+" nosuch")}, "", 0, all, "", `unknown option "nosuch" ignored`},
		{"a process stays", []string{line, stay}, "", 1, all, "These cgroups are left: ", ""},
		{"a module that writes to its output", []string{line, "session optional pam_exec.so stdout /bin/sh -c [printf hello; printf 'open 14 forged\\n']"}, "", 0, all, "can make cgroups", ""},
		{"a module that sends the user elsewhere for programs", []string{line, "session required pam_env.so readenv=1 envfile=/run/elsewhere"}, "", 0, all, "can make cgroups", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.WriteService(t, u.Name, test.lines...)
			got := try(t, test.code, append([]string{u.Name, "--service", u.Name}, strings.Fields(test.options)...)...)
			if pid, err := os.ReadFile("/run/stay"); err == nil {
				var number int
				_, _ = fmt.Sscan(string(pid), &number)
				_ = syscall.Kill(number, syscall.SIGKILL)
				_ = os.Remove("/run/stay")
				testbed.Eventually(t, "cleanup", func() bool {
					return cgdeleg(t, nil, "cleanup", "-u", u.Name).code == 0 && len(testbed.Tree(u.Name)) == 0
				})
			}
			if !slices.Equal(got.entered(), test.entered) {
				t.Errorf("entered %q, want %q", got.entered(), test.entered)
			}
			if !strings.Contains(got.Conclusion, test.want) || !strings.Contains(got.log(), test.log) || got.OK != (test.code == 0) {
				t.Errorf("conclusion %q, want %q; log %q, want %q", got.Conclusion, test.want, got.log(), test.log)
			}
			testbed.WantNothingLeft(t, u.Name)
		})
	}
}

// What the user gets of root's: no terminal, no environment, no descriptor but the pipe on
// which it says what it could do.
func TestTryGivesNothing(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgcmdtryfds", 24063)
	line := testbed.SessionLine(t, "-c freezer")
	testbed.WriteService(t, u.Name, line, "session optional pam_exec.so seteuid type=open_session /bin/sh -c [env >/run/tryenv; ls -l /proc/self/fd >/run/tryfds; (: </dev/tty) 2>/dev/null && echo yes >/run/trytty; true]")
	t.Setenv("SECRET", "hunter2")
	cmd := exec.Command(testbed.Built(t, "cgdeleg"), "try", u.Name, "--service", u.Name)
	secret, err := os.Open("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	cmd.ExtraFiles = []*os.File{secret, secret}
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	said, _ := io.ReadAll(terminal)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	for _, file := range []string{"tryenv", "tryfds", "trytty"} {
		data, err := os.ReadFile("/run/" + file)
		_ = os.Remove("/run/" + file)
		switch {
		case file == "trytty" && err == nil:
			t.Error("a module could open root's terminal")
		case file == "tryenv" && (err != nil || strings.Contains(string(data), "hunter2")):
			t.Errorf("environment: %v\n%s", err, data)
		// pam_exec has a pipe of its own on 0, ls its directory
		case file == "tryfds" && (err != nil || strings.Contains(string(data), "/dev/pts") || strings.Count(string(data), "pipe:") > 1 || strings.Count(string(data), " -> ") > 4 || strings.Contains(string(data), "shadow")):
			t.Errorf("descriptors: %v\n%s", err, data)
		}
	}
}

// Whatever ends cgdeleg try, the session is closed.
func TestTryInterrupted(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgcmdtryint", 24064)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer,memory"),
				"session optional pam_exec.so type=open_session /bin/sh -c [echo >/run/tryopen; sleep 1]", "session optional pam_exec.so type=close_session /bin/sh -c [echo >/run/tryclosed]")
			defer os.Remove("/run/tryclosed")
			cmd := exec.Command(testbed.Built(t, "cgdeleg"), "try", u.Name, "--service", u.Name)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			testbed.Eventually(t, "the session is opened", func() bool { return exists("/run/tryopen") })
			_ = os.Remove("/run/tryopen")
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			testbed.Eventually(t, "the session is closed", func() bool { return exists("/run/tryclosed") && len(testbed.Tree(u.Name)) == 0 })
		})
	}
}

// Not in a place of somebody else's is the program that is run as root.
func TestTryRunsNobodysProgram(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgcmdtryprog", 24065)
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c freezer"))
	dir := testbed.TempDir(t)
	data, err := os.ReadFile(testbed.Built(t, "cgdeleg"))
	if err != nil {
		t.Fatal(err)
	}
	self, theirs := filepath.Join(dir, "cgdeleg"), filepath.Join(dir, "trylogin")
	for path, content := range map[string][]byte{self: data, theirs: []byte("#!/bin/sh\necho >/run/tryplanted\n")} {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(theirs, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	r := run(t, exec.Command(self, "try", u.Name, "--service", u.Name))
	r.want(t, 1, "can be written by others than root")
	if exists("/run/tryplanted") {
		t.Error("it was run")
	}
	cgdeleg(t, nil, "try", u.Name, "--service", "../x").want(t, 2, "want the name of a PAM service")
	cgdeleg(t, nil, "try", u.Name, "--pam-dir", "").want(t, 2, "--pam-dir needs a directory")
	cgdeleg(t, &u, "try", u.Name).want(t, 4, "needs root")
}

// The trial is the user's also where a module has asked for root's account meanwhile.
func TestTryIsTheUsers(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgcmdtryuser", 24066)
	module := testbed.CompileC(t, "pamroot/pam_root.c", "-shared", "-fPIC")
	dir := testbed.TempDir(t)
	lines := testbed.SessionLine(t, "-c freezer") + "\nsession required " + module + "\n"
	for name, text := range map[string]string{"x": lines, "other": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(testbed.Root(t), "build/trylogin"), "x", u.Name, dir, "/usr/bin/id", "-u")
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(orders, "\n\n")
	said, _ := io.ReadAll(answers)
	_ = cmd.Wait()
	if want := fmt.Sprintf("command 0 %d\\n\n", u.UID); !strings.Contains(string(said), want) || !strings.HasSuffix(string(said), "close 0 Success\n") {
		t.Errorf("said\n%swant %s", said, want)
	}
}

// What try sees in a session is what check says in a login by the same service: which
// hierarchies are delegated, or that none is.
func TestTryAndCheckAgree(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cgcmdagree", 24062)
	forUsers(t)
	for _, options := range []string{"-c freezer,memory,name=systemd", "-c pids", "", "-c freezer,nosuch", "min_uid=30000"} {
		t.Run(options, func(t *testing.T) {
			testbed.WriteService(t, u.Name, testbed.SessionLine(t, options))
			tried := try(t, map[bool]int{true: 1, false: 0}[options == "min_uid=30000"], u.Name, "--service", u.Name)
			app := testbed.LaunchApplication(t, fmt.Sprintf("start=%s:%s open pause close settle end", u.Name, u.Name))
			app.Await("open")
			var checked struct {
				Checks []struct {
					Name, Status, Message string
					Evidence              []struct{ Path, Value string }
				}
			}
			r := cgdeleg(t, nil, "check", "--json", "--pid", fmt.Sprint(app.Cmd.Process.Pid), "session")
			if err := json.Unmarshal([]byte(r.out), &checked); err != nil {
				t.Errorf("%v\n%s%s", err, r.errOut, r.out)
			}
			status := cgdeleg(t, nil, "status", "--json", "-u", u.Name)
			app.Resume()
			app.Finish()
			var sessions struct {
				Sessions []struct{ Cgroups []struct{ Hierarchy string } }
			}
			if err := json.Unmarshal([]byte(status.out), &sessions); err != nil {
				t.Fatalf("%v\n%s", err, status.out)
			}
			var has []string
			for _, s := range sessions.Sessions {
				for _, c := range s.Cgroups {
					has = append(has, c.Hierarchy)
				}
			}
			slices.Sort(has)
			if !slices.Equal(tried.entered(), has) {
				t.Errorf("try entered %q, the login has %q", tried.entered(), has)
			}
			if len(checked.Checks) > 0 {
				last := checked.Checks[len(checked.Checks)-1]
				if isFailed := last.Status == "failed"; isFailed == tried.OK && last.Status != "skipped" {
					t.Errorf("check: %s %q; try: %q", last.Status, last.Message, tried.Conclusion)
				}
			}
		})
	}
}
