package sessions

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// situation is a login, and what there is before it.
type situation struct {
	Controllers []string // none: all
	// Where has the cgroup in which the application is, for the hierarchies in which that is
	// not the root.
	Where map[string]string
	// Limit is the hierarchy in which that cgroup, or the one above, has a limit; "": none has.
	Limit string
	// Dead has the numbers of the user's dead sessions by hierarchy.
	Dead         map[string][]int
	MoveConfined bool
	MinUID       int
}

// limitOf are files by which a cgroup of a hierarchy can be limited.
var limitOf = map[string][2]string{"memory": {"memory.limit_in_bytes", "1073741824"}, "pids": {"pids.max", "1000"}, "cpu": {"cpu.cfs_quota_us", "900000"}}

const planParent = "/cgplan" // of the cgroups of the application

func situations(uid int) *rapid.Generator[situation] {
	var all, limitable []string
	for _, h := range testbed.Hierarchies() {
		all = append(all, h.Name)
		if limitOf[h.Name][0] != "" {
			limitable = append(limitable, h.Name)
		}
	}
	asked := append(slices.Clone(all), "nosuch", "name=nosuch")
	slices.Sort(limitable)
	return rapid.Custom(func(t *rapid.T) situation {
		s := situation{
			Controllers:  rapid.SliceOfNDistinct(rapid.SampledFrom(asked), 0, 6, rapid.ID).Draw(t, "controllers"),
			Where:        rapid.MapOfN(rapid.SampledFrom(all), rapid.SampledFrom([]string{planParent, planParent + "/a", planParent + "/a/b c"}), 0, 4).Draw(t, "where"),
			Dead:         rapid.MapOfN(rapid.SampledFrom(all), rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 1, 3, rapid.ID), 0, 3).Draw(t, "dead"),
			MoveConfined: rapid.Bool().Draw(t, "move confined"),
			MinUID:       rapid.SampledFrom([]int{plan.DefaultMinUID, plan.DefaultMinUID, plan.DefaultMinUID, uid, uid + 1}).Draw(t, "min_uid"),
		}
		if len(limitable) > 0 && rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
			s.Limit = rapid.SampledFrom(limitable).Draw(t, "limit")
			s.Where[s.Limit] = planParent + "/a"
		}
		return s
	})
}

