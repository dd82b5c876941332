#!/bin/bash
# `cgdeleg serve` as a service, with systemd by its hardened units, elsewhere by runit's
# script: a login that it answers has what one by a worker has, in every hierarchy and
# to the owner and mode of each file; and where it is stopped, killed or cannot run a
# login is as without it.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid trixie-systemd-v2 bookworm-no-systemd-v2 bookworm-no-systemd-hybrid
# limit: 1200

unit=cgdeleg-serve
socket=/run/cgdeleg/serve.sock
hybrid=
grep -q '^[1-9]' /proc/self/cgroup && hybrid=yes
install_module "debug timeout=60" # an emulated machine that starts services is slow
if booted_systemd; then
	install_dropin
	install -m 644 /in/contrib/systemd/$unit.* /usr/lib/systemd/system/
	systemctl daemon-reload
fi

# named NAME POINT: another hierarchy, mounted where nobody expects one. As long as it has
# a cgroup it is the same when it is mounted once more.
named() {
	mkdir -p "$2"
	works "there is a hierarchy at $2" mount -t cgroup -o "none,name=$1" "$1" "$2"
}

# start, stop and the rest: of the service, whoever runs it.
server() {
	if booted_systemd; then
		systemctl show -p MainPID --value $unit
	else
		pgrep -x cgdeleg
	fi
}
can_be_asked() { [ -S $socket ] && [ "$(server)" -gt 0 ]; }
start() {
	if booted_systemd; then
		works "the socket and the service are started" systemctl start $unit.socket $unit.service
	else
		(cd /in/contrib/runit/$unit && exec setsid sh ./run >>/out/said 2>&1 </dev/null) &
	fi
	eventually "the server can be asked" can_be_asked
}
stop() {
	local pid
	pid=$(server)
	if booted_systemd; then
		works "the socket is stopped" systemctl stop $unit.socket
	else
		kill "$pid"
	fi
	eventually "the server has ended" gone "$pid"
	fails "and the socket is gone" test -e $socket
}
said() { if booted_systemd; then journalctl --sync && journalctl --no-pager -o cat -u $unit; else cat /out/said; fi; }
has_said() { said | grep -qF "$1"; }

# cgroups_of LOGIN: every cgroup in which the login is, every file in the session's and
# the leaf's directory with its owner and mode, and what can be done with them. Sessions
# of logind are called N.
cgroups_of() {
	local names path hierarchy point
	in_login "$1" 'cat /proc/self/cgroup' | while IFS=: read -r _ names path; do
		echo "$names: $path"
		hierarchy=${names%%,*}
		point=$(mount_point "${hierarchy:-unified}")
		path=${path%/init.scope}
		(cd "$point$path" && find . -maxdepth 1 -printf '%p %y %U:%G %m\n' -o -path './init.scope/*' -printf '%p %y %U:%G %m\n')
		[ ! -d "$point$path/init.scope" ] || (cd "$point$path/init.scope" && find . -printf 'init.scope %p %y %U:%G %m\n')
		(cd "$point$path" && grep -s . cgroup.controllers cgroup.subtree_control cgroup.type cpuset.cpus cpuset.mems ../cgroup.subtree_control)
		stat -c "$point/user %n %U:%G %a" "$point/user" "$point/user/alice" "$point/user/alice/cgroup.procs" 2>/dev/null
	done | sed -E 's/session-c?[0-9]+\.scope/session-N.scope/g' | sort
}

# served LOGIN: a login of alice's that the server opens. An emulated machine may need
# more than the 50 ms that it has for that: then another one.
served() {
	local tries=0 lines bytes
	until
		lines=$(said | wc -l)
		bytes=$(written)
		login "$1" alice
		tries=$((tries + 1))
		has_answered || [ $tries = 8 ]
	do
		note "the server was too late: $(said | tail -n 1)"
		bye "$1"
	done
	works "the server opens the session ($1)" has_answered
}
# An answer is a ticket and more. Who did not listen any more is complained of, and has
# been sent nothing.
has_answered() { [ "$(written)" -ge $((bytes + 100)) ] && [ "$(said | wc -l)" = "$lines" ]; }
written() { sed -n 's/^wchar: //p' "/proc/$(server)/io"; }

# has_it_all WHEN LOGIN: the login has what the one by a worker had.
has_it_all() {
	cgroups_of "$2" >"/out/$2"
	equal "a login has what one by a worker has ($1)" "$(diff "/out/worker" "/out/$2")" ""
}

