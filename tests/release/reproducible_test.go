package release

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Another folder, another time, another umask, and of what was built before only
// what must not be taken: `make release` makes the same packages and sources, byte
// for byte. And with another version all others, and none of the former beside them.
func TestReproducible(t *testing.T) {
	t.Parallel()
	arch := arches(t)[0]
	dir := filepath.Join(t.TempDir(), "another", "folder")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "tar", "-C", dir, "--strip-components=1", "-xzf", sources(t))
	// Go's build information has the modules' checksums only without it.
	command(t, "rm", "-r", filepath.Join(dir, "vendor"))
	command(t, "sh", "-c", `find "$1" -exec touch -h -d 2001-02-03 {} +`, "sh", dir)
	for _, built := range []string{"sources/.done", arch + "/sysroot"} {
		built = filepath.Join("build", "cross", built)
		command(t, "sh", "-ec", `mkdir -p "$(dirname "$2")" && cp -a "$1" "$2"`, "sh", root(t, built), filepath.Join(dir, built))
		command(t, "sh", "-c", `find "$1" -exec touch -h {} +`, "sh", filepath.Join(dir, built))
	}

	command(t, "sh", "-ec", `mkdir -p "$2" && cp "$1" "$2"`, "sh", root(t, "build", "tools", "nfpm"), filepath.Join(dir, "build", "tools"))
	cache := filepath.Join(t.TempDir(), "cache")

	command(t, "git", "-C", dir, "init", "-q")
	commit(t, dir)
	old := exec.Command("make", "-C", dir, "man", filepath.Join("build", "cross", arch, "cgdeleg"), "VERSION=8", "SOURCE_DATE_EPOCH=0")
	old.Env = append(os.Environ(), "GOCACHE="+cache, "MAKEFLAGS=")
	output(t, old)

	first := hashes(t, root(t, "dist"), arch)
	second := build(t, dir, cache, arch)
	if len(first) != 2*len(formats) || len(second) != len(first) {
		t.Fatalf("%d and %d packages", len(first), len(second))
	}
	for _, tarball := range []string{sources(t), vendorTarball(t)} {
		first[filepath.Base(tarball)] = hash(t, tarball)
		second[filepath.Base(tarball)] = hash(t, filepath.Join(dir, "dist", filepath.Base(tarball)))
	}
	checkRelease(t, dir, projectVersion(t), arch)
	for name, sum := range first {
		if second[name] != sum {
			t.Errorf("%s is not reproducible: %s, then %s", name, sum, second[name])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("0.0.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, dir)
	sums := map[string]bool{}
	for _, sum := range first {
		sums[sum] = true
	}
	other := build(t, dir, cache, arch)
	checkRelease(t, dir, "0.0.9", arch)
	if len(other) != 2*len(formats) {
		t.Errorf("%d packages of another version", len(other))
	}
	for name, sum := range other {
		if sums[sum] {
			t.Errorf("%s of another version is the same", name)
		}
	}
}

func commit(t *testing.T, dir string) {
	t.Helper()
	command(t, "git", "-C", dir, "add", "--all")
	command(t, "git", "-C", dir, "-c", "user.name=nobody", "-c", "user.email=nobody@cgdeleg.example", "commit", "-q", "-m", "sources")
}

// build makes a release of the sources in dir and returns the packages' hashes.
func build(t *testing.T, dir, cache, arch string) map[string]string {
	t.Helper()
	epoch := strings.TrimSpace(command(t, "stat", "-c", "%Y", root(t, "build", "packages", "LICENSE")))
	cmd := exec.Command("sh", "-c", "umask 077 && exec make release ARCHES="+arch)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "GOCACHE="+cache, "MAKEFLAGS=", "TZ=Asia/Tokyo", "VERSION=7")
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
			sums[filepath.Base(path)] = hash(t, path)
		}
	}
	return sums
}

func hash(t *testing.T, path string) string {
	t.Helper()
	return fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, path))))
}

