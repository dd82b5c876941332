#!/bin/bash
# Records machines for the table tests, as files of /out: build/vm/record/*/out
# holds folders for delegate/testdata. To be run by itself:
#   CGDELEG_VM=1 go test -count=1 -args -scenarios record
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid

# record_machine DIR PID...: what the library reads of this machine, without
# systemd's services and what is in user managers. For any sh.
record_machine() {
	to=$1
	shift
	{
		printf '%s\n' /proc/1/mountinfo /sys/kernel/cgroup/delegate /sys/devices/system/cpu/isolated
		printf '/proc/%s/cgroup\n' 1 "$@"
		find /sys/fs/cgroup \( -path '*/system.slice/*/*' -o -path '*/user@*/*/*' \) -prune -o \
			\( -name cgroup.procs -o -name cgroup.controllers -o -name cgroup.events -o -name cgroup.subtree_control \) -print
	} | while read -r file; do
		mkdir -p "$to${file%/*}"
		cat "$file" >"$to$file"
	done
	mkdir "$to/proc/self"
	mv "$to/proc/1/mountinfo" "$to/proc/self/"
	if [ -d /run/systemd/system ]; then
		mkdir -p "$to/run/systemd/system"
		echo "sd_booted(3) looks for this directory." >"$to/run/systemd/system/README"
	fi
}

sshd=$(pgrep -o -x sshd)
if booted_systemd; then
	login first alice
	application=$(cat "$CONTROL/first.application")
	if mount_point memory >/dev/null; then name=hybrid-systemd; else name=debian12-v2-systemd; fi
	record_machine "/out/$name" "$application"
	equal "what was recorded is read back" "$(/in/cgdeleg --root "/out/$name" status 2>&1 | wc -l)" 1
elif mount_point memory >/dev/null; then
	mkdir /sys/fs/cgroup/openrc/sshd # as OpenRC does it; without a login
	echo "$sshd" >/sys/fs/cgroup/openrc/sshd/cgroup.procs
	record_machine /out/openrc-hybrid
	equal "what was recorded is read back" "$(/in/cgdeleg --root /out/openrc-hybrid status 2>&1 | wc -l)" 1
else
	cg=/sys/fs/cgroup
	mkdir $cg/rc.init $cg/openrc.sshd
	echo 1 >$cg/rc.init/cgroup.procs
	echo "$sshd" >$cg/openrc.sshd/cgroup.procs
	install_module ""
	make_limited_box alice c1
	login first alice
	login second alice
	# An application that is killed closes no session.
	application=$(cat "$CONTROL/second.application")
	pkill -9 -P "$application"
	kill -9 "$application"
	eventually "the second session is dead" fails_quietly grep -q . $cg/user/alice/1/init.scope/cgroup.procs
	record_machine /out/openrc-v2
	like "what was recorded is read back" "$(/in/cgdeleg --root /out/openrc-v2 status | tr -s '\n ' ' ')" "*alice 0 alive 2 *alice 1 dead 0 *"

	start_box first c1
	rootfs=/home/alice/.local/share/lxc/c1/rootfs
	declare -f record_machine >$rootfs/record.sh
	echo 'record_machine /tmp/recorded' >>$rootfs/record.sh
	works "recording in the container" in_login first \
		"lxc-attach -n c1 -- /bin/busybox sh -c '/bin/busybox --install -s /bin; PATH=/bin . /record.sh'"
	cp -r $rootfs/tmp/recorded /out/lxc-unprivileged
	equal "what was recorded there is read back" "$(/in/cgdeleg --root /out/lxc-unprivileged status 2>&1 | wc -l)" 1
fi
finish
