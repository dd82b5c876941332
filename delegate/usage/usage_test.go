package usage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// recorded is a machine that has these files (path to content), of which those with the
// content "absent" are known not to be there.
func recorded(t *testing.T, all ...map[string]string) machine.Machine {
	t.Helper()
	dir, absent := t.TempDir(), ""
	for _, files := range all {
		for name, content := range files {
			if content == "absent" {
				absent += "/" + name + "\n"
				continue
			}
			machinetest.Write(t, dir, name, content)
		}
	}
	machinetest.Write(t, dir, machine.AbsentFile, absent)
	return machine.Recorded(dir)
}

// below puts files into a cgroup.
func below(dir string, files map[string]string) map[string]string {
	all := map[string]string{dir + "/cgroup.procs": ""}
	for name, content := range files {
		all[dir+"/"+name] = content
	}
	return all
}

var v2 = map[string]string{
	"proc/self/mountinfo":            "1 1 0:1 / /u rw - cgroup2 c rw\n",
	"proc/1/cgroup":                  "0::/\n",
	"u/cgroup.controllers":           "memory pids cpu io\n",
	"u/user/alice/cgroup.procs":      "",
	"u/user/cgroup.procs":            "",
	"u/user/memory.max":              "max\n",
	"u/user/alice/0/cgroup.procs":    "",
	"u/memory.max":                   "absent",
	"u/user/alice/memory.events":     "low 0\nmax 7\noom 2\noom_kill 1\n",
	"u/user/alice/0/memory.current":  "1000\n",
	"u/user/alice/0/init.scope/x":    "",
	"u/user/alice/memory.current":    "3000\n",
	"u/user/alice/memory.max":        "4000\n",
	"u/user/alice/0/memory.max":      "max\n",
	"u/user/alice/0/memory.peak":     "2000\n",
	"u/user/alice/0/memory.pressure": "some avg10=1.25 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n",
}

func of(t *testing.T, m machine.Machine) User {
	t.Helper()
	sessions, _, err := delegate.Sessions(m)
	if err != nil {
		t.Fatal(err)
	}
	users, err := Of(m, sessions)
	if err != nil || len(users) != 1 || len(users[0].Sessions) != 1 {
		t.Fatalf("got %+v, %v", users, err)
	}
	return users[0]
}

func found(n int64) Count { return Count{machine.Found, n} }

