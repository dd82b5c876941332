package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func init() { programs["crun"] = testCrun }

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
	wantNote(t, login, "crun", "starts nothing where cgroup v2 has controllers beside v1: use runc")
	out, err := exec.Command("timeout", "10", "crun", "--root", t.TempDir(), "run", "--bundle", filepath.Join(g.user.Home, "b"), "cgrtroot").CombinedOutput()
	if err == nil || !strings.Contains(string(out), words) {
		t.Errorf("root's crun: want a refusal with %q: %v\n%s", words, err, out)
	}
	login.Logout()
	wantNothingNow(t, g.user)
	return []table.Row{row}
}
