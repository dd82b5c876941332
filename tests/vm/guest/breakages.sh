#!/bin/bash
# breakages.sh is what the scenarios of breakages are written in: what can be wrong with a
# machine on which c1, a container of alice's with a limit, starts from her login.
#
# A breakage NAME is a line of the table and functions: break_NAME does it. Where a file
# is all that it changes, `restore` undoes it, and else undo_NAME. The other two are what
# a person does who reads the fix that check prints: edit_NAME prints what is changed in
# the file that the fix names, for sed, and text_NAME does what the fix says in words
# alone.

box=/home/alice/.local/share/lxc/c1
snapshot=/run/snapshot.tar
limit=67108864

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	version=v2 hierarchy=unified limit_file=memory.max key=lxc.cgroup2.memory.max
	foreign_key=lxc.cgroup.memory.limit_in_bytes list=
	memory=/sys/fs/cgroup pids=/sys/fs/cgroup
else
	version=v1 hierarchy=memory limit_file=memory.limit_in_bytes key=lxc.cgroup.memory.limit_in_bytes
	foreign_key=lxc.cgroup2.memory.max list="-c freezer,memory,pids,name=openrc"
	if booted_systemd; then list="-c freezer,memory,pids,name=systemd"; fi
	memory=/sys/fs/cgroup/memory pids=/sys/fs/cgroup/pids
fi
if booted_systemd; then kind=systemd-$version; else kind=none-$version; fi

# --- the table --------------------------------------------------------------

names=()               # of the breakages that apply to this kind of machine
declare -A starts asks # by name: how the login comes, and the checks that find it
rows=0 everywhere=0    # rows of the table so far, and those for all machines

# breakage NAME KINDS LOGIN CHECK...: KINDS is a pattern. LOGIN is "new" where the
# breakage is one of the login, which has to be a new one, "same" where check and LXC read
# again what is broken, and "none" where it lets nobody in, so that root has to ask. The
# checks are those that say something from the breakage on until it is fixed, and no other
# may.
breakage() {
	local name=$1
	# shellcheck disable=SC2254 # a pattern
	case $kind in $2) ;; *) return ;; esac
	rows=$((rows + 1))
	if [ "$2" = '*' ]; then
		everywhere=$((everywhere + 1))
		if is_left_to_others; then return; fi
	fi
	names+=("$name")
	starts[$name]=$3
	shift 3
	asks[$name]=$*
}

# is_left_to_others: where half of the work is wanted (guest/half), half of what is tried
# on all machines is tried where there is no systemd, and the other half where there is:
# two of the table in turns, since there what the login lacks and what the user lacks take
# turns.
is_left_to_others() {
	[ -e /in/half ] || return 1
	case $kind in
	systemd-*) [ $((everywhere / 2 % 2)) = 0 ] ;;
	*) [ $((everywhere / 2 % 2)) = 1 ] ;;
	esac
}

# Neighbours are broken together in breakages-pairs.sh: one undoes nothing of the other, on
# any kind of machine.
breakage line_missing '*' new pam-line
breakage subuid_missing '*' same config-idmap
breakage line_commented '*' new pam-line
breakage subgid_missing '*' same config-idmap
breakage module_missing '*' new module
breakage subids_without_files '*' same config-idmap
breakage line_misspelt '*' new pam-line
breakage subuid_small '*' same config-idmap
breakage line_misspelt_and_required '*' none pam-line
breakage newuidmap_unprivileged '*' same idmap-tools
breakage sshd_without_pam '*' new session
breakage newgidmap_missing '*' same idmap-tools
breakage list_malformed '*' new hierarchies
breakage subuid_overlap '*' same subid-overlap
breakage min_uid '*' new pam-line
breakage idmap_of_others '*' same config-idmap
breakage list_without_memory '*-v1' new config-limits
breakage include_missing '*' same config
breakage delegate_missing systemd-v2 new delegation
breakage limit_of_other_version '*' same config-limits
breakage delegate_taken_away systemd-v2 new delegation
breakage idmap_missing '*' same config-idmap
breakage before_pam_systemd systemd-v2 new pam-order
breakage home_closed '*' same paths
breakage sshd_confined 'none-*' new session
breakage usernet_missing '*' same config-network
breakage processes_few none-v1 new limits
breakage cgroups_few none-v2 new limits
breakage rootfs_of_root '*' same config-rootfs
breakage user_closed 'none-*' new parents
breakage bridge_missing '*' same config-network
breakage cgroups_read_only none-v2 new mounts session
breakage home_noexec '*' same paths
breakage pam_cgfs_as_well '*' new pam-cgfs
breakage namespaces_none '*' same userns
breakage user_nic_unprivileged '*' same config-network
breakage namespaces_of_root '*' same userns
breakage pam_systemd_missing systemd-v2 new session
breakage prlimit_above_hard '*' same config
breakage logind_masked systemd-v2 new session
breakage keys_of_old '*' same config
breakage group_not_given '*' new config-idmap
breakage net_namespaces_none '*' same userns

