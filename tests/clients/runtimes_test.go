package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// fourHierarchies are those that a container with limits needs on cgroup v1.
var fourHierarchies = []string{"freezer", "memory", "pids", "name=systemd"}

const fourOptions = "-c freezer,memory,pids,name=systemd"

// TestPrograms runs what people start beside LXC, on this machine's cgroup v1.
// What was seen of each has to be what docs/clients/table.md says; each has a
// run without the module, which would pass for nothing.
func TestPrograms(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T) []table.Row
	}{
		{"LXC", testLXC},
		{"runc", testRunc},
		{"runc with a cgroupsPath", testRuncPath},
		{"crun", testCrun},
		{"podman", testPodman},
		{"bubblewrap", testBubblewrap},
		{"by hand", testByHand},
		{"without the module", testNoModule},
	}
	var rows []table.Row
	ended := 0
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows = append(rows, test.run(t)...)
			ended++
		})
	}
	if ended < len(tests) {
		t.Log("the table is not compared: not all of its rows were made")
		return
	}
	table.Check(t, table.Here, rows)
}

// The rest of what is to be said of LXC is tested by itself (lxc_test.go).
func testLXC(t *testing.T) []table.Row {
	testbed.Need(t, "lxc-start", "newuidmap")
	g, server := newGuest(t, "cgrtlxc", 27006, fourOptions)
	login := server.Login(t, g.user.Name)
	b := newBox(t, g.user, "c1", limit, "lxc.cgroup.pids.max = 33")
	pid := b.start(t, login)
	testFreeze(t, b, login, pid)
	row := g.row(t, "lxc-start", pid, "lxc-freeze", fourHierarchies...)
	b.stop(t, login)
	login.Logout()
	wantNothingNow(t, g.user)
	return []table.Row{row}
}

func testRunc(t *testing.T) (rows []table.Row) {
	testbed.Need(t, "runc")
	g, server := newGuest(t, "cgrtrunc", 27001, fourOptions)
	login := server.Login(t, g.user.Name)
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run "
	c := oci{"runc", "c1"}
	g.configure(t, login, askLimits)

	pid := c.run(t, login, "")
	wantPlaced(t, pid, "/user/cgrtrunc/0/c1", fourHierarchies...)
	wantNote(t, login, "runc", "a cgroupsPath in config.json would need a line of the module without -c")
	wantMemoryHolds(t, login, inPath+c.command("exec c1 /bin/busybox "))
	second := server.Login(t, g.user.Name)
	wantExecInside(t, second, inPath+c.command("exec c1 /bin/busybox "), pid)
	second.Must(t, inPath+c.command("pause c1"))
	g.wantFrozen(t, pid)
	second.Must(t, inPath+c.command("resume c1"))
	g.wantBeating(t)
	second.Logout()
	rows = append(rows, g.row(t, "runc", pid, "runc pause", fourHierarchies...))
	c.remove(t, login, pid)

	pid = c.run(t, login, run+"-- ")
	rows = append(rows, g.row(t, "cgdeleg run -- runc", pid, "runc pause", fourHierarchies...))
	login.Must(t, inPath+c.command("pause c1"))
	g.wantFrozen(t, pid)
	login.Must(t, inPath+c.command("resume c1"))
	c.remove(t, login, pid)
	login.Logout()
	wantNothingNow(t, g.user)
	return rows
}

// wantNote fails the test unless cgdeleg check says this of a client, as the
// login's shell sees it, and calls it no trouble.
func wantNote(t *testing.T, login *sshd.Client, client, words string) {
	t.Helper()
	check := forUsers(t, testbed.Built(t, "cgdeleg")) + " check "
	if out, _ := login.Run(inPath + check + client); !strings.Contains(out, words) {
		t.Errorf("check %s does not say %q:\n%s", client, words, out)
	}
	if out, err := login.Run(inPath + check + "-q --strict " + client); err != nil || out != "" {
		t.Errorf("check %s finds something wrong: %v\n%s", client, err, out)
	}
}

