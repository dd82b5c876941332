package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// A session with one cgroup for each hierarchy, of which each has these PIDs.
func aSession(user string, age time.Duration, memory int64, pids []int, hierarchies ...string) delegate.Session {
	s := delegate.Session{User: user, Age: age}
	for _, h := range hierarchies {
		s.Parts = append(s.Parts, delegate.Part{Hierarchy: h, Memory: memory, Processes: pids})
	}
	return s
}

func TestMetrics(t *testing.T) {
	sessions := []delegate.Session{
		aSession("alice", time.Hour, 100, []int{1, 2}, "freezer", "memory"),
		aSession("alice", -1, -1, []int{3}, "freezer"),                // nothing known but its process
		aSession("bob", 90*time.Second, 1, nil, "freezer", "freezer"), // dead; its scope in the same hierarchy
		aSession("bob", time.Minute, 2, nil, "freezer"),
	}
	set := &hierarchy.Set{
		All:      []*hierarchy.Hierarchy{{Name: "freezer"}, {Name: "memory"}, {Name: "pids"}},
		Unusable: []error{&hierarchy.UnusableError{}, &hierarchy.UnusableError{}, &hierarchy.UnusableError{}},
	}
	var out strings.Builder
	for _, m := range metricsOf(sessions, set) {
		m.write(&out)
	}
	for _, want := range []string{
		`cgdeleg_sessions{state="alive"} 2`,
		`cgdeleg_sessions{state="dead"} 2`,
		`cgdeleg_hierarchy_sessions{hierarchy="freezer"} 4`,
		`cgdeleg_hierarchy_sessions{hierarchy="memory"} 1`,
		`cgdeleg_hierarchy_sessions{hierarchy="pids"} 0`,
		`cgdeleg_users 2`,
		`cgdeleg_processes 3`,
		`cgdeleg_memory_bytes 103`,
		`cgdeleg_dead_session_age_seconds 90`,
		`cgdeleg_unusable_hierarchies 3`,
	} {
		if !strings.Contains(out.String(), "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, name := range []string{"alice", "bob"} {
		if strings.Contains(out.String(), name) {
			t.Errorf("%s is named", name)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// What a label's value may hold: a named hierarchy can be called anything.
func TestMetricEscapes(t *testing.T) {
	for name, want := range map[string]string{
		`freezer`:       `m{hierarchy="freezer"} 7`,
		`cpu,cpuacct`:   `m{hierarchy="cpu,cpuacct"} 7`,
		`name=a"b\c`:    `m{hierarchy="name=a\"b\\c"} 7`,
		"name=a\nm 1":   `m{hierarchy="name=a\nm 1"} 7`,
		"name=\tgrün":   `m{hierarchy="name=\\tgrün"} 7`,
		"name=\x1b[2J":  `m{hierarchy="name=\\x1b[2J"} 7`,
		"name=\u202e":   `m{hierarchy="name=\\u202e"} 7`,
		"name=\xffgrün": `m{hierarchy="name=\\xffgrün"} 7`,
		"name=\xfegrün": `m{hierarchy="name=\\xfegrün"} 7`,
	} {
		var out strings.Builder
		m := metric{name: "m", help: "Help.", samples: []sample{{"hierarchy", name, 7}}}
		m.write(&out)
		if got := out.String(); got != "# HELP m Help.\n# TYPE m gauge\n"+want+"\n" {
			t.Errorf("%q: got\n%s", name, got)
		}
	}
}

// docs/monitoring.md has every metric with its label, and no other.
func TestMonitoringPage(t *testing.T) {
	page := readDoc(t, "docs/monitoring.md")
	rows := strings.Count(page, "\n| `cgdeleg_")
	metrics := metricsOf(nil, &hierarchy.Set{All: []*hierarchy.Hierarchy{{Name: "freezer"}}})
	for _, m := range metricsOfUsers(nil) {
		m.samples = []sample{{label: "user"}}
		metrics = append(metrics, m)
	}
	if rows != len(metrics) {
		t.Errorf("%d rows for %d metrics", rows, len(metrics))
	}
	for _, m := range metrics {
		name := m.name
		if label := m.samples[0].label; label != "" {
			name += "{" + label + "}"
		}
		if !strings.Contains(page, "\n| `"+name+"` |") {
			t.Errorf("no row for %s", name)
		}
	}
}
