#!/bin/bash
# What people start beside LXC, on cgroup v2: where it comes to be, which limits
# hold, how it is frozen. What is seen is compared with docs/clients/table.md.
# machines: bookworm-no-systemd-v2 bookworm-systemd-v2 trixie-no-systemd-v2 trixie-systemd-v2
# processors: 2
# limit: 1500

install_module ""
if booted_systemd; then install_dropin; fi
cg=/sys/fs/cgroup
run='cgdeleg run -p memory.max=64M -p pids.max=100 --' # the threads of podman, conmon and runc count, too
if grep -q '^VERSION_ID="12"' /etc/os-release; then bookworm=yes; else bookworm=; fi

# --- what is seen -----------------------------------------------------------

# bundle LOGIN: a root file system with nothing but busybox, and runc's own
# configuration for rootless users, with limits: ~/b/limits.json.
bundle() {
	works "$1 makes a bundle" in_login "$1" 'mkdir -p ~/b/rootfs/bin ~/b/rootfs/proc ~/b/rootfs/sys ~/b/rootfs/dev ~/b/rootfs/tmp ~/b/rootfs/etc ~/b/rootfs/run &&
		cp /bin/busybox ~/b/rootfs/bin && cd ~/b && runc spec --rootless &&
		sed "s/\"terminal\": true/\"terminal\": false/; s|\"sh\"|\"/bin/busybox\",\"sleep\",\"1000\"|
			s|\"linux\": {|&\"resources\":{\"memory\":{\"limit\":67108864},\"pids\":{\"limit\":33}},|" config.json >limits.json'
}

session_of() {
	local cgroup
	cgroup=$(cgroup_of_login unified "$1")
	echo "${cgroup%/init.scope}"
}

# where PID: its cgroup, as the table has it. $session is S.
where() {
	local path
	path=$(cgroup_in unified "$1" | sed -E 's/run-[0-9]+/run-PID/; s/[0-9a-f]{64}/ID/; s/-[0-9]+\.scope/-N.scope/')
	case $path in
	"$(sed -E 's/-[0-9]+\.scope/-N.scope/' <<<"$session")"/*) echo "S/${path#"${session%/*}"/*/}" ;;
	*/user@*.service/*) echo "U/${path#*/user@*.service/}" ;;
	*) echo "none of its own" ;;
	esac
}

