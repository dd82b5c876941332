#!/bin/bash
# The limits of limits.conf where systemd runs the machine: the slices of users by the
# drop-in of user-runtime-dir@.service, sessions by pam_systemd. They hold over all that
# systemd does, and the user can raise none.
# machines: bookworm-systemd-v2 trixie-systemd-v2
# limit: 1800

# A quarter of it is for the user's groups, which take a second or two under emulation.
install_module timeout=60
install_dropin
cp -r "/in/contrib/systemd/user-runtime-dir@.service.d" /usr/lib/systemd/system/
systemctl daemon-reload
cg=/sys/fs/cgroup
slice=$cg/user.slice/user-1000.slice
conf=/etc/cgdeleg/limits.conf
MiB=1048576

# limits_line CONTROL OPTIONS: the line before pam_systemd's, in place of a former one.
limits_line() {
	sed -i -e '/pam_cgdeleg.so limits/d' -e "s/^session.*pam_systemd.so/session $1 pam_cgdeleg.so limits timeout=60 $2\n&/" /etc/pam.d/common-session
}
# values DIR FILE...: what the files have, in a line.
values() {
	local dir=$1
	shift
	(cd "$dir" && for file; do echo "$file=$(cat "$file" 2>&1)"; done) | paste -sd ' '
}
of_slice() { values "$1" memory.max memory.high pids.max cpu.max cpu.weight; }
scope_of() { echo "$slice/session-$(session_id "$1").scope"; }
students="memory.max=$((300 * MiB)) memory.high=$((280 * MiB)) pids.max=200 cpu.max=20000 100000 cpu.weight=50"
session="memory.max=$((128 * MiB)) pids.max=90"
# hold WHEN LOGIN: the limits of a student and of the session are in force.
hold() {
	equal "the user's limits hold ($1)" "$(of_slice $slice)" "$students"
	equal "the session's limits hold ($1)" "$(values "$(scope_of "$2")" memory.max pids.max)" "$session"
}

# --- without a file nothing happens -------------------------------------------

limits_line optional ""
login before alice
stock=$(of_slice $slice)
like "without a file there are systemd's own limits" "$stock" "memory.max=max memory.high=max pids.max=* cpu.max=max 100000 cpu.weight=100"
fails "and none that we remember" test -e /run/cgdeleg/limits/1000
logout_of_logind before
eventually "the slice is gone" fails_quietly test -e $slice

# --- who gets what -------------------------------------------------------------

groupadd students
usermod -aG students alice
mkdir -p /etc/cgdeleg
cat >$conf <<-'CONF'
	root,uid<1000  user     -
	@students      user     memory.max=300M memory.high=280M pids.max=200 cpu.max=20% cpu.weight=50
	@students      session  memory.max=128M pids.max=90
	*              user     memory.max=50%
CONF
login first alice
login bobs bob
hold "at the first login" first
half=$(awk '/^MemTotal:/ {printf "%d", int($2 * 1024 / 2 / 4096) * 4096}' /proc/meminfo)
equal "bob has the default" "$(values $cg/user.slice/user-1001.slice memory.max)" "memory.max=$half"
equal "and no limits of the session" "$(values "$(scope_of bobs | sed s/1000/1001/)" memory.max)" "memory.max=max"
has_words "the journal says what was set" "$(journalctl --no-pager -o cat -u user-runtime-dir@1000.service)" MemoryMax=$((300 * MiB))
equal "systemd knows the limits for its own" "$(systemctl show -p MemoryMax --value user-1000.slice)" $((300 * MiB))
equal "the module had nothing to complain about" "$(module_log)" ""

# --- they bite, and only whom they are for -------------------------------------

cgdeleg serve >/run/served 2>&1 &
server=$!
eventually "the server runs" test -S /run/cgdeleg/serve.sock
is_told() { grep -q "$1" /run/served || ! cat /run/served; }
neighbour=$(in_login bobs "sleep 1000 >/dev/null 2>&1 & echo \$!")
equal "a hog is killed" "$(in_login first "tail /dev/zero 2>/dev/null; echo \$?")" 137
eventually "the server says why" is_told "^alice: tail (.*) was killed.*: memory.max of .*/session-.*scope is 128.0M, "
works "the login lives" in_login first true
works "and the neighbour" test -e "/proc/$neighbour"
# shellcheck disable=SC2016 # the shell of the login expands it
in_login first 'for i in $(seq 120); do sleep 1000 >/dev/null 2>&1 & done' >/dev/null 2>&1
# before Linux 6.11 the kernel counts that where it is tried
refused=$(cat "$(scope_of first)"/{,init.scope/}pids.events 2>/dev/null | awk '$1 == "max" {n += $2} END {print n + 0}')
works "more processes than the session may have are refused ($refused)" test "$refused" -gt 0
eventually "the server says why" is_told '^alice: .*: pids.max of .*/session-.*scope is 90, '
kill $server
pkill -u alice -x sleep
eventually "and the login lives" in_login first true
usage() { awk '$1 == "usage_usec" {print $2}' $slice/cpu.stat; }
in_login first "timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 & timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 &"
sleep 1
begun=$(usage) began=$(date +%s%N)
sleep 8
percent=$((($(usage) - begun) * 100000 / ($(date +%s%N) - began)))
works "two busy loops have a fifth of a processor ($percent %)" test $percent -ge 15 -a $percent -le 25

