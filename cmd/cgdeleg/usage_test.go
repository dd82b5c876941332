package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// composed writes a recorded machine, and returns its directory. A file with the content
// "absent" is known not to be there.
func composed(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	absent := ""
	for name, content := range files {
		path := filepath.Join(dir, name)
		if content == "absent" {
			absent += "/" + name + "\n"
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, machine.AbsentFile), []byte(absent), 0o644))
	return dir
}

// cgroupFiles are those of a cgroup on v2 in which everything is counted; changed takes the
// place of some.
func cgroupFiles(dir string, changed map[string]string) map[string]string {
	files := map[string]string{
		"cgroup.procs": "", "cgroup.controllers": "cpu io memory pids\n", "cgroup.subtree_control": "cpu io memory pids\n",
		"memory.current": "0\n", "memory.peak": "0\n", "memory.max": "max\n", "memory.high": "max\n",
		"memory.swap.current": "0\n", "memory.swap.max": "max\n", "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", "memory.events.local": "max 0\noom_kill 0\n",
		"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
		"pids.current": "0\n", "pids.peak": "0\n", "pids.max": "max\n", "pids.events": "max 0\n", "pids.events.local": "max 0\n", "io.stat": "",
		"memory.pressure": "absent", "cpu.pressure": "absent", "io.pressure": "absent",
	}
	maps.Copy(files, changed)
	all := map[string]string{}
	for name, content := range files {
		all[dir+"/"+name] = content
	}
	return all
}

// v2Machine has alice with two sessions, in the first of which a container is limited, bob
// without any limit, and carol, of whom little was recorded.
func v2Machine(t *testing.T) (dir string) {
	files := map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /u rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/\n", "proc/self/cgroup": "0::/user/alice/0/init.scope\n",
		"proc/4711/stat": "4711 (sshd) S 1" + strings.Repeat(" 0", 17) + " 100 0\n",
		"proc/uptime":    "60.00 0\n", "etc/passwd": "alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/:/bin/sh\ndave:x:1003:1003::/:/bin/sh\n",
		"u/memory.max": "absent", "u/memory.high": "absent", "u/memory.swap.max": "absent", "u/cpu.max": "absent", "u/pids.max": "absent",
		"u/cgroup.controllers": "cpu io memory pids\n", "u/user/carol/0/cgroup.procs": "",
	}
	for _, some := range []map[string]string{
		cgroupFiles("u/user", nil),
		cgroupFiles("u/user/alice", map[string]string{
			"memory.current": "2040109466\n", "memory.peak": "4187593114\n", "memory.max": "4294967296\n", "memory.high": "3435973837\n",
			"memory.events": "max 99\noom_kill 2\n", "memory.swap.current": "12582912\n", "memory.swap.max": "1073741824\n",
			"cpu.max": "400000 100000\n", "cpu.stat": "usage_usec 11520000000\nnr_periods 1000\nnr_throttled 40\nthrottled_usec 130000000\n",
			"pids.current": "990\n", "pids.peak": "1024\n", "pids.max": "1024\n", "pids.events": "max 7\n",
			"io.stat":      "8:0 rbytes=1288490188 wbytes=314572800 rios=1 wios=1 dbytes=0 dios=0\n",
			"cpu.pressure": "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
		}),
		cgroupFiles("u/user/alice/0", map[string]string{
			"memory.current": "2000109466\n", "memory.max": "2147483648\n", "memory.events": "max 99\noom_kill 2\n", "pids.current": "980\n",
			"cpu.stat": "usage_usec 11500000000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
		}),
		cgroupFiles("u/user/alice/0/init.scope", map[string]string{"cgroup.procs": "4711\n"}),
		cgroupFiles("u/user/alice/1", map[string]string{"memory.current": "40000000\n", "pids.current": "10\n"}),
		cgroupFiles("u/user/bob", map[string]string{"memory.current": "3000000000\n", "pids.current": "3\n"}),
		cgroupFiles("u/user/bob/0", map[string]string{"memory.current": "3000000000\n", "pids.current": "3\n", "io.stat": "absent"}),
	} {
		maps.Copy(files, some)
	}
	return composed(t, files)
}

// freezerMachine counts nothing.
func freezerMachine(t *testing.T) (dir string) {
	return composed(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n", "proc/1/cgroup": "1:freezer:/\n", "f/user/alice/0/cgroup.procs": "",
	})
}

