#!/bin/bash
# A login and a plain lxc-start on cgroup v1 without systemd: pam_cgfs's line,
# with the name of the named hierarchy that OpenRC has. Then crun, which starts
# nothing on cgroup v1 unless v2 has no controllers, as here.
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
# start_crun CGROUPSPATH: init is then its container's.
start_crun() {
	works "crun run (${1:-no cgroupsPath})" in_login third "mkdir -p ~/b/rootfs/bin ~/b/rootfs/proc ~/b/rootfs/sys ~/b/rootfs/dev ~/b/rootfs/tmp &&
		cp /bin/busybox ~/b/rootfs/bin && cd ~/b && rm -f config.json && runc spec --rootless && sed -i 's/\"terminal\": true/\"terminal\": false/
			s|\"sh\"|\"/bin/busybox\",\"sleep\",\"1000\"|
			s|\"linux\": {|&${1:+\"cgroupsPath\":\"$1\",}\"resources\":{\"memory\":{\"limit\":67108864},\"pids\":{\"limit\":33}},|' config.json &&
		crun --root ~/b/crun run --pid-file ~/b/pid -d c1 </dev/null >~/said 2>&1 || { cat ~/said; exit 1; }"
	init=$(in_login third "cat ~/b/pid")
}

module_options ""
login third alice
session=$(cgroup_of_login freezer third)
start_crun ""
equal "crun without cgroupsPath stays in the session itself" "$(cgroup_in memory "$init")" "$session"
like "without its limit" "$(read_cgroup memory "$init" memory.limit_in_bytes)" "9223*"
fails "and cannot pause" in_login third "crun --root ~/b/crun pause c1"
works "crun delete" in_login third "crun --root ~/b/crun delete -f c1"
start_crun "$session/c1"
for h in memory pids freezer; do
	equal "crun is in its cgroupsPath ($h)" "$(cgroup_in $h "$init")" "$session/c1"
done
equal "with its limit" "$(read_cgroup memory "$init" memory.limit_in_bytes)" 67108864
equal "with its other limit" "$(read_cgroup pids "$init" pids.max)" 33
works "crun pause" in_login third "crun --root ~/b/crun pause c1"
equal "freezes the container" "$(read_cgroup freezer "$init" freezer.state)" FROZEN
works "crun resume" in_login third "crun --root ~/b/crun resume c1"
works "crun delete with a cgroupsPath" in_login third "crun --root ~/b/crun delete -f c1"
eventually "its init is gone" gone "$init"
logout third
fails "crun leaves nothing" test -e "$(mount_point memory)/user/alice"
equal "the module had nothing to complain about" "$(module_log)" ""
finish
