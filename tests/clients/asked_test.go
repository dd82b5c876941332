package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// What cgdeleg check says of a configuration of podman's, or of a bundle, and what podman
// and runc do with it: where check says that nothing starts, nothing does, for that reason;
// and where it says nothing, the container starts.

const podmanChecks = " podman-config podman-runtime podman-cgroups podman-limits podman-network podman-storage"

func TestCheckOfPodmansConfiguration(t *testing.T) {
	testbed.Need(t, "podman", "runc", "newuidmap")
	g, server := newGuest(t, "cgrtconf", 27010, fourOptions)
	login := server.Login(t, g.user.Name)
	program := forUsers(t, testbed.Built(t, "cgdeleg"))
	const (
		base    = "podman --cgroup-manager=cgroupfs run --rm --systemd=false --network=none "
		command = " /bin/busybox true </dev/null"
	)
	withRunc := base + "--runtime=runc --rootfs " + g.rootfs + command
	asConfigured := base + "--rootfs " + g.rootfs + command
	for _, test := range []struct {
		name       string
		conf       string // containers.conf
		store      string // storage.conf
		before     string // before the commands
		run        string // withRunc, if nothing is said
		refusal    string // what podman says, or a part of it; "": it starts the container
		check      string // and check; "": nothing
		exitStatus int
	}{
		{name: "nothing"},
		{name: "no TOML", conf: "[engine\n", refusal: "expected '.' or ']'", check: "CGD-064 podman-config", exitStatus: 1},
		{name: "another type", conf: "[engine]\ncgroup_manager = 3\n", refusal: "incompatible types", check: "CGD-064 podman-config", exitStatus: 1},
		{name: "storage.conf is no TOML", store: "[storage\n", refusal: "Failed to read", check: "CGD-064 podman-config", exitStatus: 1},
		{name: "append", conf: "[containers]\ndefault_ulimits = [\"nofile=100:100\", {append = true}]\n", refusal: "incompatible types", check: "CGD-064 podman-config", exitStatus: 1},
		{name: "a variable", before: "export CONTAINERS_CONF=/nosuch; ", refusal: "no such file", check: "CGD-064 podman-config", exitStatus: 1},
		{name: "another place", conf: "[engine\n", before: "export XDG_CONFIG_HOME=$HOME/nosuch; "},
		{name: "a runtime", conf: "[engine]\nruntime = \"nosuch\"\n", run: asConfigured, refusal: `default OCI runtime "nosuch" not found`, check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "a runtime's path", conf: "[engine]\nruntime = \"/opt/nosuch\"\n", run: asConfigured, refusal: "no valid executable found for OCI runtime /opt/nosuch", check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "a runtime by its paths", conf: "[engine]\nruntime = \"x\"\n[engine.runtimes]\nx = [\"/opt/nosuch\", \"/usr/sbin/runc\"]\n", run: asConfigured},
		{name: "crun", conf: "[engine]\nruntime = \"crun\"\n", run: asConfigured, refusal: "cgroups in hybrid mode not supported", check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "no cgroups", conf: "[containers]\ncgroups = \"disabled\"\n[engine]\nruntime = \"runc\"\n", run: asConfigured, refusal: "not compatible with NoCgroups", check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "cgroups, misspelt", conf: "[containers]\ncgroups = \"on\"\n", refusal: "invalid cgroup mode", check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "split cgroups", conf: "[containers]\ncgroups = \"split\"\n", refusal: "could not find cgroup mount", check: "CGD-065 podman-runtime", exitStatus: 1},
		{name: "a manager on v1", conf: "[engine]\ncgroup_manager = \"systemd\"\n"},
		{name: "pids_limit", conf: "[containers]\npids_limit = 1\n", check: "CGD-067 podman-limits"}, // it starts busybox, and a shell's child
		{name: "a ulimit", conf: "[containers]\ndefault_ulimits = [\"nofile=1000000000:1000000000\"]\n", refusal: "error setting rlimit", check: "CGD-067 podman-limits", exitStatus: 1},
		{name: "a ulimit without bound", conf: "[containers]\ndefault_ulimits = [\"nofile=-1:-1\"]\n", refusal: "error setting rlimit", check: "CGD-067 podman-limits", exitStatus: 1},
		{name: "a ulimit, misspelt", conf: "[containers]\ndefault_ulimits = [\"files=1:1\"]\n", refusal: "unrecognized ulimit", check: "CGD-067 podman-limits", exitStatus: 1},
		{name: "a lower ulimit", conf: "[containers]\ndefault_ulimits = [\"nofile=100:100\"]\n"},
		{name: "a mount_program", store: "[storage]\ndriver = \"overlay\"\n[storage.options.overlay]\nmount_program = \"/opt/nosuch\"\n", refusal: "can't stat program", check: "CGD-069 podman-storage", exitStatus: 1},
		{name: "zfs", store: "[storage]\ndriver = \"zfs\"\n", refusal: "prerequisites for driver not satisfied", check: "CGD-069 podman-storage", exitStatus: 1},
		{name: "images at root's", store: "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/nosuch\"\n", refusal: "permission denied", check: "CGD-069 podman-storage", exitStatus: 1},
		{name: "images at no path", store: "[storage]\ndriver = \"vfs\"\ngraphroot = \"~/c\"\n", refusal: "absolute path", check: "CGD-069 podman-storage", exitStatus: 1},
		{name: "images at home", store: "[storage]\ndriver = \"vfs\"\ngraphroot = \"$HOME/c-$USER\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for file, text := range map[string]string{"containers.conf": test.conf, "storage.conf": test.store} {
				file = filepath.Join(g.user.Home, ".config/containers", file)
				_ = os.Remove(file)
				if text != "" {
					writeOwned(t, g.user, strings.TrimPrefix(file, g.user.Home+"/"), strings.TrimSuffix(text, "\n"))
				}
			}
			run := test.run
			if run == "" {
				run = withRunc
			}
			out, err := login.Run(inPath + test.before + run + " 2>&1")
			if (err != nil) != (test.refusal != "") || !strings.Contains(out, test.refusal) {
				t.Errorf("podman: %v, want %q\n%s", err, test.refusal, out)
			}
			wantSaid(t, login, inPath+test.before+program+" check -q"+podmanChecks, test.check, test.exitStatus)
			// what podman has stored would say which driver it takes the next time
			out, err = login.Run(inPath + "rm -rf ~/.config/containers ~/.local/share/containers; podman system migrate 2>&1 && rm -rf ~/run/* ~/.local/share/containers")
			if err != nil {
				t.Errorf("podman system migrate: %v\n%s", err, out)
			}
		})
	}
	login.Logout()
	wantNothingNow(t, g.user)
}

