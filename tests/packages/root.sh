#!/bin/sh
# root.sh SUITE: prints the path of a tar file with a fresh root file system of that
# Debian, in which the packages are tested. It is made once, and again when this script
# has changed, and removed when nothing has used it for three days.
#
# It has sshd, systemd's PAM module, so that there is something to come after,
# users with keys, and in /root the package that ours replaces.
set -eu
cache=${PACKAGES_DIR:-/var/tmp/cgdeleg-packages}
tar=$cache/$1-$(sha256sum "$0" | cut -c 1-12).tar

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
find "$cache" -name '*.tar*' ! -path "$tar" -mtime +3 -delete
if [ -e "$tar" ]; then
	touch "$tar"
	echo "$tar"
	exit
fi

# shellcheck disable=SC2016 # $1 is the hook's
TMPDIR=$cache mmdebstrap --quiet --mode=root --variant=apt \
	--include=openssh-server,openssh-client,libpam-systemd,dbus,cron,sudo,procps,iproute2 \
	--aptopt='Acquire::Retries "3"' \
	--aptopt='APT::Sandbox::User "root"' \
	--dpkgopt='force-unsafe-io' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook='chroot "$1" sh -euc "
		cd /root
		apt-get download -qq libpam-cgfs
		mkdir -p .ssh
		ssh-keygen -q -t ed25519 -N \"\" -f .ssh/id_ed25519
		sed \"s/^/localhost /\" /etc/ssh/ssh_host_ed25519_key.pub >.ssh/known_hosts
		echo 127.0.0.1 localhost >/etc/hosts
		echo UseDNS no >/etc/ssh/sshd_config.d/tests.conf
		for user in alice bob; do
			useradd --create-home --shell /bin/bash \$user
			install -d -m 700 -o \$user -g \$user /home/\$user/.ssh
			install -m 600 -o \$user -g \$user .ssh/id_ed25519.pub /home/\$user/.ssh/authorized_keys
		done
	"' \
	"$1" "$tar.new.tar" >&2
mv "$tar.new.tar" "$tar"
echo "$tar"
