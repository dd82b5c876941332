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
works "cgdeleg cleanup, for the sessions that pam_cgfs left" cgdeleg cleanup
eventually "no session is left" no_session_left
finish
