#!/bin/sh
# rootfs.sh SUITE PACKAGES TAR: a Debian root file system as a tar file, with
# the packages that the file PACKAGES lists, a kernel, pam_cgfs and elogind.
#
# These two are unpacked instead of installed: pam_cgfs's package would write itself into
# /etc/pam.d, and elogind's conflicts with systemd.
set -eu
# shellcheck disable=SC1091 # debian.sh is beside
. "$(dirname "$0")/debian.sh"

# shellcheck disable=SC2016 # the hook's
debian "$1" "$3" "$(paste -sd, "$2")" '
	cd /tmp/unpack
	apt-get download -qq libpam-cgfs elogind libpam-elogind
	mkdir -p /opt/pam_cgfs /opt/elogind
	dpkg-deb -x libpam-cgfs*.deb /opt/pam_cgfs
	for deb in *elogind*.deb; do
		dpkg-deb -x "$deb" /opt/elogind
	done
'
