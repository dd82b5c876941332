#!/bin/sh
# setup.sh [packages]: what `make test-musl` needs beside what tests/setup.sh installs, on
# Debian and Ubuntu: musl's compiler and the tools that Linux-PAM and the
# applications are built with, and then, with tests/musl/build.sh, an
# Alpine-like root in MUSL_DIR. It is built again when the recipe changes, and
# removed when it was not used for three days. With `packages` only the tools.
#
# Leaves build/musl/root, a link to it, and build/musl/cc, a compiler for it.
set -eu
cd "$(dirname "$0")/../.."
cache=${MUSL_DIR:-/var/tmp/cgdeleg-musl}

tests/install.sh debian-archive-keyring dpkg-dev musl-dev musl-tools linux-libc-dev autoconf automake libtool pkg-config xz-utils bzip2 make patch
[ "${1:-}" != packages ] || exit 0

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
key=$(cat tests/musl/build.sh tests/musl/busybox.config packaging/cross/debian-sources.sh packaging/cross/steps.sh | sha256sum | cut -c 1-12)
dir=$cache/$key
if [ ! -e "$dir/.done" ]; then # not built, or by one that was killed
	# the compiler of a build names its folder, so that it cannot be renamed
	rm -rf --one-file-system "$dir"
	if ! nice -n 10 tests/musl/build.sh "$dir" "$PWD/tests/musl/busybox.config"; then
		rm -rf --one-file-system "$dir"
		exit 1
	fi
	touch "$dir/.done"
fi
touch "$dir"
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +3 ! -path "$dir" -exec rm -rf --one-file-system {} +
mkdir -p build/musl
ln -sfn "$dir/root" build/musl/root
ln -sfn "$dir/cc" build/musl/cc
