#!/bin/bash
# As nested-systemd-v2: a user-child that outlives its login and alice's, and a
# user-parent that is started again, with the cgroups that LXC mounts.
# machines: bookworm-systemd-v2 trixie-systemd-v2
# limit: 840
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module "$patient"
install_dropin
make_parent /sbin/init
make_child ""

alice=first
login first alice
boot_parent
enter first
scope_of ssh "$(cgroup_of_login unified inside)"
start_box inside user-child
place_of user-child

# Over both logouts. What LXC 6 starts ends with the user manager, ten seconds
# after the last logout, unless the user lingers.
if [ -n "$asks" ]; then
	init=$(box_init inside user-child)
	leave
	eventually "without lingering user-child ends after the logout" gone "$init"
	works "lingering on the machine" loginctl enable-linger alice
	works "lingering in user-parent" in_parent "loginctl enable-linger ubuntu"
	enter first
	start_box inside user-child
	place_of user-child
fi
leave
logout first
alice=second
login second alice
enter second
box_holds_v2 "over both logouts" inside user-child "$top$place"
stop_box inside user-child
leave
stop_box second user-parent

# Started again, with cgroups that LXC mounts.
printf 'lxc.mount.auto =\nlxc.mount.auto = cgroup:rw:force proc:mixed sys:rw\n' >>$parent/config
boot_parent
enter second
scope_of "cgroup:rw:force" "$(cgroup_of_login unified inside)"
start_box inside user-child
place_of user-child
box_holds_v2 "with cgroup:rw:force" inside user-child "$top$place"
stop_box inside user-child
leave
stop_box second user-parent
logout_of_logind second
finish
