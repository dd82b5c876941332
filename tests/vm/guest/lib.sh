#!/bin/bash
# lib.sh is what scenarios are written in. A scenario runs as root in the
# machine, says "ok NAME" or "not ok NAME: EVIDENCE" for each thing that has to
# hold, and ends with `finish`. The test that started the machine reads these
# lines and nothing else; what a scenario prints beside them is for people.

failures=0
assertions=0
PATIENCE=${PATIENCE:-30} # seconds: bounds every wait for something that comes soon
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

# install_module OPTIONS: the built module behind pam_systemd, for every host.
install_module() {
	install -m 644 /in/pam_cgdeleg.so "$(security_dir)/pam_cgdeleg.so"
	install -m 755 /in/cgdeleg /usr/bin/cgdeleg
	session_line pam_cgdeleg.so "$1"
}

# install_pam_cgfs OPTIONS: Debian's pam_cgfs in its place, for comparison.
install_pam_cgfs() {
	cp "$(find /opt/pam_cgfs -name pam_cgfs.so)" "$(security_dir)/"
	session_line pam_cgfs.so "$1"
}

security_dir() { dirname "$(find /lib/*/security /usr/lib/*/security -name pam_unix.so | head -n 1)"; }

session_line() { printf 'session\toptional\t%s %s\n' "$1" "$2" >>/etc/pam.d/common-session; }

# module_log: what the module has said in the system's log.
module_log() {
	if booted_systemd; then journalctl --no-pager -o cat; else cat /var/log/syslog; fi | grep pam_cgdeleg
}

booted_systemd() { [ -d /run/systemd/system ]; }

# --- logins -----------------------------------------------------------------

# login NAME USER: an ssh login: one connection, and so one PAM session, in
# which `in_login NAME` runs any number of commands until `logout NAME`.
login() {
	local name=$1 user=$2
	works "$user logs in ($name)" timeout "$PATIENCE" ssh -o BatchMode=yes -o ServerAliveInterval=0 \
		-M -S "$CONTROL/$name" -N -f "$user@localhost"
	# A connection's command is answered when PAM's session is open, not before.
	login_host "$name" >"$CONTROL/$name.host"
}

# in_login NAME COMMAND: COMMAND is a command line for the user's shell.
in_login() { timeout "$((PATIENCE * 2))" ssh -S "$CONTROL/$1" -n login "$2"; }

# login_host NAME: the process that called PAM: sshd's privileged one, the
# parent of that from which the user's shell comes.
login_host() {
	local shell_parent
	# shellcheck disable=SC2016 # the shell of the login expands it
	shell_parent=$(in_login "$1" 'echo $PPID')
	ps -o ppid= -p "$shell_parent" | tr -d ' '
}

# logout NAME: returns when sshd has closed the session and ended.
logout() {
	local name=$1 host
	host=$(cat "$CONTROL/$name.host")
	ssh -S "$CONTROL/$name" -O exit login 2>/dev/null
	eventually "sshd has closed the session ($name)" gone "$host"
}

gone() { ! [ -e "/proc/$1" ]; }

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

no_monitor() { ! pgrep -f "^\[lxc monitor\] .* $1\$"; }