// wantMemoryHolds runs a busybox command line that may have 64 MiB.
func wantMemoryHolds(t *testing.T, login *sshd.Client, busybox string) {
	t.Helper()
	login.Must(t, busybox+eats+"32M")
	out, err := login.Run(busybox + eats + "100M")
	if status := exitStatus(t, err); status != 128+9 {
		t.Errorf("eating 100 MiB in 64 MiB: status %d\n%s", status, out)
	}
}

// wantExecInside runs a command in the container that holds the process: it has
// to be in the same cgroups, which the kernel shows as those of the host where
// the command is in no cgroup namespace, as on cgroup v1.
func wantExecInside(t *testing.T, login *sshd.Client, busybox string, pid int) {
	t.Helper()
	at := testbed.ParsePlacement(login.Must(t, busybox+"cat /proc/self/cgroup"))
	for _, name := range fourHierarchies {
		h := testbed.HierarchyNamed(t, name).Name
		if got, want := at[h], testbed.Placement(t, pid)[h]; got != want && got != "/" {
			t.Errorf("hierarchy %s has what exec ran in %s, want %s", h, got, want)
		}
	}
}

// With a cgroupsPath runc wants that cgroup in every hierarchy of the machine.
func testRuncPath(t *testing.T) (rows []table.Row) {
	testbed.Need(t, "runc")
	g, server := newGuest(t, "cgrtpath", 27002, "")
	c := oci{"runc", "c1"}
	ask := askLimits
	ask.cgroupsPath = "/user/cgrtpath/0/c1"

	login := server.Login(t, g.user.Name)
	g.configure(t, login, ask)
	pid := c.run(t, login, "")
	wantPlaced(t, pid, ask.cgroupsPath, append(fourHierarchies, "unified")...)
	wantMemoryHolds(t, login, inPath+c.command("exec c1 /bin/busybox "))
	login.Must(t, inPath+c.command("pause c1"))
	g.wantFrozen(t, pid)
	login.Must(t, inPath+c.command("resume c1"))
	rows = append(rows, g.row(t, "runc, cgroupsPath S/c1, no -c on the PAM line", pid, "runc pause", fourHierarchies...))
	c.remove(t, login, pid)
	login.Logout()
	wantNothingNow(t, g.user)

	testbed.WriteService(t, "sshd", testbed.SessionLine(t, fourOptions))
	login = server.Login(t, g.user.Name)
	rows = append(rows, wantRefusal(t, login, c, "runc, cgroupsPath S/c1, "+fourOptions, "unable to apply cgroup configuration"))

	// a limit whose controller is not in the session is not dropped in silence
	testbed.WriteService(t, "sshd", testbed.SessionLine(t, "-c freezer,memory,name=systemd"))
	without := server.Login(t, g.user.Name)
	g.configure(t, without, askLimits)
	rows = append(rows, wantRefusal(t, without, c, "runc, -c without pids", "cannot set pids limit"))
	without.Logout()
	login.Logout()
	wantNothingNow(t, g.user)
	return rows
}

// wantRefusal fails the test unless the runtime refuses to start the container.
func wantRefusal(t *testing.T, login *sshd.Client, c oci, client, words string) table.Row {
	t.Helper()
	out, err := c.tryRun(login, "")
	if err == nil || !strings.Contains(out, words) {
		t.Errorf("%s: want a refusal with %q: %v\n%s", client, words, err, out)
	}
	_, _ = login.Run(inPath + c.command("delete -f "+c.id))
	return refusal(client, words)
}

