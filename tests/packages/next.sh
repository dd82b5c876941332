#!/bin/sh
# next.sh: builds the packages once more, in build/deb-next, with an entry more in
# the changelog: the version that tests upgrade to. From git's tree it
# does so by the sources as they are released: with vendor/, without git, network
# or a cache of modules.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build
CHANGELOG=$(pwd)/build/changelog-next
{
	printf 'pam-cgdeleg (%s) unstable; urgency=medium\n\n  * The version that tests upgrade to.\n\n -- %s  %s\n\n' \
		"$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)+next" \
		"$(dpkg-parsechangelog -l packaging/debian/changelog -S Maintainer)" \
		"$(dpkg-parsechangelog -l packaging/debian/changelog -S Date)"
	cat packaging/debian/changelog
} >"$CHANGELOG"
# The time of all files in them: now, which is later than any was edited.
SOURCE_DATE_EPOCH=$(date +%s)
export CHANGELOG SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS=nocheck
[ -e .git ] || exec packaging/deb.sh build/deb-next
packaging/release/sources.sh build/release/next.tar.gz
exec unshare --net env GOMODCACHE="$(pwd)/build/no-modules" \
	"build/release/pam_cgdeleg-$(cat VERSION)/packaging/deb.sh" "$(pwd)/build/deb-next"
