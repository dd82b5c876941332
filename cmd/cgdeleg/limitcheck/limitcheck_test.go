package limitcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

const testdata = "../../../delegate/testdata/"

// files are those of a machine that knows its users by files alone.
var files = map[string]string{
	"etc/passwd":                     "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\nstaffer:x:500:500::/:/bin/sh\n",
	"etc/group":                      "root:x:0:\nalice:x:1000:\nstudents:x:2000:alice\nstaff:x:2001:bob\n",
	"etc/nsswitch.conf":              "passwd: files # and no more\ngroup:files\n",
	"sys/devices/system/cpu/present": "0-3\n",
	"dev/sda":                        "",
	"sys/dev/block/8:0/dev":          "8:0\n",
}

// gather asks a copy of a recorded machine, "" for one of which nothing is known, with the
// given text for limits.conf.
func gather(t *testing.T, recorded, text string, more map[string]string) *Facts {
	t.Helper()
	dir := t.TempDir()
	if recorded != "" {
		dir = machinetest.Copy(t, testdata+recorded)
	}
	all := map[string]string{"etc/cgdeleg/limits.conf": text, machine.AbsentFile: "/dev/nosuch\n/sys/dev/block/9:9\n"}
	for _, some := range []map[string]string{files, more} {
		for name, content := range some {
			all[name] = content
		}
	}
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := Gather(machine.Recorded(dir))
	t.Cleanup(f.Close)
	return f
}

