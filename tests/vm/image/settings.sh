#!/bin/sh
# settings.sh is read before configure.sh and fresh-configure.sh, in the new root file system.

# named: the machine has a name.
named() {
	echo machine >/etc/hostname
	printf '127.0.0.1 localhost machine\n::1 localhost\n' >/etc/hosts
}

# by_systemd [UNIT...]: systemd boots it as far as the scenario, without these units and others
# that would only make the boot longer.
by_systemd() {
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		e2scrub_reap.service systemd-random-seed.service systemd-update-utmp.service systemd-pstore.service \
		sys-kernel-debug.mount sys-kernel-tracing.mount systemd-journal-flush.service \
		systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-hwdb-update.service \
		getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service "$@"; do
		ln -sf /dev/null "/etc/systemd/system/$unit"
	done
	mkdir -p /etc/systemd/system/multi-user.target.wants
	ln -s ../run-scenario.service /etc/systemd/system/multi-user.target.wants/run-scenario.service
	ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target

	# No first boot, and nothing to be brought up to date in one.
	systemd-machine-id-setup 2>/dev/null
	touch /etc/.updated /var/.updated
}