func TestOfV2(t *testing.T) {
	u := of(t, recorded(t, v2, below("u/user/alice", map[string]string{
		"cgroup.controllers": "cpu memory pids\n",
		"memory.high":        "3500\n", "memory.swap.max": "max\n", "memory.events.local": "max 0\noom_kill 0\n",
		"cpu.max": "150000 100000\n", "cpu.stat": "usage_usec 5\nuser_usec 3\nnr_periods 10\nnr_throttled 4\nthrottled_usec 20\n",
		"pids.current": "12\n", "pids.max": "64\n", "pids.events": "max 1\n", "pids.events.local": "absent", "pids.peak": "absent",
		"io.stat": "8:0 rbytes=100 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=20 wbytes=3 rios=1 wios=1 dbytes=0 dios=0\n",
	}), below("u/user/alice/0", map[string]string{
		"memory.events.local": "max 0\noom_kill 0\n", "pids.events": "max 5\n", "pids.events.local": "absent", "cpu.max": "max 100000\n",
	}), below("u/user/alice/0/init.scope", map[string]string{
		"pids.events": "max 2\n", "memory.events.local": "oom_kill 0\n",
	})))
	want := map[string]any{
		"memory": found(3000), "peak": Count{}, "kills": found(1), "hits": found(7), "refused": found(8),
		"cpu": found(5000), "periods": found(10), "throttled": found(4), "throttled time": found(20000), "cpu.max": int64(15000),
		"processes": found(12), "processes' peak": Count{Answer: machine.Absent}, "read": found(120), "written": found(13),
		"high": "memory.high /user/alice 3500 of 3000 true", "max": "memory.max /user/alice 4000 of 3000 true",
		"swap": false, "controllers": "[memory cpu pids]",
	}
	got := map[string]any{
		"memory": u.Usage.Memory.Now, "peak": u.Usage.Memory.Peak, "kills": u.Usage.Memory.OOMKills, "hits": u.Usage.Memory.Hits, "refused": u.Usage.Processes.Refused,
		"cpu": u.Usage.CPU.Used, "periods": u.Usage.CPU.Periods, "throttled": u.Usage.CPU.Throttled, "throttled time": u.Usage.CPU.ThrottledTime, "cpu.max": u.Usage.CPU.Max.N,
		"processes": u.Usage.Processes.Now, "processes' peak": u.Usage.Processes.Peak, "read": u.Usage.IO.Read, "written": u.Usage.IO.Written,
		"high": words(u.Usage.Memory.High), "max": words(u.Usage.Memory.Max), "swap": u.Usage.Memory.SwapMax.IsSet, "controllers": fmt.Sprint(u.Controllers),
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s: %+v, want %+v", name, got[name], want[name])
		}
	}
	s := u.Sessions[0]
	if got, want := words(s.Usage.Memory.Max), "memory.max /user/alice 4000 of 3000 false"; got != want {
		t.Errorf("session: %s, want %s", got, want)
	}
	if s.Usage.Memory.Now != found(1000) || s.Usage.Memory.Peak != found(2000) || s.Usage.Memory.Pressure != (Pressure{machine.Found, 125, 50}) || s.Usage.Processes.Refused != found(7) {
		t.Errorf("session: %+v", s.Usage)
	}
}

func words(l Limit) string {
	return fmt.Sprintf("%s %s %d of %d %v", l.File, l.FromBase, l.N, l.Used.N, l.IsOwn)
}

// The limit that binds, in a tree with some values at each level.
func TestLimit(t *testing.T) {
	for name, test := range map[string]struct {
		top, users, user, session string
		want                      string
		answer                    machine.Answer
	}{
		"none":                          {"absent", "max", "max", "max", "", machine.Found},
		"its own":                       {"absent", "max", "max", "5", "/user/alice/0 5 true", machine.Found},
		"the lower one, though above":   {"absent", "max", "4", "5", "/user/alice 4 false", machine.Found},
		"of two equal ones the nearest": {"absent", "4", "4", "max", "/user/alice 4 false", machine.Found},
		"a container's":                 {"3", "max", "max", "5", "/ 3 false", machine.Found},
		"nobody counts":                 {"absent", "absent", "absent", "absent", "", machine.Absent},
		"the session has no controller": {"absent", "max", "4", "absent", "/user/alice 4 false", machine.Found},
		"one is not known":              {"absent", "", "max", "max", "", machine.Unknown},
		"not known, and another set":    {"absent", "", "4", "max", "/user/alice 4 false", machine.Found},
		"not what the kernel writes":    {"absent", "max", "many", "max", "", machine.Unknown},
		"zero":                          {"absent", "max", "0", "max", "/user/alice 0 false", machine.Found},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(v2)
			for path, value := range map[string]string{
				"u/memory.max": test.top, "u/user/memory.max": test.users, "u/user/alice/memory.max": test.user, "u/user/alice/0/memory.max": test.session,
			} {
				delete(files, path)
				if value != "" {
					files[path] = value
				}
			}
			l := of(t, recorded(t, files)).Sessions[0].Usage.Memory.Max
			got := ""
			if l.IsSet {
				got = fmt.Sprintf("%s %d %v", l.FromBase, l.N, l.IsOwn)
			}
			if got != test.want || l.Answer != test.answer {
				t.Errorf("got %q, %d; want %q, %d", got, l.Answer, test.want, test.answer)
			}
		})
	}
}

