#!/bin/sh
# configure.sh runs in the new root file system: users, keys, and what would
# only make the boot longer.
set -eu
echo machine >/etc/hostname
printf '127.0.0.1 localhost machine\n::1 localhost\n' >/etc/hosts
: >/etc/fstab
passwd -d root >/dev/null

mkdir -p /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A >/dev/null
{
	printf 'localhost '
	cat /etc/ssh/ssh_host_ed25519_key.pub
} >/root/.ssh/known_hosts
printf 'UsePAM yes\nUseDNS no\nPrintMotd no\nMaxStartups 100\n' >/etc/ssh/sshd_config.d/machine.conf

# useradd gives alice 1000 and bob 1001, and subordinate IDs from 100000 on.
for user in alice bob; do
	useradd --create-home --shell /bin/bash "$user"
	echo "$user:$user" | chpasswd
	chmod 755 "/home/$user" # for the subordinate IDs
	mkdir -m 700 "/home/$user/.ssh"
	cp /root/.ssh/id_ed25519.pub "/home/$user/.ssh/authorized_keys"
	chown -R "$user:" "/home/$user/.ssh"
done

for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
	lxc.service lxc-net.service lxc-monitord.service e2scrub_reap.service podman.service podman-restart.service \
	podman-auto-update.service podman-auto-update.timer systemd-networkd-wait-online.service \
	systemd-random-seed.service systemd-update-utmp.service systemd-pstore.service \
	netavark-dhcp-proxy.service sys-kernel-debug.mount sys-kernel-tracing.mount systemd-journal-flush.service \
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-hwdb-update.service \
	getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service; do
	ln -sf /dev/null "/etc/systemd/system/$unit"
done
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s ../run-scenario.service /etc/systemd/system/multi-user.target.wants/run-scenario.service
ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target

# No first boot, and nothing to be brought up to date in one.
systemd-machine-id-setup 2>/dev/null
touch /etc/.updated /var/.updated