// requireFindings compares findings with lines "LINE:COLUMN SEVERITY BEGINNING OF THE MESSAGE".
func requireFindings(t *testing.T, f *Facts, want []string) {
	t.Helper()
	findings := Run(f)
	for i, finding := range findings {
		got := fmt.Sprintf("%d:%d %s %s", finding.Line, finding.Column, finding.Severity, finding.Message)
		if i >= len(want) {
			t.Errorf("also %s", got)
			continue
		}
		if !strings.HasPrefix(got, want[i]) {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
		if finding.Fix == "" || !strings.HasPrefix(finding.File, "/etc/cgdeleg/limits") {
			t.Errorf("%+v", finding)
		}
	}
	if len(findings) < len(want) {
		t.Errorf("missing: %q", want[len(findings):])
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"the example", "root,uid<1000 user -\n@students user memory.high=20% memory.max=25% cpu.max=400% pids.max=1024\n@students session memory.max=4G\n* user memory.max=50% pids.max=4096\n", nil},
		{"nothing", "# nothing\n", nil},
		{"syntax", "alice user memory.max=1X\nalice\n", []string{
			`1:12 error "memory.max=1X": not a number; the line is ignored`, "2:1 error the line is cut off",
		}},
		{"unknown name", "alice user memory.maxi=1G\nbob user nproc=5", []string{`1:12 error there is no limit "memory.maxi"; the line`, `2:10 error there is no limit "nproc"`}},

		{"unknown people", "carol,alice,@teachers,@2000,@77 user pids.max=99\n!@pupils session -", []string{
			`1:1 warning there is no user "carol"`, `1:1 warning there is no group "teachers"`, `1:1 warning there is no group with the ID 77`, `2:1 warning there is no group "pupils"`,
		}},

		{"over 100 %", "alice user memory.max=101% pids.max=100% memory.swap.max=200%", []string{
			"1:12 warning memory.max=101% is more than there is", "1:42 warning memory.swap.max=200% is more",
		}},
		{"too little memory", "alice user memory.max=512K\nbob session memory.high=0% memory.max=10M", []string{
			`1:12 error "memory.max=512K": no login works with less than 4M`, `2:13 error "memory.high=0%": no login works`,
		}},
		{"root's sessions", "root,uid<1000 user -\n* user memory.max=50%\n* session memory.max=4G", []string{
			"3:1 warning each session of root is limited by this line",
		}},
		{"nor they", "root,uid<1000 user -\nroot,uid<1000 session -\n* session memory.max=4G", nil},
		{"root as everybody", "* user memory.max=50%\n* session memory.max=4G", nil},
		{"no swap space is well", "alice user memory.max=1G memory.swap.max=0", nil},
		{"too few processes", "alice user pids.max=9\nbob user pids.max=10\n* session pids.max=0", []string{`1:12 error "pids.max=9": no login`, `3:11 error "pids.max=0": no login`}},
		{"high alone", "alice user memory.high=1G\nbob user memory.high=1G memory.max=max\n* user memory.high=max", []string{
			"1:12 warning memory.high without memory.max", "2:10 warning memory.high without memory.max",
		}},
		{"high above max", "alice user memory.max=1G memory.high=2G\nbob user memory.high=30% memory.max=20%\n* user memory.high=30% memory.max=1G", []string{
			"1:26 warning memory.high=2G is never reached", "2:10 warning memory.high=30% is never reached",
		}},

		{"session above user", "alice user memory.max=1G pids.max=100 cpu.max=100%\nalice session memory.max=2G pids.max=100 cpu.max=\"200000 50000\"", []string{
			"2:15 warning memory.max=2G for a session is above memory.max=1G for the user (/etc/cgdeleg/limits.conf:1)", "2:42 warning cpu.max=200000 50000 for a session is above",
		}},
		{"session of some above all users", "bob user memory.max=9G\n* user memory.max=1G\n@students session memory.max=2G", []string{"3:19 warning memory.max=2G for a session"}},
		{"session of others", "bob user memory.max=1G\nalice session memory.max=2G", nil},
		{"session's percentage", "* user memory.max=1G\n* session memory.max=90%", nil},

		{"never reached after *", "* user -\nalice user -\n* session -\n", []string{"2:1 warning nobody can reach the line: /etc/cgdeleg/limits.conf:1 counts"}},
		{"another scope", "* session -\nalice user -\n", nil},
		{"the same again", "alice,@students user -\n@students,alice user -\n", []string{"2:1 warning nobody can reach"}},
		{"by two lines", "alice user -\nbob user -\nbob,alice user -\n", []string{"3:1 warning nobody can reach the line: /etc/cgdeleg/limits.conf:1 and /etc/cgdeleg/limits.conf:2 count"}},
		{"by three lines", "alice user -\nbob user -\nroot user -\nbob,alice,root user -\n", []string{"4:1 warning nobody can reach the line: /etc/cgdeleg/limits.conf:1 and 2 other lines count"}},
		{"one of two", "alice user -\nbob,alice user -\n", nil},
		{"a group by number", "@students user -\n@2000 user -", nil},
		{"range", "uid>=1000 user -\nuid=1500-1600 user -\nuid=999-1000 user -\nalice user -\nstaffer user -\n", []string{"2:1 warning nobody can reach", "4:1 warning nobody can reach"}},
		{"root", "uid<1000 user -\nroot user -", []string{"2:1 warning nobody can reach"}},
		{"ranges together", "uid<1000 user -\nuid>=2000 user -\nuid=1000-1999 user -\n@students user -\n* user -", []string{"4:1 warning nobody can reach", "5:1 warning nobody can reach"}},
		{"ranges with a gap", "uid<1000 user -\nuid>1000 user -\n* user -", nil},
		{"everybody but", "*,!alice user -\nbob user -\n@students user -\nalice user -\n", []string{"2:1 warning nobody can reach"}},
		{"everybody but, and again", "!alice,!uid<500 user -\n*,!alice,!uid<1000 user -\n", []string{"2:1 warning nobody can reach"}},
		{"everybody but, and fewer", "!alice,!uid<1000 user -\n*,!alice user -\n", nil},
		{"everybody but a group", "!@staff user -\nalice user -\n@students,!@staff user -\n", []string{"3:1 warning nobody can reach"}},
		{"everybody but those with other IDs", "!uid<1000 user -\nalice user -\nstaffer user -\nuid=2000 user -\n", []string{"2:1 warning nobody can reach", "4:1 warning nobody can reach"}},
		{"matches nobody", "alice,!alice user -\n!* user -\nuid<0 user -\nalice,!uid>=1000 user -\nalice,bob,!alice user -", []string{
			"1:1 warning the line matches nobody", "2:1 warning the line matches nobody", "3:1 warning the line matches nobody", "4:1 warning the line matches nobody",
		}},

		{"CPUs", "alice user cpuset.cpus=0-3\nbob user cpuset.cpus=2-5\n* user cpuset.cpus=8", []string{
			"2:10 warning cpuset.cpus=2-5: the machine has not the CPUs 4-5", "3:8 error cpuset.cpus=8: the machine has none",
		}},
		{"devices", `alice user io.max="/dev/nosuch rbps=1M" io.max="/dev/sda rbps=1M" io.max="8:0 rbps=1M" io.weight="9:9 5"`, []string{
			"1:12 error io.max: there is no /dev/nosuch", "1:88 error io.weight: there is no 9:9",
		}},
	} {
		t.Run(test.name, func(t *testing.T) { requireFindings(t, gather(t, "", test.text, nil), test.want) })
	}
}