// wantSaid fails the test unless check says one line of a check, or nothing.
func wantSaid(t *testing.T, login *sshd.Client, command, check string, status int) {
	t.Helper()
	out, err := login.Run(command)
	isOne := out == "" && check == "" || check != "" && strings.HasPrefix(out, check+": ") && !strings.Contains(out, "\n")
	if got := exitStatus(t, err); !isOne || got != status {
		t.Errorf("check ends with %d and says %q, want %d, %q", got, out, status, check)
	}
}

// bundle is a bundle's configuration as a tree.
type bundle map[string]any

// at returns the object at a path of keys.
func (b bundle) at(keys ...string) bundle {
	for _, key := range keys {
		b = b[key].(map[string]any)
	}
	return b
}

func idMap(inside, outside, count int) map[string]any {
	return map[string]any{"containerID": inside, "hostID": outside, "size": count}
}

// rootlessSpec is what runc spec --rootless writes, with a command that ends at once.
func (g *guest) rootlessSpec(t *testing.T, login *sshd.Client) bundle {
	t.Helper()
	g.configure(t, login, settings{})
	data, err := os.ReadFile(filepath.Join(g.user.Home, "b/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		t.Fatal(err)
	}
	b.at("process")["args"] = []string{"/bin/busybox", "true"}
	return b
}

func TestCheckOfBundles(t *testing.T) {
	testbed.Need(t, "runc", "newuidmap")
	g, server := newGuest(t, "cgrtbundle", 27011, fourOptions)
	login := server.Login(t, g.user.Name)
	program := forUsers(t, testbed.Built(t, "cgdeleg"))
	uid, sub := g.user.UID, g.user.UID<<16
	resources := func(key string, value any) func(bundle) {
		return func(b bundle) { b.at("linux")["resources"] = map[string]any{key: value} }
	}
	maps := func(key string, lines ...map[string]any) func(bundle) {
		return func(b bundle) { b.at("linux")[key] = lines }
	}
	namespaces := func(kinds ...string) func(bundle) {
		return func(b bundle) {
			var all []map[string]any
			for _, kind := range kinds {
				all = append(all, map[string]any{"type": kind})
			}
			b.at("linux")["namespaces"] = all
		}
	}
	path := func(path string) func(bundle) {
		return func(b bundle) { b.at("linux")["cgroupsPath"] = path }
	}
	for _, test := range []struct {
		name    string
		change  func(bundle)
		refusal string // what runc says, or a part of it; "": it starts the container
		check   string // and check; "": nothing
	}{
		{name: "rootless"},
		{"another type", func(b bundle) { b.at("root")["path"] = 3 }, "cannot unmarshal number", "CGD-070 bundle"},
		{"no root", func(b bundle) { delete(b, "root") }, "root must be specified", "CGD-070 bundle"},
		{"no user namespace", namespaces("pid", "ipc", "uts", "mount"), "requires user namespaces", "CGD-071 bundle-userns"},
		{"no maps", func(b bundle) { delete(b.at("linux"), "uidMappings") }, "no uid mappings", "CGD-071 bundle-userns"},
		{"the user's range", maps("uidMappings", idMap(0, uid, 1), idMap(1, sub, 65536)), "", ""},
		{"more than the range", maps("uidMappings", idMap(0, uid, 1), idMap(1, sub, 65537)), "not allowed", "CGD-071 bundle-userns"},
		{"IDs twice", maps("uidMappings", idMap(0, uid, 1), idMap(0, sub, 65536)), "Invalid argument", "CGD-071 bundle-userns"},
		{"another root", maps("uidMappings", idMap(0, sub, 65536)), "operation not permitted", "CGD-071 bundle-userns"},
		{"no root in the map", maps("uidMappings", idMap(5, uid, 1)), "no user mapping found", "CGD-071 bundle-userns"},
		{"more lines than the kernel takes", func(b bundle) {
			lines := []map[string]any{idMap(0, uid, 1)}
			for i := range 340 {
				lines = append(lines, idMap(1+2*i, sub+2*i, 1))
			}
			maps("uidMappings", lines...)(b)
		}, "Invalid argument", "CGD-071 bundle-userns"},
		{"a process of nobody's", func(b bundle) { b.at("process")["user"] = map[string]any{"uid": 7, "gid": 0} }, "unmapped user", "CGD-071 bundle-userns"},
		{"additional groups", func(b bundle) {
			b.at("process")["user"] = map[string]any{"uid": 0, "gid": 0, "additionalGids": []int{0}}
		}, "cannot set any additional groups", "CGD-071 bundle-userns"},
		{"a mount of nobody's", func(b bundle) {
			for _, mount := range b["mounts"].([]any) {
				if m := bundle(mount.(map[string]any)); m["type"] == "devpts" {
					m["options"] = append(m["options"].([]any), "gid=5")
				}
			}
		}, "unmapped gid", "CGD-071 bundle-userns"},
		{"proc without a PID namespace", namespaces("ipc", "uts", "mount", "user"), "operation not permitted", "CGD-071 bundle-userns"},
		{"mqueue without an IPC namespace", namespaces("pid", "uts", "mount", "user"), "operation not permitted", "CGD-071 bundle-userns"},
		{"a cgroupsPath", path("/user/cgrtbundle/0/c1"), "unable to apply cgroup configuration", "CGD-072 bundle-cgroup"},
		{"a relative cgroupsPath", path("c1"), "unable to apply cgroup configuration", "CGD-072 bundle-cgroup"},
		{"memory", resources("memory", map[string]any{"limit": 64 << 20}), "", ""},
		{"no pids", resources("pids", map[string]any{"limit": 0}), "", ""},
		{"devices", resources("devices", []any{map[string]any{"allow": false, "access": "rwm"}}), "", ""},
		{"cpu", resources("cpu", map[string]any{"shares": 512}), "cannot set cpu limit", "CGD-073 bundle-limits"},
		{"cpuset", resources("cpu", map[string]any{"cpus": "0"}), "cannot set cpuset limit", "CGD-073 bundle-limits"},
		{"blkio", resources("blockIO", map[string]any{"weight": 100}), "cannot set blkio limit", "CGD-073 bundle-limits"},
		{"hugetlb", resources("hugepageLimits", []any{map[string]any{"pageSize": "2MB", "limit": 1 << 40}}), "cannot set hugetlb limit", "CGD-073 bundle-limits"},
		{"net_cls", resources("network", map[string]any{"classID": 1}), "cannot set net_cls limit", "CGD-073 bundle-limits"},
		{"rdma", resources("rdma", map[string]any{"x": map[string]any{"hcaHandles": 3}}), "cannot set rdma limit", "CGD-073 bundle-limits"},
		{"unified", resources("unified", map[string]any{"memory.max": "1000000000"}), "cannot use unified on cgroup v1", "CGD-073 bundle-limits"},
		{"a ulimit", func(b bundle) {
			b.at("process")["rlimits"] = []any{map[string]any{"type": "RLIMIT_NOFILE", "hard": 1000000000, "soft": 1}}
		}, "error setting rlimit", "CGD-073 bundle-limits"},
		{"no root file system", func(b bundle) { b.at("root")["path"] = "nosuch" }, "no such file or directory", "CGD-074 bundle-rootfs"},
		{"a file as root", func(b bundle) { b.at("root")["path"] = "config.json" }, "not a directory", "CGD-074 bundle-rootfs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := g.rootlessSpec(t, login)
			if test.change != nil {
				test.change(b)
			}
			data, err := json.Marshal(b)
			if err == nil {
				err = os.WriteFile(filepath.Join(g.user.Home, "b/config.json"), data, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			c := oci{"runc", "c1"}
			out, err := login.Run(inPath + "cd ~/b && " + c.command("run c1") + " </dev/null 2>&1; s=$?; " + c.command("delete -f c1") + " 2>/dev/null; exit $s")
			if (err != nil) != (test.refusal != "") || !strings.Contains(out, test.refusal) {
				t.Errorf("runc: %v, want %q\n%s", err, test.refusal, out)
			}
			status := 0
			if test.check != "" {
				status = 1
			}
			wantSaid(t, login, fmt.Sprintf("%scd ~ && %s check -q --bundle b bundle bundle-userns bundle-cgroup bundle-limits bundle-rootfs", inPath, program), test.check, status)
		})
	}
	login.Logout()
	wantNothingNow(t, g.user)
}
