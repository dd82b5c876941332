#!/bin/bash
# lib.sh is what scenarios with the packages are written in, beside the library
# of tests/vm/guest. /in/debs has the built packages, /in/debs/next those of the
# next version.

export DEBIAN_FRONTEND=noninteractive

# dpkg's own question about a changed conffile would find nobody to answer.
debs() { dpkg --force-confdef --force-confold "$@"; }

install_debs() { debs --install /in/debs/*.deb; }
unpack_next() { debs --unpack /in/debs/next/*.deb; }
install_next() { debs --install /in/debs/next/*.deb; }
configure_all() { debs --configure --pending; }
remove_debs() { debs --remove cgdeleg libpam-cgdeleg; }
purge_debs() { debs --purge cgdeleg libpam-cgdeleg; }

# state PACKAGE: such as "install ok installed 0.1.0-1"; empty if dpkg does not
# know it.
# shellcheck disable=SC2016 # dpkg-query's fields
state() { dpkg-query -W -f '${Status} ${Version}' "$1" 2>/dev/null; }

version_in() { dpkg-deb -f "$1"/libpam-cgdeleg_*.deb Version; }

# session_modules FILE: the modules of the session stack, in order, with options.
session_modules() { sed -n 's/^session[[:space:]]*\(\[[^]]*\]\|[^[:space:]]*\)[[:space:]]*//p' "/etc/pam.d/$1"; }

# ours FILE: the module's line, as session_modules has it.
ours() { session_modules "$1" | grep '^pam_cgdeleg\.so'; }

# comes_last FILE: the module is the last of its stack.
comes_last() { [ "$(session_modules "$1" | tail -n 1 | sed 's/ *$//')" = pam_cgdeleg.so ]; }

# pam_files: what PAM reads, and what pam-auth-update remembers.
pam_files() { (cd / && find etc/pam.d var/lib/pam -type f -exec sha256sum {} + | sort -k 2); }

# all_files: every file that dpkg and the packages could have touched, but for
# what dpkg, debconf, ssh and logins write.
all_files() {
	find / -xdev \( -path /in -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /out \
		-o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /home -o -path /root \) -prune \
		-o \( -type f -printf '%p %m %U:%G %s\n' -o -printf '%p %y %m %U:%G %l\n' \) | sort
}

# in_no_session LOGIN: the login is in none of the module's cgroups.
in_no_session() { ! in_login "$1" 'cat /proc/self/cgroup' | grep -q /user/alice/; }

# session_of LOGIN: the number of alice's session in which the login is, and in
# how many hierarchies it is; more than one line if it is not the same in all.
session_of() {
	in_login "$1" 'cat /proc/self/cgroup' | sed -n 's#.*/user/alice/\([0-9]*\)\(/init\.scope\)\{0,1\}$#\1#p' | sort | uniq -c | tr -s ' '
}

# hierarchies: how many are mounted.
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2"' /proc/mounts | wc -l; }

# has_session WHEN LOGIN NUMBER: the login is in that session of alice's in every
# hierarchy, and may make cgroups in it.
has_session() {
	equal "the login is in user/alice/$3 in every hierarchy ($1)" "$(session_of "$2")" " $(hierarchies) $3"
	# shellcheck disable=SC2016 # the shell of the login expands it
	equal "and may make cgroups in all of them ($1)" "$(in_login "$2" '
		while IFS=: read -r id names path; do
			path=${path%/init.scope}
			point=$(awk -v names="$names" "(names == \"\" && \$3 == \"cgroup2\") || (names != \"\" && \$3 == \"cgroup\" && index(\",\" \$4 \",\", \",\" names \",\")) {print \$2; exit}" /proc/mounts)
			mkdir "$point$path/probe" && rmdir "$point$path/probe" && echo made
		done </proc/self/cgroup | sort | uniq -c | tr -s " "' 2>&1)" " $(hierarchies) made"
}

# sessions_left: alice's and bob's cgroups in any hierarchy.
sessions_left() {
	find /sys/fs/cgroup -type d \( -path '*/user/alice*' -o -path '*/user/bob*' \) 2>/dev/null
}

no_session_left() { [ -z "$(sessions_left)" ]; }

# while_logging_in NAME COMMAND...: COMMAND works, and all the while bob logs in
# again and again, without one login that fails. ssh ends before sshd has closed
# the last one's session.
while_logging_in() {
	local name=$1 hammer
	shift
	rm -f /tmp/stop /tmp/logins
	(while [ ! -e /tmp/stop ]; do
		if timeout "$PATIENCE" ssh -o BatchMode=yes bob@localhost true; then echo works; else echo fails; fi
	done) >/tmp/logins 2>/tmp/logins.said &
	hammer=$!
	eventually "bob logs in ($name)" test -s /tmp/logins
	works "$name, while bob logs in" "$@"
	touch /tmp/stop
	wait $hammer
	note "$name: $(grep -c . /tmp/logins) logins"
	equal "every login worked ($name)" "$(sort /tmp/logins | uniq)$(cat /tmp/logins.said)" works
}
