#!/bin/bash
# A login where elogind, and no systemd, makes the session's cgroup on v2: the
# user gets that one, and elogind knows the session by its processes all along.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2
# limit: 480

install_elogind
install_module "timeout=30" # other machines may keep this one waiting
make_limited_box alice c1
cg=/sys/fs/cgroup
# cgroup_of UID ID: version 246 has every session's in the root, 255 in a slice
# of the user's, which is above all of them.
if grep -q bookworm /etc/os-release; then
	cgroup_of() { echo "/$2"; }
	slice=
else
	cgroup_of() { echo "/user.slice/user-$1.slice/session-$2.scope"; }
	slice=user.slice/user-1000.slice
fi
sessions() { find $cg -mindepth 1 -type d ! -name '*.slice'; }

login first alice
session=$(cgroup_of 1000 "$(session_id first)")
equal "the login is in the leaf of elogind's cgroup" "$(cgroup_of_login unified first)" "$session/init.scope"
equal "so is the application" "$(cgroup_in unified "$(login_application first)")" "$session/init.scope"
fails "there is no session beside it" test -e $cg/user
elogind_knows "after the login" first
equal "the session has every controller" "$(cat $cg"$session"/cgroup.controllers)" "$(cat $cg/cgroup.controllers)"
equal "and gives every one on" "$(cat $cg"$session"/cgroup.subtree_control)" "$(cat $cg/cgroup.controllers)"
equal "session and leaf can be written" \
	"$(unwritable_delegate_files first $cg"$session" && unwritable_delegate_files first $cg"$session"/init.scope)" ""

# Nothing else changes owner, least of all in the root.
expected() {
	local dir file
	if [ -n "$slice" ]; then echo $slice/cgroup.procs; fi
	for dir in "${session#/}" "${session#/}/init.scope"; do
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
		"$(in_login first "echo $user | su - $user -c 'cat /proc/self/cgroup' 2>/dev/null" | path_of unified)" "$session/init.scope"
	equal "and changes nobody's cgroups (su - $user)" "$(not_roots $cg)" "$owned"
done
elogind_knows "after su" first

start_box first c1
box_holds_v2 "from its login" first c1 "$session/lxc.payload.c1"
elogind_knows "with a container" first

login second alice
second=$(cgroup_of 1000 "$(session_id second)")
equal "the second login is in a leaf of its own" "$(cgroup_of_login unified second)" "$second/init.scope"
if [ -n "$slice" ]; then
	box_holds_v2 "from another login" second c1 "$session/lxc.payload.c1"
else
	# Only the root is above both sessions, and that is never the user's.
	like "lxc-attach from another login does not reach the payload's cgroup" \
		"$(in_login second "lxc-attach -n c1 -- /bin/busybox cat /proc/self/cgroup" 2>/dev/null)" "*$second/init.scope"
fi
logout_of_elogind second
fails "the second logout leaves nothing" test -e $cg"$second"
elogind_knows "after the second logout" first

for user in bob root; do
	like "su - $user by a service's root is a login" "$(su - $user -c 'cat /proc/self/cgroup' | path_of unified)" \
		"$(cgroup_of "$(id -u $user)" 'c*')/init.scope"
	await_workers
	equal "and leaves nothing (su - $user)" "$(sessions | grep -v "^$cg$session")" ""
done

stop_box first c1
logout_of_elogind first
equal "the last logout leaves nothing" "$(sessions)" ""
equal "of alice's in any cgroup" "$(not_roots $cg)" ""

# What outlives its session goes with the user's next login.
login third alice
third=$(cgroup_of 1000 "$(session_id third)")
in_login third "nohup sleep 1000 >/dev/null 2>&1 & echo \$! >/tmp/sleep.pid"
logout_of_elogind third
works "a process that stays keeps its cgroup" test -e $cg"$third"/init.scope
kill "$(cat /tmp/sleep.pid)"
eventually "the process has ended" gone "$(cat /tmp/sleep.pid)"
login fourth alice
fails "the next login cleans it up" test -e $cg"$third"
logout_of_elogind fourth
equal "nothing is left at the end" "$(sessions)" ""
equal "of anybody's" "$(not_roots $cg)" ""
equal "the module had nothing to complain about" "$(module_log)" ""
finish
