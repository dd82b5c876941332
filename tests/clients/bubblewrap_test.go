package clients

import (
	"fmt"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func init() { programs["bubblewrap"] = testBubblewrap }

// bubblewrap makes no cgroups: it takes those in which it is started.
func testBubblewrap(t *testing.T) []table.Row {
	testbed.Need(t, "bwrap")
	g, server := newGuest(t, "cgrtwrap", 27006, fourOptions)
	login := server.Login(t, g.user.Name)
	run := forUsers(t, testbed.Built(t, "cgdeleg")) + " run -p memory.limit_in_bytes=64M -p pids.max=33 -- "
	wrap := "bwrap --unshare-all --bind " + g.rootfs + " / --proc /proc --dev /dev "

	if at := testbed.ParsePlacement(login.Must(t, run+wrap+"/bin/busybox cat /proc/self/cgroup")); at["memory"] != "/" {
		t.Errorf("inside of bubblewrap the cgroup is %s, want the root of its namespace", at["memory"])
	}
	wantMemoryHolds(t, login, run+wrap+"/bin/busybox ")
	login.Must(t, wrap+"/bin/busybox "+eats+"100M") // the limit is cgdeleg's

	pid := background(t, login, "exec "+run+wrap+"/sbin/init")
	g.wantBeating(t)
	wantPlaced(t, pid, fmt.Sprintf("/user/cgrtwrap/0/run-%d", pid), fourHierarchies...)
	freezeByHand(t, g, login, pid)
	row := g.row(t, "cgdeleg run -p … -- bwrap", pid, "hand", fourHierarchies...)
	end(t, "memory", fmt.Sprintf("/user/cgrtwrap/0/run-%d", pid), pid)
	awaitIdle(t, g.user)
	login.Logout()
	wantNothingNow(t, g.user)
	return []table.Row{row}
}
