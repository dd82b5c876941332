#!/bin/sh
# sysroot.sh ARCH SOURCES DIR: what building and trying the module for another
# architecture takes beside Debian's cross compiler, made from the sources that
# debian-sources.sh put into SOURCES: Linux-PAM's library and musl.
#
#	DIR/include		PAM's headers
#	DIR/lib			libpam.so
#	DIR/musl/include	musl's headers
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
# Variables of the make that calls this.
unset MAKEFLAGS DESTDIR AR AS CC CFLAGS CPP CPPFLAGS LD LDFLAGS LIBS NM OBJDUMP RANLIB STRIP

build_pam() {
	"$sources/pam/configure" --host="$gnu-linux-gnu" --build="$(gcc -dumpmachine)" --prefix=/usr --libdir=/usr/lib \
		--disable-nls --disable-doc --disable-selinux --disable-audit --disable-nis --disable-econf \
		--disable-prelude --enable-db=no
	make -s -j"$(nproc)" -C libpam
	mkdir -p "$dir/include/security" "$dir/lib"
	cp "$sources"/pam/libpam/include/security/*.h "$dir/include/security"
	cp libpam/.libs/libpam.so.0.*.* "$dir/lib/libpam.so.0"
	ln -s libpam.so.0 "$dir/lib/libpam.so"
}

build_musl() {
	CROSS_COMPILE=$gnu-linux-gnu- "$sources/musl/configure" --target="$gnu-linux-musl" --prefix="$dir/musl" \
		--syslibdir="$dir/musl/lib" --disable-gcc-wrapper --disable-static
	make -s -j"$(nproc)"
	make -s install-headers install-libs
}

# in_folder COMMAND: in one of its own, that is removed.
in_folder() {
	mkdir "$dir/build"
	cd "$dir/build"
	"$1"
	rm -r "$dir/build"
}

rm -rf "${dir:?}"/* "$dir/.done"
step pam in_folder build_pam
step musl in_folder build_musl
touch "$dir/.done"
