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
)

// metric is a gauge in Prometheus's text format; docs/monitoring.md describes
// each. Users are counted and never named: node_exporter shows what it is given
// to everybody who can reach its port, and keeps a time series for every name.
type metric struct {
	name, help string
	samples    []sample
}

// sample is one value of a metric, told from the others by one label, or by none.
type sample struct {
	label, of string
	value     int64
}

// printPrometheus writes what the sessions amount to.
func printPrometheus(w io.Writer, m machine.Machine, sessions []delegate.Session) error {
	set, err := hierarchy.Find(m)
	if err != nil {
		return err
	}
	defer set.Close()
	out := bufio.NewWriter(w)
	for _, each := range metricsOf(sessions, set) {
		each.write(out)
	}
	return out.Flush()
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
		{"cgdeleg_build_info", "The version of cgdeleg that wrote this.", []sample{{"version", version, 1}}},
		{"cgdeleg_sessions", "Sessions. A dead one has no process, and was left by a logout.", []sample{
			{"state", "alive", states["alive"]}, {"state", "dead", states["dead"]},
		}},
		{"cgdeleg_hierarchy_sessions", "Sessions that have a cgroup in the hierarchy.", perHierarchy(sessions, set)},
		{"cgdeleg_users", "Users who have sessions.", []sample{{value: int64(len(users))}}},
		{"cgdeleg_processes", "Processes in sessions and in the cgroups below.", []sample{{value: processes}}},
		{"cgdeleg_memory_bytes", "Memory in use by sessions and the cgroups below, where a hierarchy counts it.", []sample{{value: memory}}},
		{"cgdeleg_dead_session_age_seconds", "How long the oldest dead session has been there, at least; 0 if there is none.", []sample{{value: oldest}}},
		{"cgdeleg_unusable_hierarchies", "Hierarchies that could not be looked at.", []sample{{value: int64(len(set.Unusable))}}},
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
	_ = printf(w, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
	for _, s := range m.samples {
		labels := ""
		if s.label != "" {
			labels = fmt.Sprintf(`{%s="%s"}`, s.label, labelEscapes.Replace(inUTF8(s.of)))
		}
		_ = printf(w, "%s%s %d\n", m.name, labels, s.value)
	}
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
