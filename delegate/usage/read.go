package usage

import (
	"math"
	"path"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// The files are those of Documentation/admin-guide/cgroup-v2.rst and of cgroup-v1/ beside
// it (memory.rst, cpuacct.rst, pids.rst, blkio-controller.rst), and of
// Documentation/scheduler/sched-bwc.rst.

func (g group) usage() Usage {
	return Usage{Memory: g.memory(), CPU: g.cpu(), Processes: g.processes(), IO: g.io()}
}

// one is what a file counts.
func (g group) one(at cgroup, name string, parse parser) Count {
	return countOf(g.read(at, name), parse)
}

// countOf understands a file's content.
func countOf(c content, parse parser) Count {
	if c.answer != machine.Found {
		return Count{Answer: c.answer}
	}
	n, answer := parse(c.text)
	if answer != machine.Found {
		n = 0
	}
	return Count{answer, n}
}

// pressure is v2's alone, whatever controllers it has.
func (g group) pressure(name string) Pressure {
	at, ok := g.unified()
	if !ok {
		return Pressure{Answer: machine.Absent}
	}
	some, full := g.one(at, name, avg10("some")), g.one(at, name, avg10("full"))
	return Pressure{some.Answer, some.N, full.N} // cpu.pressure has had "full" since Linux 5.13
}

func (g group) memory() Memory {
	absent, none := Count{Answer: machine.Absent}, Limit{Answer: machine.Absent}
	m := Memory{
		Now: absent, Peak: absent, Max: none, High: none, Swap: absent, SwapMax: none, TotalMax: none,
		OOMKills: absent, Hits: absent, Pressure: g.pressure("memory.pressure"),
	}
	at, ok := g.with("memory")
	switch {
	case !ok:
	case at.h.IsUnified():
		m.Now, m.Peak = g.one(at, "memory.current", number), g.one(at, "memory.peak", number)
		m.Max = g.limit(at, limitFile{name: "memory.max", parse: numberOrMax, used: "memory.current"})
		m.High = g.limit(at, limitFile{name: "memory.high", parse: numberOrMax, used: "memory.current"})
		m.Swap = g.one(at, "memory.swap.current", number)
		m.SwapMax = g.limit(at, limitFile{name: "memory.swap.max", parse: numberOrMax, used: "memory.swap.current"})
		m.OOMKills = g.events(at, "memory.events", "oom_kill")
		m.Hits = g.one(at, "memory.events", keyed("max"))
	default:
		m.Now, m.Peak = g.one(at, "memory.usage_in_bytes", number), g.one(at, "memory.max_usage_in_bytes", number)
		m.Max = g.limit(at, limitFile{name: "memory.limit_in_bytes", parse: bytesV1, used: "memory.usage_in_bytes"})
		m.Swap = g.one(at, "memory.stat", keyed("total_swap")) // there with swap accounting only
		m.TotalMax = g.limit(at, limitFile{name: "memory.memsw.limit_in_bytes", parse: bytesV1, used: "memory.memsw.usage_in_bytes"})
		m.OOMKills = g.sum(at, "memory.oom_control", keyed("oom_kill"))
		// the limit for both is tried first, and hits of that one Linux 6.18 does not count
		if !m.TotalMax.IsSet || m.TotalMax.N > m.Max.N {
			m.Hits = g.one(at, "memory.failcnt", number)
		}
	}
	return m
}

// events is what an events file of v2 counts in a cgroup and below. Kernels without its
// .local file (memory: 5.3, pids: 6.11) count each event where it happens, and so they do
// with the mount options memory_localevents and pids_localevents.
func (g group) events(at cgroup, name, key string) Count {
	total := g.one(at, name, keyed(key))
	if total.Answer != machine.Found {
		return total
	}
	switch local := g.one(at, name+".local", keyed(key)); local.Answer {
	case machine.Absent:
		return g.sum(at, name, keyed(key))
	case machine.Unknown:
		return Count{}
	}
	sum := g.sum(at, name+".local", keyed(key))
	if sum.Answer == machine.Found && sum.N > total.N { // the mount option is set
		return sum
	}
	return total
}

func (g group) cpu() CPU {
	absent := Count{Answer: machine.Absent}
	c := CPU{
		Used: g.cpuTime(), Max: Limit{Answer: machine.Absent},
		Periods: absent, Throttled: absent, ThrottledTime: absent, Pressure: g.pressure("cpu.pressure"),
	}
	at, ok := g.with("cpu")
	if !ok {
		return c
	}
	c.Periods, c.Throttled = g.one(at, "cpu.stat", keyed("nr_periods")), g.one(at, "cpu.stat", keyed("nr_throttled"))
	if at.h.IsUnified() {
		c.Max = g.limit(at, limitFile{name: "cpu.max", parse: cpuMax})
		c.ThrottledTime = inNanoseconds(g.one(at, "cpu.stat", keyed("throttled_usec")))
		return c
	}
	c.Max = g.limit(at, limitFile{name: "cpu.cfs_quota_us", parse: number, beside: "cpu.cfs_period_us", join: quota})
	c.ThrottledTime = g.one(at, "cpu.stat", keyed("throttled_time"))
	return c
}

// cpuTime is counted by cpuacct on v1; v2 counts it in every cgroup, whatever controllers
// it has (cpu.stat, Linux 4.15), also beside v1.
func (g group) cpuTime() Count {
	used := Count{Answer: machine.Absent}
	if at, ok := g.with("cpuacct"); ok && !at.h.IsUnified() {
		used = g.one(at, "cpuacct.usage", number)
	}
	if at, ok := g.unified(); ok && used.Answer != machine.Found {
		if unified := inNanoseconds(g.one(at, "cpu.stat", keyed("usage_usec"))); unified.Answer != machine.Absent {
			used = unified
		}
	}
	return used
}

func inNanoseconds(microseconds Count) Count {
	microseconds.N *= int64(time.Microsecond)
	return microseconds
}

func (g group) processes() Processes {
	absent := Count{Answer: machine.Absent}
	at, ok := g.with("pids")
	if !ok {
		return Processes{absent, absent, Limit{Answer: machine.Absent}, absent}
	}
	p := Processes{
		Now: g.one(at, "pids.current", number), Peak: g.one(at, "pids.peak", number),
		Max: g.limit(at, limitFile{name: "pids.max", parse: numberOrMax, used: "pids.current"}),
	}
	if at.h.IsUnified() {
		p.Refused = g.events(at, "pids.events", "max")
	} else {
		p.Refused = g.sum(at, "pids.events", keyed("max"))
	}
	return p
}

func (g group) io() IO {
	absent := Count{Answer: machine.Absent}
	all := IO{Read: absent, Written: absent, Pressure: g.pressure("io.pressure")}
	at, ok := g.with("blkio")
	switch {
	case !ok:
	case at.h.IsUnified():
		all.Read, all.Written = g.one(at, "io.stat", perDevice("rbytes")), g.one(at, "io.stat", perDevice("wbytes"))
	default:
		name := "blkio.throttle.io_service_bytes_recursive" // Linux 4.17
		if g.read(at, name).answer == machine.Absent {
			return g.ioBelow(at, all)
		}
		all.Read, all.Written = g.one(at, name, operation("Read")), g.one(at, name, operation("Write"))
	}
	return all
}

// ioBelow is for v1 where nothing is counted for what is below.
func (g group) ioBelow(at cgroup, all IO) IO {
	const name = "blkio.throttle.io_service_bytes"
	all.Read, all.Written = g.sum(at, name, operation("Read")), g.sum(at, name, operation("Write"))
	return all
}

// limitFile is a file that can hold a limit.
type limitFile struct {
	name  string
	parse parser
	used  string // the file with what is used of it; "": there is none
	// beside is a second file, without which the first says nothing, and join makes one
	// value of both.
	beside string
	join   func(a, b int64) int64
}

// unlimited is no limit.
const unlimited = math.MaxInt64

// limit looks for the limit that binds, from a cgroup up to the one that the mount shows.
func (g group) limit(at cgroup, f limitFile) Limit {
	best := Limit{Answer: machine.Absent}
	unknown := false
	for each := at; ; each.path = path.Dir(each.path) {
		value := g.valueOf(each, f)
		switch {
		case value.Answer == machine.Unknown:
			unknown = true
		case value.Answer == machine.Absent:
		case best.Answer != machine.Found, value.N < best.N:
			best = Limit{
				Answer: machine.Found, IsSet: value.N < unlimited, N: value.N, File: f.name, Hierarchy: each.h.Name,
				Path: each.path, FromBase: each.h.FromBase(each.path), IsOwn: each == at,
			}
		}
		if each.path == "/" || each.path == "." {
			break
		}
	}
	switch {
	case !best.IsSet && unknown:
		return Limit{}
	case !best.IsSet:
		return Limit{Answer: best.Answer}
	case f.used != "":
		best.Used = g.one(cgroup{at.h, best.Path}, f.used, number)
	}
	return best
}

// valueOf is the limit in one cgroup.
func (g group) valueOf(at cgroup, f limitFile) Count {
	value := g.one(at, f.name, f.parse)
	if value.Answer != machine.Found || f.beside == "" {
		return value
	}
	other := g.one(at, f.beside, number)
	if other.Answer != machine.Found {
		return Count{Answer: other.Answer}
	}
	return Count{machine.Found, f.join(value.N, other.N)}
}
