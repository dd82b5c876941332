#!/bin/bash
# Containers that start when the machine boots, on cgroup v2 under systemd: by
# contrib/systemd/cgdeleg-containers@.service, for a user whom nobody has logged
# in, and so in user-parent, whose init is systemd, for user-child.
# machines: bookworm-systemd-v2 trixie-systemd-v2
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

unit=cgdeleg-containers@1000.service
service=/user.slice/user-1000.slice/$unit
install_module "$patient"
install_dropin
cp /in/contrib/systemd/cgdeleg-containers@.service /usr/lib/systemd/system/
make_auto_boxes c1 c2
make_parent /sbin/init 'lxc.start.auto = 1'
ln -s /usr/lib/systemd/system/cgdeleg-containers@.service $parent/rootfs/etc/systemd/system/multi-user.target.wants/$unit
make_child 'lxc.start.auto = 1'

# boxes_are WHEN BOX...: in the service's cgroup, with their limits.
boxes_are() {
	local when=$1 box init
	shift
	for box; do
		init=$(as_user alice lxc-info -n "$box" -pH)
		equal "$box is in the service's cgroup ($when)" "$(cgroup_in unified "$init")" "$service/lxc.payload.$box"
		equal "$box has its memory.max ($when)" "$(read_cgroup unified "$init" memory.max)" 67108864
	done
}

works "systemctl enable" systemctl enable $unit
works "what is enabled starts with multi-user.target" systemctl start multi-user.target
equal "the service is active" "$(systemctl is-active $unit)" active
equal "nobody has logged in" "$(loginctl list-users --no-legend)" ""
boxes_are "after the boot" c1 c2
PATIENCE=300 eventually "user-child runs after the boot" child_init
init=$(child_init)
top=$service/lxc.payload.user-parent
equal "user-child's place after the boot" "$(cgroup_in unified "$init")" "$top$service/lxc.payload.user-child"
equal "its memory.max" "$(read_cgroup unified "$init" memory.max)" 67108864

login first alice
box_holds_v2 "from a login" first c1 $service/lxc.payload.c1
enter first
box_holds_v2 "from logins" inside user-child "$top$service/lxc.payload.user-child"
three_views $top $service/lxc.payload.user-child
child_is_bounded
parent_freezes_child first
works "daemon-reload" systemctl daemon-reload
boxes_are "after daemon-reload" c1 c2
leave
logout_of_logind first
works "the user manager ends" systemctl stop user@1000.service
boxes_are "after the logout" c1 c2
login second alice
stop_box second c2
works "systemctl stop" systemctl stop $unit
for box in c1 user-parent; do eventually "$box has stopped" no_monitor $box; done
fails "the service's cgroup is gone" test -e /sys/fs/cgroup$service

# While alice is logged in, and LXC 6 could ask her user manager.
sed -i '/lxc.start.auto/d' $parent/config
works "systemctl start" systemctl start $unit
boxes_are "started with a login" c1 c2
works "systemctl restart" systemctl restart $unit
boxes_are "restarted" c1 c2
works "systemctl stop with a login" systemctl stop $unit

# control LINE...: the unit with other lines.
control() {
	mkdir -p /run/systemd/system/$unit.d
	printf '[Service]\n' >/run/systemd/system/$unit.d/control.conf
	printf '%s\n' "$@" >>/run/systemd/system/$unit.d/control.conf
	systemctl daemon-reload
	systemctl start $unit
}

control Slice=system.slice
equal "c1 runs in another slice" "$(as_user alice lxc-info -n c1 -sH)" RUNNING
fails "but lxc-attach cannot move itself there from a login" in_login second "lxc-attach -n c1 -- /bin/busybox true"
systemctl stop $unit
echo 'lxc.cgroup2.memory.max = nonsense' >>/home/alice/.local/share/lxc/c1/config
control Slice=user-1000.slice
equal "a container that does not start" "$(as_user alice lxc-info -n c1 -sH)" STOPPED
equal "does not keep the others from it" "$(as_user alice lxc-info -n c2 -sH)" RUNNING
systemctl stop $unit
echo 'lxc.cgroup2.memory.max = nonsense' >>/home/alice/.local/share/lxc/c2/config
control Slice=user-1000.slice 2>/dev/null
equal "if none starts the unit has failed" "$(systemctl is-active $unit)" failed
sed -i '$d' /home/alice/.local/share/lxc/c[12]/config
control ExecStart= ExecStart=/usr/bin/lxc-autostart 2>/dev/null
equal "a single lxc-autostart does not start both" "$(systemctl is-active $unit)" failed
logout_of_logind second

# shellcheck disable=SC2016 # systemd makes $$ of it, and the shell the PID
like "cgdeleg open leaves a service's cgroup to systemd" \
	"$(systemd-run --quiet --pipe --wait sh -c 'cgdeleg open --user alice --pid $$$$' 2>&1)" "*is systemd's*the login stays there*in no session of alice*"
finish
