#!/bin/bash
# lib.sh is what scenarios are written in. A scenario runs as root in the
# machine, says "ok NAME" or "not ok NAME: EVIDENCE" for each thing that has to
# hold, and ends with `finish`. The test that started the machine reads these
# lines and nothing else; what a scenario prints beside them is for people.

failures=0
assertions=0
PATIENCE=${PATIENCE:-120} # seconds: bounds every wait for something that comes soon, but on a slow machine
CONTROL=${CONTROL:-/run/logins} # the sockets of ssh connections
mkdir -p "$CONTROL"

# --- assertions -------------------------------------------------------------

# ok NAME
ok() {
	assertions=$((assertions + 1))
	echo "ok $1"
}

# not_ok NAME EVIDENCE...: newlines in the evidence travel as \n.
not_ok() {
	local name=$1 evidence
	shift
	evidence="$*"
	evidence=${evidence//\\/\\\\}
	assertions=$((assertions + 1))
	failures=$((failures + 1))
	echo "not ok $name: ${evidence//$'\n'/\\n}"
}

# equal NAME GOT WANT
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got «$2», want «$3»"; fi
}

# like NAME GOT PATTERN: a pattern of case.
like() {
	# shellcheck disable=SC2254 # a pattern
	case $2 in
	$3) ok "$1" ;;
	*) not_ok "$1" "got «$2», want «$3»" ;;
	esac
}

# has_words NAME GOT WORD...: GOT is a list that has all of the words.
has_words() {
	local name=$1 got=$2 word missing=
	shift 2
	for word; do
		case " ${got//$'\n'/ } " in *" $word "*) ;; *) missing+=" $word" ;; esac
	done
	if [ -z "$missing" ]; then ok "$name"; else not_ok "$name" "«$got» lacks$missing"; fi
}

# works NAME COMMAND...: the evidence is what the command says.
works() {
	local name=$1 out status
	shift
	out=$("$@" 2>&1)
	status=$?
	if [ $status = 0 ]; then ok "$name"; else not_ok "$name" "$* ended with $status: $out"; fi
}

# fails NAME COMMAND...: the command must not work.
fails() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then not_ok "$name" "$* worked: $out"; else ok "$name"; fi
}

# eventually NAME COMMAND...: it works within PATIENCE seconds.
eventually() {
	local name=$1 out end=$((SECONDS + PATIENCE))
	shift
	until out=$("$@" 2>&1); do
		if [ $SECONDS -ge $end ]; then
			not_ok "$name" "after $PATIENCE s $* still fails: $out"
			return 1
		fi
		sleep 0.1
	done
	ok "$name"
}

# fails_quietly COMMAND...: for eventually.
fails_quietly() { ! "$@" >/dev/null 2>&1; }

# note TEXT: for people.
note() { echo "# $*"; }

# finish ends the scenario. Without it, it does not count as ended.
finish() {
	echo "end $assertions"
	[ "$failures" = 0 ]
	exit
}

# --- the module -------------------------------------------------------------

# install_module OPTIONS: the built module after pam_systemd, for every
# application, as pam-auth-update writes it.
install_module() {
	install -m 644 /in/pam_cgdeleg.so "$(security_dir)/pam_cgdeleg.so"
	install -m 755 /in/cgdeleg /usr/bin/cgdeleg
	install -D -m 755 /in/trylogin /usr/libexec/cgdeleg/trylogin
	session_line pam_cgdeleg.so "$1"
	tail -n 1 /etc/pam.d/common-session >>/etc/pam.d/common-session-noninteractive # sudo, cron, systemd-user
}

# install_dropin: what has systemd delegate logind's session scopes.
install_dropin() {
	cp -r /in/contrib/systemd/session-.scope.d /usr/lib/systemd/system/
	systemctl daemon-reload
}

# install_pam_cgfs OPTIONS: Debian's pam_cgfs in its place, for comparison.
install_pam_cgfs() {
	cp "$(find /opt/pam_cgfs -name pam_cgfs.so)" "$(security_dir)/"
	session_line pam_cgfs.so "$1"
}

