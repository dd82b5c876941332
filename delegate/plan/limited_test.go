package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// limitsOf returns the limits of a line.
func limitsOf(t *testing.T, words string) (all []limits.Limit) {
	t.Helper()
	for word := range strings.FieldsSeq(words) {
		l, err := limits.Parse(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// The limits of a login that systemd manages are systemd's to set: a login sees which are
// not.
func TestNotInUnits(t *testing.T) {
	const (
		slice = "/user.slice/user-1000.slice"
		scope = slice + "/session-1.scope"
		gib   = 1 << 30
		atV2  = "sys/fs/cgroup"
	)
	memory := fmt.Sprintf("%d\n", gib)
	for name, test := range map[string]struct {
		files         files
		user, session string
		want          []string // NAME of FILE below /sys/fs/cgroup
	}{
		"no limits": {},
		"set": {files: files{atV2 + slice + "/memory.max": memory, atV2 + slice + "/pids.max": "100\n", atV2 + slice + "/cpu.max": "20000 100000\n"},
			user: "memory.max=1G pids.max=100 cpu.max=20%"},
		"in the scope": {files: files{atV2 + scope + "/memory.max": memory},
			session: "memory.max=1G"},
		"tighter above": {files: files{atV2 + "/user.slice/memory.max": memory, atV2 + slice + "/memory.max": "max\n", atV2 + scope + "/memory.max": "max\n"},
			user: "memory.max=2G", session: "memory.max=1G"},
		"tighter in the slice": {files: files{atV2 + slice + "/cpu.max": "50000 100000\n"},
			user: "cpu.max=100%"},
		"looser": {files: files{atV2 + slice + "/memory.max": memory},
			user: "memory.max=512M", want: []string{"memory.max of " + slice + "/memory.max is 1073741824"}},
		"none": {files: files{atV2 + slice + "/memory.max": "max\n", atV2 + slice + "/pids.max": "max\n", atV2 + slice + "/cpu.max": "max 100000\n", atV2 + scope + "/pids.max": "max\n"},
			user: "memory.max=1G pids.max=100 cpu.max=20%", session: "pids.max=50",
			want: []string{"memory.max of " + slice + "/memory.max is max", "pids.max of " + slice + "/pids.max is max", "cpu.max of " + slice + "/cpu.max is max 100000", "pids.max of " + scope + "/pids.max is max"}},
		"the slice has it, and the session should have less": {files: files{atV2 + slice + "/memory.max": memory, atV2 + scope + "/memory.max": "max\n"},
			session: "memory.max=512M", want: []string{"memory.max of " + scope + "/memory.max is max"}},
		"more is in use": {files: files{atV2 + slice + "/memory.max": memory, atV2 + slice + "/memory.current": "600000000\n"},
			user: "memory.max=512M", want: []string{"600000000 in use, 1073741824 holds"}},
		"no such file":            {user: "memory.high=1G", want: []string{"memory.high of " + slice + "/memory.high"}},
		"no limit":                {files: files{atV2 + slice + "/memory.max": "max\n"}, user: "memory.max=max"},
		"what cannot be compared": {user: "cpu.weight=50 io.weight=10 cpuset.cpus=0"},
		"a percentage": {files: files{atV2 + slice + "/memory.max": memory, "proc/meminfo": "MemTotal: 2097152 kB\nSwapTotal: 0 kB\n"},
			user: "memory.max=50%"},
		"a percentage of the user's": {files: files{atV2 + slice + "/memory.max": memory, atV2 + scope + "/memory.max": fmt.Sprintf("%d\n", gib/2), "proc/meminfo": "MemTotal: 2097152 kB\nSwapTotal: 0 kB\n"},
			session: "memory.max=50%"},
	} {
		t.Run(name, func(t *testing.T) {
			m := copyOf(t, "debian12-v2-systemd", test.files)
			set, err := hierarchy.Find(m)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			members, err := hierarchy.Memberships(m, 249)
			if err != nil {
				t.Fatal(err)
			}
			given := limits.Given{User: limitsOf(t, test.user), Session: limitsOf(t, test.session), IsManaged: true}
			p := plan.New(m, set, plan.Request{Login: manager.Login{PID: 249, UID: 1000}, User: "alice", Members: members, Controllers: list(t, "all"), Limits: given})
			if got := outcome(p); got != "adopt unified="+scope {
				t.Fatal(got)
			}
			var got []string
			for _, err := range p.NotInUnits(m, 1000, given) {
				var inUse *limits.InUseError
				if errors.As(err, &inUse) {
					got = append(got, fmt.Sprintf("%d in use, %d holds", inUse.InUse, inUse.InForce))
					continue
				}
				var e *plan.NotInUnitError
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
				text := string(e.Name) + " of " + strings.TrimPrefix(e.File, "/sys/fs/cgroup")
				if e.Value != "" {
					text += " is " + e.Value
				}
				got = append(got, text)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
