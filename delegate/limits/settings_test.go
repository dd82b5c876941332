package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// files are what a machine has.
type files = machinetest.Files

// recorded returns a machine with these files, and its hierarchies; what it has not was
// absent.
func recorded(t *testing.T, all ...files) (machine.Machine, *hierarchy.Set) {
	t.Helper()
	m := machine.Recorded(machinetest.Make(t, append([]files{{machine.StatFile: ""}}, all...)...))
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return m, set
}

// resources are what percentages can be of.
var resources = files{
	"proc/meminfo":                    "MemTotal:        8388608 kB\nMemFree: 1 kB\nSwapTotal:       2097152 kB\n",
	"sys/devices/system/cpu/possible": "0-7\n",
	"proc/sys/kernel/pid_max":         "32768\n",
	"proc/sys/kernel/threads-max":     "60000\n",
}

// onV2 is a machine with cgroup v2 alone, mounted on /u.
func onV2(t *testing.T, some ...files) (machine.Machine, *hierarchy.Set) {
	const all = "cpuset cpu io memory pids\n"
	return recorded(t, append([]files{resources, {
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n",
		"u/cgroup.controllers": all, "u/user/alice/cgroup.controllers": all,
		"u/user/alice/io.weight": "default 100\n", "u/user/alice/memory.max": "max\n", "u/user/alice/pids.max": "max\n",
	}}, some...)...)
}

// onV1 is a machine with some v1 hierarchies, each mounted below /v.
func onV1(t *testing.T, some ...files) (machine.Machine, *hierarchy.Set) {
	mounts, init := "", ""
	all := files{}
	for i, c := range []string{"memory", "cpu", "pids", "blkio", "cpuset"} {
		mounts += fmt.Sprintf("%d 1 0:%d / /v/%s rw - cgroup c rw,%s\n", i+2, i+2, c, c)
		init += fmt.Sprintf("%d:%s:/\n", i+2, c)
		all["v/"+c+"/tasks"], all["v/"+c+"/user/alice/tasks"] = "", ""
	}
	all["proc/self/mountinfo"], all["proc/1/cgroup"] = mounts, init
	all["v/memory/user/alice/memory.memsw.limit_in_bytes"] = "9223372036854771712\n"
	all["v/memory/user/alice/memory.limit_in_bytes"] = "9223372036854771712\n"
	all["v/memory/user/alice/memory.use_hierarchy"] = "1\n"
	all["v/cpuset/user/cpuset.cpus"] = "0-3\n"
	all["v/blkio/user/alice/blkio.bfq.weight"] = "100\n"
	return recorded(t, append([]files{resources, all}, some...)...)
}

