#!/bin/bash
# LXC in an unprivileged LXC container, on cgroup v2 without systemd: ubuntu logs
# in in alice's user-parent, by its own sshd, by lxc-console and by su, and what
# the module in there makes is where user-child starts.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2
# limit: 840
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module "$patient"
top=/user/alice/0/lxc.payload.user-parent
session=/user/ubuntu/0
child=$session/lxc.payload.user-child
LEAF=rc.init make_parent /etc/init
make_child ""

login first alice
equal "the login is in its session's leaf" "$(cgroup_of_login unified first)" /user/alice/0/init.scope
start_box first user-parent
equal "user-parent's init is in the leaf that it made" "$(cgroup_in unified "$(box_init first user-parent)")" $top/rc.init
enter first
equal "the login in user-parent is in its session's leaf" "$(cgroup_of_login unified inside)" $session/init.scope
equal "check in it finds nothing wrong" "$(in_login inside "cgdeleg check -q --container user-child")" ""
start_box inside user-child
box_holds_v2 "in user-parent" inside user-child $top$child
three_views $top $child
child_is_bounded
parent_freezes_child first
stop_box inside user-child
in_session() { place=$session/lxc.payload.$1; }
copies_hold in_session
start_box inside user-child
box_holds_v2 "started again" inside user-child $top$child

leave
logout first
login second alice
enter second
equal "the next login in user-parent has a session of its own" "$(cgroup_of_login unified inside)" /user/ubuntu/1/init.scope
box_holds_v2 "over both logouts" inside user-child $top$child
stop_box inside user-child
leave

child_starts_by_other_ways second

# restart_parent WHAT: with another configuration, init or PAM file.
restart_parent() {
	note "user-parent, $1"
	stop_box second user-parent
	rm -f $parent/rootfs/tmp/ready
	start_box second user-parent
	enter second
}

printf 'lxc.mount.auto =\nlxc.mount.auto = cgroup:rw:force proc:mixed sys:rw\n' >>$parent/config
restart_parent "whose cgroups LXC mounts"
start_box inside user-child
box_holds_v2 "with cgroup:rw:force" inside user-child "$(cgroup_in unified "$(box_init second user-parent)" | sed 's,/rc.init$,,')$child"
stop_box inside user-child
leave

# An init that stays in the container's own cgroup: that can then give its
# children no controllers.
LEAF='' parent_init >$parent/rootfs/etc/init
restart_parent "whose init stays"
equal "the login has a session" "$(cgroup_of_login unified inside)" $session/init.scope
equal "without controllers" "$(in_login inside "cat /sys/fs/cgroup$session/cgroup.controllers")" ""
like "check says why" "$(in_login inside "cgdeleg check -q --container user-child" 2>&1)" \
	"CGD-006 base: *memory* cannot be enabled for sessions: there are processes in * itself, below which sessions are made; fix: *init.scope*"
fails "and a container with limits does not start" in_login inside "lxc-start -n user-child"
leave
LEAF=rc.init parent_init >$parent/rootfs/etc/init

# Without the module in the container.
sed -i '/pam_cgdeleg/d' $parent/rootfs/etc/pam.d/common-session*
restart_parent "without the module"
equal "the login has no session without the module" "$(cgroup_of_login unified inside)" /rc.init
start_box inside user-child
equal "user-child has no cgroup without the module" "$(cgroup_in unified "$(box_init inside user-child)")" \
	"$(cgroup_in unified "$(box_init second user-parent)")"
stop_box inside user-child
leave
stop_box second user-parent
logout second
works "cleanup" cgdeleg cleanup
equal "of alice's in any cgroup" "$(not_roots /sys/fs/cgroup)" ""

note "the module's log: $(module_log)"
finish
