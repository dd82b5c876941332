// Package release tests what `make packages` and `make release` make: the files
// and scripts of the packages, the module of every architecture under qemu-user,
// and that the same sources give the same bytes.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// gnuArch is what the GNU tools, qemu-user, RPM, Arch and Alpine call each of
// Go's architectures.
var gnuArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64", "s390x": "s390x"}

// arches returns the architectures that were packaged: CGDELEG_ARCHES, which
// `make test-release` sets.
func arches(t *testing.T) []string {
	t.Helper()
	list := strings.Fields(os.Getenv("CGDELEG_ARCHES"))
	if len(list) == 0 {
		t.Skip("needs packages: run `make test-release`")
	}
	for _, arch := range list {
		if gnuArch[arch] == "" {
			t.Fatalf("CGDELEG_ARCHES: unknown architecture %q", arch)
		}
	}
	return list
}

func root(t *testing.T, elements ...string) string {
	t.Helper()
	return filepath.Join(append([]string{testbed.Root(t)}, elements...)...)
}

// output returns what a command prints on standard output; a command that fails
// ends the test.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, said.String())
	}
	return string(out)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	return output(t, exec.Command(name, args...))
}

// files returns what is below dir, directories left out, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}
