package clients

import (
	"maps"
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

// programs are the tests of what people start in a login, by name. The file of each
// adds its own.
var programs = map[string]func(*testing.T) []table.Row{}

// TestPrograms runs them, on this machine's cgroup v1. What was seen of each has to
// be what docs/clients/table.md says; each has a run without the module, which would
// pass for nothing.
func TestPrograms(t *testing.T) {
	var rows []table.Row
	isWhole := true
	run := func(name string, test func(*testing.T) []table.Row) {
		ended := false
		t.Run(name, func(t *testing.T) {
			rows = append(rows, test(t)...)
			ended = true
		})
		isWhole = isWhole && ended
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		run(name, programs[name])
	}
	run("without the module", testNoModule)
	if !isWhole {
		t.Log("the table is not compared: not all of its rows were made")
		return
	}
	table.Check(t, table.Here, rows)
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
