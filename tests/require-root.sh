#!/bin/sh
# require-root.sh TARGET: says in one sentence what `make TARGET` lacks here.
set -eu
if [ "$(id -u)" != 0 ]; then
	echo "make $1 needs root, because it makes cgroups: run \`sudo make $1\`." >&2
	exit 1
fi
for type in cgroup cgroup2; do
	while read -r _ point fstype options _; do
		[ "$fstype" = "$type" ] || continue
		case ",$options," in *,rw,*) ;; *) continue ;; esac
		probe=$point/cgdeleg-probe-$$
		if mkdir "$probe" 2>/dev/null; then
			rmdir "$probe"
			exit 0
		fi
	done </proc/mounts
done
echo "make $1 needs a cgroup hierarchy that root can write, and this machine has none: mount one (mount -t cgroup2 none /sys/fs/cgroup), or in a container use a privileged one." >&2
exit 1
