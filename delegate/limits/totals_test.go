package limits_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

const meminfo = "MemTotal:        2000000 kB\nMemFree:          500000 kB\nSwapTotal:       1000000 kB\nHugePages_Total:       0\n"

func TestReadTotals(t *testing.T) {
	whole := map[string]string{"proc/meminfo": meminfo, "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "15000\n"}
	all := limits.Totals{limits.MemoryMax: 2048000000, limits.MemorySwapMax: 1024000000, limits.PidsMax: 15000}
	but := func(name limits.Name, n uint64) limits.Totals {
		totals := maps.Clone(all)
		totals[name] = n
		return totals
	}
	const slice = "user.slice/user-1000.slice"
	for _, test := range []struct {
		name, machine, below string
		files                map[string]string
		want                 limits.Totals
	}{
		{"no limit above", "debian12-v2-systemd", slice, map[string]string{"sys/fs/cgroup/user.slice/memory.max": "max\n"}, all},
		{"a limit above", "debian12-v2-systemd", slice, map[string]string{"sys/fs/cgroup/user.slice/memory.max": "1073741824\n"}, but(limits.MemoryMax, 1<<30)},
		{"its own limit is none above", "debian12-v2-systemd", slice, map[string]string{"sys/fs/cgroup/" + slice + "/memory.max": "1073741824\n"}, all},
		{"its own counts for its sessions", "debian12-v2-systemd", slice + "/session-1.scope", map[string]string{
			"sys/fs/cgroup/user.slice/pids.max": "900\n", "sys/fs/cgroup/" + slice + "/pids.max": "500\n"}, but(limits.PidsMax, 500)},
		{"a cgroup that is not there yet", "debian12-v2-systemd", "user.slice/user-7.slice/session-1.scope", map[string]string{"sys/fs/cgroup/user.slice/pids.max": "900\n"}, but(limits.PidsMax, 900)},
		{"a container's own root", "debian12-v2-systemd", slice, map[string]string{"sys/fs/cgroup/memory.swap.max": "0\n"}, but(limits.MemorySwapMax, 0)},
		{"more than the machine has", "debian12-v2-systemd", slice, map[string]string{"sys/fs/cgroup/user.slice/memory.max": "1099511627776\n"}, all},
		{"v1", "hybrid-systemd", slice, map[string]string{"sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes": "1000000\n", "sys/fs/cgroup/pids/user.slice/pids.max": "77\n"},
			limits.Totals{limits.MemoryMax: 1000000, limits.MemorySwapMax: 1024000000, limits.PidsMax: 77}},
		{"v1 without a limit", "hybrid-systemd", slice, map[string]string{"sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes": "9223372036854771712\n"}, all},
		{"nothing is known", "debian12-v2-systemd", slice, map[string]string{"proc/meminfo": "", "proc/sys/kernel/pid_max": "", "proc/sys/kernel/threads-max": "x"}, limits.Totals{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := machinetest.Copy(t, "../testdata/"+test.machine)
			files := maps.Clone(whole)
			maps.Copy(files, test.files)
			for name, content := range files {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m := machine.Recorded(dir)
			set, err := hierarchy.Find(m)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			if got := limits.ReadTotals(m, set, test.below); !maps.Equal(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}
