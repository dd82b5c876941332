#!/bin/sh
# setup.sh: installs what `make test-vm` needs beside what tests/setup.sh
# installs, on Debian and Ubuntu: what builds the machines, and QEMU.
set -eu
packages="mmdebstrap debian-archive-keyring e2fsprogs cpio zstd xz-utils qemu-system-x86"

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
