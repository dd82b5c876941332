#!/bin/bash
# A login on cgroup v1 under systemd, with pam_cgfs's own line: logind's scope
# is logind's, and the other hierarchies have a session.
# machines: bookworm-systemd-hybrid

install_module "-c freezer,memory,name=systemd"

login first alice
session=$(in_login first "echo \$XDG_SESSION_ID")
scope=/user.slice/user-1000.slice/session-$session.scope
equal "the login is in logind's scope" "$(cgroup_of_login name=systemd first)" "$scope"
equal "logind calls the session active" "$(loginctl show-session "$session" -p State --value)" active
works "loginctl session-status of the login's processes" loginctl session-status "$session"
for h in freezer memory; do
	equal "the login is in its session ($h)" "$(cgroup_of_login "$h" first)" /user/alice/0
	equal "alice owns the session ($h)" "$(stat -c %U:%G "$(mount_point "$h")/user/alice/0")" alice:alice
done

logout first
eventually "logind has closed the session" fails_quietly loginctl show-session "$session"
for h in freezer memory; do
	fails "the logout leaves nothing ($h)" test -e "$(mount_point "$h")/user/alice"
done
finish