// What a machine cannot set is found by its hierarchies.
func TestAbilities(t *testing.T) {
	meminfo := map[string]string{"proc/meminfo": "MemTotal: 8000000 kB\nSwapTotal: 0 kB\n", "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "60000\n"}
	for _, test := range []struct {
		name, machine, text string
		more                map[string]string
		want                []string
	}{
		{"v1: what there is", "debian12-v1-hybrid", "* user memory.max=1G pids.max=10% cpu.max=5%\n", meminfo, nil},
		{"v1: memory.high", "debian12-v1-hybrid", "alice user memory.max=1G memory.high=512M\nbob user memory.max=1G memory.high=512M\n", nil, []string{
			"1:26 warning memory.high cannot be set in hierarchy memory: cgroup v1 has no such limit", "2:24 warning memory.high cannot be set",
		}},
		{"v2", "openrc-v2", "* user memory.max=1G memory.high=10% pids.max=90\n* session cpu.max=5%", meminfo, nil},
		{"systemd: sessions", "systemd-v2-adopted", "* user memory.max=1G cpu.max=5% pids.max=90\n* session memory.max=512M cpu.weight=50 cpu.max=5% memory.swap.max=0", nil, []string{
			"2:41 warning cpu.max: systemd takes no such limit", "2:52 warning memory.swap.max: systemd takes no such limit",
		}},
		{"weights that nothing looks at", "openrc-v2", "* user io.weight=50", map[string]string{"sys/fs/cgroup/user/io.weight": "default 100\n", "sys/block/sda/queue/scheduler": "none [mq-deadline] bfq\n", machine.AbsentFile: "/sys/fs/cgroup/io.cost.qos\n"}, []string{
			"1:8 warning io.weight does nothing",
		}},
		{"weights with bfq", "openrc-v2", "* user io.weight=50", map[string]string{"sys/fs/cgroup/user/io.weight": "default 100\n", "sys/block/sda/queue/scheduler": "none mq-deadline [bfq]\n"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := gather(t, test.machine, test.text, test.more)
			if f.SetError != nil {
				t.Fatal(f.SetError)
			}
			requireFindings(t, f, test.want)
		})
	}
}

// Lines of different files stand in the order in which they are read.
func TestOrder(t *testing.T) {
	f := gather(t, "", "alice user memory.high=1G", map[string]string{"etc/cgdeleg/limits.d/b.conf": "bob user memory.high=1G\nx", "etc/cgdeleg/limits.d/a.conf": "* user -"})
	var got []string
	for _, finding := range Run(f) {
		got = append(got, fmt.Sprintf("%s:%d", filepath.Base(finding.File), finding.Line))
	}
	if want := []string{"limits.conf:1", "b.conf:1", "b.conf:1", "b.conf:2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if f.Lines() != 4 {
		t.Errorf("%d lines", f.Lines())
	}
}

// People whom a directory service may know are not said to be unknown.
func TestPeopleOfADirectory(t *testing.T) {
	requireFindings(t, gather(t, "", "carol,@teachers user -", map[string]string{"etc/nsswitch.conf": "passwd: files sss\ngroup: files ldap\n"}), nil)
}

// Files that cannot be read, and those that were not recorded.
func TestUnread(t *testing.T) {
	f := Gather(machine.Recorded(t.TempDir()))
	defer f.Close()
	findings := Run(f)
	if len(findings) != 2 || !findings[0].Unread || findings[0].Line != 0 || findings[0].Fix == "" {
		t.Errorf("got %+v", findings)
	}
}

// 5,000 lines of names and exclusions are looked through in a moment.
func TestManyLines(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "user%d,@group%d,!@except%d %s memory.max=%dM pids.max=100\n", i/2, i/2, i/2%100, []string{"user", "session"}[i%2], i/2+4)
	}
	f := gather(t, "", text.String(), map[string]string{"etc/nsswitch.conf": "passwd: sss\ngroup: sss\n"})
	begin := time.Now()
	requireFindings(t, f, nil)
	if took := time.Since(begin); took > 20*time.Second { // 0.2 s on an idle machine
		t.Errorf("it took %v", took)
	}
}
