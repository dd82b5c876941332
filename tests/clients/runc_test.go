package clients

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func init() {
	programs["runc"] = testRunc
	programs["runc with a cgroupsPath"] = testRuncPath
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

	// a limit whose controller is not in the session is not dropped silently
	testbed.WriteService(t, "sshd", testbed.SessionLine(t, "-c freezer,memory,name=systemd"))
	without := server.Login(t, g.user.Name)
	g.configure(t, without, askLimits)
	rows = append(rows, wantRefusal(t, without, c, "runc, -c without pids", "cannot set pids limit"))
	without.Logout()
	login.Logout()
	wantNothingNow(t, g.user)
	return rows
}