// checkRelease looks at what `make release` puts beside the packages.
func checkRelease(t *testing.T, dir, version, arch string) {
	t.Helper()
	dist := filepath.Join(dir, "dist")
	tarball := "pam_cgdeleg-" + version + ".tar.gz"
	command(t, "sh", "-c", `cd "$1" && sha256sum --quiet -c SHA256SUMS`, "sh", dist)
	var summed []string
	for line := range strings.Lines(read(t, filepath.Join(dist, "SHA256SUMS"))) {
		name := strings.Fields(line)[1]
		summed = append(summed, name)
		if strings.Contains(name, "0.") && !strings.Contains(name, version) {
			t.Errorf("the release of %s has %s", version, name)
		}
	}
	if all := files(t, dist+"/"); len(all) != len(summed)+1 {
		t.Errorf("the checksums of %v, in dist is %v", summed, all)
	}
	if got, want := read(t, filepath.Join(dist, "PKGBUILD")), "\nsha256sums=("+hash(t, filepath.Join(dist, tarball))+")\n"; !strings.Contains(got, want) {
		t.Errorf("the PKGBUILD has no line %q", want)
	}
	sum := strings.TrimSpace(command(t, "sh", "-c", `cd "$1" && sha512sum "$2"`, "sh", dist, tarball))
	if got, want := read(t, filepath.Join(dist, "APKBUILD")), "sha512sums=\"\n"+sum+"\n\"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("the APKBUILD does not end with %q", want)
	}
	checkBill(t, dir, version, arch)
}

// checkBill looks that the bill of materials has every module that Go says it
// linked in, and that the packages' recipes name just the licences that it has.
func checkBill(t *testing.T, dir, version, arch string) {
	t.Helper()
	var bill struct {
		Components []struct {
			Name, Version string
			Scope         string
			Hashes        []struct{ Alg, Content string }
			Licenses      []struct{ License struct{ ID string } }
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "dist", "pam_cgdeleg-"+version+".cdx.json"))), &bill); err != nil {
		t.Fatal(err)
	}
	listed, licences, sums := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, c := range bill.Components {
		if c.Scope == "excluded" { // comes with the sources, and is linked into nothing
			continue
		}
		listed[c.Name+" "+c.Version] = true
		for _, h := range c.Hashes {
			sums[c.Name] = h.Alg + " " + h.Content
		}
		for _, l := range c.Licenses {
			licences[l.License.ID] = true
		}
	}
	for _, base := range []string{"pam_cgdeleg.so", "cgdeleg", "worker", "musl/pam_cgdeleg.so"} {
		name := arch + "/" + base
		file := filepath.Join(dir, "build", "cross", name)
		if !listed[name+" "+version] {
			t.Errorf("the bill of materials lacks %s", name)
		}
		if want := "SHA-256 " + hash(t, file); sums[name] != want {
			t.Errorf("the bill of materials has %q for %s, want %q", sums[name], name, want)
		}
		if strings.HasPrefix(base, "musl/") {
			continue // C
		}
		for line := range strings.Lines(command(t, "go", "version", "-m", file)) {
			if fields := strings.Fields(line); fields[0] == "dep" && !listed[fields[1]+" "+fields[2]] {
				t.Errorf("the bill of materials lacks %s %s, which is in %s", fields[1], fields[2], name)
			}
		}
	}
	want := slices.Sorted(maps.Keys(licences))
	for file, line := range map[string]string{
		"packaging/rpm/pam_cgdeleg.spec": "License:", "packaging/arch/PKGBUILD": "license=(",
		"packaging/alpine/APKBUILD": "license=\"", "packaging/nfpm/cgdeleg.yaml": "license:",
	} {
		_, rest, _ := strings.Cut(read(t, root(t, file)), "\n"+line)
		rest, _, _ = strings.Cut(rest, "\n")
		rest, _, _ = strings.Cut(rest, "#")
		got := strings.Fields(strings.ReplaceAll(strings.Trim(rest, "\") "), " AND ", " "))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: licences %v, linked in are %v", file, got, want)
		}
	}
}