security_dir() { dirname "$(find /lib/*/security /usr/lib/*/security -name pam_unix.so | head -n 1)"; }

session_line() { printf 'session\toptional\t%s %s\n' "$1" "$2" >>/etc/pam.d/common-session; }

# install_elogind: elogind, running, and its PAM module in place of
# pam_systemd, which would ask elogind for a second session: it takes
# /run/systemd/seats for a sign of logind. To be called before install_module.
install_elogind() {
	tar -C /opt/elogind -cf - . | tar -C / --keep-directory-symlink -xf -
	sed -i 's/pam_systemd\.so/pam_elogind.so/' /etc/pam.d/common-session
	mkdir -p /run/dbus
	dbus-daemon --system --fork
	"$(find /usr/lib/elogind /usr/libexec -name elogind -type f 2>/dev/null)" -D
	eventually "elogind runs" loginctl list-sessions
}

# module_log: what the module has said in the system's log.
module_log() {
	if booted_systemd; then journalctl --sync && journalctl --no-pager -o cat; else cat /var/log/syslog; fi | grep pam_cgdeleg
}

# module_options OPTIONS: from now on, in place of those of install_module.
module_options() { sed -i "s/\(pam_cgdeleg.so\).*/\1 $1/" /etc/pam.d/common-session*; }

# module_says COMMAND...: what the module logs while the command runs.
module_says() {
	local before
	before=$(module_log | wc -l)
	"$@" >/dev/null
	await_workers
	module_log | tail -n +$((before + 1)) | sed 's/.*pam_cgdeleg(/(/'
}

booted_systemd() { [ -d /run/systemd/system ]; }

# --- logins -----------------------------------------------------------------

# login NAME USER: an ssh login: one connection, and so one PAM session, in
# which `in_login NAME` runs any number of commands until `logout NAME`.
login() {
	local name=$1 user=$2
	# A key exchange that is quick under emulation, which ssh's own choice is not.
	works "$user logs in ($name)" timeout "$PATIENCE" ssh -o BatchMode=yes -o ServerAliveInterval=0 -o KexAlgorithms=curve25519-sha256 \
		-M -S "$CONTROL/$name" -N -f "$user@localhost"
	# A connection's command is answered when PAM's session is open, not before.
	login_application "$name" >"$CONTROL/$name.application"
}

# in_login NAME COMMAND: COMMAND is a command line for the user's shell.
in_login() { timeout "$((PATIENCE * 2))" ssh -S "$CONTROL/$1" -n login "$2"; }

# login_application NAME: the process that called PAM: sshd's privileged one, the
# parent of that from which the user's shell comes.
login_application() {
	local shell_parent
	# shellcheck disable=SC2016 # the shell of the login expands it
	shell_parent=$(in_login "$1" 'echo $PPID')
	ps -o ppid= -p "$shell_parent" | tr -d ' '
}

# logout NAME: returns when sshd has closed the session and ended, and nobody removes it
# any more.
logout() {
	local name=$1 application
	application=$(cat "$CONTROL/$name.application")
	ssh -S "$CONTROL/$name" -O exit login 2>/dev/null
	eventually "sshd has closed the session ($name)" gone "$application"
	await_workers
}

# await_workers: no worker of the module is left that nobody waits for.
await_workers() {
	local end=$((SECONDS + PATIENCE))
	while grep -qsx cgdeleg-close /proc/[0-9]*/comm && [ $SECONDS -lt $end ]; do sleep 0.1; done
}

gone() { ! [ -e "/proc/$1" ]; }

# terminal_login USER: login(1), started by root on a terminal; name and password
# are typed at its prompts. terminal_shell is then the shell's PID.
terminal_login() {
	rm -f /tmp/terminal.pid
	# exec: as under getty, login is the leader of its terminal's session
	coproc TERMINAL { exec timeout "$((PATIENCE * 4))" script -qefc 'exec /bin/login' /dev/null; }
	type_at 'login: ' "$1"
	type_at 'assword: ' "$1"
	# shellcheck disable=SC2016 # the shell of the login expands it
	type_at '$ ' 'echo $$ >/tmp/terminal.pid'
	eventually "$1 logs in (on a terminal)" test -s /tmp/terminal.pid
}

