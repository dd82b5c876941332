package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// asUser runs a shell script in a login of the user by su, and returns what it
// printed.
func asUser(t *testing.T, u testbed.User, script string) (string, error) {
	t.Helper()
	out, err := exec.Command("su", u.Name, "-s", "/bin/sh", "-c", script).CombinedOutput()
	return string(out), err
}

// forUsers copies a program to where ordinary users can run it: the checkout may
// lie in root's home directory.
func forUsers(t *testing.T, program string) string {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("/home", filepath.Base(program))
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// cgdeleg run: the command is in a cgroup of its own in every hierarchy of its
// session, with the limits that were asked for, and what it starts can do the
// same again.
func TestRun(t *testing.T) {
	testbed.Need(t, "su")
	u := testbed.AddUser(t, "cgclirun", 22050)
	testbed.WriteService(t, "su", testbed.SessionLine(t, "-c freezer,memory,pids,unified,name=systemd"))
	memory, unified := testbed.HierarchyNamed(t, "memory"), testbed.HierarchyNamed(t, "unified")
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run "

	t.Run("own cgroup with a limit", func(t *testing.T) {
		out, err := asUser(t, u, "echo shell $$; exec "+run+"-p memory.limit_in_bytes=64M -p pids.max=10 -- sh -c "+
			`'cat /proc/self/cgroup; cat `+memory.Point+`$(sed -n s/.*:memory://p /proc/self/cgroup)/memory.limit_in_bytes'`)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		pid := strings.Fields(out)[1]
		at := testbed.ParsePlacement(out)
		for _, name := range []string{"freezer", "memory", "pids", "name=systemd"} {
			if want := "/user/cgclirun/0/run-" + pid; at[name] != want {
				t.Errorf("%s: in %s, want %s", name, at[name], want)
			}
		}
		if want := "/user/cgclirun/0/run-" + pid + "/init.scope"; at[unified.Name] != want {
			t.Errorf("unified: in %s, want %s", at[unified.Name], want)
		}
		if !strings.HasSuffix(strings.TrimSpace(out), "\n67108864") {
			t.Errorf("limit is not 64 MiB:\n%s", out)
		}
		testbed.WantNothingLeft(t, u.Name)
	})
	t.Run("run in run", func(t *testing.T) {
		out, err := asUser(t, u, run+"-- "+run+"-p memory.limit_in_bytes=64M -- cat /proc/self/cgroup")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		inner := testbed.ParsePlacement(out)["memory"]
		if match, _ := filepath.Match("/user/cgclirun/0/run-*/run-*", inner); !match {
			t.Errorf("in %s, want a run-PID in a run-PID", inner)
		}
	})
	for name, test := range map[string]struct {
		args, code, words string
	}{
		"exit status of the command":      {"-- sh -c 'exit 7'", "7", ""},
		"unknown command":                 {"-- /nonexistent", "1", "no such file or directory; nothing was run"},
		"no such file":                    {"-p memory.nosuch=1 -- true", "1", `no delegated hierarchy has the file "memory.nosuch"`},
		"controller not delegated":        {"-p cpu.shares=512 -- true", "1", "add its controller to -c on the PAM line"},
		"value that the kernel refuses":   {"-p pids.max=many -- true", "1", "pids.max: invalid argument"},
		"file that is not a controller's": {"-p cgroup.procs=1 -- true", "2", "want FILE=VALUE"},
		"path for a file":                 {"-p ../pids.max=1 -- true", "2", "want FILE=VALUE"},
		"no command":                      {"-p pids.max=1", "2", "usage: cgdeleg run "},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.WantNothingLeft(t, u.Name) // the last logout's worker goes on by itself
			out, err := asUser(t, u, run+test.args+"; echo code $?; find "+filepath.Join(memory.Point, "user", u.Name)+" -name 'run-*'")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !strings.Contains(out, "code "+test.code+"\n") || !strings.Contains(out, test.words) {
				t.Errorf("want exit code %s and %q, got:\n%s", test.code, test.words, out)
			}
			if _, found, _ := strings.Cut(out, "code "); test.words != "" && strings.Contains(found, "/run-") {
				t.Errorf("a cgroup was left:\n%s", out)
			}
		})
	}
	t.Run("outside of a session", func(t *testing.T) {
		testbed.WriteService(t, "su")
		out, err := asUser(t, u, run+"-- true; echo code $?")
		if err != nil || !strings.Contains(out, "code 1\n") || !strings.Contains(out, "log in again, by a service whose PAM file has pam_cgdeleg.so") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("root outside of a session", func(t *testing.T) {
		out, err := exec.Command(testbed.Built(t, "cgdeleg"), "run", "--", "true").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no cgroup of its own") {
			t.Errorf("%v: %s", err, out)
		}
		if left, _ := filepath.Glob(fmt.Sprintf("%s/run-*", memory.Point)); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}
