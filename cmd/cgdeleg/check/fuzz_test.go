package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// fuzzed are files of a recorded machine that checks read, each by a parser of its own or
// another package's.
var fuzzed = []string{
	config, "/etc/cgrules.conf", "/etc/group", "/etc/lxc/lxc-usernet", "/etc/nsswitch.conf", "/etc/os-release", "/etc/pam.d/login", "/etc/passwd",
	"/etc/ssh/sshd_config", "/etc/subgid", "/etc/subuid", "/etc/apparmor.d/lxc-start", "/etc/containers/containers.conf",
	"/etc/systemd/system/user-1000.slice.d/x.conf", "/home/alice/.config/containers/storage.conf", "/home/alice/.config/lxc/default.conf",
	"/proc/1/cgroup", "/proc/cgroups", "/proc/cmdline", "/proc/self/cgroup", "/proc/self/limits", "/proc/self/mountinfo", "/proc/self/status",
	"/proc/self/uid_map", "/proc/version", "/stat", "/sys/fs/cgroup/cgroup.controllers", "/variables", "/versions",
}

// FuzzChecks runs all checks over a machine of which one file says anything: they come to
// an end, and each says what it has to say.
func FuzzChecks(f *testing.F) {
	var dirs []string
	for i, name := range []string{v1, v2sd, "in-lxc-v2"} {
		dirs = append(dirs, machinetest.Copy(f, filepath.Join("testdata", name)))
		for k, file := range fuzzed {
			if data, err := os.ReadFile(filepath.Join(dirs[i], file)); err == nil && len(data) < 4096 {
				f.Add(uint8(i), uint8(k), data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which, file uint8, data []byte) {
		dir, name := dirs[int(which)%len(dirs)], fuzzed[int(file)%len(fuzzed)]
		defer replaced(t, filepath.Join(dir, name), data)()
		m := machine.Recorded(dir)
		facts := &check.Facts{Machine: m, System: versionsIn(t, m)}
		var err error
		if facts.Subject, err = check.Caller(m); err != nil {
			return
		}
		facts.Config, facts.ConfigError = lxcconf.Read(m, config)
		for _, finding := range run(t, facts) {
			if finding.Status == "" || finding.Status.IsTrouble() && strings.TrimSpace(finding.Says) == "" {
				t.Errorf("%s says nothing: %+v", finding.Name, finding.Result)
			}
		}
	})
}

// replaced writes a file, and returns what puts back what was there.
func replaced(t *testing.T, path string, data []byte) (restore func()) {
	t.Helper()
	before, failure := os.ReadFile(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		err := os.Remove(path)
		if failure == nil {
			err = os.WriteFile(path, before, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