# bye LOGIN: the server closes sessions when the application has gone on, as workers do.
bye() {
	if booted_systemd; then logout_of_logind "$1"; else logout "$1"; fi
	eventually "its session is gone ($1)" fails_quietly test -e "$tree/user/alice"
}

# as_without WHEN LOGIN: a login that the server has no part in.
as_without() {
	login "$2" alice
	has_it_all "$1" "$2"
	bye "$2"
}

# of_su: where su puts bob.
of_su() { su - bob -c 'cat /proc/self/cgroup' | sed -E 's/session-c?[0-9]+/session-N/'; }

if [ -n "$hybrid" ]; then tree=$(mount_point freezer); else tree=$(mount_point unified); fi
mkdir -p "$tree/user" # stays, once there is one
if [ -n "$hybrid" ]; then
	named before /cgroup/before
	named after /dev/after
fi
login worker alice
cgroups_of worker >/out/worker
has_words "alice owns a cgroup" "$(cat /out/worker)" 1000:1000
[ -z "$hybrid" ] || like "also in the hierarchies at odd places" "$(cat /out/worker)" "*name=after: /user/alice/0*name=before: /user/alice/0*"
note "$(grep -c . /out/worker) lines tell of a login's cgroups"
bye worker
by_su=$(of_su)
await_workers

[ -z "$hybrid" ] || umount /dev/after
start
# The server's mount namespace hears of it.
[ -z "$hybrid" ] || named after /dev/after
# By its unit, or by itself: CHOWN, DAC_OVERRIDE, SYS_PTRACE, SYS_ADMIN, SYS_NICE and SYSLOG.
equal "the server has six capabilities, and a filter" \
	"$(awk '/^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' /proc/"$(server)"/status | paste -s -d ' ')" \
	"0000000400a80003 0000000400a80003 0000000400a80003 1 2"
equal "socket and folder are root's alone" "$(stat -c '%U %a' $socket ${socket%/*})" $'root 600\nroot 700'
if booted_systemd; then note "$(systemd-analyze security --no-pager $unit.service)"; fi

served first
has_it_all "served" first
! booted_systemd || logind_knows "served" first
bye first
equal "su gets what it gets from a worker" "$(of_su)" "$by_su"
await_workers

mkdir -p "$tree/user/alice/7"
eventually "it removes a dead session" fails_quietly test -e "$tree/user/alice"
eventually "and says so" has_said "removed session 7 of alice"

pid=$(server)
kill -STOP "$pid"
as_without "it is stopped" frozen
kill -CONT "$pid"
kill -KILL "$pid"
as_without "it was killed" killed
if booted_systemd; then
	another() { can_be_asked && [ "$(server)" != "$pid" ]; }
	eventually "systemd starts it again" another
else
	start
fi
served again
has_it_all "served by another" again
bye again

stop
as_without "it was ended" ended
# On v2 under systemd there is nothing to close: the scope is logind's.
closed() { if booted_systemd; then journalctl --sync && journalctl --no-pager -o cat -t $unit; else grep "$unit\[" /var/log/syslog; fi; }
if [ -n "$hybrid" ] || ! booted_systemd; then
	like "it has closed sessions" "$(closed)" '*pam_cgdeleg(s*:session): user "*": session 0 closed and removed*'
fi
# Of logins for which it was too late it says that, at the latest when they have ended.
equal "it had nothing else to complain about" "$(said | grep cgdeleg: | grep -v 'applications were not answered within 50 ms')" ""

if booted_systemd; then
	mkdir -p /run/systemd/system/$unit.service.d
	printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >/run/systemd/system/$unit.service.d/false.conf
	systemctl daemon-reload
	works "the socket alone is started" systemctl start $unit.socket
	login early alice
	has_it_all "the server cannot run" early
	eventually "it is given up" systemctl is-failed --quiet $unit.socket
	fails "and with it the socket" test -e $socket
	bye early
	as_without "it was given up" late
	rm -r /run/systemd/system/$unit.service.d
	systemctl daemon-reload
	systemctl reset-failed $unit.socket $unit.service
	works "the socket alone is started once more" systemctl start $unit.socket
	as_without "it is just being started" starts
	eventually "the login has started it" can_be_asked
	served last
		has_it_all "served, by the socket" last
	bye last
	stop
fi
equal "the module had no trouble" "$(module_log | grep -F "pam_cgdeleg(" | grep -v -e opened -e closed -e delegated -e 'no session scope of' -e 'elogind delegates' -e 'is in no session')" ""
finish
