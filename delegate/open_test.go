package delegate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// A machine on which nothing that was asked for is mounted: the login goes on,
// and the log says why there is no session.
func TestOpenWithNothingToMake(t *testing.T) {
	for _, test := range []struct {
		name, machine, list string
		missing             []string
		unusable            []string
	}{
		{"unknown names", "openrc-hybrid", "nosuch,io", []string{"nosuch", "io"}, nil},
		// Nothing at all: what is there and cannot be used is the likely reason.
		{"mounts of another namespace", "docker-cgroupns-stale", "memory", []string{"memory"}, []string{"memory", "name=systemd"}},
		{"mount that shows another cgroup", "docker-no-cgroupns", "freezer", []string{"freezer"}, []string{"freezer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := hierarchy.ParseList(test.list)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := Open(OpenRequest{Login: Login{PID: 1, User: "alice", UID: 1000, Controllers: list, Policy: plan.Policy{MinUID: plan.DefaultMinUID}}, Machine: recorded(test.machine)})
			if err != nil {
				t.Fatal(err)
			}
			if !opened.Ticket.IsEmpty() || opened.HierarchyNames() != nil || opened.AdoptedNames() != nil {
				t.Errorf("opened %+v", opened.Ticket)
			}
			var missing, unusable []string
			for _, w := range opened.Warnings {
				var m *plan.MissingError
				var u *hierarchy.UnusableError
				switch {
				case errors.As(w, &m):
					missing = append(missing, m.Controllers...)
				case errors.As(w, &u):
					unusable = append(unusable, u.Hierarchy)
				default:
					t.Errorf("warning %v", w)
				}
			}
			if !slices.Equal(missing, test.missing) || !slices.Equal(unusable, test.unusable) {
				t.Errorf("missing %q, unusable %q", missing, unusable)
			}
		})
	}
}

// Only what was asked for is worth a warning, if there is something to make a
// session in.
func TestWarnAbout(t *testing.T) {
	const mounted = "1 1 0:1 / /p rw - cgroup c rw,pids\n"
	const unusable = "2 1 0:2 /.. /c rw - cgroup c rw,cpu,cpuacct\n3 1 0:3 /.. /f rw - cgroup c rw,freezer\n"
	for _, test := range []struct {
		name, mountinfo string
		asked           []string
		want            []string // the hierarchies that are warned of
	}{
		{"asked for", mounted + unusable, []string{"pids", "cpuacct"}, []string{"cpu,cpuacct"}},
		{"not asked for", mounted + unusable, []string{"pids"}, nil},
		{"nothing else there", unusable, []string{"memory"}, []string{"cpu,cpuacct", "freezer"}},
		{"an odd line is told of in the debug log", mounted + "odd\n", []string{"pids"}, nil},
		{"an odd line may be the one that was asked for", "odd\n", []string{"pids"}, []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := machine.Recorded(files(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": "1:pids:/\n2:cpu,cpuacct:/\n3:freezer:/\n", "p/cgroup.procs": "",
			}))
			p, err := Plan(m, Login{PID: 1, User: "alice", UID: 1000, Controllers: hierarchy.ControllerList{Names: test.asked}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range p.Warnings {
				if u := (*hierarchy.UnusableError)(nil); errors.As(w, &u) {
					got = append(got, u.Hierarchy)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("warned of %q, want %q: %v", got, test.want, p.Warnings)
			}
			if isOdd := strings.Contains(test.mountinfo, "odd"); isOdd && len(p.Warnings)+len(p.Notes) == 0 {
				t.Error("nothing is said of the odd line")
			}
		})
	}
}
