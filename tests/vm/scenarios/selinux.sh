#!/bin/bash
# SELinux enforces Debian's policy. Without contrib/selinux a login by ssh goes on, and sshd's
# domain may make no session; with it there are sessions and limits, by workers and by
# `cgdeleg serve`, and the kernel denies sshd nothing.
# machines: trixie-systemd-v2
# image: selinux
# limit: 1500
cg=/sys/fs/cgroup
conf=/etc/cgdeleg/limits.conf
export DEBIAN_FRONTEND=noninteractive
equal "SELinux enforces" "$(getenforce)" Enforcing
sysctl -q kernel.printk_ratelimit=0 # or the kernel would not say all that it denies

# What an administrator does, whose domain this script has not.
setenforce 0
works "the packages are built (make deb), and installed" sh -c 'dpkg --install /in/debs/libpam-cgdeleg_* /in/debs/cgdeleg_*'
sed -i 's/pam_cgdeleg.so/& timeout=60/' /etc/pam.d/common-session*
sed -i 's/^session.*pam_systemd.so/session optional pam_cgdeleg.so limits timeout=60\n&/' /etc/pam.d/common-session
new_user alice students
printf '%s\n' 'root user -' '@students session pids.max=321 memory.max=100M' '* session pids.max=123' >$conf
restorecon -RF /home /root /etc/cgdeleg /etc/pam.d /usr/bin/cgdeleg
setenforce 1

# denied: what the kernel denied to sshd and to cgdeleg since `forget`, each once. That sshd may
# not write who was logged in last is so without us.
denied() {
	sleep 1 # the kernel's audit thread writes it
	dmesg | grep -E 'avc:  denied .*comm="(sshd|cgdeleg)' | grep -v wtmp | sed 's/.*denied *//; s/ pid=[0-9]*//; s/ ino=[0-9]*//; s/[0-9]\{3,\}/N/g' | sort -u
}
forget() { dmesg -c | cat >>/out/dmesg.before; } # dmesg's domain may not write there
denies_nothing() { equal "the kernel denied nothing ($1)" "$(denied)" ""; }
domain_of() { tr -d '\0' <"/proc/$1/attr/current"; }

forget
login without alice
fails "without the module alice has no session" owns_session without alice
like "which SELinux has denied" "$(denied)" '*sshd_t*cgroup_t*'
note "$(denied)"
logout without

setenforce 0
begun=$SECONDS
works "the module is installed" sh -euc 'cd /in/contrib/selinux
	checkmodule -M -m -o cgdeleg.mod cgdeleg.te && semodule_package -o cgdeleg.pp -m cgdeleg.mod && semodule -i cgdeleg.pp'
note "which took $((SECONDS - begun)) s"
setenforce 1
forget

try() {
	login "$1" alice
	equal "from sshd's domain ($1)" "$(domain_of "$(login_application "$1")")" system_u:system_r:sshd_t:s0
	works "alice has a session ($1)" owns_session "$1" alice
	equal "and its limit, by her group ($1)" "$(cat "$(session_dir "$1")/pids.max")" 321
	logout "$1"
	denies_nothing "$1"
}
try forked
mkdir -p $cg/user/alice/7
works "the service removes dead sessions" systemctl start cgdeleg-cleanup.service
fails "and has" test -e $cg/user/alice
works "the server is started" systemctl start cgdeleg-serve.socket cgdeleg-serve.service
eventually "and can be asked" test -S /run/cgdeleg/serve.sock
try served
mkdir -p $cg/user/alice/7
eventually "the server removes a dead session" fails_quietly test -e $cg/user/alice
denies_nothing "the server"
setenforce 0 # to leave a log
note "$(module_log)"
finish