// make makes what is there before the login, and returns the application and what removes all
// of it.
func (s situation) make(t *testing.T, u testbed.User) (pid int, end func()) {
	t.Helper()
	pid, kill := start(t, exec.Command("sleep", "600"))
	var made []string
	makeAll := func(h testbed.Hierarchy, below string) {
		for dir := below; dir != "/"; dir = path.Dir(dir) {
			made = append(made, filepath.Join(h.Point, dir))
		}
		if err := os.MkdirAll(filepath.Join(h.Point, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range testbed.Hierarchies() {
		for _, number := range s.Dead[h.Name] {
			if err := os.MkdirAll(filepath.Join(h.Point, "user", u.Name, strconv.Itoa(number)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		where, isElsewhere := s.Where[h.Name]
		if !isElsewhere {
			continue
		}
		makeAll(h, where)
		if s.Limit == h.Name {
			limit := limitOf[h.Name]
			if err := os.WriteFile(filepath.Join(h.Point, planParent, limit[0]), []byte(limit[1]), 0); err != nil {
				t.Fatal(err)
			}
		}
		if h.Name == "cpuset" {
			for _, dir := range []string{planParent, planParent + "/a", planParent + "/a/b c"} {
				for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
					data, _ := os.ReadFile(filepath.Join(h.Point, file))
					_ = os.WriteFile(filepath.Join(h.Point, dir, file), data, 0)
				}
			}
		}
		if err := os.WriteFile(filepath.Join(h.Point, where, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	return pid, func() {
		kill()
		slices.SortFunc(made, func(a, b string) int { return len(b) - len(a) })
		for _, dir := range slices.Compact(made) {
			if err := unix.Rmdir(dir); err != nil && !os.IsNotExist(err) {
				t.Error(err)
			}
		}
		testbed.RemoveAll(u.Name)
	}
}

// What a plan says of a login is what is there afterwards, in each hierarchy: the session
// where one is to be made, of the user's own, and nothing else anywhere; and after the close
// all is as it was.
func TestPlanIsWhatIsDone(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgplan", 23061)
	generated := situations(u.UID)
	rapid.Check(t, func(rt *rapid.T) {
		s := generated.Draw(rt, "situation")
		pid, end := s.make(t, u)
		defer end()
		list := hierarchy.ControllerList{Names: s.Controllers, All: len(s.Controllers) == 0}
		login := delegate.Login{PID: pid, User: u.Name, UID: u.UID, GID: u.GID, Controllers: list, Policy: plan.Policy{MoveConfined: s.MoveConfined, MinUID: s.MinUID}}
		before := testbed.Placement(t, pid)
		p, err := delegate.Plan(machine.Machine{}, login)
		if err != nil {
			rt.Fatal(err)
		}
		opened, err := delegate.Open(delegate.OpenRequest{Login: login, Locks: lock.Default})
		if err != nil {
			rt.Fatal(err)
		}
		if got, want := stepsOf(opened.Plan), stepsOf(p); !slices.Equal(got, want) {
			rt.Errorf("planned\n%q, done\n%q", want, got)
		}
		wantPlanned(rt, u, s, p, opened, before, testbed.Placement(t, pid))
		if _, err := delegate.Close(delegate.CloseRequest{PID: pid, User: u.Name, Ticket: &opened.Ticket, Locks: lock.Default}); err != nil {
			rt.Fatal(err)
		}
		for name, at := range testbed.Placement(t, pid) {
			if at != before[name] {
				rt.Errorf("after the close in %s at %s, before the open at %s", name, at, before[name])
			}
		}
		for _, h := range testbed.Hierarchies() {
			if session := filepath.Join(h.Point, "user", u.Name, strconv.Itoa(opened.Ticket.Session.Number)); exists(session) && opened.Ticket.Session.Number >= 0 && p.Step(h.Name) != nil && p.Step(h.Name).Action == plan.Make {
				rt.Errorf("%s is left", session)
			}
		}
	})
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// stepsOf says what is to be done in each hierarchy, and why not.
func stepsOf(p *plan.Plan) (all []string) {
	for _, s := range p.Steps {
		all = append(all, fmt.Sprintf("%s %v at %s: %v", s.Name, s.Action, s.Member, s.Reason))
	}
	return all
}

// wantPlanned compares a plan with where the application is now.
func wantPlanned(rt *rapid.T, u testbed.User, s situation, p *plan.Plan, opened *delegate.Opened, before, after map[string]string) {
	rt.Helper()
	number := opened.Ticket.Session.Number
	makes := 0
	for _, h := range testbed.Hierarchies() {
		step := p.Step(h.Name)
		isMade := step != nil && step.Action == plan.Make
		want := before[h.Name]
		session := filepath.Join("/user", u.Name, strconv.Itoa(number))
		if isMade {
			makes++
			want = session
			if h.Name == hierarchy.Unified {
				want += "/init.scope"
			}
		}
		if after[h.Name] != want {
			rt.Errorf("in %s at %s, want %s; planned is %q", h.Name, after[h.Name], want, stepsOf(p))
		}
		var st unix.Stat_t
		err := unix.Stat(filepath.Join(h.Point, session), &st)
		if isMade && (err != nil || int(st.Uid) != u.UID || int(st.Gid) != u.GID || st.Mode&syscall.S_IFMT != syscall.S_IFDIR) {
			rt.Errorf("session in %s: %v, of %d:%d", h.Name, err, st.Uid, st.Gid)
		}
		if !isMade && number >= 0 && err == nil {
			rt.Errorf("there is %s in %s, where nothing was planned", session, h.Name)
		}
		if step != nil && step.Member != before[h.Name] {
			rt.Errorf("the plan says of %s that it is at %s, not %s", h.Name, step.Member, before[h.Name])
		}
	}
	if (number >= 0) != (makes > 0) || len(opened.Ticket.Former) != makes {
		rt.Errorf("session %d in %d hierarchies, with the ticket %+v", number, makes, opened.Ticket)
	}
	for _, former := range opened.Ticket.Former {
		if before[former.Hierarchy] != former.Path {
			rt.Errorf("the ticket says %+v, and it was at %s", former, before[former.Hierarchy])
		}
	}
	for _, dead := range s.Dead {
		if makes > 0 && slices.Contains(dead, number) {
			rt.Errorf("session %d was there already", number)
		}
	}
	if isConfined := s.Limit != "" && !s.MoveConfined && p.Step(s.Limit) != nil; isConfined && makes > 0 {
		rt.Errorf("it was moved out of the limit in %s", s.Limit)
	}
	if s.MinUID > u.UID && makes > 0 {
		rt.Error("the user ID is too low")
	}
}
