package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// runner runs shell scripts as a user, each in a session of its own.
type runner struct {
	testbed.User
	controllers string // of the session; "": there is none
}

func newRunner(t *testing.T, name string, uid int) runner {
	t.Helper()
	testbed.Need(t, "setpriv", "timeout")
	for _, controller := range []string{"memory", "cpu", "cpuacct", "pids"} {
		if h := testbed.HierarchyNamed(t, controller); h.Name == "unified" {
			t.Skip("needs the controllers on cgroup v1")
		}
	}
	forUsers(t)
	u := runner{testbed.AddUser(t, name, uid), "all"}
	t.Cleanup(func() { cgdeleg(t, nil, "cleanup", "-u", name).want(t, 0, "") })
	return u
}

// where is a shell function: the directory of the shell's cgroup with a v1 controller.
func where(t *testing.T, controller string) string {
	t.Helper()
	h := testbed.HierarchyNamed(t, controller)
	return fmt.Sprintf(`%s() { echo '%s'"$(sed -n 's/^[0-9]*:%s://p' /proc/self/cgroup)"; }; `, controller, h.Point, h.Name)
}

// says runs a script, in which cgdeleg is the built one, and returns what it wrote.
func (u runner) says(t *testing.T, script string) ran {
	t.Helper()
	const enter = `test -z "$3" || "$1" open -u "$2" -c "$3" >/dev/null
exec setpriv --reuid "$4" --regid "$4" --clear-groups env HOME="$6" PATH="/home:$PATH" sh -c "$5"`
	return run(t, exec.Command("timeout", "60", "sh", "-ec", enter, "sh", "/home/cgdeleg", u.Name, u.controllers, strconv.Itoa(u.UID), script, u.Home))
}

// left are the cgroups of commands that there are in the user's sessions.
func (u runner) left(t *testing.T) (dirs []string) {
	t.Helper()
	for _, h := range testbed.Hierarchies() {
		some, err := filepath.Glob(filepath.Join(h.Point, "user", u.Name, "*", "run-*"))
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, some...)
	}
	return dirs
}

// What the words for limits come to on v1, in the command's own cgroup; the command takes
// the place of cgdeleg, and of --property and a limit of the same file the former counts.
func TestRunLimits(t *testing.T) {
	u := newRunner(t, "cgrunlimits", 24101)
	r := u.says(t, `echo $$; exec cgdeleg run --memory 64M --cpus 1.5 --tasks 100 -p pids.max=99 -- sh -c '`+
		where(t, "memory")+where(t, "cpu")+where(t, "pids")+
		`echo $$; cat $(memory)/memory.limit_in_bytes $(cpu)/cpu.cfs_quota_us $(cpu)/cpu.cfs_period_us $(pids)/pids.max'`)
	r.want(t, 0, "")
	got := strings.Fields(r.out)
	if len(got) != 6 || got[0] != got[1] || !slices.Equal(got[2:], []string{"67108864", "150000", "100000", "99"}) {
		t.Errorf("got %q", got)
	}
}

