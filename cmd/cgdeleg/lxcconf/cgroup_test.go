package lxcconf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

func TestIDMaps(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []string // as LXC writes them
	}{
		{"none", "lxc.a = 1\n", nil},
		{"two", "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 1000\n", []string{"u 0 100000 65536", "g 0 200000 1000"}},
		{"old name", "lxc.id_map = u 0 1 2\n", []string{"u 0 1 2"}},
		{"both names", "lxc.id_map = u 0 1 2\nlxc.idmap = g 0 1 2\n", []string{"u 0 1 2", "g 0 1 2"}},
		{"cleared", "lxc.idmap = u 0 1 2\nlxc.idmap =\nlxc.idmap = g 0 1 2\n", []string{"g 0 1 2"}},
		{"cleared by the old name", "lxc.idmap = u 0 1 2\nlxc.id_map = ''\n", nil},
		{"blanks", "lxc.idmap = \" u\t0  100000 65536 \"\n", []string{"u 0 100000 65536"}},
		{"hexadecimal and octal", "lxc.idmap = u 0 0x10 +010\n", []string{"u 0 16 8"}},
		{"largest number", "lxc.idmap = u 0 0 18446744073709551615\n", []string{fmt.Sprintf("u 0 0 %d", uint64(math.MaxUint64))}},
		{"other keys", "lxc.idmaps = u\nlxc.idmap.x = u\nlxc.id_map_x = u\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			maps, err := config(t, test.data).IDMaps()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range maps {
				got = append(got, fmt.Sprintf("%c %d %d %d", m.Kind, m.Inside, m.Outside, m.Count))
				if m.Item.File != "/config" || m.Item.Line < 1 {
					t.Errorf("of %+v", m.Item)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestIDMapsRefuses(t *testing.T) {
	const kind, three, number = "mapping of neither u nor g", "mapping without three numbers", "bad number"
	for _, test := range []struct{ name, value, reason string }{
		{"both kinds, which only lxc-usernsexec knows", "b 0 1 2", kind},
		{"word for both", "both 0 1 2", kind},
		{"upper case", "U 0 1 2", kind},
		{"longer word", "uid 0 1 2", kind},
		{"no blank behind the kind", "u0 1 2", kind},
		{"blanks alone", `" "`, kind},
		{"colons", "u:0:1:2", kind},
		{"kind alone", "u", three},
		{"two numbers", "u 0 1", three},
		{"four numbers", "u 0 1 2 3", three},
		{"word", "u 0 x 2", number},
		{"negative", "u 0 -1 2", number},
		{"underscore", "u 0 1_0 2", number},
		{"too large", "u 0 18446744073709551616 2", number},
		{"no octal", "u 0 09 2", number},
	} {
		t.Run(test.name, func(t *testing.T) {
			maps, err := config(t, "lxc.idmap = u 0 1 2\nlxc.idmap = "+test.value+"\n").IDMaps()
			var parse *confparse.ParseError
			if !errors.As(err, &parse) || parse.File != "/config" || parse.Line != 2 || parse.Reason != test.reason || maps != nil {
				t.Errorf("got %v, %v; want %s", maps, err, test.reason)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []string // "2 FILE=VALUE", "1 FILE=VALUE"
	}{
		{"none", "lxc.a = 1\n", nil},
		{"v2", "lxc.cgroup2.memory.max = 512M\n", []string{"2 memory.max=512M"}},
		{"v1", "lxc.cgroup.memory.limit_in_bytes = 512M\n", []string{"1 memory.limit_in_bytes=512M"}},
		{"both, in order", "lxc.cgroup2.pids.max = 1\nlxc.cgroup.pids.max = 2\nlxc.cgroup2.cpu.max = 3 4\n", []string{"2 pids.max=1", "1 pids.max=2", "2 cpu.max=3 4"}},
		{"one file twice", "lxc.cgroup.devices.allow = a\nlxc.cgroup.devices.allow = b\n", []string{"1 devices.allow=a", "1 devices.allow=b"}},
		{"not files", "lxc.cgroup.dir = a\nlxc.cgroup.dir.container = a\nlxc.cgroup.dir.container.inner = a\nlxc.cgroup.dir.monitor = a\n" +
			"lxc.cgroup.dir.monitor.pivot = a\nlxc.cgroup.relative = 1\nlxc.cgroup.use = a\nlxc.cgroup.pattern = a\n", nil},
		{"files that start so", "lxc.cgroup.direct = a\nlxc.cgroup.use.x = b\n", []string{"1 direct=a", "1 use.x=b"}},
		{"v2 has no such keys", "lxc.cgroup2.dir = a\n", []string{"2 dir=a"}},
		{"file cleared", "lxc.cgroup2.memory.max = 1\nlxc.cgroup2.memory.high = 2\nlxc.cgroup2.memory.max =\n", []string{"2 memory.high=2"}},
		{"file cleared and set", "lxc.cgroup2.memory.max = 1\nlxc.cgroup2.memory.max =\nlxc.cgroup2.memory.max = 2\n", []string{"2 memory.max=2"}},
		{"cleared on v1 only", "lxc.cgroup2.pids.max = 1\nlxc.cgroup.pids.max = 2\nlxc.cgroup.pids.max =\n", []string{"2 pids.max=1"}},
		{"all of v2 cleared", "lxc.cgroup2.pids.max = 1\nlxc.cgroup.pids.max = 2\nlxc.cgroup2 =\n", []string{"1 pids.max=2"}},
		{"all of v1 cleared", "lxc.cgroup2.pids.max = 1\nlxc.cgroup.pids.max = 2\nlxc.cgroup =\n", []string{"2 pids.max=1"}},
		{"clearing a directory clears no limit", "lxc.cgroup.pids.max = 1\nlxc.cgroup.dir =\nlxc.cgroup.relative =\n", []string{"1 pids.max=1"}},
		{"value for all", "lxc.cgroup2 = 1\nlxc.cgroup = 2\n", nil},
		{"no file", "lxc.cgroup2. = 1\nlxc.cgroup. = 2\nlxc.cgroup2.pids.max = 1\nlxc.cgroup2. =\n", []string{"2 pids.max=1"}},
		{"other keys", "lxc.cgroup3.pids.max = 1\nlxc.cgroups.pids.max = 1\nlxc.cgroup22.x = 1\n", nil},
		{"hostile file", "lxc.cgroup2.../../x = 1\n", []string{"2 ../../x=1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, l := range config(t, test.data).Limits() {
				version := 1
				if l.Unified {
					version = 2
				}
				got = append(got, fmt.Sprintf("%d %s=%s", version, l.File, l.Value))
				if l.Item.Value != l.Value || l.Item.File != "/config" {
					t.Errorf("of %+v", l.Item)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
