#!/bin/busybox sh
# shellcheck shell=dash
# init.sh stands for every init that is not systemd. What init itself
# needs is mounted here; busybox's init does the rest by /etc/inittab, and
# reaps orphans at once, as a test of cgroups needs.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
exec /bin/busybox init
