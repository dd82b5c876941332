#!/bin/sh
# musl-cc.sh GNU_ARCH SYSROOT ARGUMENT...: GNU_ARCH-linux-gnu-gcc, with musl of
# sysroot.sh in the place of its own C library. For shared libraries only: it
# links no start files of a program.
set -eu
arch=$1 sysroot=$2
shift 2
gcc=$arch-linux-gnu-gcc
exec "$gcc" -nostdinc -isystem "$sysroot/musl/include" \
	-isystem "$("$gcc" -print-file-name=include)" -isystem "$sysroot/include" \
	-nostdlib -L"$sysroot/lib" -L"$sysroot/musl/lib" "$@" -lc -lgcc