# --- whatever systemd does -----------------------------------------------------

systemctl daemon-reload
hold "after daemon-reload" first
systemctl daemon-reexec
hold "after daemon-reexec" first
systemctl restart systemd-logind
hold "after logind's restart" first
login second alice
hold "of a second login" second
hold "after a second login" first
fails "the two sessions are two" test "$(scope_of first)" = "$(scope_of second)"

# --- the user can raise none ---------------------------------------------------

id=$(session_id second)
scope=$slice/session-$id.scope
for file in "$slice"/{memory,pids,cpu,io}.* "$scope"/{memory,pids,cpu,io}.*; do
	! in_login second "echo max >$file" 2>/dev/null || not_ok "alice may not write $file" "she did"
done
for unit in user-1000.slice "session-$id.scope"; do
	fails "nor ask systemd to raise $unit" in_login second "systemctl --no-ask-password set-property --runtime $unit MemoryMax=infinity"
done
fails "nor set the limits of another" in_login second "cgdeleg limits apply --uid 1001"
in_login second "unshare -UrCm sh -c 'mount -t cgroup2 cgroup2 /mnt && for f in memory.max pids.max cpu.max; do echo max >/mnt/\$f; echo max >/mnt/../\$f; done'" >/dev/null 2>&1
in_login second "systemctl --user set-property --runtime app.slice MemoryMax=infinity" >/dev/null 2>&1
hold "after all attempts" second

# --- lingering, and the next first login ---------------------------------------

loginctl enable-linger alice
logout_of_logind second
logout_of_logind first
equal "the user's limits hold (of the lingering manager)" "$(of_slice $slice)" "$students"
login lingering alice
hold "of a login while lingering" lingering
logout_of_logind lingering
loginctl disable-linger alice
eventually "the slice is gone, without lingering" fails_quietly test -e $slice
login third alice
hold "of the next login" third

# --- another file: nobody is killed, and what is given no more is as before ----

in_login third '(head -c 100000000 /dev/zero; sleep 1000) 2>/dev/null | tail >/dev/null 2>&1 &'
used() { [ "$(cat $slice/memory.current)" -gt 90000000 ]; }
eventually "100 MB are in use" used
holder=$(pgrep -u alice tail)
sed -i 's/memory.max=300M memory.high=280M/memory.max=60M/' $conf
fails "60 MiB cannot be set yet" cgdeleg limits apply --uid 1000
like "which is said" "$(cgdeleg limits apply --user alice --wait 2s 2>&1)" "*MemoryMax=$((60 * MiB)) cannot be set yet, more is in use*"
works "nobody is killed" test -e "/proc/$holder"
limit=$(cat $slice/memory.max)
works "the limit is just above what is in use ($limit)" test "$limit" -gt 90000000 -a "$limit" -lt $((300 * MiB))
equal "memory.high does not stall the user" "$(cat $slice/memory.high)" max
are_ended() {
	pkill -u alice -x 'tail|head|sleep'
	sleep 0.3
	! pgrep -u alice -x 'tail|head|sleep'
}
eventually "what uses it has ended" are_ended # what is left would keep the session
eventually "the memory is free" fails_quietly used
works "then they can" cgdeleg limits apply --uid 1000
equal "and hold" "$(cat $slice/memory.max)" $((60 * MiB))
sed -i '/@students/d; /^\*/d' $conf
works "without a line" cgdeleg limits apply --uid 1000
equal "all is as it was without a file" "$(of_slice $slice)" "$stock"
systemctl daemon-reload
equal "also after daemon-reload" "$(of_slice $slice)" "$stock"
logout_of_logind third

# --- limits=required -----------------------------------------------------------

echo 'bob session cpu.max=5%' >>$conf
limits_line required ""
login lax bob
has_words "what pam_systemd cannot set is said" "$(module_log)" "limits of a session: cpu.max=5%"
logout_of_logind lax
limits_line required limits=required
fails "where limits are required, bob is refused" timeout "$PATIENCE" ssh -o BatchMode=yes bob@localhost true
login free alice
logout_of_logind free
eventually "the slice is gone, after free" fails_quietly test -e $slice

# The line after pam_systemd's looks at what systemd has set.
echo 'alice user memory.max=300M pids.max=50%' >$conf
sed -i '/pam_cgdeleg.so limits/d' /etc/pam.d/common-session
module_options "timeout=60 limits=required"
sed -i '/pam_cgdeleg.so/s/optional/required/' /etc/pam.d/common-session
limits_line optional ""
login limited alice
equal "systemd has set it" "$(values $slice memory.max)" "memory.max=$((300 * MiB))"
logout_of_logind limited
eventually "the slice is gone, again" fails_quietly test -e $slice
rm -r "/usr/lib/systemd/system/user-runtime-dir@.service.d"
systemctl daemon-reload
echo 'alice user memory.max=200M' >$conf # the slice has again what was set before
fails "where systemd has not set it, alice is refused" timeout "$PATIENCE" ssh -o BatchMode=yes alice@localhost true
like "and the log says what is not set" "$(module_log | tail -n 3)" "*limits are required*memory.max not set: $slice/memory.max is $((300 * MiB))*"
finish
