package ociconf

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
)

// rootless is what runc spec --rootless makes, in short.
const rootless = `{
	"ociVersion": "1.0.2-dev",
	"process": {"terminal": true, "user": {"uid": 0, "gid": 0}, "args": ["sh"], "env": ["TOKEN=secret"],
		"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]},
	"root": {"path": "rootfs", "readonly": true},
	"mounts": [{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "mode=0620"]}],
	"linux": {
		"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
		"gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
		"namespaces": [{"type": "pid"}, {"type": "user"}, {"type": "network", "path": "/proc/1/ns/net"}],
		"resources": {"memory": {"limit": 67108864}}
	}
}
`

func TestParse(t *testing.T) {
	c, err := Parse("/b/config.json", rootless+"more")
	if err != nil {
		t.Fatal(err)
	}
	one := []IDMap{{Inside: 0, Outside: 1000, Count: 1}}
	if !slices.Equal(c.Linux.UIDs, one) || !slices.Equal(c.Linux.GIDs, one) || c.Root.Path != "rootfs" || !c.Root.ReadOnly || c.CgroupsPath() != "" || c.Process.Rlimits[0].Hard != 1024 {
		t.Errorf("got %+v, %+v", c, c.Linux)
	}
	if _, ok := c.Namespace("user"); !ok {
		t.Error("no user namespace")
	}
	if n, ok := c.Namespace("network"); !ok || n.Path != "/proc/1/ns/net" {
		t.Errorf("network namespace %+v, %v", n, ok)
	}
	if _, ok := c.Namespace("ipc"); ok {
		t.Error("an IPC namespace that was not asked for")
	}
	again, err := Parse("/b/config.json", c.String())
	if err != nil || !reflect.DeepEqual(c, again) || strings.Contains(c.String(), "secret") {
		t.Errorf("it became %v, %s", err, c.String())
	}
	if empty, err := Parse("/b/config.json", "{}"); err != nil || len(empty.Limits()) != 0 || empty.CgroupsPath() != "" {
		t.Errorf("an empty one: %+v, %v", empty, err)
	}
}

func TestErrors(t *testing.T) {
	const deep = 20000
	for name, test := range map[string]struct {
		text   string
		line   int
		on     string
		reason string
	}{
		"nothing":      {"", 1, "", "ends too early"},
		"no end":       {"{\n\"root\": {", 2, `"root": {`, "ends too early"},
		"no JSON":      {"{\n\"root\": }\n}\n", 2, `"root": }`, "invalid character"},
		"another type": {"{\n\"root\": {\n\"path\": 3}}", 3, `"path": 3}}`, "cannot unmarshal number"},
		"a negative":   {`{"linux": {"uidMappings": [{"size": -1}]}}`, 1, "size", "cannot unmarshal number"},
		"too large":    {`{"linux": {"uidMappings": [{"size": 4294967296}]}}`, 1, "size", "cannot unmarshal number"},
		"a list":       {"[]", 1, "[]", "cannot unmarshal array"},
		"deep arrays":  {`{"linux": ` + strings.Repeat("[", deep), 1, "[", "max depth"},
		"deep objects": {strings.Repeat(`{"linux":`, deep), 1, "linux", "max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("/b/config.json", test.text)
			var failure *confparse.ParseError
			if !errors.As(err, &failure) {
				t.Fatalf("got %v", err)
			}
			if failure.File != "/b/config.json" || failure.Line != test.line || !strings.Contains(failure.Text, test.on) || !strings.Contains(failure.Reason, test.reason) {
				t.Errorf("got %.300q", failure.Error())
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		resources string
		want      []Limit
	}{
		"none":    {`{}`, nil},
		"zeros":   {`{"memory": {"limit": 0}, "cpu": {"shares": 0, "quota": 0}, "pids": {"limit": 0}, "blockIO": {}, "network": {}, "unified": {}, "hugepageLimits": []}`, nil},
		"memory":  {`{"memory": {"limit": -1, "reservation": 5, "swap": 9, "swappiness": 3}}`, []Limit{{"memory.limit", "memory", "memory"}, {"memory.reservation", "memory", "memory"}, {"memory.swap", "memory", "memory"}}},
		"cpu":     {`{"cpu": {"shares": 512, "period": 1, "realtimePeriod": 2}}`, []Limit{{"cpu.shares", "cpu", "cpu"}, {"cpu.period", "cpu", "cpu"}, {"cpu.realtimePeriod", "cpu", ""}}},
		"cpuset":  {`{"cpu": {"cpus": "0-1", "mems": "0"}}`, []Limit{{"cpu.cpus", "cpuset", "cpuset"}, {"cpu.mems", "cpuset", "cpuset"}}},
		"pids":    {`{"pids": {"limit": -1}}`, []Limit{{"pids.limit", "pids", "pids"}}},
		"io":      {`{"blockIO": {"weight": 10, "leafWeight": 10, "throttleWriteIOPSDevice": [{"major": 8}]}}`, []Limit{{"blockIO.weight", "blkio", "io"}, {"blockIO.leafWeight", "blkio", ""}, {"blockIO.throttle", "blkio", "io"}}},
		"others":  {`{"hugepageLimits": [{"pageSize": "2MB"}], "network": {"classID": 1, "priorities": [{"name": "lo"}]}, "rdma": {"x": {}}}`, []Limit{{"hugepageLimits", "hugetlb", "hugetlb"}, {"network.classID", "net_cls", ""}, {"network.priorities", "net_prio", ""}, {"rdma", "rdma", "rdma"}}},
		"unified": {`{"unified": {"memory.high": "1", "cpu.weight": "5"}}`, []Limit{{"unified.cpu.weight", "", "cpu"}, {"unified.memory.high", "", "memory"}}},
		"devices": {`{"devices": [{"allow": false, "access": "rwm"}]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("/b/config.json", `{"linux": {"resources": `+test.resources+`}}`)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Limits(); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "{}", rootless, `{"linux": {"resources": {"unified": {"a/b": "c"}}}}`, `{"root": null, "mounts": [null]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("/b/config.json", text)
		var failure *confparse.ParseError
		switch {
		case errors.As(err, &failure):
			if failure.Line < 1 || failure.Line > 1+strings.Count(text, "\n") || strings.Contains(failure.Text, "\n") {
				t.Errorf("%q: %+v", text, failure)
			}
		case err != nil:
			t.Errorf("%q: %v", text, err)
		default:
			again, err := Parse("/b/config.json", c.String())
			if err != nil || !slices.Equal(again.Limits(), c.Limits()) {
				t.Errorf("%q: %v of %s", text, err, c.String())
			}
		}
	})
}
