#!/bin/bash
# Where pam-auth-update puts the module's line: it sorts by Priority, downwards,
# and those of equal priority by name, from z to a. systemd's, elogind's and
# pam_cgfs's profiles have 0, and -1 comes after all that have 0.

# profile NAME PRIORITY: one more profile, with a module of its name.
profile() {
	printf 'Name: %s\nDefault: yes\nPriority: %s\nSession-Type: Additional\nSession:\n\toptional\tpam_%s.so\n' \
		"$1" "$2" "$1" >"/usr/share/pam-configs/$1"
}

works "install" install_debs
equal "systemd's priority" "$(sed -n 's/^Priority: //p' /usr/share/pam-configs/systemd)" 0
for name in aaa elogind zzz; do profile $name 0; done
profile behind -2
works "pam-auth-update" pam-auth-update --package
equal "ours comes behind every one of priority 0" \
	"$(session_modules common-session | sed -n 's/ *$//; /pam_unix/,$p' | tr '\n' ' ')" \
	"pam_unix.so pam_zzz.so pam_systemd.so pam_elogind.so pam_aaa.so pam_cgdeleg.so pam_behind.so "

# What other priorities would do.
sed -i 's/^Priority: .*/Priority: 0/' /usr/share/pam-configs/cgdeleg
pam-auth-update --package
equal "with 0 only by the luck of its name" \
	"$(session_modules common-session | sed -n 's/ *$//; /pam_unix/,$p' | tr '\n' ' ')" \
	"pam_unix.so pam_zzz.so pam_systemd.so pam_elogind.so pam_cgdeleg.so pam_aaa.so pam_behind.so "
sed -i 's/^Priority: .*/Priority: 1/' /usr/share/pam-configs/cgdeleg
pam-auth-update --package
equal "with 1 before systemd's" \
	"$(session_modules common-session | sed -n 's/ *$//; /pam_unix/,$p' | tr '\n' ' ')" \
	"pam_unix.so pam_cgdeleg.so pam_zzz.so pam_systemd.so pam_elogind.so pam_aaa.so pam_behind.so "
finish
