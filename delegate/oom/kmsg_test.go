package oom

import (
	"strings"
	"testing"
)

// What Linux 6.18 and 4.19 write, on cgroup v1, with the prefix of /dev/kmsg.
const (
	located     = "6,339,461527869,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/h3x,task_memcg=/h3x/a,task=python3,pid=5302,uid=0\n"
	killedNow   = "3,340,461527917,-;Memory cgroup out of memory: Killed process 5302 (python3) total-vm:221368kB, anon-rss:20096kB, file-rss:6692kB, shmem-rss:0kB, UID:0 pgtables:100kB oom_score_adj:0\n"
	located419  = "6,339,461527869,-;Task in /user/alice/0 killed as a result of limit of /user/alice\n"
	killed419   = "3,340,461527917,-;Killed process 812 (stress) total-vm:221368kB, anon-rss:20096kB, file-rss:4kB, shmem-rss:4kB\n"
	globalNow   = "6,339,461527869,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user/alice/0,task=tail,pid=7,uid=1000\n"
	globalKill  = "3,340,461527917,-;Out of memory: Killed process 7 (tail) total-vm:1kB, anon-rss:2kB, file-rss:0kB, shmem-rss:0kB\n"
	memcgPrefix = "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg="
)

func TestParser(t *testing.T) {
	for _, test := range []struct {
		name     string
		messages []string
		want     []record
	}{
		{"Linux 6.18", []string{located, killedNow}, []record{{Victim: Victim{5302, "python3", 26788 << 10}, task: "/h3x/a", limit: "/h3x"}}},
		{"Linux 4.19", []string{located419, killed419}, []record{{Victim: Victim{812, "stress", 20104 << 10}, task: "/user/alice/0", limit: "/user/alice"}}},
		{"the machine's memory", []string{globalNow, globalKill}, []record{{Victim: Victim{7, "tail", 2 << 10}, task: "/user/alice/0"}}},
		{"lines in between, and further lines", []string{located, "6,1,1,-;usb 1-1: new\n", strings.TrimSuffix(killedNow, "\n") + "\n SUBSYSTEM=x\n"}, []record{{Victim: Victim{5302, "python3", 26788 << 10}, task: "/h3x/a", limit: "/h3x"}}},
		{"only the second: the first is limited in its rate", []string{killedNow}, nil},
		{"another process", []string{located, killed419}, nil},
		{"one location, one kill", []string{located, killedNow, killedNow}, []record{{Victim: Victim{5302, "python3", 26788 << 10}, task: "/h3x/a", limit: "/h3x"}}},
		{"written by a user's program", []string{strings.Replace(located, "6,", "14,", 1), killedNow}, nil},
		{"the kill written by a program", []string{located, "11" + killedNow[1:]}, nil},
		{"a name like a path", []string{
			memcgPrefix + "/user/alice,task_memcg=/user/alice/0,task=x,task_memcg=/u,pid=9,uid=1\n", "3,2,2,-;Memory cgroup out of memory: Killed process 9 (x) total-vm:1kB, anon-rss:1kB\n",
		}, nil},
		{"a cgroup like another's", []string{
			memcgPrefix + "/user/alice,task_memcg=/user/alice/0/a,task_memcg=/user/bob/0,task=x,pid=9,uid=1\n", "3,2,2,-;Memory cgroup out of memory: Killed process 9 (x) total-vm:1kB, anon-rss:1kB\n",
		}, nil},
		{"a cpuset like a limit", []string{
			"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=x,oom_memcg=/user/bob,mems_allowed=0,global_oom,task_memcg=/user/alice/0,task=x,pid=9,uid=1\n",
			"3,2,2,-;Out of memory: Killed process 9 (x) total-vm:1kB, anon-rss:1kB\n",
		}, nil},
		{"a name with everything", []string{
			memcgPrefix + "/user/alice,task_memcg=/user/alice/0,task=),pid=1,uid=0,pid=9,uid=1\n", `3,2,2,-;Memory cgroup out of memory: Killed process 9 () total-vm:7\x0a\x5cé) total-vm:1kB, anon-rss:1kB` + "\n",
		}, []record{{Victim: Victim{9, ") total-vm:7\n\\é", 1 << 10}, task: "/user/alice/0", limit: "/user/alice"}}},
		{"escaped paths", []string{
			memcgPrefix + `/user/\xc3\xa9,task_memcg=/user/\xc3\xa9/0,task=x,pid=9,uid=1` + "\n", "3,2,2,-;Memory cgroup out of memory: Killed process 9 (x), UID 1, total-vm:1kB\n",
		}, []record{{Victim: Victim{9, "x", -1}, task: "/user/é/0", limit: "/user/é"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p parser
			var got []record
			for _, m := range test.messages {
				if r, ok := p.add(m); ok {
					got = append(got, r)
				}
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %+v", got)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("got %+v, want %+v", got[i], test.want[i])
				}
			}
		})
	}
}

// Whatever stands in the log, a kill has a process and the path of a cgroup, and none of
// what a message says twice is believed.
func FuzzParser(f *testing.F) {
	for _, s := range []string{located, killedNow, located419, killed419, globalNow, globalKill} {
		f.Add(s, killedNow)
	}
	f.Add(located, killedNow)
	f.Add("0,task_memcg=;oom-kill:constraint=,oom_memcg=,task_memcg=/,task=,pid=5302", "0,;Killed process 5302 () total-vm:")
	f.Fuzz(func(t *testing.T, first, second string) {
		var p parser
		for _, m := range []string{first, second} {
			r, ok := p.add(m)
			if ok && (r.PID <= 0 || r.task == "" || r.RSS < -1) {
				t.Errorf("%q: %+v", []string{first, second}, r)
			}
			// Before the first semicolon is what the kernel says of the record, and below its
			// first line what it says of a device: no user has a word there.
			_, said, _ := strings.Cut(first, ";")
			said, _, _ = strings.Cut(said, "\n")
			if ok && strings.Count(said, ",task_memcg=") > 1 {
				t.Errorf("%q is believed: %+v", first, r)
			}
		}
	})
}
