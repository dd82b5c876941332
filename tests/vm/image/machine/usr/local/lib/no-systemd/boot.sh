#!/bin/busybox sh
# shellcheck shell=dash
# boot.sh boots a machine without systemd as far as sshd. The cgroups are
# mounted as OpenRC mounts them: "cgroups=v2" or "cgroups=hybrid" on the
# kernel's command line.
mount -o remount,rw /
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=000 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
mkdir -p /run/sshd /run/lock /run/user
hostname machine
ip link set lo up

read -r line </proc/cmdline
case " $line " in
*" cgroups=v2 "*)
	mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
	read -r controllers </sys/fs/cgroup/cgroup.controllers
	for c in $controllers; do
		echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control
	done
	;;
*" cgroups=hybrid "*)
	mount -t tmpfs -o mode=755 cgroup_root /sys/fs/cgroup
	mkdir /sys/fs/cgroup/openrc /sys/fs/cgroup/unified
	mount -t cgroup -o none,nodev,noexec,nosuid,name=openrc openrc /sys/fs/cgroup/openrc
	mount -t cgroup2 -o nsdelegate,nodev,noexec,nosuid cgroup2 /sys/fs/cgroup/unified
	while read -r name _ _ enabled; do
		[ "$enabled" = 1 ] || continue
		mkdir "/sys/fs/cgroup/$name"
		mount -t cgroup -o "nodev,noexec,nosuid,$name" "$name" "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
	done </proc/cgroups
	;;
esac

busybox syslogd -O /var/log/syslog -S
/usr/sbin/sshd
