package manager_test

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Who has which hierarchy, for a login of user 1000: logind's own scope is
// adopted, what else is systemd's is left alone, everything else is ours.
func TestSystemd(t *testing.T) {
	const container, tracking = "/lxc.payload.c1", "name=systemd"
	v2 := func(base string) files {
		return files{
			"run/systemd/system/x": "", "proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::" + base + "/init.scope\n",
			"u" + base + "/cgroup.controllers": "", "u" + base + slice + "/session-1.scope/cgroup.procs": "", "u" + slice + "/session-c2.scope/cgroup.procs": "",
		}
	}
	hybrid := files{
		"run/systemd/system/x": "", "proc/1/cgroup": "2:freezer:/\n1:name=systemd:/init.scope\n0::/init.scope\n",
		"proc/self/mountinfo":  "1 1 0:1 / /u rw - cgroup2 c rw\n2 2 0:2 / /f rw - cgroup c rw,freezer\n3 3 0:3 / /s rw - cgroup c rw,name=systemd\n",
		"u/cgroup.controllers": "", "f/tasks": "", "s/tasks": "",
	}
	for name, test := range map[string]struct {
		files             files
		hierarchy, member string
		want              string
	}{
		"v2, the user's session":                  {v2(""), hierarchy.Unified, slice + "/session-1.scope", slice + "/session-1.scope"},
		"v2, a session with another name":         {v2(""), hierarchy.Unified, slice + "/session-c2.scope", slice + "/session-c2.scope"},
		"v2, a session that is gone":              {v2(""), hierarchy.Unified, slice + "/session-9.scope", notDelegated},
		"v2, another user's session":              {v2(""), hierarchy.Unified, "/user.slice/user-1001.slice/session-1.scope", alone},
		"v2, a user's whose ID begins so":         {v2(""), hierarchy.Unified, "/user.slice/user-10001.slice/session-1.scope", alone},
		"v2, below a session":                     {v2(""), hierarchy.Unified, slice + "/session-1.scope/init.scope", alone},
		"v2, user manager":                        {v2(""), hierarchy.Unified, slice + "/user@1000.service/init.scope", alone},
		"v2, a service":                           {v2(""), hierarchy.Unified, "/system.slice/cron.service", alone},
		"v2, the root":                            {v2(""), hierarchy.Unified, "/", alone},
		"v2, a path like a session's":             {v2(""), hierarchy.Unified, "/system.slice" + slice + "/session-1.scope", alone},
		"v2, outside of the namespace":            {v2(""), hierarchy.Unified, "/../x", alone},
		"v2, a container's session":               {v2(container), hierarchy.Unified, container + slice + "/session-1.scope", container + slice + "/session-1.scope"},
		"hybrid, systemd's hierarchy":             {hybrid, tracking, slice + "/session-1.scope", slice + "/session-1.scope"},
		"hybrid, systemd's hierarchy, no session": {hybrid, tracking, "/", alone},
		"hybrid, cron":                            {hybrid, tracking, "/system.slice/cron.service", alone},
		"hybrid, its v2":                          {hybrid, hierarchy.Unified, slice + "/session-1.scope", alone},
		"hybrid, a controller in use":             {hybrid, "freezer", slice + "/session-1.scope", slice + "/session-1.scope"},
		"hybrid, another user's scope":            {hybrid, "freezer", "/user.slice/user-0.slice/session-1.scope", alone},
		"hybrid, a service":                       {hybrid, "freezer", "/system.slice/cron.service", ifLimited},
		"hybrid, a scope that is no session":      {hybrid, "freezer", "/machine.slice/libpod-1.scope", alone},
		"hybrid, below a service":                 {hybrid, "freezer", "/system.slice/cron.service/x", alone},
		"hybrid, below a session":                 {hybrid, "freezer", slice + "/session-1.scope/x", alone},
		"hybrid, outside of the namespace":        {hybrid, "freezer", "/../x", alone},
		"hybrid, a controller not in use":         {hybrid, "freezer", "/", ""},
		"hybrid, one that is used above sessions": {hybrid, "freezer", "/user.slice", ""},
		"hybrid, in a slice of the user":          {hybrid, "freezer", slice, ""},
		"hybrid, ours":                            {hybrid, "freezer", "/user/alice/0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := placed(t, recorded(t, test.files), test.hierarchy, test.member, manager.Login{PID: 7, UID: 1000}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// On v2 systemd has to know of the delegation. A recording that does not tell gets
// the benefit of the doubt.
func TestDelegateMark(t *testing.T) {
	const scope = slice + "/session-1.scope"
	for name, stat := range map[string]string{
		"marked":   machine.FormatStat("/u"+scope, machine.Stat{Mode: 0o40755, Delegated: true}) + "\n",
		"no mark":  machine.FormatStat("/u"+scope, machine.Stat{Mode: 0o40755}) + "\n",
		"not told": "",
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, files{
				"run/systemd/system/x": "", "proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/init.scope\n",
				"u/cgroup.controllers": "", "u" + scope + "/cgroup.procs": "", machine.StatFile: stat,
			})
			if got := placed(t, m, hierarchy.Unified, scope, manager.Login{PID: 7, UID: 1000}); got != scope {
				t.Errorf("got %q", got)
			}
		})
	}
}
