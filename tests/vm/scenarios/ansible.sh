#!/bin/bash
# The Ansible role, by Ansible on the machine that started this one: a login has its
# cgroups, what the role enables runs, and a second run changes nothing.
# machines: bookworm-systemd-v2
# limit: 1200
# controller: ansible

cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
modprobe virtio_net
udevadm settle # it gives the interface its name
interface=$(basename /sys/class/net/e*)
ip address add 10.0.2.15/24 dev "$interface"
ip link set "$interface" up

# play VARIABLE...: its summary is in $recap.
play() {
	local controller
	exec {controller}<>/dev/tcp/10.0.2.100/1
	cat /root/.ssh/id_ed25519 >&$controller
	printf '%s\n' cgdeleg_textfile_dir=/srv/metrics "$@" '' >&$controller
	cat <&$controller >/out/play
	exec {controller}>&-
	note "$(grep -E '^(fatal|failed|ERROR)' /out/play)"
	recap=$(grep '^machine .*ok=' /out/play | tr -s ' ')
	cat /out/play >>/out/plays
}

# pam_cgfs first, as Debian's package would have left it.
install_pam_cgfs "-c all"
play
like "it refuses to stand beside pam_cgfs" "$recap" "*changed=0 *failed=1*"
fails "and has installed nothing" test -e /usr/bin/cgdeleg

mkdir /srv/metrics
play cgdeleg_remove_pam_cgfs=true cgdeleg_serve=true
like "the first run works" "$recap" "*unreachable=0 failed=0*"
fails "pam_cgfs has no line any more" grep -rq pam_cgfs /etc/pam.d
play cgdeleg_remove_pam_cgfs=true cgdeleg_serve=true
like "the second run changes nothing" "$recap" "*changed=0 unreachable=0 failed=0*"

equal "pam-auth-update's line stands behind pam_systemd's" \
	"$(grep -oE 'pam_(systemd|cgdeleg)\.so' /etc/pam.d/common-session | tr '\n' ' ')" "pam_systemd.so pam_cgdeleg.so "
equal "the cleanup's timer runs" "$(systemctl is-active cgdeleg-cleanup.timer) $(systemctl is-enabled cgdeleg-cleanup.timer)" "active enabled"
equal "the server runs" "$(systemctl is-active cgdeleg-serve.socket cgdeleg-serve.service | tr '\n' ' ')" "active active "
equal "and is enabled" "$(systemctl is-enabled cgdeleg-serve.socket cgdeleg-serve.service | tr '\n' ' ')" "enabled enabled "
works "the cleanup runs" systemctl start cgdeleg-cleanup.service
equal "the timer of the metrics runs" "$(systemctl is-active cgdeleg-textfile.timer) $(systemctl is-enabled cgdeleg-textfile.timer)" "active enabled"

login first alice
scope=session-$(session_id first).scope
equal "a login is in its leaf" "$(cgroup_of_login unified first)" "/user.slice/user-1000.slice/$scope/init.scope"
works "check finds nothing wrong" in_login first "cgdeleg check --strict"
works "the metrics are written" systemctl start cgdeleg-textfile.service
like "the login is counted" "$(cat /srv/metrics/cgdeleg.prom)" '*cgdeleg_sessions{state="alive"} [1-9]*'
equal "everybody may read them" "$(stat -c %a /srv/metrics/cgdeleg.prom)" 644
logout first

play '{"cgdeleg_pam_options": "min_uid=1001 debug -c unified,memory", "cgdeleg_remove_pam_cgfs": true}'
like "a run with options works" "$recap" "*unreachable=0 failed=0*"
login second alice
equal "and a login has what they say" "$(cgroup_of_login unified second)" "/user.slice/user-1000.slice/session-$(session_id second).scope"
DEBIAN_FRONTEND=noninteractive pam-auth-update --package
# It sorts them: "-c LIST" would fall apart.
words='pam_cgdeleg.so -cunified,memory debug min_uid=1001'
equal "pam-auth-update keeps them" "$(grep -oh "$words" /etc/pam.d/common-session*)" "$words"$'\n'"$words"
logout second
finish
