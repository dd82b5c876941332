#!/bin/bash
# What a user can do in its session with cgdeleg run, and what it cannot do with
# cgroups at all.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid

install_module ""
if booted_systemd; then install_dropin; fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	h=unified memory=memory.max leaf=/init.scope
else
	h=memory memory=memory.limit_in_bytes leaf=
fi
point=$(mount_point $h)

login first alice
login bob bob
session=$(cgroup_of_login $h first)
session=${session%/init.scope}
bobs=$(cgroup_of_login $h bob)
note "alice is in $session, bob in $bobs"

# shellcheck disable=SC2016 # the shell in the cgroup expands it
ran=$(in_login first "cgdeleg run -p $memory=64M -- sh -c 'echo \$\$; cat /proc/self/cgroup; cat $point$session/run-\$\$/$memory'")
pid=$(head -n 1 <<<"$ran")
equal "the command is in a cgroup of its own" "$(path_of $h <<<"$ran")" "$session/run-$pid$leaf"
equal "with its limit" "$(tail -n 1 <<<"$ran")" 67108864
equal "and no process of cgdeleg's is left" "$(in_login first "cgdeleg run -- sh -c 'ps -o ppid= -p \$\$; echo \$PPID' | tr -d ' ' | uniq | wc -l")" 1
equal "its exit status is the command's" "$(in_login first 'cgdeleg run -- sh -c "exit 7"; echo $?')" 7
like "a file that is nowhere is said" "$(in_login first "cgdeleg run -p memory.nosuch=1 -- true" 2>&1)" "*no delegated hierarchy has the file*"
# 200 MB in a command that may have 64
fails "the limit holds" in_login first "cgdeleg run -p $memory=64M -- dd if=/dev/zero of=/dev/null bs=200M count=1"
works "and is the command's alone" in_login first "dd if=/dev/zero of=/dev/null bs=200M count=1"

fails "alice cannot lift its session's limit" in_login first "echo 1G >$point$session/$memory"
fails "nor enter bob's session" in_login first "echo \$\$ >$point$bobs/cgroup.procs"
fails "nor make a cgroup in bob's session" in_login first "mkdir $point$bobs/x"
fails "nor enter a service's cgroup or the root" in_login first "echo \$\$ >$point/cgroup.procs"
fails "nor make a cgroup beside its session" in_login first "mkdir $point$(dirname "$session")/x"
fails "nor one in user/" in_login first "mkdir $point/user/x"
# shellcheck disable=SC2016 # the shell of bob's login expands it
others=$(in_login bob 'echo $PPID')
fails "nor move a process of bob's into its own session" \
	in_login first "mkdir $point$session/mine && echo $others >$point$session/mine/cgroup.procs"
if [ $h = unified ]; then
	fails "nor enable a controller for others" in_login first "echo +io >$point$(dirname "$session")/cgroup.subtree_control"
	login second alice
	works "but it can move a process between its sessions" \
		in_login first "sleep 100 & echo \$! >$point$(cgroup_of_login unified second)/cgroup.procs && kill \$!"
	logout second
fi
logout bob
logout first
if ! booted_systemd; then fails "nothing of alice is left" test -e "$point/user/alice"; fi
equal "the module had nothing to complain about" "$(module_log)" ""
finish
