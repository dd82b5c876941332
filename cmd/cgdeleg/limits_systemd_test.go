package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
	"github.com/cgdeleg/pam_cgdeleg/delegate/systemd"
)

// fakeUnits is a systemd with one slice. It does with properties what the real one does:
// a list of devices is added to, and an empty one clears it. Used is told of each
// that is set.
type fakeUnits struct {
	t     *testing.T
	unit  string
	has   map[string]any
	calls []string
	fail  error
	onSet func(p systemd.Property)
}

func (f *fakeUnits) Properties(_ context.Context, unit string) (map[string]any, error) {
	f.unit = unit
	if f.fail != nil {
		return nil, f.fail
	}
	copied := map[string]any{}
	for name, value := range f.has {
		copied[name] = value
	}
	return copied, nil
}

func (f *fakeUnits) Set(_ context.Context, unit string, list []systemd.Property) error {
	var words []string
	var refused []error
	for _, p := range list {
		if _, known := f.has[p.Name]; !known {
			refused = append(refused, &systemd.RefusedError{Unit: unit, Property: p.Name, Err: systemd.ErrNoProperty})
			continue
		}
		words = append(words, fmt.Sprint(p.Name, "=", p.Value))
		f.has[p.Name] = p.Value
		if f.onSet != nil {
			f.onSet(p)
		}
	}
	if unit != f.unit {
		f.t.Errorf("set %s, and asked for %s", unit, f.unit)
	}
	f.calls = append(f.calls, strings.Join(words, " "))
	return errors.Join(refused...)
}

// freshSlice is what systemd says of a slice that has no limits but the stock one.
func freshSlice() map[string]any {
	return map[string]any{
		"MemoryMax": uint64(limits.Infinity), "MemoryHigh": uint64(limits.Infinity), "MemorySwapMax": uint64(limits.Infinity), "TasksMax": uint64(5000),
		"CPUQuotaPerSecUSec": uint64(limits.Infinity), "CPUQuotaPeriodUSec": uint64(limits.Infinity), "CPUWeight": uint64(limits.Infinity), "IOWeight": uint64(limits.Infinity),
		"IOReadBandwidthMax": []systemd.DeviceNumber{}, "AllowedCPUs": []byte{}, "Slice": "user.slice",
	}
}

// limitedMachine is a recorded machine on which slices can be limited.
type limitedMachine struct {
	*fakeUnits
	sliceLimits
	dir, cgroup string
}

func newLimitedMachine(t *testing.T, recorded, memory string) *limitedMachine {
	t.Helper()
	m := &limitedMachine{dir: machinetest.Copy(t, "../../delegate/testdata/"+recorded), fakeUnits: &fakeUnits{t: t, has: freshSlice()}}
	m.cgroup = filepath.Join(m.dir, "sys/fs/cgroup", memory, "user.slice/user-1000.slice")
	m.sliceLimits = sliceLimits{machine: machine.Recorded(m.dir), units: m.fakeUnits, states: filepath.Join(m.dir, "run/cgdeleg/limits"), patience: 300 * time.Millisecond}
	m.write(filepath.Join(m.dir, "proc/meminfo"), "MemTotal:        4000000 kB\nSwapTotal:       0 kB\n")
	return m
}

