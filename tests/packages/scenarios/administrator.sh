#!/bin/bash
# What the administrator chose survives upgrades.

works "install" install_debs

pam-auth-update --disable cgdeleg
equal "the profile is switched off" "$(ours common-session)" ""
works "upgrade" install_next
equal "and stays so" "$(ours common-session)$(ours common-session-noninteractive)" ""
login off alice
works "a login is in no session" in_no_session off
logout off
# For interactive services only, as docs/packaging.md says.
echo 'session optional pam_cgdeleg.so' >>/etc/pam.d/common-session
works "downgrade with a line below pam-auth-update's block" install_debs
equal "it stays, and is the only one" "$(grep -l pam_cgdeleg /etc/pam.d/*)$(ours common-session)" "/etc/pam.d/common-sessionpam_cgdeleg.so"
works "and upgrade again" install_next
equal "it stays" "$(grep -l pam_cgdeleg /etc/pam.d/*)$(ours common-session)" "/etc/pam.d/common-sessionpam_cgdeleg.so"
login interactive alice
has_session "by the line below the block" interactive 0
logout interactive
sed -i '/^session optional pam_cgdeleg\.so$/d' /etc/pam.d/common-session
pam-auth-update --enable cgdeleg
login on alice
has_session "switched on again" on 0
logout on

# The same module for the programs of another architecture; this one is none's.
dpkg --add-architecture ppc64el
dpkg-deb --raw-extract /in/debs/next/libpam-cgdeleg_*.deb /tmp/foreign
sed -i 's/^Architecture: .*/Architecture: ppc64el/; /^Depends: /d' /tmp/foreign/DEBIAN/control
mv /tmp/foreign/usr/lib/*-linux-gnu /tmp/foreign/usr/lib/powerpc64le-linux-gnu
works "the module for another architecture" dpkg-deb --build /tmp/foreign /tmp/foreign.deb
works "comes beside it" debs --install /tmp/foreign.deb
works "and goes" debs --remove libpam-cgdeleg:ppc64el
equal "the line stays for the one that stays" "$(ours common-session)" "pam_cgdeleg.so "

# pam-auth-update keeps options that were added to a line of its block, sorted.
sed -i 's/pam_cgdeleg\.so.*/pam_cgdeleg.so timeout=9 min_uid=1000 -cfreezer,memory/' /etc/pam.d/common-session
works "downgrade" install_debs
equal "options on the line stay" "$(ours common-session)" "pam_cgdeleg.so -cfreezer,memory min_uid=1000 timeout=9"
equal "for the others there are none, as before" "$(ours common-session-noninteractive)" "pam_cgdeleg.so "

# A line that is not its own: then it leaves all of PAM's files alone.
sed -i 's/^session.*pam_cgdeleg\.so.*/&\nsession optional pam_umask.so/' /etc/pam.d/common-session
edited=$(cat /etc/pam.d/common-session)
works "upgrade over a common-session of the administrator's" install_next
equal "it is left as it is" "$(cat /etc/pam.d/common-session)" "$edited"
login edited alice
equal "its options count" "$(session_of edited)" " $(grep -c -w -e freezer -e memory /proc/self/cgroup) 0"
logout edited

sed -i 's/^17 /42 /' /etc/cron.d/cgdeleg
works "downgrade again" install_debs
works "cron's file stays as edited" grep -q '^42 ' /etc/cron.d/cgdeleg

# Without the drop-in, which somebody took away, there is nothing to keep for systemd.
mkdir -p /run/systemd/system
rm /usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf
works "remove what lacks systemd's drop-in" remove_debs
equal "the module is gone" "$(state libpam-cgdeleg | cut -d ' ' -f 3)" not-installed
rm -r /run/systemd
equal "pam-auth-update leaves its line in the edited file" "$(ours common-session)" "pam_cgdeleg.so -cfreezer,memory min_uid=1000 timeout=9"
login stale alice
works "with which a login works all the same" in_no_session stale
logout stale
equal "no session is left" "$(sessions_left)" ""
finish
