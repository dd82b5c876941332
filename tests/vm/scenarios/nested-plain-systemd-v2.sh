#!/bin/bash
# LXC in an unprivileged LXC container, on cgroup v2 under systemd with the
# drop-in, where user-parent's init is not systemd: the module makes sessions in
# there, in the container's cgroup below the scope of alice's login.
# machines: bookworm-systemd-v2 trixie-systemd-v2
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module "$patient"
install_dropin
LEAF=rc.init make_parent /etc/init
make_child ""
session=/user/ubuntu/0
child=$session/lxc.payload.user-child

# start_parent: and sets top to its cgroup. LXC 5 stays in the login's scope,
# LXC 6 asks the user manager for one.
start_parent() {
	rm -f $parent/rootfs/tmp/ready
	start_box first user-parent
	top=$(cgroup_in unified "$(box_init first user-parent)")
	top=${top%/rc.init}
	case $(lxc-start --version) in
	5*) equal "user-parent is in the login's scope" "$top" "/user.slice/user-1000.slice/session-$(session_id first).scope/lxc.payload.user-parent" ;;
	*) like "user-parent is in the user manager's scope" "$top" "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc-user-parent-*.scope/lxc.payload.user-parent" ;;
	esac
}

login first alice
start_parent
enter first
equal "the login in user-parent is in its session's leaf" "$(cgroup_of_login unified inside)" $session/init.scope
equal "check in it finds nothing wrong" "$(in_login inside "cgdeleg check -q --container user-child")" ""
start_box inside user-child
box_holds_v2 "in user-parent" inside user-child "$top$child"
three_views "$top" $child
child_is_bounded
parent_freezes_child first

leave
enter first
equal "the next login in user-parent has a session of its own" "$(cgroup_of_login unified inside)" /user/ubuntu/1/init.scope
box_holds_v2 "over the logout" inside user-child "$top$child"
stop_box inside user-child
leave

child_starts_by_other_ways first
stop_box first user-parent

printf 'lxc.mount.auto =\nlxc.mount.auto = cgroup:rw:force proc:mixed sys:rw\n' >>$parent/config
start_parent
enter first
start_box inside user-child
box_holds_v2 "with cgroup:rw:force" inside user-child "$top$child"
stop_box inside user-child
leave
stop_box first user-parent

# Without the module in the container.
sed -i '/pam_cgdeleg/d' $parent/rootfs/etc/pam.d/common-session*
start_parent
enter first
equal "the login has no session without the module" "$(cgroup_of_login unified inside)" /rc.init
start_box inside user-child
equal "user-child has no cgroup without the module" "$(cgroup_in unified "$(box_init inside user-child)")" "$top/rc.init"
stop_box inside user-child
leave
stop_box first user-parent
logout_of_logind first
finish
