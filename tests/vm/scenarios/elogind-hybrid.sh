#!/bin/bash
# Logins where elogind runs on cgroup v1: its session in its own hierarchy is the
# user's, user/NAME/N in the others.
# machines: bookworm-no-systemd-hybrid
# limit: 480

install_elogind
install_module "-c freezer,memory,name=elogind timeout=30" # as in elogind-v2
make_box alice c1 'lxc.cgroup.memory.limit_in_bytes = 64M'
elogind=$(mount_point name=elogind)

login first alice
id=$(session_id first)
equal "the login is in elogind's cgroup" "$(cgroup_of_login name=elogind first)" "/$id"
equal "alice owns the session and no more (name=elogind)" "$(not_roots "$elogind")" "alice:alice $id"
elogind_knows "after the login" first
for h in freezer memory; do
	equal "the login is in a session of its own ($h)" "$(cgroup_of_login "$h" first)" /user/alice/0
	equal "alice owns the session and no more ($h)" "$(not_roots "$(mount_point "$h")")" "alice:alice user/alice/0"
done
owned=$(not_roots /sys/fs/cgroup)
equal "su - bob in alice's session stays in elogind's cgroup" \
	"$(in_login first "echo bob | su - bob -c 'cat /proc/self/cgroup' 2>/dev/null" | path_of name=elogind)" "/$id"
await_workers
equal "and leaves nothing" "$(not_roots /sys/fs/cgroup)" "$owned"

start_box first c1
init=$(box_init first c1)
equal "the payload is in elogind's cgroup" "$(cgroup_in name=elogind "$init")" "/$id/lxc.payload.c1"
for h in freezer memory; do
	equal "the payload is in the session ($h)" "$(cgroup_in "$h" "$init")" /user/alice/0/lxc.payload.c1
done
equal "the payload's limit is the configuration's" "$(read_cgroup memory "$init" memory.limit_in_bytes)" 67108864
login second alice
works "lxc-attach from the second login" in_login second "lxc-attach -n c1 -- /bin/busybox true"
works "lxc-freeze" in_login second "lxc-freeze -n c1"
equal "freezes" "$(read_cgroup freezer "$init" freezer.state)" FROZEN
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
second=$(session_id second)
logout_of_elogind second
fails "the second logout leaves nothing" test -e "$elogind/$second"
elogind_knows "with a container" first

stop_box first c1
logout_of_elogind first
equal "the last logout leaves nothing (name=elogind)" "$(find "$elogind" -mindepth 1 -type d)" ""
for h in freezer memory; do
	fails "the last logout leaves nothing ($h)" test -e "$(mount_point "$h")/user/alice"
done
equal "of alice's in any cgroup" "$(not_roots /sys/fs/cgroup)" ""
equal "the module had nothing to complain about" "$(module_log)" ""
finish
