#!/bin/bash
# The limits of limits.conf where the module makes the sessions: cgroup v2 without systemd,
# and v1's hierarchies. By user, group, range and for all others, read back
# from the kernel; a hog, a fork bomb and a busy loop are stopped, and nobody else; a
# container's limits are below the user's; the user can raise none; limits follow the file.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2 bookworm-no-systemd-hybrid
# limit: 1800

install_module "timeout=60" # id(1) takes its time under emulation
conf=/etc/cgdeleg/limits.conf
MiB=1048576
memory=$(mount_point memory || mount_point unified)
pids=$(mount_point pids || mount_point unified)
cpu=$(mount_point cpu || mount_point unified)
# What the limits are called here.
if mount_point memory >/dev/null; then
	version=v1 max=memory.limit_in_bytes none=9223372036854771712 current=memory.usage_in_bytes
else
	version=v2 max=memory.max none=max current=memory.current
fi
# cpu_quota DIR
cpu_quota() { if [ $version = v1 ]; then echo "$(cat "$1/cpu.cfs_quota_us") $(cat "$1/cpu.cfs_period_us")"; else cat "$1/cpu.max"; fi; }
# used DIR: microseconds of CPU time.
used() { if [ $version = v1 ]; then echo $(($(cat "$(mount_point cpuacct)${1#"$cpu"}/cpuacct.usage") / 1000)); else awk '$1 == "usage_usec" {print $2}' "$1/cpu.stat"; fi; }
session_of() { cgroup_of_login "$([ $version = v1 ] && echo memory || echo unified)" "$1" | sed 's|.*/user/\([^/]*/[0-9]*\).*|\1|'; }

# --- who gets what ---------------------------------------------------------------

groupadd students
usermod -aG students alice
useradd -m -u 1500 -s /bin/sh carol
useradd -m -u 1600 -s /bin/sh dave
for user in carol dave; do
	install -d -o $user -m 700 /home/$user/.ssh
	install -o $user -m 600 /home/alice/.ssh/authorized_keys /home/$user/.ssh/
done
mkdir -p /etc/cgdeleg
cat >$conf <<-'CONF'
	root,uid<1000  user     -
	bob            user     memory.max=400M
	@students      user     memory.max=300M memory.swap.max=0 pids.max=150 cpu.max=20% cpu.weight=50
	@students      session  memory.max=200M memory.swap.max=0 pids.max=100
	uid=1500-1599  user     memory.max=350M
	*              user     memory.max=50%
CONF
works "the file is right" cgdeleg limits check
login first alice
login bobs bob
login carols carol
login daves dave
half=$(awk '/^MemTotal:/ {printf "%d", int($2 * 1024 / 2 / 4096) * 4096}' /proc/meminfo)
for want in "alice by group=$((300 * MiB))" "bob by name=$((400 * MiB))" "carol by range=$((350 * MiB))" "dave by default=$half"; do
	user=${want%% *}
	equal "${want%=*}" "$(cat "$memory/user/$user/$max")" "${want#*=}"
done
equal "alice's session" "$(cat "$memory/user/$(session_of first)/$max")" $((200 * MiB))
equal "bob's session has none" "$(cat "$memory/user/$(session_of bobs)/$max")" $none
equal "processes of alice" "$(cat "$pids/user/alice/pids.max")" 150
equal "processes of the session" "$(cat "$pids/user/$(session_of first)/pids.max")" 100
equal "a fifth of a processor" "$(cpu_quota "$cpu/user/alice")" "20000 100000"
login second alice
equal "a second session has its own limit" "$(cat "$memory/user/$(session_of second)/$max")" $((200 * MiB))
fails "the sessions are two" test "$(session_of first)" = "$(session_of second)"
equal "the module had nothing to complain about" "$(module_log | grep -v -e 'v1 knows' -e opened)" ""
like "explain says by which line" "$(cgdeleg limits explain alice)" "*line 3 of $conf*300.0M*line 4 of $conf*200.0M*"

# --- they bite, and only whom they are for ---------------------------------------

