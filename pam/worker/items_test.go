package worker

import (
	"strings"
	"testing"
)

// What the worker answers to the line "limits", on machines with v2.
func TestPrepareLimits(t *testing.T) {
	v2 := map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n", "proc/1/cgroup": "0::/init.scope\n",
		"sys/fs/cgroup/cgroup.controllers": "memory pids\n", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/user.slice/cgroup.procs": "",
		"proc/meminfo": "MemTotal:        1000000 kB\nSwapTotal:       0 kB\n", "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "10000\n",
		"etc/passwd": "alice:x:1000:1000::/:/bin/sh\n", "etc/group": "students:x:2000:alice\n", "run/systemd/system/": "",
	}
	const conf = "etc/cgdeleg/limits.conf"
	const success, refused = "result success\n", "result failure\n"
	limited := func(text string) map[string]string { return map[string]string{conf: text} }
	for _, test := range []struct {
		name, options string
		files         map[string]string
		want          string
	}{
		{"no file", "", nil, success},
		{"nothing for the session", "", limited("alice user memory.max=1G\n"), success},
		{"all that pam_systemd takes", "", limited("alice session memory.max=10M pids.max=50 cpu.weight=7 io.weight=8\n"),
			"item systemd.memory_max 10485760\nitem systemd.tasks_max 50\nitem systemd.cpu_weight 7\nitem systemd.io_weight 8\n" + success},
		{"by group", "", limited("@students session pids.max=max\n"), "item systemd.tasks_max infinity\n" + success},
		{"nobody's line", "", limited("bob session pids.max=50\n"), success},
		{"percent of the machine", "", limited("* session memory.max=50% pids.max=10%\n"), "item systemd.memory_max 512000000\nitem systemd.tasks_max 1000\n" + success},
		{"percent of the user's limit", "", limited("* user memory.max=25%\n* session memory.max=50%\n"), "item systemd.memory_max 128000000\n" + success},
		{"percent of the limit that the slice has", "", map[string]string{conf: "* session pids.max=50%\n", "sys/fs/cgroup/user.slice/user-1000.slice/pids.max": "600\n",
			"sys/fs/cgroup/user.slice/user-1000.slice/cgroup.procs": ""}, "item systemd.tasks_max 300\n" + success},
		{"what pam_systemd has no item for", "", limited("* session memory.high=1G pids.max=50 cpu.max=20%\n"),
			"item systemd.tasks_max 50\nlog warning user \"alice\": pam_systemd cannot set these limits of a session: memory.high=1G cpu.max=20%\n" + success},
		{"the same, required", "limits=required", limited("* session cpu.max=20%\n"),
			"log error user \"alice\": limits are required, and pam_systemd cannot set cpu.max=20%; this session is refused\n" + refused},
		{"a mistake costs its line", "limits=required", limited("* session pids.max=many\n* session pids.max=50\n"),
			"log warning /etc/cgdeleg/limits.conf:1:11: MISTAKE; ignored\nitem systemd.tasks_max 50\n" + success},
		{"debug", "debug", limited("* session pids.max=50\n"), "item systemd.tasks_max 50\nlog debug user \"alice\": pam_systemd is to set systemd.tasks_max=50\n" + success},
		{"groups that are not known", "", map[string]string{conf: "@students session pids.max=50\n* session pids.max=90\n", "etc/group": "", "etc/passwd": ""},
			"log warning GROUPS; lines of limits for groups are ignored\nitem systemd.tasks_max 90\n" + success},
		{"the same, required", "limits=required", map[string]string{conf: "@students session pids.max=50\n* session pids.max=90\n", "etc/group": "", "etc/passwd": ""},
			"log warning GROUPS; lines of limits for groups are ignored\nlog error user \"alice\": limits are required, and not known: GROUPS; this session is refused\n" + refused},
		{"another option that is wrong", "cows", nil, "log warning unknown option \"cows\" ignored; KNOWN\n" + success},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			for _, some := range []map[string]string{v2, test.files} {
				for name, content := range some {
					files[name] = content
				}
			}
			s, _ := aMachine(t, files)
			var out strings.Builder
			run(arguments("limits", "7", "1000", "1000", "alice", "", append([]string{"limits"}, strings.Fields(test.options)...)...), &out, s)
			requireReply(t, out.String(), test.want)
		})
	}
}

// requireReply compares replies. Words in capitals stand for any text in a line.
func requireReply(t *testing.T, got, want string) {
	t.Helper()
	requireKnown(t, got)
	lines := strings.SplitAfter(got, "\n")
	for i, line := range strings.SplitAfter(want, "\n") {
		fits := i < len(lines)
		rest := ""
		if fits {
			rest = lines[i]
		}
		for _, piece := range splitAny(line, "MISTAKE", "GROUPS", "KNOWN") {
			at := strings.Index(rest, piece)
			fits = fits && at >= 0
			if fits {
				rest = rest[at+len(piece):]
			}
		}
		if !fits || rest != "" && !strings.HasSuffix(line, "KNOWN\n") {
			t.Fatalf("line %d: got\n%s\nwant\n%s", i+1, got, want)
		}
	}
}

func splitAny(s string, separators ...string) []string {
	for _, separator := range separators {
		s = strings.ReplaceAll(s, separator, "\x00")
	}
	return strings.Split(s, "\x00")
}

func TestPrepareLimitsElsewhere(t *testing.T) {
	s, _ := aMachine(t, map[string]string{"etc/cgdeleg/limits.conf": "* session pids.max=50\n"})
	for _, test := range []struct{ name, uid, options, want string }{
		{"without systemd", "1000", "", "result success\n"},
		{"without systemd, and debug", "1000", "debug", "log debug systemd does not run this machine; the PAM line with limits does nothing\nresult success\n"},
		{"without systemd, and required", "1000", "limits=required", "result success\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			run(arguments("limits", "7", test.uid, test.uid, "alice", "", append([]string{"limits"}, strings.Fields(test.options)...)...), &out, s)
			requireKnown(t, out.String())
			if out.String() != test.want {
				t.Errorf("got %q", out.String())
			}
		})
	}
	booted, _ := aMachine(t, map[string]string{"run/systemd/system/": ""})
	var out strings.Builder
	run(arguments("limits", "7", "", "", "nobody", "", "limits"), &out, booted)
	if want := "log error user \"nobody\" is not known to the system; this session has no limits of its own\nresult unknown-user\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

// A server says the items as a worker does, and nothing of what is required and not known.
func TestServePrepareLimits(t *testing.T) {
	files := map[string]string{"run/systemd/system/": "", "etc/cgdeleg/limits.conf": "* session pids.max=50\n"}
	for _, test := range []struct{ name, conf, option, want string }{
		{"items", "* session pids.max=50\n", "limits", "accepted\nitem systemd.tasks_max 50\nresult success\n"},
		{"refused", "* session cpu.max=5%\n", "limits=required", "accepted\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files["etc/cgdeleg/limits.conf"] = test.conf
			s, _ := aMachine(t, files)
			var out strings.Builder
			err := answer(arguments("limits", "7", "1000", "1000", "alice", "", "limits", test.option), Client{PID: 7, Reply: &out}, s)
			if out.String() != test.want || (err != nil) != (test.name == "refused") {
				t.Errorf("got %q, %v", out.String(), err)
			}
		})
	}
}
