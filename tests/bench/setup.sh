#!/bin/sh
# setup.sh: puts LXC's pam_cgfs.so into build/bench, out of Debian's package, which is
# downloaded and not installed. Without it make bench measures our module alone.
set -eu
cd "$(dirname "$0")/../.."
[ ! -e build/bench/pam_cgfs.so ] || exit 0
mkdir -p build/bench
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download libpam-cgfs && dpkg-deb -x libpam-cgfs_*.deb .); then
	find "$dir" -name pam_cgfs.so -exec cp {} build/bench/ \;
else
	echo "tests/bench/setup.sh: libpam-cgfs cannot be downloaded (apt-get update?): it is not measured" >&2
fi
