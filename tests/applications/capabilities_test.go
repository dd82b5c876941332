package applications

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Each capability that a worker keeps is needed for something, which it cannot do where the
// application lacks that one. The login goes on, and the log says why.
func TestWorkersCapabilities(t *testing.T) {
	testbed.Need(t, "gcc", "setpriv")
	// where only who may trace a process sees it (proc(5)): with its own first process, because
	// this machine's may be one that nobody may trace
	hidden := []string{"unshare", "--mount", "--pid", "--fork", "sh", "-c", `mount -t proc -o hidepid=2,gid=1 proc /proc && "$@"; exit $?`, "sh"}
	for i, test := range []struct {
		capability string
		options    string
		words      string
		under      []string
		usersPart  bool // the user has made a cgroup in the session
		log        string
	}{
		{"chown", "-c freezer", "", nil, false, `chown .*: operation not permitted; this session has no cgroups of its own`},
		{"sys_nice", "-c cpuset", "threads=2 settle ", nil, false, `hierarchy cpuset: .*: (operation not permitted|permission denied); this session has no cgroups of its own`},
		{"sys_ptrace", "-c freezer", "", hidden, false, `/proc/\d+/.*; this session has no cgroups of its own`},
		{"dac_override", "-c freezer debug", "", nil, true, `session 0 closed, left for a later cleanup: .*permission denied`},
	} {
		t.Run(test.capability, func(t *testing.T) {
			u := testbed.AddUser(t, fmt.Sprintf("cgcapable%d", i), 20930+i)
			testbed.WriteService(t, u.Name, waitingLine(t, test.options))
			for _, without := range [][]string{nil, {"setpriv", "--bounding-set", "-" + test.capability}} {
				log := testbed.LogFromNow(t)
				app := testbed.LaunchUnder(t, slices.Concat(test.under, without), strings.Fields("syslog "+test.words+"start="+u.Name+":"+u.Name+" open session pause close end")...)
				has := app.Await("session") == "0"
				if dir := filepath.Join(testbed.HierarchyNamed(t, "freezer").Point, "user", u.Name, "0", "users"); has && test.usersPart {
					if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, u.UID, u.GID)); err != nil {
						t.Fatal(err)
					}
				}
				app.Resume()
				a := app.Finish()
				a.Want(t, "open", "0")
				a.Want(t, "close", "0")
				if has != (without == nil || test.usersPart) {
					t.Errorf("under %q: it has a session: %v", without, has)
				}
				switch {
				case without != nil:
					log.Want(test.log)
				case !test.usersPart:
					log.WantSilence()
				}
				if left := len(testbed.Tree(u.Name)); (left > 0) != (without != nil && test.usersPart) {
					t.Errorf("under %q: %d cgroups are left", without, left)
				}
				testbed.RemoveAll(u.Name)
			}
		})
	}
}
