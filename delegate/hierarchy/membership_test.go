package hierarchy

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Lines of /proc/PID/cgroup, cgroups(7).
func TestParseMemberships(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []Membership
	}{
		{"empty file", "", nil},
		{"v2", "0::/user.slice\n", []Membership{{Unified, "/user.slice"}}},
		{"last line without a newline", "0::/a", []Membership{{Unified, "/a"}}},
		{"v1", "4:cpu,cpuacct:/\n1:name=systemd:/init.scope\n", []Membership{{"cpu,cpuacct", "/"}, {"name=systemd", "/init.scope"}}},
		// pam_cgfs took the first "0::" anywhere for the v2 line.
		{"v1 path with x0::", "2:freezer:/x0::/forged\n", []Membership{{"freezer", "/x0::/forged"}}},
		{"v1 path that is a whole v2 line", "2:freezer:/0::/forged\n0::/true\n", []Membership{{"freezer", "/0::/forged"}, {Unified, "/true"}}},
		{"hierarchy 10 and v2", "10:freezer:/ten\n0::/\n", []Membership{{"freezer", "/ten"}, {Unified, "/"}}},
		{"v2 path with colons", "0::/a:b::c:\n", []Membership{{Unified, "/a:b::c:"}}},
		{"removed cgroup", "0::/user/bob/0 (deleted)\n", []Membership{{Unified, "/user/bob/0 (deleted)"}}},
		{"outside of the namespace", "0::/../other\n", []Membership{{Unified, "/../other"}}},
		{"spaces and backslashes are not escaped here", "0::/a b\\040\n", []Membership{{Unified, `/a b\040`}}},
		{"carriage return belongs to the path", "0::/a\r\n", []Membership{{Unified, "/a\r"}}},
		{"named hierarchy called unified is v1", "3:name=unified:/\n", []Membership{{"name=unified", "/"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseMemberships([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseMembershipsRefuses(t *testing.T) {
	const good = "7:pids:/\n"
	for _, test := range []struct{ name, line, reason string }{
		{"empty line", "", "fewer than three fields"},
		{"no colon", "0", "fewer than three fields"},
		{"one colon", "0:", "fewer than three fields"},
		{"no ID", "::/", "bad hierarchy ID"},
		{"words before the ID", "x0::/", "bad hierarchy ID"},
		{"space before the ID", " 0::/", "bad hierarchy ID"},
		{"second spelling of 0", "00::/", "bad hierarchy ID"},
		{"sign", "+0::/", "bad hierarchy ID"},
		{"negative ID", "-1:cpu:/", "bad hierarchy ID"},
		{"leading zero", "01:cpu:/", "bad hierarchy ID"},
		{"huge ID", "99999999999999999999:cpu:/", "bad hierarchy ID"},
		{"hierarchy 0 with controllers", "0:cpu:/", "hierarchy 0 with controllers, or another without"},
		{"hierarchy 1 without controllers", "1::/", "hierarchy 0 with controllers, or another without"},
		{"controller that would pass for v2", "1:unified:/", "bad controllers"},
		{"relative path", "0::a", "path without a leading slash"},
		{"no path", "0::", "path without a leading slash"},
		{"controller listed twice", "9:pids:/other", "second line of one hierarchy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ms, err := ParseMemberships([]byte(good + test.line + "\n"))
			requireParseError(t, err, ParseError{File: "cgroup", Line: 2, Text: test.line, Reason: test.reason})
			if ms != nil {
				t.Errorf("beside the error: %v", ms)
			}
		})
	}
	t.Run("v2 listed twice", func(t *testing.T) {
		_, err := ParseMemberships([]byte("0::/a\n0::/b\n"))
		requireParseError(t, err, ParseError{File: "cgroup", Line: 2, Text: "0::/b", Reason: "second line of one hierarchy"})
	})
}

func FuzzParseMemberships(f *testing.F) {
	for _, s := range []string{"", "0::/\n", "2:freezer:/x0::/y\n0::/init.scope\n", "4:cpu,cpuacct:/\n1:name=systemd:/a:b (deleted)", "00::/", "0:unified:/", "1:unified:/"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, err := ParseMemberships(data)
		if err != nil {
			var parse *ParseError
			if !errors.As(err, &parse) || ms != nil {
				t.Fatalf("%v with %v", ms, err)
			}
			return
		}
		if len(ms) != strings.Count(strings.TrimSuffix(string(data), "\n"), "\n")+min(len(data), 1) {
			t.Errorf("%d memberships of %q", len(ms), data)
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")[:len(ms)] {
			m := ms[i]
			if (m.Hierarchy == Unified) != strings.HasPrefix(line, "0::") {
				t.Errorf("line %q is of hierarchy %q", line, m.Hierarchy)
			}
			if !strings.HasSuffix(line, ":"+m.Path) || m.Path[0] != '/' {
				t.Errorf("line %q has path %q", line, m.Path)
			}
			if PathIn(ms, m.Hierarchy) != m.Path {
				t.Errorf("two lines of %q", m.Hierarchy)
			}
		}
	})
}

func TestMemberships(t *testing.T) {
	m := recorded("debian12-v1-hybrid")
	ms, err := Memberships(m, 4711)
	if err != nil {
		t.Fatal(err)
	}
	for hierarchy, want := range map[string]string{
		Unified: "/user/alice/0/init.scope", "freezer": "/user/alice/0/lxc/c1", "name=systemd": "/user/alice/0", "cpu": "/",
		"nosuch": "", "systemd": "", "": "",
	} {
		if got := PathIn(ms, hierarchy); got != want {
			t.Errorf("PathIn(%q) = %q, want %q", hierarchy, got, want)
		}
	}
}

// A PID that is gone is ENOENT; /proc/-1 and /proc/0 are none either. Of a recording
// that does not say so nobody knows.
func TestMembershipsOfNobody(t *testing.T) {
	for _, pid := range []int{4712, 0, -1} {
		large := pid + 1 + 1<<22 // no PID is
		_, err := Memberships(machine.Machine{}, large)
		requireNotFound(t, err, "/proc/"+strconv.Itoa(large)+"/cgroup", unix.ENOENT)
		_, err = Memberships(recorded("debian12-v1-hybrid"), pid)
		requireNotFound(t, err, "/proc/"+strconv.Itoa(pid)+"/cgroup", machine.ErrNotRecorded)
	}
	for _, pid := range []int{0, -1} {
		_, err := Memberships(machine.Machine{}, pid)
		requireNotFound(t, err, "/proc/"+strconv.Itoa(pid)+"/cgroup", unix.ENOENT)
	}
}

func recorded(host string) machine.Machine { return machine.Recorded("../testdata/" + host) }