// list returns the limits of a line.
func list(t *testing.T, words ...string) (all []Limit) {
	t.Helper()
	for _, word := range words {
		l, err := Parse(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// settingsOf returns what the words come to in /user/alice of all hierarchies, FILE=VALUE,
// and the errors.
func settingsOf(t *testing.T, m machine.Machine, set *hierarchy.Set, above []Setting, words ...string) (all, faults []string) {
	t.Helper()
	for _, h := range set.All {
		settings, errs := Settings(Place{Machine: m, Hierarchy: h, Path: "/user/alice", Above: above}, list(t, words...))
		for _, s := range settings {
			all = append(all, s.File+"="+s.Value)
		}
		for _, err := range errs {
			faults = append(faults, err.Error())
		}
	}
	return all, faults
}

// What each limit comes to on cgroup v2 and on v1.
func TestSettings(t *testing.T) {
	for _, test := range []struct {
		name   string
		words  string // separated by ";"
		v2, v1 string // FILE=VALUE, separated by ";"
		lost   string // a part of what is said on v1
	}{
		{"memory", "memory.max=2G", "memory.max=2147483648", "memory.limit_in_bytes=2147483648", ""},
		{"to whole pages", "memory.max=5000", "memory.max=4096", "memory.limit_in_bytes=4096", ""},
		{"no memory limit", "memory.max=max", "memory.max=max", "memory.limit_in_bytes=-1", ""},
		{"a quarter of the machine", "memory.max=25%", "memory.max=2147483648", "memory.limit_in_bytes=2147483648", ""},
		{"high", "memory.high=1G", "memory.high=1073741824", "", "memory.high cannot be set in hierarchy memory"},
		{"swap", "memory.max=1G;memory.swap.max=1G", "memory.max=1073741824;memory.swap.max=1073741824", "memory.limit_in_bytes=1073741824;memory.memsw.limit_in_bytes=2147483648", ""},
		{"no swap", "memory.swap.max=0;memory.max=1G", "memory.swap.max=0;memory.max=1073741824", "memory.memsw.limit_in_bytes=1073741824;memory.limit_in_bytes=1073741824", ""},
		{"half of the swap", "memory.max=1G;memory.swap.max=50%", "memory.max=1073741824;memory.swap.max=1073741824", "memory.limit_in_bytes=1073741824;memory.memsw.limit_in_bytes=2147483648", ""},
		{"swap alone", "memory.swap.max=1G", "memory.swap.max=1073741824", "", "only together with memory"},
		{"swap without limit", "memory.swap.max=max", "memory.swap.max=max", "memory.memsw.limit_in_bytes=-1", ""},
		{"four CPUs", "cpu.max=400%", "cpu.max=400000 100000", "cpu.cfs_period_us=100000;cpu.cfs_quota_us=400000", ""},
		{"the kernel's quota", "cpu.max=5000 20000", "cpu.max=5000 20000", "cpu.cfs_period_us=20000;cpu.cfs_quota_us=5000", ""},
		{"no quota", "cpu.max=max", "cpu.max=max 100000", "cpu.cfs_period_us=100000;cpu.cfs_quota_us=-1", ""},
		{"weight", "cpu.weight=200", "cpu.weight=200", "cpu.shares=2048", ""},
		{"the least weight", "cpu.weight=1", "cpu.weight=1", "cpu.shares=10", ""},
		{"the largest weight", "cpu.weight=10000", "cpu.weight=10000", "cpu.shares=102400", ""},
		{"processes", "pids.max=100", "pids.max=100", "pids.max=100", ""},
		{"half of the processes", "pids.max=50%", "pids.max=16384", "pids.max=16384", ""},
		{"CPUs", "cpuset.cpus=2-9", "cpuset.cpus=2-7", "cpuset.cpus=2-3", ""},
		{"other CPUs", "cpuset.cpus=4-5", "cpuset.cpus=4-5", "", "the cgroup above has none of these CPUs, but 0-3"},
		{"rates", "io.max=8:0 rbps=1M wiops=max", "io.max=8:0 rbps=1048576 wbps=max riops=max wiops=max", "blkio.throttle.read_bps_device=8:0 1048576;blkio.throttle.write_iops_device=8:0 0", ""},
		{"weight of input and output", "io.weight=1000", "io.weight=default 1000", "blkio.bfq.weight=181", ""},
		{"for a device", "io.weight=8:0 50", "io.weight=8:0 50", "blkio.bfq.weight_device=8:0 50", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			words := strings.Split(test.words, ";")
			m, set := onV2(t)
			got, faults := settingsOf(t, m, set, nil, words...)
			if strings.Join(got, ";") != test.v2 || len(faults) > 0 {
				t.Errorf("on v2 %q, %q; want %q", got, faults, test.v2)
			}
			m, set = onV1(t)
			got, faults = settingsOf(t, m, set, nil, words...)
			if strings.Join(got, ";") != test.v1 || (len(faults) > 0) != (test.lost != "") || !strings.Contains(strings.Join(faults, "\n"), test.lost) {
				t.Errorf("on v1 %q, %q; want %q, %q", got, faults, test.v1, test.lost)
			}
		})
	}
}

// Of what a percentage is.
func TestPercentages(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		name  string
		some  files
		above []Setting
		want  string
	}{
		{"the machine", nil, nil, fmt.Sprint(4 * gib)},
		{"user/", files{"u/user/memory.max": fmt.Sprintf("%d\n", 2*gib)}, nil, fmt.Sprint(gib)},
		{"user/ has none", files{"u/user/memory.max": "max\n"}, nil, fmt.Sprint(4 * gib)},
		{"more than the machine has", files{"u/user/memory.max": fmt.Sprintf("%d\n", 100*gib)}, nil, fmt.Sprint(4 * gib)},
		{"about to be written", files{"u/user/memory.max": fmt.Sprintf("%d\n", 2*gib)}, []Setting{{File: "memory.max", Value: fmt.Sprint(gib)}}, fmt.Sprint(gib / 2)},
		{"throttled above", files{"u/user/memory.high": fmt.Sprintf("%d\n", gib)}, nil, fmt.Sprint(4 * gib)},
		{"about to be lifted", files{"u/user/memory.max": fmt.Sprintf("%d\n", 2*gib)}, []Setting{{File: "memory.max", Value: "max"}}, fmt.Sprint(gib)},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, set := onV2(t, test.some)
			got, faults := settingsOf(t, m, set, test.above, "memory.max=50%", "memory.high=50%")
			if !slices.Equal(got, []string{"memory.max=" + test.want, "memory.high=" + test.want}) {
				t.Errorf("%q, %q; want %s", got, faults, test.want)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		m, set := onV2(t, files{"proc/meminfo": "nothing\n", "proc/sys/kernel/pid_max": "x\n"})
		var unexpected *UnexpectedError
		for _, word := range []string{"memory.max=1%", "pids.max=1%"} {
			_, errs := Settings(Place{Machine: m, Hierarchy: set.All[0], Path: "/user/alice"}, list(t, word))
			if len(errs) != 1 || !errors.As(errs[0], &unexpected) {
				t.Errorf("%s: %v", word, errs)
			}
		}
	})
}

// Before Linux 5.11 a limit did not hold for what is below, unless that was asked for.
func TestUseHierarchy(t *testing.T) {
	m, set := onV1(t, files{"v/memory/user/alice/memory.use_hierarchy": "0\n"})
	got, _ := settingsOf(t, m, set, nil, "memory.max=1M")
	if want := []string{"memory.use_hierarchy=1", "memory.limit_in_bytes=1048576"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Which device is meant by a path cannot be asked of a recorded machine; of this one it can.
func TestDevice(t *testing.T) {
	var m machine.Machine
	at := Place{Machine: m}
	for _, path := range []string{"/proc/self/status", "/nosuch"} {
		if number, err := at.deviceNumber(path); err == nil {
			t.Errorf("%s is on %s", path, number)
		}
	}
	blocks, _ := filepath.Glob("/sys/class/block/*/partition")
	for _, partition := range blocks {
		dir := filepath.Dir(partition)
		disk, err := os.ReadFile(filepath.Join(dir, "..", "dev"))
		resolved, err2 := filepath.EvalSymlinks(dir)
		if err := errors.Join(err, err2); err != nil {
			disk, err = os.ReadFile(filepath.Join(filepath.Dir(resolved), "dev"))
			if err != nil {
				continue
			}
		}
		if number, err := at.deviceNumber("/dev/" + filepath.Base(dir)); err == nil && number != strings.TrimSpace(string(disk)) {
			t.Errorf("%s: %s, want the disk's %s", dir, number, disk)
		}
	}
	recordedOne, _ := recorded(t, files{"proc/self/mountinfo": "", "proc/1/cgroup": "0::/\n"})
	if _, err := (Place{Machine: recordedOne}).deviceNumber("/"); err == nil {
		t.Error("a recorded machine knows a device")
	}
}

// open opens alice's cgroup in the first hierarchy that has the controller.
func open(t *testing.T, set *hierarchy.Set, controller string) (h *hierarchy.Hierarchy, dir *cgroupfs.Dir) {
	t.Helper()
	for _, h := range set.All {
		if h.Has(controller) {
			dir, err := h.OpenBelow("/user/alice")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(dir.Close)
			return h, dir
		}
	}
	t.Fatal("no hierarchy has ", controller)
	return nil, nil
}

// What is written where something is set already.
func TestUpdate(t *testing.T) {
	const page = 4096
	for _, test := range []struct {
		name, file, now, word string
		use                   string // in memory.current
		isChanged, isInUse    bool
	}{
		{"the same", "memory.max", "1048576", "memory.max=1M", "0", false, false},
		{"raised", "memory.max", "1048576", "memory.max=2M", "1048576", true, false},
		{"lifted", "memory.max", "1048576", "memory.max=max", "1048576", true, false},
		{"none, and none wanted", "memory.max", "max", "memory.max=max", "9", false, false},
		{"lowered", "memory.max", "2097152", "memory.max=1M", "1048576", true, false},
		{"in use", "memory.max", "2097152", "memory.max=1M", fmt.Sprint(1<<20 + page), false, true},
		{"set first, in use", "memory.max", "max", "memory.max=1M", "2097152", false, true},
		{"raised, and still below what is in use", "memory.max", "1048576", "memory.max=2M", "9000000", true, false},
		{"high is never too low", "memory.high", "max", "memory.high=1M", "9000000", true, false},
		{"fewer processes than there are", "pids.max", "max", "pids.max=5", "", true, false},
		{"the same quota", "cpu.max", "100000 100000", "cpu.max=100%", "", false, false},
		{"no quota", "cpu.max", "max 100000", "cpu.max=max", "", false, false},
		{"another quota", "cpu.max", "max 100000", "cpu.max=50%", "", true, false},
		{"the same CPUs", "cpuset.cpus", "0,1-2", "cpuset.cpus=0-2", "", false, false},
		{"all CPUs", "cpuset.cpus", "", "cpuset.cpus=0-2", "", true, false},
		{"the same rates", "io.max", "8:0 rbps=1024 wbps=max riops=max wiops=max\n9:0 rbps=2 wbps=max riops=max wiops=max", "io.max=8:0 rbps=1K", "", false, false},
		{"other rates", "io.max", "8:0 rbps=1024 wbps=max riops=max wiops=max", "io.max=8:0 rbps=2K", "", true, false},
		{"no rates", "io.max", "", "io.max=8:0 rbps=max", "", false, false},
		{"a rate more than is given", "io.max", "8:0 rbps=1024 wbps=9 riops=max wiops=max", "io.max=8:0 rbps=1K", "", true, false},
		{"more than 32 bits of operations", "io.max", "", "io.max=8:0 riops=5G", "", false, false},
		{"more than the kernel counts", "memory.max", "max", "memory.max=8E", "", false, false},
		{"rates of another device", "io.max", "9:0 rbps=1024 wbps=max riops=max wiops=max", "io.max=8:0 rbps=1K", "", true, false},
		{"the same weight", "io.weight", "default 200\n8:0 50", "io.weight=200", "", false, false},
		{"weight of a device", "io.weight", "default 200\n8:0 50", "io.weight=8:0 60", "", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, set := onV2(t, files{
				"u/user/alice/" + test.file: test.now + "\n", "u/user/alice/memory.current": test.use + "\n",
			})
			h, dir := open(t, set, "memory")
			settings, errs := Settings(Place{Machine: m, Hierarchy: h, Path: "/user/alice"}, list(t, test.word))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			planned := Compare(dir, settings)
			o := Update(dir, settings)[0]
			var inUse *InUseError
			if errors.As(o.Err, &inUse) {
				if room := withRoom(inUse.InUse); inUse.InForce == 0 || inUse.InForce > max(room, 2<<20) {
					t.Errorf("%d holds, want %d", inUse.InForce, room)
				}
				return
			}
			if o.IsChanged != test.isChanged || errors.As(o.Err, &inUse) != test.isInUse || (o.Err != nil) != test.isInUse {
				t.Errorf("changed %v, %v", o.IsChanged, o.Err)
			}
			if (planned[0].IsChanged && planned[0].Err == nil) != o.IsChanged {
				t.Errorf("Compare said %v, %v", planned[0].IsChanged, planned[0].Err)
			}
			now, err := dir.Read(test.file)
			if wrote := strings.HasPrefix(string(now), settings[0].Value); err != nil || wrote != test.isChanged && !strings.HasPrefix(test.now, settings[0].Value) {
				t.Errorf("%q, %v, want %q: %v", now, err, settings[0].Value, test.isChanged)
			}
		})
	}
}

// v1's kernel refuses a limit of memory and swap space that is below that of memory.
func TestOrderOnV1(t *testing.T) {
	for _, test := range []struct{ now, first string }{
		{"9223372036854771712", "memory.limit_in_bytes"}, {"1048576", "memory.memsw.limit_in_bytes"},
	} {
		m, set := onV1(t, files{"v/memory/user/alice/memory.memsw.limit_in_bytes": test.now + "\n"})
		h, dir := open(t, set, "memory")
		settings, _ := Settings(Place{Machine: m, Hierarchy: h, Path: "/user/alice"}, list(t, "memory.swap.max=1M", "memory.max=1M"))
		if ordered := inOrder(dir, settings); len(ordered) != 2 || ordered[0].File != test.first {
			t.Errorf("from %s: %v", test.now, ordered)
		}
	}
}

// Who is limited by somebody else keeps the tighter of both.
func TestTightened(t *testing.T) {
	m, set := onV2(t)
	for _, test := range []struct{ word, theirs, want string }{
		{"memory.max=2M", "1048576", "1048576"},
		{"memory.max=2M", "4194304", "2097152"},
		{"memory.max=2M", "max", "2097152"},
		{"memory.max=max", "1048576", "1048576"},
		{"pids.max=10", "9", "9"},
		{"cpu.max=50%", "20000 100000", "20000 100000"},
		{"cpu.max=50%", "20000 10000", "50000 100000"},
		{"cpu.max=max", "20000 10000", "20000 10000"},
		{"cpu.max=50%", "max 100000", "50000 100000"},
		{"cpu.weight=50", "20", "50"},
	} {
		settings, _ := Settings(Place{Machine: m, Hierarchy: set.All[0], Path: "/user/alice"}, list(t, test.word))
		tight := Tightened(settings, func(string) []string { return []string{"", test.theirs} })
		if tight[0].Value != test.want {
			t.Errorf("%s beside %s: %s, want %s", test.word, test.theirs, tight[0].Value, test.want)
		}
		if isHeld := AreHeld(settings, func(string) []string { return []string{test.theirs} }); isHeld != (test.want == test.theirs) {
			t.Errorf("%s beside %s: held %v", test.word, test.theirs, isHeld)
		}
	}
}

// A limit falls with what is in use, and no further.
func TestLower(t *testing.T) {
	for _, test := range []struct {
		name, falls string // what is in use in the end
		want        string // memory.max then
		isInUse     bool
	}{
		{"in time", "1048576", "1048576", false},
		{"not so far", "2097152", "2359296", true}, // with room
	} {
		t.Run(test.name, func(t *testing.T) {
			m, set := onV2(t, files{"u/user/alice/memory.max": "16777216\n", "u/user/alice/memory.high": "max\n", "u/user/alice/memory.current": "8388608\n"})
			h, dir := open(t, set, "memory")
			settings, _ := Settings(Place{Machine: m, Hierarchy: h, Path: "/user/alice"}, list(t, "memory.max=1M"))
			outcomes := Update(dir, settings)
			time.AfterFunc(3*look, func() { _ = dir.Write("memory.current", test.falls+"\n") })
			ctx, cancel := context.WithTimeout(t.Context(), 12*look)
			defer cancel()
			Lower(ctx, dir, outcomes)
			var inUse *InUseError
			if errors.As(outcomes[0].Err, &inUse) != test.isInUse {
				t.Error(outcomes[0].Err)
			}
			if now, _ := dir.Read("memory.max"); !strings.HasPrefix(string(now), test.want) {
				t.Errorf("memory.max is %q, want %s", now, test.want)
			}
			if high, _ := dir.Read("memory.high"); !strings.HasPrefix(string(high), "max") {
				t.Errorf("memory.high is %q", high)
			}
		})
	}
}
