#!/bin/bash
# A login and a plain lxc-start on cgroup v2 without systemd.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2

install_module ""
make_limited_box alice c1
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
box_holds_v2 "from its login" first c1 $session/lxc.payload.c1
login second alice
equal "the second login has a session of its own" "$(cgroup_of_login unified second)" /user/alice/1/init.scope
box_holds_v2 "from another login" second c1 $session/lxc.payload.c1
logout second
fails "the second logout removes its session" test -e $cg/user/alice/1

terminal_login bob
equal "a login on a terminal is in the session's leaf" "$(cgroup_in unified "$(terminal_shell)")" /user/bob/0/init.scope
equal "which is bob's" "$(stat -c %U $cg/user/bob/0 $cg/user/bob/0/init.scope | sort -u)" bob
terminal_logout
fails "its logout leaves nothing" test -e $cg/user/bob

stop_box first c1
logout first
fails "the last logout leaves nothing" test -e $cg/user/alice
equal "of alice's in any cgroup" "$(not_roots $cg)" ""
equal "the module had nothing to complain about" "$(module_log)" ""
finish