# holding PID: which of the limits are set in its cgroup, or in one above it that
# is the user's.
holding() {
	local path=$cg names=
	path+=$(cgroup_in unified "$1")
	while [ "$path" != $cg ] && [ "$path" != "$cg$session" ]; do
		case $(cat "$path/memory.max" 2>/dev/null) in 67108864) names+=" memory" ;; esac
		case $(cat "$path/pids.max" 2>/dev/null) in 33 | 100) names+=" pids" ;; esac
		path=${path%/*}
	done
	names=$(tr ' ' '\n' <<<"$names" | sort -u | xargs)
	names=${names:-none}
	echo "${names// /, }"
}

frozen() { case $(read_cgroup unified "$1" cgroup.events 2>/dev/null) in *"frozen 1"*) ;; *) return 1 ;; esac; }

# row CLIENT PID FROZEN-BY
row() { note "row: $1 | $(where "$2") | $(holding "$2") | $3"; }

# refused CLIENT WORDS
refused() { note "row: $1 | - | does not start: «$2» | -"; }

# by_hand LOGIN PID: freezes and thaws the cgroup of cgdeleg run, as its user.
by_hand() {
	local file
	file=$(cgroup_in unified "$2" | sed -E 's,(/run-[0-9]+).*,\1/cgroup.freeze,')
	works "$1 freezes its cgroup ($file)" in_login "$1" "echo 1 >$cg$file"
	eventually "it is frozen" frozen "$2"
	works "and thaws it" in_login "$1" "echo 0 >$cg$file"
}

# eats LOGIN COMMAND: COMMAND runs busybox under a limit of 64 MiB.
eats() {
	works "20 MiB may be had of 64 ($2)" in_login "$1" "$2 dd if=/dev/zero of=/dev/null bs=20M count=1"
	fails "but not 200 ($2)" in_login "$1" "$2 dd if=/dev/zero of=/dev/null bs=200M count=1"
}

# --- LXC ---------------------------------------------------------------------

# lxc_client CLIENT LOGIN BOX: a container with limits; those of nested containers
# and what LXC can do beside are in scenarios of their own.
lxc_client() {
	local by=-
	start_box "$2" "$3"
	pid=$(box_init "$2" "$3")
	if in_login "$2" "lxc-freeze -n $3" >/dev/null 2>&1 && frozen "$pid"; then
		by=lxc-freeze
		works "lxc-unfreeze ($2)" in_login "$2" "lxc-unfreeze -n $3"
	fi
	row "$1" "$pid" "$by"
	stop_box "$2" "$3"
}

# --- runc and crun ----------------------------------------------------------

# oci LOGIN RUNTIME BEFORE [CGROUPSPATH]: starts ~/b with limits; pid is then
# that of its init, or nothing.
oci() {
	local login=$1 runtime=$2 before=$3 path=${4:-}
	pid=
	said=$(in_login "$login" "cd ~/b && rm -f pid && sed 's|\"linux\": {|&${path:+\"cgroupsPath\":\"$path\",}|' limits.json >config.json &&
		$before $runtime --root ~/b/$runtime run --pid-file ~/b/pid -d c1 </dev/null >~/said 2>&1; s=\$?; cat ~/said; exit \$s") &&
		pid=$(in_login "$login" "cat ~/b/pid")
}

oci_do() { in_login "$1" "$2 --root ~/b/$2 $3"; }

oci_end() {
	works "$2 delete ($1)" oci_do "$1" "$2" "delete -f c1"
	eventually "its init is gone" gone "$pid"
}

# oci_row CLIENT LOGIN RUNTIME: what the runtime itself can freeze.
oci_row() {
	local by=-
	if oci_do "$2" "$3" "pause c1" >/dev/null 2>&1 && frozen "$pid"; then
		by="$3 pause"
		works "$3 resume" oci_do "$2" "$3" "resume c1"
	fi
	row "$1" "$pid" "$by"
}

oci_clients() {
	local runtime
	for runtime in runc crun; do
		oci first $runtime ""
		if [ "$runtime$bookworm" = crunyes ]; then
			# crun 1.8 takes no cgroup of its own, and says nothing
			equal "crun without cgroupsPath stays in the leaf" "$(where "$pid")" S/init.scope
			equal "without its limits" "$(holding "$pid")" none
		else
			equal "$runtime has a cgroup in the session" "$(where "$pid")" S/c1
			equal "with its limits" "$(holding "$pid")" "memory, pids"
		fi
		oci_row $runtime first $runtime
		oci_end first $runtime

		oci first $runtime "" "$session/c1"
		equal "$runtime is in its cgroupsPath" "$(cgroup_in unified "$pid")" "$session/c1"
		equal "with its limits there" "$(holding "$pid")" "memory, pids"
		eats second "$runtime --root ~/b/$runtime exec c1 /bin/busybox"
		equal "$runtime exec from another login is in the container's cgroup" \
			"$(oci_do second $runtime "exec c1 /bin/busybox cat /proc/self/cgroup")" 0::/
		works "$runtime pause from another login" oci_do second $runtime "pause c1"
		works "freezes the container" frozen "$pid"
		works "$runtime resume from another login" oci_do second $runtime "resume c1"
		row "$runtime, cgroupsPath S/c1" "$pid" "$runtime pause"
		oci_end first $runtime

	done
	oci first crun "$run"
	like "crun in cgdeleg run is below its cgroup" "$(where "$pid")" "S/run-PID/*"
	equal "with the limits of cgdeleg run" "$(holding "$pid")" "memory, pids"
	by_hand first "$pid"
	row "cgdeleg run -p … -- crun" "$pid" hand
	oci_end first crun
}

# --- podman -----------------------------------------------------------------

# podman_run LOGIN BEFORE OPTION...: as run_podman; pid is then that of its init.
podman_run() {
	local login=$1 before=$2
	shift 2
	pid=
	said=$(in_login "$login" "$before podman $* run -d --name p1 --pidfile ~/pid -m 64m --pids-limit 33 --network=none $parent \
		--rootfs ~/b/rootfs /bin/busybox sleep 1000 </dev/null 2>&1") && pid=$(in_login "$login" "cat ~/pid")
	manager=$*
	note "podman: $said"
}

podman_do() { in_login "$1" "podman $manager $2"; }

podman_end() {
	works "podman rm ($1)" podman_do "$1" "rm -f -t 0 p1"
	works "podman ends its pause process ($1)" podman_do "$1" "system migrate"
}

podman_row() {
	local by=-
	if podman_do "$2" "pause p1" >/dev/null 2>&1 && frozen "$pid"; then
		by="podman pause"
		works "podman unpause" podman_do "$2" "unpause p1"
	fi
	row "$1" "$pid" "$by"
}

# podman_clients WORDS: WORDS tell these rows from others of the same machine.
podman_clients() {
	local parent=
	podman_run first "" --cgroup-manager=cgroupfs
	if [ $bookworm ]; then
		equal "podman 4 without --cgroup-parent stays in the leaf$1" "$(where "$pid")" S/init.scope
		equal "without its limits$1" "$(holding "$pid")" none
	else
		equal "podman 5 has a cgroup in the session$1" "$(where "$pid")" S/ID
		equal "with its limits$1" "$(holding "$pid")" "memory, pids"
	fi
	podman_row "podman$1 --cgroup-manager=cgroupfs" first
	podman_end first

	parent="--cgroup-parent=$session"
	podman_run first "" --cgroup-manager=cgroupfs
	like "podman is below its --cgroup-parent$1" "$(where "$pid")" "S/libpod-ID*"
	equal "with its limits there$1" "$(holding "$pid")" "memory, pids"
	if [ -z "$1" ]; then podman_from_another_login; fi
	podman_row "podman$1 --cgroup-manager=cgroupfs run --cgroup-parent=S" second
	podman_end first
}

podman_from_another_login() {
	eats second "podman $manager exec p1 /bin/busybox"
	equal "podman exec from another login is in the container's cgroup" "$(podman_do second "exec p1 /bin/busybox cat /proc/self/cgroup")" 0::/
	like "podman stats from another login has the limit and one process" \
		"$(podman_do second "stats --no-stream --format '{{.MemUsage}} {{.PIDS}}' p1" 2>/dev/null)" "*/ 67.11MB 1"
}

