#!/bin/bash
# LXC 6 asks systemd's user manager for a scope of its own. The module does not
# get in its way.
# machines: trixie-systemd-v2

install_module ""
install_dropin
make_limited_box alice c1

login first alice
start_box first c1
manager=/user.slice/user-1000.slice/user@1000.service
like "the payload is in the user manager's scope" \
	"$(cgroup_in unified "$(box_init first c1)")" "$manager/app.slice/lxc-c1-*.scope/lxc.payload.c1"
init=$(box_init first c1)
has_words "the payload has controllers" "$(read_cgroup unified "$init" cgroup.controllers)" cpu memory pids
equal "the payload's memory.max is the configuration's" "$(read_cgroup unified "$init" memory.max)" 67108864
logind_knows "with a container" first
stop_box first c1
logout_of_logind first
finish
