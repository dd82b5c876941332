#!/bin/bash
# nested.sh is what scenarios with LXC in an unprivileged LXC container are
# written in: user-parent, a container of alice's, in which ubuntu starts
# user-child.

parent=/home/alice/.local/share/lxc/user-parent
first=300000 # of alice's subordinate IDs, enough for a container in a container

# make_parent INIT LINE...: user-parent has the machine's /usr, and a copy of its
# /etc as it is now: with the module's line in its PAM files, if they have it.
make_parent() {
	local init=$1 rootfs=$parent/rootfs
	shift
	sed -i "s/^alice:.*/alice:$first:131072/" /etc/subuid /etc/subgid
	make_box alice user-parent 'lxc.include = /usr/share/lxc/config/nesting.conf' \
		'lxc.apparmor.profile = unconfined' "lxc.init.cmd = $init" "$@"
	sed -i "s/$first 65536/$first 131072/" $parent/config
	rm -r $rootfs
	mkdir -p $rootfs/{dev,proc,sys,tmp,run,root,var/log,var/lib,var/tmp,usr,local/bin,home/ubuntu/.ssh}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 $rootfs/
	cp -a /etc $rootfs/
	rm -f $rootfs/etc/systemd/system/multi-user.target.wants/run-scenario.service
	ln -sf /dev/null $rootfs/etc/systemd/system/sys-kernel-config.mount # no container may mount that
	echo user-parent >$rootfs/etc/hostname
	sed -i 's/^alice:/ubuntu:/; s,/home/alice:,/home/ubuntu:,' $rootfs/etc/passwd $rootfs/etc/group $rootfs/etc/shadow
	echo ubuntu:65536:65536 | tee $rootfs/etc/subuid >$rootfs/etc/subgid
	cp /usr/bin/newuidmap /usr/bin/newgidmap $rootfs/local/bin/
	cp /home/alice/.ssh/authorized_keys $rootfs/home/ubuntu/.ssh/
	parent_init >$rootfs/etc/init
	chmod 755 $rootfs/etc/init
	chown -Rh $first:$first $rootfs
	chown -R $((first + 1000)):$((first + 1000)) $rootfs/home/ubuntu
	chmod 4755 $rootfs/local/bin/*
	chmod 1777 $rootfs/tmp $rootfs/var/tmp
	mount --bind /usr $rootfs/usr
	mount --make-private $rootfs/usr # or else what is mounted in it is mounted in /usr, too
	mount -o remount,bind,ro $rootfs/usr
	mount --bind $rootfs/local/bin $rootfs/usr/local/bin
	# alice logs in there by ssh, through the container's loopback interface
	cp /root/.ssh/id_ed25519 /home/alice/.ssh/
	cat >/home/alice/.ssh/config <<-'CONFIG'
		Host user-parent
		User ubuntu
		BatchMode yes
		LogLevel ERROR
		StrictHostKeyChecking accept-new
		KexAlgorithms curve25519-sha256
		ControlPath ~/.ssh/inside
		ProxyCommand lxc-attach -n user-parent -- /bin/busybox nc 127.0.0.1 22
	CONFIG
	chown -R alice: /home/alice/.ssh
}

# parent_init: an init that is not systemd's. It mounts the cgroups if LXC did
# not, and leaves their root for a leaf, as OpenRC's does: LEAF is empty for one
# that stays. An sshd, and login(1) on a terminal.
parent_init() {
	cat <<-INIT
		#!/bin/busybox sh
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		umask 022 # and not that of who started the container: sshd wants its folder so
		trap 'exit 0' PWR TERM
		[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
		if [ -n "$LEAF" ]; then
			mkdir "/sys/fs/cgroup/$LEAF" && echo 1 >"/sys/fs/cgroup/$LEAF/cgroup.procs"
		fi
		mkdir -p /run/sshd /run/lock
		busybox ip link set lo up
		/usr/sbin/sshd -E /var/log/sshd.log
		[ ! -e /etc/boot ] || sh /etc/boot >/var/log/boot.log 2>&1 &
		while :; do
			busybox setsid agetty --noclear tty1 vt220
			sleep 1
		done &
		echo ready >/tmp/ready
		while :; do busybox sleep 0.2; done
	INIT
}

# make_child LINE...: user-child of ubuntu, with the limits that box_holds_v2
# looks for.
make_child() {
	local home=$parent/rootfs/home/ubuntu made=/home/bob/.local/share/lxc/user-child
	make_limited_box bob user-child # and not alice, all of whose files that gives to her
	printf '%s\n' "$@" >>$made/config
	sed -i 's,/home/bob,/home/ubuntu,; s/ 0 [0-9]* 65536$/ 0 65536 65536/' $made/config
	mkdir -p $home/.local/share/lxc
	mv $made $home/.local/share/lxc/
	chown -R $((first + 1000)):$((first + 1000)) $home/.local
	chown -R $((first + 65536)):$((first + 65536)) $home/.local/share/lxc/user-child/rootfs
}

# enter LOGIN: ubuntu logs in by ssh in user-parent, from that login, for
# in_login inside.
enter() {
	inside_of=$1
	eventually "ubuntu logs in by ssh in user-parent" in_login "$1" "ssh -MNf user-parent >/dev/null 2>&1" ||
		note "its sshd: $(cat "$parent/rootfs/var/log/sshd.log"; ls -ldn "$parent"/rootfs/{,etc/ssh/*,run/sshd} 2>&1)"
	in_login inside true
}

# leave: the login's end.
leave() { in_login "$inside_of" "ssh -O exit user-parent 2>/dev/null"; }

# The login "inside" is that of enter.
eval "$(declare -f in_login | sed '1s/in_login/in_login_here/')"
in_login() {
	if [ "$1" = inside ]; then
		in_login_here "$inside_of" "ssh -n user-parent $(printf %q "$2")"
	else
		in_login_here "$@"
	fi
}

# box_init LOGIN BOX: as the machine has it, wherever LXC runs.
box_init() {
	local inner
	inner=$(in_login "$1" "lxc-info -n $2 -pH") && [ -n "$inner" ] || return
	if [ "$1" = inside ]; then
		inner=$(grep -slE "^NSpid:.*[[:space:]]${inner}[[:space:]]1\$" /proc/[0-9]*/status | tr -dc '0-9\n')
	fi
	[ -n "$inner" ] && echo "$inner"
}

