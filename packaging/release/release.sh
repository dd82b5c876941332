#!/bin/sh
# release.sh DIR ARCH...: what a release consists of, in DIR: the packages, the
# sources with the Go modules in vendor/, a bill of materials, and the checksums
# of all of them. Of a commit.
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
"${MAKE:-make}" packages ARCHES="$*"
packaging/release/sources.sh "$dist/$name.tar.gz"
# shellcheck disable=SC2046 # a list of words
"$GO" run ./packaging/release/sbom -version "$version" -vendor "build/release/$name/vendor" \
	$(for arch; do for file in pam_cgdeleg.so cgdeleg worker; do echo "build/cross/$arch/$file"; done; done) >"$dist/$name.cdx.json"
(cd "$dist" && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