// v1: what is counted where it happens is added up; v2 beside it has the pressure, and the
// CPU time where no cpuacct is.
func TestOfV1(t *testing.T) {
	mounts, members := "", ""
	for i, name := range []string{"memory", "cpu", "cpuacct", "pids", "blkio"} {
		mounts += fmt.Sprintf("1 1 0:%d / /%s rw - cgroup c rw,%s\n", i+1, name, name)
		members += fmt.Sprintf("%d:%s:/\n", i+1, name)
	}
	files := map[string]string{
		"proc/self/mountinfo":  mounts + "1 1 0:9 / /u rw - cgroup2 c rw\n",
		"proc/1/cgroup":        members + "0::/\n",
		"u/cgroup.controllers": "",
		"pids/pids.max":        "absent", "pids/user/pids.max": "max\n",
	}
	for path, kills := range map[string]string{"": "0", "/0": "2", "/0/lxc": "3"} {
		maps.Copy(files, below("memory/user/alice"+path, map[string]string{
			"memory.usage_in_bytes": "3000\n", "memory.max_usage_in_bytes": "4000\n", "memory.limit_in_bytes": "9223372036854771712\n",
			"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill " + kills + "\n", "memory.failcnt": "9\n",
			"memory.stat": "cache 1\nswap 2\ntotal_cache 1\ntotal_swap 77\n", "memory.memsw.limit_in_bytes": "absent",
		}))
		maps.Copy(files, below("pids/user/alice"+path, map[string]string{"pids.current": "5\n", "pids.max": "max\n", "pids.events": "max 1\n"}))
		maps.Copy(files, below("cpu/user/alice"+path, map[string]string{
			"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n", "cpu.stat": "nr_periods 4\nnr_throttled 3\nthrottled_time 2\n",
		}))
		maps.Copy(files, below("blkio/user/alice"+path, map[string]string{
			"blkio.throttle.io_service_bytes": "8:0 Read 100\n8:0 Write 5\n8:0 Total 105\nTotal 105\n", "blkio.throttle.io_service_bytes_recursive": "absent",
		}))
		maps.Copy(files, below("u/user/alice"+path, map[string]string{"cpu.stat": "usage_usec 6\n", "cpu.pressure": "some avg10=99.99 avg60=0.00 avg300=0.00 total=1\n"}))
	}
	files["memory/user/memory.limit_in_bytes"], files["memory/user/cgroup.procs"] = "6000\n", ""
	files["cpu/user/cpu.cfs_quota_us"], files["cpu/user/cpu.cfs_period_us"] = "20000\n", "100000\n"
	u := of(t, recorded(t, files))
	s := u.Sessions[0]
	for name, test := range map[string]struct{ got, want any }{
		"memory":           {u.Usage.Memory.Now, found(3000)},
		"peak":             {u.Usage.Memory.Peak, found(4000)},
		"swap":             {u.Usage.Memory.Swap, found(77)},
		"memsw":            {u.Usage.Memory.TotalMax.IsSet, false},
		"hits":             {u.Usage.Memory.Hits, found(9)},
		"limit":            {s.Usage.Memory.Max.FromBase, "/user"},
		"high":             {u.Usage.Memory.High, Limit{Answer: machine.Absent}},
		"kills":            {u.Usage.Memory.OOMKills, found(5)},
		"session's kills":  {s.Usage.Memory.OOMKills, found(5)},
		"refused":          {u.Usage.Processes.Refused, found(3)},
		"session's":        {s.Usage.Processes.Refused, found(2)},
		"no limit":         {u.Usage.Processes.Max, Limit{Answer: machine.Found}},
		"quota":            {u.Usage.CPU.Max.N, int64(2000)},
		"throttled":        {u.Usage.CPU.ThrottledTime, found(2)},
		"cpu time":         {u.Usage.CPU.Used, found(6000)},
		"read":             {u.Usage.IO.Read, found(300)},
		"pressure":         {s.Usage.CPU.Pressure, Pressure{machine.Found, 9999, 0}},
		"memory pressure":  {s.Usage.Memory.Pressure, Pressure{}},
		"controllers":      {strings.Join(u.Controllers, " "), "memory cpu pids io"},
		"grouped":          {u.IsGrouped, true},
		"session's number": {s.Number, 0},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, test.got, test.want)
		}
	}
}

