#!/bin/bash
# Debian's pam_cgfs in user-parent in place of pam_cgdeleg, with the cgroups that
# lxc.mount.auto = cgroup:rw:force mounts: what docs/clients/lxc-nested.md and
# docs/migration.md say of it. alice's login on the machine is pam_cgdeleg's.
# machines: bookworm-no-systemd-v2 bookworm-no-systemd-hybrid
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	hierarchies=unified leaf=rc.init memory=unified,memory.max
	options='' limit='' # as in the other scenarios
	cgfs='-c all'
else
	hierarchies="freezer memory name=openrc" leaf='' memory=memory,memory.limit_in_bytes
	options='-c freezer,memory,name=openrc' limit='lxc.cgroup.memory.limit_in_bytes = 64M'
	cgfs=$options
fi
install_module "$options $patient"
cp "$(find /opt/pam_cgfs -name pam_cgfs.so)" "$(security_dir)/"
LEAF=$leaf make_parent /etc/init
printf 'lxc.mount.auto =\nlxc.mount.auto = cgroup:rw:force proc:mixed sys:rw\n' >>$parent/config
make_child "$limit"
child=$parent/rootfs/home/ubuntu/.local/share/lxc/user-child
[ "$hierarchies" = unified ] || sed -i '/cgroup2/d' $child/config

# with_session LINE: ubuntu logs in with that PAM line, by ssh.
with_session() {
	sed -i '/pam_cg/d' $parent/rootfs/etc/pam.d/common-session*
	echo "session optional $1" >>$parent/rootfs/etc/pam.d/common-session
	enter first
	for h in $hierarchies; do note "the login with $1 ($h): $(cgroup_of_login "$h" inside)"; done
}

# cgroups_of_ubuntus HIERARCHY: those in user-parent that are the user's.
cgroups_of_ubuntus() { (cd "$(mount_point "$1")/user/alice/0/lxc.payload.user-parent" && find . -type d -user $((first + 1000)) | sort); }

start_refused() { in_login inside "rm -f c.log; ! lxc-start -n user-child -l ERROR -o c.log && cat c.log" 2>&1; }

login first alice
start_box first user-parent
with_session "pam_cgfs.so $cgfs"
for h in $hierarchies; do
	case $h in
	unified)
		equal "pam_cgfs makes a cgroup in init's leaf" "$(cgroup_of_login "$h" inside)" /rc.init/user/ubuntu/0
		equal "which is ubuntu's" "$(cgroups_of_ubuntus "$h")" ./rc.init/user/ubuntu/0
		equal "and has no controllers" "$(in_login inside "cat /sys/fs/cgroup/rc.init/user/ubuntu/0/cgroup.controllers")" ""
		like "a child with limits does not start" "$(start_refused)" '*Failed to set "memory.max"*'
		;;
	*)
		equal "pam_cgfs leaves the login where it was ($h)" "$(cgroup_of_login "$h" inside)" /
		equal "and makes nothing ($h)" "$(cgroups_of_ubuntus "$h")" ""
		like "a child with limits does not start ($h)" "$(start_refused)" "*Failed to setup cgroup limits*"
		;;
	esac
done
leave

# Debian's own line on v2; and on v1 what pam_cgfs lacks there: it does nothing
# where /proc/PID/cgroup has a line 0:: and no cgroup2 is mounted.
if [ "$hierarchies" = unified ]; then
	with_session "pam_cgfs.so -c freezer,memory,name=systemd"
	equal "with Debian's own line it makes nothing on v2" "$(cgroup_of_login unified inside)" /rc.init
	leave
else
	in_login first "lxc-attach -n user-parent -- sh -c 'mkdir -p /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified'"
	with_session "pam_cgfs.so $cgfs"
	equal "with cgroup2 mounted in the container pam_cgfs makes a cgroup" "$(cgroup_of_login memory inside)" /user/ubuntu/0
	equal "that is ubuntu's" "$(cgroups_of_ubuntus memory)" ./user/ubuntu/0
	start_box inside user-child
	equal "and a child in it has its limit" "$(read_cgroup memory "$(box_init inside user-child)" memory.limit_in_bytes)" 67108864
	stop_box inside user-child
	leave
	in_login first "lxc-attach -n user-parent -- umount /sys/fs/cgroup/unified"
fi

with_session "pam_cgdeleg.so $options"
h=${memory%,*}
session=$(cgroup_of_login "$h" inside)
like "in its place pam_cgdeleg makes a session" "$session" "/user/ubuntu/[0-9]*"
start_box inside user-child
init=$(box_init inside user-child)
equal "a child with limits is in it" "$(cgroup_in "$h" "$init")" "/user/alice/0/lxc.payload.user-parent${session%/init.scope}/lxc.payload.user-child"
equal "with its limit" "$(read_cgroup "$h" "$init" "${memory#*,}")" 67108864
works "freezes" in_login inside "lxc-freeze -n user-child && lxc-unfreeze -n user-child"
stop_box inside user-child
leave
stop_box first user-parent
logout first
finish
