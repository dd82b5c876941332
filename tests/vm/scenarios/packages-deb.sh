#!/bin/bash
# The Debian packages on a machine that systemd runs, on cgroup v2: install,
# upgrade with a container in a live session, remove and purge, with a login after
# each.
# machines: bookworm-systemd-v2
# shellcheck disable=SC1091 # it comes beside
. /in/packages.sh

cg=/sys/fs/cgroup
works "make test-vm has built the packages" test -e /in/debs/next
make_limited_box alice c1
pam_before=$(pam_files)
login stock alice
like "without the packages a login is in the scope itself" "$(cgroup_of_login unified stock)" "*/session-*.scope"
logout_of_logind stock

works "install" install_debs
equal "the module's line" "$(ours common-session)" "pam_cgdeleg.so "
has_words "comes behind systemd's" "$(session_modules common-session | tail -n 2 | tr -d '\n')" pam_systemd.so pam_cgdeleg.so
login first alice
scope=/user.slice/user-1000.slice/session-$(session_id first).scope
equal "the login is in the scope's leaf" "$(cgroup_of_login unified first)" "$scope/init.scope"
equal "systemd delegates the scope" "$(systemctl show -p Delegate --value "${scope##*/}")" yes
logind_knows "after the login" first
works "cgdeleg check finds nothing wrong" cgdeleg check -q --user alice
start_box first c1
box_holds_v2 "installed" first c1 "$scope/lxc.payload.c1"

like "the timer is on" "$(systemctl list-timers --no-legend cgdeleg-cleanup.timer)" "*cgdeleg-cleanup.timer cgdeleg-cleanup.service"
equal "and starts nothing at once" "$(systemctl show -p ActiveState --value cgdeleg-cleanup.service)" inactive
equal "the server is off" "$(systemctl is-enabled cgdeleg-serve.socket cgdeleg-serve.service | tr '\n' ' ')$(systemctl is-active cgdeleg-serve.socket)" "disabled disabled inactive"
mkdir -p $cg/user/alice/7
works "the timer's service" systemctl start cgdeleg-cleanup.service
fails "removes a dead session" test -e $cg/user/alice
equal "the lock's folder is root's alone" "$(stat -c '%U %a' /run/cgdeleg)" "root 700"

works "the server is turned on" systemctl enable --now cgdeleg-serve.service
serving() { systemctl show -p MainPID --value cgdeleg-serve.service; }
server=$(serving)
works "unpack the next version" unpack_next
login between alice
like "a login before it is configured is in the leaf of its scope" "$(cgroup_of_login unified between)" "*/session-*.scope/init.scope"
logout_of_logind between
works "configure it" configure_all
equal "the next version is installed" "$(state libpam-cgdeleg)" "install ok installed $(version_in /in/debs/next)"
works "the server runs" test -S /run/cgdeleg/serve.sock -a "$(serving)" -gt 0
fails "and it is the next version" test "$(serving)" = "$server"
box_holds_v2 "after the upgrade" first c1 "$scope/lxc.payload.c1"
logind_knows "after the upgrade" first
login upgraded alice
like "a login after the upgrade is in the leaf of its scope" "$(cgroup_of_login unified upgraded)" "*/session-*.scope/init.scope"
logout_of_logind upgraded

works "remove" remove_debs
equal "PAM's files are as before" "$(pam_files)" "$pam_before"
fails "the server is gone, and its socket" test -e /run/cgdeleg/serve.sock
works "systemctl daemon-reload" systemctl daemon-reload
box_holds_v2 "after the removal" first c1 "$scope/lxc.payload.c1"
login removed alice
like "a login after the removal is in the scope itself" "$(cgroup_of_login unified removed)" "*/session-*.scope"
logout_of_logind removed
equal "there is no timer" "$(systemctl list-timers --no-legend cgdeleg-cleanup.timer)" ""
stop_box first c1
logout_of_logind first
fails "the scope is gone" test -e $cg"$scope"

works "purge" purge_debs
equal "PAM's files are as before the first time" "$(pam_files)" "$pam_before"
equal "dpkg does not know the packages" "$(state libpam-cgdeleg)$(state cgdeleg)" ""
login purged alice
like "a login after the purge is in the scope itself" "$(cgroup_of_login unified purged)" "*/session-*.scope"
logout_of_logind purged
equal "the module had nothing to complain about" "$(module_log | grep -F "pam_cgdeleg(")" ""
finish
