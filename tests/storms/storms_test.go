package storms

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

var (
	scale    = flag.Int("storms", 0, "by how much storms are shorter than whole ones; then there are 200 users, and other modules have them, too")
	sessions = flag.Int("soak", 0, "how many sessions are opened one after the other")
	day      = flag.Duration("day", 0, "how long a day of cron and sudo takes")
	limit    = flag.Duration("limit", 10*time.Hour, "when a soak ends that is not done")
)

// cgdeleg serve removes every user's dead sessions.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testbed.MainUndisturbing(m))
}

// patient is for ours: a storm on a slow machine is not about the deadline.
const patient = " timeout=30"

// lists are the hierarchies that are asked for.
var lists = []struct{ name, option string }{
	{"three", "-c freezer,memory,name=systemd"}, {"all", "-c all"},
}

// modules are those that have storms: ours, and where whole ones were asked for pam_cgfs as
// well, if tests/bench/setup.sh could get it.
func modules(t *testing.T) (all []Module) {
	t.Helper()
	paths := map[string]string{"cgdeleg": testbed.Built(t, "pam_cgdeleg.so")}
	if cgfs := filepath.Join(testbed.Root(t), "build/bench/pam_cgfs.so"); *scale > 0 {
		if _, err := os.Stat(cgfs); err != nil {
			t.Logf("pam_cgfs has no storms: %v", err)
		} else {
			paths["pam_cgfs"] = cgfs
		}
	}
	for _, name := range []string{"pam_cgfs", "cgdeleg"} {
		for _, list := range lists {
			if paths[name] != "" {
				m := Module{name + " " + list.name, paths[name], list.option}
				if name == "cgdeleg" {
					m.Options += patient
				}
				all = append(all, m)
			}
		}
	}
	return all
}

// field is for a module, with as many users.
func field(t *testing.T, m Module, users int) *Field {
	t.Helper()
	testbed.Need(t, "gcc")
	f := &Field{Module: m, Application: testbed.PamappPath(t), ConfDir: "/run/storms-pam.d", Scale: 20}
	if *scale > 0 {
		f.Scale = *scale
	}
	for i := range users {
		f.Users = append(f.Users, testbed.AddUser(t, fmt.Sprintf("cgstorm%d", i), 22500+i).Name)
	}
	m.Name = strings.ReplaceAll(m.Name, " ", "-")
	f.Module = m
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	return f
}

// However many log in at the same moment: each gets a session of its own, in every
// hierarchy, with a worker and with a server, and nothing stays. Of the other module it is
// counted.
func TestStorms(t *testing.T) {
	var rows [][]string
	for _, mode := range []string{"forked", "served"} {
		for _, m := range modules(t) {
			isOurs := strings.HasPrefix(m.Name, "cgdeleg")
			if mode == "served" && !isOurs {
				continue
			}
			t.Run(mode+" "+m.Name, func(t *testing.T) {
				if mode == "served" {
					testbed.Serve(t)
				}
				f := field(t, m, map[bool]int{true: 200, false: 10}[*scale > 0])
				name := m.Name
				if isOurs {
					name += " " + mode
				}
				for _, storm := range Storms {
					c, err := f.Run(storm)
					if err != nil {
						t.Fatal(err)
					}
					rows = append(rows, c.Cells(name))
					if isOurs && (c.Failed() > 0 || c.Left > 0) {
						t.Errorf("%s: %d of %d failed, %d cgroups left; first: %s", storm, c.Failed(), c.All, c.Left, c.First)
					}
				}
			})
		}
	}
	t.Logf("\n%s", Table(rows))
}

// However many sessions there were, nothing is more than before: no cgroups, no memory, no
// descriptors, no lines in the log.
func TestSoak(t *testing.T) {
	count := 300
	if *sessions > 0 {
		count = *sessions
	}
	for _, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			f, w, log := soaked(t, mode)
			c, all := f.Soak(count, 4, 20, time.Now().Add(*limit), w)
			judge(t, c, all, log)
		})
	}
}

// A day of cron and sudo.
func TestDay(t *testing.T) {
	minutes, minute := 3, time.Second
	if *day > 0 {
		minutes, minute = 1440, *day/1440
	}
	for _, mode := range []string{"forked", "served"} {
		t.Run(mode, func(t *testing.T) {
			f, w, log := soaked(t, mode)
			c, all := f.Day(minutes, minute, w)
			judge(t, c, all, log)
		})
	}
}

// soaked is ours with three hierarchies.
func soaked(t *testing.T, mode string) (*Field, Watch, *testbed.Log) {
	t.Helper()
	var w Watch
	if mode == "served" {
		w.Server = testbed.Serve(t).Cmd.Process.Pid
	}
	f := field(t, Module{"soak", testbed.Built(t, "pam_cgdeleg.so"), lists[0].option + patient}, 10)
	log := testbed.LogFromNow(t)
	w.Logged = func() int { return len(log.Ours()) }
	return f, w, log
}

func judge(t *testing.T, c *Count, all []Sample, log *testbed.Log) {
	t.Helper()
	for _, s := range all {
		t.Log(s)
	}
	t.Logf("\n%s", Table([][]string{c.Cells("cgdeleg")}))
	if c.Failed() > 0 || c.Left > 0 {
		t.Errorf("%d of %d failed, %d cgroups left; first: %s", c.Failed(), c.All, c.Left, c.First)
	}
	if grown := Grows(all); grown != "" {
		t.Errorf("it grows: %s", grown)
	}
	log.WantOnly(testbed.WaitedForLock)
}
