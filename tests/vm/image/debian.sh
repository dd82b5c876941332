#!/bin/sh
# debian.sh is read by rootfs.sh and fresh.sh.

# debian SUITE TAR PACKAGES HOOK [OPTION...]: a Debian root file system as a tar file, with the
# packages PACKAGES, which commas are between, a kernel, what HOOK does, a script that runs in
# it, and further options of mmdebstrap's.
#
# The kernel is unpacked instead of installed: its package would make an initramfs of its own,
# for half a minute. So is what the hook unpacks in /tmp/unpack, which is removed. What else is in /tmp
# is left alone: mmdebstrap has its apt.conf there, and without it the apt-get update of its
# end would empty this machine's lists.
#
# What no machine here reads is not worth unpacking and copying.
debian() {
	suite=$1 tar=$2 packages=$3 hook=$4
	shift 4
	# shellcheck disable=SC2016 # $1 is the hook's
	HOOK=$hook mmdebstrap --quiet --mode=root --variant=apt \
		--include="$packages" \
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
			apt-get download -qq \$kernel
			dpkg-deb -x \$kernel*.deb kernel
			cp -a kernel/boot/. /boot/
			cp -a \$(find kernel -type d -path \"*lib/modules\")/. /usr/lib/modules/
			depmod \$(ls /usr/lib/modules)
		"
		chroot "$1" sh -euc "$HOOK"
		rm -r "$1/tmp/unpack"' \
		"$@" "$suite" "$tar"
}