// Why a limit cannot be set, and that nothing was run then.
func TestRunRefusedLimits(t *testing.T) {
	u := newRunner(t, "cgrunrefused", 24102)
	for script, want := range map[string]string{
		"--io /nosuch,rbps=10M":    "cgdeleg: --io: /nosuch: no such file or directory; nothing was run\n",
		"--io /proc,rbps=10M":      "cgdeleg: --io: /proc: not on a block device of its own; nothing was run\n",
		"--swap 1G":                "cgdeleg: --swap: memory.swap.max cannot be set in hierarchy memory: cgroup v1 limits swap space only together with memory: give memory.max as well; nothing was run\n",
		"--report -p pids.max=x":   "invalid argument",
		"--report --io /x,rbps=1M": "nothing was run",
	} {
		r := u.says(t, "cgdeleg run "+script+" -- touch ~/ran")
		r.want(t, 1, want)
		if strings.Contains(r.errOut, "ended with") || exists(filepath.Join(u.Home, "ran")) {
			t.Errorf("%s: it ran: %s", script, r.errOut)
		}
	}
	u.controllers = "freezer,pids"
	u.says(t, "cgdeleg run --memory 1G -- touch ~/ran").want(t, 1, "cgdeleg: --memory: no delegated hierarchy has the controller memory; delegated: ")
	if left := u.left(t); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// The report, and that the exit status is the command's.
func TestRunReport(t *testing.T) {
	u := newRunner(t, "cgrunreport", 24103)
	const reached = "memory.limit_in_bytes of user/cgrunreport/"
	for name, test := range map[string]struct {
		command string
		code    int
		want    []string
	}{
		"ended well": {"--memory 64M --tasks 50 -- true", 0, []string{"cgdeleg: true ended with exit status 0\n  memory     peak ", " of 64.0M\n  cpu        0.", "s, throttled 0.0s\n  processes  at most ", " of 50\n  OOM kills  0\n"}},
		"failed":     {"-- sh -c 'exit 7'", 7, []string{"cgdeleg: sh ended with exit status 7\n"}},
		"killed at its limit": {"--memory 64M -- tail /dev/zero", 137, []string{
			"cgdeleg: tail was killed by SIGKILL (exit status 137): by the kernel, for want of memory; " + reached, " is 64.0M, and was reached\n  memory     peak 64.0M of 64.0M\n", "  OOM kills  1\n"}},
		"a child was, and the shell says so": {"--memory 64M -- sh -c 'tail /dev/zero; exit $?'", 137, []string{
			"cgdeleg: sh ended with exit status 137: something that it ran was killed by SIGKILL: by the kernel, for want of memory; " + reached}},
		"a child was, and the shell went on": {"--memory 64M -- sh -c 'tail /dev/zero; exit 3'", 3, []string{
			"cgdeleg: sh ended with exit status 3; 1 of its processes was killed by the kernel, for want of memory; " + reached}},
		"killed by somebody": {"--memory 64M -- sh -c 'kill -9 $$'", 137, []string{"cgdeleg: sh was killed by SIGKILL (exit status 137): not for want of memory; somebody sent the signal"}},
		"another signal":     {"-- sh -c 'kill -SEGV $$'", 139, []string{"cgdeleg: sh was killed by SIGSEGV (exit status 139)\n"}},
		"throttled":          {"--cpus 0.05 -- sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'", 0, []string{" in ", " periods\n"}},
		"too many processes": {"--tasks 8 -- sh -c 'sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & wait'", 2,
			[]string{"  processes  peak 8 of 8, 1 fork refused\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.says(t, "cgdeleg run --report "+test.command)
			rest := r.errOut
			for _, want := range test.want {
				var found bool
				if _, rest, found = strings.Cut(rest, want); !found {
					t.Errorf("not in its place: %q", want)
				}
			}
			if r.code != test.code || t.Failed() {
				t.Errorf("exit code %d, want %d; it said:\n%s%s", r.code, test.code, r.errOut, r.out)
			}
		})
	}
}

// A limit of the session that the command hits is named as such.
func TestRunReportOfLimitAbove(t *testing.T) {
	u := newRunner(t, "cgrunabove", 24104)
	limit := "echo 67108864 >" + filepath.Join(testbed.HierarchyNamed(t, "memory").Point, "user", u.Name, "memory.limit_in_bytes")
	r := run(t, exec.Command("timeout", "60", "sh", "-ec", `/home/cgdeleg open -u "$1" -c all >/dev/null; eval "$3"
exec setpriv --reuid "$2" --regid "$2" --clear-groups /home/cgdeleg run --report --memory 2G -- tail /dev/zero`, "sh", u.Name, strconv.Itoa(u.UID), limit))
	r.want(t, 137, "memory.limit_in_bytes of user/cgrunabove is 64.0M, and was reached")
}

// With --report nothing of the command is left, also of what it made itself, unless
// something of it still runs.
func TestRunReportLeavesNothing(t *testing.T) {
	u := newRunner(t, "cgrunclean", 24105)
	list := "; find $(cgdeleg path) -name 'run-*' -o -name mine"
	r := u.says(t, `cgdeleg run --report -- sh -c 'mkdir $(cgdeleg path --controller memory)/mine; cgdeleg run -- true'`+list)
	r.want(t, 0, "sh ended with exit status 0")
	if r.out != "" {
		t.Errorf("left:\n%s", r.out)
	}
	r = u.says(t, `cgdeleg run --report -- sh -c 'sleep 60 >/dev/null 2>&1 & echo $! >~/pid'; kill $(cat ~/pid)`+list)
	r.want(t, 0, "is left: in use: it has processes")
	if !strings.Contains(r.out, "/run-") {
		t.Errorf("with a process in it: %q", r.out)
	}
}

// The process that waits passes on what is for the command: descriptors, signals, the
// environment and the standard input.
func TestRunPasses(t *testing.T) {
	u := newRunner(t, "cgrunpass", 24106)
	r := u.says(t, `echo in | A=b cgdeleg run --report -- sh -c 'read x; echo $x $A $0; echo three >&3; ls -l /proc/self/fd | grep -c socket; true' 3>&1`)
	r.want(t, 0, "")
	if r.out != "in b sh\nthree\n0\n" {
		t.Errorf("got %q", r.out)
	}
	r = u.says(t, `mkfifo ~/ready
cgdeleg run --report -- sh -c 'trap "echo got it; exit 5" TERM; echo >~/ready; while :; do sleep 0.1; done' & read x <~/ready; kill $!; wait $!`)
	r.want(t, 5, "sh ended with exit status 5")
	if r.out != "got it\n" {
		t.Errorf("got %q", r.out)
	}
}

// ownCgroup makes cgroups of v1 that belong to the user, with one of root's in it, and
// returns the directories of these.
func (u runner) ownCgroup(t *testing.T, controllers ...string) (dirs []string) {
	t.Helper()
	for _, controller := range controllers {
		dir := filepath.Join(testbed.HierarchyNamed(t, controller).Point, u.Name)
		for _, d := range []string{dir, dir + "/roots"} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Remove(d) })
		}
		for _, path := range []string{dir, dir + "/cgroup.procs", dir + "/tasks"} {
			if err := os.Chown(path, u.UID, u.GID); err != nil {
				t.Fatal(err)
			}
		}
		dirs = append(dirs, dir+"/roots")
	}
	return dirs
}

