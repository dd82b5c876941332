package limitcheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Of what people write instead, the message names the mistake, and the fix what to write.
func TestFixes(t *testing.T) {
	for text, want := range map[string]string{
		"alice user memory.limit_in_bytes=1G":          `there is no limit "memory.limit_in_bytes"; the line is ignored|write memory.max=2G`,
		"alice user MemoryLimit=1G":                    `there is no limit "MemoryLimit"|write MemoryMax=2G`,
		"alice user cpu.shares=512":                    `there is no limit "cpu.shares"|write cpu.weight=100, which is 1024 shares`,
		"alice user cpu.cfs_quota_us=50000":            `there is no limit|write cpu.max=50%, percent of one CPU`,
		"alice user memory=1G":                         `there is no limit "memory"|write memory.max=2G`,
		"alice user mem.max=1G":                        `there is no limit "mem.max"|write memory.max=2G`,
		"alice user nproc=100":                         `there is no limit "nproc"|write pids.max=1024`,
		"alice user nproc 100":                         `"nproc": no NAME=VALUE|write pids.max=1024`,
		"alice user nofile=100":                        `there is no limit "nofile"|write it into /etc/security/limits.conf`,
		"alice user Memory.Max=1G":                     `there is no limit "Memory.Max"|write memory.max`,
		"alice user zzzzzzzzz=1":                       `there is no limit "zzzzzzzzz"|write one of memory.max, memory.high, `,
		"alice user memory.max=1,5G":                   `"memory.max=1,5G": a comma in a number|write a point: memory.max=1.5G`,
		"alice user memory.max=1G,pids.max=100":        `"memory.max=1G,pids.max=100": a comma or semicolon between limits|write a blank: memory.max=1G pids.max=100`,
		"alice user memory.max=1G;pids.max=100":        `"memory.max=1G;pids.max=100": a comma or semicolon|write a blank: memory.max=1G pids.max=100`,
		"alice user memory.max=1G;":                    `"memory.max=1G;": a semicolon behind the value|remove it: memory.max=1G`,
		"alice user memory.max=1G, pids.max=100":       `"memory.max=1G,": a comma behind the value|remove it: memory.max=1G`,
		"alice user memory.max=1GB":                    `"memory.max=1GB": the unit is one letter|write memory.max=1G`,
		"alice user MemoryMax=512MiB":                  `"MemoryMax=512MiB": the unit is one letter|write MemoryMax=512M`,
		"alice user memory.max=5000000B":               `"memory.max=5000000B": bytes have no unit|write memory.max=5000000`,
		"alice user TasksMax=1K":                       `"TasksMax=1K": a number of processes has no unit|write the number: TasksMax=1000`,
		"alice user memory.max=unlimited":              `"memory.max=unlimited": not a number|write memory.max=max for no limit`,
		"alice user pids.max=-1":                       `"pids.max=-1": not a number|write pids.max=max for no limit`,
		"alice user cpu.max=2":                         `"cpu.max=2": neither a percentage|write percent of one CPU: cpu.max=50%`,
		"alice user memory.max = 1G":                   `"memory.max": no value|write the equals sign and the value right behind it`,
		"alice user memory.max= 1G":                    `"memory.max=": no value|write the value right behind the equals sign`,
		"alice user memory.max=2X":                     `"memory.max=2X": not a number|write bytes with K, M, G or T`,
		"alice user \\ ":                               `blanks after the backslash: the line is not continued; the line|remove what is after the backslash`,
		"alice user pids.max=100 DOM\\alice":           `"DOM\alice": no NAME=VALUE|write a limit, such as`,
		"alice user pids.max=100 pids.max=200":         `pids.max is given twice; the line|give it once`,
		"alice user pids.max=100 -":                    `- after a limit|write either - or limits`,
		"alice user cpu.max=\"1":                       `the quote is not closed|close the quote`,
		"alice users -":                                `"users" is neither user nor session; the line is ignored|write user`,
		"1001 user -":                                  `there is no user "1001"|write uid=1001, if the user ID is meant`,
		"1000-2000 user -":                             `there is no user "1000-2000"|write uid=1000-2000, if`,
		"1000- user -":                                 `there is no user "1000-"|write uid>=1000, if`,
		"Everybody user -":                             `there is no user "Everybody"|write *, if everybody is meant`,
		"alice;bob user -":                             `there is no user "alice;bob"|write commas between names: alice,bob`,
		"DOM\\alice user -":                            `there is no user "DOM\alice"|correct the name, or remove it`,
		"@teachers user -":                             `there is no group "teachers"|correct the name, or make the group: groupadd teachers`,
		"\"@domain users\" user -":                     `there is no group "domain users"|correct the name, or make the group: groupadd 'domain users'`,
		"@bob user -":                                  `there is no group "bob"|write bob, if the user is meant; or make the group: groupadd bob`,
		"@77 user -":                                   `there is no group with the ID 77|correct the number, or make the group: groupadd -g 77 NAME`,
		"alice,\x00:\x01 user -\n\x02\x00\x00":         `the file is no text: there is a byte 0 in line 1|write it anew`,
		"\xff\xfea\x00l\x00i\x00c\x00e\x00\n\x00x\x00": `the file is in UTF-16|save it as UTF-8: iconv -f UTF-16 -t UTF-8 /etc/cgdeleg/limits.conf >/etc/cgdeleg/limits.conf.new && mv`,
	} {
		t.Run(text, func(t *testing.T) {
			findings := Run(gather(t, "", text, nil))
			if len(findings) != 1 {
				t.Fatalf("got %+v", findings)
			}
			message, fix, _ := strings.Cut(want, "|")
			if f := findings[0]; !strings.HasPrefix(f.Message, message) || !strings.HasPrefix(f.Fix, fix) {
				t.Errorf("got  %s | %s\nwant %s | %s", f.Message, f.Fix, message, fix)
			}
		})
	}
}

