#!/bin/bash
# Containers that start when the machine boots, on cgroup v1 (hybrid) under
# systemd: by a service that opens the session with `cgdeleg open`, which leaves
# systemd's own hierarchies alone.
# machines: bookworm-systemd-hybrid
# shellcheck source=tests/vm/guest/nested.sh
. /in/nested.sh

install_module "-c freezer,memory $patient"
for box in c1 c2; do make_box alice $box 'lxc.cgroup.memory.limit_in_bytes = 64M' 'lxc.start.auto = 1'; done

# From docs/clients/lxc-nested.md, but for runuser, which opens no session.
cat >/tmp/boot <<'BOOT'
cgdeleg open --user alice --pid $$ -c freezer,memory || exit
exec runuser -u alice -- env HOME=/home/alice sh -c 'lxc-autostart -L | while read -r name delay; do
	lxc-start -n "$name" </dev/null
	sleep "$delay"
done'
BOOT
works "the service starts" systemd-run --quiet --unit boot -p Type=oneshot -p RemainAfterExit=yes sh /tmp/boot
for box in c1 c2; do
	init=$(as_user alice lxc-info -n $box -pH)
	for h in freezer memory; do
		equal "$box is in the session ($h)" "$(cgroup_in $h "$init")" /user/alice/0/lxc.payload.$box
	done
	equal "$box stays in the service (name=systemd)" "$(cgroup_in name=systemd "$init")" /system.slice/boot.service
	equal "$box has its limit" "$(read_cgroup memory "$init" memory.limit_in_bytes)" 67108864
done
login first alice
works "lxc-attach from a login" in_login first "lxc-attach -n c1 -- /bin/busybox true"
works "lxc-freeze" in_login first "lxc-freeze -n c1"
equal "freezes" "$(read_cgroup freezer "$(box_init first c1)" freezer.state)" FROZEN
works "lxc-unfreeze" in_login first "lxc-unfreeze -n c1"
stop_box first c1
logout_of_logind first
works "systemctl stop" systemctl stop boot
eventually "and so c2" no_monitor c2
works "cleanup" cgdeleg cleanup
fails "leaves nothing" test -e "$(mount_point freezer)/user/alice"

# Without the session.
sed -i '/cgdeleg open/d' /tmp/boot
works "the service runs without cgdeleg open" systemd-run --quiet --unit boot-without -p Type=oneshot sh -c 'sh /tmp/boot 2>&1; :'
like "and LXC starts c1 in vain" "$(journalctl --no-pager -o cat -u boot-without)" "*lxc-start: c1: *ABORTING*"
equal "without cgdeleg open no container with limits starts" "$(as_user alice lxc-info -n c1 -sH)" STOPPED
finish
