// Package limits tests on the real kernel what a login gets of limits.conf: which files
// have which values, whom they stop, and that the user can raise none.
package limits

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// login is an application in a session of the user's.
type login struct {
	*testbed.Application
	t *testing.T
	u testbed.User
}

// open logs the user in by a service with that line, and wants that it succeeds.
func open(t *testing.T, u testbed.User, options string) login {
	t.Helper()
	testbed.WriteService(t, u.Name, testbed.SessionLine(t, options))
	app := testbed.LaunchApplication(t, fmt.Sprintf("syslog start=%s:%s open pause close settle end", u.Name, u.Name))
	if result := app.Await("open"); result != "0" {
		t.Fatalf("open: %s", result)
	}
	return login{app, t, u}
}

// close logs out.
func (l login) close() {
	l.t.Helper()
	l.Resume()
	l.Finish()
}

// dir returns user/NAME and more below it, in the hierarchy of a controller.
func (l login) dir(controller string, more ...string) string {
	l.t.Helper()
	h := testbed.HierarchyNamed(l.t, controller)
	return filepath.Join(append([]string{h.Point, "user", l.u.Name}, more...)...)
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(data))
}

// processIn starts a command as the user in a cgroup of each hierarchy of the session.
func (l login) processIn(session string, controllers []string, words ...string) *exec.Cmd {
	l.t.Helper()
	script := ""
	for _, c := range controllers {
		script += "echo 0 >" + l.dir(c, session, "tasks") + " && "
	}
	args := append([]string{"-c", script + fmt.Sprintf(`exec setpriv --reuid=%d --regid=%d --clear-groups "$@"`, l.u.UID, l.u.GID), "sh"}, words...)
	cmd := exec.Command("sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

const unlimited = "9223372036854771712" // what v1 shows for no limit of memory, with pages of 4 KiB

// Who gets which limits.
func TestWho(t *testing.T) {
	testbed.Need(t, "gcc", "id")
	member, other := testbed.AddUser(t, "cglimmember", 25001), testbed.AddUser(t, "cglimother", 25999)
	testbed.AddGroup(t, "cglimstudents", 25900, "somebody", "cglimmember")
	primary := "g25999"
	const gib = 1 << 30
	for _, test := range []struct {
		name          string
		lines         []string
		user          testbed.User
		memory        string // of user/NAME
		session, pids string // of user/NAME/0
	}{
		{"no file", nil, member, "", "", ""},
		{"by name", []string{"cglimmember user memory.max=1G", "* user memory.max=2G"}, member, fmt.Sprint(gib), unlimited, "max"},
		{"by a supplementary group", []string{"@cglimstudents user memory.max=1G", "@cglimstudents session memory.max=512M pids.max=50"}, member, fmt.Sprint(gib), fmt.Sprint(gib / 2), "50"},
		{"not in the group", []string{"@cglimstudents user memory.max=1G", "* user memory.max=2G"}, other, fmt.Sprint(2 * gib), unlimited, "max"},
		{"by the primary group", []string{"@" + primary + " user memory.max=3G"}, other, fmt.Sprint(3 * gib), unlimited, "max"},
		{"by a range", []string{"uid>=25900 user memory.max=3G", "* user memory.max=2G"}, other, fmt.Sprint(3 * gib), unlimited, "max"},
		{"out of the range", []string{"uid>=25900 user memory.max=3G", "* user memory.max=2G"}, member, fmt.Sprint(2 * gib), unlimited, "max"},
		{"all but some", []string{"*,!cglimmember user memory.max=3G"}, member, unlimited, unlimited, "max"},
		{"none", []string{"cglimmember user -", "* user memory.max=3G"}, member, unlimited, unlimited, "max"},
		{"a part of the user's", []string{"* user memory.max=1G", "* session memory.max=50%"}, member, fmt.Sprint(gib), fmt.Sprint(gib / 2), "max"},
		{"a line with a mistake", []string{"* user memory.maxx=1G", "* user memory.max=2G"}, member, fmt.Sprint(2 * gib), unlimited, "max"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.lines != nil {
				testbed.WriteLimits(t, test.lines...)
			}
			log := testbed.LogFromNow(t)
			l := open(t, test.user, "-c freezer,memory,pids")
			if test.lines != nil {
				for file, want := range map[string]string{
					l.dir("memory", "memory.limit_in_bytes"):      test.memory,
					l.dir("memory", "0", "memory.limit_in_bytes"): test.session, l.dir("pids", "0", "pids.max"): test.pids,
				} {
					if got := read(t, file); got != want {
						t.Errorf("%s: %s, want %s", file, got, want)
					}
				}
			}
			l.close()
			if strings.Contains(test.name, "mistake") {
				log.Want(`limits.conf:1:8: there is no limit "memory.maxx"; is memory.max meant\?; ignored`)
			} else {
				log.WantSilence()
			}
			testbed.WantNothingLeft(t, test.user.Name)
		})
	}
}

// Each limit that v1 has, in the kernel's files, also of hierarchies that were not asked
// for; there the session stays root's.
func TestFiles(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglimfiles", 25002)
	testbed.WriteLimits(t, `* user memory.max=1G memory.swap.max=1G cpu.max=150% cpu.weight=200 pids.max=400 cpuset.cpus=0`,
		`* session cpu.max="20000 50000" cpuset.cpus=0-7`)
	l := open(t, u, "-c freezer")
	for _, want := range []struct{ controller, session, file, value string }{
		{"memory", "", "memory.limit_in_bytes", "1073741824"},
		{"memory", "", "memory.memsw.limit_in_bytes", "2147483648"},
		{"cpu", "", "cpu.cfs_quota_us", "150000"},
		{"cpu", "", "cpu.shares", "2048"},
		{"cpu", "0", "cpu.cfs_quota_us", "20000"},
		{"cpu", "0", "cpu.cfs_period_us", "50000"},
		{"pids", "", "pids.max", "400"},
		{"cpuset", "", "cpuset.cpus", "0"},
		{"cpuset", "0", "cpuset.cpus", "0"},
	} {
		file := l.dir(want.controller, want.session, want.file)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && strings.Contains(want.file, "memsw") {
			continue // without swapaccount
		}
		if got := read(t, file); got != want.value {
			t.Errorf("%s: %s, want %s", file, got, want.value)
		}
	}
	for controller, owner := range map[string]int{"freezer": u.UID, "memory": 0, "cpu": 0, "pids": 0, "cpuset": 0} {
		var st unix.Stat_t
		if err := unix.Stat(l.dir(controller, "0"), &st); err != nil || int(st.Uid) != owner {
			t.Errorf("%s: owned by %d, %v, want %d", controller, st.Uid, err, owner)
		}
	}
	if at := testbed.Placement(t, l.Cmd.Process.Pid); !strings.HasSuffix(at[testbed.HierarchyNamed(t, "memory").Name], "/user/cglimfiles/0") {
		t.Errorf("the application is in %v", at)
	}
	l.close()
	testbed.WantNothingLeft(t, u.Name)
}

// hog takes that many megabytes and holds them.
func hog(megabytes int) []string {
	return []string{"perl", "-e", `my $n = shift; my $x = "x" x ($n << 20); sleep 600`, fmt.Sprint(megabytes)}
}

// isKilled tells whether a process is killed soon.
func isKilled(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	case <-time.After(20 * time.Second):
		return false
	}
}

