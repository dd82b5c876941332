// Package bench measures what a login costs, side by side with LXC's pam_cgfs and with
// the least that any module would do: `make bench` prints its tables, from which
// docs/performance.md is made. Nothing in it fails for a time.
//
// The rows of a table are measured in turns, so that what else the machine does falls
// on each of them alike. Ratios between rows of one run can be compared, times of
// different machines cannot. -short measures a tenth of it, to see that it works.
//
// Each part is a file: transaction, logins, growth, beside and programs. They share
// stacks (what is compared), sample (one login and logout), server (cgdeleg serve),
// table and plot.
package bench

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// cgdeleg serve removes every user's dead sessions.
func TestMain(m *testing.M) { os.Exit(testbed.MainAlone(m)) }

// rounds is how often something is measured, if there is time.
func rounds(n int) int {
	if testing.Short() {
		return max(n/10, 3)
	}
	return n
}

// application is the path of pamapp, from which any user may run it.
func application(b *testing.B) string {
	b.Helper()
	return built(b, "applications/pamapp/pamapp.c", "-lpam", "-ldl", "-lpthread")
}

var compiled sync.Map // of the source to the path

// built compiles one of the tests' C files, once for all parts, into the private /run.
func built(b *testing.B, source string, arguments ...string) string {
	b.Helper()
	if path, is := compiled.Load(source); is {
		return path.(string)
	}
	testbed.Need(b, "gcc")
	data, err := os.ReadFile(testbed.CompileC(b, filepath.Join(testbed.Root(b), "tests", source), arguments...))
	path := filepath.Join("/run", filepath.Base(source)+".built")
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
	compiled.Store(source, path)
	return path
}