terminal_shell() { cat /tmp/terminal.pid; }

# type_at PROMPT TEXT: waits for the prompt, and types.
type_at() {
	local said='' c
	while [[ $said != *"$1" ]] && IFS= read -r -N 1 -t "$PATIENCE" c <&"${TERMINAL[0]}"; do said+=$c; done
	note "terminal: ${said//[^[:print:]]/ }"
	echo "$2" >&"${TERMINAL[1]}"
}

# terminal_logout: returns when login(1) has ended.
terminal_logout() {
	local terminal=$TERMINAL_PID
	echo exit >&"${TERMINAL[1]}"
	eventually "login has ended" gone "$terminal"
	await_workers
}

# session_id LOGIN: as logind calls it.
session_id() { in_login "$1" "echo \$XDG_SESSION_ID"; }

# logind_knows WHEN LOGIN: logind has the session, active, by its processes too.
logind_knows() {
	local id
	id=$(session_id "$2")
	equal "logind calls the session active ($1)" "$(loginctl show-session "$id" -p State --value 2>&1)" active
	equal "logind has the session's scope ($1)" "$(loginctl show-session "$id" -p Scope --value 2>&1)" "session-$id.scope"
	like "logind knows the session of a process of its own ($1)" \
		"$(in_login "$2" "loginctl session-status | head -n 1" 2>&1)" "$id - alice*"
}

# logout_of_logind LOGIN: logout, and logind has forgotten the session.
logout_of_logind() {
	local id
	id=$(session_id "$1")
	logout "$1"
	eventually "logind has closed the session ($1)" fails_quietly loginctl show-session "$id"
}

# elogind_knows WHEN LOGIN [USER]: elogind has the session, active, by its
# processes too.
elogind_knows() {
	local id pid
	id=$(session_id "$2")
	equal "elogind calls the session active ($1)" "$(loginctl show-session "$id" -p State --value 2>&1)" active
	like "elogind knows the session of a process of its own ($1)" \
		"$(in_login "$2" "loginctl session-status | head -n 1" 2>&1)" "$id - ${3:-alice}*"
	pid=$(login_application "$2")
	like "elogind knows the session of the application ($1)" "$(busctl call org.freedesktop.login1 /org/freedesktop/login1 \
		org.freedesktop.login1.Manager GetSessionByPID u "$pid" 2>&1)" "o \"/org/freedesktop/login1/session/*$id\""
}

# logout_of_elogind LOGIN: logout, and elogind has closed the session. Version 255
# does not always forget it then: elogind/elogind#297.
logout_of_elogind() {
	local id
	id=$(session_id "$1")
	logout "$1"
	eventually "elogind has closed the session ($1)" elogind_has_closed "$id"
}

elogind_has_closed() {
	case $(loginctl show-session "$1" -p State --value 2>/dev/null) in "" | closing) ;; *) return 1 ;; esac
}

# new_user USER [GROUP]: for fresh machines, with a key for `login`.
new_user() {
	local user=$1 group=${2:-}
	if ! [ -e /root/.ssh/id_ed25519 ]; then
		install -d -m 700 /root/.ssh
		ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
		printf 'localhost %s\n' "$(cat /etc/ssh/ssh_host_ed25519_key.pub)" >/root/.ssh/known_hosts
	fi
	useradd --create-home --shell /bin/bash "$user"
	install -d -o "$user" -m 700 "/home/$user/.ssh"
	install -o "$user" -m 600 /root/.ssh/id_ed25519.pub "/home/$user/.ssh/authorized_keys"
	if [ -n "$group" ]; then groupadd -f "$group" && usermod -aG "$group" "$user"; fi
}

# session_dir LOGIN: on v2, the cgroup above the login's leaf. owns_session LOGIN USER: it is
# the user's, who has it from the module.
session_dir() { dirname "$(mount_point unified)$(cgroup_of_login unified "$1")"; }
owns_session() { [ "$(stat -c %U "$(session_dir "$1")")" = "$2" ]; }

# --- cgroups ----------------------------------------------------------------

