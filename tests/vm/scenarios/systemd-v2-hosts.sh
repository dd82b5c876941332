#!/bin/bash
# Who is delegated what under systemd: only a login gets anything, in a scope
# that is its own.
# machines: bookworm-systemd-v2

install_module ""
install_dropin
cg=/sys/fs/cgroup
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
alices=/user.slice/user-1000.slice
bobs=/user.slice/user-1001.slice
# of_bob: what bob has anywhere, but in the cgroups of his user manager.
of_bob() { not_roots $cg | grep '^bob' | grep -v user@1001.service; }

login first alice
scope=$alices/session-$(session_id first).scope
equal "sudo in alice's login stays there" "$(in_login first "sudo cat /proc/self/cgroup" | path_of unified)" "$scope/init.scope"
equal "sudo su - bob in alice's login stays there" \
	"$(in_login first "sudo su - bob -c 'cat /proc/self/cgroup'" | path_of unified)" "$scope/init.scope"
equal "and gives bob nothing" "$(of_bob)" ""
equal "nor takes anything from alice" "$(stat -c %U $cg"$scope" $cg"$scope"/init.scope | sort -u)" alice
logind_knows "after sudo and su" first

like "su - bob by a service's root is a login" "$(su - bob -c 'cat /proc/self/cgroup' | path_of unified)" "$bobs/session-*.scope/init.scope"

terminal_login bob
scope=$(cgroup_in unified "$(terminal_shell)")
like "login on a terminal is a login" "$scope" "$bobs/session-*.scope/init.scope"
scope=${scope%/init.scope}
equal "its scope is bob's" "$(stat -c %U $cg"$scope" $cg"$scope"/init.scope | sort -u)" bob
has_words "with controllers" "$(cat $cg"$scope"/cgroup.subtree_control)" cpu memory pids
id=${scope##*/session-}
equal "logind knows it for a terminal's" "$(loginctl show-session "${id%.scope}" -p Type -p State --value | xargs)" "tty active"
terminal_logout
eventually "its scope is gone" fails_quietly test -e $cg"$scope"

echo '* * * * * bob cat /proc/self/cgroup >/tmp/cron.cgroup' >/etc/cron.d/probe
like "systemd-run --user is the user manager's" \
	"$(in_login first "systemd-run --user --pipe --wait -q cat /proc/self/cgroup" | path_of unified)" "$alices/user@1000.service/app.slice/run-*.service"
manager=$(systemctl show -p MainPID --value user@1000.service)
equal "the user manager is where systemd put it" "$(cgroup_in unified "$manager")" "$alices/user@1000.service/init.scope"
equal "its service is alice's, by systemd" "$(stat -c %U $cg$alices/user@1000.service)" alice
fails "and has no leaf of the module's beside its own" test -e $cg$alices/user@1000.service/init.scope/init.scope
eventually "cron has run" test -s /tmp/cron.cgroup
like "cron's job stays in cron's service" "$(path_of unified </tmp/cron.cgroup)" "/system.slice/cron.service"
logout_of_logind first
equal "the module had nothing to complain about" "$(module_log)" ""
finish
