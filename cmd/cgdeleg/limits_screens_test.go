package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// The screens of limits explain and apply, over recorded machines.
func TestLimitsScreens(t *testing.T) {
	people := map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\nwww:x:33:33::/:/bin/sh\n", "etc/group": "alice:x:1000:\nstudents:x:2000:alice\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\n", machine.AbsentFile: "/etc/cgdeleg/limits.conf\n/etc/cgdeleg/limits.d\n",
		"proc/meminfo": "MemTotal: 8388608 kB\nSwapTotal: 0 kB\n", "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "60000\n",
	}
	conf := map[string]string{"etc/cgdeleg/limits.conf": "# who for limits\n" +
		"@students user memory.high=20% memory.max=25% cpu.max=150% pids.max=50%\n" +
		"@students session memory.max=1G memory.mx=2\n" +
		"* session memory.max=50% io.weight=50\n" +
		"bob user -\n"}
	v2 := map[string]string{"sys/fs/cgroup/user/alice/memory.max": "4294967296\n", "sys/fs/cgroup/user/alice/pids.max": "max\n", "sys/fs/cgroup/user/alice/cpu.max": "max 100000\n", "sys/fs/cgroup/user/alice/memory.high": "max\n", "sys/fs/cgroup/user/alice/memory.current": "3221225472\n"}
	v1 := map[string]string{"sys/fs/cgroup/memory/user/alice/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/user/alice/memory.usage_in_bytes": "1048576\n",
		"sys/fs/cgroup/cpu/user/alice/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/user/alice/cpu.cfs_period_us": "100000\n"}
	only := map[string]string{"etc/cgdeleg/limits.conf": "bob user pids.max=90\n"}
	for name, text := range v2 {
		only[name] = text
	}
	for _, test := range []struct {
		name, machine, args string
		files               map[string]string
	}{
		{"limits-explain-v2", "openrc-v2", "limits explain alice", v2},
		{"limits-explain-v1", "debian12-v1-hybrid", "limits explain alice", v1},
		{"limits-explain-systemd", "systemd-v2-adopted", "limits explain alice", nil},
		{"limits-explain-hybrid", "hybrid-systemd", "limits explain alice", nil},
		{"limits-explain-elogind", "elogind-v2", "limits explain alice", nil},
		{"limits-explain-elogind-hybrid", "elogind-hybrid", "limits explain alice", nil},
		{"limits-explain-system", "openrc-v2", "limits explain www", nil},
		{"limits-explain-system-json", "openrc-v2", "limits explain www --json", nil},
		{"limits-explain-system-slice", "systemd-v2-adopted", "limits explain www", nil},
		{"limits-explain-none", "openrc-v2", "limits explain bob", nil},
		{"limits-explain-json", "openrc-v2", "limits explain alice --json", v2},
		{"limits-explain-uid", "openrc-v2", "limits explain 1001", nil},
		{"limits-apply-no-session", "openrc-v2", "limits apply --dry-run --user bob", nil},
		{"limits-apply-wait", "openrc-v2", "limits apply --dry-run --wait soon", nil},
		{"limits-explain-nobody", "openrc-v2", "limits explain carol", nil},
		{"limits-explain-usage", "openrc-v2", "limits explain", nil},
		{"limits-apply-v2", "openrc-v2", "limits apply --dry-run", v2},
		{"limits-apply-v1", "debian12-v1-hybrid", "limits apply --dry-run --user alice", v1},
		{"limits-apply-json", "openrc-v2", "limits apply --dry-run --json", v2},
		{"limits-apply-left", "openrc-v2", "limits apply --dry-run", only},
		{"limits-apply-left-json", "openrc-v2", "limits apply --dry-run --json", only},
		{"limits-apply-lifted", "openrc-v2", "limits apply --dry-run --user alice", only},
		{"limits-apply-recorded", "openrc-v2", "limits apply", nil},
		{"limits-no-command", "openrc-v2", "limits", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("LC_ALL", "C.UTF-8")
			dir := machinetest.Copy(t, "../../delegate/testdata/"+test.machine)
			for _, files := range []map[string]string{people, conf, test.files} {
				for name, text := range files {
					path := filepath.Join(dir, name)
					must(t, os.MkdirAll(filepath.Dir(path), 0o755))
					must(t, os.WriteFile(path, []byte(text), 0o644))
				}
			}
			requireGolden(t, test.name, screenOf(t, dir, test.args))
		})
	}
	t.Run("limits-explain-no-files", func(t *testing.T) {
		dir := machinetest.Copy(t, "../../delegate/testdata/openrc-v2")
		for name, text := range people {
			path := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(text), 0o644))
		}
		requireGolden(t, "limits-explain-no-files", screenOf(t, dir, "limits explain alice"))
		requireGolden(t, "limits-apply-no-files", screenOf(t, dir, "limits apply --dry-run"))
		requireGolden(t, "limits-apply-no-files-json", screenOf(t, dir, "limits apply --dry-run --json"))
		requireGolden(t, "limits-apply-no-files-nobody", screenOf(t, dir, "limits apply --dry-run --user carol"))
	})
}

// screenOf returns what a command shows of a recorded machine.
func screenOf(t *testing.T, dir, args string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(append([]string{"--root", dir}, strings.Fields(args)...), &out, &errOut)
	return fmt.Sprintf("$ cgdeleg %s\n%s-- standard error --\n%s-- exit code %d --\n", args, &out, &errOut, code)
}
