#!/bin/bash
# A user who is against everybody else, on cgroup v2: in own sessions alice does what she can
# to logins, hers and bob's, while all that an administrator may have running is there. Every
# login of bob's comes about, in a session of his own; alice gains nothing; her own logins
# and logouts come to their ends; and one cleanup removes what is left. The attacks are those
# of the program that the tests' own machine has as well (tests/hostile/user).
# machines: bookworm-no-systemd-v2 trixie-systemd-v2
# limit: 1200

install_module "timeout=30" # an emulated machine is slow
install -m 755 /in/hostile /in/pamapp /usr/local/bin/
cg=/sys/fs/cgroup
bobs="/user/bob/*/init.scope"
if booted_systemd; then
	install_dropin
	bobs="/user.slice/user-$(id -u bob).slice/session-*.scope/init.scope"
fi
mkdir -p /etc/cgdeleg
echo '* user pids.max=3000' >/etc/cgdeleg/limits.conf
cgdeleg cleanup --watch >/out/watch 2>&1 &
watch=$!
apply() { while sleep 2; do cgdeleg limits apply; done >/out/apply 2>&1; }
apply &
applying=$!

# once USER COMMAND: a login for one command. took is how long that took, in milliseconds.
once() {
	local begun
	begun=$(date +%s%N)
	timeout "$PATIENCE" ssh -o BatchMode=yes -o KexAlgorithms=curve25519-sha256 "$1@localhost" "$2" 2>&1
	local status=$?
	took=$((($(date +%s%N) - begun) / 1000000))
	echo $took >/run/took
	return $status
}

# bob_logs_in WHEN
bob_logs_in() {
	like "bob is in a session of his own ($1)" "$(once bob 'cat /proc/self/cgroup' | path_of unified)" "$bobs"
	note "bob's login $1: $(cat /run/took) ms"
}

# attack WHEN NAME...: beside these both log in. What alice's own login comes to is her own doing,
# but it ends.
attack() {
	local file=$1.$2 what="$*" attacking
	shift
	(in_login first "hostile -round 50ms -until /tmp/$file $*" >"/out/$file" 2>&1; echo $? >"/run/$file") &
	attacking=$!
	once alice true >/dev/null
	fails "alice's login ends ($what)" test $? = 124
	bob_logs_in "$what"
	touch "/tmp/$file"
	wait $attacking
	equal "alice gains nothing ($what)" "$(cat "/run/$file")$(grep GAINED "/out/$file")" 0
	works "her session lives ($what)" in_login first true
	gone "$(cat "$CONTROL/second.application")" && login second alice
}

login first alice
login second alice
bob_logs_in "without any"
# some at a time: a login takes seconds here. All are there that the program has for v2.
groups=("threaded freeze bounds controllers" "shuffle starve deep cpuset" "robbed parked grow held" "signals proc reach" kill)
equal "all are tried" "$(tr ' ' '\n' <<<"${groups[*]}" | sort)" "$(hostile -list v2 | sort)"
for names in "${groups[@]}"; do
	# shellcheck disable=SC2086 # words
	attack forked $names
done
like "cgdeleg run works after all of that" "$(in_login first 'cgdeleg run --tasks 50 -- cat /proc/self/cgroup' | path_of unified)" "*/run-*"

cgdeleg serve >/out/serve 2>&1 &
server=$!
eventually "the server can be asked" test -S /run/cgdeleg/serve.sock
bob_logs_in "with a server"
attack served freeze starve deep reach
attack served kill
works "the server lives" kill -0 $server
fails "and had no panic" grep -i panic /out/serve
kill $server $applying $watch
wait $server $applying $watch 2>/dev/null

# An application that stays is moved back from where its path is longer than a page, of which
# kernels tell a part. With cpuset in the session Linux 6.1 lets alice move nobody else's
# process (cpuset_can_attach).
if ! booted_systemd; then
	printf 'session required /in/pam_cgdeleg.so timeout=60 close=wait -c memory,pids\n' >/etc/pam.d/hostile
	coproc APPLICATION { exec pamapp start=hostile:alice open pause close cgroups end; }
	said=
	until_says() { while [[ $said != *"$1"* ]] && read -r -t "$PATIENCE" said <&"${APPLICATION[0]}"; do :; done; }
	until_says open:
	equal "an application opens a session" "$said" "open: 0"
	(in_login first "hostile -round 5s -until /tmp/end.deep deep" >/out/deep.close 2>&1) &
	deep=$!
	is_deep() { [[ $(tr -d '\n' <"/proc/$APPLICATION_PID/cgroup" 2>/dev/null || echo dddd) == *dddd* ]]; }
	eventually "alice moves it down" is_deep
	pid=$APPLICATION_PID
	note "of its path the kernel says $(wc -c <"/proc/$pid/cgroup" 2>&1)"
	echo >&"${APPLICATION[1]}"
	until_says close:
	equal "it closes it" "$said" "close: 0"
	until_says cgroups:
	equal "and is where it was" "$said" "cgroups: 0::$(path_of unified </proc/self/cgroup)"
	touch /tmp/end.deep
	wait $deep
fi

logout second
logout first
pkill -KILL -u alice
eventually "alice has no process" fails_quietly pgrep -u alice
works "one cleanup" cgdeleg cleanup
fails "leaves nothing" test -e $cg/user/alice
owned() { find $cg -user "$1" 2>/dev/null | grep .; }
eventually "nothing is alice's" fails_quietly owned alice
eventually "nothing is bob's" fails_quietly owned bob
equal "of bob the module had nothing to say" "$(module_log | grep '"bob"')" ""
finish