# podman_in_run: what cgdeleg run sets holds for podman's containers.
podman_in_run() {
	local parent=
	podman_run first "$run" --cgroup-manager=cgroupfs
	like "podman in cgdeleg run is below its cgroup" "$(where "$pid")" "S/run-PID/*"
	equal "with the limits of cgdeleg run" "$(holding "$pid")" "memory, pids"
	by_hand second "$pid"
	row "cgdeleg run -p … -- podman --cgroup-manager=cgroupfs" "$pid" hand
	podman_end first
}

# check_says [USER-MANAGER]: what is seen here, and what cgdeleg check tells a
# user to do about it, are one.
check_says() {
	local said
	said=$(in_login first "cgdeleg check runc crun podman bubblewrap" 2>&1)
	like "check has a limit for bubblewrap" "$said" "*cgdeleg run -p memory.max=1G -p pids.max=200 -- bwrap ...*"
	like "check has nothing against runc" "$said" "*ok       runc *"
	if [ $bookworm ]; then
		like "check has crun's cgroupsPath" "$said" "*\"cgroupsPath\": \"$session/CONTAINER\"*"
	else
		like "check has nothing against crun" "$said" "*ok       crun *"
	fi
	case $1$bookworm in
	user-manager*) like "check knows whom podman asks" "$said" "*ok       podman *asks systemd's user manager*" ;;
	yes) like "check has podman's --cgroup-parent" "$said" "*podman --cgroup-manager=cgroupfs run --cgroup-parent=$session IMAGE*" ;;
	*) like "check has nothing against podman" "$said" "*ok       podman *" ;;
	esac
	equal "check calls none of it a trouble" "$(in_login first "cgdeleg check -q --strict" 2>&1)" ""
}

# --- by hand ----------------------------------------------------------------

