#!/bin/bash
# newcomer.sh PAGE is what the scenarios of newcomers do: they type what the page prints, on a
# fresh Debian, and end with a container that has its limit.
# shellcheck disable=SC1091,SC2154 # pages.sh comes beside
. /in/pages.sh
page=$1

export DEBIAN_FRONTEND=noninteractive
works "the packages are built (make deb)" sh -c 'cp /in/debs/*.deb /root'
cd /root || exit
fails "no client is installed" sh -c 'command -v lxc-start newuidmap podman'
fails "and there is no alice" id alice
follow "/in/getting-started/$page"
note "the page took $SECONDS s, and the boot before it"
works "it is a page" [ "$typed" -gt 12 ]

# Seen from outside, by nothing that the page used.
init=$(box_init newcomer c1)
if ! [ "$init" ]; then
	not_ok "the container runs" "it has no process"
	finish
fi
cgroup=$(cgroup_in unified "$init")
case $(lxc-start --version):$(booted_systemd && echo systemd) in
5*:systemd) place="/user.slice/user-1000.slice/session-*.scope/lxc.payload.c1" ;;
*:systemd) place="/user.slice/user-1000.slice/user@1000.service/*/lxc-c1-*.scope/lxc.payload.c1" ;;
*) place="/user/alice/[0-9]/lxc.payload.c1" ;;
esac
like "the container is where its LXC has it" "$cgroup" "$place"
has_words "with controllers" "$(read_cgroup unified "$init" cgroup.controllers)" memory pids
equal "its memory.max is the page's" "$(read_cgroup unified "$init" memory.max)" 268435456
equal "its pids.max is the page's" "$(read_cgroup unified "$init" pids.max)" 100
fails "its root is not the machine's" grep -q '^ *0 *0 ' "/proc/$init/uid_map"
equal "alice's login can make no more than it may" "$(in_login newcomer "lxc-attach -n c1 -- sh -c 'dd if=/dev/zero of=/dev/null bs=400M count=1 2>/dev/null; echo \$?'")" 137
works "the module had nothing to complain about" sh -c '! grep -rhs "pam_cgdeleg(.*):" /var/log/syslog /var/log/auth.log | grep -v opened'
finish
