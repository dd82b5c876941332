// Package hostile tests logins on a machine that is against them: filters that refuse or
// kill system calls, mounts that are not as they should be, namespaces within namespaces,
// and name services that are slow. A login goes on, in time, and nothing is left of it. And
// with a user who is against the others: the program in user/ is that one.
package hostile

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// cgdeleg serve removes every user's dead sessions.
func TestMain(m *testing.M) { os.Exit(testbed.MainUndisturbing(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

// latest is when an open with timeout=1 has to have returned: the second for a worker, one
// for the worker that undoes what it did, one more where a server was asked in vain, and
// two because the machine may have other work.
const latest = 5 * time.Second

// leaveNothing waits until nobody is at work for the user any more, and fails the test
// unless one cleanup is enough.
func leaveNothing(t *testing.T, u testbed.User, what string) {
	t.Helper()
	awaitDetachedWorkers(t)
	if cleanup(t, u); len(testbed.Tree(u.Name)) > 0 {
		t.Errorf("%s: left after a cleanup: %q", what, testbed.Tree(u.Name))
		testbed.RemoveAll(u.Name)
	}
}

// cleanup removes the user's dead sessions, if there are any.
func cleanup(t *testing.T, u testbed.User) {
	t.Helper()
	if len(testbed.Tree(u.Name)) == 0 {
		return
	}
	if out, err := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).CombinedOutput(); err != nil {
		t.Errorf("cleanup: %v: %s", err, out)
	}
}

// awaitDetachedWorkers waits as long as these can live at most (pam/child.c).
func awaitDetachedWorkers(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); len(testbed.DetachedWorkers()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("workers that nobody waits for never end: %v", testbed.DetachedWorkers())
		}
	}
}
