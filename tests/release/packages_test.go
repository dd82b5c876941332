package release

import (
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// A format of packages: how its files are called in dist and taken apart.
type format struct {
	name    string
	module  string // the module's package
	version string
	suffix  func(arch string) string
	unpack  func(t *testing.T, pkg, dir string)
}

func shell(script string) func(*testing.T, string, string) {
	return func(t *testing.T, pkg, dir string) {
		t.Helper()
		command(t, "sh", "-ec", script, "sh", pkg, dir)
	}
}

var formats = []format{
	{"deb", "libpam-cgdeleg", "_0.1.0-1_", func(a string) string { return a + ".deb" }, shell(`dpkg-deb -x "$1" "$2"`)},
	{"rpm", "pam_cgdeleg", "-0.1.0-1.", func(a string) string { return gnuArch[a] + ".rpm" }, shell(`bsdtar -C "$2" -xf "$1"`)},
	{"archlinux", "pam_cgdeleg", "-0.1.0-1-", func(a string) string { return gnuArch[a] + ".pkg.tar.zst" }, shell(`bsdtar -C "$2" -xf "$1" usr`)},
	{"apk", "pam-cgdeleg", "_0.1.0-r1_", func(a string) string { return gnuArch[a] + ".apk" }, shell(`tar -C "$2" -xzf "$1"; rm -f "$2"/.[A-Za-z]*`)},
}

func (f format) path(t *testing.T, pkg, arch string) string {
	t.Helper()
	version := strings.ReplaceAll(f.version, "0.1.0", projectVersion(t))
	return root(t, "dist", pkg+version+f.suffix(arch))
}

func projectVersion(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(root(t, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// Every package has the files that testdata lists, root's and with those modes, and
// the module and the tool in it are for its architecture. CGDELEG_UPDATE=1 writes
// the lists.
func TestPackageFiles(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390}
	for _, arch := range arches(t) {
		for _, f := range formats {
			t.Run(f.name+"/"+arch, func(t *testing.T) {
				var list strings.Builder
				for _, pkg := range []string{f.module, "cgdeleg"} {
					dir := t.TempDir()
					f.unpack(t, f.path(t, pkg, arch), dir)
					modes := map[string]string{}
					for _, file := range files(t, dir) {
						name := file // those of the recorded machine are of its architecture
						if rest, isOwn := strings.CutPrefix(file, "/usr/lib/"+gnuArch[arch]+"-linux-gnu/"); isOwn {
							name = "/usr/lib/MULTIARCH/" + rest
						}
						modes[name] = mode(t, filepath.Join(dir, file))
						checkBinary(t, filepath.Join(dir, file), machines[arch])
					}
					for _, name := range slices.Sorted(maps.Keys(modes)) {
						fmt.Fprintf(&list, "%s: %s %s\n", pkg, modes[name], name)
					}
				}
				wantList(t, f.name, list.String())
			})
		}
	}
}

// mode returns a file's mode in octal digits. It is to be root's.
func mode(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 0 || st.Gid != 0 {
		t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
	}
	return fmt.Sprintf("%04o", st.Mode&0o7777)
}

// nfpm's packages for Debian take libpam-cgfs's place as debian/control's do.
func TestDebRelations(t *testing.T) {
	arch := arches(t)[0]
	control := read(t, root(t, "packaging", "debian", "control"))
	deb := formats[0]
	for _, pkg := range []string{deb.module, "cgdeleg"} {
		_, paragraph, ok := strings.Cut(control, "\nPackage: "+pkg+"\n")
		if !ok {
			t.Fatalf("debian/control has no %s", pkg)
		}
		paragraph, _, _ = strings.Cut(paragraph, "\n\n")
		for _, field := range []string{"Recommends", "Conflicts", "Replaces", "Provides", "Multi-Arch"} {
			_, want, _ := strings.Cut("\n"+paragraph, "\n"+field+": ")
			want, _, _ = strings.Cut(want, "\n")
			got := strings.TrimSpace(command(t, "dpkg-deb", "-f", deb.path(t, pkg, arch), field))
			if got == "no" { // what nfpm says where nothing is said
				got = ""
			}
			if got != want {
				t.Errorf("%s: %s is %q, debian/control's %q", pkg, field, got, want)
			}
		}
	}
}

func checkBinary(t *testing.T, path string, want elf.Machine) {
	t.Helper()
	if !slices.Contains([]string{"pam_cgdeleg.so", "cgdeleg", "worker"}, filepath.Base(path)) {
		return
	}
	f, err := elf.Open(path)
	if err != nil {
		return // completions have the tool's name
	}
	defer f.Close()
	if f.Machine != want {
		t.Errorf("%s is for %v, want %v", path, f.Machine, want)
	}
}

// wantList compares with testdata/NAME.files.
func wantList(t *testing.T, name, got string) {
	t.Helper()
	if regexp.MustCompile(`(?m) /?etc/pam\.d`).MatchString(got) {
		t.Errorf("a package has a file in /etc/pam.d:\n%s", got)
	}
	golden := filepath.Join("testdata", name+".files")
	if os.Getenv("CGDELEG_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: files:\n%s\nwant:\n%s", name, got, want)
	}
}

// chroot is a root in which scriptlets run: a shell, and PAM files that no
// package may touch.
func chroot(t *testing.T) string {
	t.Helper()
	testbed.Need(t, "busybox")
	dir := t.TempDir()
	for _, sub := range []string{"bin", "etc/pam.d", "run/systemd/system", "var/lib/pacman", "var/lib/rpm", "var/cache/pacman/pkg", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "cp", "/bin/busybox", filepath.Join(dir, "bin"))
	for _, applet := range []string{"sh", "cp", "mkdir", "rm", "cat", "echo", "[", "rmdir"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	// What the scriptlets ask of systemd is written down.
	for _, program := range []string{"systemctl", "systemd-tmpfiles"} {
		if err := os.WriteFile(filepath.Join(dir, "bin", program), []byte("#!/bin/sh\necho "+program+" \"$@\" >>/asked\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range []string{"sshd", "system-auth", "postlogin", "system-login"} {
		if err := os.WriteFile(filepath.Join(dir, "etc/pam.d", service), []byte("session required pam_unix.so\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pamFiles returns the names and contents of a chroot's PAM files.
func pamFiles(t *testing.T, dir string) string {
	t.Helper()
	return command(t, "sh", "-ec", `cd "$1/etc/pam.d" && for f in *; do echo "$f"; cat "$f"; done`, "sh", dir)
}

// installer is how a package manager installs and removes in a chroot.
type installer struct {
	install, remove func(dir, pkg string) *exec.Cmd
}

func rpmCommand(dir string, args ...string) *exec.Cmd {
	return exec.Command("rpm", append([]string{"--root", dir, "--nodeps", "--nosignature"}, args...)...)
}

func pacmanCommand(dir string, args ...string) *exec.Cmd {
	// of this machine's pacman.conf nothing is wanted
	return exec.Command("pacman", append([]string{"--config", "/dev/null", "--root", dir, "--noconfirm", "-dd"}, args...)...)
}

var (
	rpmInstaller = installer{
		func(dir, pkg string) *exec.Cmd { return rpmCommand(dir, "--ignorearch", "-U", "--replacepkgs", pkg) },
		func(dir, _ string) *exec.Cmd { return rpmCommand(dir, "-e", "pam_cgdeleg") },
	}
	pacmanInstaller = installer{
		func(dir, pkg string) *exec.Cmd { return pacmanCommand(dir, "-U", pkg) },
		func(dir, _ string) *exec.Cmd { return pacmanCommand(dir, "-R", "pam_cgdeleg") },
	}
)

// installs installs, upgrades and removes the module's package with its
// scriptlets, and looks that PAM's files stay as they were, that the module comes
// and all of it goes, and that the drop-in, when it is removed and only then, stays
// in force until the next boot.
func (i installer) installs(t *testing.T, pkg, module string) {
	t.Helper()
	dir := chroot(t)
	before := pamFiles(t, dir)
	kept := filepath.Join(dir, "run/systemd/system/session-.scope.d/50-cgdeleg.conf")
	for range 2 { // the second is an upgrade
		output(t, i.install(dir, pkg))
		if _, err := os.Stat(filepath.Join(dir, module)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(kept); err == nil {
			t.Errorf("%s is there, and in force before the installed one", kept)
		}
	}
	if after := pamFiles(t, dir); after != before {
		t.Errorf("the installation changed PAM's files:\n%s\nwere:\n%s", after, before)
	}
	output(t, i.remove(dir, pkg))
	if after := pamFiles(t, dir); after != before {
		t.Errorf("the removal changed PAM's files:\n%s\nwere:\n%s", after, before)
	}
	left := command(t, "sh", "-c", `cd "$1" && find . -path ./run -prune -o '(' -name '*cgdeleg*' -o -name session-.scope.d ')' -print`, "sh", dir)
	if left != "" {
		t.Errorf("left after the removal:\n%s", left)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("after the removal, before a boot: %v", err)
	}
}

func TestPackagesOfNFPMInstall(t *testing.T) {
	arch := arches(t)[0]
	t.Run("rpm", func(t *testing.T) {
		testbed.Need(t, "rpm")
		rpmInstaller.installs(t, formats[1].path(t, "pam_cgdeleg", arch), "usr/lib64/security/pam_cgdeleg.so")
	})
	t.Run("archlinux", func(t *testing.T) {
		testbed.Need(t, "pacman")
		if arch != "amd64" {
			t.Skip("pacman installs no other architecture's packages")
		}
		pacmanInstaller.installs(t, formats[2].path(t, "pam_cgdeleg", arch), "usr/lib/security/pam_cgdeleg.so")
	})
}

// sources returns the tarball that `make test-release` made.
func sources(t *testing.T) string {
	t.Helper()
	return root(t, "build", "release", "pam_cgdeleg-"+projectVersion(t)+".tar.gz")
}

func goProgram(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(command(t, "go", "env", "GOROOT")) + "/bin/go"
}

// The spec builds from the release's sources, without a network.
func TestSpec(t *testing.T) {
	t.Parallel()
	arches(t)
	testbed.Need(t, "rpmbuild", "scdoc", "unshare")
	dir := t.TempDir()
	command(t, "unshare", "--net", "rpmbuild", "-bb", "--quiet", "--nodeps", "--nocheck", // `make unit` is %check
		"--define", "_topdir "+dir, "--define", "_sourcedir "+filepath.Dir(sources(t)),
		"--define", "gobin "+goProgram(t), "--define", "_tmppath "+dir, root(t, "packaging", "rpm", "pam_cgdeleg.spec"))
	var list strings.Builder
	for _, pkg := range []string{"pam_cgdeleg", "cgdeleg"} {
		paths, _ := filepath.Glob(filepath.Join(dir, "RPMS", "*", pkg+"-[0-9]*.rpm"))
		if len(paths) != 1 {
			t.Fatalf("%s: packages %v", pkg, paths)
		}
		for line := range strings.Lines(command(t, "rpm", "-qp", "--nosignature", "--list", paths[0])) {
			// Debian's rpm puts the version into these two folders' names.
			fmt.Fprintf(&list, "%s: %s", pkg, strings.ReplaceAll(line, pkg+"-"+projectVersion(t), pkg))
		}
		if pkg == "pam_cgdeleg" {
			rpmInstaller.installs(t, paths[0], "usr/lib64/security/pam_cgdeleg.so")
		}
	}
	wantList(t, "spec", list.String())
}

// makepkg, which does not run as root, builds the PKGBUILD from the release's
// sources, without a network.
func TestPKGBUILD(t *testing.T) {
	t.Parallel()
	arches(t)
	testbed.Need(t, "makepkg", "scdoc", "setpriv", "unshare", "fakeroot")
	dir, err := os.MkdirTemp("/var/tmp", "makepkg") // TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command(t, "sh", "-c", `chmod -R u+w "$1"; rm -rf "$1"`, "sh", dir) })
	for _, file := range []string{root(t, "packaging/arch/PKGBUILD"), root(t, "packaging/arch/pam_cgdeleg.install"), sources(t)} {
		command(t, "cp", file, dir)
	}
	command(t, "chown", "-R", "65534:65534", dir)
	cmd := exec.Command("unshare", "--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
		"makepkg", "--nodeps", "--nocheck") // `make unit` is check()
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + filepath.Dir(goProgram(t)) + ":/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "GOCACHE=" + dir + "/cache", "LC_ALL=C"}
	output(t, cmd)
	var list strings.Builder
	for _, pkg := range []string{"pam_cgdeleg", "cgdeleg"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pkg+"-[0-9]*.pkg.tar.*"))
		if len(paths) != 1 {
			t.Fatalf("%s: packages %v", pkg, paths)
		}
		for line := range strings.Lines(command(t, "bsdtar", "-tf", paths[0])) {
			if !strings.HasSuffix(line, "/\n") {
				fmt.Fprintf(&list, "%s: %s", pkg, line)
			}
		}
		if pkg == "pam_cgdeleg" {
			pacmanInstaller.installs(t, paths[0], "usr/lib/security/pam_cgdeleg.so")
		}
	}
	wantList(t, "pkgbuild", list.String())
}
