#!/bin/bash
# Install, upgrade over a live session, remove and purge, with a login after each
# step and in between.

pam_before=$(pam_files)
login stock alice
works "without the packages a login is in no session" in_no_session stock
logout stock
files_before=$(all_files)

works "unpack, for the first time" debs --unpack /in/debs/*.deb
login unpacked alice
works "a login before the packages are configured is in no session" in_no_session unpacked
logout unpacked
works "configure" configure_all
equal "the module is installed" "$(state libpam-cgdeleg)" "install ok installed $(version_in /in/debs)"
for file in common-session common-session-noninteractive; do
	equal "the module's line in $file, without options" "$(ours $file)" "pam_cgdeleg.so "
	works "comes last ($file)" comes_last $file
done
has_words "behind systemd's" "$(session_modules common-session | tail -n 2 | tr -d '\n')" pam_systemd.so pam_cgdeleg.so
login first alice
has_session "installed" first 0
equal "cgdeleg is there" "$(in_login first 'cgdeleg status -l' | awk 'NR == 2 {print $1, $2, $4}')" "alice 0 alive"
for file in /usr/share/bash-completion/completions/cgdeleg /usr/share/zsh/vendor-completions/_cgdeleg \
	/usr/share/fish/vendor_completions.d/cgdeleg.fish /etc/cron.d/cgdeleg; do
	works "$file is there" test -s $file
done
for page in man1/cgdeleg.1 man5/cgdeleg-limits.conf.5 man8/cgdeleg-cleanup.8 man8/cgdeleg-serve.8 man8/pam_cgdeleg.8; do
	works "manual page $page is there" gzip -t /usr/share/man/$page.gz
done

has_words "the recorded machine is there" "$(cgdeleg --root /usr/share/cgdeleg/machine check -q)" CGD-020

# An upgrade, with first logged in all the time.
works "unpack the next version" unpack_next
equal "it waits to be configured" "$(state libpam-cgdeleg)" "install ok unpacked $(version_in /in/debs/next)"
login between alice
has_session "between unpack and configure" between 1
logout between
works "configure the next version" configure_all
equal "it is installed" "$(state libpam-cgdeleg)" "install ok installed $(version_in /in/debs/next)"
has_session "the live session after the upgrade" first 0
login second alice
has_session "after the upgrade" second 1
logout second
logout first
equal "the module of before the upgrade has removed its session" "$(sessions_left)" ""

login third alice
has_session "before the removal" third 0
works "remove" remove_debs
equal "PAM's files are as before" "$(pam_files)" "$pam_before"
has_session "the live session after the removal" third 0
logout third
equal "and its logout removes it" "$(sessions_left)" ""
login removed alice
works "a login after the removal is in no session" in_no_session removed
logout removed
works "cron's file stays, as configuration does, and does nothing" bash -c "$(sed -n 's/^17 \* \* \* \* root //p' /etc/cron.d/cgdeleg)"

works "install again" install_debs
login again alice
has_session "installed again" again 0
logout again
works "purge" purge_debs
equal "PAM's files are as before the first time" "$(pam_files)" "$pam_before"
equal "no other file is left or changed" "$(diff <(echo "$files_before") <(all_files))" ""
equal "dpkg does not know the packages" "$(state libpam-cgdeleg)$(state cgdeleg)" ""
login purged alice
works "a login after the purge is in no session" in_no_session purged
logout purged

# The same once more, and at every moment of it somebody logs in.
while_logging_in "install" install_debs
while_logging_in "upgrade" install_next
while_logging_in "remove" remove_debs
while_logging_in "install again" install_debs
while_logging_in "purge" purge_debs
eventually "no session is left" no_session_left
finish
