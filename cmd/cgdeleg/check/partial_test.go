package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// partsOf are the files of a machine that people show, from the usual ones on.
var partsOf = map[string][]string{
	"the usual":     {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status"},
	"with init":     {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/proc/1/cgroup"},
	"with ids":      {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/etc/subuid", "/etc/subgid"},
	"with id maps":  {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/etc/subuid", "/etc/subgid", "/etc/nsswitch.conf", "/proc/self/uid_map", "/proc/self/gid_map"},
	"with kernel":   {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/proc/cmdline", "/proc/cgroups", "/etc/os-release", "/versions"},
	"with PAM":      {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/etc/pam.d/sshd", "/etc/pam.d/common-session", "/etc/pam.d/system-auth"},
	"cmdline alone": {"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/cmdline"},
	"mounts alone":  {"/proc/self/mountinfo"},
	"cgroups alone": {"/proc/self/cgroup"},
	"status alone":  {"/proc/self/status"},
	"ids alone":     {"/etc/subuid", "/etc/subgid"},
	"group ids":     {"/proc/self/status", "/etc/subgid"},
	"nothing":       nil,
}

// partOf copies some files of a recorded machine, with the configuration of a container.
func partOf(t *testing.T, whole machine.Machine, files []string, config string) machine.Machine {
	t.Helper()
	dir := t.TempDir()
	put := func(name, as string) {
		data, err := whole.ReadFile(name)
		if err != nil {
			return
		}
		path := filepath.Join(dir, as)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files {
		put(name, name)
	}
	if config != "" {
		put(config, "config")
	}
	return machine.Recorded(dir)
}

// Of a part of a machine nothing is said but what is said of all of it, or that it cannot
// be told.
func TestPartsOfMachines(t *testing.T) {
	for _, whole := range recordedMachines(t) {
		t.Run(whole, func(t *testing.T) {
			t.Parallel()
			m := recorded(t, whole)
			f := &check.Facts{Machine: m, System: versionsIn(t, m)}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Skip("nobody asked there: ", err)
			}
			config := ""
			if path, err := lxcconf.ContainerPath(m, f.Subject.Home, "c1"); err == nil && m.Exists(path) {
				config = path
				f.Config, f.ConfigError = lxcconf.Read(m, path)
			}
			all := map[string]check.Finding{}
			for _, finding := range run(t, f) {
				all[finding.Name] = finding
			}
			for name, files := range partsOf {
				part := partOf(t, m, files, config)
				for _, finding := range findingsOfPart(t, part, f.Subject.Name, config != "") {
					wantNoMore(t, name, finding, all[finding.Name])
				}
				for _, finding := range findingsOfPart(t, part, "", config != "") {
					wantNoMore(t, name+", nameless", finding, all[finding.Name])
				}
			}
		})
	}
}

// recordedMachines are those of testdata.
func recordedMachines(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*", "field/*", "tried/*"} {
		dirs, err := filepath.Glob("testdata/" + pattern + "/proc")
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no machines %s: %v", pattern, err)
		}
		for _, dir := range dirs {
			names = append(names, strings.TrimPrefix(filepath.Dir(dir), "testdata/"))
		}
	}
	return names
}

// versionsIn is versionsOf, of machines that have no versions as well.
func versionsIn(t *testing.T, m machine.Machine) (s system) {
	t.Helper()
	if !m.Exists("/versions") {
		return s
	}
	return versionsOf(t, m)
}

// findingsOfPart runs all checks over a part of a machine.
func findingsOfPart(t *testing.T, m machine.Machine, user string, hasConfig bool) []check.Finding {
	t.Helper()
	f := &check.Facts{Machine: m, System: versionsIn(t, m), Partial: true, Subject: check.Part(m, 4711, user)}
	if hasConfig {
		f.Config, f.ConfigError = lxcconf.ReadPart(m, "config")
	}
	return run(t, f)
}

// wantNoMore fails the test if a check says of a part of the machine what is not true of all
// of it.
func wantNoMore(t *testing.T, part string, got, all check.Finding) {
	t.Helper()
	allowed := map[check.Status][]check.Status{
		check.OK:      {check.OK, check.Unknown},
		check.Warning: {check.Warning, check.Failed, check.Skipped, check.Unknown},
		check.Failed:  {check.Failed, check.Warning, check.Skipped, check.Unknown},
		check.Skipped: {check.Skipped, check.Unknown},
		check.Unknown: {check.OK, check.Note, check.Unknown, check.Warning, check.Failed, check.Skipped},
	}
	isBlocked := all.BlockedBy != "" && all.Status == check.Skipped // what is true of it is not said
	if !isBlocked && !slices.Contains(allowed[got.Status], all.Status) {
		t.Errorf("%s: %s is %s (%s), and of the whole machine %s (%s)", part, got.Name, got.Status, got.Says, all.Status, all.Says)
	}
	if got.Fix != nil && len(got.Fix.Commands) > 0 {
		t.Errorf("%s: %s is fixed by %v", part, got.Name, got.Fix.Commands)
	}
}

// What is certain is said, also where a check on which it depends could not be told.
func TestCertain(t *testing.T) {
	const v2 = "24 1 254:0 / / rw - ext4 /dev/vda rw\n34 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	const v1 = "24 1 254:0 / / rw - ext4 /dev/vda rw\n34 22 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	const status = "Name:\tcat\nPid:\t12\nPPid:\t11\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n"
	const subIDs = "alice:100000:65536\n"
	usual := map[string]string{"proc/self/mountinfo": v2, "proc/self/cgroup": "0::/openrc.sshd\n", "proc/self/status": status}
	for name, test := range map[string]struct {
		files map[string]string // beside the usual ones, or instead
		check string
		want  check.Status
		says  string // a part of it
	}{
		"turned off by the command line":                 {map[string]string{"proc/cmdline": "root=/dev/vda cgroup_disable=memory\n"}, "controllers", check.Warning, "every session lacks the controller memory, because the kernel's command line has cgroup_disable=memory"},
		"and perhaps on again":                           {map[string]string{"proc/cmdline": "cgroup_disable=memory cgroup_enable=memory\n"}, "controllers", check.Unknown, ""},
		"and the kernel says that it is off":             {map[string]string{"proc/cmdline": "cgroup_disable=memory cgroup_enable=memory\n", "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t90\t0\n"}, "controllers", check.Warning, "every session lacks the controller memory"},
		"and the kernel says that it is on":              {map[string]string{"proc/cmdline": "cgroup_disable=memory\n", "proc/cgroups": "memory\t0\t90\t1\n"}, "controllers", check.Unknown, ""},
		"turned off, on cgroup v1":                       {map[string]string{"proc/cmdline": "cgroup_disable=memory\n", "proc/self/mountinfo": v1, "proc/self/cgroup": "4:memory:/\n"}, "controllers", check.Unknown, ""},
		"limits of v1 on v2":                             {map[string]string{"config": "lxc.cgroup.memory.limit_in_bytes = 1G\n"}, "config-limits", check.Warning, "limits of the container are for the other version"},
		"limits of v2 on v1":                             {map[string]string{"proc/self/mountinfo": v1, "proc/self/cgroup": "4:memory:/\n", "config": "lxc.cgroup2.memory.max = 1G\n"}, "config-limits", check.Warning, "limits of the container are for the other version"},
		"limits of v2 on v2":                             {map[string]string{"config": "lxc.cgroup2.memory.max = 1G\n"}, "config-limits", check.Unknown, ""},
		"a sysctl":                                       {map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, "userns", check.Failed, "forbids user namespaces"},
		"a sysctl of two":                                {map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "1\n"}, "userns", check.Unknown, ""},
		"no_new_privs":                                   {map[string]string{"proc/self/status": status + "NoNewPrivs:\t1\n"}, "idmap-tools", check.Failed, "no_new_privs"},
		"no map":                                         {map[string]string{"config": "lxc.uts.name = c1\n"}, "config-idmap", check.Failed, "only root can start the container"},
		"no map, and an include":                         {map[string]string{"config": "lxc.include = /etc/lxc/ids.conf\n"}, "config-idmap", check.Unknown, ""},
		"an include that nobody knows":                   {map[string]string{"config": "lxc.include = /usr/share/lxc/config/common.conf\n"}, "config", check.Unknown, "/usr/share/lxc/config/common.conf: not recorded"},
		"a line without an equals sign":                  {map[string]string{"config": "lxc.uts.name\n"}, "config", check.Failed, "no equals sign"},
		"IDs of others":                                  {map[string]string{"etc/subuid": subIDs, "etc/subgid": subIDs, "config": "lxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 100000 65536\n"}, "config-idmap", check.Failed, "are not among alice's subordinate IDs"},
		"IDs of nobody knows whom":                       {map[string]string{"etc/subuid": "bob:1:2\n", "etc/subgid": "bob:1:2\n", "config": "lxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 100000 65536\n"}, "config-idmap", check.Unknown, ""},
		"IDs, and no more":                               {map[string]string{"etc/subuid": subIDs, "etc/subgid": subIDs}, "subid", check.Unknown, "/proc/self/uid_map, /proc/self/gid_map, /etc/nsswitch.conf: not recorded"},
		"IDs, and all that tells of them":                {map[string]string{"etc/subuid": subIDs, "etc/subgid": subIDs, "etc/nsswitch.conf": "passwd: files\n", "proc/self/uid_map": "0 0 4294967295\n", "proc/self/gid_map": "0 0 4294967295\n"}, "subid", check.OK, "65536"},
		"a line that shadow does not take":               {map[string]string{"etc/subuid": "alice:100000:65536 \n"}, "subid", check.Failed, "newuidmap does not take /etc/subuid:1 for alice's"},
		"too few IDs":                                    {map[string]string{"etc/subuid": "alice:100000:1000\n", "etc/subgid": subIDs}, "subid", check.Failed, "fewer subordinate IDs"},
		"no line of the user":                            {map[string]string{"etc/subuid": "bob:100000:1000\n", "etc/subgid": subIDs}, "subid", check.Unknown, ""},
		"no line of the user, and no service":            {map[string]string{"etc/subuid": "bob:100000:65536\n", "etc/subgid": subIDs, "etc/nsswitch.conf": "passwd: files\n"}, "subid", check.Failed, "fewer subordinate IDs"},
		"the same IDs twice":                             {map[string]string{"etc/subuid": subIDs + subIDs, "etc/subgid": subIDs}, "subid-overlap", check.Warning, "twice"},
		"IDs of others, if anybody asked the files":      {map[string]string{"etc/subuid": subIDs, "etc/subgid": subIDs, "etc/nsswitch.conf": "subid: sss\n", "config": "lxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 100000 65536\n"}, "config-idmap", check.Unknown, ""},
		"the same IDs twice, if anybody asked the files": {map[string]string{"etc/subuid": subIDs + subIDs, "etc/subgid": subIDs, "etc/nsswitch.conf": "subid: sss\n"}, "subid-overlap", check.Unknown, ""},
		"a device that needs root":                       {map[string]string{"config": "lxc.net.0.type = phys\n"}, "config-network", check.Failed, "by root alone"},
		"a device, and an include behind it":             {map[string]string{"config": "lxc.net.0.type = phys\nlxc.include = /x\n"}, "config-network", check.Unknown, ""},
		"a device, and an include before it":             {map[string]string{"config": "lxc.include = /x\nlxc.net.0.type = phys\n"}, "config-network", check.Failed, "by root alone"},
		"a bridge that is not the user's":                {map[string]string{"config": "lxc.net.0.type = veth\nlxc.net.0.link = br0\n", "etc/lxc/lxc-usernet": "bob veth br0 1\n"}, "config-network", check.Failed, "may have no network device on br0"},
		"a bridge that is a group's":                     {map[string]string{"config": "lxc.net.0.type = veth\nlxc.net.0.link = br0\n", "etc/lxc/lxc-usernet": "@lxc veth br0 1\n"}, "config-network", check.Unknown, ""},
		"a bridge, and no lxc-usernet":                   {map[string]string{"config": "lxc.net.0.type = veth\nlxc.net.0.link = br0\n"}, "config-network", check.Unknown, ""},
		"outside of the namespace":                       {map[string]string{"proc/self/cgroup": "0::/../openrc.sshd\n"}, "namespace", check.Failed, "outside of its cgroup namespace"},
		"root, of what nobody knows":                     {map[string]string{"proc/self/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"}, "user", check.Unknown, "uid_map"},
		"the machine's root":                             {map[string]string{"proc/self/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", "proc/self/uid_map": "0 0 4294967295\n"}, "user", check.Warning, "root needs no delegation"},
		"LXC without v1, on v1":                          {map[string]string{"versions": "lxc 8.0.0\n", "proc/self/mountinfo": v1, "proc/self/cgroup": "4:memory:/\n"}, "lxc-v1", check.Failed, "does not know cgroup v1"},
		"systemd without v1, on v1":                      {map[string]string{"versions": "systemd 258\n", "proc/1/cgroup": "4:memory:/init.scope\n", "proc/self/mountinfo": v1, "proc/self/cgroup": "4:memory:/\n"}, "systemd-v1", check.Warning, "has no cgroup v1"},
		"a version of systemd that perhaps does not run": {map[string]string{"versions": "systemd 258\n", "proc/self/mountinfo": v1, "proc/self/cgroup": "4:memory:/\n"}, "systemd-v1", check.Unknown, ""},
		"a line of pam_cgfs":                             {map[string]string{"etc/pam.d/sshd": "session optional pam_cgfs.so -c all\n"}, "pam-cgfs", check.Warning, "a PAM service has a line of pam_cgfs"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, files := range []map[string]string{usual, test.files} {
				for path, content := range files {
					path = filepath.Join(dir, path)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			findings := findingsOfPart(t, machine.Recorded(dir), "alice", test.files["config"] != "")
			got := findings[slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == test.check })]
			if got.Status != test.want || !strings.Contains(got.Says, test.says) {
				t.Errorf("%s is %s: %s; want %s: %s", got.Name, got.Status, got.Says, test.want, test.says)
			}
		})
	}
}

// Of a whole machine, too, a check says what it is certain of where one before it cannot be
// told; and no more.
func TestCertainBehindUnknown(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		want   check.Status
	}{
		"lines that overlap": {"lxc.idmap = u 0 100000 65536\nlxc.idmap = u 1 100001 1\nlxc.idmap = g 0 100000 65536\n", check.Failed},
		"IDs of others":      {"lxc.idmap = u 0 700000 65536\nlxc.idmap = g 0 700000 65536\n", check.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, "field/subid-sss", write("config", test.config))
			f := &check.Facts{Machine: m, System: versionsIn(t, m)}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			if f.Config, err = lxcconf.Read(m, "/config"); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			status := func(name string) check.Status {
				return findings[slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == name })].Status
			}
			if status("subid") != check.Unknown || status("config-idmap") != test.want {
				t.Errorf("subid is %s, config-idmap %s; want unknown, %s", status("subid"), status("config-idmap"), test.want)
			}
		})
	}
}
