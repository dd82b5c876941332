#!/bin/sh
# release.sh DIR ARCH...: what a release consists of, in DIR: the packages, the
# sources with the Go modules in vendor/, a bill of materials, and the checksums
# of all of them. From what is committed, and with its time in all files.
set -eu
cd "$(dirname "$0")/../.."
dist=$1
shift
version=$(cat VERSION)
name=pam_cgdeleg-$version
GO=${GO:-go}

if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
	echo "release.sh: there are changes that are not committed; a release is of a commit" >&2
	exit 1
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

"${MAKE:-make}" packages ARCHES="$*"
mkdir -p build/release
rm -rf "build/release/$name"
git archive --prefix="$name/" HEAD | tar -C build/release -xf -
(cd "build/release/$name" && "$GO" mod vendor)
# shellcheck disable=SC2046 # a list of words
"$GO" run ./packaging/release/sbom -version "$version" -vendor "build/release/$name/vendor" \
	$(for arch; do for file in pam_cgdeleg.so cgdeleg worker; do echo "build/cross/$arch/$file"; done; done) >"$dist/$name.cdx.json"
tar -C build/release --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
	--mode=u=rwX,go=rX -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
(cd "$dist" && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