func TestUsageScreens(t *testing.T) {
	v2, freezer := v2Machine(t), freezerMachine(t)
	for name, args := range map[string]string{
		"usage":             v2 + " usage",
		"usage-sort":        v2 + " usage -n --sort oom",
		"usage-user":        v2 + " usage alice",
		"usage-color":       v2 + " --color always usage alice",
		"usage-no-limit":    v2 + " usage bob",
		"usage-unknown":     v2 + " usage carol",
		"usage-json":        v2 + " usage alice --json",
		"usage-json-none":   freezer + " usage --json",
		"usage-no-session":  v2 + " usage dave",
		"usage-nobody":      v2 + " usage nosuch",
		"usage-bad-key":     v2 + " usage --sort nosuch",
		"usage-not-counted": freezer + " usage alice",
		"help-usage":        v2 + " usage --help",
		"help-top":          v2 + " top --help",
		"top":               v2 + " top",
		"top-user":          v2 + " top -1 -o tasks alice",
		"top-raw":           v2 + " top -b -n 1 -r --cpu time --depth 1 --order path",
		"top-nobody":        v2 + " top nosuch",
		"top-bad-key":       v2 + " top -o nosuch",
		"top-bad-delay":     v2 + " top -d 1h30",
		"top-short-delay":   v2 + " top -d 50us",
		"top-bad-cpu":       v2 + " top --cpu x",
		"top-bad-depth":     v2 + " top --depth 3",
		"status-limits":     v2 + " status -o user,session,memory,limit,peak,oom",
		"status-per-user":   v2 + " status --format prometheus --per-user",
		"status-not-user":   v2 + " status --per-user",
		"status-watch-json": v2 + " status --watch --json",
		"status-watch-bad":  v2 + " status --watch=never",
		"status-watch-time": v2 + " status -w never",
		"status-argument":   v2 + " status 5",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LC_ALL", "C.UTF-8")
			var out, errOut bytes.Buffer
			code := run(append([]string{"--root"}, strings.Fields(args)...), &out, &errOut)
			for line := range strings.Lines(out.String()) {
				if len([]rune(line)) > 81 && name != "usage-color" && !strings.HasPrefix(name, "help-") && !strings.HasPrefix(name, "status-") && name != "top-raw" {
					t.Errorf("wider than 80 columns: %s", line)
				}
			}
			_, args, _ := strings.Cut(args, " ")
			requireGolden(t, name, fmt.Sprintf("$ cgdeleg --root MACHINE %s\n%s-- standard error --\n%s-- exit code %d --\n", args, &out, &errOut, code))
		})
	}
}

