package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// recipe is all that an image is made of, but for Debian's archive. An image
// is built anew when it changes.
//
//go:embed image
var recipe embed.FS

// rootfsRecipe is the part of the recipe that takes long: fetching and
// unpacking packages.
func rootfsRecipe(suite Suite) []string {
	return []string{"image/rootfs.sh", packagesFile(suite)}
}

func packagesFile(suite Suite) string { return "image/" + string(suite) + ".packages" }

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

	rootfs, err := cached(cache, suite, "rootfs", rootfsRecipe(suite), func(dir string) error {
		return script(ctx, "image/rootfs.sh", string(suite), packagesFile(suite), filepath.Join(dir, "rootfs.tar"))
	})
	if err != nil {
		return Image{}, err
	}
	image, err := cached(cache, suite, "image", imageRecipe(suite), func(dir string) error {
		return script(ctx, "image/image.sh", filepath.Join(rootfs, "rootfs.tar"), dir)
	})
	if err != nil {
		return Image{}, err
	}
	return Image{dir: image}, prune(cache, suite)
}

// imageRecipe returns the whole recipe but for the other suites' packages.
func imageRecipe(suite Suite) (files []string) {
	_ = fs.WalkDir(recipe, "image", func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() && (!strings.HasSuffix(path, ".packages") || path == packagesFile(suite)) {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// cached returns the folder of a stage of the recipe. If there is none, build
// fills it; a build that fails leaves nothing.
func cached(cache string, suite Suite, stage string, files []string, build func(dir string) error) (string, error) {
	key, err := hash(files)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, fmt.Sprintf("%s-%s-%s", suite, stage, key))
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

// hash returns a short name for what the files say.
func hash(files []string) (string, error) {
	sum := sha256.New()
	for _, name := range slices.Sorted(slices.Values(files)) {
		data, err := recipe.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
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