// Who takes too much memory is killed, in whichever session, and nobody else.
func TestMemory(t *testing.T) {
	testbed.Need(t, "gcc", "perl", "setpriv")
	u, neighbour := testbed.AddUser(t, "cglimhog", 25003), testbed.AddUser(t, "cglimnext", 25004)
	testbed.WriteLimits(t, "cglimhog user memory.max=100M memory.swap.max=0", "cglimhog session memory.max=80M memory.swap.max=0")
	first, second, other := open(t, u, "-c memory"), open(t, u, "-c memory"), open(t, neighbour, "-c memory")
	beside := other.processIn("0", []string{"memory"}, hog(150)...)
	if !isKilled(t, first.processIn("0", []string{"memory"}, hog(120)...)) {
		t.Error("a process took more than the session may have")
	}
	holds := first.processIn("0", []string{"memory"}, hog(60)...)
	testbed.Eventually(t, "60 MiB are in use", func() bool {
		n, _ := strconv.Atoi(read(t, first.dir("memory", "memory.usage_in_bytes")))
		return n > 60<<20
	})
	// within the session's limit, and over that of both together: the kernel chooses
	taken := second.processIn("1", []string{"memory"}, hog(60)...)
	died := make(chan struct{}, 2)
	for _, cmd := range []*exec.Cmd{holds, taken} {
		go func() { _ = cmd.Wait(); died <- struct{}{} }()
	}
	select {
	case <-died:
	case <-time.After(20 * time.Second):
		t.Error("two sessions took more than the user may have")
	}
	for _, p := range []*os.Process{first.Cmd.Process, second.Cmd.Process, other.Cmd.Process, beside.Process} {
		if err := p.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("process %d died: %v", p.Pid, err)
		}
	}
	for _, cmd := range []*exec.Cmd{holds, taken, beside} {
		_ = cmd.Process.Kill()
	}
	_ = beside.Wait()
	second.close()
	first.close()
	other.close()
}

