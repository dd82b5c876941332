package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// limitRead is a limit of cgdeleg usage --json.
type limitRead struct {
	Value  float64
	Used   *int64
	File   string
	Cgroup string
	Own    bool
}

// usageRead is what cgdeleg usage --json says is used, as far as it matters here.
type usageRead struct {
	Memory struct {
		PeakBytes   *int64     `json:"peak_bytes"`
		Now         *int64     `json:"bytes"`
		OOMKills    *int64     `json:"oom_kills"`
		LimitHits   *int64     `json:"limit_hits"`
		Limit, High *limitRead //
	}
	CPU struct {
		Seconds   *float64
		Limit     *limitRead
		Throttled *int64   `json:"throttled_periods"`
		Waited    *float64 `json:"throttled_seconds"`
	}
	Processes struct {
		Count   *int64
		Limit   *limitRead
		Refused *int64 `json:"refused_forks"`
	}
	NotCounted  []string `json:"not_counted"`
	NotReadable []string `json:"not_readable"`
}

type usersRead struct {
	Users []struct {
		User     string
		Usage    usageRead
		Sessions []struct {
			Own   bool
			Usage usageRead
		}
	}
}

// usageOf runs cgdeleg usage --json, and looks that what it writes is what
// docs/json.schema.json says.
func usageOf(t *testing.T, as *testbed.User, args ...string) (all usersRead) {
	t.Helper()
	r := cgdeleg(t, as, append([]string{"usage", "--json"}, args...)...)
	r.want(t, 0, "")
	var value any
	if err := json.Unmarshal([]byte(r.out), &value); err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testbed.Root(t), "docs/json.schema.json") + "#/$defs/usages")
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

// limited is a user with a session in which a process waits, and a limit file of user/NAME
// can be set.
type limited struct {
	testbed.User
}

func newLimited(t *testing.T, name string, uid int) limited {
	t.Helper()
	testbed.Need(t, "timeout", "setpriv")
	for _, controller := range []string{"memory", "cpu", "cpuacct", "pids"} {
		if h := testbed.HierarchyNamed(t, controller); h.Name == "unified" {
			t.Skip("needs the controllers on cgroup v1")
		}
	}
	u := limited{testbed.AddUser(t, name, uid)}
	pid, end := process(t, u.UID)
	cgdeleg(t, nil, "open", "-u", name, "-p", fmt.Sprint(pid)).want(t, 0, "")
	t.Cleanup(func() {
		end()
		cgdeleg(t, nil, "cleanup", "-u", name).want(t, 0, "")
	})
	return u
}

func (u limited) dir(t *testing.T, controller string) string {
	return filepath.Join(testbed.HierarchyNamed(t, controller).Point, "user", u.Name)
}

func (u limited) set(t *testing.T, controller, file, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir(t, controller), file), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// inside runs a shell script in the session, as root, and returns what it said. That it
// fails is no error: it is to be killed.
func (u limited) inside(t *testing.T, script string) string {
	t.Helper()
	enter := ""
	for _, h := range testbed.Hierarchies() {
		if h.Name != "unified" {
			enter += fmt.Sprintf("echo $$ >'%s/user/%s/0/cgroup.procs'; ", h.Point, u.Name)
		}
	}
	out, _ := exec.Command("timeout", "20", "sh", "-c", enter+script).CombinedOutput()
	return string(out)
}

// A hog is killed at the user's limit: how many, at which limit, and how much there was at
// most. The session's own counts are not its user's.
func TestUsageOfHog(t *testing.T) {
	u := newLimited(t, "cgusagehog", 24081)
	u.set(t, "memory", "memory.limit_in_bytes", "67108864")
	if memsw := u.dir(t, "memory") + "/memory.memsw.limit_in_bytes"; exists(memsw) {
		u.set(t, "memory", "memory.memsw.limit_in_bytes", "67108864") // it must not swap
	}
	said := u.inside(t, "head -c 300M /dev/zero | tail >/dev/null; echo lives on")
	if !strings.Contains(said, "lives on") {
		t.Errorf("the shell was killed too: %s", said)
	}
	all := usageOf(t, nil, u.Name)
	if len(all.Users) != 1 || len(all.Users[0].Sessions) != 1 {
		t.Fatalf("got %+v", all)
	}
	m := all.Users[0].Usage.Memory
	switch {
	case m.Limit == nil, m.OOMKills == nil, m.PeakBytes == nil, m.Now == nil:
		t.Fatalf("got %+v", m)
	case m.Limit.Value != 67108864, m.Limit.File != "memory.limit_in_bytes", m.Limit.Cgroup != "/user/"+u.Name, !m.Limit.Own:
		t.Errorf("limit %+v", m.Limit)
	case *m.OOMKills != 1:
		t.Errorf("%d killed, want 1", *m.OOMKills)
	case *m.PeakBytes < 60<<20, *m.PeakBytes > 64<<20, *m.Now > 32<<20:
		t.Errorf("peak %d, now %d", *m.PeakBytes, *m.Now)
	}
	s := all.Users[0].Sessions[0].Usage.Memory
	if s.Limit == nil || s.Limit.Own || s.Limit.Cgroup != "/user/"+u.Name || s.OOMKills == nil || *s.OOMKills != 1 || s.High != nil {
		t.Errorf("session: %+v", s)
	}
	if screen := cgdeleg(t, nil, "usage", u.Name).out; !strings.Contains(screen, " of 64.0M (") || !strings.Contains(screen, "killed 1 process for want of memory") ||
		!strings.Contains(screen, "memory.limit_in_bytes of user/"+u.Name) {
		t.Errorf("screen:\n%s", screen)
	}
	row := strings.Fields(cgdeleg(t, nil, "status", "-n", "-u", u.Name, "-o", "limit,oom").out)
	if len(row) != 2 || row[0] != "64.0M" || row[1] != "1" {
		t.Errorf("status %q", row)
	}
	if metrics := cgdeleg(t, nil, "status", "--format", "prometheus", "--per-user").out; !strings.Contains(metrics, "\ncgdeleg_user_oom_kills_total{user=\""+u.Name+"\"} 1\n") {
		t.Errorf("metrics:\n%s", metrics)
	}
}

