package delegate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is known of a session beside its cgroups. A recorded machine has no
// times of change, so its dead sessions have no age.
func TestSessionsDescribed(t *testing.T) {
	for name, want := range map[string][]string{
		"debian12-v1-hybrid": {
			`alice 0 "" own leader 4712 "sshd" 3h16m45s 12910592 bytes [name=systemd] [freezer] [memory] []`,
			`alice 2 "" leader 0 "" - 4096 bytes [freezer] [memory]`,
			`tasks 1 "" leader 815 "cron job) x" 25s 900 bytes [freezer] [memory]`,
		},
		"openrc-v2": { // 141 and 156 started in the same tick
			`alice 0 "" leader 141 "sshd" 54h10m0s 5242880 bytes [cpuset cpu io memory hugetlb pids rdma misc]`,
			`alice 1 "" leader 0 "" - 0 bytes [cpuset cpu io memory hugetlb pids rdma misc]`,
		},
		"systemd-v2-adopted": {
			` -1 "/user.slice/user-1000.slice/session-3.scope" own leader 1033 "sshd" 33m20s 8388608 bytes [cpu memory pids]`,
			` -1 "/user.slice/user-1001.slice/session-4.scope" leader 1100 "su" 1h23m19s -1 bytes [cpu]`,
		},
		// The su's cgroups in memory and name=systemd are alice's scope. Scope 9
		// has no session of ours beside it, and nobody knows whose it is.
		"systemd-hybrid-adopted": {
			`alice 0 "/user.slice/user-1000.slice/session-3.scope" leader 1033 "sshd" 33m20s 7340032 bytes [freezer] [memory] [name=systemd]`,
			`bob 0 "" own leader 1050 "su" 31m40s -1 bytes [freezer]`,
		},
		"debian12-v2-systemd": nil, // not adopted
	} {
		t.Run(name, func(t *testing.T) {
			sessions, _, err := Sessions(recorded(name))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range sessions {
				line := fmt.Sprintf("%s %d %q", s.User, s.Number, s.Scope)
				if s.Own {
					line += " own"
				}
				age := "-"
				if s.Age >= 0 {
					age = s.Age.Round(time.Second).String()
				}
				line += fmt.Sprintf(" leader %d %q %s %d bytes", s.Leader.PID, s.Leader.Name, age, s.Memory())
				for _, p := range s.Parts {
					line += fmt.Sprintf(" %v", p.Controllers)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestSessionsAdoptedUIDs(t *testing.T) {
	sessions, _, err := Sessions(recorded("systemd-v2-adopted"))
	if err != nil || len(sessions) != 2 || sessions[0].UID != 1000 || sessions[1].UID != 1001 {
		t.Errorf("got %+v, %v", sessions, err)
	}
	if !sessions[0].Has(1201) || sessions[0].Has(1100) { // 1201 is in a container
		t.Error("Has is wrong")
	}
}

// elogind's cgroups are called by the session alone.
func TestSessionsOfElogind(t *testing.T) {
	m := machine.Recorded(files(t, map[string]string{
		"run/systemd/sessions/c1":        "",
		"proc/self/mountinfo":            "1 1 0:1 / /u rw - cgroup2 c rw\n",
		"proc/1/cgroup":                  "0::/\n",
		"u/cgroup.controllers":           "",
		"u/c1/cgroup.procs":              "",
		"u/c1/init.scope/cgroup.procs":   "10\n",
		"u/c2/cgroup.procs":              "11\n", // not adopted
		"u/sshd/init.scope/cgroup.procs": "12\n",
		"u/1x/init.scope/cgroup.procs":   "13\n",
	}))
	sessions, _, err := Sessions(m)
	if err != nil || len(sessions) != 1 || sessions[0].Scope != "/c1" || sessions[0].Number != -1 || !sessions[0].Has(10) {
		t.Errorf("got %+v, %v", sessions, err)
	}
}

func TestOldest(t *testing.T) {
	stat := func(name string, started string) string {
		return "1 (" + name + ") S 1" + strings.Repeat(" 0", 17) + " " + started + " 0\n"
	}
	m := machine.Recorded(files(t, map[string]string{
		"proc/10/stat": stat("young", "500"), "proc/20/stat": stat("old", "400"), "proc/15/stat": stat("as old", "400"),
		"proc/30/stat": "30 (short) S 1\n", "proc/40/stat": stat("garbage", "x"),
	}))
	for _, test := range []struct {
		pids []int
		want int
	}{
		{nil, 0}, {[]int{10}, 10}, {[]int{10, 20}, 20}, {[]int{20, 10}, 20}, {[]int{20, 15}, 15}, {[]int{15, 20}, 15},
		{[]int{99, 30, 40, 10}, 10}, // one that ended, two not understood
		{[]int{0}, 0},               // of another PID namespace
	} {
		if got := oldest(m, test.pids); got.PID != test.want {
			t.Errorf("of %v: %+v, want %d", test.pids, got, test.want)
		}
	}
	if p := oldest(m, []int{20}); p.Name != "old" || p.Started != 4*time.Second {
		t.Errorf("got %+v", p)
	}
}

// A child is one cgroup to the user, in however many hierarchies it is.
func TestChildrenOf(t *testing.T) {
	m := machine.Recorded(files(t, map[string]string{
		"proc/self/mountinfo":           "1 1 0:1 / /f rw - cgroup c rw,freezer\n2 1 0:2 / /m rw - cgroup c rw,memory\n",
		"proc/1/cgroup":                 "1:freezer:/\n2:memory:/\n",
		"f/user/u/0/b/x/y/cgroup.procs": "3\n", "f/user/u/0/b/cgroup.procs": "1\n2\n", "f/user/u/0/a/cgroup.procs": "",
		"m/user/u/0/b/cgroup.procs": "1\n", "m/user/u/0/b/memory.usage_in_bytes": "77\n", "m/user/u/0/b/x/cgroup.procs": "",
		"m/user/u/0/c/cgroup.procs": "", "f/user/u/0/b/x/cgroup.procs": "",
		"f/user/u/0/cgroup.procs": "", "m/user/u/0/cgroup.procs": "",
	}))
	sessions, _, err := Sessions(m)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%v, %v", sessions, err)
	}
	children, more := ChildrenOf(m, &sessions[0])
	const want = "[{a 0 -1 [] false} {b 3 77 [{x 1 -1 [] false}] false} {c 0 -1 [] false}] false"
	if got := fmt.Sprint(children, more); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
