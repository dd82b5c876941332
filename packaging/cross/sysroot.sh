#!/bin/sh
# sysroot.sh ARCH SOURCES DIR: what building and trying the module for another
# architecture takes beside Debian's cross compiler, made from the sources that
# debian-sources.sh and configure.sh put into SOURCES: Linux-PAM's library and musl.
#
#	DIR/include		PAM's headers
#	DIR/lib			libpam.so
#	DIR/musl/include	musl's headers, and the kernel's
#	DIR/musl/lib		musl
set -eu
case $1 in
amd64) gnu=x86_64 ;;
arm64) gnu=aarch64 ;;
*) gnu=$1 ;;
esac
mkdir -p "$3"
sources=$(cd "$2" && pwd) dir=$(cd "$3" && pwd)
# shellcheck source=packaging/cross/steps.sh
. "$(dirname "$0")/steps.sh"
forget_variables

# Without Linux-PAM's Makefiles: a libtool links for the machine that it was
# configured for.
build_pam() {
	cd "$sources/pam/libpam"
	mkdir -p "$dir/include/security" "$dir/lib"
	cp include/security/*.h "$dir/include/security"
	"$gnu-linux-gnu-gcc" -O2 -fPIC -shared -Wl,-soname,libpam.so.0 -Wl,--version-script=libpam.map -Wl,-z,defs \
		-DHAVE_CONFIG_H -I"$sources/configured" -Iinclude -DLIBPAM_COMPILE -DPAM_VERSION='""' \
		-DSYSCONFDIR='"/etc"' -DDEFAULT_MODULE_PATH='"/usr/lib/security/"' \
		-o "$dir/lib/libpam.so.0" pam_*.c -ldl
	ln -s libpam.so.0 "$dir/lib/libpam.so"
}

# As fast as it can be compiled: it serves linking, and the tests.
build_musl() {
	mkdir "$dir/build"
	cd "$dir/build"
	CFLAGS=-O0 CROSS_COMPILE=$gnu-linux-gnu- "$sources/musl/configure" --target="$gnu-linux-musl" --prefix="$dir/musl" \
		--syslibdir="$dir/musl/lib" --disable-gcc-wrapper --disable-static
	make -s -j"$(nproc)"
	make -s install-headers install-libs
	rm -r "$dir/build"
	link_kernel_headers "$dir/musl/include"
}

# linux/capability.h and what it includes, which belong to no C library.
link_kernel_headers() {
	headers=/usr/$gnu-linux-gnu/include asm=
	[ -d "$headers/linux" ] || headers=/usr/include asm=$gnu-linux-gnu/
	ln -s "$headers/linux" "$headers/asm-generic" "$headers/${asm}asm" "$1"
}

rm -rf "${dir:?}"/* "$dir/.done"
step pam build_pam
step musl build_musl
touch "$dir/.done"
