#!/bin/bash
# libpam-cgfs goes when libpam-cgdeleg comes, with its line; and it does not come
# back beside it.

works "libpam-cgfs" debs --install /root/libpam-cgfs_*.deb
works "its line is there" grep -q 'pam_cgfs\.so -c freezer' /etc/pam.d/common-session
# A line that somebody wrote by hand is nobody's to remove.
echo 'session optional pam_cgfs.so -c freezer' >>/etc/pam.d/sshd

while_logging_in "ours in its place" install_debs
equal "libpam-cgfs is gone" "$(state libpam-cgfs)" "unknown ok not-installed "
equal "and its lines, but for the one by hand" "$(grep -lr pam_cgfs /etc/pam.d)" /etc/pam.d/sshd
login first alice
has_session "with a line for a module that is no more" first 0
logout first
fails "libpam-cgfs cannot be installed beside it" debs --install /root/libpam-cgfs_*.deb
login second alice
has_session "afterwards" second 0
logout second

# apt_says PACKAGE: what apt would do, if Debian had nothing but an lxc, with what
# Debian's recommends, and libpam-cgfs.
apt_says() {
	apt-get -o Dir::Etc::SourceList=/tmp/archive/list -o Dir::Etc::SourceParts=- "$@" 2>&1 | sed -n 's/^\(Inst\|Remv\) \([^ ]*\).*/\1 \2/p'
}
mkdir -p /tmp/archive/lxc/DEBIAN
printf '%s\n' 'Package: lxc' 'Version: 1' 'Architecture: all' 'Maintainer: nobody' 'Description: recommends libpam-cgfs' \
	'Recommends: libpam-cgfs' >/tmp/archive/lxc/DEBIAN/control
dpkg-deb --build /tmp/archive/lxc /tmp/archive/lxc.deb >/dev/null
cp /root/libpam-cgfs_*.deb /tmp/archive/libpam-cgfs.deb
for deb in lxc libpam-cgfs; do
	dpkg-deb -f /tmp/archive/$deb.deb
	printf 'Filename: ./%s.deb\nSize: %s\n\n' $deb "$(stat -c %s /tmp/archive/$deb.deb)"
done >/tmp/archive/Packages
echo 'deb [trusted=yes] file:/tmp/archive ./' >/tmp/archive/list
apt_says update
equal "apt installs lxc and leaves ours" "$(apt_says install -s lxc)" "Inst lxc"
has_words "though libpam-cgfs is to be had" "$(apt_says install -s libpam-cgfs)" Remv libpam-cgdeleg libpam-cgfs

works "cgdeleg cleanup, for the sessions that pam_cgfs left" cgdeleg cleanup
eventually "no session is left" no_session_left
finish