// crun starts nothing on a machine that has v1 hierarchies, and controllers in
// v2 beside them; root's neither.
func testCrun(t *testing.T) []table.Row {
	testbed.Need(t, "crun", "runc")
	unified := testbed.HierarchyNamed(t, "unified")
	if offered, err := os.ReadFile(filepath.Join(unified.Point, "cgroup.controllers")); err != nil || len(strings.TrimSpace(string(offered))) == 0 {
		t.Skip("this machine's cgroup v2 has no controllers: see tests/vm for that")
	}
	g, server := newGuest(t, "cgrtcrun", 27003, "")
	login := server.Login(t, g.user.Name)
	g.configure(t, login, askLimits)
	const words = "cgroups in hybrid mode not supported"
	row := wantRefusal(t, login, oci{"crun", "c1"}, "crun", words)
	wantNote(t, login, "crun", "starts nothing where cgroup v2 has controllers beside v1: take runc")
	out, err := exec.Command("timeout", "10", "crun", "--root", t.TempDir(), "run", "--bundle", filepath.Join(g.user.Home, "b"), "cgrtroot").CombinedOutput()
	if err == nil || !strings.Contains(string(out), words) {
		t.Errorf("root's crun: want a refusal with %q: %v\n%s", words, err, out)
	}
	login.Logout()
	wantNothingNow(t, g.user)
	return []table.Row{row}
}

// podman is a container that podman runs with runc and its own cgroup code.
// Without --systemd=false podman mounts something over an init's /tmp.
type podman struct{ name string }

func (p podman) tryRun(login *sshd.Client, g *guest, before string) (string, error) {
	return login.Run(inPath + before + "podman --runtime=runc --cgroup-manager=cgroupfs run -d --systemd=false --name " + p.name +
		" -m 64m --pids-limit 33 --network=none --rootfs " + g.rootfs + " /sbin/init </dev/null 2>&1")
}

func (p podman) command(words string) string {
	return "podman --runtime=runc --cgroup-manager=cgroupfs " + words
}

func (p podman) run(t *testing.T, login *sshd.Client, g *guest, before string) (int, string) {
	t.Helper()
	said, err := p.tryRun(login, g, before)
	if err != nil {
		t.Fatalf("podman run: %v\n%s", err, said)
	}
	var pid int
	out := login.Must(t, inPath+p.command("inspect -f '{{.State.Pid}}' "+p.name))
	if _, err := fmt.Sscan(out, &pid); err != nil || pid == 0 {
		t.Fatalf("podman inspect says %q: %v", out, err)
	}
	return pid, said
}

// remove ends the container, and the process with which podman keeps its user
// namespace and which would keep the session.
func (p podman) remove(t *testing.T, login *sshd.Client, pid int) {
	t.Helper()
	login.Must(t, inPath+p.command("rm -f -t 0 "+p.name)+" && "+p.command("system migrate"))
	awaitGone(t, pid)
}

// Rootless podman on cgroup v1 sets no limits, and says so; cgdeleg run does. Its
// pids.max is for the threads of podman, conmon and runc, too.
func testPodman(t *testing.T) (rows []table.Row) {
	testbed.Need(t, "podman", "runc", "newuidmap")
	g, server := newGuest(t, "cgrtpod", 27004, fourOptions)
	login := server.Login(t, g.user.Name)
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run -p memory.limit_in_bytes=64M -p pids.max=100 -- "
	p := podman{"p1"}

	pid, said := p.run(t, login, g, "")
	if !strings.Contains(said, "Resource limits are not supported and ignored on cgroups V1 rootless systems") {
		t.Errorf("podman says nothing of the limits:\n%s", said)
	}
	rows = append(rows, g.row(t, "podman --runtime=runc run -m … --pids-limit …", pid, "-", fourHierarchies...))
	for _, words := range []string{"stats --no-stream p1", "pause p1"} {
		if out, err := login.Run(inPath + p.command(words)); err == nil {
			t.Errorf("podman %s works on cgroup v1; docs say that it does not:\n%s", words, out)
		}
	}
	p.remove(t, login, pid)

	wantNote(t, login, "podman", "cgdeleg run -p memory.limit_in_bytes=1G -p pids.max=200 -- podman --runtime=runc --cgroup-manager=cgroupfs run IMAGE")
	pid, _ = p.run(t, login, g, run)
	wantMemoryHolds(t, login, inPath+p.command("exec p1 /bin/busybox "))
	second := server.Login(t, g.user.Name)
	wantExecInside(t, second, inPath+p.command("exec p1 /bin/busybox "), pid)
	freezeByHand(t, g, second, pid)
	second.Logout()
	rows = append(rows, g.row(t, "cgdeleg run -p … -- podman --runtime=runc", pid, "hand", fourHierarchies...))
	p.remove(t, login, pid)
	awaitIdle(t, g.user)
	login.Logout()
	wantNothingNow(t, g.user)
	return rows
}

