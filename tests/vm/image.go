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

const (
	rootfsScript = "image/rootfs.sh"
	debianScript = "image/debian.sh" // what that and the fresh machines' one read
)

func packagesFile(suite Suite) string { return "image/" + string(suite) + ".packages" }

// freshFiles is how the names of the files begin that only fresh machines are made of.
const freshFiles = "image/fresh"

// filesOf returns the recipe with those files of the folder that are wanted.
func filesOf(wanted func(path string) bool) (recipe, error) {
	r := recipe{}
	err := fs.WalkDir(folder, "image", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !wanted(path) {
			return err
		}
		r[path], err = folder.ReadFile(path)
		return err
	})
	return r, err
}

// newRecipe returns the suite's recipe: of the folder all but what is for fresh
// machines, and the other suites' packages. The suite's own and those of the
// clients are one list.
func newRecipe(suite Suite, clients string) (recipe, error) {
	r, err := filesOf(func(path string) bool {
		return !strings.HasPrefix(path, freshFiles) && (!strings.HasSuffix(path, ".packages") || path == packagesFile(suite))
	})
	all := append(packagesIn(string(r[packagesFile(suite)])), packagesIn(clients)...)
	slices.Sort(all)
	r[packagesFile(suite)] = []byte(strings.Join(slices.Compact(all), "\n") + "\n")
	return r, err
}

// freshRecipe returns that of a fresh machine, whatever its suite and init.
func freshRecipe() (recipe, error) {
	others := []string{rootfsScript, "image/configure.sh"}
	return filesOf(func(path string) bool {
		return strings.HasPrefix(path, freshFiles) || !strings.HasSuffix(path, ".packages") && !slices.Contains(others, path)
	})
}

// packagesIn returns the packages of a list: one a line, and comments.
func packagesIn(list string) (packages []string) {
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		packages = append(packages, strings.Fields(line)...)
	}
	return packages
}

// only returns the part of a stage that takes long: fetching and unpacking packages.
func (r recipe) only(names ...string) recipe {
	part := recipe{}
	for _, name := range names {
		part[name] = r[name]
	}
	return part
}

// rootfs is that part of a machine that has the clients.
func (r recipe) rootfs(suite Suite) recipe {
	return r.only(rootfsScript, debianScript, packagesFile(suite))
}

// unusedFor is how long an image stays that nothing used.
const unusedFor = 3 * 24 * time.Hour

// Disk says what a machine's disk is to hold.
type Disk struct {
	Suite Suite
	// Fresh is the init of a fresh machine, "systemd", "sysvinit" or "openrc": a stock Debian on
	// which no client was ever installed, with no user but root, and with what is to be
	// installed in an archive of its own. "selinux" is systemd with SELinux and Debian's
	// policy. "" is for the disk that has all clients, and boots with systemd and without.
	Fresh string
}

func (d Disk) String() string {
	if d.Fresh == "" {
		return string(d.Suite)
	}
	return string(d.Suite) + "-fresh-" + d.Fresh
}

// Image is what machines of one kind of disk boot from. They do not change it.
type Image struct{ dir string }

func (i Image) file(name string) string { return filepath.Join(i.dir, name) }

// CacheDir is where images are kept between runs.
func CacheDir() string {
	if dir := os.Getenv("VM_DIR"); dir != "" {
		return dir
	}
	return "/var/tmp/cgdeleg-vm"
}

// BuildImage returns the image of a disk, built if the cache has none of this
// recipe.
func BuildImage(ctx context.Context, cache string, disk Disk) (Image, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(filepath.Join(cache, string(disk.Suite)+".lock"))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	build := buildClients
	if disk.Fresh != "" {
		build = buildFresh
	}
	dir, err := build(ctx, cache, disk)
	if err != nil {
		return Image{}, err
	}
	return Image{dir: dir}, prune(cache, disk.Suite)
}

// buildClients builds the disk that has all clients.
func buildClients(ctx context.Context, cache string, disk Disk) (string, error) {
	suite := disk.Suite
	clients, err := os.ReadFile(clientsFile)
	if err != nil {
		return "", err
	}
	all, err := newRecipe(suite, string(clients))
	if err != nil {
		return "", err
	}
	rootfs, err := cached(cache, suite, "rootfs", all.rootfs(suite), func(dir string) error {
		packages := filepath.Join(dir, "packages")
		if err := os.WriteFile(packages, all[packagesFile(suite)], 0o644); err != nil {
			return err
		}
		return script(ctx, rootfsScript, string(suite), packages, filepath.Join(dir, "rootfs.tar"))
	})
	if err != nil {
		return "", err
	}
	return cached(cache, suite, "image", all, func(dir string) error {
		return script(ctx, "image/image.sh", filepath.Join(rootfs, "rootfs.tar"), dir, "configure.sh")
	})
}

// buildFresh builds that of a fresh machine. Its root file system is one for all.
func buildFresh(ctx context.Context, cache string, disk Disk) (string, error) {
	const rootfsScript, packages, archive = freshFiles + ".sh", freshFiles + ".packages", freshFiles + ".archive"
	all, err := freshRecipe()
	if err != nil {
		return "", err
	}
	rootfs, err := cached(cache, disk.Suite, "fresh-rootfs", all.only(rootfsScript, debianScript, packages, archive), func(dir string) error {
		return script(ctx, rootfsScript, string(disk.Suite), packages, archive, filepath.Join(dir, "rootfs.tar"))
	})
	if err != nil {
		return "", err
	}
	return cached(cache, disk.Suite, "fresh-"+disk.Fresh, all, func(dir string) error {
		return script(ctx, "image/image.sh", filepath.Join(rootfs, "rootfs.tar"), dir, "fresh-configure.sh", disk.Fresh)
	})
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
