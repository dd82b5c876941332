#!/bin/bash
# libpam-cgfs goes when libpam-cgdeleg comes, with its line; and it does not come
# back beside it.

works "libpam-cgfs" debs --install /root/libpam-cgfs_*.deb
works "its line is there" grep -q 'pam_cgfs\.so -c freezer' /etc/pam.d/common-session
# A line that somebody wrote by hand is nobody's to remove.
echo 'session optional pam_cgfs.so -c freezer' >>/etc/pam.d/sshd

while_logging_in "ours in its place" install_debs
equal "libpam-cgfs is gone" "$(state libpam-cgfs)" "deinstall ok config-files $(dpkg-deb -f /root/libpam-cgfs_*.deb Version)"
equal "and its lines, but for the one by hand" "$(grep -lr pam_cgfs /etc/pam.d)" /etc/pam.d/sshd
login first alice
has_session "with a line for a module that is no more" first 0
logout first
fails "libpam-cgfs cannot be installed beside it" debs --install /root/libpam-cgfs_*.deb
login second alice
has_session "afterwards" second 0
logout second
equal "no session is left" "$(sessions_left)" ""
finish