# console_login FILE COMMAND: ubuntu logs in on user-parent's first terminal by
# lxc-console, runs the command with its output in ~/FILE, and logs out.
console_login() {
	# shellcheck disable=SC2034 # type_at uses it
	coproc TERMINAL { exec timeout "$((PATIENCE * 2))" ssh -tt -S "$CONTROL/$inside_of" login "lxc-console -n user-parent -t 1"; }
	local terminal=$TERMINAL_PID
	type_at 'Ctrl+a itself' ''
	type_at 'login: ' ubuntu
	type_at 'assword: ' alice # as on the machine
	type_at '$ ' "{ $2; } >~/$1 2>&1; exit"
	type_at 'login: ' $'\001q'
	eventually "lxc-console ends" gone "$terminal"
}

# three_views OUTER INNER: child's place, from the machine, from user-parent and
# from itself. OUTER is user-parent's cgroup, INNER user-child's in that.
three_views() {
	local init host inner deep
	init=$(box_init inside user-child)
	host=$(cgroup_in unified "$init")
	inner=$(in_login inside "cat /proc/\$(lxc-info -n user-child -pH)/cgroup" | path_of unified)
	deep=$(in_login inside "lxc-attach -n user-child -- /bin/busybox cat /proc/1/cgroup" | path_of unified)
	note "host: $host"
	note "user-parent: $inner"
	note "user-child: $deep"
	equal "user-child's place from the host" "$host" "$1$2"
	equal "user-child's place from user-parent" "$inner" "$2"
	equal "user-child's place from user-child" "$deep" /
	note "IDs of user-child's from the host: $(tr -s ' \n' ' ' <"/proc/$init/uid_map")"
}

# child_is_bounded: user-child's memory limit holds.
child_is_bounded() {
	local init
	init=$(box_init inside user-child)
	fails "a process that takes more than user-child's limit is killed" \
		in_login inside "lxc-attach -n user-child -- /bin/busybox dd if=/dev/zero of=/dev/null count=1 bs=100M"
	like "for that limit" "$(read_cgroup unified "$init" memory.events)" "*oom_kill [1-9]*"
	works "which user-child outlives" in_login inside "lxc-attach -n user-child -- /bin/busybox dd if=/dev/zero of=/dev/null count=1 bs=16M"
}

# parent_freezes_child LOGIN
parent_freezes_child() {
	local init
	init=$(box_init inside user-child)
	works "lxc-freeze of user-parent" in_login "$1" "lxc-freeze -n user-parent"
	has_words "freezes user-child" "$(read_cgroup unified "$init" cgroup.events)" "frozen 1"
	equal "which is not frozen for itself" "$(read_cgroup unified "$init" cgroup.freeze)" 0
	works "lxc-unfreeze of user-parent" in_login "$1" "lxc-unfreeze -n user-parent"
	has_words "thaws user-child" "$(read_cgroup unified "$init" cgroup.events)" "frozen 0"
}
