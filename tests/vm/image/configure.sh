#!/bin/sh
# configure.sh runs in the new root file system: users, keys, and what would
# only make the boot longer.
set -eu
named
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

by_systemd lxc.service lxc-net.service lxc-monitord.service podman.service podman-restart.service \
	podman-auto-update.service podman-auto-update.timer systemd-networkd-wait-online.service \
	netavark-dhcp-proxy.service
