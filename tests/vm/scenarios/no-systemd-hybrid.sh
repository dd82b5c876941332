#!/bin/bash
# A login and a plain lxc-start on cgroup v1 without systemd: pam_cgfs's line,
# with the name of the named hierarchy that OpenRC has.
# machines: bookworm-no-systemd-hybrid

install_module "-c freezer,memory,name=openrc"
make_box alice c1 'lxc.cgroup.memory.limit_in_bytes = 64M'
hierarchies="freezer memory name=openrc"

login first alice
for h in $hierarchies; do
	equal "the login is in its session ($h)" "$(cgroup_of_login "$h" first)" /user/alice/0
	equal "alice owns the session and no more ($h)" "$(not_roots "$(mount_point "$h")")" "alice:alice user/alice/0"
done
equal "the login stays where it was (pids)" "$(cgroup_of_login pids first)" /

start_box first c1
init=$(box_init first c1)
for h in $hierarchies; do
	equal "the payload is in the session ($h)" "$(cgroup_in "$h" "$init")" /user/alice/0/lxc.payload.c1
done
equal "the payload's limit is the configuration's" "$(read_cgroup memory "$init" memory.limit_in_bytes)" 67108864

works "lxc-attach" in_login first "lxc-attach -n c1 -- /bin/busybox true"
login second alice
equal "the second login has a session of its own" "$(cgroup_of_login freezer second)" /user/alice/1
works "lxc-attach from the second login" in_login second "lxc-attach -n c1 -- /bin/busybox true"
works "lxc-freeze" in_login second "lxc-freeze -n c1"
equal "freezes" "$(read_cgroup freezer "$init" freezer.state)" FROZEN
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
equal "thaws" "$(read_cgroup freezer "$init" freezer.state)" THAWED
logout second

stop_box first c1
logout first
for h in $hierarchies; do
	fails "the last logout leaves nothing ($h)" test -e "$(mount_point "$h")/user/alice"
done
equal "the module had nothing to complain about" "$(module_log)" ""
finish
