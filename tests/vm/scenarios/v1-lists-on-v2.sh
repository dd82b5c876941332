#!/bin/bash
# Controller lists written for cgroup v1 mean v2's controllers on v2; what the
# log says of them.
# machines: bookworm-no-systemd-v2 bookworm-systemd-v2

v1_list="-c freezer,memory,name=systemd"
install_module "$v1_list"
if booted_systemd; then install_dropin; fi
make_box alice c1 'lxc.cgroup2.memory.max = 64M'
cg=/sys/fs/cgroup

login first alice
session=$(cgroup_of_login unified first)
session=${session%/init.scope}
note "alice is in $session"
equal "the login is in a leaf" "$(cgroup_of_login unified first)" "$session/init.scope"
equal "pam_cgfs's list enables what v2 has of it" "$(cat "$cg$session/cgroup.subtree_control")" memory
start_box first c1
init=$(box_init first c1)
equal "the payload is in the session" "$(cgroup_in unified "$init")" "$session/lxc.payload.c1"
# With a list of memory alone lxc-start still enables all that it finds, and
# systemd gives the scope more than that.
if booted_systemd; then wanted="cpu memory pids"; else wanted=memory; fi
equal "the payload has what the session was given" "$(read_cgroup unified "$init" cgroup.controllers)" "$wanted"
equal "the payload's limit is the configuration's" "$(read_cgroup unified "$init" memory.max)" 67108864
works "lxc-freeze" in_login first "lxc-freeze -n c1"
has_words "freezes" "$(read_cgroup unified "$init" cgroup.events)" "frozen 1"
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
stop_box first c1
logout first
equal "pam_cgfs's list is nothing to complain about" "$(module_log)" ""

# su_says OPTIONS: what the module logs of a login, which leaves its cgroup in
# /tmp/in and what that gives on in /tmp/enabled.
su_says() {
	module_options "$1"
	# shellcheck disable=SC2016 # the shell of the login expands it
	module_says su - alice -c 'cut -d: -f3 /proc/self/cgroup >/tmp/in
		cat /sys/fs/cgroup$(sed "s,/init.scope$,," /tmp/in)/cgroup.subtree_control >/tmp/enabled'
}

# means LIST WANT: LIST enables WANT and the log has nothing to say.
means() {
	equal "-c $1 needs no line of the log" "$(su_says "-c $1")" ""
	like "-c $1 gives a leaf" "$(cat /tmp/in)" "*/init.scope"
	equal "-c $1 enables that" "$(cat /tmp/enabled)" "$2"
}

if booted_systemd; then
	# What systemd gives the scope, as the drop-in says.
	means unified "cpu memory pids"
	means all "cpu memory pids"
	equal "what the scope has not is a warning, if it is named" "$(su_says "-c cpuset,blkio,memory")" \
		'(su-l:session): user "alice": session without cpuset,io: not in Delegate= of session scopes (50-cgdeleg.conf)'
	equal "which takes nothing else away" "$(cat /tmp/enabled)" memory
else
	means unified "$(cat $cg/cgroup.controllers)"
	means all "$(cat $cg/cgroup.controllers)"
	means blkio,cpuacct,devices "cpu io"
fi
means freezer ""

said=$(su_says "$v1_list debug" | grep -v 'session .* opened\|session .* closed\|scope delegated\|is in no session')
equal "name=systemd is a note, once" "$said" '(su-l:session): user "alice": ignored "name=systemd": this machine has only cgroup v2'
equal "an unknown name is a warning, once" "$(su_says "-c memory,nosuch,name=systemd")" \
	'(su-l:session): user "alice": no mounted hierarchy has "nosuch"; ignored'
equal "an unknown name takes nothing else away" "$(cat /tmp/enabled)" memory
like "all beside another name is an error" "$(su_says "-c all,memory")" '*"all" cannot stand beside other controllers; this session has no cgroups of its own'
like "and a login all the same" "$(cat /tmp/in)" "/*"
finish
