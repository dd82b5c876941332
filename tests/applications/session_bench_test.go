package applications

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// BenchmarkSession is pam_start, open, close and pam_end in one process, with
// nothing in the stack, with the module, and side by side with LXC's pam_cgfs
// if CGFS_MODULE names its file.
func BenchmarkSession(b *testing.B) {
	testbed.Need(b, "gcc")
	u := testbed.AddUser(b, "cgbench", 20901)
	lines := []struct{ name, line string }{
		{"empty stack", "session optional pam_permit.so"},
		{"cgdeleg three hierarchies", testbed.SessionLine(b, threeHierarchies)},
		{"cgdeleg everything", testbed.SessionLine(b, "")},
	}
	if cgfs := os.Getenv("CGFS_MODULE"); cgfs != "" {
		lines = append(lines, struct{ name, line string }{"pam_cgfs three hierarchies", "session optional " + cgfs + " " + threeHierarchies})
	}
	for _, l := range lines {
		b.Run(l.name, func(b *testing.B) {
			testbed.WriteService(b, "cgbench", l.line)
			application := testbed.PamappPath(b)
			b.ResetTimer()
			script := []string{fmt.Sprintf("repeat=%d", b.N), "{", "start=cgbench:" + u.Name, "open", "close", "end", "}"}
			if out, err := exec.Command(application, script...).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		})
	}
	testbed.RemoveAll(u.Name) // what pam_cgfs leaves
}