// A fork bomb stops at the limit, and the login goes on.
func TestProcesses(t *testing.T) {
	testbed.Need(t, "gcc", "setpriv")
	u := testbed.AddUser(t, "cglimfork", 25005)
	testbed.WriteLimits(t, "* user pids.max=30")
	l := open(t, u, "-c pids,freezer")
	bomb := l.processIn("0", []string{"pids", "freezer"}, "sh", "-c", `i=0; while [ $i -lt 200 ]; do sleep 600 & i=$((i+1)); done; wait`)
	testbed.Eventually(t, "forks are refused", func() bool { // v1 counts that where it is tried
		return !strings.HasPrefix(read(t, l.dir("pids", "0", "pids.events")), "max 0")
	})
	if n, _ := strconv.Atoi(read(t, l.dir("pids", "pids.current"))); n > 30 {
		t.Errorf("%d processes", n)
	}
	data := read(t, l.dir("pids", "0", "cgroup.procs"))
	for _, pid := range strings.Fields(data) {
		if n, _ := strconv.Atoi(pid); n != l.Cmd.Process.Pid {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	_ = bomb.Wait()
	l.close()
	testbed.Eventually(t, "the session is removed", func() bool {
		_ = exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).Run()
		return len(testbed.Tree(u.Name)) == 0
	})
}

// The user can raise no limit: no file of user/NAME, or of the session, can be written, and
// processes stay in.
func TestRaise(t *testing.T) {
	testbed.Need(t, "gcc", "setpriv", "unshare")
	u := testbed.AddUser(t, "cglimraise", 25006)
	testbed.WriteLimits(t, "* user memory.max=1G cpu.max=50% pids.max=100 cpuset.cpus=0", "* session memory.max=1G cpu.max=50% pids.max=100")
	l := open(t, u, "")
	for _, h := range testbed.Hierarchies() {
		for _, session := range []string{"", "0"} {
			dir := filepath.Join(h.Point, "user", u.Name, session)
			entries, err := os.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range entries {
				isOwn := session == "0" && (strings.HasPrefix(e.Name(), "cgroup.") || e.Name() == "tasks") || h.Name == "unified" && e.Name() == "cgroup.procs"
				if e.IsDir() || isOwn {
					continue
				}
				for _, under := range [][]string{nil, {"unshare", "--user", "--map-root-user", "--cgroup", "--mount"}} {
					args := append([]string{"setpriv", fmt.Sprintf("--reuid=%d", u.UID), fmt.Sprintf("--regid=%d", u.GID), "--clear-groups"}, under...)
					args = append(args, "sh", "-c", `: <>"$1"`, "sh", filepath.Join(dir, e.Name()))
					if exec.Command(args[0], args[1:]...).Run() == nil {
						t.Errorf("%q: %s can be opened for writing", under, filepath.Join(dir, e.Name()))
					}
				}
			}
			if session == "" {
				out := filepath.Join(dir, "tasks")
				cmd := exec.Command("setpriv", fmt.Sprintf("--reuid=%d", u.UID), fmt.Sprintf("--regid=%d", u.GID), "--clear-groups", "sh", "-c", `mkdir "$1"/x || echo 0 >"$1"/tasks`, "sh", dir)
				if cmd.Run() == nil {
					t.Errorf("a process got out, to %s", out)
				}
			}
		}
	}
	l.close()
}

// With limits=required a session without its limits is refused, and nothing is left.
func TestRequired(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglimneed", 25007)
	for _, test := range []struct {
		name  string
		lines []string
		opens bool
		log   string // of both
	}{
		{"they hold", []string{"* user memory.max=1G"}, true, ""},
		{"there are none", []string{"root user memory.max=1G"}, true, ""},
		{"no equivalent on v1", []string{"* user memory.high=1G"}, false, "memory.high"},
		{"the kernel refuses", []string{"* user cpu.max=100%", "* session cpu.max=200%"}, false, "limit of the session not set: cpu.max: write .*cpu.cfs_quota_us: invalid argument|limits are required: limit of the session: cpu.max: write .*cpu.cfs_quota_us: invalid argument"},
		{"a device that is not there", []string{`* user io.max="/nosuch rbps=1M"`}, false, "/nosuch: no such file or directory"},
		{"a mistake", []string{"* user memory.max=x"}, true, "limits.conf:1:8: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.WriteLimits(t, test.lines...)
			for _, options := range []string{"-c memory,cpu,freezer", "-c memory,cpu,freezer limits=required"} {
				isRequired := strings.HasSuffix(options, "required")
				testbed.WriteService(t, u.Name, strings.Replace(testbed.SessionLine(t, options), "optional", "required", 1))
				log := testbed.LogFromNow(t)
				app := testbed.LaunchApplication(t, fmt.Sprintf("syslog start=%s:%s open pause close settle end", u.Name, u.Name))
				isOpen := app.Await("open") == "0"
				if want := test.opens || !isRequired; isOpen != want {
					t.Errorf("%s: opened %v, want %v", options, isOpen, want)
				}
				app.Resume()
				app.Finish()
				if test.log != "" {
					log.Want(test.log)
				}
				testbed.WantNothingLeft(t, u.Name)
			}
		})
	}
}

