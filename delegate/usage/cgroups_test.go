package usage

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Which limit of memory a command has reached is told by what was counted while it ran.
func TestReached(t *testing.T) {
	const (
		v1   = "1 1 0:1 / /m rw - cgroup c rw,memory\n"
		v2   = "1 1 0:1 / /m rw - cgroup2 c rw\n"
		none = "9223372036854771712\n"
	)
	for _, test := range []struct {
		name       string
		mount      string
		files      map[string]string // below /m, before
		later      map[string]string
		file, path string // of the limit that was reached; "": none was
	}{
		{"v2, its own", v2,
			map[string]string{"u/run-1/memory.max": "4096\n", "u/run-1/memory.events": "oom 0\n", "u/memory.max": "8192\n", "u/memory.events": "oom 3\n"},
			map[string]string{"u/run-1/memory.events": "oom 1\n", "u/memory.events": "oom 4\n"}, "memory.max", "/u/run-1"},
		{"v2, one above", v2,
			map[string]string{"u/run-1/memory.max": "4096\n", "u/run-1/memory.events": "oom 0\n", "u/memory.max": "8192\n", "u/memory.events": "oom 3\n"},
			map[string]string{"u/memory.events": "oom 4\n"}, "memory.max", "/u"},
		{"v2, none of its own", v2,
			map[string]string{"u/run-1/memory.max": "max\n", "u/run-1/memory.events": "oom 0\n", "u/memory.max": "8192\n", "u/memory.events": "oom 3\n"},
			map[string]string{"u/run-1/memory.events": "oom 1\n", "u/memory.events": "oom 4\n"}, "memory.max", "/u"},
		{"v2, of before", v2,
			map[string]string{"u/run-1/memory.max": "4096\n", "u/run-1/memory.events": "oom 0\n", "u/memory.max": "8192\n", "u/memory.events": "oom 3\n"}, nil, "", ""},
		{"v1, its own", v1,
			map[string]string{"u/run-1/memory.limit_in_bytes": "4096\n", "u/run-1/memory.failcnt": "0\n", "u/memory.limit_in_bytes": none, "u/memory.failcnt": "0\n"},
			map[string]string{"u/run-1/memory.failcnt": "7\n"}, "memory.limit_in_bytes", "/u/run-1"},
		{"v1, with swap space, which is not counted", v1,
			map[string]string{
				"u/run-1/memory.limit_in_bytes": "67108864\n", "u/run-1/memory.failcnt": "0\n", "u/run-1/memory.max_usage_in_bytes": "4096\n",
				"u/run-1/memory.memsw.limit_in_bytes": "77108864\n", "u/run-1/memory.memsw.failcnt": "0\n", "u/run-1/memory.memsw.max_usage_in_bytes": "4096\n",
			},
			map[string]string{"u/run-1/memory.max_usage_in_bytes": "60000000\n", "u/run-1/memory.memsw.max_usage_in_bytes": "77106000\n"}, "memory.memsw.limit_in_bytes", "/u/run-1"},
		{"v1, above, where it was full before", v1,
			map[string]string{
				"u/run-1/memory.limit_in_bytes": "67108864\n", "u/run-1/memory.failcnt": "0\n", "u/run-1/memory.max_usage_in_bytes": "4096\n",
				"u/memory.limit_in_bytes": "67108864\n", "u/memory.failcnt": "5\n", "u/memory.max_usage_in_bytes": "67108864\n",
			},
			map[string]string{"u/run-1/memory.max_usage_in_bytes": "8192\n"}, "", ""},
		{"nothing is counted", v1, map[string]string{"u/run-1/memory.limit_in_bytes": "4096\n"}, nil, "", ""},
		{"no memory", "1 1 0:1 / /m rw - cgroup c rw,freezer\n", map[string]string{"u/run-1/memory.limit_in_bytes": "4096\n"}, nil, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, members := "memory", "1:memory:/\n"
			switch {
			case test.mount == v2:
				name, members = "unified", "0::/\n"
			case test.name == "no memory":
				name, members = "freezer", "1:freezer:/\n"
			}
			base := map[string]string{"proc/self/mountinfo": test.mount, "proc/1/cgroup": members, "m/cgroup.controllers": "memory\n", "m/cgroup.procs": ""}
			look := func(files ...map[string]string) []MemoryLimit {
				all, err := MemoryLimits(recorded(t, append(files, base)...), []delegate.Cgroup{{Hierarchy: name, Path: "/u/run-1"}})
				if err != nil {
					t.Fatal(err)
				}
				return all
			}
			before, after := look(below("m", test.files)), look(below("m", test.files), below("m", test.later))
			l, ok := Reached(before, after)
			if ok != (test.file != "") || l.File != test.file || l.Path != test.path || ok && l.IsOwn != (test.path == "/u/run-1") {
				t.Errorf("got %+v, %v, want %s of %s", l, ok, test.file, test.path)
			}
		})
	}
}

// What is used in cgroups that are named, and not found by a session.
func TestOfCgroups(t *testing.T) {
	m := recorded(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /m rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "m/cgroup.controllers": "memory pids\n", "m/cgroup.procs": "",
		"m/u/run-1/memory.peak": "4096\n", "m/u/run-1/pids.peak": "7\n", "m/u/run-1/cpu.stat": "usage_usec 2000\n", "m/u/run-1/memory.events": "absent",
	})
	u, err := OfCgroups(m, []delegate.Cgroup{{Hierarchy: "unified", Path: "/u/run-1"}, {Hierarchy: "gone", Path: "/"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][2]Count{
		"memory": {u.Memory.Peak, {machine.Found, 4096}}, "processes": {u.Processes.Peak, {machine.Found, 7}}, "cpu": {u.CPU.Used, {machine.Found, 2000000}},
		"oom": {u.Memory.OOMKills, {machine.Absent, 0}},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %+v, want %+v", name, got[0], got[1])
		}
	}
}