// Who uses the most stands first, and of whom it is not known last.
func TestSortUsers(t *testing.T) {
	count := func(answer machine.Answer, n int64) usage.Count { return usage.Count{Answer: answer, N: n} }
	user := func(name string, memory, read, written usage.Count) usage.User {
		return usage.User{Name: name, Usage: usage.Usage{Memory: usage.Memory{Now: memory}, IO: usage.IO{Read: read, Written: written}}}
	}
	unknown := count(machine.Unknown, 0)
	users := []usage.User{
		user("a", unknown, count(machine.Found, 1), count(machine.Found, 1)),
		user("b", count(machine.Found, 5), unknown, unknown),
		user("c", count(machine.Found, 7), count(machine.Found, 0), count(machine.Found, 9)),
		user("d", count(machine.Absent, 0), count(machine.Found, 9), unknown),
	}
	for key, want := range map[string]string{"memory": "cbad", "io": "cabd", "user": "abcd", "cpu": "abcd"} {
		sorted := slices.Clone(users)
		k, err := sortKeyNamed(key)
		must(t, err)
		k.sort(sorted)
		got := ""
		for _, u := range sorted {
			got += u.Name
		}
		if got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// aTop is a top of two looks, a second and a half apart.
func aTop(t *testing.T) *top {
	t.Helper()
	found := func(n int64) usage.Count { return usage.Count{Answer: machine.Found, N: n} }
	session := func(user string, number int) *delegate.Session { return &delegate.Session{User: user, Number: number} }
	users := func(alice, bob, session0 int64) []usage.User {
		return []usage.User{
			{Name: "alice", Usage: usage.Usage{CPU: usage.CPU{Used: found(alice)}, Memory: usage.Memory{Now: found(100)}}, Sessions: []usage.Session{
				{Session: session("alice", 0), Usage: usage.Usage{CPU: usage.CPU{Used: found(session0)}}},
				{Session: session("alice", 1), Usage: usage.Usage{CPU: usage.CPU{Used: found(alice)}, IO: usage.IO{Read: found(alice), Written: found(0)}}},
			}},
			{Name: "bob", Usage: usage.Usage{CPU: usage.CPU{Used: found(bob)}, Memory: usage.Memory{Now: found(200)}}},
		}
	}
	key, err := sortKeyNamed("memory")
	must(t, err)
	pause := time.Second
	shown := &top{key: key, depth: 2, heading: true, isLive: true, pause: &pause}
	shown.take(users(5e9, 9e9, 4e9), time.Unix(100, 0))
	shown.take(users(8e9, 9e9+15e7, 1e9), time.Unix(101, 5e8))
	return shown
}

func (t *top) names() string {
	var names []string
	for _, r := range t.rows() {
		names = append(names, strings.TrimSpace(r.name))
	}
	return strings.Join(names, " ")
}

// The keys of systemd-cgtop.
func TestTopKeys(t *testing.T) {
	shown := aTop(t)
	loop := &frames{pause: time.Second}
	for _, test := range []struct {
		key  byte
		then then
		rows string
	}{
		{'x', nothing, "bob alice 0 1"},
		{'c', drawAgain, "alice 1 0 bob"}, // session 0 is another one by now: its rate is not known
		{'r', drawAgain, "bob alice 0 1"},
		{'r', drawAgain, "alice 1 0 bob"},
		{'%', drawAgain, "bob alice 1 0"}, // by the time in all
		{'i', drawAgain, "alice 1 0 bob"},
		{'p', drawAgain, "alice 0 1 bob"},
		{'t', drawAgain, "alice 0 1 bob"}, // of nobody known
		{'o', drawAgain, "alice 0 1 bob"},
		{'m', drawAgain, "bob alice 0 1"},
		{' ', lookAgain, "bob alice 0 1"},
		{'q', end, "bob alice 0 1"},
	} {
		if got := shown.press(test.key, loop); got != test.then || shown.names() != test.rows {
			t.Errorf("%c: %d, %s; want %d, %s", test.key, got, shown.names(), test.then, test.rows)
		}
	}
	for keys, want := range map[string]time.Duration{
		"+": 2 * time.Second, "++": 3 * time.Second, "-": 750 * time.Millisecond, "---": 250 * time.Millisecond, "-------": shortestPause, "-+": time.Second, "+-": time.Second,
	} {
		loop := &frames{pause: time.Second}
		for _, key := range []byte(keys) {
			shown.press(key, loop)
		}
		if loop.pause != want {
			t.Errorf("%s: %v, want %v", keys, loop.pause, want)
		}
	}
}

// What was used between two looks.
func TestTopScreen(t *testing.T) {
	shown := aTop(t)
	shown.press('c', &frames{})
	text, err := shown.draw()
	must(t, err)
	requireGolden(t, "top-live", string(text))
	shown.press('h', &frames{})
	help, err := shown.draw()
	if err != nil || !strings.Contains(string(help), "space        look now\n") {
		t.Errorf("%s, %v", help, err)
	}
	if shown.press('q', &frames{}) != drawAgain { // any key leaves the help
		t.Error("q ended it")
	}
	if again, _ := shown.draw(); again != text {
		t.Errorf("after the help:\n%s", again)
	}
}

func TestPadded(t *testing.T) {
	for name, want := range map[string][2]string{
		"ab": {"ab  ", "ab  "}, "abcd": {"abcd", "abcd"}, "abcde": {"abc…", "a..."}, "äöüßa": {"äöü…", "ä..."},
	} {
		for i, isUTF8 := range []bool{true, false} {
			if got := (screen{utf8: isUTF8}).padded(name, 4); got != want[i] {
				t.Errorf("%s: %q, want %q", name, got, want[i])
			}
		}
	}
}

func TestParsePause(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1": time.Second, "0.5": time.Second / 2, "250ms": 250 * time.Millisecond, "2min": 2 * time.Minute, "3s": 3 * time.Second, "200000us": 200 * time.Millisecond,
		"": 0, "x": 0, "-1": 0, "0": 0, "99ms": 0, "inf": 0, "NaN": 0,
	} {
		got, err := parsePause(text)
		if got != want && want != 0 || (err == nil) != (want != 0) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

// Below each other, the frames have an empty line between them, and end after so many.
func TestFramesBelow(t *testing.T) {
	var out bytes.Buffer
	looks := 0
	f := &frames{pause: time.Millisecond, count: 3, look: func() error { looks++; return nil }, draw: func() (markup, error) { return markup(fmt.Sprintln(looks)), nil }}
	if err := f.run(t.Context(), screen{Writer: &out}, false); err != nil || out.String() != "1\n\n2\n\n3\n" {
		t.Errorf("%q, %v", &out, err)
	}
	f.look = func() error { return os.ErrPermission }
	if err := f.run(t.Context(), screen{Writer: &out}, true); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.count, f.pause, f.look = 0, time.Hour, func() error { cancel(); return nil }
	if err := f.run(ctx, screen{Writer: &out}, true); err != nil {
		t.Errorf("got %v", err)
	}
}
