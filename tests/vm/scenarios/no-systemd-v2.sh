#!/bin/bash
# A login and a plain lxc-start on cgroup v2 without systemd.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2

install_module ""
make_box alice c1 'lxc.cgroup2.memory.max = 64M' 'lxc.cgroup2.pids.max = 33'
cg=/sys/fs/cgroup
session=/user/alice/0

login first alice
equal "the login is in the session's leaf" "$(cgroup_of_login unified first)" $session/init.scope
equal "the session has every controller" "$(cat $cg$session/cgroup.controllers)" "$(cat $cg/cgroup.controllers)"
equal "and gives every one on" "$(cat $cg$session/cgroup.subtree_control)" "$(cat $cg/cgroup.controllers)"
equal "session and leaf can be written" \
	"$(unwritable_delegate_files first $cg$session && unwritable_delegate_files first $cg$session/init.scope)" ""

# Nothing else changes owner, or the user could lift its own limits.
expected() {
	local dir file
	echo user/alice/cgroup.procs
	for dir in user/alice/0 user/alice/0/init.scope; do
		echo $dir
		while read -r file; do
			if [ -e "$cg/$dir/$file" ]; then echo "$dir/$file"; fi
		done </sys/kernel/cgroup/delegate
	done
}
equal "alice owns the session and no more" "$(not_roots $cg)" "$(expected | sed 's/^/alice:alice /' | sort)"

start_box first c1
init=$(box_init first c1)
equal "the payload is in the session" "$(cgroup_in unified "$init")" $session/lxc.payload.c1
has_words "the payload has controllers" "$(read_cgroup unified "$init" cgroup.controllers)" cpu memory pids
equal "the payload's memory.max is the configuration's" "$(read_cgroup unified "$init" memory.max)" 67108864
equal "the payload's pids.max is the configuration's" "$(read_cgroup unified "$init" pids.max)" 33

works "lxc-attach" in_login first "lxc-attach -n c1 -- /bin/busybox true"
works "lxc-cgroup writes a limit" in_login first "lxc-cgroup -n c1 pids.max 40"
equal "that is there then" "$(read_cgroup unified "$init" pids.max)" 40
login second alice
equal "the second login has a session of its own" "$(cgroup_of_login unified second)" /user/alice/1/init.scope
# On v2 LXC puts what it attaches into a leaf of the payload's.
equal "lxc-attach from the second login is in the container" \
	"$(in_login second "lxc-attach -n c1 -- /bin/busybox cat /proc/self/cgroup" 2>&1)" 0::/.lxc
works "lxc-freeze" in_login second "lxc-freeze -n c1"
has_words "freezes" "$(read_cgroup unified "$init" cgroup.events)" "frozen 1"
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
has_words "thaws" "$(read_cgroup unified "$init" cgroup.events)" "frozen 0"
logout second
fails "the second logout removes its session" test -e $cg/user/alice/1

stop_box first c1
logout first
fails "the last logout leaves nothing" test -e $cg/user/alice
equal "of alice's in any cgroup" "$(not_roots $cg)" ""
equal "the module had nothing to complain about" "$(module_log)" ""
finish
