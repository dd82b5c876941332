#!/bin/bash
# A container that still runs keeps its session over the logout. When it has
# ended, the session goes with `cgdeleg cleanup`.
# machines: bookworm-no-systemd-v2

install_module ""
make_limited_box alice c1
cg=/sys/fs/cgroup

login first alice
start_box first c1
init=$(box_init first c1)
logout first
equal "the container is where it was" "$(cgroup_in unified "$init")" /user/alice/0/lxc.payload.c1
works "cleanup with a running container" cgdeleg cleanup
equal "leaves it alone" "$(cgroup_in unified "$init")" /user/alice/0/lxc.payload.c1

login second alice
equal "the next login has a session of its own" "$(cgroup_of_login unified second)" /user/alice/1/init.scope
box_holds_v2 "from the next login" second c1 /user/alice/0/lxc.payload.c1
stop_box second c1
logout second
works "cleanup" cgdeleg cleanup
fails "leaves nothing" test -e $cg/user/alice
equal "of alice's in any cgroup" "$(not_roots $cg)" ""
finish
