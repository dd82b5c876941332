#!/bin/sh
# configure.sh SOURCES: what sysroot.sh does with the sources that debian-sources.sh
# put into SOURCES once for all architectures.
#
# It configures Linux-PAM, in SOURCES/configured, which takes the best part of a
# minute. What it finds out is the same for all of them, which have 64 bits and one
# version of glibc. The order of bytes and crypt(3) are not, but only modules of
# Linux-PAM ask for these, and sysroot.sh builds none.
#
# And it removes musl's mathematics, a fifth of its files, but for what printf and
# strtod call.
set -eu
dir=$(cd "$1" && pwd)
# shellcheck source=packaging/cross/steps.sh
. "$(dirname "$0")/steps.sh"
forget_variables

configure_pam() {
	mkdir "$dir/configured"
	cd "$dir/configured"
	"$dir/pam/configure" --prefix=/usr --disable-nls --disable-doc --disable-selinux --disable-audit \
		--disable-nis --disable-econf --disable-prelude --enable-db=no
}

remove_mathematics() {
	cd "$dir/musl/src"
	rm -r complex
	find math -type f ! -name '*.h' ! -name '__fpclassifyl.*' ! -name '__signbitl.*' ! -name 'copysignl.*' \
		! -name 'fabsl.*' ! -name 'fmodl.*' ! -name 'frexpl.*' ! -name 'scalbn.*' ! -name 'scalbnl.*' -delete
}

step mathematics remove_mathematics
step configure configure_pam