// Outside of a session it is the nearest cgroup that the user may write, also above one
// that it may not, and nothing of it is left.
func TestRunOutsideOfSession(t *testing.T) {
	u := newRunner(t, "cgrunoutside", 24107)
	dirs := u.ownCgroup(t, "memory", "pids")
	enter := fmt.Sprintf("for d in %s; do echo $$ >$d/cgroup.procs; done; ", strings.Join(dirs, " "))
	inside := func(script string) ran {
		return run(t, exec.Command("timeout", "60", "sh", "-ec", enter+`exec setpriv --reuid "$1" --regid "$1" --clear-groups env PATH="/home:$PATH" sh -c "$2"`, "sh", strconv.Itoa(u.UID), script, u.Home))
	}
	r := inside(`cgdeleg path; cgdeleg path --leaf --controller memory; cgdeleg run --memory 64M -- sh -c '` + where(t, "memory") + `memory; cat $(memory)/memory.limit_in_bytes; exit 4'`)
	r.want(t, 4, "")
	memory, pids := filepath.Dir(dirs[0]), filepath.Dir(dirs[1])
	got := strings.Fields(r.out)
	if len(got) != 5 || !slices.Contains(got[:2], memory) || !slices.Contains(got[:2], pids) || got[2] != dirs[0] || !strings.HasPrefix(got[3], memory+"/run-") || got[4] != "67108864" {
		t.Errorf("got %q", got)
	}
	if left, _ := filepath.Glob(memory + "/run-*"); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	inside("cgdeleg run --cpus 1 -- true").want(t, 1, "--cpus: no delegated hierarchy has the controller cpu; delegated: ")

	u.controllers = ""
	u.says(t, "cgdeleg run --memory 64M -- true").want(t, 1, "this shell has no cgroup of its own to make others in: ")
	u.says(t, "cgdeleg path").want(t, 1, "this shell has no cgroup of its own to make others in: ")
}

// path is where a session's cgroups belong, and in cgdeleg run where the command's do.
func TestPath(t *testing.T) {
	u := newRunner(t, "cgpath", 24108)
	u.controllers = "memory,pids,unified"
	r := u.says(t, `cgdeleg path --controller pids; cgdeleg run -- sh -c 'echo $$; cgdeleg path --controller memory'; cgdeleg path --controller freezer; echo $?; cgdeleg path --json`)
	r.want(t, 0, `no cgroup that is delegated to this shell has the controller "freezer"`)
	lines := strings.SplitN(r.out, "\n", 5)
	if len(lines) != 5 || lines[0] != filepath.Join(testbed.HierarchyNamed(t, "pids").Point, "user/cgpath/0") ||
		lines[2] != filepath.Join(testbed.HierarchyNamed(t, "memory").Point, "user/cgpath/0/run-"+lines[1]) || lines[3] != "1" {
		t.Fatalf("got %q", lines)
	}
	requireSchema(t, "path", lines[4])
	var all struct {
		Session *string
		Cgroups []struct {
			Version    int
			Path, Leaf string
		}
	}
	if err := json.Unmarshal([]byte(lines[4]), &all); err != nil {
		t.Fatal(err)
	}
	if all.Session == nil || *all.Session != "0" || len(all.Cgroups) != 3 {
		t.Errorf("got %s", lines[4])
	}
	for _, c := range all.Cgroups {
		if isLeaf := c.Leaf == c.Path+"/init.scope"; isLeaf != (c.Version == 2) || !strings.HasSuffix(c.Path, "/user/cgpath/0") {
			t.Errorf("got %+v", c)
		}
	}
}

// requireSchema looks that JSON is what docs/json.schema.json says.
func requireSchema(t *testing.T, name, text string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
}