# --- the breakages ----------------------------------------------------------

common=/etc/pam.d/common-session

break_line_missing() { sed -i /pam_cgdeleg/d /etc/pam.d/common-session*; }

break_line_commented() { sed -i 's/.*pam_cgdeleg/#&/' /etc/pam.d/common-session*; }

break_line_misspelt() { sed -i 's/pam_cgdeleg/pam_cgdelegg/' /etc/pam.d/common-session*; }

break_line_misspelt_and_required() {
	sed -i 's/optional\(.*\)pam_cgdeleg/required\1pam_cgdelegg/' /etc/pam.d/common-session*
}

break_module_missing() { rm "$(security_dir)/pam_cgdeleg.so"; }
text_module_missing() { install -m 644 /in/pam_cgdeleg.so "$(security_dir)/pam_cgdeleg.so"; }

break_sshd_without_pam() {
	sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config.d/machine.conf
	reread_sshd
}
edit_sshd_without_pam() { echo 's/^UsePAM .*/UsePAM yes/'; }
text_sshd_without_pam() { reread_sshd; }
undo_sshd_without_pam() { reread_sshd; }
reread_sshd() {
	local pid
	pid=$(cat /run/sshd.pid)
	kill -HUP "$pid"
	# It begins again with its program and its socket.
	sleep 0.5
	eventually "sshd reads its configuration again" nc_sshd
}
nc_sshd() { busybox nc -w 2 127.0.0.1 22 </dev/null | grep -q SSH; }

break_list_malformed() { module_options "-c all,memory"; }
edit_list_malformed() { echo "s/-c all,memory/$list/"; }

break_list_without_memory() { module_options "${list/memory,/}"; }
text_list_without_memory() { module_options "$list"; }

break_min_uid() { module_options "$list min_uid=2000"; }
edit_min_uid() { echo 's/min_uid=2000/min_uid=1000/'; }

break_before_pam_systemd() {
	local line
	line=$(grep pam_cgdeleg $common)
	sed -i "/pam_cgdeleg/d; /pam_systemd/i $line" $common
}
edit_before_pam_systemd() { printf '/pam_cgdeleg/{h;d}\n/pam_systemd/{p;x}\n'; }

break_pam_cgfs_as_well() { printf 'session\toptional\tpam_cgfs.so -c freezer\n' >>$common; }
edit_pam_cgfs_as_well() { echo /pam_cgfs/d; }

break_delegate_missing() { rm -r /usr/lib/systemd/system/session-.scope.d; systemctl daemon-reload; }
undo_delegate_missing() { systemctl daemon-reload; }

break_delegate_taken_away() {
	mkdir -p /etc/systemd/system/session-.scope.d
	printf '[Scope]\nDelegate=no\n' >/etc/systemd/system/session-.scope.d/90-site.conf
	systemctl daemon-reload
}
edit_delegate_taken_away() { echo /Delegate=no/d; }
undo_delegate_taken_away() { systemctl daemon-reload; }

# As an init that puts a service into a cgroup with limits.
break_sshd_confined() {
	mkdir $memory/limited
	echo 500M >$memory/limited/$limit_file
	cat /run/sshd.pid >$memory/limited/cgroup.procs
}
edit_sshd_confined() { echo 's/pam_cgdeleg.so/& confined=move/'; }
undo_sshd_confined() {
	cat /run/sshd.pid >$memory/cgroup.procs
	eventually "the cgroup of sshd's is empty" rmdir $memory/limited
}

break_processes_few() {
	mkdir -p $pids/user
	echo 30 >$pids/user/pids.max
}
undo_processes_few() { echo max >$pids/user/pids.max; }

# Enough for the session, and none for a container.
break_cgroups_few() {
	mkdir -p $pids/user
	echo 3 >$pids/user/cgroup.max.descendants
}
undo_cgroups_few() { echo max >$pids/user/cgroup.max.descendants; }

break_user_closed() {
	mkdir -p $memory/user
	chmod 700 $memory/user
}
undo_user_closed() { chmod 755 $memory/user; }

