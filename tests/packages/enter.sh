#!/bin/bash
# enter.sh DIR TAR IN: runs IN/main.sh in the root file system TAR, unpacked in
# memory on the empty folder DIR, with namespaces of its own: sshd has port 22
# for itself, and when it ends all of it goes. The cgroup hierarchies are this
# machine's, from a cgroup of its own on, so that it meets no other test.
set -eu

# own_cgroup HIERARCHY PATH: the folder of a new cgroup in this one's.
own_cgroup() {
	local point
	point=$(awk -v names="$1" '(names == "" && $3 == "cgroup2") ||
		(names != "" && $3 == "cgroup" && index("," $4 ",", "," names ",")) {print $2; exit}' /proc/mounts)
	[ -z "$point" ] || echo "$point${2%/}/packages-$$"
}

make_cgroups() {
	local names path cgroup file
	while IFS=: read -r _ names path; do
		cgroup=$(own_cgroup "$names" "$path")
		[ -n "$cgroup" ] || continue
		mkdir "$cgroup"
		cgroups+=("$cgroup")
		[ "$names" != "" ] || unified=$cgroup
		for file in cpuset.cpus cpuset.mems; do # of v1: empty in a new cgroup, and then nothing can enter it
			[ "$names" = "" ] || [ ! -e "$cgroup/$file" ] || cat "$cgroup/../$file" >"$cgroup/$file"
		done
	done </proc/self/cgroup
}

remove_cgroups() {
	local cgroup
	for cgroup in "${cgroups[@]}"; do
		find "$cgroup" -depth -type d -exec rmdir {} +
	done
}

# outside makes the cgroups and runs leaf in them.
outside() {
	cgroups=() unified=
	trap remove_cgroups EXIT
	make_cgroups
	(
		for cgroup in "${cgroups[@]}"; do echo "$BASHPID" >"$cgroup/cgroup.procs"; done
		exec unshare --cgroup "$0" leaf "$unified" "$@"
	)
}

# leaf UNIFIED: the namespace's own cgroup of v2 keeps no process, not even unshare,
# or it could give its children no controllers.
leaf() {
	if [ -n "$1" ]; then
		mkdir "$1/init.scope"
		echo $$ >"$1/init.scope/cgroup.procs"
	fi
	shift
	exec unshare --mount --propagation=private --pid --net --fork --kill-child "$0" inside "$@"
}

# mount_hierarchies DIR: those of this process, the cgroup namespace's part.
mount_hierarchies() {
	local names all
	all=$(cut -d : -f 2 /proc/self/cgroup)
	if [ -n "$all" ]; then mount -t tmpfs -o mode=755 tmpfs "$1"; fi
	while read -r names; do
		case $names in
		"") continue ;;
		name=*) mkdir "$1/${names#name=}" && mount -t cgroup -o "none,$names" cgroup "$1/${names#name=}" ;;
		*) mkdir "$1/$names" && mount -t cgroup -o "$names" cgroup "$1/$names" ;;
		esac
	done <<<"$all"
	local unified=$1
	if [ -n "$all" ]; then
		grep -q cgroup2 /proc/mounts || return 0
		mkdir "$1/unified"
		unified=$1/unified
	fi
	mount -t cgroup2 cgroup2 "$unified"
}

# inside is the first process of the namespaces.
inside() {
	local dir=$1 tar=$2 in=$3
	mount -t tmpfs -o mode=755 tmpfs "$dir"
	tar -C "$dir" --numeric-owner -xpf "$tar"
	mount -t proc proc "$dir/proc"
	mount -t sysfs sysfs "$dir/sys"
	mount --rbind /dev "$dir/dev"
	mount -t tmpfs -o mode=755 tmpfs "$dir/run"
	mount_hierarchies "$dir/sys/fs/cgroup"
	mkdir "$dir/run/sshd" "$dir/in"
	cp -r "$in/." "$dir/in"
	ip link set lo up
	# not exec: the first process has to wait for what others leave behind
	chroot "$dir" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash /in/main.sh
}

case $1 in
inside | leaf) "$@" ;;
*) outside "$@" ;;
esac
