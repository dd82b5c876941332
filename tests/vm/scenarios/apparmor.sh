#!/bin/bash
# AppArmor enforces profiles: one for sshd, su and sudo that lets them do nearly everything but
# what the module does, which comes by contrib/apparmor's abstraction, and the one for `cgdeleg
# serve`. Logins have their sessions and limits, and the kernel denies nothing.
# machines: bookworm-no-systemd-v2 trixie-systemd-v2
# image: fresh
# limit: 1200
export DEBIAN_FRONTEND=noninteractive
works "the kernel has AppArmor, turned on" grep -qx Y /sys/module/apparmor/parameters/enabled
sysctl -q kernel.printk_ratelimit=0 # or it would not say all that it denies
works "the packages are built (make deb), and installed" sh -c 'dpkg --install /in/debs/libpam-cgdeleg_* /in/debs/cgdeleg_*'
cg=/sys/fs/cgroup
conf=/etc/cgdeleg/limits.conf
if ! booted_systemd; then
	works "a log" sh -c 'apt-get -qq -y install busybox-static && busybox syslogd -O /var/log/syslog -S'
	mountpoint -q $cg || mount -t cgroup2 -o nsdelegate cgroup2 $cg
fi
sed -i 's/pam_cgdeleg.so/& timeout=60/' /etc/pam.d/common-session*
if booted_systemd; then # whose sessions get their limits by pam_systemd
	sed -i 's/^session.*pam_systemd.so/session optional pam_cgdeleg.so limits timeout=60\n&/' /etc/pam.d/common-session
fi

new_user alice students
new_user bob

# --- the profiles ----------------------------------------------------------------

# The application's: all files but those below /sys/fs/cgroup, /run/cgdeleg, /etc/cgdeleg and,
# of other processes, /proc, and the capabilities that sshd, su and sudo want themselves.
cat >/etc/apparmor.d/application <<'PROFILE'
abi <abi/3.0>,
include <tunables/global>
profile application /usr/{sbin/sshd,lib/openssh/sshd-*,bin/su,bin/sudo} flags=(attach_disconnected) {
  capability audit_write, capability chown, capability dac_override, capability dac_read_search,
  capability fowner, capability fsetid, capability kill, capability net_admin, capability net_bind_service, capability setgid, capability setuid,
  capability sys_chroot, capability sys_resource, capability sys_tty_config,
  network, signal, dbus, unix,
  / r,
  /{[^erps],e[^t],r[^u],p[^r],s[^y]}** mrwlk,
  /etc/ r,
  /etc/[^c]** rwlk,
  /etc/c[^g]** rwlk,
  /run/ r,
  /run/[^c]** rwlk,
  /sys/ r,
  /sys/[^f]** r,
  owner @{PROC}/@{pid}/** rw,
  @{PROC}/[^0-9]** r,
  /usr/sbin/sshd mrix,
  /usr/lib/openssh/sshd-session mrix,
  /usr/lib/openssh/sshd-auth mrix,
  /{usr/,}{bin,sbin}/** Ux,
  include if exists <local/application>
}
PROFILE
load() { works "the profiles are loaded ($1)" apparmor_parser -r /etc/apparmor.d/application /etc/apparmor.d/cgdeleg-serve; }
mkdir -p /etc/apparmor.d/local
cp /in/contrib/apparmor/cgdeleg-serve /etc/apparmor.d/
cp /in/contrib/apparmor/abstractions/cgdeleg /etc/apparmor.d/abstractions/

# denied: what the kernel denied since `forget`, each once.
denied() {
	sleep 1 # the kernel's audit thread writes it
	dmesg | grep 'apparmor="DENIED"' | sed 's/.*apparmor="DENIED" //; s/ pid=[0-9]*//; s/[0-9]\{3,\}/N/g' | sort -u
}
forget() { dmesg -c >>/out/dmesg.before; }
denies_nothing() { equal "the kernel denied nothing ($1)" "$(denied)" ""; }
profile_of() { cat "/proc/$1/attr/current"; }

restart_sshd() {
	if booted_systemd; then systemctl restart ssh; else service ssh restart; fi >/dev/null
	eventually "sshd is confined" confined_sshd
}
confined_sshd() { [ "$(profile_of "$(cat /run/sshd.pid)")" = "application (enforce)" ]; }

load "without the abstraction"
restart_sshd
forget
login without alice
fails "without the abstraction alice has no session" owns_session without alice
like "which AppArmor has denied" "$(denied)" '*profile="application"*'
note "$(denied)"
note "$(module_log)"
logout without

echo 'include <abstractions/cgdeleg>' >/etc/apparmor.d/local/application
load "with it"
restart_sshd
mkdir -p /etc/cgdeleg
printf '%s\n' 'root user -' '@students session pids.max=321 memory.max=100M' '* session pids.max=123' >$conf
forget

# --- logins by sshd, su and sudo --------------------------------------------------

# try WHEN: each of them.
try() {
	local by=$1
	login "$by" alice
	works "alice has a session ($by)" owns_session "$by" alice
	equal "and its limit, by her group ($by)" "$(cat "$(session_dir "$by")/pids.max")" 321
	equal "from a sshd that is confined ($by)" "$(profile_of "$(login_application "$by")")" "application (enforce)"
	logout "$by"
	if ! booted_systemd; then
		eventually "the session is removed ($by)" fails_quietly test -e $cg/user/alice
		like "by su bob has one ($by)" "$(su - bob -c 'cat /proc/self/cgroup')" "0::/user/bob/[0-9]/init.scope"
		like "by sudo bob has one ($by)" "$(sudo -u bob cat /proc/self/cgroup)" "0::/user/bob/[0-9]/init.scope"
		await_workers
		eventually "these are removed ($by)" fails_quietly test -e $cg/user/bob
	else
		works "by su bob logs in ($by)" su - bob -c true
		works "by sudo bob runs a command ($by)" sudo -u bob true
	fi
	denies_nothing "$by"
}
try forked

# --- cleanup and the server ---------------------------------------------------------

mkdir -p $cg/user/alice/7
works "cleanup, confined" aa-exec -p cgdeleg-serve -- cgdeleg cleanup
fails "has removed a dead session" test -e $cg/user/alice
denies_nothing cleanup

if booted_systemd; then
	mkdir -p /etc/systemd/system/cgdeleg-serve.service.d
	printf '[Service]\nAppArmorProfile=cgdeleg-serve\n' >/etc/systemd/system/cgdeleg-serve.service.d/apparmor.conf
	systemctl daemon-reload
	works "the server is started" systemctl start cgdeleg-serve.socket cgdeleg-serve.service
else
	setsid aa-exec -p cgdeleg-serve -- cgdeleg serve >/out/said 2>&1 </dev/null &
fi
runs_confined() { [ "$(profile_of "$(pgrep -x cgdeleg)")" = "cgdeleg-serve (enforce)" ] && [ -S /run/cgdeleg/serve.sock ]; }
eventually "the server runs, confined" runs_confined
try served

login hogs alice
told=$(timeout "$PATIENCE" ssh -tt -S "$CONTROL/hogs" login 'tail -c 200M /dev/zero | tail >/dev/null; sleep 15' </dev/null 2>&1)
like "the server says on the terminal why the kernel killed a process" "$told" "*cgdeleg: tail (process *was killed*"
logout hogs
denies_nothing "a process that was killed"

mkdir -p $cg/user/alice/7
eventually "the server removes a dead session" fails_quietly test -e $cg/user/alice
denies_nothing "the server"
note "$(module_log | tail -n 30)"
finish
