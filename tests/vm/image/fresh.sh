#!/bin/sh
# fresh.sh SUITE PACKAGES ARCHIVE TAR: a stock Debian root file system as a tar file: the
# packages that the file PACKAGES lists, a kernel, and in /var/lib/archive, which is the only
# archive that its apt knows, those of the file ARCHIVE with all that they depend on and
# recommend. So what a newcomer types after `apt install` works there without a network, and
# nothing of it has been installed before.
set -eu
# shellcheck disable=SC1091 # debian.sh is beside
. "$(dirname "$0")/debian.sh"
list() { sed 's/#.*//; /^ *$/d' "$1"; }

# shellcheck disable=SC2016 # $1 is the hook's
debian "$1" "$4" "$(list "$2" | paste -sd,)" "
	apt-get clean
	while read -r words; do
		apt-get install -qq -y --download-only -o APT::Install-Recommends=true \$words >/dev/null </dev/null
	done <<-'ARCHIVE'
$(list "$3")
	ARCHIVE
	mkdir /var/lib/archive
	mv /var/cache/apt/archives/*.deb /var/lib/archive
" --customize-hook='cd "$1/var/lib/archive" && dpkg-scanpackages --multiversion . 2>/dev/null >Packages'
