#!/bin/sh
# deb.sh [DIR]: builds the Debian packages from the files that git knows, as they
# are in the working tree, in DIR (build/deb). Only `go mod vendor` may use the
# network; dpkg-buildpackage has none. CHANGELOG names a file that takes the place
# of packaging/debian/changelog, for a version of one's own.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-build/deb}
GO=${GO:-$(command -v go)}
changelog=${CHANGELOG:-packaging/debian/changelog}
version=$(cat VERSION)
tree=$dir/pam-cgdeleg-$version

packaged=$(dpkg-parsechangelog -l "$changelog" -S Version)
case $packaged in
"$version"-*) ;;
*)
	echo "$changelog is at $packaged, VERSION at $version: add an entry for $version-1" >&2
	exit 1
	;;
esac

# dpkg gives newer files this time; older ones would keep theirs, which is another
# in every checkout.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -l "$changelog" -S Timestamp)}
export SOURCE_DATE_EPOCH

rm -rf "$dir"
mkdir -p "$tree"
if [ -e .git ]; then
	git -c safe.directory='*' ls-files -z | tar --null --mtime="@$SOURCE_DATE_EPOCH" -T - -cf -
else
	tar --exclude=./build --mtime="@$SOURCE_DATE_EPOCH" -cf - .
fi | tar -C "$tree" -xf -
cp -r "$tree/packaging/debian" "$tree/debian"
cp "$changelog" "$tree/debian/changelog"
[ -e "$tree/vendor" ] || (cd "$tree" && "$GO" mod vendor) # released sources have it

# debian/control asks for Debian's Go, which may be too old here, and for Debian's
# packages of the modules where there is no vendor/.
profiles=pkg.pam-cgdeleg.vendor
installed=$(dpkg-query -W -f '${Version}' golang-go 2>/dev/null || true)
if [ -z "$installed" ] || dpkg --compare-versions "$installed" lt 2:1.24~; then
	profiles="$profiles pkg.pam-cgdeleg.othergo"
fi
offline="unshare --net"
[ "$(id -u)" = 0 ] || offline="unshare --user --map-current-user --net"
$offline true || offline=

GOCACHE=$("$GO" env GOCACHE)
export GO GOCACHE DEB_BUILD_PROFILES="$profiles"
cd "$tree"
$offline dpkg-buildpackage -us -uc -b
