package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What xbps-src gives a template, as far as ours calls it.
const voidStandIns = `
XBPS_TARGET_LIBC=glibc XBPS_TARGET_MACHINE=x86_64 CC=gcc CFLAGS="-O2 -g" LDFLAGS= makejobs=
to() { install -D -m 0644 "$1" "$DESTDIR/$2"; }
vsconf() { to "$1" "usr/share/examples/$pkgname/${1##*/}"; }
vdoc() { to "$1" "usr/share/doc/$pkgname/${2:-${1##*/}}"; }
vlicense() { to "$1" "usr/share/licenses/$pkgname/${1##*/}"; }
. "$RECIPE"
do_build
do_install
`

// What portage gives an ebuild, as far as ours calls it.
const gentooStandIns = `
PN=pam_cgdeleg PV=$VERSION P=pam_cgdeleg-$VERSION PF=$P D=$DESTDIR ED=$DESTDIR EPREFIX= CFLAGS="-O2 -g" LDFLAGS=
to() { install -D -m 0644 "$1" "$D/$2"; }
inherit() { :; }
use() { false; }
emake() { make "$@"; }
tc-getCC() { echo gcc; }
getpam_mod_dir() { echo /lib64/security; }
die() { exit 1; }
keepdir() { mkdir -p "$D/$1"; }
dodoc() { for f; do to "$f" "usr/share/doc/$PF/${f##*/}"; done; }
newdoc() { to "$1" "usr/share/doc/$PF/$2"; }
. "$RECIPE"
src_compile
src_install
`

// The recipes in contrib build and install by their own functions, without a network. What
// calls them stands in for Void's and Gentoo's, which are not to be had on Debian.
func TestRecipes(t *testing.T) {
	arches(t)
	testbed.Need(t, "unshare", "scdoc")
	for name, test := range map[string]struct {
		recipe, script string
		want, none     []string
	}{
		"void": {"void/srcpkgs/pam_cgdeleg/template", voidStandIns,
			[]string{"usr/lib/security/pam_cgdeleg.so", "usr/bin/cgdeleg", "usr/libexec/cgdeleg/trylogin", "etc/sv/cgdeleg-serve/run", "usr/share/man/man8/pam_cgdeleg.8",
				"usr/share/zsh/site-functions/_cgdeleg", "usr/share/licenses/pam_cgdeleg/LICENCES", "usr/share/doc/pam_cgdeleg/pam-line"},
			[]string{"usr/lib/systemd", "etc/init.d"}},
		"gentoo": {"gentoo/sys-auth/pam_cgdeleg/pam_cgdeleg-" + projectVersion(t) + ".ebuild", gentooStandIns,
			[]string{"lib64/security/pam_cgdeleg.so", "usr/bin/cgdeleg", "etc/init.d/cgdeleg-serve", "usr/lib/systemd/system/cgdeleg-serve.socket",
				"usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "usr/lib/tmpfiles.d/cgdeleg.conf", "usr/share/man/man5/cgdeleg-limits.conf.5", "etc/cgdeleg"},
			nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			command(t, "tar", "-C", dir, "-xzf", sources(t))
			destination := filepath.Join(dir, "destination")
			cmd := exec.Command("unshare", "--net", "bash", "-euc", test.script)
			cmd.Dir = filepath.Join(dir, "pam_cgdeleg-"+projectVersion(t))
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(goProgram(t))+":"+os.Getenv("PATH"), "MAKEFLAGS=", "GOMODCACHE="+filepath.Join(dir, "none"),
				"DESTDIR="+destination, "VERSION="+projectVersion(t), "RECIPE="+root(t, "contrib", test.recipe))
			output(t, cmd)
			for _, file := range test.want {
				if _, err := os.Stat(filepath.Join(destination, file)); err != nil {
					t.Error(err)
				}
			}
			for _, file := range test.none {
				if _, err := os.Stat(filepath.Join(destination, file)); err == nil {
					t.Errorf("it installs %s", file)
				}
			}
		})
	}
}

// The versions that recipes have are the project's.
func TestRecipesVersions(t *testing.T) {
	version := projectVersion(t)
	if template := read(t, root(t, "contrib", "void", "srcpkgs", "pam_cgdeleg", "template")); !strings.Contains(template, "\nversion="+version+"\n") {
		t.Errorf("the template is not of version %s", version)
	}
	if _, err := os.Stat(root(t, "contrib", "gentoo", "sys-auth", "pam_cgdeleg", "pam_cgdeleg-"+version+".ebuild")); err != nil {
		t.Error(err)
	}
}

// The Nix files are read by Nix, which is all that can be done without nixpkgs.
func TestNixFiles(t *testing.T) {
	testbed.Need(t, "nix-instantiate")
	for _, file := range []string{"package.nix", "module.nix"} {
		cmd := exec.Command("nix-instantiate", "--parse", root(t, "contrib", "nixos", file))
		cmd.Env = append(os.Environ(), "NIX_STATE_DIR="+t.TempDir(), "NIX_STORE_DIR="+t.TempDir())
		output(t, cmd)
	}
}
