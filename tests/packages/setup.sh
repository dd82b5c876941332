#!/bin/sh
# setup.sh: installs what `make deb` and `make test-packages` need beside what
# tests/setup.sh installs, on Debian and Ubuntu: what builds packages, what looks
# at them, and what makes the root file system that they are tested in.
set -eu
packages="build-essential libpam0g-dev dpkg-dev debhelper dh-golang fakeroot scdoc lintian mmdebstrap debian-archive-keyring"

missing=
for p in $packages; do
	dpkg-query -W -f '${db:Status-Abbrev}\n' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "these packages are missing; install them as root: apt-get install$missing" >&2
	exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $missing >/dev/null
