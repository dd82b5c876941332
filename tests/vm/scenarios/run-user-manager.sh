#!/bin/bash
# cgdeleg run where the module made no session: the user manager makes a scope.
# machines: bookworm-systemd-v2

install_module min_uid=60000
login bob bob
uid=$(id -u bob)
scope="/user.slice/user-$uid.slice/user@$uid.service/app.slice/run-*.scope"

# shellcheck disable=SC2016 # the shell in the cgroup expands it
ran=$(in_login bob "cgdeleg run --memory 64M --tasks 50 --cpus 0.5 -- sh -c '"'cat /proc/self/cgroup; at=/sys/fs/cgroup$(sed s/^0:://\;s,/init.scope$,, /proc/self/cgroup); cat $at/memory.max $at/pids.max; echo $(cat $at/cpu.max); exit 7'"'; echo status \$?" 2>&1)
note "$ran"
like "the command is in a scope of the user manager's" "$(path_of unified <<<"$ran")" "$scope/run-*/init.scope"
like "with its limits, and its exit status" "$(tail -n 4 <<<"$ran" | xargs)" "67108864 50 50000 100000 status 7"
said=$(in_login bob "cgdeleg run --report --memory 64M --swap 0 -- tail /dev/zero; echo status \$?" 2>&1)
note "$said"
like "the report says why it died" "$said" "*tail was killed by SIGKILL (exit status 137): by the kernel, for want of memory; memory.max of *is 64.0M, and was reached*"
like "and the exit status is as a shell has it" "$said" "*status 137*"
like "the report has the peak" "$said" "*memory     peak 64.0M of 64.0M*"
fails "no scope is left" in_login bob "systemctl --user --no-legend list-units 'run-*.scope' --all | grep ."
said=$(in_login bob "XDG_RUNTIME_DIR= cgdeleg run --memory 64M -- true" 2>&1)
like "without the variable it is said" "$said" "*export XDG_RUNTIME_DIR=/run/user/$uid*"
said=$(cgdeleg run --memory 64M --cpus 1.5 -- true 2>&1)
like "and to root what to type" "$said" "*systemd-run --scope -p MemoryMax=64M -p CPUQuota=150% -- COMMAND*"
works "which can be typed" systemd-run --quiet --scope -p MemoryMax=64M -p CPUQuota=150% -- true
fails "there is no path" in_login bob "cgdeleg path"
logout bob
equal "the module had nothing to complain about" "$(module_log)" ""
finish