break_cgroups_read_only() { mount -o remount,bind,ro /sys/fs/cgroup; }
undo_cgroups_read_only() { mount -o remount,bind,rw /sys/fs/cgroup; }

break_subuid_missing() { sed -i /^alice:/d /etc/subuid; }

break_subgid_missing() { sed -i /^alice:/d /etc/subgid; }

break_subids_without_files() { rm /etc/subuid /etc/subgid; }

break_subuid_small() { sed -i '/^alice:/s/:65536$/:1000/' /etc/subuid; }

break_subuid_overlap() { sed -i 's/^bob:.*/bob:120000:65536/' /etc/subuid; }
edit_subuid_overlap() { echo 's/^bob:.*/bob:165536:65536/'; }

break_idmap_of_others() { sed -i 's/^\(lxc.idmap = .\) 0 100000/\1 0 165536/' $box/config; }
edit_idmap_of_others() { echo '/^lxc.idmap/s/ 165536 / 100000 /'; }

break_idmap_missing() { sed -i /^lxc.idmap/d $box/config; }

break_newuidmap_unprivileged() { chmod u-s /usr/bin/newuidmap; }

break_newgidmap_missing() { rm /usr/bin/newgidmap; }

break_limit_of_other_version() { sed -i "s/^$key /$foreign_key /" $box/config; }
edit_limit_of_other_version() { echo "s/^$foreign_key /$key /"; }

break_include_missing() { sed -i '1i lxc.include = /usr/share/lxc/config/nosuch.conf' $box/config; }
edit_include_missing() { echo /nosuch.conf/d; }

break_home_closed() { chmod 700 /home/alice; }

break_home_noexec() {
	mount --bind /home /home
	mount -o remount,bind,noexec /home
}
undo_home_noexec() { umount -l /home; }

break_rootfs_of_root() { chown -R root:root $box/rootfs; }
text_rootfs_of_root() { chown -R 100000:100000 $box/rootfs; }
undo_rootfs_of_root() { chown -R 100000:100000 $box/rootfs; }

break_namespaces_none() { sysctl -qw user.max_user_namespaces=0; }
undo_namespaces_none() { sysctl -qw user.max_user_namespaces=15000; }

break_namespaces_of_root() { sysctl -qw kernel.unprivileged_userns_clone=0; }
undo_namespaces_of_root() { sysctl -qw kernel.unprivileged_userns_clone=1; }

break_net_namespaces_none() { sysctl -qw user.max_net_namespaces=0; }
undo_net_namespaces_none() { sysctl -qw user.max_net_namespaces=15000; }

break_pam_systemd_missing() { sed -i /pam_systemd/d /etc/pam.d/common-session*; }

break_logind_masked() {
	systemctl mask systemd-logind.service 2>/dev/null
	systemctl stop systemd-logind.service
}
undo_logind_masked() { systemctl unmask systemd-logind.service 2>/dev/null; }

break_prlimit_above_hard() { echo 'lxc.prlimit.nofile = 1000000000' >>$box/config; }
edit_prlimit_above_hard() { echo /lxc.prlimit/d; }

break_keys_of_old() {
	sed -i 's/^lxc.idmap/lxc.id_map/' $box/config
	printf 'lxc.utsname = c1\nlxc.kmsg = 0\n' >>$box/config
}

# A container that has a device's group as itself.
break_group_not_given() {
	usermod -aG audio alice
	sed -i 's/^\(lxc.id_*map = g\) 0 100000 65536/\1 0 100000 29\n\1 29 29 1\n\1 30 100030 65506/' $box/config # also of old keys
}
undo_group_not_given() { gpasswd -d alice audio >/dev/null; }

# with_device BRIDGE: c1 with a network device on the bridge.
with_device() {
	sed -i /^lxc.net.0/d $box/config
	printf 'lxc.net.0.%s\n' 'type = veth' "link = $1" >>$box/config
}

break_usernet_missing() { with_device lxcbr0; }

break_bridge_missing() {
	with_device nosuch
	printf 'alice veth %s 10\n' lxcbr0 nosuch >/etc/lxc/lxc-usernet
}
edit_bridge_missing() { echo 's/nosuch$/lxcbr0/'; }

break_user_nic_unprivileged() {
	with_device lxcbr0
	echo 'alice veth lxcbr0 10' >/etc/lxc/lxc-usernet
	chmod u-s /usr/libexec/lxc/lxc-user-nic
}

# --- the machine ------------------------------------------------------------

