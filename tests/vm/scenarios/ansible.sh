#!/bin/bash
# The Ansible role, by Ansible over ssh: a login has its cgroups, what the role
# enables runs, and a second run changes nothing.
# machines: trixie-systemd-v2
# limit: 1200

export ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=300 -o KexAlgorithms=curve25519-sha256"
cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
inventory=/tmp/inventory
echo "machine ansible_host=localhost ansible_user=root ansible_python_interpreter=/usr/bin/python3" >$inventory

# play VARIABLE...: its summary is in $recap.
play() {
	local variable arguments=()
	for variable; do arguments+=(-e "$variable"); done
	if ! ansible-playbook -i $inventory /in/contrib/ansible/site.yml \
		-e cgdeleg_install=build -e cgdeleg_build_dir=/in -e cgdeleg_textfile_dir=/srv/metrics "${arguments[@]}" >/out/play 2>&1; then
		note "$(grep -E '^(fatal|failed|ERROR)' /out/play)"
	fi
	recap=$(grep '^machine .*ok=' /out/play | tr -s ' ')
	cat /out/play >>/out/plays
}

# pam_cgfs first, as Debian's package would have left it.
install_pam_cgfs "-c all"
play
like "it refuses to stand beside pam_cgfs" "$recap" "*changed=0 *failed=1*"
fails "and has installed nothing" test -e /usr/bin/cgdeleg

mkdir /srv/metrics
play cgdeleg_remove_pam_cgfs=true
like "the first run works" "$recap" "*unreachable=0 failed=0*"
fails "pam_cgfs has no line any more" grep -rq pam_cgfs /etc/pam.d
play cgdeleg_remove_pam_cgfs=true
like "the second run changes nothing" "$recap" "*changed=0 unreachable=0 failed=0*"

equal "pam-auth-update's line stands behind pam_systemd's" \
	"$(grep -oE 'pam_(systemd|cgdeleg)\.so' /etc/pam.d/common-session | tr '\n' ' ')" "pam_systemd.so pam_cgdeleg.so "
equal "the cleanup's timer runs" "$(systemctl is-active cgdeleg-cleanup.timer) $(systemctl is-enabled cgdeleg-cleanup.timer)" "active enabled"
works "the cleanup runs" systemctl start cgdeleg-cleanup.service
equal "the timer of the metrics runs" "$(systemctl is-active cgdeleg-textfile.timer) $(systemctl is-enabled cgdeleg-textfile.timer)" "active enabled"

login first alice
scope=session-$(session_id first).scope
equal "a login is in its leaf" "$(cgroup_of_login unified first)" "/user.slice/user-1000.slice/$scope/init.scope"
works "check finds nothing wrong" in_login first "cgdeleg check --strict"
works "the metrics are written" systemctl start cgdeleg-textfile.service
like "the login is counted" "$(cat /srv/metrics/cgdeleg.prom)" '*cgdeleg_sessions{state="alive"} [1-9]*'
equal "everybody may read them" "$(stat -c %a /srv/metrics/cgdeleg.prom)" 644
logout first

play '{"cgdeleg_pam_options": "min_uid=1001 debug -c unified,memory", "cgdeleg_remove_pam_cgfs": true}'
like "a run with options works" "$recap" "*unreachable=0 failed=0*"
login second alice
equal "and a login has what they say" "$(cgroup_of_login unified second)" "/user.slice/user-1000.slice/session-$(session_id second).scope"
DEBIAN_FRONTEND=noninteractive pam-auth-update --package
# It sorts them: "-c LIST" would fall apart.
words='pam_cgdeleg.so -cunified,memory debug min_uid=1001'
equal "pam-auth-update keeps them" "$(grep -oh "$words" /etc/pam.d/common-session*)" "$words"$'\n'"$words"
logout second
finish