// Where nothing is counted, all is absent, and where too little was recorded, unknown.
func TestOfNothing(t *testing.T) {
	freezer := map[string]string{
		"proc/self/mountinfo":         "1 1 0:1 / /f rw - cgroup c rw,freezer\n",
		"proc/1/cgroup":               "1:freezer:/\n",
		"f/user/alice/0/cgroup.procs": "",
	}
	u := of(t, recorded(t, freezer))
	for name, answer := range answersOf(u.Sessions[0].Usage) {
		if answer != machine.Absent {
			t.Errorf("freezer alone: %s: %d", name, answer)
		}
	}
	u = of(t, recorded(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "u/cgroup.controllers": "memory\n",
		"u/user/alice/0/cgroup.procs": "",
	}))
	for name, answer := range answersOf(u.Sessions[0].Usage) {
		if answer != machine.Unknown && name != "total" {
			t.Errorf("not recorded: %s: %d", name, answer)
		}
	}
}

func answersOf(u Usage) map[string]machine.Answer {
	return map[string]machine.Answer{
		"memory": u.Memory.Now.Answer, "peak": u.Memory.Peak.Answer, "max": u.Memory.Max.Answer, "swap": u.Memory.Swap.Answer,
		"total": u.Memory.TotalMax.Answer, "kills": u.Memory.OOMKills.Answer, "hits": u.Memory.Hits.Answer, "memory.pressure": u.Memory.Pressure.Answer,
		"cpu": u.CPU.Used.Answer, "cpu.max": u.CPU.Max.Answer, "throttled": u.CPU.Throttled.Answer, "cpu.pressure": u.CPU.Pressure.Answer,
		"pids": u.Processes.Now.Answer, "pids.max": u.Processes.Max.Answer, "refused": u.Processes.Refused.Answer,
		"io": u.IO.Read.Answer, "io.pressure": u.IO.Pressure.Answer,
	}
}

// On systemd a user's cgroup is the slice, and an account without session is found by it.
func TestOfSlice(t *testing.T) {
	m := recorded(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/init.scope\n", "run/systemd/system/x": "",
		"u/cgroup.controllers": "memory\n", "u/init.scope/cgroup.procs": "1\n",
		"u/user.slice/user-1000.slice/memory.current":                          "70\n",
		"u/user.slice/user-1000.slice/memory.max":                              "100\n",
		"u/user.slice/user-1000.slice/session-1.scope/init.scope/cgroup.procs": "10\n",
		"u/user.slice/user-1000.slice/session-1.scope/memory.current":          "60\n",
	})
	sessions, _, err := delegate.Sessions(m)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%+v, %v", sessions, err)
	}
	sessions[0].User = "alice"
	users, err := Of(m, sessions, Account{"bob", 1001}, Account{"alice", 1000})
	if err != nil || len(users) != 1 {
		t.Fatalf("%+v, %v", users, err)
	}
	u := users[0]
	if percent, ok := u.Usage.Memory.Max.Percent(); !ok || percent != 70 || u.Usage.Memory.Now != found(70) || u.Sessions[0].Usage.Memory.Now != found(60) {
		t.Errorf("got %+v", u)
	}
	if users, err = Of(m, nil, Account{"alice", 1000}); err != nil || len(users) != 1 || users[0].Usage.Memory.Now != found(70) {
		t.Errorf("without session: %+v, %v", users, err)
	}
}

