package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// vendorTarball returns the tarball beside sources(t).
func vendorTarball(t *testing.T) string {
	t.Helper()
	return strings.TrimSuffix(sources(t), ".tar.gz") + "-vendor.tar.gz"
}

// Sources without vendor/, as a forge has them, and the other tarball build without a
// network and without a cache of modules. vendor/LICENCES has each module.
func TestVendor(t *testing.T) {
	arches(t)
	testbed.Need(t, "unshare")
	dir := t.TempDir()
	name := "pam_cgdeleg-" + projectVersion(t)
	command(t, "tar", "-C", dir, "--exclude", name+"/vendor", "-xzf", sources(t))
	build := func() error {
		cmd := exec.Command("unshare", "--net", "make", "-C", filepath.Join(dir, name), "build/cgdeleg", "build/pam_cgdeleg.so", "GO="+goProgram(t))
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=vendor", "GOPROXY=off", "GOTOOLCHAIN=local", "MAKEFLAGS=",
			"GOMODCACHE="+filepath.Join(dir, "none"), "GOPATH="+filepath.Join(dir, "none"))
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if build() == nil {
		t.Fatal("it builds without vendor/: this test sees nothing")
	}
	command(t, "tar", "-C", dir, "-xzf", vendorTarball(t))
	if err := build(); err != nil {
		t.Fatal(err)
	}
	licences := read(t, filepath.Join(dir, name, "vendor", "LICENCES"))
	for _, m := range regexp.MustCompile(`(?m)^# (\S+) (\S+)$`).FindAllStringSubmatch(read(t, filepath.Join(dir, name, "vendor", "modules.txt")), -1) {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(m[1]) + ` +` + regexp.QuoteMeta(m[2]) + ` +[A-Z][A-Za-z0-9.-]+ +(\S+)$`).FindStringSubmatch(licences)
		if line == nil {
			t.Errorf("vendor/LICENCES lacks %s %s", m[1], m[2])
		} else if _, err := os.Stat(filepath.Join(dir, name, line[1])); err != nil {
			t.Error(err)
		}
	}
}

// The spec's packages provide, as bundled, just the modules that are linked into them.
func TestBundled(t *testing.T) {
	testbed.Need(t)
	spec := read(t, root(t, "packaging", "rpm", "pam_cgdeleg.spec"))
	module, tool, _ := strings.Cut(spec, "\n%package -n cgdeleg\n")
	for program, text := range map[string]string{"pam_cgdeleg.so": module, "cgdeleg": tool} {
		var provided, linked []string
		for _, m := range regexp.MustCompile(`(?m)^Provides: +bundled\(golang\((\S+)\)\) = (\S+)$`).FindAllStringSubmatch(text, -1) {
			provided = append(provided, m[1]+" "+m[2])
		}
		for line := range strings.Lines(command(t, "go", "version", "-m", testbed.Built(t, program))) {
			if fields := strings.Fields(line); fields[0] == "dep" {
				linked = append(linked, fields[1]+" "+strings.TrimPrefix(fields[2], "v"))
			}
		}
		if slices.Sort(provided); !slices.Equal(provided, linked) {
			t.Errorf("%s: the spec provides %v, linked in are %v", program, provided, linked)
		}
	}
}
