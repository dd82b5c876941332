#!/bin/bash
# A login on cgroup v2 under systemd, without the drop-in: nothing breaks, and
# one line of the log says what is missing.
# machines: bookworm-systemd-v2 trixie-systemd-v2

install_module ""
cg=/sys/fs/cgroup

login first alice
scope=/user.slice/user-1000.slice/session-$(session_id first).scope
logind_knows "after the login" first
equal "the login is in logind's scope" "$(cgroup_of_login unified first)" "$scope"
equal "the scope is still root's" "$(stat -c %U:%G $cg"$scope")" root:root
fails "there is no cgroup beside systemd's" test -e $cg/user
equal "one line of the log names the missing file" \
	"$(module_log | grep -c /usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf)" 1
equal "and is the only one" "$(module_log | wc -l)" 1
logout_of_logind first
fails "the scope is gone" test -e $cg"$scope"
finish
