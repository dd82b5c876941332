#!/bin/sh
# sysroot.sh ARCH DIR: what building and trying the module for another
# architecture takes beside Debian's cross compiler, from Debian's archive: PAM,
# musl, and the C library that runs it under qemu-user.
#
# Nothing is installed, and apt's own lists stay as they are: a foreign
# architecture in dpkg would be there for all the machine's packages.
#
#	DIR/include	PAM's headers
#	DIR/lib		libpam.so to link with
#	DIR/root	a root for qemu-user -L, and musl's headers and library
set -eu
arch=$1 dir=$2
suite=trixie # the first with riscv64
packages="libpam0g-dev libpam0g libaudit1 libcap-ng0 libc6 libgcc-s1 musl musl-dev"

rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial" "$dir/apt/preferences.d" "$dir/apt/apt.conf.d" "$dir/debs" "$dir/lib"
dir=$(cd "$dir" && pwd)
: >"$dir/apt/status"
# shellcheck disable=SC2016 # apt-get expands it
archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | sed '/security/d;q')
if [ -z "$archive" ]; then
	echo "sysroot.sh: apt has no list of Debian's packages: run apt-get update" >&2
	exit 1
fi
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >"$dir/apt/sources.list"
cat >"$dir/apt/conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc "$dir/apt";
Dir::Etc::sourcelist "$dir/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$dir/apt";
Dir::State::status "$dir/apt/status";
Dir::Cache "$dir/apt";
END
export APT_CONFIG="$dir/apt/conf"
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
(cd "$dir/debs" && apt-get -qq download $packages)

# Packages have files in /lib, or in /usr/lib and count on this link.
root=$dir/root
mkdir -p "$root/usr/lib" "$root/usr/lib64"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
for deb in "$dir"/debs/*.deb; do
	dpkg-deb -x "$deb" "$root"
done
ln -s root/usr/include "$dir/include"
(cd "$dir/lib" && ln -s ../root/usr/lib/*/libpam.so.0 libpam.so)
rm -r "$dir/apt" "$dir/debs"
touch "$dir/.done"
