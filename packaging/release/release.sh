#!/bin/sh
# release.sh DIR ARCH...: what a release consists of, in DIR: the packages, the
# sources with the Go modules in vendor/, the PKGBUILD and the APKBUILD with the
# sums of these, a bill of materials, and the checksums of all of them. Of a
# commit, and of nothing that an earlier build left.
set -eu
export LC_ALL=C # the order of SHA256SUMS
cd "$(dirname "$0")/../.."
dist=$1
shift
version=$(cat VERSION)
name=pam_cgdeleg-$version
GO=${GO:-go}

if [ ! -e .git ]; then
	echo "release.sh: a release is of a commit, and $PWD is no git checkout; make packages works without git" >&2
	exit 1
fi
changes=$(git -c safe.directory='*' status --porcelain --untracked-files=no)
if [ -n "$changes" ]; then
	echo "release.sh: there are changes that are not committed; a release is of a commit" >&2
	exit 1
fi
mkdir -p "$dist"
rm -f "$dist/SHA256SUMS" "$dist/APKBUILD" "$dist/PKGBUILD" "$dist"/pam_cgdeleg-*.tar.gz "$dist"/pam_cgdeleg-*.cdx.json
for arch; do # a new compiler is no reason for make
	(cd "build/cross/$arch" 2>/dev/null && rm -rf cgdeleg worker pam_cgdeleg.so musl) || :
done
"${MAKE:-make}" packages ARCHES="$*" VERSION="$version" # and not the environment's
packaging/release/sources.sh "$dist/$name.tar.gz"
sum() { "$1" "$dist/$name.tar.gz" | cut -d ' ' -f 1; }
sed "s/^sha256sums=.*/sha256sums=($(sum sha256sum))/" packaging/arch/PKGBUILD >"$dist/PKGBUILD"
sed "s/^sha512sums=.*/sha512sums=\"\n$(sum sha512sum)  $name.tar.gz\n\"/" packaging/alpine/APKBUILD >"$dist/APKBUILD"
# shellcheck disable=SC2046 # a list of words
bill=$("$GO" run ./packaging/release/sbom -version "$version" -vendor "build/release/$name/vendor" -dir build/cross \
	$(for arch; do for file in pam_cgdeleg.so cgdeleg worker musl/pam_cgdeleg.so; do echo "$arch/$file"; done; done))
printf '%s\n' "$bill" >"$dist/$name.cdx.json"
sums=$(cd "$dist" && sha256sum -- *)
printf '%s\n' "$sums" >"$dist/SHA256SUMS"
