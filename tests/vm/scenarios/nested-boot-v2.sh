#!/bin/bash
# Containers that start when the machine boots, on cgroup v2 without systemd: by
# what a service of any init would run, for a user whom nobody has logged in, and
# so in user-parent for user-child.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module "$patient"
top=/user/alice/0/lxc.payload.user-parent
child=/user/ubuntu/0/lxc.payload.user-child
make_auto_boxes c1 c2
LEAF=rc.init make_parent /etc/init 'lxc.start.auto = 1'
make_child 'lxc.start.auto = 1'

# From docs/clients/lxc-nested.md, but for runuser, which opens no session.
cat >/tmp/boot <<'BOOT'
cgdeleg open --user alice --pid $$ || exit
exec runuser -u alice -- env HOME=/home/alice sh -c 'lxc-autostart -L | while read -r name delay; do
	lxc-start -n "$name" </dev/null
	sleep "$delay"
done'
BOOT
sed 's/alice/ubuntu/g' /tmp/boot >$parent/rootfs/etc/boot
works "the service's script" sh /tmp/boot
for box in c1 c2; do
	init=$(as_user alice lxc-info -n $box -pH)
	equal "$box is in its cgroup" "$(cgroup_in unified "$init")" /user/alice/0/lxc.payload.$box
	equal "$box has its memory.max" "$(read_cgroup unified "$init" memory.max)" 67108864
done
eventually "user-child runs after the boot" child_init
init=$(child_init)
equal "user-child's place after the boot" "$(cgroup_in unified "$init")" $top$child
equal "its memory.max" "$(read_cgroup unified "$init" memory.max)" 67108864
note "user-parent's boot: $(cat $parent/rootfs/var/log/boot.log)"

login first alice
equal "a login has a session of its own" "$(cgroup_of_login unified first)" /user/alice/1/init.scope
box_holds_v2 "from a login" first c1 /user/alice/0/lxc.payload.c1
enter first
box_holds_v2 "from logins" inside user-child $top$child
stop_box inside user-child
leave
stop_box first c1
logout first
works "lxc-autostart -s" as_user alice lxc-autostart -s -t 30
for box in c2 user-parent; do eventually "the monitor of $box has ended" no_monitor $box; done
works "cleanup after the boot's containers" cgdeleg cleanup
equal "leaves nothing of alice's" "$(not_roots /sys/fs/cgroup)" ""

# Without the loop.
sed -i '/lxc.start.auto/d' $parent/config
sh -c 'cgdeleg open --user alice --pid $$ && exec runuser -u alice -- env HOME=/home/alice lxc-autostart' >/dev/null 2>&1
equal "a single lxc-autostart starts c1" "$(as_user alice lxc-info -n c1 -sH)" RUNNING
equal "and not c2, for it has moved into the cgroup of c1's monitor" "$(as_user alice lxc-info -n c2 -sH)" STOPPED
works "lxc-stop" as_user alice lxc-stop -n c1
note "the module's log: $(module_log)"
finish
