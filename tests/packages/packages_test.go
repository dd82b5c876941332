// Package packages tests the Debian packages in a fresh root file system, with
// dpkg, pam-auth-update and sshd of its own and this machine's cgroup hierarchies:
// install, upgrade, remove and purge, with logins after each and in between.
//
// The scenarios (scenarios/*.sh) are written in lib.sh here and in the library
// of package vm, whose report they make. They run only where CGDELEG_PACKAGES=1
// asks for them, as `make test-packages` does, which builds the packages.
package packages

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/hardened"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/vm"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// need skips the test where nobody asked for it.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("CGDELEG_PACKAGES") != "1" {
		t.Skip("builds and installs Debian packages: run `make test-packages`")
	}
	testbed.Need(t, "mmdebstrap", "unshare", "ip")
}

func TestDebian(t *testing.T) {
	need(t)
	scenarios, err := filepath.Glob("scenarios/*.sh")
	if err != nil || len(scenarios) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			if suite == "bookworm" && !builtOn(t, suite) {
				t.Skip("packages that a newer Debian built want its C library")
			}
			root := freshRoot(t, suite)
			for _, scenario := range scenarios {
				t.Run(strings.TrimSuffix(filepath.Base(scenario), ".sh"), func(t *testing.T) {
					runScenario(t, root, scenario)
				})
			}
		})
	}
}

// builtOn says whether this machine, which built the packages, is a Debian of the
// suite.
func builtOn(t *testing.T, suite string) bool {
	t.Helper()
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(release), "VERSION_CODENAME="+suite+"\n")
}

// TestFilesHaveOneTime holds what makes packages of the same sources the same:
// no file keeps the time at which somebody edited or checked it out. next.sh
// builds with a time that is later than all of these.
func TestFilesHaveOneTime(t *testing.T) {
	need(t)
	debs, _ := filepath.Glob(filepath.Join(testbed.Root(t), "build/deb-next/*.deb"))
	if len(debs) == 0 {
		t.Fatal("no packages in build/deb-next: run `make test-packages`")
	}
	for _, deb := range debs {
		out, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
		if err != nil {
			t.Fatalf("%s: %v", deb, err)
		}
		files := tar.NewReader(bytes.NewReader(out))
		first, err := files.Next()
		for file := first; err == nil; file, err = files.Next() {
			if !file.ModTime.Equal(first.ModTime) {
				t.Errorf("%s: %s is of %s, %s of %s", filepath.Base(deb), file.Name, file.ModTime, first.Name, first.ModTime)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", deb, err)
		}
	}
}

// The programs in the packages are protected as those that make builds.
func TestProtected(t *testing.T) {
	need(t)
	dir := t.TempDir()
	debs, _ := filepath.Glob(filepath.Join(testbed.Root(t), "build/deb/*.deb"))
	for _, deb := range debs {
		if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", deb, err, out)
		}
	}
	modules, _ := filepath.Glob(filepath.Join(dir, "usr/lib/*/security/pam_cgdeleg.so"))
	if len(modules) != 1 {
		t.Fatalf("modules %q: run `make test-packages`", modules)
	}
	for path, kind := range map[string]hardened.Kind{
		modules[0]: hardened.Module, filepath.Join(dir, "usr/libexec/cgdeleg/trylogin"): hardened.Program,
		filepath.Join(dir, "usr/bin/cgdeleg"): hardened.OfGo(runtime.GOARCH),
	} {
		missing, err := hardened.Missing(path, kind, true)
		if err != nil {
			t.Error(err)
		}
		for _, m := range missing {
			t.Error(m)
		}
	}
}

// TestPackagedModules builds from modules in a folder such as the one in which
// Debian's packages have theirs, without go.mod's versions at hand. Those of the
// built packages' vendor/ stand in for them.
func TestPackagedModules(t *testing.T) {
	need(t)
	trees, _ := filepath.Glob(filepath.Join(testbed.Root(t), "build/deb/pam-cgdeleg-*"))
	if len(trees) != 1 {
		t.Fatalf("the sources in build/deb are %q: run `make test-packages`", trees)
	}
	sources, workspace, programs := filepath.Join(t.TempDir(), "sources"), t.TempDir(), t.TempDir()
	script := `set -eu
		cp -r "$1" "$2"
		cd "$2"
		mv vendor "$2.gocode"
		GOCODE="$2.gocode" debian/packaged-modules.sh "$3"
		${GO:-go} build -o "$4" ./cmd/cgdeleg ./pam/helper
		test ! -e vendor`
	cmd := exec.Command("sh", "-c", script, "sh", trees[0], sources, workspace, programs)
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(workspace, "go.work"), "GOFLAGS=-mod=vendor", "GOPROXY=off",
		"GOMODCACHE="+filepath.Join(workspace, "none"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// freshRoot returns the tar file that root.sh makes.
func freshRoot(t *testing.T, suite string) string {
	t.Helper()
	cmd := exec.Command("./root.sh", suite)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("root.sh, which needs Debian's archive: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// runScenario runs one scenario in a root file system of its own. Each of its
// assertions is a subtest.
func runScenario(t *testing.T, root, scenario string) {
	log := testbed.LogFromNow(t)
	cmd := exec.Command("./enter.sh", t.TempDir(), root, inputs(t, scenario))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	report, unfinished := vm.ParseReport(string(out))
	for _, note := range report.Notes {
		t.Log(note)
	}
	for _, a := range report.Assertions {
		t.Run(a.Name, func(t *testing.T) {
			if !a.OK {
				t.Error(a.Evidence)
			}
		})
	}
	if unfinished != nil || err != nil && !t.Failed() {
		t.Errorf("%v, %v; its output:\n%s", unfinished, err, out)
	}
	for _, line := range log.Ours() {
		t.Errorf("the module logged: %s", line)
	}
	if t.Failed() {
		t.Logf("the system's log:\n%s", strings.Join(log.All(), "\n"))
	}
}

// inputs returns a folder with what the scenario finds in /in.
func inputs(t *testing.T, scenario string) string {
	t.Helper()
	dir := t.TempDir()
	build := filepath.Join(testbed.Root(t), "build")
	files := map[string]string{
		"main.sh": "main.sh", "packages.sh": "lib.sh", "ssh-login": "../../packaging/debian/tests/ssh-login", "lib.sh": "../vm/guest/lib.sh", "scenario.sh": scenario,
	}
	for folder, in := range map[string]string{"deb": "debs", "deb-next": "debs/next"} {
		debs, _ := filepath.Glob(filepath.Join(build, folder, "*.deb"))
		if len(debs) == 0 {
			t.Fatalf("no packages in build/%s: run `make test-packages`", folder)
		}
		for _, deb := range debs {
			files[filepath.Join(in, filepath.Base(deb))] = deb
		}
	}
	for name, source := range files {
		copyFile(t, source, filepath.Join(dir, name))
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
