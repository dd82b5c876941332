#!/bin/bash
# Many people log in at once, by a worker each and by a server: every login has a session of
# its own, and nothing stays. The same program runs on the tests' own machine (tests/storms).
# machines: bookworm-no-systemd-v2 bookworm-no-systemd-hybrid
# limit: 1500

install -m 755 /in/storm /in/pamapp /usr/local/bin/
for i in $(seq 0 19); do
	echo "storm$i:x:$((3000 + i)):100::/:/bin/sh" >>/etc/passwd
	echo "storm$i:*:19000:0:99999:7:::" >>/etc/shadow
done

# storms NAME: an emulated machine is slow, so they are a fiftieth of what they are elsewhere,
# and the deadline is a minute.
storms() {
	storm -module /in/pam_cgdeleg.so -options timeout=60 -name "$1" -application /usr/local/bin/pamapp -count 20 -scale 50 >"/out/$1" 2>&1
	local status=$?
	cat "/out/$1"
	equal "storms of logins, $1" "$status" 0
}

storms forked
/in/cgdeleg serve >/out/serve 2>&1 &
server=$!
eventually "the server can be asked" test -S /run/cgdeleg/serve.sock
storms served
kill $server
# On a slow machine it removes what a login could not, and leaves some to workers.
fails "the server complains of nothing else" grep -v -e '^removed session' -e 'is left to a worker' -e 'were not answered within' /out/serve
finish
