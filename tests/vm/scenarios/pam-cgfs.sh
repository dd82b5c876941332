#!/bin/bash
# What Debian's pam_cgfs 5.0.2 does on the same machines, as notes: the
# comparison in docs/ is copied from here. Only that logins work is asserted.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	limit='lxc.cgroup2.memory.max = 64M'
	list=all
else
	limit='lxc.cgroup.memory.limit_in_bytes = 64M'
	list=freezer,memory,name=openrc
	if booted_systemd; then list=freezer,memory,name=systemd; fi
fi
install_pam_cgfs "-c $list"
make_box alice c1 "$limit"
note "options: -c $list"

# in_hierarchies PID: where pam_cgfs could have put it.
in_hierarchies() { grep -E '^0::|[:,](freezer|memory|name=[a-z]+)[:,]' "/proc/$1/cgroup" | tr '\n' ' '; }

login first alice
note "login: $(in_login first "grep -E '^0::|[:,](freezer|memory|name=[a-z]+)[:,]' /proc/self/cgroup" | tr '\n' ' ')"
for h in unified freezer memory; do
	point=$(mount_point $h) || continue
	note "alice's cgroups ($h): $(cd "$point" && find . -type d -user alice | grep -v user@ | tr '\n' ' ')"
done
note "lxc-start: $(in_login first "lxc-start -n c1 -l INFO -o /tmp/c1.log 2>&1; echo status \$?" | tr '\n' ' ')"
sleep 2
if box_ready first c1; then
	init=$(box_init first c1)
	note "payload: $(in_hierarchies "$init")"
	for h in unified memory; do
		point=$(mount_point $h) || continue
		for f in memory.max memory.limit_in_bytes; do
			if [ -e "$point$(cgroup_in $h "$init")/$f" ]; then note "payload's $f: $(read_cgroup $h "$init" $f)"; fi
		done
	done
	note "lxc-freeze: $(in_login first "lxc-freeze -n c1 2>&1; echo status \$?" | tr '\n' ' ')"
	in_login first "lxc-stop -k -n c1"
else
	note "the container does not run: $(grep -h ERROR /tmp/c1.log | head -n 3)"
fi
sleep 1
logout first
for h in unified freezer memory name=systemd name=openrc; do
	point=$(mount_point $h) || continue
	note "left after the logout ($h): $(cd "$point" && find . -type d -path './user/*' | tr '\n' ' ')"
done
finish
