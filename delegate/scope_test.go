package delegate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// Who has which hierarchy, for a login of user 1000: logind's own scope is
// adopted, what else is systemd's is left alone, everything else is ours.
func TestCustody(t *testing.T) {
	const slice = "/user.slice/user-1000.slice"
	unified := &hierarchy.Hierarchy{Name: hierarchy.Unified, Base: "/"}
	tracking := &hierarchy.Hierarchy{Name: systemdName, Base: "/"}
	freezer := &hierarchy.Hierarchy{Name: "freezer", Base: "/"}
	nested := &hierarchy.Hierarchy{Name: hierarchy.Unified, Base: "/lxc.payload.c1"}
	for name, test := range map[string]struct {
		h              *hierarchy.Hierarchy
		member         string
		booted, hybrid bool
		scope          string
		alone          bool
	}{
		"v2, the user's session":                                {h: unified, member: slice + "/session-1.scope", booted: true, scope: slice + "/session-1.scope"},
		"v2, a session with another name":                       {h: unified, member: slice + "/session-c2.scope", booted: true, scope: slice + "/session-c2.scope"},
		"v2, another user's session":                            {h: unified, member: "/user.slice/user-1001.slice/session-1.scope", booted: true, alone: true},
		"v2, a user's whose ID begins so":                       {h: unified, member: "/user.slice/user-10001.slice/session-1.scope", booted: true, alone: true},
		"v2, below a session":                                   {h: unified, member: slice + "/session-1.scope/init.scope", booted: true, alone: true},
		"v2, user manager":                                      {h: unified, member: slice + "/user@1000.service/init.scope", booted: true, alone: true},
		"v2, a service":                                         {h: unified, member: "/system.slice/cron.service", booted: true, alone: true},
		"v2, a container's session":                             {h: nested, member: "/lxc.payload.c1" + slice + "/session-1.scope", booted: true, scope: "/lxc.payload.c1" + slice + "/session-1.scope"},
		"v2, a path like a session's":                           {h: unified, member: "/system.slice" + slice + "/session-1.scope", booted: true, alone: true},
		"v2 without systemd":                                    {h: unified, member: slice + "/session-1.scope"},
		"hybrid, systemd's hierarchy":                           {h: tracking, member: slice + "/session-1.scope", booted: true, hybrid: true, scope: slice + "/session-1.scope"},
		"hybrid, its v2":                                        {h: unified, member: slice + "/session-1.scope", booted: true, hybrid: true, alone: true},
		"hybrid, a controller in use":                           {h: freezer, member: slice + "/session-1.scope", booted: true, hybrid: true, scope: slice + "/session-1.scope"},
		"hybrid, another user's scope":                          {h: freezer, member: "/user.slice/user-0.slice/session-1.scope", booted: true, hybrid: true, alone: true},
		"hybrid, a controller not in use":                       {h: freezer, member: "/", booted: true, hybrid: true},
		"hybrid, a controller that systemd uses above sessions": {h: freezer, member: "/user.slice", booted: true, hybrid: true},
		"hybrid, cron":                                          {h: tracking, member: "/system.slice/cron.service", booted: true, hybrid: true, alone: true},
		"outside of the namespace":                              {h: unified, member: "/../x", booted: true, alone: true},
	} {
		t.Run(name, func(t *testing.T) {
			test.h.Root = "/"
			o := &opening{OpenRequest: OpenRequest{Machine: recorded("openrc-v2"), UID: 1000}, booted: test.booted, hybrid: test.hybrid}
			got := o.custodyOf(test.h, test.member)
			if got.scope != test.scope || (got.alone != nil) != test.alone {
				t.Errorf("scope %q, alone %v; want %q, %v", got.scope, got.alone, test.scope, test.alone)
			}
		})
	}
}

// The same for real logins: sshd's process in a session scope of alice's.
func TestCustodyRecorded(t *testing.T) {
	for _, test := range []struct {
		host               string
		pid                int
		scopes, alone, own string
	}{
		{"debian12-v2-systemd", 249, "unified", "", ""},
		{"hybrid-systemd", 247, "memory pids name=systemd", "unified",
			"cpuset blkio freezer devices hugetlb perf_event misc net_cls,net_prio rdma cpu,cpuacct"},
	} {
		t.Run(test.host, func(t *testing.T) {
			m := recorded(test.host)
			members, err := hierarchy.Memberships(m, test.pid)
			if err != nil {
				t.Fatal(err)
			}
			o := &opening{OpenRequest: OpenRequest{Machine: m, UID: 1000}, booted: m.Exists("/run/systemd/system"), hybrid: test.alone != ""}
			var scopes, alone, own []string
			for _, h := range discover(t, m) {
				switch who := o.custodyOf(&h, hierarchy.PathIn(members, h.Name)); {
				case who.alone != nil:
					alone = append(alone, h.Name)
				case who.scope != "":
					scopes = append(scopes, h.Name)
				default:
					own = append(own, h.Name)
				}
			}
			for what, names := range map[string][2]string{
				"scopes": {strings.Join(scopes, " "), test.scopes}, "alone": {strings.Join(alone, " "), test.alone}, "own": {strings.Join(own, " "), test.own},
			} {
				if names[0] != names[1] {
					t.Errorf("%s: %q, want %q", what, names[0], names[1])
				}
			}
		})
	}
}

// pam_cgfs's PAM line names name=systemd; on a machine with only v2 that is a
// note. Where there is any v1 it is missing.
func TestNamedHierarchiesOnUnified(t *testing.T) {
	unified := hierarchy.Hierarchy{Name: hierarchy.Unified}
	for name, test := range map[string]struct {
		found   []hierarchy.Hierarchy
		missing []string
		note    bool
	}{
		"only v2":         {[]hierarchy.Hierarchy{unified}, []string{"nosuch"}, true},
		"v1 beside":       {[]hierarchy.Hierarchy{unified, {Name: "freezer"}}, []string{"name=systemd", "nosuch"}, false},
		"nothing mounted": {nil, []string{"name=systemd", "nosuch"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := &opening{found: test.found}
			got := o.passOverNamed([]string{"name=systemd", "nosuch"})
			var named *NamedError
			noted := len(o.notes) == 1 && errors.As(o.notes[0], &named)
			if !slices.Equal(got, test.missing) || noted != test.note {
				t.Errorf("missing %q, notes %v", got, o.notes)
			}
		})
	}
}
