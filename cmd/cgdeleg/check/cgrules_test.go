package check

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// withFiles returns facts of a machine that has these files, about alice (1000:1000).
func withFiles(t *testing.T, files map[string]string) *Facts {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Facts{Machine: machine.Recorded(dir), Subject: Subject{Name: "alice", UID: 1000, GID: 1001, Groups: []int{2000}}}
}

// Lines of cgrules.conf(5), and where alice's processes are by them.
func TestOwnRules(t *testing.T) {
	const group = "lxc:x:2000:\nalice:x:1001:\n"
	for name, test := range map[string]struct {
		conf, dropIn  string
		cgroup        string
		want, wantNot string // controllers of rules that lead there, and do not
	}{
		"name":                         {conf: "alice cpu,memory batch/alice\n", cgroup: "/batch/alice", want: "memory", wantNot: "pids"},
		"all controllers":              {conf: "alice * x\n", cgroup: "/x", want: "pids"},
		"elsewhere":                    {conf: "alice * x\n", cgroup: "/y", wantNot: "cpu"},
		"below":                        {conf: "alice * x\n", cgroup: "/x/y", wantNot: "cpu"},
		"the first counts":             {conf: "alice cpu x\nalice * y\n", cgroup: "/y", wantNot: "cpu"},
		"another's before":             {conf: "bob * x\n% * x\nalice cpu y\n", cgroup: "/y", want: "cpu"},
		"ditto of another's":           {conf: "bob cpu x\n% memory x\n", cgroup: "/x", wantNot: "memory"},
		"ditto":                        {conf: "alice cpu x\n% memory x\nbob * z\n% pids x\n", cgroup: "/x", want: "memory", wantNot: "pids"},
		"group":                        {conf: "@lxc cpu x\n", cgroup: "/x", want: "cpu"},
		"another program":              {conf: "alice:ftpd cpu x\n", cgroup: "/x", wantNot: "cpu"},
		"comment behind":               {conf: "# all\n* cpu x # everybody\n", cgroup: "/x", want: "cpu"},
		"ignore":                       {conf: "alice cpu x ignore\n", cgroup: "/x", wantNot: "cpu"},
		"name in the destination":      {conf: "* cpu users/%u\n", cgroup: "/users/alice", want: "cpu"},
		"number in the destination":    {conf: "* cpu users/%u/\n", cgroup: "/users/1000", want: "cpu"},
		"another's name":               {conf: "* cpu users/%u\n", cgroup: "/users/bob", wantNot: "cpu"},
		"group in the destination":     {conf: "* cpu groups/%g\n", cgroup: "/groups/lxc", want: "cpu"},
		"process in the destination":   {conf: "* cpu by/%p\n", cgroup: "/by/bash", want: "cpu"},
		"drop-in":                      {conf: "# none\n", dropIn: "alice cpu x\n", cgroup: "/x", want: "cpu"},
		"drop-in behind the file":      {conf: "alice cpu y\n", dropIn: "alice cpu x\n", cgroup: "/x", wantNot: "cpu"},
		"ditto does not go on there":   {conf: "bob cpu y\n", dropIn: "% cpu x\n", cgroup: "/x", wantNot: "cpu"},
		"line that is no rule":         {conf: "alice cpu\nalice cpu x\n", cgroup: "/x", want: "cpu"},
		"percent sign that is no word": {conf: `alice cpu x\%u` + "\n", cgroup: "/x%u", want: "cpu"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"etc/group": group, "etc/cgrules.conf": test.conf}
			if test.dropIn != "" {
				files["etc/cgrules.d/50-site.conf"] = test.dropIn
			}
			f := withFiles(t, files)
			for _, c := range []string{test.want, test.wantNot} {
				where := []*location{{Hierarchy: &hierarchy.Hierarchy{Name: c, Controllers: []string{c}}, member: test.cgroup}}
				if rules, names := f.movingRules(where); c != "" && (len(names) > 0) != (c == test.want) {
					t.Errorf("%s: %v lead to %v", c, rules, names)
				}
			}
		})
	}
}

// Cgroups of Slurm's, and others that are called like them.
func TestJobsOf(t *testing.T) {
	for member, want := range map[string]bool{
		"/slurm/uid_1000/job_42/step_extern":                   true,
		"/slurm_node7/uid_1000/job_42/step_0":                  true,
		"/system.slice/slurmstepd.scope/job_77/step_extern":    true,
		"/system.slice/n1_slurmstepd.scope/job_77/step_extern": true,
		"/user/alice/0/job_7":                                  false,
		"/job_7/slurm":                                         false,
		"/slurm/uid_1000":                                      false,
		"/slurm/job_x":                                         false,
		"/pbs_jobs.service/jobid/123.pbs1":                     true,
		"/pbspro.slice/pbspro-123.slice":                       true,
		"/pbs_jobs.service":                                    false,
		"/pbs_jobs.service/jobs/123.pbs1":                      true,
		"/pbs_jobs.service/jobid":                              false,
		"/user/alice/0/pbs_jobs.service/jobid/1":               false,
		"/":                                                    false,
	} {
		if got := jobsOf([]hierarchy.Membership{{Hierarchy: "memory", Path: member}}); (len(got) > 0) != want {
			t.Errorf("%s: %v", member, got)
		}
	}
}
