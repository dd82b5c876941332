package check_test

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// A shell that names another user's XDG_RUNTIME_DIR. What LXC 5.0.2 and podman 4.3.1 then do was
// seen of these.
func TestRuntimeDir(t *testing.T) {
	const roots, own = "/run/user/0", "/run/user/1000"
	folder := func(dir string, st machine.Stat) change {
		return all(write(dir+"/.recorded", ""), stat(dir, st))
	}
	of := func(uid int) machine.Stat { return machine.Stat{Mode: 0o40700, UID: uid, GID: uid} }
	for name, test := range map[string]struct {
		change    change
		system    system
		says, fix string // "": nothing is wrong
	}{
		"the user's":                 {folder(own, of(1000)), system{lxc: "5.0.2", variables: "XDG_RUNTIME_DIR=" + own}, "", ""},
		"none":                       {nil, system{lxc: "5.0.2"}, "", ""},
		"nobody looked":              {nil, system{lxc: "5.0.2", isUnread: true}, "skipped", ""},
		"root's, and there are none": {folder(roots, of(0)), system{lxc: "5.0.2", variables: "XDG_RUNTIME_DIR=" + roots}, "LXC starts nothing: XDG_RUNTIME_DIR names /run/user/0, which is not a directory of alice's", "unset XDG_RUNTIME_DIR"},
		"root's, for both":           {all(folder(roots, of(0)), folder(own, of(1000))), system{lxc: "5.0.2", clients: "podman 4.3.1", variables: "XDG_RUNTIME_DIR=" + roots}, "LXC and podman start nothing", "export XDG_RUNTIME_DIR=/run/user/1000"},
		"root's, with its bus": {all(folder(roots, of(0)), folder(own, of(1000)), write(own+"/bus", "")),
			system{clients: "podman 4.3.1", variables: "XDG_RUNTIME_DIR=" + roots + ", DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus"}, "podman starts nothing", "export XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"},
		"not there":                             {all(folder("/run/user", machine.Stat{Mode: 0o40755}), write(machine.AbsentFile, own+"\n")), system{lxc: "5.0.2", clients: "podman 4.3.1", variables: "XDG_RUNTIME_DIR=" + own}, "LXC starts nothing", "unset XDG_RUNTIME_DIR"},
		"not there, where podman takes another": {all(folder("/run/user", machine.Stat{Mode: 0o40755}), write(machine.AbsentFile, own+"\n")), system{clients: "podman 4.3.1", variables: "XDG_RUNTIME_DIR=" + own}, "", ""},
		"where all may write":                   {folder("/tmp", machine.Stat{Mode: 0o41777}), system{lxc: "5.0.2", clients: "podman 4.3.1", variables: "XDG_RUNTIME_DIR=/tmp"}, "podman starts nothing", "unset XDG_RUNTIME_DIR"},
		"root's, by its name":                   {nil, system{lxc: "5.0.2", variables: "XDG_RUNTIME_DIR=" + roots}, "LXC starts nothing", "unset XDG_RUNTIME_DIR"},
		"not recorded":                          {nil, system{lxc: "5.0.2", variables: "XDG_RUNTIME_DIR=" + own}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []change
			if test.change != nil {
				changes = append(changes, test.change)
			}
			f := &check.Facts{Machine: recorded(t, v2, changes...), System: test.system}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			for _, finding := range run(t, f) {
				if finding.Name != "runtime-dir" {
					continue
				}
				if test.says == "skipped" && finding.Status == check.Skipped {
					continue
				}
				if test.says == "" && finding.Status != check.OK {
					t.Errorf("got %s: %s", finding.Status, finding.Says)
				}
				if test.says != "" {
					c := aCase{says: test.says, fix: test.fix}
					c.wantFinding(t, finding)
				}
			}
		})
	}
}