# set_up makes the machine on which nothing is broken, and keeps its files.
set_up() {
	install_module "$list"
	if [ $kind = systemd-v2 ]; then
		install_dropin
		# LXC 6 would have its cgroups from it, and need no session.
		systemctl mask --runtime user@.service 2>/dev/null
	fi
	make_box alice c1 "$key = 64M"
	modprobe -a bridge veth
	ip link add lxcbr0 type bridge
	ip link set lxcbr0 up
	: >/etc/lxc/lxc-usernet
	make_archive
	make_editor
	tar -C / --no-recursion -cf $snapshot home/alice
	tar -C / -rf $snapshot etc/subuid etc/subgid etc/pam.d etc/ssh etc/lxc usr/bin/newuidmap usr/bin/newgidmap \
		usr/libexec/lxc/lxc-user-nic "$(security_dir | cut -c 2-)/pam_cgdeleg.so" "${box#/}/config"
	[ $kind != systemd-v2 ] || tar -C / -rf $snapshot usr/lib/systemd/system/session-.scope.d
}

restore() {
	rm -rf /etc/systemd/system/session-.scope.d
	tar -C / --same-permissions -xf $snapshot
}

# make_editor: "editor", as check calls the one that a person has chosen, does what the
# person means to do.
make_editor() {
	printf '#!/bin/sh\nexec sed -i -f /run/edits "$@"\n' >/usr/local/bin/editor
	chmod 755 /usr/local/bin/editor
}

# make_archive: what apt installs packages from, which here has one, made again of its
# files.
make_archive() {
	local dir=/var/archive file package
	package=$(mktemp -d)
	chmod 755 "$package"
	dpkg -L uidmap | while read -r file; do
		if [ -f "$file" ]; then echo "${file#/}"; fi
	done | tar -C / -cf - -T - | tar -C "$package" -xpf -
	mkdir -p $dir "$package/DEBIAN"
	dpkg-query -s uidmap | sed /^Status:/d >"$package/DEBIAN/control"
	dpkg-deb -Znone -b "$package" $dir/uidmap.deb >/dev/null
	{
		cat "$package/DEBIAN/control"
		echo "Filename: ./uidmap.deb"
		echo "Size: $(stat -c %s $dir/uidmap.deb)"
		echo "SHA256: $(sha256sum $dir/uidmap.deb | cut -d ' ' -f 1)"
	} >$dir/Packages
	rm -rf /etc/apt/sources.list.d
	echo "deb [trusted=yes] file:$dir ./" >/etc/apt/sources.list
	works "apt has an archive" apt-get -qq update
}

# --- what check says, and its fix --------------------------------------------

# findings LOGIN FILE: what check says in the login, by findings.pl; of a login that
# nobody can have what root is told.
findings() {
	if [ "$1" = none ]; then
		cgdeleg check --json --user alice --container c1
	else
		in_login "$1" "cgdeleg check --json --container c1"
	fi >/run/check.json 2>/run/check.stderr
	perl /in/findings.pl </run/check.json >"$2" || not_ok "check says something ($1)" "$(cat /run/check.stderr)"
}

# found FILE: the names of these checks.
found() { awk -F '\t' '$1 == "finding" {print $2}' "$1"; }

# apply LOGIN FILE NAME...: every command of the findings as it stands there, and for
# those of the breakages that the finding is about what its words say.
apply() {
	local login=$1 file=$2 what name who how line check='' n
	shift 2
	while IFS=$'\t' read -r what name who how line; do
		case $what in
		finding)
			check=$name
			: >/run/edits
			for n; do
				case " ${asks[$n]} " in *" $check "*) ;; *) continue ;; esac
				if declare -F "edit_$n" >/dev/null; then "edit_$n" >>/run/edits; fi
			done
			;;
		text) ;;
		command) run_line "$login" "$name" "$who" "$how" ;;
		esac
	done <"$file"
	for n; do
		for check in $(found "$file"); do
			case " ${asks[$n]} " in *" $check "*) ;; *) continue ;; esac
			if declare -F "text_$n" >/dev/null; then "text_$n"; fi
		done
	done
}

# run_line LOGIN WHO HOW LINE: but for an example, which has a word for a person to fill
# in.
run_line() {
	case $4 in *"'PID'"* | *"'NAME'"* | *"'COMMAND'"*) return ;; esac
	if [ "$2" = root ]; then
		works "fix: sudo $4" bash -c "yes | $4"
	else
		works "fix: $4" in_login "$1" "$4"
	fi
}

