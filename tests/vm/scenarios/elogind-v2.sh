#!/bin/bash
# A login where elogind, and no systemd, makes the session's cgroup on v2: the
# user gets that one, and elogind knows the session by its processes all along.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2
# limit: 480

install_elogind
install_module ""
make_limited_box alice c1
cg=/sys/fs/cgroup

login first alice
id=$(session_id first)
equal "the login is in the leaf of elogind's cgroup" "$(cgroup_of_login unified first)" "/$id/init.scope"
equal "so is the host" "$(cgroup_in unified "$(login_host first)")" "/$id/init.scope"
fails "there is no session beside it" test -e $cg/user
elogind_knows "after the login" first
equal "the session has every controller" "$(cat $cg/"$id"/cgroup.controllers)" "$(cat $cg/cgroup.controllers)"
equal "and gives every one on" "$(cat $cg/"$id"/cgroup.subtree_control)" "$(cat $cg/cgroup.controllers)"
equal "session and leaf can be written" \
	"$(unwritable_delegate_files first $cg/"$id" && unwritable_delegate_files first $cg/"$id"/init.scope)" ""

# Nothing else changes owner, least of all in the root.
expected() {
	local dir file
	for dir in "$id" "$id/init.scope"; do
		echo "$dir"
		while read -r file; do
			if [ -e "$cg/$dir/$file" ]; then echo "$dir/$file"; fi
		done </sys/kernel/cgroup/delegate
	done
}
owned=$(expected | sed 's/^/alice:alice /' | sort)
equal "alice owns the session and no more" "$(not_roots $cg)" "$owned"

# su in the session is a part of it, whoever it is for.
for user in bob alice; do
	equal "su - $user in alice's session stays there" \
		"$(in_login first "echo $user | su - $user -c 'cat /proc/self/cgroup' 2>/dev/null" | path_of unified)" "/$id/init.scope"
	equal "and changes nobody's cgroups (su - $user)" "$(not_roots $cg)" "$owned"
done
elogind_knows "after su" first

start_box first c1
box_holds_v2 "from its login" first c1 "/$id/lxc.payload.c1"
elogind_knows "with a container" first

login second alice
second=$(session_id second)
equal "the second login is in a leaf of its own" "$(cgroup_of_login unified second)" "/$second/init.scope"
works "lxc-info from another login" in_login second "lxc-info -n c1"
# Only the root is above both sessions, and that is never the user's.
like "lxc-attach from another login does not reach the payload's cgroup" \
	"$(in_login second "lxc-attach -n c1 -- /bin/busybox cat /proc/self/cgroup" 2>/dev/null)" "*/$second/init.scope"
note "loginctl user-status: $(in_login second "loginctl user-status | head -n 3" 2>&1)"
logout_of_elogind second
fails "the second logout leaves nothing" test -e "$cg/$second"

for user in bob root; do
	like "su - $user by a service's root is a login" "$(su - $user -c 'cat /proc/self/cgroup' | path_of unified)" "/c*/init.scope"
	equal "and leaves nothing (su - $user)" "$(find $cg -mindepth 1 -maxdepth 1 -type d)" "$cg/$id"
done

stop_box first c1
logout_of_elogind first
equal "the last logout leaves nothing" "$(find $cg -mindepth 1 -type d)" ""

# What outlives its session goes with the user's next login.
login third alice
third=$(session_id third)
in_login third "nohup sleep 1000 >/dev/null 2>&1 & echo \$! >/tmp/sleep.pid"
logout_of_elogind third
works "a process that stays keeps its cgroup" test -e "$cg/$third/init.scope"
kill "$(cat /tmp/sleep.pid)"
eventually "the process has ended" gone "$(cat /tmp/sleep.pid)"
login fourth alice
fails "the next login sweeps it" test -e "$cg/$third"
logout_of_elogind fourth
equal "nothing is left at the end" "$(find $cg -mindepth 1 -type d)" ""
equal "the module had nothing to complain about" "$(module_log)" ""
finish
