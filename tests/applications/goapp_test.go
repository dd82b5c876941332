package applications

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// An application that is a Go program itself has another Go runtime than the worker's,
// and all of its threads are moved.
func TestGoApplication(t *testing.T) {
	if testbed.Musl() {
		t.Skip("needs a Go toolchain with cgo; musl's libpam is the same to it")
	}
	testbed.Need(t, "gcc", "go")
	u := testbed.AddUser(t, "cggoapp", 20991)
	testbed.WriteService(t, "cggoapp", testbed.SessionLine(t, threeHierarchies))
	program := filepath.Join(t.TempDir(), "goapp")
	if out, err := exec.Command("go", "build", "-o", program, "./goapp").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := testbed.LogFromNow(t)
	for range 20 {
		out, err := exec.Command(program, "cggoapp", u.Name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		wantPlacement(t, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", " "), placed(t, u.Name, 0))
		testbed.AwaitDetachedWorkers(t)
		testbed.WantNothingLeft(t, u.Name)
	}
	log.WantSilence()
}