// What somebody else has put the login under.
func TestConfined(t *testing.T) {
	testbed.Need(t, "gcc")
	u := testbed.AddUser(t, "cglimjob", 25008)
	h := testbed.HierarchyNamed(t, "memory")
	job := filepath.Join(h.Point, "cgtest-limits-job")
	if err := os.Mkdir(job, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(job) })
	for _, test := range []struct{ name, options, job, line, memory, log string }{
		{"moved, theirs is tighter", "confined=move", "1073741824", "* user memory.max=2G", "1073741824", ""},
		{"moved, ours is tighter", "confined=move", "2147483648", "* user memory.max=1G", "1073741824", ""},
		{"left, theirs is tighter", "", "1073741824", "* user memory.max=2G", "", ""},
		{"left, ours is tighter", "", "2147483648", "* user memory.max=1G", "", "memory.max not set: confined by .*cgtest-limits-job/memory.limit_in_bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.WriteLimits(t, test.line)
			if err := os.WriteFile(filepath.Join(job, "memory.limit_in_bytes"), []byte(test.job), 0o644); err != nil {
				t.Fatal(err)
			}
			testbed.WriteService(t, u.Name, testbed.SessionLine(t, "-c memory,freezer "+test.options))
			log := testbed.LogFromNow(t)
			app := testbed.LaunchApplication(t, fmt.Sprintf("syslog start=%s:%s pause open pause close settle end", u.Name, u.Name))
			app.Await("start")
			if err := os.WriteFile(filepath.Join(job, "cgroup.procs"), fmt.Append(nil, app.Cmd.Process.Pid), 0o644); err != nil {
				t.Fatal(err)
			}
			app.Resume()
			app.Await("open")
			if test.memory != "" {
				if got := read(t, filepath.Join(h.Point, "user", u.Name, "memory.limit_in_bytes")); got != test.memory {
					t.Errorf("memory.limit_in_bytes is %s, want %s", got, test.memory)
				}
			}
			app.Resume()
			app.Finish()
			if test.log != "" {
				log.Want(test.log)
			}
		})
	}
}

