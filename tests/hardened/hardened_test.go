package hardened

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// Every file of every build that is there has it.
func TestBuilds(t *testing.T) {
	type build struct {
		folder, arch string
		musl         bool
	}
	builds := []build{{"build", runtime.GOARCH, false}, {"build/musl", runtime.GOARCH, true}}
	for _, arch := range []string{"amd64", "arm64", "riscv64", "s390x"} {
		builds = append(builds, build{"build/cross/" + arch, arch, false}, build{"build/cross/" + arch + "/musl", arch, true})
	}
	for _, b := range builds {
		t.Run(b.folder, func(t *testing.T) {
			kinds := map[string]Kind{"pam_cgdeleg.so": Module, "trylogin": Program, "cgdeleg": OfGo(b.arch), "worker": OfGo(b.arch)}
			seen := 0
			for name, kind := range kinds {
				path := filepath.Join(testbed.Root(t), b.folder, name)
				if _, err := os.Stat(path); err != nil {
					continue
				}
				seen++
				missing, err := Missing(path, kind, !b.musl)
				if err != nil {
					t.Error(err)
				}
				for _, m := range missing {
					t.Error(m)
				}
			}
			switch {
			case seen == 0 && b.folder == "build":
				t.Error("nothing is built: run `make`")
			case seen == 0:
				t.Skip("not built: `make musl`, `make cross`")
			}
		})
	}
}

// A program that has nothing of it is found out.
func TestPlainProgram(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc: run `make setup`")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "plain.c"), filepath.Join(dir, "plain")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-no-pie", "-Wl,-z,norelro", "-Wl,-z,lazy", "-fno-stack-protector", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	missing, err := Missing(program, Program, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"position-dependent", "no RELRO", "bound lazily", "not marked as PIE", "return address", "_FORTIFY_SOURCE"} {
		if !slices.ContainsFunc(missing, func(m string) bool { return strings.Contains(m, words) }) {
			t.Errorf("nothing about %q in %q", words, missing)
		}
	}
}
