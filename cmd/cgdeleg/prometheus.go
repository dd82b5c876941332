package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// metric is one in Prometheus's text format; docs/monitoring.md describes each. Users
// are counted and not named, unless that is asked for: node_exporter shows what it is
// given to everybody who can reach its port, and keeps a time series for every name.
type metric struct {
	name, help string
	samples    []sample
	isCounter  bool // else it is a gauge
	// unit is how many of what the samples count make one of the metric; 0: it is one.
	unit int64
}

// sample is one value of a metric, told from the others by one label, or by none.
type sample struct {
	label, of string
	value     int64
}

// printPrometheus writes what the sessions amount to.
func printPrometheus(w io.Writer, m machine.Machine, sessions []delegate.Session, perUser bool) error {
	set, err := hierarchy.Find(m)
	if err != nil {
		return err
	}
	defer set.Close()
	out := bufio.NewWriter(w)
	metrics := metricsOf(sessions, set)
	if perUser {
		users, err := usage.Of(m, sessions)
		if err != nil {
			return err
		}
		metrics = append(metrics, metricsOfUsers(users)...)
	}
	for _, each := range metrics {
		each.write(out)
	}
	return out.Flush()
}

// userMetrics are those of each user. The samples are of those of whom it is known; of a
// limit, of those who have one.
var userMetrics = []struct {
	metric
	of func(*usage.Usage) usage.Count
}{
	{metric{name: "cgdeleg_user_memory_bytes", help: "Memory in use by all sessions of the user."}, func(u *usage.Usage) usage.Count { return u.Memory.Now }},
	{metric{name: "cgdeleg_user_memory_limit_bytes", help: "The memory limit that applies to all sessions of the user together."}, func(u *usage.Usage) usage.Count { return limitCount(u.Memory.Max) }},
	{metric{name: "cgdeleg_user_memory_limit_used_bytes", help: "Memory in use under that limit, also by others if it is above the user."}, func(u *usage.Usage) usage.Count { return limitUsed(u.Memory.Max) }},
	{metric{name: "cgdeleg_user_oom_kills_total", help: "Processes of the user's sessions that the kernel killed for want of memory.", isCounter: true}, func(u *usage.Usage) usage.Count { return u.Memory.OOMKills }},
	{metric{name: "cgdeleg_user_cpu_seconds_total", help: "CPU time of all sessions of the user.", isCounter: true, unit: 1e9}, func(u *usage.Usage) usage.Count { return u.CPU.Used }},
	{metric{name: "cgdeleg_user_cpu_limit_cpus", help: "How many CPUs all sessions of the user together may use.", unit: 10000}, func(u *usage.Usage) usage.Count { return limitCount(u.CPU.Max) }},
	{metric{name: "cgdeleg_user_cpu_throttled_seconds_total", help: "How long the user's CPU limit had tasks wait.", isCounter: true, unit: 1e9}, func(u *usage.Usage) usage.Count { return u.CPU.ThrottledTime }},
	{metric{name: "cgdeleg_user_processes", help: "Processes of the user's sessions; each thread is one."}, func(u *usage.Usage) usage.Count { return u.Processes.Now }},
	{metric{name: "cgdeleg_user_processes_limit", help: "How many there may be."}, func(u *usage.Usage) usage.Count { return limitCount(u.Processes.Max) }},
	{metric{name: "cgdeleg_user_refused_forks_total", help: "Forks that failed for want of processes.", isCounter: true}, func(u *usage.Usage) usage.Count { return u.Processes.Refused }},
}

func limitCount(l usage.Limit) usage.Count {
	if !l.IsSet {
		return usage.Count{Answer: machine.Absent}
	}
	return usage.Count{Answer: machine.Found, N: l.N}
}

func limitUsed(l usage.Limit) usage.Count {
	if !l.IsSet {
		return usage.Count{Answer: machine.Absent}
	}
	return l.Used
}

// metricsOfUsers has no sample of what is not known: 0 would be a lie.
func metricsOfUsers(users []usage.User) (all []metric) {
	for _, each := range userMetrics {
		m := each.metric
		for i := range users {
			if n, isKnown := each.of(&users[i].Usage).Known(); isKnown {
				m.samples = append(m.samples, sample{"user", users[i].Name, n})
			}
		}
		all = append(all, m)
	}
	return all
}

// metricsOf counts. A state or hierarchy without sessions has a sample, too: a
// time series that comes and goes cannot be watched.
func metricsOf(sessions []delegate.Session, set *hierarchy.Set) []metric {
	var processes, memory, oldest int64
	states, users := map[string]int64{}, map[string]bool{}
	for i := range sessions {
		s := &sessions[i]
		states[stateOf(s)]++
		users[s.User] = true
		processes += int64(s.Processes())
		memory += max(0, s.Memory())
		if s.Processes() == 0 {
			oldest = max(oldest, int64(s.Age/time.Second))
		}
	}
	return []metric{
		{name: "cgdeleg_build_info", help: "The version of cgdeleg that wrote this.", samples: []sample{{"version", version, 1}}},
		{name: "cgdeleg_sessions", help: "Sessions. A dead one has no process, and was left by a logout.", samples: []sample{
			{"state", "alive", states["alive"]}, {"state", "dead", states["dead"]},
		}},
		{name: "cgdeleg_hierarchy_sessions", help: "Sessions that have a cgroup in the hierarchy.", samples: perHierarchy(sessions, set)},
		{name: "cgdeleg_users", help: "Users who have sessions.", samples: []sample{{value: int64(len(users))}}},
		{name: "cgdeleg_processes", help: "Processes in sessions and in the cgroups below.", samples: []sample{{value: processes}}},
		{name: "cgdeleg_memory_bytes", help: "Memory in use by sessions and the cgroups below, where a hierarchy counts it.", samples: []sample{{value: memory}}},
		{name: "cgdeleg_dead_session_age_seconds", help: "How long the oldest dead session has been there, at least; 0 if there is none.", samples: []sample{{value: oldest}}},
		{name: "cgdeleg_unusable_hierarchies", help: "Hierarchies that could not be looked at.", samples: []sample{{value: int64(len(set.Unusable))}}},
	}
}

func perHierarchy(sessions []delegate.Session, set *hierarchy.Set) (all []sample) {
	for _, h := range set.All {
		in := sample{label: "hierarchy", of: h.Name}
		for j := range sessions {
			if slices.Contains(hierarchiesOf(&sessions[j]), in.of) {
				in.value++
			}
		}
		all = append(all, in)
	}
	return all
}

func (m *metric) write(w io.Writer) {
	_ = printf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, kindOf(m.isCounter))
	for _, s := range m.samples {
		labels := ""
		if s.label != "" {
			labels = fmt.Sprintf(`{%s="%s"}`, s.label, labelEscapes.Replace(inUTF8(s.of)))
		}
		_ = printf(w, "%s%s %s\n", m.name, labels, inUnits(s.value, m.unit))
	}
}

func kindOf(isCounter bool) string {
	if isCounter {
		return "counter"
	}
	return "gauge"
}

func inUnits(n, unit int64) string {
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(float64(n)/float64(unit), 'f', -1, 64)
}

// inUTF8 is the name, which the text format wants in UTF-8, and without what would be
// escaped for a terminal, in a way that the format does not know. Two such names stay
// two: of a sample that comes twice node_exporter drops one.
func inUTF8(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return isHidden(r) && r != '\n' }) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// labelEscapes are those of the text format; others are not allowed in it.
var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
