#!/bin/bash
# LXC in an unprivileged LXC container, on cgroup v2 under systemd with the
# drop-in, where user-parent's init is systemd, too: the module gives the scopes
# of the container's own logind to who logs in there.
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
like "the container's logind knows it" "$(in_login inside "loginctl session-status | head -n 1" 2>&1)" "* - ubuntu (1000)"
has_words "the scope gives controllers on" "$(cat "/sys/fs/cgroup$top$scope/cgroup.subtree_control")" cpu memory pids
equal "and is ubuntu's" "$(stat -c %u "/sys/fs/cgroup$top$scope")" $((first + 1000))
equal "check in it finds nothing wrong" "$(in_login inside "cgdeleg check -q --container user-child" 2>&1)" ""
start_box inside user-child
place_of user-child
box_holds_v2 "by ssh" inside user-child "$top$place"
three_views "$top" "$place"
child_is_bounded
parent_freezes_child first
works "daemon-reload in user-parent" in_parent "systemctl daemon-reload"
box_holds_v2 "after daemon-reload" inside user-child "$top$place"
stop_box inside user-child
copies_hold place_of
leave

# shellcheck disable=SC2016 # the shells there expand it
start='lxc-start -n user-child && cat /proc/self/cgroup'
for way in lxc-console "lxc-attach and su"; do
	enter first # and stay: what LXC 6 starts ends with ubuntu's last login
	case $way in
	lxc-console) console_login 0 said "$start" && said=$(cat $parent/rootfs/home/ubuntu/said) ;;
	*) said=$(in_parent "su - ubuntu -c '$start'") ;;
	esac
	scope_of "$way" "${said#0::}"
	eventually "user-child runs ($way)" box_ready inside user-child
	place_of user-child
	box_holds_v2 "by $way" inside user-child "$top$place"
	stop_box inside user-child
	leave
done
log=$(in_parent "journalctl --no-pager")
like "the container's journal has its logins" "$log" "*session opened for user ubuntu*"
equal "and the module in there had nothing to complain about" "$(grep pam_cgdeleg <<<"$log")" ""

# Without the module in the container, where LXC asks no user manager.
sed -i '/pam_cgdeleg/d' "$parent"/rootfs/etc/pam.d/common-session*
works "the container's user manager ends" in_parent "sh -c 'systemctl mask --runtime user@.service && systemctl stop user@1000.service'"
enter first
like "the login is in its scope without the module" "$(cgroup_of_login unified inside)" "$user/session-*.scope"
in_login inside "lxc-start -n user-child"
eventually "user-child runs without the module" box_ready inside user-child
like "user-child has no cgroup without the module" "$(cgroup_in unified "$(box_init inside user-child)")" "$top$user/session-*.scope"
stop_box inside user-child
leave
stop_box first user-parent
logout_of_logind first
finish
