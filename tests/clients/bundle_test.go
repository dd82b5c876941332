package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// guest is a user who runs programs in a root file system of busybox, whose
// /sbin/init beats.
type guest struct {
	user   testbed.User
	rootfs string
}

// newGuest makes the user, and an sshd whose PAM service has the module with
// these options, or no module at all.
func newGuest(t *testing.T, name string, uid int, module ...string) (*guest, *sshd.Server) {
	t.Helper()
	testbed.Need(t, "busybox")
	for _, h := range fourHierarchies {
		testbed.HierarchyNamed(t, h)
	}
	u := testbed.AddUser(t, name, uid)
	t.Cleanup(func() { killAll(t, u) })
	var lines []string
	for _, options := range module {
		lines = append(lines, testbed.SessionLine(t, options))
	}
	testbed.WriteService(t, "sshd", lines...)
	g := &guest{user: u, rootfs: filepath.Join(u.Home, "b/rootfs")}
	for _, dir := range []string{"bin", "sbin", "dev", "proc", "sys", "tmp", "etc", "run"} {
		if err := os.MkdirAll(filepath.Join(g.rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err == nil {
		err = os.WriteFile(filepath.Join(g.rootfs, "bin/busybox"), busybox, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(g.rootfs, "sbin/init"), []byte(initScript), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	chownAll(t, filepath.Join(u.Home, "b"), u.UID)
	return g, sshd.Start(t, sshd.Options{})
}

// beats tells how often init has beaten.
func (g *guest) beats() int64 {
	info, err := os.Stat(filepath.Join(g.rootfs, "tmp/beat"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// wantBeating fails the test if init does not go on.
func (g *guest) wantBeating(t *testing.T) {
	t.Helper()
	before := g.beats()
	testbed.Eventually(t, "init goes on", func() bool { return g.beats() > before })
}

// wantFrozen fails the test unless the process is frozen, by its cgroup and by
// what it does.
func (g *guest) wantFrozen(t *testing.T, pid int) {
	t.Helper()
	testbed.Eventually(t, "the freezer says FROZEN", func() bool { return readCgroup(t, pid, "freezer", "freezer.state") == "FROZEN" })
	before := g.beats()
	time.Sleep(200 * time.Millisecond) // ten beats of an init that is not frozen
	if after := g.beats(); after != before {
		t.Errorf("the frozen init goes on: %d beats more", after-before)
	}
}

// settings are what a container's config.json asks for; nothing where zero.
type settings struct {
	memory, pids int64
	cgroupsPath  string
}

// askLimits are those that holding looks for.
var askLimits = settings{memory: 64 << 20, pids: 33}

// configure makes the user's bundle ask for the settings: the configuration
// that runc itself gives rootless users, with these in it.
func (g *guest) configure(t *testing.T, login *sshd.Client, s settings) {
	t.Helper()
	login.Must(t, "cd ~/b && rm -f config.json && "+inPath+"runc spec --rootless")
	file := filepath.Join(g.user.Home, "b/config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Process map[string]any `json:"process"`
		Root    map[string]any `json:"root"`
		Linux   map[string]any `json:"linux"`
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	config.Process["terminal"], config.Process["args"] = false, []string{"/sbin/init"}
	config.Root["readonly"] = false
	resources := map[string]any{}
	if s.memory != 0 {
		resources["memory"] = map[string]any{"limit": s.memory}
	}
	if s.pids != 0 {
		resources["pids"] = map[string]any{"limit": s.pids}
	}
	config.Linux["resources"] = resources
	if s.cgroupsPath != "" {
		config.Linux["cgroupsPath"] = s.cgroupsPath
	}
	all["process"], all["root"], all["linux"] = config.Process, config.Root, config.Linux
	if data, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// inPath goes before a command line: Debian has runc and chroot in a folder that
// users do not search, and without a runtime folder podman makes one in /tmp.
const inPath = "export PATH=$PATH:/usr/sbin XDG_RUNTIME_DIR=~/run; mkdir -p ~/run; "

// oci is a container of runc or crun.
type oci struct{ program, id string }

// command returns a command line for the container.
func (c oci) command(words string) string {
	return c.program + " --root ~/" + c.program + " " + words
}

// tryRun starts the container; before is a command that is to run the runtime.
// Its output goes to a file: the container keeps it open.
func (c oci) tryRun(login *sshd.Client, before string) (string, error) {
	return login.Run(inPath + "cd ~/b && " + before + c.command("run -d "+c.id) + " </dev/null >~/said 2>&1; s=$?; cat ~/said; exit $s")
}

// run starts the container and returns its init's PID.
func (c oci) run(t *testing.T, login *sshd.Client, before string) int {
	t.Helper()
	if out, err := c.tryRun(login, before); err != nil {
		t.Fatalf("%s run: %v\n%s", c.program, err, out)
	}
	var state struct{ Pid int }
	out := login.Must(t, inPath+c.command("state "+c.id))
	if err := json.Unmarshal([]byte(out), &state); err != nil || state.Pid == 0 {
		t.Fatalf("%s state: %v\n%s", c.program, err, out)
	}
	return state.Pid
}

// remove ends the container and waits until it has.
func (c oci) remove(t *testing.T, login *sshd.Client, pid int) {
	t.Helper()
	login.Must(t, inPath+c.command("delete -f "+c.id))
	awaitGone(t, pid)
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	testbed.Eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return err != nil
	})
}

// holding returns which of askLimits hold for the process: set in its cgroup,
// or in one above that is in the session.
func (g *guest) holding(t *testing.T, pid int) string {
	t.Helper()
	var names []string
	for _, l := range []struct {
		name, hierarchy, file string
		want                  []string
	}{
		{"memory", "memory", "memory.limit_in_bytes", []string{"67108864"}},
		{"pids", "pids", "pids.max", []string{"33", "100"}},
	} {
		h := testbed.HierarchyNamed(t, l.hierarchy)
		for path := testbed.Placement(t, pid)[h.Name]; strings.HasPrefix(path, "/user/"+g.user.Name+"/"); path = filepath.Dir(path) {
			data, err := os.ReadFile(filepath.Join(h.Point, path, l.file))
			if err == nil && slices.Contains(l.want, strings.TrimSpace(string(data))) {
				names = append(names, l.name)
				break
			}
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

var numbered = regexp.MustCompile(`run-\d+|[0-9a-f]{64}`)

// row returns what the table is to have of the process. Its cgroup has to be
// the same in all of the hierarchies.
func (g *guest) row(t *testing.T, client string, pid int, freezes string, hierarchies ...string) table.Row {
	t.Helper()
	first := testbed.HierarchyNamed(t, hierarchies[0])
	path := testbed.Placement(t, pid)[first.Name]
	wantPlaced(t, pid, path, hierarchies...)
	session, ok := strings.CutPrefix(path, "/user/"+g.user.Name+"/0")
	where := "S" + numbered.ReplaceAllStringFunc(session, func(found string) string {
		if strings.HasPrefix(found, "run-") {
			return "run-PID"
		}
		return "ID"
	})
	if !ok {
		where = "none of its own"
	}
	return table.Row{Client: client, Cgroup: where, Limits: g.holding(t, pid), Freezes: freezes}
}

// refusal is the row of a client that starts nothing, and says so.
func refusal(client, words string) table.Row {
	return table.Row{Client: client, Cgroup: "-", Limits: "does not start: «" + words + "»", Freezes: "-"}
}
