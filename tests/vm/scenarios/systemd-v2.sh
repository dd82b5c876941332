#!/bin/bash
# A login on cgroup v2 under systemd: logind's scope is logind's.
# machines: bookworm-systemd-v2 trixie-systemd-v2

install_module ""
cg=/sys/fs/cgroup

login first alice
session=$(in_login first "echo \$XDG_SESSION_ID")
scope=/user.slice/user-1000.slice/session-$session.scope
equal "the login is in logind's scope" "$(cgroup_of_login unified first)" "$scope"
equal "the scope is still root's" "$(stat -c %U:%G $cg"$scope")" root:root
equal "logind calls the session active" "$(loginctl show-session "$session" -p State --value)" active
equal "and has its scope" "$(loginctl show-session "$session" -p Scope --value)" "session-$session.scope"
works "loginctl session-status of the login's processes" loginctl session-status "$session"
fails "there is no cgroup beside systemd's" test -e $cg/user

logout first
eventually "logind has closed the session" fails_quietly loginctl show-session "$session"
fails "its scope is gone" test -e $cg"$scope"
finish
