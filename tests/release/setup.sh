#!/bin/sh
# setup.sh: installs what `make packages`, `make release` and `make test-release`
# need beside what tests/setup.sh installs, on Debian and Ubuntu: cross compilers,
# the manual pages' compiler, QEMU's user emulation, rpm, makepkg and pacman.
# CGDELEG_ARCHES leaves out other architectures' compilers (amd64 and arm64, say).
set -eu
packages="scdoc gcc libc6-dev make binutils dpkg-dev curl libarchive-tools fakeroot zstd xz-utils debian-archive-keyring rpm makepkg pacman-package-manager qemu-user-static busybox-static nix-bin"
for arch in ${CGDELEG_ARCHES:-amd64 arm64 riscv64 s390x}; do
	case $arch in
	amd64) ;;
	arm64) packages="$packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
	*) packages="$packages gcc-$arch-linux-gnu libc6-dev-$arch-cross" ;;
	esac
done

# shellcheck disable=SC2086 # a list of words
"$(dirname "$0")/../install.sh" $packages
