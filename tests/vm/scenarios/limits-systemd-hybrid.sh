#!/bin/bash
# The limits of limits.conf where systemd runs the machine with cgroup v1: in memory and
# pids they are those of the user's slice and of the session's scope, in the other
# hierarchies those of the module's sessions.
# machines: bookworm-systemd-hybrid
# limit: 1800

# A quarter of it is for the user's groups, which take a second or two under emulation.
install_module timeout=60
cp -r "/in/contrib/systemd/user-runtime-dir@.service.d" /usr/lib/systemd/system/
systemctl daemon-reload
sed -i 's/^session.*pam_systemd.so/session optional pam_cgdeleg.so limits timeout=60\n&/' /etc/pam.d/common-session
conf=/etc/cgdeleg/limits.conf
MiB=1048576
memory=$(mount_point memory)
pids=$(mount_point pids)
cpu=$(mount_point cpu)
slice=/user.slice/user-1000.slice
scope_of() { echo "$slice/session-$(session_id "$1").scope"; }
# limits_of DIR: of memory and processes.
limits_of() { echo "$(cat "$memory$1/memory.limit_in_bytes") $(cat "$pids$1/pids.max")"; }
# hold WHEN LOGIN: the limits of a student and of the session are in force.
hold() {
	equal "the user's limits hold ($1)" "$(limits_of $slice)" "$((300 * MiB)) 200"
	equal "the session's limits hold ($1)" "$(limits_of "$(scope_of "$2")")" "$((128 * MiB)) 90"
	equal "those of cpu hold in what the module made ($1)" \
		"$(cat "$cpu"/user/alice/cpu.{cfs_quota_us,cfs_period_us,shares} | paste -sd ' ')" "20000 100000 512"
}

# --- who gets what -------------------------------------------------------------

groupadd students
usermod -aG students alice
mkdir -p /etc/cgdeleg
cat >$conf <<-'CONF'
	root,uid<1000  user     -
	@students      user     memory.max=300M pids.max=200 cpu.max=20% cpu.weight=50
	@students      session  memory.max=128M pids.max=90
	*              user     memory.max=50%
CONF
works "the file is right" cgdeleg limits check
login first alice
login bobs bob
like "the login is in a session of the module's (cpu)" "$(cgroup_of_login cpu first)" "/user/alice/0*"
equal "and in logind's scope (memory)" "$(cgroup_of_login memory first)" "$(scope_of first)"
hold "at the first login" first
half=$(awk '/^MemTotal:/ {printf "%d", int($2 * 1024 / 2 / 4096) * 4096}' /proc/meminfo)
equal "bob has the default" "$(cat "$memory"/user.slice/user-1001.slice/memory.limit_in_bytes)" "$half"
equal "the module had nothing to complain about" "$(module_log | grep -v -e 'v1 knows' -e opened)" ""
like "explain says by which line" "$(cgdeleg limits explain alice)" "*line 2 of $conf*300.0M*"

# --- they bite, and only whom they are for -------------------------------------

neighbour=$(in_login bobs "sleep 1000 >/dev/null 2>&1 & echo \$!")
equal "a hog is killed" "$(in_login first "tail /dev/zero 2>/dev/null; echo \$?")" 137
works "the login lives" in_login first true
works "and the neighbour" test -e "/proc/$neighbour"
# shellcheck disable=SC2016 # the shell of the login expands it
in_login first 'for i in $(seq 120); do sleep 1000 >/dev/null 2>&1 & done' >/dev/null 2>&1
works "no more processes than the session may have" test "$(pgrep -cu alice)" -le 90
pkill -u alice -x sleep
eventually "and the login lives" in_login first true
used() { cat "$(mount_point cpuacct)/user/alice/cpuacct.usage"; }
in_login first "timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 & timeout 12 sh -c 'while :; do :; done' >/dev/null 2>&1 &"
sleep 1
begun=$(used) began=$(date +%s%N)
sleep 8
percent=$((($(used) - begun) * 100 / ($(date +%s%N) - began)))
works "two busy loops have a fifth of a processor ($percent %)" test $percent -ge 15 -a $percent -le 25

# --- whatever systemd does -----------------------------------------------------

systemctl daemon-reload
hold "after daemon-reload" first
systemctl restart systemd-logind
hold "after logind's restart" first
login second alice
hold "of a second login" second

# --- the user can raise none ---------------------------------------------------

for dir in "$memory$slice" "$pids$slice" "$memory$(scope_of second)" "$pids$(scope_of second)" "$cpu/user/alice" "$cpu/user/alice/0"; do
	for file in "$dir"/{memory,pids,cpu}.*; do
		[ -e "$file" ] || continue
		! in_login second ": <>$file" 2>/dev/null || not_ok "alice may not open $file for writing" "she did"
	done
done
hold "after all attempts" second

# --- another file ----------------------------------------------------------------

sed -i 's/memory.max=300M pids.max=200 cpu.max=20%/memory.max=250M pids.max=150 cpu.max=50%/' $conf
works "other limits are applied" cgdeleg limits apply --user alice
equal "to the slice" "$(limits_of $slice)" "$((250 * MiB)) 150"
equal "and to what the module made" "$(cat "$cpu"/user/alice/cpu.cfs_quota_us)" 50000
logout_of_logind second
logout_of_logind first
eventually "a logout leaves nothing (cpu)" fails_quietly test -e "$cpu"/user/alice
login third alice
equal "they are those of the next login" "$(limits_of $slice)" "$((250 * MiB)) 150"
equal "also of what the module makes" "$(cat "$cpu"/user/alice/cpu.cfs_quota_us)" 50000
logout_of_logind third
finish
