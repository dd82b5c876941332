#!/bin/sh
# package.sh DIR: does what abuild does with packaging/alpine/APKBUILD, as far as
# it can be done without Alpine: build(), package() and the subpackages, each into
# DIR/PACKAGE, with this tree as the source. abuild itself, and so the packages'
# metadata, cannot be had here.
set -eu
cd "$(dirname "$0")/../.."
tree=$PWD out=$1
version=$(cat VERSION)

# What abuild sets for an APKBUILD. A variable of these is read there.
export srcdir="$out/.src" CC="$tree/build/musl/cc" CFLAGS="-Os -fstack-clash-protection -Werror"
GO=${GO:-go}
GOCACHE=$($GO env GOCACHE) GOMODCACHE=$($GO env GOMODCACHE)
export GOCACHE GOMODCACHE
mkdir -p "$srcdir"
# shellcheck source=/dev/null
. packaging/alpine/APKBUILD
# shellcheck disable=SC2154 # the APKBUILD's
[ "$pkgver" = "$version" ] || {
	echo "APKBUILD has pkgver=$pkgver, and VERSION has $version" >&2
	exit 1
}
# shellcheck disable=SC2154
pkgdir=$out/$pkgname

amove() {
	for path; do
		mkdir -p "$subpkgdir/${path%/*}"
		mv "$pkgdir/$path" "$subpkgdir/${path%/*}/"
	done
}
doc() { amove usr/share/man usr/share/doc; }
openrc() { amove etc/init.d etc/conf.d; }
bashcomp() { amove usr/share/bash-completion/completions; }
fishcomp() { amove usr/share/fish/vendor_completions.d; }
zshcomp() { amove usr/share/zsh/site-functions; }

build
package
# shellcheck disable=SC2154 # the APKBUILD's
for sub in $subpackages; do
	name=${sub%%:*}
	split=${sub#*:}
	split=${split%%:*}
	subpkgdir=$out/$name
	mkdir -p "$subpkgdir"
	"$split"
done
find "$pkgdir" -depth -type d -empty -delete
