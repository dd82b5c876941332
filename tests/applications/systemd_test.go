package applications

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// hasNoScope asks the module's C.
func hasNoScope(t *testing.T, program, cgroups string, uid int) bool {
	t.Helper()
	cmd := exec.Command(program, fmt.Sprint(uid))
	cmd.Stdin = strings.NewReader(cgroups)
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || ended.ExitCode() != 1) {
		t.Fatal(err)
	}
	return err == nil
}

func compileNoScope(t *testing.T) string {
	t.Helper()
	if testbed.Musl() {
		t.Skip("needs a compiler; the same C file is tested outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc")
	return testbed.CompileC(t, "noscope/noscope.c", filepath.Join(testbed.Root(t), "pam/systemd.c"))
}

// On every recorded machine that systemd runs with v2 alone the module leaves a login
// to systemd, without a worker, just where the plan does: of each recorded process, for
// its user and others.
func TestNoWorkerIsThePlan(t *testing.T) {
	program := compileNoScope(t)
	const booted = "run/systemd/system"
	seen := map[string]int{}
	for _, testdata := range []string{"delegate/testdata", "cmd/cgdeleg/check/testdata"} {
		roots, err := filepath.Glob(filepath.Join(testbed.Root(t), testdata, "*", booted))
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range roots {
			root = strings.TrimSuffix(root, booted)
			files, _ := filepath.Glob(filepath.Join(root, "proc/[0-9]*/cgroup"))
			for _, file := range files {
				cgroups, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, uid := range []int{0, 1000, 1001, 10001} {
					name := fmt.Sprintf("%s for user ID %d", strings.TrimPrefix(file, testbed.Root(t)), uid)
					seen[agree(t, name, program, root, string(cgroups), uid)]++
				}
			}
		}
	}
	if seen["left"] < 10 || seen["scope"] < 3 || seen["v1"] < 3 {
		t.Errorf("too few of a kind to show anything: %v", seen)
	}
}

// agree compares C and plan for a process with these cgroups; it returns "left", "scope"
// or "v1".
func agree(t *testing.T, name, program, root, cgroups string, uid int) string {
	t.Helper()
	isLeft := hasNoScope(t, program, cgroups, uid)
	members, err := hierarchy.ParseMemberships([]byte(cgroups))
	if err != nil {
		t.Fatal(err)
	}
	m := machine.Recorded(root)
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, list := range []string{"freezer,memory,name=systemd", "all", "cpu"} {
		controllers, err := hierarchy.ParseList(list)
		if err != nil {
			t.Fatal(err)
		}
		p := plan.New(m, set, plan.Request{
			Login: manager.Login{PID: 1, UID: uid}, User: "someone", Members: members, Controllers: controllers,
			Policy: plan.Policy{MinUID: 0, MoveConfined: true},
		})
		switch wanted := isLeftAlone(p); {
		case !set.IsUnified():
			if isLeft {
				t.Errorf("%s, -c %q: the module does nothing on v1", name, list)
			}
		case isLeft != wanted:
			t.Errorf("%s, -c %q: the module says %v, the plan %v: %+v", name, list, isLeft, wanted, p.Steps)
		}
	}
	switch {
	case !set.IsUnified():
		return "v1"
	case isLeft:
		return "left"
	}
	return "scope"
}

// isLeftAlone tells whether a plan does nothing for a reason that is nobody's fault.
func isLeftAlone(p *plan.Plan) bool {
	for _, s := range p.Steps {
		var alone *manager.LeftAloneError
		if s.Action != plan.Leave || !errors.As(s.Reason, &alone) {
			return false
		}
	}
	return true
}

// What is not plainly so is left to the worker.
func TestNoScope(t *testing.T) {
	program := compileNoScope(t)
	const slice = "0::/user.slice/user-1000.slice/"
	for name, test := range map[string]struct {
		cgroups string
		uid     int
		want    bool
	}{
		"cron":                            {"0::/system.slice/cron.service\n", 1000, true},
		"the root":                        {"0::/\n", 1000, true},
		"the user's scope":                {slice + "session-3.scope\n", 1000, false},
		"below it":                        {slice + "session-3.scope/init.scope\n", 1000, true},
		"the user's scope, in a machine":  {"0::/machine.slice/m.scope/user.slice/user-1000.slice/session-3.scope\n", 1000, false},
		"a container of it":               {slice + "session-3.scope/lxc.payload.c1\n", 1000, true},
		"a login in such a container":     {slice + "session-3.scope/lxc.payload.c1/user.slice/user-1000.slice/session-1.scope\n", 1000, false},
		"another slice of that name":      {"0::/user-1000.slice/session-1.scope\n", 1000, true},
		"sudo in it":                      {slice + "session-3.scope\n", 0, true},
		"su in it, to an ID that it ends": {slice + "session-3.scope\n", 100, true},
		"su in it, to an ID that is more": {slice + "session-3.scope\n", 10000, true},
		"the user's manager":              {slice + "user@1000.service/app.slice\n", 1000, true},
		"outside of the namespace":        {"0::/../x\n", 1000, true},
		"the largest ID":                  {"0::/user.slice/user-4294967294.slice/session-1.scope\n", 4294967294, false},
		"a v1 hierarchy beside":           {"1:name=systemd:/\n0::/system.slice/cron.service\n", 1000, false},
		"a v1 hierarchy after it":         {"0::/system.slice/cron.service\n1:freezer:/\n", 1000, false},
		"v1 alone":                        {"1:name=systemd:/\n", 1000, false},
		"nothing":                         {"", 1000, false},
		"no path":                         {"0::\n", 1000, false},
		"cut off":                         {"0::/system.slice/cron.serv", 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hasNoScope(t, program, test.cgroups, test.uid); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
