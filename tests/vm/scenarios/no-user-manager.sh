#!/bin/bash
# Where no user manager answers, LXC 6 and podman have no cgroups without the
# module, and say nothing.
# machines: trixie-systemd-v2

install_module ""
install_dropin
systemctl mask --runtime user@.service 2>/dev/null
make_limited_box alice c1

login first alice
scope=/user.slice/user-1000.slice/session-$(session_id first).scope
logind_knows "after the login" first
start_box first c1
box_holds_v2 "from its login" first c1 "$scope/lxc.payload.c1"
login second alice
box_holds_v2 "from another login" second c1 "$scope/lxc.payload.c1"
stop_box first c1

run_podman first p1
init=$(podman_init first p1)
like "podman's container is in the session" "$(cgroup_in unified "$init")" "$scope/*"
podman_holds first p1
stop_podman first p1
logout_of_logind second
logout_of_logind first
finish
