package release

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Another folder, another time, another umask and nothing compiled before: the
// same packages, byte for byte. And with another version all others.
func TestReproducible(t *testing.T) {
	arch := arches(t)[0]
	dir := filepath.Join(t.TempDir(), "another", "folder")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "tar", "-C", dir, "--strip-components=1", "-xzf", sources(t))
	// Go's build information has the modules' checksums only without it.
	command(t, "rm", "-r", filepath.Join(dir, "vendor"))
	command(t, "sh", "-c", `find "$1" -exec touch -d 2001-02-03 {} +`, "sh", dir)
	sysroot := filepath.Join("build", "cross", arch, "sysroot")
	command(t, "sh", "-ec", `mkdir -p "$(dirname "$2")" && cp -a "$1" "$2"`, "sh", root(t, sysroot), filepath.Join(dir, sysroot))
	command(t, "sh", "-c", `find "$1" -exec touch -h {} +`, "sh", filepath.Join(dir, sysroot))

	command(t, "sh", "-ec", `mkdir -p "$2" && cp "$1" "$2"`, "sh", root(t, "build", "tools", "nfpm"), filepath.Join(dir, "build", "tools"))
	cache := filepath.Join(t.TempDir(), "cache")

	first := hashes(t, root(t, "dist"), arch)
	second := build(t, dir, cache, arch)
	if len(first) != 2*len(formats) || len(second) != len(first) {
		t.Fatalf("%d and %d packages", len(first), len(second))
	}
	for name, sum := range first {
		if second[name] != sum {
			t.Errorf("%s is not reproducible: %s, then %s", name, sum, second[name])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("0.0.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sums := map[string]bool{}
	for _, sum := range first {
		sums[sum] = true
	}
	other := build(t, dir, cache, arch)
	if len(other) != len(first) {
		t.Errorf("%d packages of another version", len(other))
	}
	for name, sum := range other {
		if sums[sum] {
			t.Errorf("%s of another version is the same", name)
		}
	}
}

// build makes the packages of the sources in dir and returns their hashes.
func build(t *testing.T, dir, cache, arch string) map[string]string {
	t.Helper()
	epoch := strings.TrimSpace(command(t, "stat", "-c", "%Y", root(t, "build", "packages", "LICENSE")))
	cmd := exec.Command("sh", "-c", "umask 077 && exec make packages ARCHES="+arch)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "GOCACHE="+cache, "MAKEFLAGS=", "TZ=Asia/Tokyo")
	output(t, cmd)
	return hashes(t, filepath.Join(dir, "dist"), arch)
}

// hashes returns the packages in a folder that are for that architecture.
func hashes(t *testing.T, dir, arch string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, f := range formats {
		paths, err := filepath.Glob(filepath.Join(dir, "*"+f.suffix(arch)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sums[filepath.Base(path)] = fmt.Sprintf("%x", sha256.Sum256(data))
		}
	}
	return sums
}
