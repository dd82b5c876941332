#!/bin/sh
# image.sh ROOTFS.tar DIR SCRIPT [ARGUMENT]: the disk of a test machine, made of a root
# file system of rootfs.sh or fresh.sh, in which SCRIPT has run, after settings.sh: DIR/root.img,
# DIR/vmlinuz and DIR/initrd.
#
# mke2fs fills the disk from a folder, so that no loop device is needed, and
# the initramfs is a busybox and the few modules between it and the disk.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tar=$1 dir=$2 script=$3
shift 3
scratch=$(mktemp -d "$dir/scratch.XXXXXX")
root=$scratch/root
initramfs=$scratch/initramfs
trap 'rm -rf "$scratch"' EXIT

mkdir "$root"
tar -C "$root" --numeric-owner -xpf "$tar"
kernel=$(ls "$root/usr/lib/modules")

cp -r "$here/machine/." "$root/"
chroot "$root" /bin/sh -eu -c "$(cat "$here/settings.sh" "$here/$script")" "$script" "$@" </dev/null

# The machine's own modprobe knows what depends on what.
mkdir -p "$initramfs/bin" "$initramfs/modules" "$initramfs/proc" "$initramfs/sys" "$initramfs/dev" "$initramfs/root"
if [ -e "$root/bin/busybox" ]; then
	cp "$root/bin/busybox" "$initramfs/bin/"
else # a fresh machine has it in its archive
	dpkg-deb --fsys-tarfile "$root"/var/lib/archive/busybox-static_*.deb | tar -C "$initramfs" -xf - --wildcards '*bin/busybox'
	[ -e "$initramfs/bin/busybox" ] || mv "$initramfs/usr/bin/busybox" "$initramfs/bin/"
fi
cp "$here/initramfs.sh" "$initramfs/init"
chmod 755 "$initramfs/init"
for module in virtio_pci virtio_blk ext4; do
	chroot "$root" modprobe -S "$kernel" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' >"$scratch/modules"
while read -r module; do
	name=$(basename "$module")
	case $module in
	*.xz) xz -dc "$root$module" >"$initramfs/modules/${name%.xz}" ;;
	*.zst) zstd -qdc "$root$module" >"$initramfs/modules/${name%.zst}" ;;
	*) cp "$root$module" "$initramfs/modules/" ;;
	esac
	name=${name%.xz}
	echo "${name%.zst}" >>"$initramfs/modules/order"
done <"$scratch/modules"
(cd "$initramfs" && find . | cpio --quiet -o -H newc | gzip -1) >"$dir/initrd"
cp "$root/boot/vmlinuz-$kernel" "$dir/vmlinuz"
rm -r "${root:?}/boot"

mke2fs -qq -t ext4 -O ^has_journal -E root_owner=0:0,lazy_itable_init=1 -d "$root" "$dir/root.img" 3G
