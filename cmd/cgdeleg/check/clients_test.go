package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// What a client needs to use the session, by its version and the machine. That
// this is so of the real programs is tested in tests/clients and tests/vm.
func TestClients(t *testing.T) {
	const (
		bookworm = "runc 1.1.5+ds1, crun 1.8.1, podman 4.3.1, bwrap 0.8.0"
		trixie   = "runc 1.1.15+ds1, crun 1.21, podman 5.4.2, bwrap 0.11.0"
	)
	noList := replace("/etc/pam.d/common-session", " -c freezer,memory,name=openrc", "")
	userManager := write("/run/user/1000/bus", "")
	noSession := write("/proc/self/cgroup", "0::/\n")
	// v2 has controllers beside v1, as where memory was left out of -c
	both := write("/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n")
	for name, test := range map[string]struct {
		machine string
		changes []change
		clients string
		check   string
		status  check.Status
		says    string
		usage   string
	}{
		"runc, v2":                                {v2, nil, bookworm, "runc", check.OK, "makes its cgroups in the session", ""},
		"runc, v1, -c":                            {v1, nil, bookworm, "runc", check.Note, "a cgroupsPath in config.json would need a line of the module without -c", ""},
		"runc, v1":                                {v1, []change{container("freezer", "memory", "openrc"), noList}, bookworm, "runc", check.OK, "makes its cgroups in the session", ""},
		"runc, none":                              {v2, nil, "", "runc", check.Skipped, "runc is not installed", ""},
		"crun 1.8.1, v2":                          {v2, nil, bookworm, "crun", check.Note, "needs a cgroupsPath", `"cgroupsPath": "/user/alice/0/CONTAINER"`},
		"crun 1.8.1, systemd":                     {v2sd, nil, bookworm, "crun", check.Note, "needs a cgroupsPath", `"cgroupsPath": "/user.slice/user-1000.slice/session-3.scope/CONTAINER"`},
		"crun 1.8.2, v2":                          {v2, nil, "crun 1.8.2", "crun", check.OK, "makes its cgroups", ""},
		"crun 1.21, v2":                           {v2, nil, trixie, "crun", check.OK, "makes its cgroups", ""},
		"crun 0.10, v2":                           {v2, nil, "crun 0.10", "crun", check.Note, "needs a cgroupsPath", "/user/alice/0/"},
		"crun of no version, v2":                  {v2, nil, "crun UNKNOWN", "crun", check.Note, "needs a cgroupsPath", "/user/alice/0/"},
		"crun, v1 and v2":                         {v1, []change{both}, bookworm, "crun", check.Note, "starts nothing", ""},
		"crun, v1, -c":                            {v1, nil, bookworm, "crun", check.Note, "a line of the module without -c", `"cgroupsPath": "/user/alice/0/CONTAINER"`},
		"podman 4, v2":                            {v2, nil, bookworm, "podman", check.Note, "drops limits silently", "podman --cgroup-manager=cgroupfs run --cgroup-parent=/user/alice/0 IMAGE"},
		"podman 5, v2":                            {v2, nil, trixie, "podman", check.OK, "by --cgroup-manager=cgroupfs", ""},
		"podman 4 with runc alone, v2":            {v2, nil, "podman 4.3.1, runc 1.1.5", "podman", check.OK, "by --cgroup-manager=cgroupfs", ""},
		"podman 4, user manager":                  {v2sd, nil, bookworm, "podman", check.OK, "asks systemd's user manager", ""},
		"podman 4, no user manager":               {v2sd, []change{remove("/run/user/1000/bus")}, bookworm, "podman", check.Note, "needs to be told the session as the parent", "--cgroup-parent=/user.slice/user-1000.slice/session-3.scope"},
		"podman 4, not asking for it":             {v2sd, []change{write("/home/alice/.config/containers/containers.conf", "[engine]\n  cgroup_manager = \"cgroupfs\"\n")}, bookworm, "podman", check.Note, "needs to be told the session as the parent", "--cgroup-parent="},
		"podman 4, its user overrules":            {v2sd, []change{write("/etc/containers/containers.conf", "[engine]\ncgroup_manager='cgroupfs'\n"), write("/home/alice/.config/containers/containers.conf", "engine.cgroup_manager = \"systemd\"\n")}, bookworm, "podman", check.OK, "asks systemd's user manager", ""},
		"podman 4, only a comment":                {v2sd, []change{write("/etc/containers/containers.conf", "[engine]\n# cgroup_manager = \"cgroupfs\"\n")}, bookworm, "podman", check.OK, "asks systemd's user manager", ""},
		"podman 4, in another section":            {v2sd, []change{write("/etc/containers/containers.conf", "[containers]\ncgroup_manager = \"cgroupfs\"\n")}, bookworm, "podman", check.OK, "asks systemd's user manager", ""},
		"podman 4, no TOML":                       {v2sd, []change{write("/etc/containers/containers.conf", "[engine\ncgroup_manager = \"cgroupfs\"\n")}, bookworm, "podman", check.OK, "asks systemd's user manager", ""},
		"podman 4, a drop-in":                     {v2sd, []change{write("/home/alice/.config/containers/containers.conf.d/50-fs.conf", "engine = { cgroup_manager = \"cgroupfs\" }\n")}, bookworm, "podman", check.Note, "needs to be told the session as the parent", "--cgroup-parent="},
		"podman 4 with runc by its configuration": {v2, []change{write("/etc/containers/containers.conf", "[engine]\nruntime = \"/usr/sbin/runc\"\n")}, bookworm, "podman", check.OK, "by --cgroup-manager=cgroupfs", ""},
		"runc, systemd on v1":                     {hybrid, nil, bookworm, "runc", check.Note, "give it no cgroupsPath", ""},
		"crun, systemd on v1":                     {hybrid, nil, bookworm, "crun", check.Note, "use runc", ""},
		"crun, v1":                                {v1, []change{container("freezer", "memory", "openrc"), noList}, bookworm, "crun", check.Note, "otherwise it drops limits silently", `"cgroupsPath": "/user/alice/0/CONTAINER"`},
		"crun of an odd version, v2":              {v2, nil, "crun 1.8.1\x1b[31m9", "crun", check.Note, "needs a cgroupsPath", "/user/alice/0/"},
		"podman 4, v1":                            {v1, nil, bookworm, "podman", check.Note, "sets no limits on cgroup v1", "cgdeleg run -p memory.limit_in_bytes=1G -- podman --cgroup-manager=cgroupfs run IMAGE"},
		"podman 4, v1 and v2":                     {v1, []change{both}, bookworm, "podman", check.Note, "sets no limits on cgroup v1", "podman --runtime=runc --cgroup-manager"},
		"bubblewrap, v2":                          {v2, nil, bookworm, "bubblewrap", check.Note, "makes no cgroup", "cgdeleg run -p memory.max=1G -p pids.max=200 -- bwrap ..."},
		"runc, no session":                        {v2, []change{noSession}, bookworm, "runc", check.Skipped, "first fix what the check session found", ""},
		"podman 4, no session":                    {v2, []change{noSession}, bookworm, "podman", check.Skipped, "first fix what the check session found", ""},
		"bubblewrap, LXC 6 has its own":           {stock, []change{delegateConf, userManager}, "bwrap 0.8.0, lxc 6.0.4", "bubblewrap", check.Skipped, "this shell has no cgroup of its own", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &check.Facts{Machine: recorded(t, test.machine, test.changes...), System: system{clients: test.clients, known: true, delegated: true}}
			var err error
			if f.Subject, err = check.Caller(f.Machine); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			i := slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == test.check })
			got := findings[i]
			if got.Status != test.status || !strings.Contains(got.Says, test.says) {
				t.Errorf("%s: %s, want %s: %s", got.Status, got.Says, test.status, test.says)
			}
			if usage := strings.Join(got.Usage, "\n"); (usage == "") != (test.usage == "") || !strings.Contains(usage, test.usage) {
				t.Errorf("usage %q, want %q", usage, test.usage)
			}
		})
	}
}

// A program that is there and fails is not said to be missing.
func TestFailingClient(t *testing.T) {
	f := &check.Facts{Machine: recorded(t, v2), System: system{failure: "podman: runroot must be set"}}
	var err error
	if f.Subject, err = check.Caller(f.Machine); err != nil {
		t.Fatal(err)
	}
	for _, finding := range run(t, f) {
		want := map[string]string{
			"podman-config": "podman --version failed: runroot must be set", "podman": "podman --version failed: runroot must be set",
			"crun": "crun is not installed, or does not say its version",
		}[finding.Name]
		if want != "" && (finding.Says != want || finding.Status != check.Skipped) {
			t.Errorf("%s %s: %s", finding.Name, finding.Status, finding.Says)
		}
	}
}
