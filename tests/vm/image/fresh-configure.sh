#!/bin/sh
# fresh-configure.sh INIT runs in the new root file system: what Debian's installer asks for
# and sets up, with systemd or sysvinit as init, with OpenRC beside that, or with systemd and
# SELinux. There is no user but root.
set -eu
init=$1
export DEBIAN_FRONTEND=noninteractive
rm -r /etc/inittab /usr/local/lib/no-systemd # the other machines'
named
echo '/dev/vda / ext4 defaults 0 0' >/etc/fstab
printf 'auto lo\niface lo inet loopback\n' >/etc/network/interfaces

rm -rf /etc/apt/sources.list /etc/apt/sources.list.d
echo 'deb [trusted=yes] file:/var/lib/archive ./' >/etc/apt/sources.list
apt-get -qq update

# LXC's profiles are compiled when it is installed: two minutes in emulation, if AppArmor's
# parser is to make them small.
echo Optimize=no-expr-simplify >>/etc/apparmor/parser.conf

if [ "$init" = sysvinit ] || [ "$init" = openrc ]; then
	# Debian protects systemd-sysv from being removed without a question. The package systemd
	# stays: sshd's depends on what is in it.
	apt-get -qq -y --allow-remove-essential install sysvinit-core orphan-sysvinit-scripts systemd-sysv- >/dev/null
	[ "$init" != openrc ] || apt-get -qq -y install openrc >/dev/null 2>&1
	# With the keyword once it runs when the runlevel's services have started.
	echo 'vm:2345:once:/usr/local/sbin/run-scenario.sh' >>/etc/inittab
	sed -i '/getty/s/^/#/' /etc/inittab
	exit
fi
by_systemd
[ "$init" = selinux ] || exit 0

# Debian's policy. All files get their labels here: in the machine it would take a boot more.
apt-get -qq -y --no-install-recommends install selinux-policy-default policycoreutils semodule-utils checkpolicy >/dev/null
printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' >/etc/selinux/config
setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts / >/dev/null
