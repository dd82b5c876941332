package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// folder is all that an image is made of, but for the clients and for Debian's
// archive.
//
//go:embed image
var folder embed.FS

// clientsFile lists the packages of the clients, which every suite has.
const clientsFile = "../clients/packages"

// recipe is what an image or a stage of it is made of: files by name. It is built
// again when one of them changes.
type recipe map[string][]byte

const rootfsScript = "image/rootfs.sh"

func packagesFile(suite Suite) string { return "image/" + string(suite) + ".packages" }

// newRecipe returns the suite's recipe: of the folder all but the other suites'
// packages. The suite's own and those of the clients are one list.
func newRecipe(suite Suite, clients string) (recipe, error) {
	r := recipe{}
	err := fs.WalkDir(folder, "image", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".packages") && path != packagesFile(suite) {
			return err
		}
		r[path], err = folder.ReadFile(path)
		return err
	})
	all := append(packagesIn(string(r[packagesFile(suite)])), packagesIn(clients)...)
	slices.Sort(all)
	r[packagesFile(suite)] = []byte(strings.Join(slices.Compact(all), "\n") + "\n")
	return r, err
}

// packagesIn returns the packages of a list: one a line, and comments.
func packagesIn(list string) (packages []string) {
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		packages = append(packages, strings.Fields(line)...)
	}
	return packages
}

// rootfs returns the part that takes long: fetching and unpacking packages.
func (r recipe) rootfs(suite Suite) recipe {
	part := recipe{}
	for _, name := range []string{rootfsScript, packagesFile(suite)} {
		part[name] = r[name]
	}
	return part
}

// unusedFor is how long an image stays that nothing used.
const unusedFor = 3 * 24 * time.Hour

// Image is what machines of a suite boot from. They do not change it.
type Image struct{ dir string }

func (i Image) file(name string) string { return filepath.Join(i.dir, name) }

// CacheDir is where images are kept between runs.
func CacheDir() string {
	if dir := os.Getenv("VM_DIR"); dir != "" {
		return dir
	}
	return "/var/tmp/cgdeleg-vm"
}

// BuildImage returns the suite's image, built if the cache has none of this
// recipe.
func BuildImage(ctx context.Context, cache string, suite Suite) (Image, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(filepath.Join(cache, string(suite)+".lock"))
	if err != nil {
		return Image{}, err
	}
	defer unlock()

	clients, err := os.ReadFile(clientsFile)
	if err != nil {
		return Image{}, err
	}
	all, err := newRecipe(suite, string(clients))
	if err != nil {
		return Image{}, err
	}
	rootfs, err := cached(cache, suite, "rootfs", all.rootfs(suite), func(dir string) error {
		packages := filepath.Join(dir, "packages")
		if err := os.WriteFile(packages, all[packagesFile(suite)], 0o644); err != nil {
			return err
		}
		return script(ctx, rootfsScript, string(suite), packages, filepath.Join(dir, "rootfs.tar"))
	})
	if err != nil {
		return Image{}, err
	}
	image, err := cached(cache, suite, "image", all, func(dir string) error {
		return script(ctx, "image/image.sh", filepath.Join(rootfs, "rootfs.tar"), dir)
	})
	if err != nil {
		return Image{}, err
	}
	return Image{dir: image}, prune(cache, suite)
}

// cached returns the folder of a stage, which is made by the recipe. If there is
// none, build fills it; a build that fails leaves nothing.
func cached(cache string, suite Suite, stage string, r recipe, build func(dir string) error) (string, error) {
	dir := filepath.Join(cache, fmt.Sprintf("%s-%s-%s", suite, stage, r.hash()))
	now := time.Now()
	if os.Chtimes(dir, now, now) == nil { // for prune
		return dir, nil
	}
	building := dir + ".building"
	if err := os.RemoveAll(building); err != nil { // of a build that was killed
		return "", err
	}
	if err := os.Mkdir(building, 0o755); err != nil {
		return "", err
	}
	if err := build(building); err != nil {
		_ = os.RemoveAll(building)
		return "", err
	}
	return dir, os.Rename(building, dir)
}

// hash returns a short name for what the recipe says.
func (r recipe) hash() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(r[name]), r[name])
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// prune removes the suite's images that nothing used for long, and what a
// build that was killed left.
func prune(cache string, suite Suite) error {
	dirs, err := filepath.Glob(filepath.Join(cache, string(suite)+"-*-*"))
	for _, dir := range dirs {
		info, statErr := os.Stat(dir)
		if statErr == nil && time.Since(info.ModTime()) > unusedFor {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// lock keeps two runs from building the same image.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return func() { _ = f.Close() }, nil
}

// script runs a script of the recipe. Other work on this machine goes first.
func script(ctx context.Context, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "10", path}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, tail(string(out), 30))
	}
	return nil
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}