# cgroup_in HIERARCHY PID: the path in /proc/PID/cgroup. HIERARCHY is a
# controller, "name=X" or "unified".
cgroup_in() { path_of "$1" <"/proc/$2/cgroup"; }

# cgroup_of_login HIERARCHY LOGIN: that of a command in the login.
cgroup_of_login() { in_login "$2" "cat /proc/self/cgroup" | path_of "$1"; }

path_of() {
	local id names path
	while IFS=: read -r id names path; do
		if [ "$1" = unified ] && [ "$id:$names" = 0: ]; then echo "$path"; fi
		case ",$names," in *",$1,"*) echo "$path" ;; esac
	done
}

# mount_point HIERARCHY: where it is mounted.
mount_point() {
	local point type options
	while read -r _ point type options _; do
		case $type in
		cgroup2) [ "$1" = unified ] && echo "$point" && return ;;
		cgroup) case ",$options," in *",$1,"*) echo "$point" && return ;; esac ;;
		esac
	done </proc/mounts
	return 1
}

# read_cgroup HIERARCHY PID FILE: a file of the cgroup in which the process is.
read_cgroup() { cat "$(mount_point "$1")$(cgroup_in "$1" "$2")/$3"; }

# not_roots DIR: every file and folder below DIR that is not root's alone, as
# "OWNER:GROUP PATH".
not_roots() { (cd "$1" && find . \( ! -user root -o ! -group root \) -printf '%u:%g %P\n' | sort); }

# unwritable_delegate_files LOGIN DIR: as the login sees it, the files of
# /sys/kernel/cgroup/delegate in DIR that exist and that it may not write.
unwritable_delegate_files() {
	in_login "$1" "for f in \$(cat /sys/kernel/cgroup/delegate); do
		[ ! -e '$2'/\$f ] || [ -w '$2'/\$f ] || echo \$f; done; [ -w '$2' ] || echo ."
}

# --- containers -------------------------------------------------------------

# make_box USER NAME LINE...: an unprivileged container with nothing but
# busybox, the usual configuration of unprivileged users, and the lines.
make_box() {
	local user=$1 name=$2 home=/home/$1 first rootfs dir
	shift 2
	first=$(awk -F: -v user="$user" '$1 == user {print $2}' /etc/subuid)
	dir=$home/.local/share/lxc/$name
	rootfs=$dir/rootfs
	mkdir -p "$rootfs"/{bin,sbin,dev,proc,sys,tmp,etc}
	cp /bin/busybox "$rootfs/bin/"
	cat >"$rootfs/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		trap 'exit 0' PWR TERM
		echo ready >/tmp/ready
		while :; do /bin/busybox sleep 0.2; done
	INIT
	chmod 755 "$rootfs/sbin/init"
	cat >"$dir/config" <<-CONFIG
		lxc.include = /usr/share/lxc/config/common.conf
		lxc.include = /usr/share/lxc/config/userns.conf
		lxc.idmap = u 0 $first 65536
		lxc.idmap = g 0 $first 65536
		lxc.net.0.type = empty
		lxc.apparmor.profile = unconfined
		lxc.rootfs.path = dir:$rootfs
	CONFIG
	printf '%s\n' "$@" >>"$dir/config"
	chown -R "$user:" "$home/.local"
	chown -R "$first:$first" "$rootfs"
}

# start_box LOGIN BOX: lxc-start as a user types it. Where LXC finds no cgroup
# that it may write it starts the container without one, so look at box_init.
start_box() {
	works "lxc-start of $2 ($1)" in_login "$1" "lxc-start -n $2 -l INFO -o /tmp/$2.log || { grep -e ERROR -e WARN /tmp/$2.log; exit 1; }"
	eventually "$2 runs ($1)" box_ready "$1" "$2"
	cp "/tmp/$2.log" /out/ 2>/dev/null
}

box_ready() {
	local pid
	pid=$(box_init "$1" "$2") && [ -e "/proc/$pid/root/tmp/ready" ]
}

# box_init LOGIN BOX: the PID of the container's init.
box_init() { in_login "$1" "lxc-info -n $2 -pH"; }

