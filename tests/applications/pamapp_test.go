// Package applications tests what the module does to the process that loads it,
// with pamapp, a PAM application whose shape a script gives.
package applications

import (
	"os"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

// waitingLine returns a PAM line whose closes wait until they are done, for tests that
// look right afterwards.
func waitingLine(t testing.TB, options string) string {
	t.Helper()
	return testbed.SessionLine(t, "close=wait "+options)
}

type answers = testbed.Answers

// run runs a script to its end.
func run(t *testing.T, script string) answers {
	t.Helper()
	return testbed.RunApplication(t, script)
}

// launch starts a script.
func launch(t *testing.T, script string) *testbed.Application {
	t.Helper()
	return testbed.LaunchApplication(t, script)
}
