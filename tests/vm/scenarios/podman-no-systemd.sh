#!/bin/bash
# podman with its cgroupfs manager, on cgroup v2 without systemd.
# machines: trixie-no-systemd-v2

install_module ""
login first alice
run_podman first p1
like "podman's container is in the session" "$(cgroup_in unified "$(podman_init first p1)")" "/user/alice/0/*"
podman_holds first p1
stop_podman first p1
logout first
fails "the logout leaves nothing" test -e /sys/fs/cgroup/user/alice
finish