// wantSchema fails the test unless that is what docs/json.schema.json says of it.
func wantSchema(t *testing.T, name string, out []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(out, &value); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// limitsApply runs cgdeleg limits apply for one user, or dry: the cgroups are the machine's,
// and others' sessions are in them. It returns the results by session and file.
func limitsApply(t *testing.T, code int, args ...string) map[string]string {
	t.Helper()
	if !slices.Contains(args, "--user") && !slices.Contains(args, "--dry-run") {
		t.Fatal("limits of others would be changed")
	}
	cmd := exec.Command(testbed.Built(t, "cgdeleg"), append([]string{"limits", "apply", "--json"}, args...)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, %v, want %d\n%s%s", got, err, code, out, complaints.String())
	}
	var all struct {
		Users []struct {
			Limits []struct {
				Session             *int
				File, Value, Result string
			}
		}
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantSchema(t, "limits-apply", out)
	results := map[string]string{}
	for _, u := range all.Users {
		for _, l := range u.Limits {
			of := "user"
			if l.Session != nil {
				of = fmt.Sprint(*l.Session)
			}
			results[of+" "+filepath.Base(l.File)] = l.Result + " " + l.Value
		}
	}
	return results
}

// Live sessions follow the file: limits are raised, lowered and lifted, and what is in use
// stays until it is not.
func TestApply(t *testing.T) {
	testbed.Need(t, "gcc", "perl", "setpriv")
	u := testbed.AddUser(t, "cglimapply", 25009)
	testbed.WriteLimits(t, "* user memory.max=200M memory.swap.max=0 pids.max=50 cpu.max=100%") // without swap space nothing is reclaimed
	l := open(t, u, "-c memory,pids,cpu,freezer")
	limit := l.dir("memory", "memory.limit_in_bytes")
	want := func(file, value string) {
		t.Helper()
		if got := read(t, file); got != value {
			t.Errorf("%s: %s, want %s", file, got, value)
		}
	}
	holder := l.processIn("0", []string{"memory"}, hog(150)...)
	testbed.Eventually(t, "150 MiB are in use", func() bool {
		n, _ := strconv.Atoi(read(t, l.dir("memory", "memory.usage_in_bytes")))
		return n > 150<<20
	})
	if got := limitsApply(t, 0, "--user", u.Name); got["user memory.limit_in_bytes"] != "same 209715200" {
		t.Errorf("%v", got)
	}
	testbed.WriteLimits(t, "* user memory.max=100M memory.swap.max=0 pids.max=40", "* session pids.max=20")
	if got := limitsApply(t, 0, "--dry-run", "--user", u.Name); !strings.HasPrefix(got["user memory.limit_in_bytes"], "in-use ") || !strings.HasPrefix(got["user pids.max"], "set ") {
		t.Errorf("%v", got)
	}
	want(limit, "209715200")
	got := limitsApply(t, 1, "--wait", "1s", "--user", u.Name)
	if !strings.HasPrefix(got["user memory.limit_in_bytes"], "in-use ") {
		t.Errorf("%v", got)
	}
	if n, _ := strconv.Atoi(read(t, limit)); n < 150<<20 || n >= 200<<20 {
		t.Errorf("%d holds while more is in use, want a little more than that", n)
	}
	want(l.dir("pids", "pids.max"), "40")
	want(l.dir("pids", "0", "pids.max"), "20")
	want(l.dir("cpu", "cpu.cfs_quota_us"), "-1")
	if state := read(t, fmt.Sprintf("/proc/%d/stat", holder.Process.Pid)); strings.Contains(state, ") Z ") {
		t.Error("the process that used the memory died: ", state)
	}
	time.AfterFunc(500*time.Millisecond, func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if got := limitsApply(t, 0, "--wait", "20s", "--user", u.Name); got["user memory.limit_in_bytes"] != "set 104857600" {
		t.Errorf("%v", got)
	}
	want(limit, "104857600")
	testbed.WriteLimits(t, "* user cpuset.cpus=0")
	if got := limitsApply(t, 1, "--user", u.Name); !strings.HasPrefix(got["user ."], "failed ") {
		t.Errorf("%v", got)
	}
	testbed.WriteLimits(t, "* user -")
	limitsApply(t, 0, "--user", u.Name)
	want(limit, unlimited)
	want(l.dir("pids", "0", "pids.max"), "max")
	l.close()
}

// A long file and many groups.
func TestMany(t *testing.T) {
	testbed.Need(t, "gcc", "id")
	u := testbed.AddUser(t, "cglimmany", 25010)
	testbed.AddGroups(t, "cglimgroup", 26000, 200, u.Name)
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("@cglimnone%d,somebody%d,uid=%d user memory.max=1G", i, i, 100000+i))
	}
	testbed.WriteLimits(t, append(lines, "@cglimgroup199 user memory.max=3G")...)
	l := open(t, u, "-c memory")
	if got := read(t, l.dir("memory", "memory.limit_in_bytes")); got != fmt.Sprint(3<<30) {
		t.Errorf("memory.limit_in_bytes is %s", got)
	}
	l.close()
}