cgdeleg serve >/run/served 2>&1 &
server=$!
eventually "the server runs" test -S /run/cgdeleg/serve.sock
is_told() { grep -q "$1" /run/served || ! cat /run/served; }
neighbour=$(in_login bobs "sleep 1000 >/dev/null 2>&1 & echo \$!")
equal "a hog is killed" "$(in_login first "tail /dev/zero 2>/dev/null; echo \$?")" 137
eventually "the server says why" is_told "^alice: tail (.*) was killed in session 0: memory.[a-z_.]* of /user/alice/0 is 200.0M, "
works "the login lives" in_login first true
works "the other login lives" in_login second true
works "and the neighbour" test -e "/proc/$neighbour"
# hold_in LOGIN: 180 MB, in the background. Two of them are more than the user may have.
hold_in() { in_login "$1" '(head -c 180000000 /dev/zero; sleep 1000) 2>/dev/null | tail >/dev/null 2>&1 &'; }
is_used() { [ "$(cat "$memory/user/alice/$current")" -gt 178000000 ]; }
# are_ended: what hold_in started. Where head is ended its shell goes on to sleep.
are_ended() {
	pkill -u alice -x 'tail|head|sleep'
	sleep 0.3
	! pgrep -u alice -x 'tail|head|sleep'
}
holders() { pgrep -u alice -cx tail; }
is_killed() { [ "$(holders)" -lt 2 ]; }
hold_in first
eventually "one session may have 180 MB" is_used
hold_in second
eventually "two together may not" is_killed
eventually "both have ended" are_ended
# shellcheck disable=SC2016 # the shell of the login expands it
in_login first 'for i in $(seq 140); do sleep 1000 >/dev/null 2>&1 & done' >/dev/null 2>&1
# before Linux 6.11 the kernel counts that where it is tried
works "more processes than the session may have are refused" test "$(cat "$pids/user/$(session_of first)"/{,init.scope/}pids.events 2>/dev/null | awk '$1 == "max" {n += $2} END {print n + 0}')" -gt 0
eventually "the server says why" is_told '^alice: .* in session 0: pids.max of /user/alice/0 is 100, '
kill $server
eventually "they have ended" are_ended
eventually "and the login lives" in_login first true
in_login first "timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 & timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 &"
sleep 1
begun=$(used "$cpu/user/alice") began=$(date +%s%N)
sleep 8
percent=$((($(used "$cpu/user/alice") - begun) * 100000 / ($(date +%s%N) - began)))
works "two busy loops have a fifth of a processor ($percent %)" test $percent -ge 15 -a $percent -le 25

# --- the user can raise none -----------------------------------------------------

for dir in "$memory" "$pids" "$cpu"; do
	for file in "$dir"/user/alice/{memory,pids,cpu,io,blkio}.* "$dir/user/$(session_of first)"/{memory,pids,cpu,io,blkio}.*; do
		[ -e "$file" ] || continue
		grep -qsx "${file##*/}" /sys/kernel/cgroup/delegate && continue
		! in_login first ": <>$file" 2>/dev/null || not_ok "alice may not open $file for writing" "she did"
	done
	fails "nor make a cgroup beside the session ($dir)" in_login first "mkdir $dir/user/alice/x"
	fails "nor enter the user's own ($dir)" in_login first "echo \$\$ >$dir/user/alice/cgroup.procs"
done
in_login first "unshare -UrCm sh -c 'mount -t cgroup2 none /mnt && for f in memory.max pids.max cpu.max; do echo max >/mnt/\$f; echo max >/mnt/../\$f; done'" >/dev/null 2>&1
equal "the user's limit holds" "$(cat "$memory/user/alice/$max")" $((300 * MiB))
equal "and the session's" "$(cat "$memory/user/$(session_of first)/$max")" $((200 * MiB))

# --- containers are below ----------------------------------------------------------

key=$([ $version = v1 ] && echo lxc.cgroup.memory.limit_in_bytes || echo lxc.cgroup2.memory.max)
make_box bob c1 "$key = 64M"
start_box bobs c1
init=$(box_init bobs c1)
equal "a container has its own limit" "$(cat "$memory$(cgroup_in "$([ $version = v1 ] && echo memory || echo unified)" "$init")/$max")" $((64 * MiB))
equal "below the user's" "$(cat "$memory/user/bob/$max")" $((400 * MiB))
stop_box bobs c1

# --- another file ------------------------------------------------------------------

hold_in first
eventually "one session may have 180 MB, again" is_used
holder=$(pgrep -u alice -x tail)
sed -i 's/memory.max=300M memory.swap.max=0/memory.max=100M memory.swap.max=0/; /session/d' $conf
fails "100 MiB cannot be set yet" cgdeleg limits apply --user alice --wait 3s
works "nobody is killed" test -e "/proc/$holder"
works "and no less than is in use is allowed" test "$(cat "$memory/user/alice/$max")" -ge "$(cat "$memory/user/alice/$current")"
equal "the session's is lifted" "$(cat "$memory/user/$(session_of first)/$max")" $none
eventually "it has ended" are_ended # what is left would keep the session
eventually "when it is free they are" cgdeleg limits apply --user alice --wait 5s
equal "and hold" "$(cat "$memory/user/alice/$max")" $((100 * MiB))

# --- limits=required ---------------------------------------------------------------

kill "$neighbour"
for name in first second bobs carols daves; do logout $name; done
for user in alice bob carol dave; do
	eventually "nothing of $user is left" fails_quietly test -e "$memory/user/$user"
done
echo 'bob user io.max="/nosuch rbps=1M"' >$conf
module_options "timeout=60 limits=required"
sed -i 's/optional\(.*pam_cgdeleg.so\)/required\1/' /etc/pam.d/common-session
fails "where limits are required, bob is refused" timeout "$PATIENCE" ssh -o BatchMode=yes bob@localhost true
like "and the log says why" "$(module_log | tail -n 3)" "*limits are required*/nosuch*"
login free alice
logout free
finish