// awaitIdle waits until the user has no processes but those of sshd: podman's
// conmon is still ending when podman rm has returned.
func awaitIdle(t *testing.T, u testbed.User) {
	t.Helper()
	testbed.Eventually(t, "no process of "+u.Name+" is left", func() bool {
		return !slices.ContainsFunc(processes(u), func(p process) bool { return !strings.HasPrefix(p.name, "sshd") })
	})
}

var runCgroup = regexp.MustCompile(`^/user/[^/]+/\d+/run-\d+`)

// freezeByHand freezes the cgroup of cgdeleg run, as its user, and thaws it.
func freezeByHand(t *testing.T, g *guest, login *sshd.Client, pid int) {
	t.Helper()
	h := testbed.HierarchyNamed(t, "freezer")
	at := runCgroup.FindString(testbed.Placement(t, pid)[h.Name])
	if at == "" {
		t.Fatalf("process %d is in no cgroup of cgdeleg run: %v", pid, testbed.Placement(t, pid))
	}
	state := filepath.Join(h.Point, at, "freezer.state")
	g.wantBeating(t)
	login.Must(t, "echo FROZEN >"+state)
	g.wantFrozen(t, pid)
	login.Must(t, "echo THAWED >"+state)
	g.wantBeating(t)
}

// What these programs do without the module is what people ask about, and the
// proof that the tests here would notice its lack.
func testNoModule(t *testing.T) (rows []table.Row) {
	testbed.Need(t, "runc", "podman", "bwrap", "newuidmap")
	g, server := newGuest(t, "cgrtbare", 27005)
	login := server.Login(t, g.user.Name)
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run "
	c, p := oci{"runc", "c1"}, podman{"p1"}

	g.configure(t, login, askLimits)
	rows = append(rows, wantRefusal(t, login, c, "no module: runc", "container could not join or create cgroup"))
	g.configure(t, login, settings{})
	pid := c.run(t, login, "")
	if out, err := login.Run(inPath + c.command("pause c1")); err == nil {
		t.Errorf("runc pause works without the module: %s", out)
	}
	rows = append(rows, g.row(t, "no module: runc, no limits", pid, "-", "freezer"))
	c.remove(t, login, pid)

	b := newBox(t, g.user, "lax")
	pid = b.start(t, login)
	if out, err := login.Run("lxc-freeze -n lax"); err == nil {
		t.Errorf("lxc-freeze works without the module: %s", out)
	}
	rows = append(rows, g.row(t, "no module: lxc-start, no limits", pid, "-", "freezer"))
	b.stop(t, login)

	pid, _ = p.run(t, login, g, "")
	rows = append(rows, g.row(t, "no module: podman --runtime=runc run -m … --pids-limit …", pid, "-", "freezer"))
	p.remove(t, login, pid)

	out, err := login.Run(run + "-- true")
	if err == nil || !strings.Contains(out, "this shell has no cgroup of its own") {
		t.Errorf("cgdeleg run without the module: %v\n%s", err, out)
	}
	rows = append(rows, refusal("no module: cgdeleg run -- COMMAND", "this shell has no cgroup of its own"))
	login.Logout()
	return rows
}