// A limit of a session binds if it is lower, and the user's elsewhere.
func TestUsageOfLowerSession(t *testing.T) {
	u := newLimited(t, "cgusagelower", 24082)
	u.set(t, "memory", "memory.limit_in_bytes", "67108864")
	u.set(t, "memory", "0/memory.limit_in_bytes", "33554432")
	user := usageOf(t, nil, u.Name).Users[0]
	if l := user.Sessions[0].Usage.Memory.Limit; l == nil || l.Value != 33554432 || !l.Own {
		t.Errorf("session: %+v", l)
	}
	if l := user.Usage.Memory.Limit; l == nil || l.Value != 67108864 || !l.Own {
		t.Errorf("user: %+v", l)
	}
	u.set(t, "memory", "0/memory.limit_in_bytes", "134217728")
	if l := usageOf(t, nil, u.Name).Users[0].Sessions[0].Usage.Memory.Limit; l == nil || l.Value != 67108864 || l.Own {
		t.Errorf("session above its user: %+v", l)
	}
}

// CPU time at a twentieth of a CPU, which the loop gets on a loaded machine too, and how
// often that had tasks wait.
func TestUsageOfThrottled(t *testing.T) {
	u := newLimited(t, "cgusagecpu", 24083)
	u.set(t, "cpu", "cpu.cfs_quota_us", "5000")
	u.inside(t, "timeout 4 sh -c 'while :; do :; done'")
	c := usageOf(t, nil, u.Name).Users[0].Usage.CPU
	switch {
	case c.Limit == nil, c.Throttled == nil, c.Waited == nil, c.Seconds == nil:
		t.Fatalf("got %+v", c)
	case c.Limit.Value != 5, c.Limit.File != "cpu.cfs_quota_us":
		t.Errorf("limit %+v", c.Limit)
	case *c.Throttled < 5, *c.Waited < 0.1:
		t.Errorf("throttled in %d periods, for %f s", *c.Throttled, *c.Waited)
	case *c.Seconds < 0.02, *c.Seconds > 1:
		t.Errorf("%f s of CPU time, want about 0.2", *c.Seconds)
	}
}

// Forks that pids.max refuses are counted where the process is; the user sees them.
func TestUsageOfRefused(t *testing.T) {
	u := newLimited(t, "cgusagepids", 24084)
	u.set(t, "pids", "pids.max", "4")
	u.inside(t, "sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait")
	p := usageOf(t, nil, u.Name).Users[0].Usage.Processes
	if p.Limit == nil || p.Limit.Value != 4 || p.Refused == nil || *p.Refused == 0 || p.Count == nil || *p.Count < 1 || *p.Count > 4 {
		t.Errorf("got %+v", p)
	}
}

// A user sees the own use from within, without root and without arguments, and so is told
// which session that is.
func TestUsageOfOneself(t *testing.T) {
	u := newLimited(t, "cgusageself", 24085)
	u.set(t, "pids", "pids.max", "50")
	path := forUsers(t)
	enter := ""
	for _, h := range testbed.Hierarchies() {
		if h.Name != "unified" {
			enter += fmt.Sprintf("echo $$ >'%s/user/%s/0/cgroup.procs'; ", h.Point, u.Name)
		}
	}
	cmd := exec.Command("setpriv", fmt.Sprintf("--reuid=%d", u.UID), fmt.Sprintf("--regid=%d", u.GID), "--clear-groups", path, "usage")
	shell := exec.Command("sh", "-c", enter+`exec "$@"`, "sh")
	shell.Args = append(shell.Args, cmd.Args...)
	r := run(t, shell)
	r.want(t, 0, "")
	if !strings.HasPrefix(r.out, u.Name+", 1 session\n") || !strings.Contains(r.out, "session 0 (you are here)") || !strings.Contains(r.out, " of 50 (") {
		t.Errorf("screen:\n%s", r.out)
	}
	for line := range strings.Lines(r.out) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	var other usersRead
	if other = usageOf(t, &u.User); len(other.Users) != 1 || other.Users[0].User != u.Name || other.Users[0].Sessions[0].Own {
		t.Errorf("from outside: %+v", other)
	}
}

// Somebody without sessions is told so; what a user closed is unknown, not nothing.
func TestUsageUnknown(t *testing.T) {
	u := newLimited(t, "cgusageclosed", 24086)
	nobody := testbed.AddUser(t, "cgusagenone", 24087)
	cgdeleg(t, &nobody, "usage").want(t, 0, "there are no sessions of cgusagenone")
	closed := u.dir(t, "memory") + "/0/closed"
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Rmdir(closed) })
	m := usageOf(t, &nobody, u.Name).Users[0].Usage
	if m.Memory.OOMKills != nil || !strings.Contains(strings.Join(m.NotReadable, " "), "memory.oom_kills") || m.Memory.Now == nil {
		t.Errorf("as another: %+v", m)
	}
	if m := usageOf(t, nil, u.Name).Users[0].Usage; m.Memory.OOMKills == nil || len(m.NotReadable) > 0 {
		t.Errorf("as root: %+v", m)
	}
}
