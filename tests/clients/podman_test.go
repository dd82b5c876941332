package clients

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

func init() { programs["podman"] = testPodman }

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