// Files that are not read are said to be, but for backups of others.
func TestNotRead(t *testing.T) {
	const well = "alice user -\n"
	f := gather(t, "", well, map[string]string{
		"etc/cgdeleg/limits":                     well,
		"etc/cgdeleg/limits.conf~":               well,
		"etc/cgdeleg/other":                      well,
		"etc/cgdeleg/limits.d/students":          well,
		"etc/cgdeleg/limits.d/10.cfg":            well,
		"etc/cgdeleg/limits.d/20-x.conf~":        well,
		"etc/cgdeleg/limits.d/30.conf":           "bob user -\n",
		"etc/cgdeleg/limits.d/30.conf.dpkg-dist": well,
		"etc/cgdeleg/limits.d/.30.conf.swp":      well,
		"etc/cgdeleg/limits.d/.40.conf":          well,
		"etc/cgdeleg/limits.d/README":            well,
	})
	var got []string
	for _, finding := range Run(f) {
		got = append(got, string(finding.Severity)+" "+finding.File+": "+finding.Message+" | "+finding.Fix)
	}
	want := []string{
		"warning /etc/cgdeleg/limits: is not read: only /etc/cgdeleg/limits.conf and the files of /etc/cgdeleg/limits.d are | remove it, or give it another name that is read: /etc/cgdeleg/limits.d/NAME.conf",
		"warning /etc/cgdeleg/limits.d/.40.conf: is not read: its name begins with a dot | mv /etc/cgdeleg/limits.d/.40.conf /etc/cgdeleg/limits.d/40.conf",
		"warning /etc/cgdeleg/limits.d/10.cfg: is not read: its name does not end in .conf | mv /etc/cgdeleg/limits.d/10.cfg /etc/cgdeleg/limits.d/10.conf",
		"warning /etc/cgdeleg/limits.d/20-x.conf~: is not read: its name does not end in .conf | mv '/etc/cgdeleg/limits.d/20-x.conf~' /etc/cgdeleg/limits.d/20-x.conf",
		"warning /etc/cgdeleg/limits.d/students: is not read: its name does not end in .conf | mv /etc/cgdeleg/limits.d/students /etc/cgdeleg/limits.d/students.conf",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A file in place of the directory, a directory in place of the file, and a link that leads
// nowhere.
func TestWrongKinds(t *testing.T) {
	for name, test := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"limits.d a file": {func(dir string) error { return os.WriteFile(dir+"/limits.d", nil, 0o644) },
			"make it a directory, in which files end in .conf: mv /etc/cgdeleg/limits.d /etc/cgdeleg/limits.d.old; mkdir /etc/cgdeleg/limits.d"},
		"limits.conf a directory": {func(dir string) error { return os.Mkdir(dir+"/limits.conf", 0o755) }, "make it a file: rmdir /etc/cgdeleg/limits.conf"},
		"limits.conf a link":      {func(dir string) error { return os.Symlink("nowhere", dir+"/limits.conf") }, "make the file, or remove the link: rm /etc/cgdeleg/limits.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "etc/cgdeleg")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			absent := "/etc/cgdeleg/limits.conf\n/etc/cgdeleg/limits.d\n/etc/cgdeleg/nowhere\n"
			if err := os.WriteFile(filepath.Join(root, machine.AbsentFile), []byte(absent), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			f := Gather(machine.Recorded(root))
			defer f.Close()
			findings := Run(f)
			if len(findings) != 1 || findings[0].Fix != test.want {
				t.Errorf("got %+v, want %s", findings, test.want)
			}
		})
	}
}

// Limits that are more than there is, on a machine with 8 GB, and four CPUs; and the CPUs that
// it has not are said once.
func TestMoreThanThereIs(t *testing.T) {
	more := map[string]string{"proc/meminfo": "MemTotal: 8000000 kB\nSwapTotal: 1000 kB\n", "proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "60000\n"}
	requireFindings(t, gather(t, "openrc-v2", "alice user memory.max=1T cpu.max=800% pids.max=100000 memory.swap.max=1G\nbob user memory.high=9G memory.max=10G\n* user memory.max=7G cpu.max=400% pids.max=32768\n", more), []string{
		"1:12 warning memory.max=1T is more than the 7.6G that there are here", "1:26 warning cpu.max=800% is more than the 4 CPUs here have",
		"1:39 warning pids.max=100000 is more than the 32768 processes and threads",
		"2:10 warning memory.high=9G is more", "2:25 warning memory.max=10G is more",
	})
	for _, m := range []string{"openrc-v2", "debian12-v1-hybrid"} {
		requireFindings(t, gather(t, m, "alice user cpuset.cpus=9\n", more), []string{"1:12 error cpuset.cpus=9: the machine has none"})
	}
	swap := map[string]string{"sys/fs/cgroup/memory/user/memory.memsw.limit_in_bytes": "1\n", "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "1\n"}
	findings := Run(gather(t, "debian12-v1-hybrid", "alice user memory.swap.max=0\n", swap))
	if len(findings) != 1 || !strings.HasPrefix(findings[0].Fix, "write memory.max beside it; or leave it for machines with cgroup v2") {
		t.Errorf("got %+v", findings)
	}
}