used() { sed -n 's/^usage_usec //p' "$cg$session/run-$1/cpu.stat"; }
now() { sed 's/\.\(..\).*/\10000/' /proc/uptime; }

# fifth LIMITED FREE: two loops side by side, until the free one has used 5 s more
# and more than twice as much as the other, which may have a fifth of the time.
fifth() {
	local end=$((SECONDS + PATIENCE)) start limited0 free0 limited free elapsed
	start=$(now) limited0=$(used "$1") free0=$(used "$2")
	limited=0 free=0
	until [ $free -gt 5000000 ] && [ $free -gt $((limited * 2)) ] || [ $SECONDS -gt $end ]; do
		sleep 0.5
		limited=$(($(used "$1") - limited0)) free=$(($(used "$2") - free0))
	done
	elapsed=$(($(now) - start))
	note "a fifth: $limited of $elapsed µs; the free loop $free"
	works "the limited loop has had less than half as much as the free one" [ $((limited * 2)) -lt $free ]
	works "and something" [ $limited -gt 0 ]
	works "it has had a fifth of a CPU: $limited µs of $elapsed" [ $((limited * 10)) -lt $((elapsed * 3)) ]
}

chroot_by_hand() {
	local limited free spin="sh -c 'while :; do :; done'"
	limited=$(in_login first "PATH=\$PATH:/usr/sbin; exec >~/said 2>&1; cgdeleg run -p 'cpu.max=200000 1000000' -p cpuset.cpus=1 -- \
		unshare --user --map-root-user --pid --fork chroot ~/b/rootfs /bin/busybox $spin </dev/null & echo \$! >~/pid" && in_login first "cat ~/pid")
	free=$(in_login first "exec >~/said2 2>&1; cgdeleg run -- $spin </dev/null & echo \$! >~/pid" && in_login first "cat ~/pid")
	if ! eventually "both loops run" loops "$limited" "$free"; then
		note "$(in_login first "cat ~/said ~/said2")"
		return
	fi
	pid=$(tail -n 1 "$cg$session/run-$limited/init.scope/cgroup.procs")
	equal "the limited one may use one CPU" "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")" 1
	equal "its cgroup has its limit" "$(cat "$cg$session/run-$limited/cpu.max")" "200000 1000000"
	fifth "$limited" "$free"
	fails "it was throttled" grep -q '^nr_throttled 0$' "$cg$session/run-$limited/cpu.stat"
	by_hand first "$pid"
	note "row: cgdeleg run -p … -- unshare … chroot$1 | $(where "$pid") | cpu.max, cpuset.cpus | hand"
	in_login first "echo 1 >$cg$session/run-$limited/cgroup.kill; echo 1 >$cg$session/run-$free/cgroup.kill"
	eventually "the loops are gone" gone "$free"
	eventually "both of them" gone "$limited"
}

loops() {
	local pid
	for pid; do
		if [ -z "$(cat "$cg$session/run-$pid/init.scope/cgroup.procs")" ] || [ "$(used "$pid")" = 0 ]; then return 1; fi
	done
}

wrap() {
	local wrap="bwrap --unshare-all --bind ~/b/rootfs / --proc /proc --dev /dev /bin/busybox"
	equal "inside of bubblewrap the cgroup is the root" "$(in_login first "cgdeleg run -- $wrap cat /proc/self/cgroup")" 0::/
	eats first "$run $wrap"
	in_login first "exec >~/said 2>&1; $run $wrap sleep 1000 </dev/null & echo \$! >~/pid"
	pid=$(in_login first "cat ~/pid")
	eventually "bubblewrap runs" children "$pid"
	by_hand first "$pid"
	row "cgdeleg run -p … -- bwrap" "$pid" hand
	in_login first "echo 1 >$cg$session/run-$pid/cgroup.kill"
	eventually "bubblewrap is gone" gone "$pid"
}

children() { [ -n "$(pgrep -P "$1")" ]; }

