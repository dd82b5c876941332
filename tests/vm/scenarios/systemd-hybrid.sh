#!/bin/bash
# Logins on cgroup v1 under systemd, with pam_cgfs's own line: logind's scope
# is the session where systemd made one, user/NAME/N elsewhere.
# machines: bookworm-systemd-hybrid

install_module "-c freezer,memory,name=systemd"
make_box alice c1 'lxc.cgroup.memory.limit_in_bytes = 64M'

login first alice
logind_knows "after the login" first
scope=/user.slice/user-1000.slice/session-$(session_id first).scope
for h in name=systemd memory; do
	equal "the login is in logind's scope ($h)" "$(cgroup_of_login "$h" first)" "$scope"
	equal "alice owns the scope ($h)" "$(stat -c %U:%G "$(mount_point "$h")$scope")" alice:alice
done
equal "the login is in a session of its own (freezer)" "$(cgroup_of_login freezer first)" /user/alice/0
equal "alice owns the session and no more (freezer)" "$(not_roots "$(mount_point freezer)")" "alice:alice user/alice/0"

start_box first c1
init=$(box_init first c1)
for h in name=systemd memory; do
	equal "the payload is in the scope ($h)" "$(cgroup_in "$h" "$init")" "$scope/lxc.payload.c1"
done
equal "the payload is in the session (freezer)" "$(cgroup_in freezer "$init")" /user/alice/0/lxc.payload.c1
equal "the payload's limit is the configuration's" "$(read_cgroup memory "$init" memory.limit_in_bytes)" 67108864
login second alice
works "lxc-attach from the second login" in_login second "lxc-attach -n c1 -- /bin/busybox true"
works "lxc-freeze" in_login second "lxc-freeze -n c1"
equal "freezes" "$(read_cgroup freezer "$init" freezer.state)" FROZEN
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
logout_of_logind second
logind_knows "with a container" first

stop_box first c1
logout_of_logind first
fails "the logout leaves nothing (freezer)" test -e "$(mount_point freezer)/user/alice"
for h in name=systemd memory; do
	eventually "the scope is gone ($h)" fails_quietly test -e "$(mount_point "$h")$scope"
done
equal "the module had nothing to complain about" "$(module_log)" ""
finish
