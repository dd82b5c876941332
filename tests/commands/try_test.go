package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

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