// elogind's scopes are in no cgroup that is the user's: what they use is added up.
func TestOfScopesAlone(t *testing.T) {
	m := recorded(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "run/systemd/sessions/1": "",
		"u/cgroup.controllers": "memory\n",
		"u/1/memory.current":   "70\n", "u/1/cgroup.procs": "", "u/1/init.scope/cgroup.procs": "10\n",
		"u/2/memory.current": "5\n", "u/2/cgroup.procs": "", "u/2/init.scope/cgroup.procs": "11\n",
	})
	sessions, _, err := delegate.Sessions(m)
	if err != nil || len(sessions) != 2 {
		t.Fatalf("%+v, %v", sessions, err)
	}
	for i := range sessions {
		sessions[i].User = "alice"
	}
	users, err := Of(m, sessions)
	if err != nil || len(users) != 1 || users[0].IsGrouped || users[0].Usage.Memory.Now != found(75) || users[0].Usage.Processes.Now.Answer != machine.Unknown {
		t.Errorf("%+v, %v", users, err)
	}
}

func TestParsers(t *testing.T) {
	for name, test := range map[string]struct {
		parse  parser
		text   string
		n      int64
		answer machine.Answer
	}{
		"number":            {number, "12\n", 12, machine.Found},
		"empty":             {number, "", 0, machine.Unknown},
		"max":               {numberOrMax, "max\n", unlimited, machine.Found},
		"v1's max":          {bytesV1, "9223372036854771712\n", unlimited, machine.Found},
		"v1's max of 64K":   {bytesV1, "9223372036854710272\n", unlimited, machine.Found},
		"cpu.max":           {cpuMax, "20000 100000\n", 2000, machine.Found},
		"cpu.max of 4 CPUs": {cpuMax, "200000 50000\n", 40000, machine.Found},
		"cpu.max, none":     {cpuMax, "max 100000\n", unlimited, machine.Found},
		"cpu.max, half":     {cpuMax, "20000\n", 0, machine.Unknown},
		"cpu.max by zero":   {cpuMax, "20000 0\n", 0, machine.Unknown},
		"key":               {keyed("max"), "low 1\nmax 2\n", 2, machine.Found},
		"key is a prefix":   {keyed("oom"), "oom_kill 2\n", 0, machine.Absent},
		"key, garbage":      {keyed("max"), "max x\n", 0, machine.Unknown},
		"io.stat":           {perDevice("rbytes"), "8:0 rbytes=1 wbytes=2\n8:1 rbytes=4 wbytes=2\n", 5, machine.Found},
		"io.stat, empty":    {perDevice("rbytes"), "", 0, machine.Found},
		"io.stat, garbage":  {perDevice("rbytes"), "8:0 rbytes=x\n", 0, machine.Unknown},
		"blkio":             {operation("Read"), "8:0 Read 1\n8:0 Write 3\n8:1 Read 2\nTotal 6\n", 3, machine.Found},
		"blkio, garbage":    {operation("Read"), "8:0 Read -\n", 0, machine.Unknown},
		"pressure":          {avg10("full"), "some avg10=1.00 avg60=0\nfull avg10=0.07 avg60=0\n", 7, machine.Found},
		"pressure, old":     {avg10("full"), "some avg10=1.00 avg60=0\n", 0, machine.Absent},
		"pressure, garbage": {avg10("some"), "some avg10=\n", 0, machine.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if n, answer := test.parse(test.text); n != test.n || answer != test.answer {
				t.Errorf("got %d, %d; want %d, %d", n, answer, test.n, test.answer)
			}
		})
	}
}

// What a user wrote cannot be in these files, but the kernel's own may change.
func FuzzParsers(f *testing.F) {
	f.Add("some avg10=1.25 avg60=0\n")
	f.Add("8:0 rbytes=1 wbytes=2\n")
	f.Add("max 100000\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range map[string]parser{
			"number": number, "max": numberOrMax, "v1": bytesV1, "cpu": cpuMax, "key": keyed("max"), "io": perDevice("rbytes"), "blkio": operation("Read"), "avg": avg10("some"),
		} {
			if n, answer := parse(text); answer != machine.Found && n != 0 && name != "v1" {
				t.Errorf("%s: %d is said where nothing was found", name, n)
			}
		}
	})
}