# wants_login FILE: the fix says so.
wants_login() { grep -qE '^text.*(log in again|next login)' "$1"; }

# --- the container ----------------------------------------------------------

# limited LOGIN: c1 starts, has its limit, and its init can write. It is stopped.
limited() {
	local pid got='' end
	rm -f $box/rootfs/tmp/ready
	if in_login "$1" "lxc-start -n c1 -l INFO -o /tmp/c1.log" 2>/dev/null; then
		pid=$(box_init "$1" c1)
		got=$(read_cgroup $hierarchy "$pid" $limit_file 2>/dev/null)
		end=$((SECONDS + 10))
		until [ "$got" != $limit ] || [ -e $box/rootfs/tmp/ready ] || [ $SECONDS -ge $end ]; do sleep 0.2; done
		in_login "$1" "lxc-stop -k -n c1" 2>/dev/null
		eventually "the monitor of c1 has ended ($1)" no_monitor c1
	fi
	echo "its limit is «$got»"
	grep -e ERROR /tmp/c1.log
	[ "$got" = $limit ] && [ -e $box/rootfs/tmp/ready ]
}

# --- a run ------------------------------------------------------------------

current='' # the login in which the next one may be looked at

leave_login() {
	case $current in '' | none) ;; *) logout "$current" ;; esac
	current=
}

# enter_login NAME: in place of the one that there was.
enter_login() {
	leave_login
	current=$1
	login "$1" alice
	in_login "$1" true && return
	ssh -S "$CONTROL/$1" -O exit login 2>/dev/null
	not_ok "alice has a login ($1)" "$(tail -n 3 /var/log/syslog 2>&1)"
	current=none
}

# try NAME...: breaks these at once. Check names the cause of each and nothing else, in
# one run or one after the other. What it prints is run, and c1 starts with its limit.
try() {
	local title="$*" name want=() seen=() is_new='' is_later='' file=/run/found round rounds=5 began=$SECONDS
	title=${title// / and }
	note "$title"
	for name; do
		"break_$name"
		# shellcheck disable=SC2206 # words
		want+=(${asks[$name]})
		case ${starts[$name]} in same) ;; *) is_new=${starts[$name]} ;; esac
	done
	for name; do if [ "${starts[$name]}" = none ]; then is_new=none; fi; done
	if [ "$is_new" = none ]; then
		leave_login
		lets_nobody_in "$title"
		current=none
	elif [ -n "$is_new" ] || [ -z "$current" ] || [ "$current" = none ]; then
		enter_login "${title// /-}"
	fi
	for ((round = 1; round <= rounds; round++)); do
		findings "$current" $file
		if ! [ -s $file ] || [ $round = $rounds ]; then break; fi
		mapfile -t -O ${#seen[@]} seen < <(found $file)
		if [ $round = 1 ] && [ "$current" != none ] && grep -q $'\tfailed$' $file; then
			fails "$title: c1 does not start with its limit" limited "$current"
		fi
		sed 's/^/# /' $file
		apply "$current" $file "$@"
		is_later=
		if [ "$current" = none ] || wants_login $file; then
			enter_login "${title// /-}-$((round + 1))"
			is_later=yes
		fi
	done
	equal "$title: check names it" "$(unique "${seen[@]}")" "$(unique "${want[@]}")"
	equal "$title: then it finds nothing" "$(cat $file)" ""
	works "$title: then c1 starts with its limit" limited "$current"
	if [ -n "$is_new" ] && [ -z "$is_later" ]; then
		enter_login "${title// /-}-later"
		findings "$current" $file
		equal "$title: nor in a later login" "$(cat $file)" ""
	fi
	restore
	for name; do
		if declare -F "undo_$name" >/dev/null; then "undo_$name"; fi
	done
	cgdeleg cleanup >/dev/null 2>&1
	note "$title took $((SECONDS - began)) s"
}

# lets_nobody_in TITLE: it takes the connection, and ends the session.
lets_nobody_in() {
	fails "$1: alice cannot log in" timeout "$PATIENCE" ssh -o BatchMode=yes -o KexAlgorithms=curve25519-sha256 alice@localhost true
}

unique() { printf '%s\n' "$@" | sort -u | paste -sd ' '; }

# as_it_was: nothing is broken, and nothing was left so.
as_it_was() {
	enter_login "$1"
	findings "$1" /run/found
	equal "nothing is wrong ($1)" "$(cat /run/found)" ""
	works "c1 starts with its limit ($1)" limited "$1"
}