func (m *limitedMachine) write(file, content string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// apply applies a rule, and returns what became of it, a line each.
func (m *limitedMachine) apply(words string, dryRun bool) (lines []string, err error) {
	m.t.Helper()
	var rule []limits.Limit
	for word := range strings.SplitSeq(words, " ") {
		if word == "" {
			continue
		}
		word = strings.ReplaceAll(word, "_", " ")
		l, err := limits.Parse(word)
		if err != nil {
			m.t.Fatal(err)
		}
		rule = append(rule, l)
	}
	m.calls = nil
	changes, err := m.sliceLimits.apply(m.t.Context(), user.User{Name: "alice", Uid: 1000}, rule, dryRun)
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	return lines, err
}

func (m *limitedMachine) require(words string, want ...string) {
	m.t.Helper()
	lines, err := m.apply(words, false)
	if err != nil {
		m.t.Fatal(err)
	}
	m.requireLines(lines, want)
}

func (m *limitedMachine) requireLines(lines, want []string) {
	m.t.Helper()
	if got, want := strings.Join(lines, "\n"), strings.Join(want, "\n"); got != want {
		m.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func (m *limitedMachine) requireCalls(want ...string) {
	m.t.Helper()
	m.requireLines(m.calls, want)
}

// Slices have limits where systemd has slices.
func TestHasLimitedSlices(t *testing.T) {
	for recorded, want := range map[string]bool{
		"debian12-v2-systemd": true, "systemd-v2-adopted": true, "hybrid-systemd": true, "systemd-hybrid-adopted": true, "ubuntu1604-v1-systemd": true,
		"openrc-v2": false, "elogind-v2": false,
	} {
		m := machine.Recorded("../../delegate/testdata/" + recorded)
		set, err := hierarchy.Find(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := hasLimitedSlices(m, set); got != want {
			t.Errorf("%s: %v, want %v", recorded, got, want)
		}
		set.Close()
	}
}

// What systemd has not is null in JSON, and what is empty is not.
func TestSlicesJSON(t *testing.T) {
	m := newLimitedMachine(t, "debian12-v2-systemd", "")
	delete(m.has, "MemoryHigh")
	changes, err := m.sliceLimits.apply(t.Context(), user.User{Name: "alice", Uid: 1000}, []limits.Limit{
		must1(limits.Parse("cpuset.cpus=0")), must1(limits.Parse("memory.high=1G")),
	}, false)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%v, %v", changes, err)
	}
	all := slicesJSON([]appliedSlice{{unit: "user-1000.slice", changes: changes}, {unit: "user-1001.slice", err: systemd.ErrNoBus}})
	if cpus := all[0]; *cpus.Property != "AllowedCPUs" || cpus.Before == nil || *cpus.Before != "" || *cpus.Value != "0" {
		t.Errorf("%+v", cpus)
	}
	if high := all[1]; *high.Property != "MemoryHigh" || high.Before != nil || high.Value == nil {
		t.Errorf("%+v", high)
	}
	if none := all[2]; none.Property != nil || none.Before != nil || none.Value != nil {
		t.Errorf("%+v", none)
	}
}

func must1[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestSliceLimits(t *testing.T) {
	t.Run("what differs is set, at once", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("memory.max=1G memory.high=max pids.max=100 cpu.max=20%",
			"user-1000.slice: CPUQuotaPerSecUSec=200000 (was infinity)", "user-1000.slice: MemoryMax=1073741824 (was infinity)", "user-1000.slice: TasksMax=100 (was 5000)")
		m.requireCalls("CPUQuotaPerSecUSec=200000 MemoryMax=1073741824 TasksMax=100")
		m.require("memory.max=1G memory.high=max pids.max=100 cpu.max=20%")
		m.requireCalls()
	})
	t.Run("percent of the machine, and of a limit above", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("memory.max=25%", "user-1000.slice: MemoryMax=1024000000 (was infinity)")
		m.write(filepath.Join(filepath.Dir(m.cgroup), "memory.max"), "1000000\n")
		m.require("memory.max=25%", "user-1000.slice: MemoryMax=249856 (was 1024000000)")
	})
	t.Run("what is given no more is as before", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("pids.max=100 cpuset.cpus=0-1", "user-1000.slice: AllowedCPUs=0-1 (was )", "user-1000.slice: TasksMax=100 (was 5000)")
		m.require("pids.max=50 cpuset.cpus=0-1", "user-1000.slice: TasksMax=50 (was 100)")
		m.require("", "user-1000.slice: AllowedCPUs= (was 0-1), as before", "user-1000.slice: TasksMax=5000 (was 50), as before")
		m.require("")
		m.requireCalls()
		if m.unit = ""; hasSliceState(m.states, 1000) {
			t.Error("something is remembered")
		}
	})
	t.Run("what somebody else set is theirs", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("pids.max=100", "user-1000.slice: TasksMax=100 (was 5000)")
		m.has["TasksMax"] = uint64(70)
		m.require("")
		m.requireCalls()
		m.require("pids.max=100", "user-1000.slice: TasksMax=100 (was 70)")
		m.require("", "user-1000.slice: TasksMax=70 (was 100), as before")
	})
	t.Run("what was so already is not ours", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("pids.max=5000")
		m.require("")
		m.requireCalls()
	})
	t.Run("devices", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("io.max=/dev/sdb_rbps=1M io.max=/dev/sda_rbps=2M", "user-1000.slice: IOReadBandwidthMax=/dev/sda 2097152, /dev/sdb 1048576 (was )")
		m.has["IOReadBandwidthMax"] = []systemd.DeviceNumber{{Path: "/dev/sda", Number: 2 << 20}, {Path: "/dev/sdb", Number: 1 << 20}} // in another order
		m.require("io.max=/dev/sdb_rbps=1M io.max=/dev/sda_rbps=2M")
		m.require("", "user-1000.slice: IOReadBandwidthMax= (was /dev/sda 2097152, /dev/sdb 1048576), as before")
	})
	t.Run("a dry run", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		lines, err := m.apply("pids.max=100", true)
		m.requireLines(lines, []string{"user-1000.slice: TasksMax=100 (was 5000)"})
		if m.requireCalls(); err != nil || hasSliceState(m.states, 1000) {
			t.Error("something was done: ", err)
		}
	})
	t.Run("no rule, and none before", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		if m.require(""); m.unit != "" {
			t.Error("systemd was asked")
		}
	})
	t.Run("a property that an old systemd has not", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		delete(m.has, "AllowedCPUs")
		m.require("cpuset.cpus=0 pids.max=70", `user-1000.slice: AllowedCPUs=0 is not set: unit "user-1000.slice": property AllowedCPUs: systemd cannot set such a property`, "user-1000.slice: TasksMax=70 (was 5000)")
	})
	t.Run("a limit for which there is no property", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		lines, err := m.apply("pids.max=50% cpu.weight=5", false)
		m.requireLines(lines, []string{"user-1000.slice: CPUWeight=5 (was infinity)"})
		if err == nil || err.Error() != "user-1000.slice: systemd cannot set pids.max=50%" {
			t.Error(err)
		}
	})
	t.Run("systemd does not answer", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.fail = systemd.ErrNoBus
		if _, err := m.apply("pids.max=10", false); !errors.Is(err, systemd.ErrNoBus) || hasSliceState(m.states, 1000) {
			t.Error(err)
		}
	})
	t.Run("what is remembered cannot be read", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.require("pids.max=100", "user-1000.slice: TasksMax=100 (was 5000)")
		m.write(filepath.Join(m.states, "1000"), "{")
		m.require("")
		m.requireCalls()
	})
}

