#!/bin/bash
# What cgdeleg check says of a login, and that its fix works: under systemd on
# cgroup v2 the drop-in is missing first. The reports that are left in /out are
# recorded machines to test over.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid
# limit: 480

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	h=unified memory=memory.max list=
	make_limited_box alice c1
else
	h=memory memory=memory.limit_in_bytes list="-c freezer,memory,name=openrc"
	if booted_systemd; then list="-c freezer,memory,name=systemd"; fi
	make_box alice c1 'lxc.cgroup.memory.limit_in_bytes = 64M'
fi

# report LOGIN NAME: what check reads, kept.
report() {
	works "cgdeleg report ($2)" in_login "$1" "cgdeleg report --container c1 /tmp/$2"
	equal "and check says the same of it ($2)" \
		"$(cgdeleg --root "/tmp/$2" check --json --container c1)" "$(in_login "$1" "cgdeleg check --json --container c1")"
	cp -r "/tmp/$2" /out/
}

install_module "$list"
if booted_systemd && [ $h = unified ]; then
	login stock alice
	scope=session-$(session_id stock).scope
	equal "check names the missing drop-in, and nothing else" "$(in_login stock "cgdeleg check -q --container c1" | cut -d: -f1)" "CGD-020 delegation"
	report stock no-dropin
	start_box stock c1
	equal "a container starts, but without its limit" "$(read_cgroup unified "$(box_init stock c1)" memory.max)" max
	stop_box stock c1
	fails "nor does a login that is tried get more (exit code)" cgdeleg try alice
	like "a user is told that root has to fix it" "$(in_login stock "cgdeleg fix delegation --yes" 2>&1)" "*needs root*"
	works "root runs the fix" cgdeleg fix delegation --yes --pid "$(in_login stock "echo \$PPID")"
	works "the drop-in is there" test -e /etc/systemd/system/session-.scope.d/50-cgdeleg.conf
	equal "systemd knows it" "$(systemctl show -P Delegate "$scope")" yes
	logout_of_logind stock
fi

tried=$(cgdeleg try alice 2>&1)
like "a login that is tried can limit" "$tried" "*A login of alice by sshd can make cgroups, and limit them by*memory*"
like "and its session was closed" "$tried" "*close   Success*"
login first alice
equal "check finds nothing wrong" "$(in_login first "cgdeleg check -q --container c1")" ""
works "by its exit code too" in_login first "cgdeleg check --strict"
works "a cgroup can be made" in_login first "cgdeleg check --probe probe"
equal "and is gone" "$(in_login first "find \$(cgdeleg check --json session | sed -n 's/.*\"path\": \"\(.*\)\".*/\1/p') -name 'probe-*'")" ""
report first delegated
start_box first c1
init=$(box_init first c1)
equal "the container has its limit" "$(read_cgroup $h "$init" $memory)" 67108864

# In the container, where user 1000 is no user's login.
rootfs=/home/alice/.local/share/lxc/c1/rootfs
install -m 755 /usr/bin/cgdeleg $rootfs/bin/cgdeleg
chmod 1777 $rootfs/tmp
in_container="lxc-attach -n c1 --clear-env -u 1000 -g 1000 --"
like "check in the container names what is missing" "$(in_login first "$in_container /bin/cgdeleg check -q" 2>&1)" "*CGD-0*fix:*"
works "cgdeleg report in the container" in_login first "$in_container /bin/cgdeleg report /tmp/in-container"
cp -r $rootfs/tmp/in-container /out/
stop_box first c1
logout first
finish
