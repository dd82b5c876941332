package apply

import (
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is of the application is in a v1 session itself, in a v2 session's leaf. What is
// ending there may be listed, or only counted.
func TestApplicationIn(t *testing.T) {
	stat := func(pid, parent string) string {
		return pid + " (sshd) S " + parent + " 1" + strings.Repeat(" 0", 17) + "\n"
	}
	const leaf = "u/user/alice/0/init.scope/"
	for _, test := range []struct {
		name      string
		files     map[string]string
		hierarchy string
		number    int
		want      bool
	}{
		{"child in a v1 session", map[string]string{"proc/20/stat": stat("20", "10")}, "freezer", 0, true},
		{"thread in a v1 session", map[string]string{"f/user/alice/0/cgroup.procs": "10\n"}, "freezer", 0, true},
		{"another's child", map[string]string{"proc/20/stat": stat("20", "11")}, "freezer", 0, false},
		{"process that is gone", nil, "freezer", 0, false},
		{"nobody in a v1 session", map[string]string{"f/user/alice/0/cgroup.procs": ""}, "freezer", 0, false},
		{"session that is gone", map[string]string{"proc/20/stat": stat("20", "10")}, "freezer", 1, false},
		{"child in a v2 leaf", map[string]string{"proc/30/stat": stat("30", "10")}, hierarchy.Unified, 0, true},
		{"another's child in a v2 leaf", map[string]string{"proc/30/stat": stat("30", "11")}, hierarchy.Unified, 0, false},
		{"counted in a v2 leaf", map[string]string{leaf + "cgroup.procs": "", leaf + "cgroup.events": "populated 1\nfrozen 0\n"}, hierarchy.Unified, 0, true},
		{"nobody in a v2 leaf", map[string]string{leaf + "cgroup.procs": "", leaf + "cgroup.events": "populated 0\nfrozen 0\n"}, hierarchy.Unified, 0, false},
		{"below a v2 leaf", map[string]string{
			leaf + "cgroup.procs": "", leaf + "cgroup.events": "populated 1\nfrozen 0\n", leaf + "x/cgroup.procs": "30\n",
		}, hierarchy.Unified, 0, false},
		{"nobody in the leaf, others in the session", map[string]string{
			leaf + "cgroup.procs": "", leaf + "cgroup.events": "populated 0\nfrozen 0\n",
			"u/user/alice/0/cgroup.events": "populated 1\nfrozen 0\n", "u/user/alice/0/x/cgroup.procs": "30\n",
		}, hierarchy.Unified, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := map[string]string{
				"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n2 1 0:2 / /u rw - cgroup2 c rw\n",
				"proc/1/cgroup":       "1:freezer:/\n0::/\n", "u/cgroup.controllers": "",
				"f/user/alice/0/cgroup.procs": "20\n",
				leaf + "cgroup.procs":         "30\n",
			}
			for name, content := range test.files {
				all[name] = content
			}
			m := machine.Recorded(files(t, all))
			set, err := hierarchy.Find(m)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			h := set.ByName(test.hierarchy)
			dir, err := layout.ID{User: "alice", Number: test.number}.Open(h)
			got := err == nil && applicationIn(m, h, dir, 10)
			if got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
