#!/bin/bash
# Logins that somebody limits, on cgroup v2 without systemd: a batch system's job,
# an init script's service. They stay under their limits; without limits they are
# moved, as are those of everybody else.
# machines: bookworm-no-systemd-v2

install_module "timeout=30" # other machines may keep this one waiting
cg=/sys/fs/cgroup
# enable_all DIR: every controller for the children of that cgroup.
enable_all() { sed 's/[^ ]*/+&/g' $cg/cgroup.controllers >"$1/cgroup.subtree_control"; }
enable_all $cg

# in_cgroup DIR USER: where a login of the user's ends that begins in that cgroup.
in_cgroup() {
	sh -c "echo \$\$ >$cg$1/cgroup.procs; exec su - $2 -s /bin/sh -c 'cat /proc/self/cgroup'" | path_of unified
}

# A job of three levels, as Slurm makes them, whose limit is on the second.
mkdir -p $cg/slurm/job_1/step_extern
enable_all $cg/slurm
enable_all $cg/slurm/job_1
disk=$(awk 'NR > 2 { print $1 ":" $2; exit }' /proc/partitions)
like "without a limit the login is moved" "$(in_cgroup /slurm/job_1/step_extern alice)" "/user/alice/*/init.scope"
limits=0
while read -r file value none; do
	limit=$cg/slurm/job_1/$file
	[ -e "$limit" ] || continue
	echo "${value//_/ }" >"$limit" || continue
	limits=$((limits + 1))
	where=$(module_says in_cgroup /slurm/job_1/step_extern alice)
	like "the login stays under $file, and the log says why" "$where" "*confined by $limit (*confined=move*"
	equal "in the job's cgroup ($file)" "$(in_cgroup /slurm/job_1/step_extern alice)" /slurm/job_1/step_extern
	echo "${none//_/ }" >"$limit"
done <<LIMITS
memory.max 512M max
memory.high 512M max
memory.swap.max 512M max
pids.max 500 max
cpu.max 50000_100000 max
cpuset.cpus 0
cpuset.mems 0
io.max ${disk}_rbps=1048576 ${disk}_rbps=max
hugetlb.2MB.max 2097152 max
LIMITS
works "most limits were tried" test $limits -ge 7
like "when the last is lifted the login is moved again" "$(in_cgroup /slurm/job_1/step_extern alice)" "/user/alice/*/init.scope"

# The administrator moves all the same.
echo 500 >$cg/slurm/job_1/pids.max
module_options "timeout=30 confined=move"
like "confined=move moves the login" "$(in_cgroup /slurm/job_1/step_extern alice)" "/user/alice/*/init.scope"
module_options "timeout=30"

# A service's daemon is no login, and keeps its service's cgroup.
equal "su - daemon stays in the service" "$(in_cgroup /slurm/job_1/step_extern daemon)" /slurm/job_1/step_extern
equal "and elsewhere, too" "$(in_cgroup / daemon)" /

# sshd in a cgroup of its own, as OpenRC has it.
mkdir $cg/openrc.sshd
pgrep -o sshd >$cg/openrc.sshd/cgroup.procs
login first alice
equal "a login by a service without limits is moved" "$(cgroup_of_login unified first)" /user/alice/0/init.scope
logout first
echo 2000 >$cg/openrc.sshd/pids.max
login second alice
equal "a login by a service with one stays in it" "$(cgroup_of_login unified second)" /openrc.sshd
fails "without a session" test -e $cg/user/alice
logout second

# Limits of the user's own directory hold for all of its sessions.
mkdir -p $cg/user/bob
echo 300 >$cg/user/bob/pids.max
echo max >$cg/openrc.sshd/pids.max
login third bob
equal "a login is moved below its user's limit" "$(cgroup_of_login unified third)" /user/bob/0/init.scope
equal "su to another has that user's own" "$(in_login third "echo alice | su - alice -c 'cat /proc/self/cgroup' 2>/dev/null" | path_of unified)" /user/alice/0/init.scope
logout third

# Where elogind delegates by itself (DelegateSessionCgroups=yes), that is enough.
mkdir -p $cg/77/session $cg/77/delegated /run/systemd/sessions
chown alice:alice $cg/77/delegated
printf 'UID=1000\nLEADER=%s\n' $$ >/run/systemd/sessions/77
equal "a session that elogind delegates is left alone" "$(in_cgroup /77/session alice)" /77/session
fails "without a leaf of ours" test -e $cg/77/session/init.scope
finish
