#!/bin/bash
# Whole programs without the module, with it, and where `cgdeleg serve` runs, in turns.
# An emulated machine's times tell nothing, their ratios little more than that they are
# the same: `make bench BENCH=Programs` measures on this one. Here it is seen what the
# module costs beside systemd and its session, and on cgroup v2.
# machines: bookworm-systemd-v2 bookworm-no-systemd-v2 bookworm-systemd-hybrid
# limit: 1800
# processors: 2

rounds=15
stacks="none forked served"
socket=/run/cgdeleg/serve.sock

cp -r /etc/pam.d /run/none
install_module ""
if booted_systemd; then install_dropin; fi
cp -r /etc/pam.d /run/forked
cp -r /etc/pam.d /run/served
cgdeleg serve >/out/served 2>&1 &
server=$!
eventually "the server listens" test -S $socket

# use STACK: the next logins have it. The server is stopped when it is not asked: it
# looks at everybody's sessions.
use() {
	cp /run/"$1"/common-session* /etc/pam.d/
	if [ "$1" = served ]; then
		kill -CONT $server
		mv $socket.hidden $socket
	else
		mv $socket $socket.hidden 2>/dev/null
		kill -STOP $server
	fi
}

# once PROGRAM: prints how many microseconds it takes.
once() {
	local begun=${EPOCHREALTIME/./}
	case $1 in
	sudo) sudo -n -u alice true ;;
	su) su alice -c true ;;
	ssh) ssh -o BatchMode=yes -o KexAlgorithms=curve25519-sha256 alice@localhost true ;;
	esac || echo "$1 failed" >&2
	echo $((${EPOCHREALTIME/./} - begun))
	await_workers
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

use none
for program in sudo su ssh; do
	for stack in $stacks; do : >"/run/$program.$stack"; done
	for _ in $(seq $rounds); do
		for stack in $stacks; do
			use "$stack"
			once $program >>"/run/$program.$stack"
		done
	done
done
note "$(printf '%-8s %10s %10s %8s %10s %8s' program "none, ms" forked / served /)"
for program in sudo su ssh; do
	note "$(for stack in $stacks; do median <"/run/$program.$stack"; done | paste -s -d' ' |
		awk -v program=$program '{ printf "%-8s %10.1f %10.1f %8.2f %10.1f %8.2f", program, $1 / 1000, $2 / 1000, $2 / $1, $3 / 1000, $3 / $1 }')"
	equal "every $program was measured" "$(cat /run/$program.* | wc -l)" $((rounds * 3))
done
kill -CONT $server
kill $server
finish
