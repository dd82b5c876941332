#!/bin/bash
# Logins on cgroup v2 under systemd, with the drop-in: a plain lxc-start has
# controllers within logind's own scope, whatever systemd does beside.
# machines: bookworm-systemd-v2

install_module ""
install_dropin
make_limited_box alice c1
cg=/sys/fs/cgroup

login first alice
slice=/user.slice/user-1000.slice
scope=$slice/session-$(session_id first).scope
logind_knows "after the login" first
equal "the login is in the scope's leaf" "$(cgroup_of_login unified first)" "$scope/init.scope"
has_words "the scope gives controllers on" "$(cat $cg"$scope"/cgroup.subtree_control)" cpu memory pids
equal "scope and leaf can be written" \
	"$(unwritable_delegate_files first $cg"$scope" && unwritable_delegate_files first $cg"$scope"/init.scope)" ""

# Nothing else changes owner, or the user could lift its own limits.
expected() {
	local dir file
	echo $slice/cgroup.procs
	for dir in "$scope" "$scope"/init.scope; do
		echo "$dir"
		while read -r file; do
			if [ -e "$cg$dir/$file" ]; then echo "$dir/$file"; fi
		done </sys/kernel/cgroup/delegate
	done
}
equal "alice owns the session and no more" \
	"$(not_roots $cg | grep -v /user@1000.service)" "$(expected | sed 's,^/,alice:alice ,' | sort)"
fails "there is no cgroup beside systemd's" test -e $cg/user

start_box first c1
box_holds_v2 "from its login" first c1 "$scope/lxc.payload.c1"
login second alice
box_holds_v2 "from another login" second c1 "$scope/lxc.payload.c1"

works "systemctl daemon-reload" systemctl daemon-reload
box_holds_v2 "after daemon-reload" second c1 "$scope/lxc.payload.c1"
works "systemctl daemon-reexec" systemctl daemon-reexec
works "systemctl restart systemd-logind" systemctl restart systemd-logind
works "systemctl set-property" systemctl set-property --runtime "$(basename "$scope")" CPUWeight=50
box_holds_v2 "after all of them" first c1 "$scope/lxc.payload.c1"
logind_knows "after all of them" first
logout_of_logind second

stop_box first c1
logout_of_logind first
fails "the scope is gone" test -e $cg"$scope"
equal "the module had nothing to complain about" "$(module_log)" ""
finish
