package check_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

const (
	bundleDir  = "/home/alice/b"
	bundleFile = bundleDir + "/config.json"
)

// spec is what runc spec --rootless makes, in short; its marks are replaced.
const spec = `{
	"ociVersion": "1.0.2-dev",
	"process": {"terminal": true, "user": {"uid": 0, "gid": 0}, "args": ["sh"], "rlimits": []},
	"root": {"path": "rootfs", "readonly": true},
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "newinstance", "mode=0620"]},
		{"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "ro"]}
	],
	"linux": {
		"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
		"gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
		"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "user"}],
		"resources": {}
	}
}
`

// edited returns the configuration with texts replaced, each by the one after it.
func edited(t *testing.T, pairs ...string) string {
	t.Helper()
	text := spec
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("the configuration has no %q", pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// asked has resources in place of none.
func asked(resources string) []string {
	return []string{`"resources": {}`, `"resources": {` + resources + `}`}
}

// wide has maps of alice's whole range.
func wide(kind string) []string {
	one := `"` + kind + `Mappings": [{"containerID": 0, "hostID": 1000, "size": 1}]`
	return []string{one, strings.TrimSuffix(one, "]") + `, {"containerID": 1, "hostID": 100000, "size": 65535}]`}
}

// whole is the map that has all of the user's IDs.
func whole(kind string) string { return strings.Replace(wide(kind)[1], "65535", "65536", 1) }

// inDir puts the bundle there, with a root file system of alice's.
func inDir(t *testing.T, dir string, text string) {
	t.Helper()
	write(bundleFile, text)(t, dir)
	stat(bundleFile, machine.Stat{Mode: 0o100644, UID: 1000, GID: 1000})(t, dir)
	stat(bundleDir+"/rootfs", machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000})(t, dir)
}

// readBundle reads it as the command does.
func readBundle(t *testing.T, f *check.Facts) {
	t.Helper()
	f.BundleDir = bundleDir
	data, err := f.Machine.As(f.Subject.Credentials()).ReadFile(bundleFile)
	if err == nil {
		f.Bundle, err = ociconf.Parse(bundleFile, string(data))
	}
	f.BundleError = err
}

// everywhere gives alice a session in every hierarchy of v1, as without -c.
func everywhere(t *testing.T, dir string) {
	t.Helper()
	replace("/etc/pam.d/common-session", " -c freezer,memory,name=openrc", "")(t, dir)
	points, err := filepath.Glob(filepath.Join(dir, "sys/fs/cgroup/*"))
	if err != nil || len(points) == 0 {
		t.Fatalf("no hierarchies: %v", err)
	}
	for _, point := range points {
		session := strings.TrimPrefix(point, dir) + "/user/alice/0"
		write(session+"/tasks", "")(t, dir)
		stat(session, machine.Stat{Mode: 0o40755, UID: 1000, GID: 1000})(t, dir)
	}
	var lines []string
	for line := range strings.Lines(read(t, filepath.Join(dir, "proc/self/cgroup"))) {
		number, rest, _ := strings.Cut(line, ":")
		names, _, _ := strings.Cut(rest, ":")
		lines = append(lines, number+":"+names+":/user/alice/0\n")
	}
	write("/proc/self/cgroup", strings.Join(lines, ""))(t, dir)
}

// What a bundle asks for against what is there. The statuses were seen of runc 1.1.5 on
// cgroup v1 (tests/clients), and for v2 read in its source.
func TestBundle(t *testing.T) {
	const runc, crun, oldCrun = "runc 1.1.5+ds1", "crun 1.21", "crun 1.8.1"
	many := make([]string, 341)
	for i := range many {
		many[i] = fmt.Sprintf(`{"containerID": %d, "hostID": %d, "size": 1}`, i+1, 100000+2*i)
	}
	manyMaps := []string{`"uidMappings": [`, `"uidMappings": [` + strings.Join(many, ", ") + ", "}
	for name, test := range map[string]struct {
		aCase
		edits []string
		text  string // in place of the edited configuration
	}{
		"rootless, v1":             {aCase: aCase{machine: v1}},
		"rootless, v2":             {aCase: aCase{machine: v2}},
		"rootless, systemd":        {aCase: aCase{machine: v2sd}},
		"rootless, hybrid":         {aCase: aCase{machine: hybrid}},
		"with limits, v2":          {aCase: aCase{machine: v2}, edits: asked(`"memory": {"limit": 1}, "pids": {"limit": 5}, "cpu": {"shares": 5, "cpus": "0"}, "blockIO": {"weight": 5}, "devices": [{"allow": false}]`)},
		"with a limit, v1":         {aCase: aCase{machine: v1}, edits: asked(`"memory": {"limit": 1}`)},
		"with the user's range":    {aCase: aCase{machine: v2}, edits: append(wide("uid"), wide("gid")...)},
		"with its own namespaces":  {aCase: aCase{machine: v2}, edits: []string{`{"type": "pid"}`, `{"type": "pid"}, {"type": "network"}`, `"type": "none"`, `"type": "sysfs"`}},
		"in another's namespace":   {aCase: aCase{machine: v2}, edits: []string{`{"type": "user"}`, `{"type": "user", "path": "/proc/5/ns/user"}`, `"hostID": 1000`, `"hostID": 5`}},
		"a cgroupsPath, v2":        {aCase: aCase{machine: v2}, edits: []string{`"resources"`, `"cgroupsPath": "/user/alice/0/c1", "resources"`}},
		"a cgroupsPath, systemd":   {aCase: aCase{machine: v2sd}, edits: []string{`"resources"`, `"cgroupsPath": "/user.slice/user-1000.slice/session-3.scope/c1", "resources"`}},
		"a relative one, v2":       {aCase: aCase{machine: v2}, edits: []string{`"resources"`, `"cgroupsPath": "c1", "resources"`}},
		"one for systemd":          {aCase: aCase{machine: v2sd}, edits: []string{`"resources"`, `"cgroupsPath": "user.slice:runc:c1", "resources"`}},
		"a cgroupsPath, v1, no -c": {aCase: aCase{machine: v1, change: everywhere}, edits: []string{`"resources"`, `"cgroupsPath": "/user/alice/0/c1", "resources"`}},

		"no file": {aCase: aCase{machine: v2, change: remove(bundleFile), want: []string{"failed:bundle"}, says: "there is no config.json in the bundle", fix: `sh -c 'cd /home/alice/b && /usr/bin/runc spec --rootless'`}},
		"no JSON": {aCase: aCase{machine: v2, want: []string{"failed:bundle"}, says: "the runtime starts nothing: it does not understand " + bundleFile, evidence: bundleFile + ":2: \"root\": x", fix: "editor " + bundleFile},
			text: "{\n\"root\": x}"},
		"another type":        {aCase: aCase{machine: v2, want: []string{"failed:bundle"}, evidence: "cannot unmarshal string"}, edits: asked(`"memory": {"limit": "64M"}`)},
		"nested without end":  {aCase: aCase{machine: v2, want: []string{"failed:bundle"}, evidence: "exceeded max depth"}, text: strings.Repeat(`{"linux":`, 20_000)},
		"larger than is read": {aCase: aCase{machine: v2, want: []string{"unknown:bundle"}, says: "larger than 256 KiB"}, text: spec + strings.Repeat(" ", 300_000)},
		"no root":             {aCase: aCase{machine: v2, want: []string{"failed:bundle"}, says: "lacks \"root\""}, text: `{"process": {}, "linux": {}}`},

		"no user namespace":                {aCase: aCase{machine: v1, want: []string{"failed:bundle-userns"}, says: "no user namespace", fix: "runc spec --rootless"}, edits: []string{`, {"type": "user"}`, ""}},
		"no user namespace, crun":          {aCase: aCase{machine: v2, clients: crun, change: remove("/usr/bin/runc")}, edits: []string{`, {"type": "user"}`, ""}},
		"no user IDs":                      {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "no linux.uidMappings", fix: `"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]`}, edits: []string{`"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],`, ""}},
		"more lines than the kernel takes": {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "more lines than the 340"}, edits: manyMaps},
		"IDs twice":                        {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "have an ID in common"}, edits: []string{`"gidMappings": [`, `"gidMappings": [{"containerID": 0, "hostID": 100000, "size": 9}, `}},
		"more IDs than the user's": {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "are not among alice's subordinate IDs", evidence: "/etc/subuid: alice:100000:65536", fix: "usermod --add-subuids 300000-300004 alice"},
			edits: []string{`"uidMappings": [`, `"uidMappings": [{"containerID": 1, "hostID": 300000, "size": 5}, `}},
		"another's IDs":                     {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "are not among alice's subordinate IDs", fix: whole("uid") + ", and " + whole("gid")}, edits: []string{`"uidMappings": [`, `"uidMappings": [{"containerID": 1, "hostID": 5, "size": 2}, `}},
		"a root that is not the user, runc": {aCase: aCase{machine: v2, clients: runc, want: []string{"failed:bundle-userns"}, says: "ID 100000 here, and alice may change it only to the own ID, 1000", fix: whole("uid")}, edits: []string{`"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]`, `"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]`}},
		"a root that is nobody, runc":       {aCase: aCase{machine: v2, clients: runc, want: []string{"failed:bundle-userns"}, says: "the container's root is not mapped"}, edits: []string{`"gidMappings": [{"containerID": 0`, `"gidMappings": [{"containerID": 7`}},
		"a process of nobody's":             {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "process.user.uid is 1000, which no line of uidMappings or gidMappings has", evidence: "process.user.uid = 1000"}, edits: []string{`{"uid": 0`, `{"uid": 1000`}},
		"additional groups":                 {aCase: aCase{machine: v2, clients: runc, want: []string{"failed:bundle-userns"}, says: "may not have it set additional groups"}, edits: []string{`"gid": 0}`, `"gid": 0, "additionalGids": [5]}`}},
		"runc spec's devpts":                {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "a mount has gid=5, which no line of uidMappings or gidMappings has", evidence: "mounts: /dev/pts gid=5"}, edits: []string{`"mode=0620"`, `"mode=0620", "gid=5"`}},
		"runc spec's devpts with a range":   {aCase: aCase{machine: v2}, edits: append(wide("gid"), `"mode=0620"`, `"mode=0620", "gid=5"`)},
		"a PID namespace by its path":       {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "may not join the pid namespace /proc/1/ns/pid", fix: ""}, edits: []string{`{"type": "pid"}`, `{"type": "pid", "path": "/proc/1/ns/pid"}`}},
		"sysfs without a network":           {aCase: aCase{machine: v2, want: []string{"failed:bundle-userns"}, says: "a user may mount sysfs only", fix: "bind-mount the machine's /sys"}, edits: []string{`"type": "none"`, `"type": "sysfs"`}},

		"the cgroupsPath of another login":  {aCase: aCase{machine: v2, want: []string{"failed:bundle-cgroup"}, says: "is not in this session", evidence: "/sys/fs/cgroup/user: owner 0:0", fix: `"cgroupsPath": "/user/alice/0/CONTAINER"`}, edits: []string{`"resources"`, `"cgroupsPath": "/user/bob/7/c1", "resources"`}},
		"a cgroupsPath in the leaf":         {aCase: aCase{machine: v2, want: []string{"failed:bundle-cgroup"}, says: "in the leaf", fix: "remove linux.cgroupsPath"}, edits: []string{`"resources"`, `"cgroupsPath": "/user/alice/0/init.scope/c1", "resources"`}},
		"a cgroupsPath, v1, -c":             {aCase: aCase{machine: v1, want: []string{"failed:bundle-cgroup"}, says: "may not make it in misc", fix: "remove linux.cgroupsPath"}, edits: []string{`"resources"`, `"cgroupsPath": "/user/alice/0/c1", "resources"`}},
		"an old crun without a cgroupsPath": {aCase: aCase{machine: v2, clients: oldCrun, change: remove("/usr/bin/runc"), want: []string{"failed:bundle-cgroup"}, says: "drops the bundle's limits silently", fix: `"cgroupsPath": "/user/alice/0/CONTAINER"`}, edits: asked(`"memory": {"limit": 1}`)},
		"a new crun without a cgroupsPath":  {aCase: aCase{machine: v2, clients: crun, change: remove("/usr/bin/runc")}, edits: asked(`"memory": {"limit": 1}`)},

		"a limit without its controller, v1":      {aCase: aCase{machine: v1, want: []string{"failed:bundle-limits"}, says: "lacks the controller pids, which the bundle's limits need", evidence: "linux.resources.pids.limit", fix: "sudo cgdeleg open --user alice --pid 190 -c freezer,memory,name=openrc,pids"}, edits: asked(`"pids": {"limit": 5}`)},
		"a limit without its controller, systemd": {aCase: aCase{machine: v2sd, want: []string{"failed:bundle-limits"}, says: "lacks the controller io", evidence: "linux.resources.blockIO.weight"}, edits: asked(`"blockIO": {"weight": 5}`)},
		"unified on v1":                  {aCase: aCase{machine: v1, want: []string{"failed:bundle-limits"}, says: "is for cgroup v2"}, edits: asked(`"unified": {"memory.max": "1"}`)},
		"unified":                        {aCase: aCase{machine: v2}, edits: asked(`"unified": {"memory.max": "1", "cgroup.freeze": "0"}`)},
		"unified without its controller": {aCase: aCase{machine: v2sd, want: []string{"failed:bundle-limits"}, says: "lacks the controller io"}, edits: asked(`"unified": {"io.max": "1"}`)},
		"unified, a path":                {aCase: aCase{machine: v2, want: []string{"failed:bundle-limits"}, says: `"../memory.max"`}, edits: asked(`"unified": {"../memory.max": "1"}`)},
		"limits of v1 alone":             {aCase: aCase{machine: v2, want: []string{"warning:bundle-limits"}, says: "the runtime ignores them", evidence: "linux.resources.network.classID"}, edits: asked(`"network": {"classID": 5}`)},
		"a ulimit above the shell's":     {aCase: aCase{machine: v2, change: limits("4096"), want: []string{"failed:bundle-limits"}, says: "the limit nofile in the configuration is above", evidence: "RLIMIT_NOFILE hard 8192"}, edits: []string{`"rlimits": []`, `"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 8192, "soft": 1}]`}},

		"no root file system":       {aCase: aCase{machine: v2, want: []string{"failed:bundle-rootfs"}, says: "is not there", evidence: `root.path = "nosuch"`}, edits: []string{`"path": "rootfs"`, `"path": "nosuch"`}},
		"a root that is a file":     {aCase: aCase{machine: v2, want: []string{"failed:bundle-rootfs"}, evidence: bundleFile + ": is no directory"}, edits: []string{`"path": "rootfs"`, `"path": "config.json"`}},
		"a root of root's":          {aCase: aCase{machine: v2, change: stat(bundleDir+"/rootfs", machine.Stat{Mode: 0o40755}), want: []string{"warning:bundle-rootfs"}, says: "belongs to user ID 0"}, edits: []string{`, "readonly": true`, ""}},
		"a root of root's, read":    {aCase: aCase{machine: v2, change: stat(bundleDir+"/rootfs", machine.Stat{Mode: 0o40755})}},
		"a root that is closed":     {aCase: aCase{machine: v2, change: stat(bundleDir+"/rootfs", machine.Stat{Mode: 0o40700}), want: []string{"failed:bundle-rootfs"}, says: "may not go through"}},
		"a root on another mount":   {aCase: aCase{machine: v2, change: appendTo("/proc/self/mountinfo", "99 22 0:99 / /home/alice/b rw,noexec - ext4 /dev/vdb rw\n"), want: []string{"failed:bundle-rootfs"}, says: "noexec", fix: "remount,exec /home/alice/b"}},
		"a root of the container's": {aCase: aCase{machine: v2, change: stat(bundleDir+"/rootfs", machine.Stat{Mode: 0o40700, UID: 100041})}, edits: wide("uid")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := test.text
			if text == "" {
				text = edited(t, test.edits...)
			}
			own := test.change
			test.change = func(t *testing.T, dir string) {
				t.Helper()
				inDir(t, dir, text)
				if own != nil {
					own(t, dir)
				}
			}
			test.run(t, "bundle", readBundle)
		})
	}
}

// A bundle that nobody asked about says nothing, and root is not looked at.
func TestNoBundle(t *testing.T) {
	f := &check.Facts{Machine: recorded(t, v2)}
	var err error
	if f.Subject, err = check.Caller(f.Machine); err != nil {
		t.Fatal(err)
	}
	for _, finding := range run(t, f) {
		if strings.HasPrefix(finding.Name, "bundle") && finding.Status != check.Skipped {
			t.Errorf("%s: %s %s", finding.Name, finding.Status, finding.Says)
		}
	}
	if errors.Is(f.BundleError, fs.ErrNotExist) {
		t.Error("one was looked for")
	}
}