# stop_box LOGIN BOX: and wait for the monitor, for which lxc-stop does not.
stop_box() {
	works "lxc-stop of $2 ($1)" in_login "$1" "lxc-stop -n $2"
	eventually "the monitor of $2 has ended ($1)" no_monitor "$2"
}

# make_limited_box USER NAME: with the limits that box_holds_v2 looks for.
make_limited_box() { make_box "$1" "$2" 'lxc.cgroup2.memory.max = 64M' 'lxc.cgroup2.pids.max = 33'; }

# box_holds_v2 WHEN LOGIN BOX CGROUP: the running container is in that cgroup,
# with controllers, with its limits, and LXC can use it.
box_holds_v2() {
	local when=$1 login=$2 box=$3 cgroup=$4 init
	init=$(box_init "$login" "$box")
	equal "the payload is in its cgroup ($when)" "$(cgroup_in unified "$init")" "$cgroup"
	has_words "the payload has controllers ($when)" "$(read_cgroup unified "$init" cgroup.controllers)" cpu memory pids
	equal "the payload's memory.max is the configuration's ($when)" "$(read_cgroup unified "$init" memory.max)" 67108864
	equal "the payload's pids.max is the configuration's ($when)" "$(read_cgroup unified "$init" pids.max)" 33
	works "lxc-cgroup ($when)" in_login "$login" "lxc-cgroup -n $box pids.max 40 && lxc-cgroup -n $box pids.max 33"
	# On v2 LXC puts what it attaches into a leaf of the payload's.
	equal "lxc-attach is in the container ($when)" \
		"$(in_login "$login" "lxc-attach -n $box -- /bin/busybox cat /proc/self/cgroup" 2>&1)" 0::/.lxc
	works "lxc-freeze ($when)" in_login "$login" "lxc-freeze -n $box"
	has_words "freezes ($when)" "$(read_cgroup unified "$init" cgroup.events)" "frozen 1"
	works "lxc-unfreeze ($when)" in_login "$login" "lxc-unfreeze -n $box"
	has_words "thaws ($when)" "$(read_cgroup unified "$init" cgroup.events)" "frozen 0"
}

no_monitor() { ! pgrep -f "^\[lxc monitor\] .* $1\$"; }

# --- podman -----------------------------------------------------------------

# run_podman LOGIN NAME: a container of 64 MiB and 33 processes at most, from a
# root file system with nothing but busybox, by podman's own cgroup code.
run_podman() {
	local login=$1 name=$2 rootfs
	rootfs=$(in_login "$login" "mkdir -p ~/$name/bin ~/$name/proc ~/$name/sys ~/$name/dev ~/$name/tmp ~/$name/etc ~/$name/run &&
		cp /bin/busybox ~/$name/bin/ && echo ~/$name")
	works "podman run of $name ($login)" in_login "$login" "podman --cgroup-manager=cgroupfs run -d --name $name \
		-m 64m --pids-limit 33 --network=none --rootfs $rootfs /bin/busybox sleep 1000"
}

podman_init() { in_login "$1" "podman --cgroup-manager=cgroupfs inspect -f '{{.State.Pid}}' $2"; }

# podman_holds LOGIN NAME: the limits of run_podman are there.
podman_holds() {
	local init
	init=$(podman_init "$1" "$2")
	has_words "$2 has controllers" "$(read_cgroup unified "$init" cgroup.controllers)" cpu memory pids
	equal "$2 has its memory.max" "$(read_cgroup unified "$init" memory.max)" 67108864
	equal "$2 has its pids.max" "$(read_cgroup unified "$init" pids.max)" 33
	works "podman exec in $2" in_login "$1" "podman --cgroup-manager=cgroupfs exec $2 /bin/busybox true"
}

# stop_podman LOGIN NAME: the container, and then the process with which podman
# keeps the user's namespace and which would keep the session over the logout.
stop_podman() {
	works "podman rm of $2" in_login "$1" "podman --cgroup-manager=cgroupfs rm -f -t 0 $2"
	works "podman ends its pause process" in_login "$1" "podman --cgroup-manager=cgroupfs system migrate"
}
