package oom

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/inotify"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// Where the recorded machines have their hierarchies.
const (
	unified = "sys/fs/cgroup"
	memory  = "sys/fs/cgroup/memory"
	pids    = "sys/fs/cgroup/pids"
)

// contents are files with their contents; "" removes the directory of that name.
type contents map[string]string

func (c contents) write(t *testing.T, dir string) {
	t.Helper()
	for name, content := range c {
		path := filepath.Join(dir, name)
		var err error
		if content == "" {
			err = os.RemoveAll(path)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, []byte(content+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func snapshotOf(t *testing.T, dir string) *snapshot {
	t.Helper()
	q, err := inotify.New()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var s *snapshot
	err = q.Mark(func(mark inotify.Marker) {
		if s, err = read(machine.Recorded(dir), mark); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.set.Close)
	return s
}

// line is an event on one line.
func line(e Event) string {
	text := fmt.Sprintf("%s %d of %s/%d in %s session %d", map[Kind]string{Kill: "kill", Fork: "fork"}[e.Kind], e.Count, e.User, e.UID, e.Cgroup, e.Session)
	l := e.Limit
	switch {
	case l.Machine:
		text += ": machine"
	case l.File != "":
		text += fmt.Sprintf(": %s %d of %s, %d, %d", l.File, l.Value, l.Path, l.Usage, l.Peak)
	default:
		text += ": unknown"
	}
	for _, v := range e.Victims {
		text += fmt.Sprintf("; %d %s", v.PID, v.Name)
	}
	return text
}

func kill(pid int, task, limit string) record {
	return record{Victim: Victim{PID: pid, Name: "hog", RSS: 1}, task: task, limit: limit}
}

func events(oom, kills int) string {
	return fmt.Sprintf("low 0\nhigh 3\nmax 100\noom %d\noom_kill %d\noom_group_kill 0", oom, kills)
}

func TestCompare(t *testing.T) {
	alice := unified + "/user/alice"
	slice := unified + "/user.slice/user-1000.slice"
	for _, test := range []struct {
		name          string
		machine       string
		before, after contents
		log           []record
		want          []string
	}{
		{"nothing", "openrc-v2", contents{alice + "/memory.events": events(5, 5)}, nil, nil, nil},
		{"only a limit that was reached, and nobody killed", "openrc-v2", contents{alice + "/memory.events": events(0, 0)}, contents{alice + "/memory.events": events(7, 0)}, nil, nil},
		{
			"v2: the session's limit", "openrc-v2",
			contents{
				alice + "/memory.events": events(0, 0), alice + "/0/memory.events": events(0, 0), alice + "/0/init.scope/memory.events": events(0, 0),
				alice + "/0/memory.max": "4096000", alice + "/0/memory.current": "4000", alice + "/0/memory.peak": "4096000", alice + "/memory.max": "8192000",
			},
			contents{alice + "/memory.events": events(1, 2), alice + "/0/memory.events": events(1, 2), alice + "/0/init.scope/memory.events": events(0, 2)},
			[]record{kill(10, "/user/alice/0/init.scope", "/user/alice/0")},
			[]string{
				"kill 1 of alice/-1 in /user/alice/0/init.scope session 0: memory.max 4096000 of /user/alice/0, 4000, 4096000; 10 hog",
				"kill 1 of alice/-1 in /user/alice/0/init.scope session 0: memory.max 4096000 of /user/alice/0, 4000, 4096000",
			},
		},
		{
			"v2: a session that has ended, with a log", "openrc-v2",
			contents{alice + "/memory.events": events(0, 0), alice + "/1/memory.events": events(0, 0), alice + "/memory.max": "8192000"},
			contents{alice + "/memory.events": events(1, 1), alice + "/1": ""},
			[]record{kill(10, "/user/alice/1/init.scope", "/user/alice")},
			[]string{"kill 1 of alice/-1 in /user/alice/1/init.scope session 1: memory.max 8192000 of /user/alice, -1, -1; 10 hog"},
		},
		{
			"v2: a session that has ended, without", "openrc-v2",
			contents{alice + "/memory.events": events(0, 0), alice + "/1/memory.events": events(0, 0), alice + "/memory.max": "8192000"},
			contents{alice + "/memory.events": events(1, 1), alice + "/1": ""}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice session -1: memory.max 8192000 of /user/alice, -1, -1"},
		},
		{
			"a session that has ended, with the user's last", "openrc-v2",
			contents{alice + "/memory.events": events(0, 0)}, contents{alice: ""},
			[]record{kill(10, "/user/alice/1/init.scope", "/user/alice/1"), kill(11, "/elsewhere", "/elsewhere")},
			[]string{"kill 1 of alice/-1 in /user/alice/1/init.scope session 1: memory.max -1 of /user/alice/1, -1, -1; 10 hog"},
		},
		{
			"the machine's memory", "openrc-v2",
			contents{alice + "/0/memory.events": events(0, 0), alice + "/memory.events": events(0, 0)},
			contents{alice + "/0/memory.events": events(0, 1), alice + "/memory.events": events(0, 1)},
			[]record{kill(10, "/user/alice/0", "")},
			[]string{"kill 1 of alice/-1 in /user/alice/0 session 0: machine; 10 hog"},
		},
		{
			"nobody knows why", "openrc-v2",
			contents{alice + "/0/memory.events": events(0, 0), alice + "/memory.max": "8192000"},
			contents{alice + "/0/memory.events": events(0, 1)}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice/0 session 0: unknown"},
		},
		{
			"a new session, that counted at once", "openrc-v2",
			contents{alice + "/memory.events": events(3, 3)},
			contents{alice + "/memory.events": events(4, 4), alice + "/7/memory.events": events(1, 1), alice + "/7/memory.max": "1"}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice/7 session 7: memory.max 1 of /user/alice/7, -1, -1"},
		},
		{
			"a new user", "openrc-v2", nil,
			contents{unified + "/user/bob/memory.events": events(1, 1), unified + "/user/bob/0/memory.events": events(1, 1), unified + "/user/bob/memory.max": "1"}, nil,
			[]string{"kill 1 of bob/-1 in /user/bob/0 session 0: memory.max 1 of /user/bob, -1, -1"},
		},
		{
			"a limit above all users", "openrc-v2",
			contents{unified + "/user/memory.events": events(0, 0), unified + "/user/memory.max": "100", alice + "/memory.events": events(0, 0)},
			contents{unified + "/user/memory.events": events(1, 1), alice + "/memory.events": events(0, 1)}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice session -1: memory.max 100 of /user, -1, -1"},
		},
		{
			"v2 since 6.11: a refused fork", "openrc-v2",
			contents{
				alice + "/pids.events": "max 1", alice + "/pids.events.local": "max 1", alice + "/pids.max": "9", alice + "/pids.current": "8", alice + "/pids.peak": "9",
				alice + "/0/pids.events": "max 0", alice + "/0/pids.max": "max",
			},
			contents{alice + "/pids.events": "max 4"}, nil,
			[]string{"fork 3 of alice/-1 in /user/alice session -1: pids.max 9 of /user/alice, 8, 9"},
		},
		{
			"v2 before 6.11: where it was refused", "openrc-v2",
			contents{alice + "/pids.max": "9", alice + "/pids.current": "4", alice + "/pids.events": "max 0", alice + "/0/init.scope/pids.events": "max 0", alice + "/0/pids.max": "max"},
			contents{alice + "/0/init.scope/pids.events": "max 2", alice + "/pids.events": "max 1"}, nil,
			[]string{
				"fork 1 of alice/-1 in /user/alice session -1: pids.max 9 of /user/alice, 4, -1",
				"fork 2 of alice/-1 in /user/alice/0/init.scope session 0: pids.max 9 of /user/alice, 4, -1",
			},
		},
		{
			"systemd's slice", "debian12-v2-systemd",
			contents{slice + "/memory.events": events(0, 0), slice + "/memory.max": "100", slice + "/user@1000.service/memory.events": events(0, 0)},
			contents{slice + "/memory.events": events(1, 1), slice + "/user@1000.service/memory.events": events(0, 1)}, nil,
			[]string{"kill 1 of /1000 in /user.slice/user-1000.slice/user@1000.service session -1: memory.max 100 of /user.slice/user-1000.slice, -1, -1"},
		},
		{
			"v1: the user's limit", "openrc-hybrid",
			contents{
				memory + "/user/alice/memory.failcnt": "4", memory + "/user/alice/memory.limit_in_bytes": "20971520", memory + "/user/alice/memory.max_usage_in_bytes": "20971520",
				memory + "/user/alice/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0", memory + "/user/alice/memory.memsw.failcnt": "0",
				memory + "/user/alice/0/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1", memory + "/user/alice/0/memory.limit_in_bytes": "9223372036854771712",
			},
			contents{memory + "/user/alice/memory.failcnt": "210", memory + "/user/alice/0/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2"}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice/0 session 0: memory.limit_in_bytes 20971520 of /user/alice, -1, 20971520"},
		},
		{
			"v1: with swap", "openrc-hybrid",
			contents{
				memory + "/user/alice/memory.failcnt": "4", memory + "/user/alice/memory.memsw.failcnt": "4", memory + "/user/alice/memory.memsw.limit_in_bytes": "50", memory + "/user/alice/memory.limit_in_bytes": "40",
				memory + "/user/alice/0/memory.oom_control": "oom_kill 0",
			},
			contents{memory + "/user/alice/memory.memsw.failcnt": "5", memory + "/user/alice/0/memory.oom_control": "oom_kill 1"}, nil,
			[]string{"kill 1 of alice/-1 in /user/alice/0 session 0: memory.memsw.limit_in_bytes 50 of /user/alice, -1, -1"},
		},
		{
			"v1: a session that has ended", "openrc-hybrid",
			contents{memory + "/user/alice/memory.failcnt": "4", memory + "/user/alice/memory.limit_in_bytes": "50", memory + "/user/alice/0/memory.oom_control": "oom_kill 0"},
			contents{memory + "/user/alice/memory.failcnt": "5", memory + "/user/alice/0": ""},
			[]record{kill(10, "/user/alice/0/x", "/user/alice")},
			[]string{"kill 1 of alice/-1 in /user/alice/0/x session 0: memory.limit_in_bytes 50 of /user/alice, -1, -1; 10 hog"},
		},
		{
			"v1: a refused fork", "openrc-hybrid",
			contents{pids + "/user/alice/pids.max": "2", pids + "/user/alice/pids.peak": "2", pids + "/user/alice/0/pids.max": "max", pids + "/user/alice/0/pids.events": "max 0", pids + "/user/alice/pids.events": "max 0"},
			contents{pids + "/user/alice/0/pids.events": "max 1"}, nil,
			[]string{"fork 1 of alice/-1 in /user/alice/0 session 0: pids.max 2 of /user/alice, -1, 2"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := machinetest.Copy(t, filepath.Join("../testdata", test.machine))
			test.before.write(t, dir)
			before := snapshotOf(t, dir)
			test.after.write(t, dir)
			now := snapshotOf(t, dir)
			found, _ := compare(before, now, test.log)
			var got []string
			for _, e := range found {
				got = append(got, line(e))
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if again, _ := compare(now, now, nil); len(again) > 0 {
				t.Errorf("after that still %v", again)
			}
		})
	}
}

// What the log tells before a counter does is told once, when the counter has risen, and
// what no counter confirms is dropped.
func TestCounterIsBehind(t *testing.T) {
	dir := machinetest.Copy(t, "../testdata/openrc-v2")
	at := unified + "/user/alice/0/memory.events"
	contents{at: events(0, 0)}.write(t, dir)
	before := snapshotOf(t, dir)
	log := []record{kill(10, "/user/alice/0", "")}
	found, unmatched := compare(before, before, log)
	if len(found) != 0 || len(unmatched) != 1 {
		t.Fatalf("got %v, %v", found, unmatched)
	}
	if found, dropped := compare(before, before, unmatched); len(found) != 0 || len(dropped) != 0 {
		t.Errorf("not counted, but %v, %v", found, dropped)
	}
	contents{at: events(0, 1)}.write(t, dir)
	found, unmatched = compare(before, snapshotOf(t, dir), unmatched)
	if len(found) != 1 || len(found[0].Victims) != 1 || len(unmatched) != 0 {
		t.Errorf("got %v, %v", found, unmatched)
	}
}

// A user's cgroups without number are not all looked at, and what is overlooked once and
// found later is no news.
func TestBound(t *testing.T) {
	dir := machinetest.Copy(t, "../testdata/openrc-v2")
	c := contents{unified + "/user/alice/memory.events": events(0, 0)}
	for i := range 2 * maxUserGroups {
		c[fmt.Sprintf("%s/user/alice/0/%03d/memory.events", unified, i)] = events(9, 9)
	}
	c.write(t, dir)
	before := snapshotOf(t, dir)
	if n := len(before.trees[0].groups); n > maxUserGroups+10 {
		t.Errorf("it looked at %d", n)
	}
	if err := os.RemoveAll(filepath.Join(dir, unified, "user/alice/0/000")); err != nil {
		t.Fatal(err)
	}
	contents{unified + "/user/alice/memory.events": events(0, 1)}.write(t, dir)
	found, _ := compare(before, snapshotOf(t, dir), nil)
	if len(found) != 1 || found[0].Count != 1 || found[0].Cgroup != "/user/alice" {
		t.Errorf("got %+v", found)
	}
}
