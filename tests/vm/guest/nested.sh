#!/bin/bash
# nested.sh is what scenarios with LXC in an unprivileged LXC container are
# written in: user-parent, a container of alice's, in which ubuntu starts
# user-child.

parent=/home/alice/.local/share/lxc/user-parent
first=300000 # of alice's subordinate IDs, enough for a container in a container

# Of the module in these scenarios: an emulated machine with other work can take
# more than the usual five seconds for a session.
# shellcheck disable=SC2034 # the scenarios use it
patient=timeout=60

# make_parent INIT LINE...: user-parent has the machine's /usr, and a copy of its
# /etc as it is now: with the module's line in its PAM files, if they have it.
make_parent() {
	local init=$1 rootfs=$parent/rootfs
	shift
	give_ids
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

give_ids() { sed -i "s/^alice:.*/alice:$first:131072/" /etc/subuid /etc/subgid; }

# parent_init: an init that is not systemd's. It mounts the cgroups if LXC did
# not, and leaves their root for a leaf, as OpenRC's does: LEAF is empty for one
# that stays. An sshd, and login(1) on a terminal.
parent_init() {
	cat <<-INIT
		#!/bin/busybox sh
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		umask 022 # and not that of who started the container: sshd wants its folder so
		trap 'exit 0' PWR TERM
		[ -e /sys/fs/cgroup/cgroup.procs ] || [ -e /sys/fs/cgroup/memory ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
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
		inner=$(grep -slE "^NSpid:[[:space:]][0-9]+[[:space:]]${inner}[[:space:]]1\$" /proc/[0-9]*/status | tr -dc '0-9\n')
	fi
	[ -n "$inner" ] && echo "$inner"
}

# console_login TTY FILE COMMAND: ubuntu logs in on that terminal of user-parent
# by lxc-console, runs the command with its output in ~/FILE, and logs out. The
# terminal 0 is the console.
console_login() {
	# shellcheck disable=SC2034 # type_at uses it
	coproc TERMINAL { exec timeout "$((PATIENCE * 2))" ssh -tt -S "$CONTROL/$inside_of" login "lxc-console -n user-parent -t $1"; }
	local terminal=$TERMINAL_PID
	type_at 'Ctrl+a itself' ''
	type_at 'login: ' ubuntu
	type_at 'assword: ' alice # as on the machine
	type_at '$ ' "{ $3; } >~/$2 2>&1; exit"
	type_at 'login: ' $'\001q'
	eventually "lxc-console ends" gone "$terminal"
}

# child_starts_by_other_ways LOGIN: where the module is in user-parent and its init is
# not systemd, ubuntu logs in there by lxc-console, and by lxc-attach and su from
# LOGIN, and each time starts user-child in that login's session.
child_starts_by_other_ways() {
	local way said own start
	# shellcheck disable=SC2016 # the shells there expand it
	start='lxc-start -n user-child && cat /proc/self/cgroup'
	for way in lxc-console "lxc-attach and su"; do
		case $way in
		lxc-console) console_login 1 said "$start" && said=$(cat $parent/rootfs/home/ubuntu/said) ;;
		*) said=$(in_login "$1" "lxc-attach -n user-parent -- su - ubuntu -c '$start'" 2>&1) ;;
		esac
		like "the login is in its session's leaf ($way)" "$said" "0::/user/ubuntu/*/init.scope"
		enter "$1"
		eventually "user-child runs ($way)" box_ready inside user-child
		own=${said#0::}
		box_holds_v2 "by $way" inside user-child "$top${own%/init.scope}/lxc.payload.user-child"
		stop_box inside user-child
		leave
	done
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

# copies_hold PLACE: a copy and a snapshot of user-child have its limits in
# cgroups of their own. PLACE BOX sets place to where BOX is in user-parent, whose
# cgroup is top.
copies_hold() {
	local box
	works "lxc-copy" in_login inside "lxc-copy -n user-child -N user-copy"
	works "lxc-snapshot" in_login inside "lxc-snapshot -n user-child && lxc-snapshot -n user-child -r snap0 -N restored"
	for box in user-copy restored; do
		start_box inside $box
		"$1" $box
		# shellcheck disable=SC2154 # the scenario sets them
		box_holds_v2 "$box" inside $box "$top$place"
		stop_box inside $box
	done
}

# make_auto_boxes NAME...: limited boxes of alice's that start when the machine
# boots. To be called before make_parent: make_box gives all of alice's files to
# her.
make_auto_boxes() {
	local box
	give_ids
	for box; do
		make_limited_box alice "$box"
		echo "lxc.start.auto = 1" >>"/home/alice/.local/share/lxc/$box/config"
	done
}

# as_user USER COMMAND...: without a login.
as_user() {
	local user=$1
	shift
	runuser -u "$user" -- env "HOME=/home/$user" "$@"
}

# child_init: the PID of user-child's init, whom nobody has to ask for it.
child_init() { pgrep -f '^/bin/busybox sh /sbin/init$' -U $((first + 65536)); }

# --- systemd as user-parent's init ------------------------------------------

user=/user.slice/user-1000.slice # of alice's on the machine, and of ubuntu's in user-parent
case $(lxc-start --version) in 5*) asks='' ;; *) asks=systemd ;; esac # LXC 6 does, the user manager

# in_parent COMMAND: as its root, from the login that the scenario set alice to.
# shellcheck disable=SC2154
in_parent() { in_login "$alice" "lxc-attach -n user-parent -- $1" 2>&1; }
is_up() { case $(in_parent "systemctl is-system-running") in running | degraded) ;; *) return 1 ;; esac }

# boot_parent: and sets top to its cgroup.
boot_parent() {
	works "lxc-start of user-parent" in_login "$alice" "lxc-start -n user-parent -l INFO -o /tmp/user-parent.log"
	PATIENCE=300 eventually "systemd in user-parent has booted" is_up
	note "failed units: $(in_parent "systemctl --failed --no-legend --plain")"
	equal "to running" "$(in_parent "systemctl is-system-running")" running
	top=$(cgroup_in unified "$(box_init "$alice" user-parent)")
	top=${top%/init.scope}
}

# scope_of WAY CGROUP: that of a login sets scope.
scope_of() {
	like "the login is in the leaf of a scope of the container's logind ($1)" "$2" "$user/session-*.scope/init.scope"
	scope=${2%/init.scope}
}

# place_of BOX: sets place to where that is which was started from scope.
place_of() {
	place=$(cgroup_in unified "$(box_init inside "$1")")
	place=${place#"$top"}
	if [ -n "$asks" ]; then
		like "$1 is in a scope of the container's user manager" "$place" "$user/user@1000.service/app.slice/lxc-$1-*.scope/lxc.payload.$1"
	else
		equal "$1 is in the login's scope" "$place" "$scope/lxc.payload.$1"
	fi
}
