#!/bin/bash
# LXC in an unprivileged LXC container, on cgroup v2 under systemd with the
# drop-in: user-parent without systemd, and then with systemd as its init, where
# the module gives the scopes of the container's own logind to who logs in there.
# machines: bookworm-systemd-v2 trixie-systemd-v2
# limit: 840
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module ""
install_dropin
LEAF=rc.init make_parent /etc/init
make_child ""

login first alice
start_box first user-parent
# LXC 5 stays in the login's scope, LXC 6 asks the user manager for one.
top=$(cgroup_in unified "$(box_init first user-parent)")
top=${top%/rc.init}
case $(lxc-start --version) in
5*) equal "user-parent is in the login's scope" "$top" "/user.slice/user-1000.slice/session-$(session_id first).scope/lxc.payload.user-parent" ;;
*) like "user-parent is in the user manager's scope" "$top" "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc-user-parent-*.scope/lxc.payload.user-parent" ;;
esac
enter first
child=/user/ubuntu/0/lxc.payload.user-child
equal "the login in user-parent is in its session's leaf" "$(cgroup_of_login unified inside)" /user/ubuntu/0/init.scope
start_box inside user-child
box_holds_v2 "without systemd in user-parent" inside user-child "$top$child"
three_views "$top" $child
parent_freezes_child first
stop_box inside user-child
leave
stop_box first user-parent

# systemd as the container's init.
sed -i 's,^lxc.init.cmd.*,lxc.init.cmd = /sbin/init,' "$parent/config"
state_of_parent() { in_login first "lxc-attach -n user-parent -- systemctl is-system-running" 2>&1; }
is_up() { case $(state_of_parent) in running | degraded) ;; *) return 1 ;; esac }
boot_parent() {
	works "lxc-start of user-parent with systemd" in_login first "lxc-start -n user-parent -l INFO -o /tmp/user-parent.log"
	PATIENCE=300 eventually "systemd in user-parent has booted" is_up
	note "failed units: $(in_login first "lxc-attach -n user-parent -- systemctl --failed --no-legend --plain" 2>&1)"
	equal "to running" "$(state_of_parent)" running
}
boot_parent
note "its jobs: $(in_login first "lxc-attach -n user-parent -- systemctl list-jobs --no-legend" 2>&1)"
top=$(cgroup_in unified "$(box_init first user-parent)")
top=${top%/init.scope}
enter first
scope=$(cgroup_of_login unified inside)
like "the login is in the leaf of a scope of the container's logind" "$scope" "/user.slice/user-1000.slice/session-*.scope/init.scope"
scope=${scope%/init.scope}
like "the container's logind knows it" "$(in_login inside "loginctl session-status | head -n 1" 2>&1)" "* - ubuntu (1000)"
has_words "the scope gives controllers on" "$(cat "/sys/fs/cgroup$top$scope/cgroup.subtree_control")" cpu memory pids
equal "and is ubuntu's" "$(stat -c %u "/sys/fs/cgroup$top$scope")" $((first + 1000))
equal "check in it finds nothing wrong" "$(in_login inside "cgdeleg check -q --container user-child" 2>&1)" ""
start_box inside user-child
child=$(cgroup_in unified "$(box_init inside user-child)")
child=${child#"$top"}
case $(lxc-start --version) in
5*) equal "user-child is in the scope" "$child" "$scope/lxc.payload.user-child" ;;
*) like "user-child is in the container's user manager's scope" "$child" "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc-user-child-*.scope/lxc.payload.user-child" ;;
esac
box_holds_v2 "with systemd in user-parent" inside user-child "$top$child"
three_views "$top" "$child"
child_is_bounded
parent_freezes_child first
stop_box inside user-child
leave
equal "of the container's module" "$(in_login first "lxc-attach -n user-parent -- journalctl --no-pager -o cat -t sshd -g pam_cgdeleg" 2>&1 | grep pam_cgdeleg)" ""

# Without the module in the container, where LXC asks no user manager.
sed -i '/pam_cgdeleg/d' "$parent"/rootfs/etc/pam.d/common-session*
in_login first "lxc-attach -n user-parent -- systemctl mask --runtime user@.service" 2>/dev/null
enter first
like "the login is in its scope without the module" "$(cgroup_of_login unified inside)" "/user.slice/user-1000.slice/session-*.scope"
in_login inside "lxc-start -n user-child"
eventually "user-child runs without the module" box_ready inside user-child
case $(cgroup_in unified "$(box_init inside user-child)") in
*lxc.payload.user-child) not_ok "user-child has no cgroup without the module" "$(cgroup_in unified "$(box_init inside user-child)")" ;;
*) ok "user-child has no cgroup without the module" ;;
esac
stop_box inside user-child
leave
stop_box first user-parent
logout_of_logind first
finish