# What docs/clients/by-hand.md says of cgroup namespaces. The login's cgroup is
# the leaf; that of cgdeleg run is two below the session.
views() {
	local s=$cg$session ns="unshare --user --map-root-user -Cm" up=
	for _ in ${session//\// } run leaf; do up+=/..; done
	equal "a process sees its own namespace's root" "$(in_login first "cgdeleg run -- $ns cat /proc/self/cgroup")" 0::/
	equal "and its shell's cgroup from below" "$(in_login first "shell=\$\$; cgdeleg run -- $ns cat /proc/\$shell/cgroup; exit")" 0::/../../init.scope
	equal "a mount point's root is stale" \
		"$(in_login first "cgdeleg run -- $ns sh -c 'grep \" - cgroup2 \" /proc/self/mountinfo | cut -d \" \" -f 4'")" "$up"
	equal "that of a new mount is not" "$(in_login first "cgdeleg run -- $ns sh -c \
		'mount -t tmpfs none /mnt && mkdir /mnt/c && mount -t cgroup2 none /mnt/c && grep \" /mnt/c \" /proc/self/mountinfo | cut -d \" \" -f 4'")" /
	equal "a cgroup beside it" "$(in_login first "mkdir $s/test01 $s/test02; sleep 100 & echo \$! >$s/test02/cgroup.procs
		sh -c 'echo \$\$ >$s/test01/cgroup.procs; exec $ns cat /proc/'\$!/cgroup; kill \$!; wait; rmdir $s/test01 $s/test02")" 0::/../test02
}

# --- without the module -----------------------------------------------------

no_module() {
	local session=/none parent='' runtime
	module_options min_uid=60000
	make_limited_box bob b1
	login bob bob
	bundle bob
	lxc_client "no module: lxc-start" bob b1
	# with that variable the user manager would make a scope (run-user-manager.sh)
	fails "cgdeleg run needs the module" in_login bob "XDG_RUNTIME_DIR= cgdeleg run -- true"
	refused "no module: cgdeleg run -- COMMAND" "this shell has no cgroup of its own"
	for runtime in runc crun; do
		oci bob $runtime ""
		if [ "$pid" ]; then
			oci_row "no module: $runtime" bob $runtime
			equal "$runtime has no limits without the module" "$(holding "$pid")" none
			oci_end bob $runtime
		else
			like "$runtime refuses without the module" "$said" "*cgroup*"
			note "$said"
			refused "no module: $runtime" "$(grep -o 'rootless needs no limits[^:]*' <<<"$said")"
		fi
	done
	podman_run bob "" --cgroup-manager=cgroupfs
	equal "podman has no limits without the module" "$(holding "$pid")" none
	podman_row "no module: podman --cgroup-manager=cgroupfs" bob
	podman_end bob
	logout bob
	module_options ""
}

# --- the logins -------------------------------------------------------------

make_limited_box alice c1
login first alice
login second alice
session=$(session_of first)
lxc_client lxc-start first c1
bundle first
oci_clients
wrap
views
if booted_systemd; then
	check_says user-manager
	# the user manager's own way, in which the module must not get
	parent=
	podman_run first ""
	like "podman's scope is the user manager's" "$(where "$pid")" "U/user.slice/libpod-*"
	equal "with its limits" "$(holding "$pid")" "memory, pids"
	podman_row "podman" first
	podman_end first
	like "systemd does not delegate cpuset" "$(in_login first "cgdeleg run -p cpuset.cpus=1 -- true" 2>&1)" "*no delegated hierarchy has the file \"cpuset.cpus\"*"
	refused "cgdeleg run -p cpuset.cpus=1" 'no delegated hierarchy has the file "cpuset.cpus"'
	podman_clients ""
	logout second
	logout_of_logind first

	printf '[Scope]\nDelegate=cpu cpuset memory pids\n' >/usr/lib/systemd/system/session-.scope.d/60-cpuset.conf
	systemctl mask --runtime user@.service 2>/dev/null
	systemctl stop user@1000.service
	systemctl daemon-reload
	login first alice
	login second alice
	session=$(session_of first)
	check_says ""
	podman_clients " without a user manager"
	podman_in_run
	chroot_by_hand ", cpuset in Delegate="
	logout second
	logout_of_logind first
else
	check_says ""
	podman_clients ""
	podman_in_run
	chroot_by_hand ""
	logout second
	logout first
	fails "the logouts leave nothing" test -e $cg/user/alice
fi
no_module
equal "the module had nothing to complain about" "$(module_log)" ""
finish
