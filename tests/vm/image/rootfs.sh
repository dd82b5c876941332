#!/bin/sh
# rootfs.sh SUITE PACKAGES TAR: a Debian root file system as a tar file, with
# the packages that the file PACKAGES lists, a kernel, pam_cgfs and elogind.
#
# Those three are unpacked instead of installed: the kernel's package would make
# an initramfs of its own, for half a minute, pam_cgfs's would write itself into
# /etc/pam.d, and elogind's conflicts with systemd.
#
# The hook leaves alone what else is in /tmp: mmdebstrap has its apt.conf there, and
# without it the apt-get update of its end would empty this machine's lists.
set -eu
suite=$1 packages=$2 tar=$3

# What no machine here reads is not worth unpacking and copying.
# shellcheck disable=SC2016 # $1 is the hook's
mmdebstrap --quiet --mode=root --variant=apt \
	--include="$(paste -sd, "$packages")" \
	--aptopt='Acquire::Retries "3"' \
	--dpkgopt='force-unsafe-io' \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/info/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook='chroot "$1" sh -euc "
		install -d -o _apt /tmp/unpack
		cd /tmp/unpack
		kernel=\$(apt-cache depends linux-image-cloud-amd64 | sed -n \"s/.*Depends: \\(linux-image-[0-9].*\\)/\\1/p\" | head -n 1)
		apt-get download -qq \$kernel libpam-cgfs elogind libpam-elogind
		dpkg-deb -x \$kernel*.deb kernel
		mkdir -p /opt/pam_cgfs /opt/elogind
		dpkg-deb -x libpam-cgfs*.deb /opt/pam_cgfs
		for deb in *elogind*.deb; do
			dpkg-deb -x \$deb /opt/elogind
		done
		cp -a kernel/boot/. /boot/
		cp -a \$(find kernel -type d -path \"*lib/modules\")/. /usr/lib/modules/
		depmod \$(ls /usr/lib/modules)
		rm -r /tmp/unpack
	"' \
	"$suite" "$tar"