// A slice that has more memory in use than it shall have.
func TestLowerSlice(t *testing.T) {
	const (
		inUse  = 900 << 20
		target = "943718400" // 900 MiB
	)
	use := func(m *limitedMachine, file string, n uint64) {
		m.write(filepath.Join(m.cgroup, file), fmt.Sprintln(n))
	}
	t.Run("it can be reclaimed", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		use(m, "memory.current", inUse)
		m.onSet = func(p systemd.Property) {
			if p.Name == "MemoryHigh" && p.Value.(uint64) < inUse {
				use(m, "memory.current", 400<<20)
			}
		}
		m.require("memory.max=500M pids.max=90", "user-1000.slice: MemoryMax=524288000 (was infinity)", "user-1000.slice: TasksMax=90 (was 5000)")
		m.requireCalls("TasksMax=90", "MemoryHigh=524288000", "MemoryMax=524288000 MemoryHigh=18446744073709551615")
	})
	t.Run("and memory.high is wanted too", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		use(m, "memory.current", inUse)
		m.onSet = func(p systemd.Property) {
			if p.Name == "MemoryHigh" {
				use(m, "memory.current", p.Value.(uint64))
			}
		}
		m.require("memory.max=500M memory.high=400M", "user-1000.slice: MemoryHigh=419430400 (was infinity)", "user-1000.slice: MemoryMax=524288000 (was infinity)")
		m.requireCalls("MemoryHigh=419430400", "MemoryMax=524288000 MemoryHigh=419430400")
	})
	t.Run("it cannot", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.has["MemoryHigh"] = uint64(2 << 30)
		use(m, "memory.current", 800<<20)
		m.require("memory.max=500M", "user-1000.slice: MemoryMax=524288000 cannot be set yet, more is in use; it is "+target+" (was infinity)")
		m.requireCalls("MemoryHigh=524288000", "MemoryMax="+target+" MemoryHigh=2147483648")
		use(m, "memory.current", 100<<20)
		m.require("memory.max=500M", "user-1000.slice: MemoryMax=524288000 (was "+target+")")
		m.require("", "user-1000.slice: MemoryMax=infinity (was 524288000), as before")
	})
	t.Run("it cannot, and the limit is not much higher", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		m.has["MemoryMax"] = uint64(810 << 20)
		use(m, "memory.current", 800<<20)
		m.require("memory.max=500M", "user-1000.slice: MemoryMax=524288000 cannot be set yet, more is in use; it is 849346560 (was 849346560)")
	})
	t.Run("what an apply that was killed left is taken back", func(t *testing.T) {
		m := newLimitedMachine(t, "debian12-v2-systemd", "")
		use(m, "memory.current", 800<<20)
		killed := errors.New("killed")
		m.onSet = func(systemd.Property) { panic(killed) }
		func() {
			defer func() {
				if p, _ := recover().(error); !errors.Is(p, killed) {
					t.Error(p)
				}
			}()
			m.require("memory.max=500M")
		}()
		m.onSet = nil
		m.require("memory.max=2G", "user-1000.slice: MemoryHigh=infinity (was 524288000), as before", "user-1000.slice: MemoryMax=2147483648 (was infinity)")
	})
	t.Run("v1 refuses", func(t *testing.T) {
		m := newLimitedMachine(t, "hybrid-systemd", "memory")
		use(m, "memory.usage_in_bytes", 800<<20)
		use(m, "memory.limit_in_bytes", 9223372036854771712)
		m.require("memory.max=500M", "user-1000.slice: MemoryMax=524288000 cannot be set yet, more is in use; it is "+target+" (was infinity)")
		m.requireCalls("MemoryMax=524288000", "MemoryMax="+target+" MemoryHigh=18446744073709551615")
	})
	t.Run("v1 reclaims", func(t *testing.T) {
		m := newLimitedMachine(t, "hybrid-systemd", "memory")
		use(m, "memory.usage_in_bytes", 800<<20)
		m.onSet = func(p systemd.Property) {
			if p.Name == "MemoryMax" {
				use(m, "memory.limit_in_bytes", p.Value.(uint64))
			}
		}
		m.require("memory.max=500M", "user-1000.slice: MemoryMax=524288000 (was infinity)")
	})
}
