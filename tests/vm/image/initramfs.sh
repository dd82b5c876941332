#!/bin/busybox sh
# shellcheck shell=dash
# initramfs.sh is the machine's first process: it finds the disk and starts
# the init that the kernel's command line names.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	insmod "/modules/$module"
done </modules/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
if ! mount -t ext4 /dev/vda /root; then
	dmesg | tail -n 30
	poweroff -f
fi
init=/sbin/init
read -r line </proc/cmdline
for word in $line; do
	case $word in init=*) init=${word#init=} ;; esac
done
mount --move /dev /root/dev
umount /sys /proc
exec switch_root /root "$init"
