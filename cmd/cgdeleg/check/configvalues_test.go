package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What LXC or the kernel does not take of a container's configuration is said by its line.
func TestValues(t *testing.T) {
	const roots, mine = "/var/log/lxc", "/home/alice/log"
	dir := func(name string, uid int) change {
		return all(write(name+"/other", ""), stat(name, machine.Stat{Mode: 0o40755, UID: uid, GID: uid}))
	}
	for name, test := range map[string]struct {
		line   string
		change change
		want   []string
		says   []string
	}{
		"a switch":                      {"lxc.start.auto = 1", nil, nil, nil},
		"a word for a switch":           {"lxc.start.auto = true", nil, []string{"failed:config"}, []string{"does not understand the value of lxc.start.auto", "write 1 in place of true", "editor " + config}},
		"another number for a switch":   {"lxc.autodev = 2", nil, []string{"failed:config"}, []string{"write 0 or 1 in place of 2"}},
		"one that a later line changes": {"lxc.start.auto = yes\nlxc.start.auto = 1", nil, []string{"failed:config"}, nil},
		"no address":                    {"lxc.net.3.ipv4.address = 10.0.3.300/24", nil, []string{"failed:config"}, []string{"an IPv4 address"}},
		"a log of root's":               {"lxc.log.file = " + roots + "/c1.log", dir(roots, 0), []string{"failed:config"}, []string{"cannot write " + roots + "/c1.log", roots + ": owner 0:0"}},
		"a log in a directory to make":  {"lxc.log.file = " + mine + "/new/c1.log", dir(mine, 1000), nil, nil},
		"a log that is root's":          {"lxc.log.file = " + mine + "/other", all(dir(mine, 1000), stat(mine+"/other", machine.Stat{Mode: 0o100644})), []string{"failed:config"}, []string{mine + "/other: owner 0:0"}},
		"a log of the user's":           {"lxc.log.file = " + mine + "/other", all(dir(mine, 1000), stat(mine+"/other", machine.Stat{Mode: 0o100644, UID: 1000})), nil, nil},
		"bytes":                         {"lxc.cgroup2.memory.max = 64MB", nil, []string{"failed:config-limits"}, []string{"the kernel does not accept 64MB as a value of memory.max", "write 64M in place of 64MB"}},
		"binary bytes":                  {"lxc.cgroup2.memory.high = 1GiB", nil, []string{"failed:config-limits"}, []string{"write 1G in place of 1GiB"}},
		"a word for processes":          {"lxc.cgroup2.pids.max = many", nil, []string{"failed:config-limits"}, []string{"write a number, or max, as the value of lxc.cgroup2.pids.max"}},
		"what the kernel takes":         {"lxc.cgroup2.memory.max = 64m\nlxc.cgroup2.memory.high = max\nlxc.cgroup2.pids.max = 100", nil, nil, nil},
		"bytes that are taken back":     {"lxc.cgroup2.memory.max = 64MB\nlxc.cgroup2.memory.max =", nil, nil, nil},
		"bytes for the other version":   {"lxc.cgroup.memory.limit_in_bytes = 64MB\nlxc.cgroup2.memory.max = 64M", nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []change{appendTo(config, "\n"+test.line+"\n"), write("/versions", "lxc 5.0.2\n"),
				write("/sys/fs/cgroup/user/alice/0/memory.max", "max\n"), write("/sys/fs/cgroup/user/alice/0/memory.high", "max\n"), write("/sys/fs/cgroup/user/alice/0/pids.max", "max\n")}
			if test.change != nil {
				changes = append(changes, test.change)
			}
			findings := findingsOn(t, recorded(t, v2, changes...), "c1")
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for _, word := range test.says {
				i := slices.IndexFunc(findings, isTrouble)
				if text := allOf(findings[i]); !strings.Contains(text, word) {
					t.Errorf("%q is not in\n%s", word, text)
				}
			}
		})
	}
}

// The user's containers are made from a copy of root's default configuration, and it is the
// copy that is changed.
func TestDefaultConfiguration(t *testing.T) {
	const root, own = "/etc/lxc/default.conf", "/home/alice/.config/lxc/default.conf"
	for name, test := range map[string]struct {
		change change
		want   []string
	}{
		"no copy yet": {nil, []string{"mkdir -p /home/alice/.config/lxc", "sh -c '[ -e " + own + " ] || cp " + root + " " + own + "'", ">>" + own}},
		"a copy":      {write(own, "lxc.net.0.type = empty\n"), []string{"in " + own + ", as LXC reads", "editor " + own}},
	} {
		changes := []change{write(root, "lxc.net.0.type = empty\n")}
		if test.change != nil {
			changes = append(changes, test.change)
		}
		f := &check.Facts{Machine: recorded(t, v2, changes...)}
		var err error
		if f.Subject, err = check.Caller(f.Machine); err != nil {
			t.Fatal(err)
		}
		if f.Config, err = lxcconf.Read(f.Machine, root); err != nil {
			t.Fatal(err)
		}
		findings := run(t, f)
		text := allOf(findings[slices.IndexFunc(findings, func(f check.Finding) bool { return f.Name == "config-idmap" })])
		for _, word := range test.want {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q is not in\n%s", name, word, text)
			}
		}
		if strings.Contains(text, ">>"+root) || strings.Contains(text, "editor "+root) {
			t.Errorf("%s: root's file is changed:\n%s", name, text)
		}
	}
}
